//! Looking into folders.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::error::DataError;
use crate::memory;

/// Opens a file to be read to its end. Pipes and devices are refused: they may have no end, or wait
/// for somebody to write.
///
/// # Errors
/// It cannot be opened, or is no regular file, or needs more memory than there may be.
pub fn open(path: &Path) -> Result<File, DataError> {
    let about = fs::metadata(path).map_err(|error| DataError::open(path, &error))?;
    if !about.is_file() {
        return Err(DataError::new(
            path,
            format!("expected a file, found {}", kind(path)),
        ));
    }
    memory::check(about.len(), "reading it").map_err(|problem| DataError::new(path, problem))?;
    File::open(path).map_err(|error| DataError::open(path, &error))
}

/// What a path that is no regular file leads to, in words.
pub fn kind(path: &Path) -> &'static str {
    match fs::metadata(path) {
        Ok(about) if about.is_dir() => "a folder",
        Ok(about) if about.is_file() => "a file",
        Ok(_) => "a pipe, socket or device",
        Err(_) => "nothing that can be read",
    }
}

/// The files of a folder in the order of their names; none where it cannot be read.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    entries(folder, |path| path.is_file())
}

/// The folders of a folder in the order of their names; none where it cannot be read.
pub fn folders(folder: &Path) -> Vec<PathBuf> {
    entries(folder, |path| path.is_dir())
}

/// The files of a folder whose names have this ending, in any case.
pub fn ending(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = files(folder);
    found.retain(|path| has_ending(path, ending));
    found
}

/// Whether a file's name has this ending, in any case.
pub fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension()
        .is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

/// A file's name, for messages and comparisons.
pub fn name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn entries(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| wanted(path));
    paths.sort();
    paths
}

/// The only one of `found`, if there is any.
///
/// # Errors
/// There is more than one `what`.
pub fn only(
    path: &Path,
    what: &str,
    mut found: Vec<PathBuf>,
) -> Result<Option<PathBuf>, DataError> {
    if let [first, second, ..] = found.as_slice() {
        return Err(DataError::new(
            path,
            format!(
                "expected one {what}, found {} and {}: give each data set a folder of its own, or name its files",
                first.display(),
                second.display()
            ),
        ));
    }
    Ok(found.pop())
}
