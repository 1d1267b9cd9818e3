//! Checkpoints in a file of the host, which a device reaches through its emulator's semihosting.

use core::ffi::CStr;

use secant::checkpoint::{PIECE_LEN, Store};

#[cfg(device)]
use semihosting::{fs::OpenOptions, io};
#[cfg(not(device))]
use std::{fs::OpenOptions, io};

#[cfg(device)]
use semihosting::fs::File;
#[cfg(not(device))]
use std::fs::File;

use io::{Read, Seek, SeekFrom, Write};

/// Bytes of a value and its length.
const SLOT: usize = PIECE_LEN + 2;

/// A slot for each key.
pub struct FileStore(File);

impl FileStore {
    /// Opens a file. The host makes it if there is none; a device cannot.
    pub fn open(path: &CStr) -> io::Result<FileStore> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        #[cfg(not(device))]
        let path = {
            options.create(true);
            path.to_str().map_err(io::Error::other)?
        };
        options.open(path).map(FileStore)
    }

    fn seek(&mut self, key: u16) -> io::Result<()> {
        // The keys of even and odd checkpoints take turns, so that the file is not much larger than
        // they are.
        let slot = u64::from(key & 0x7fff) * 2 + u64::from(key >> 15);
        self.0.seek(SeekFrom::Start(slot * SLOT as u64)).map(drop)
    }
}

impl Store for FileStore {
    type Error = io::Error;

    fn write(&mut self, key: u16, value: &[u8]) -> io::Result<()> {
        let mut slot = [0; SLOT];
        slot[..2].copy_from_slice(&(value.len() as u16).to_le_bytes());
        slot[2..][..value.len()].copy_from_slice(value);
        self.seek(key)?;
        self.0.write_all(&slot)
    }

    fn read(&mut self, key: u16, value: &mut [u8]) -> io::Result<Option<usize>> {
        let mut slot = [0; SLOT];
        self.seek(key)?;
        let mut read = 0;
        while read < SLOT {
            match self.0.read(&mut slot[read..])? {
                0 => return Ok(None),
                count => read += count,
            }
        }
        let length = usize::from(u16::from_le_bytes([slot[0], slot[1]]));
        let count = length.min(value.len());
        value[..count].copy_from_slice(&slot[2..][..count]);
        Ok((length > 0).then_some(length))
    }
}
