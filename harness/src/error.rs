//! Every way in which the program can fail, each with one line for a person and an exit status for
//! a script.

use std::io;
use std::path::PathBuf;

use crate::data::error::DataError;

/// Exit status of a command that did what it was asked.
pub const EXIT_OK: u8 = 0;
/// Exit status of a run that went wrong, for example diverged.
pub const EXIT_RUN: u8 = 1;
/// Exit status of a wrong command line, and of data that cannot be used. (`clap` uses it too.)
pub const EXIT_USAGE: u8 = 2;
/// Exit status when files could not be written.
pub const EXIT_OUTPUT: u8 = 3;
/// Exit status after Ctrl-C: 128 and the number of SIGINT, as shells count. After SIGTERM it is 143.
pub const EXIT_INTERRUPTED: u8 = 130;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options do not make sense, alone or together.
    #[error("{0}")]
    Usage(String),
    /// The data set cannot be used.
    #[error(transparent)]
    Dataset(#[from] DataError),
    /// A file or folder of the run could not be written.
    #[error("cannot write {}: {source}; --out DIR chooses another place", path.display())]
    Output {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Standard output cannot be written.
    #[error("cannot write to standard output: {0}")]
    Stdout(#[source] io::Error),
    /// Another rank has failed, and says why.
    #[error("another rank has failed")]
    Elsewhere {
        /// Its exit status.
        status: u8,
    },
    /// Training did not end in a usable model.
    #[error("{0}")]
    Run(String),
}

impl Error {
    /// The status that the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) | Error::Dataset(_) => EXIT_USAGE,
            Error::Output { .. } | Error::Stdout(_) => EXIT_OUTPUT,
            Error::Run(_) => EXIT_RUN,
            Error::Elsewhere { status } => *status,
        }
    }
}
