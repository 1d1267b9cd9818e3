//! Why a data set cannot be used, as one line.

use std::io;
use std::path::{Path, PathBuf};

/// A file or folder that cannot be used: `FILE: expected ..., found ...`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct DataError {
    /// The file or folder.
    pub path: PathBuf,
    /// What was expected and what was found, as one line.
    pub problem: String,
}

impl DataError {
    /// An error about `path`.
    pub fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }

    /// `path` cannot be opened.
    pub fn open(path: &Path, error: &io::Error) -> Self {
        Self::new(path, format!("cannot be opened: {error}"))
    }

    /// Reading `path` failed part-way.
    pub fn read(path: &Path, error: &io::Error) -> Self {
        Self::new(path, format!("cannot be read: {error}"))
    }
}

/// Text from a file as it may stand in a message: in quotes, on one line, cut after 40 characters.
pub fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        shown.push_str("...");
    }
    format!("'{shown}'")
}

/// Up to five words, and how many more there are: `a, b, c, d, e and 7 more`.
pub fn listed(words: &[String]) -> String {
    const SHOWN: usize = 5;
    let (first, rest) = words.split_at(words.len().min(SHOWN));
    match rest.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
