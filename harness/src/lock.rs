//! One program at a time in a folder.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::error::Error;

/// A folder that no other program of this kind works in while this value lives. The system takes
/// the lock away with the process, however that ends.
#[derive(Debug)]
pub struct FolderLock {
    /// The folder itself: no file is left behind, and none can be planted. None where the system
    /// cannot lock folders.
    _folder: Option<File>,
}

impl FolderLock {
    /// Takes the folder, which exists and was named by `--out`.
    ///
    /// # Errors
    /// [`Error::Usage`] when another program has it.
    pub fn take(folder: &Path) -> Result<FolderLock, Error> {
        FolderLock::take_named("--out", folder)
    }

    /// Takes the folder, which exists and was named by `option`.
    ///
    /// # Errors
    /// As for [`take`](FolderLock::take).
    pub fn take_named(option: &str, folder: &Path) -> Result<FolderLock, Error> {
        let Ok(file) = File::open(folder) else {
            return Ok(FolderLock { _folder: None });
        };
        match file.try_lock() {
            Ok(()) => Ok(FolderLock {
                _folder: Some(file),
            }),
            Err(TryLockError::WouldBlock) => Err(Error::Usage(format!(
                "{option} {}: another secant is at work in this folder; wait until it is done, or \
                 choose another one",
                folder.display()
            ))),
            // A file system without locks.
            Err(TryLockError::Error(_)) => Ok(FolderLock { _folder: None }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_belongs_to_one_at_a_time() {
        let folder = std::env::temp_dir().join(format!("secant-lock-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let first = FolderLock::take(&folder).unwrap();
        let refused = FolderLock::take(&folder).unwrap_err();
        assert_eq!(refused.exit_code(), 2);
        assert!(refused.to_string().contains("another secant is at work"));
        drop(first);
        FolderLock::take(&folder).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
    }
}
