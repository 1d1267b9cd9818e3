//! The folder of a comparison, and its files.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::ZonedDateTime;
use serde::Serialize;
use serde_json::{Map, Value};

use super::figures::NAMES;
use super::head::{Comparison, lost};
use super::lengths::Length;
use super::reference::Change;
use super::table::Row;
use super::tune::Tuning;
use crate::error::Error;
use crate::export::write_whole;
use crate::lock::FolderLock;
use crate::report::note;

/// The folder's result file.
pub const RESULT: &str = "compare.json";

/// The result file of a suite.
pub const SUITE: &str = "suite.json";

/// Files that a comparison may leave beside its figures, a drawing and a table each.
const OWN: [&str; 7] = [
    RESULT,
    "report.html",
    "compare.md",
    "compare.csv",
    "runs.csv",
    "evaluations.csv",
    "tuning.csv",
];

/// What `compare.json` and `--json` hold.
#[derive(Debug, Serialize)]
pub struct Outcome<'a> {
    /// What was compared.
    #[serde(flatten)]
    pub about: &'a Comparison<'a>,
    /// Whether all runs were made.
    pub complete: bool,
    /// What tuning found.
    pub tuning: &'a [Tuning],
    /// The runs' records.
    pub runs: Vec<&'a Value>,
    /// The lines of the table.
    pub table: &'a [Row],
    /// Lengths of run that reach the targets.
    pub lengths: &'a [Length],
    /// What has changed since the reference, if there is one.
    #[serde(skip_serializing_if = "<[Change]>::is_empty")]
    pub changes: &'a [Change],
}

/// The folder `out`, or one in `runs` that is named after the time and `what`.
fn own_folder(out: Option<&Path>, what: &str) -> Result<(PathBuf, FolderLock), Error> {
    let path = match out {
        Some(folder) => folder.to_owned(),
        None => {
            let time = ZonedDateTime::now();
            let time = time.strftime("%Y%m%d-%H%M%S");
            PathBuf::from("runs").join(format!("{time}-{what}"))
        }
    };
    if path.exists() && !path.is_dir() {
        return Err(Error::Usage(format!(
            "--out {}: expected a folder, found a file",
            path.display()
        )));
    }
    fs::create_dir_all(&path).map_err(|source| Error::Output {
        path: path.clone(),
        source,
    })?;
    let lock = FolderLock::take(&path)?;
    Ok((path, lock))
}

/// The folder of a suite, with a folder for each of its problems in it; no other program works in it.
#[derive(Debug)]
pub struct SuiteFolder {
    path: PathBuf,
    _lock: FolderLock,
}

impl SuiteFolder {
    /// Makes it. Where its problems' folders hold other comparisons than the suite's, these are
    /// refused one by one.
    ///
    /// # Errors
    /// As [`ResultFolder::open`]; [`Error::Usage`] where a comparison lies there, unless by `force`.
    pub fn open(out: Option<&Path>, what: &str, force: bool) -> Result<SuiteFolder, Error> {
        let (path, lock) = own_folder(out, what)?;
        if path.join(RESULT).exists() && !force {
            return Err(Error::Usage(format!(
                "--out {}: holds a comparison, whose page a suite would replace; choose another \
                 folder, or replace it with --force",
                path.display()
            )));
        }
        Ok(SuiteFolder { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the suite's own files.
    ///
    /// # Errors
    /// [`Error::Output`] when one cannot be written.
    pub fn write(&self, files: &[(String, String)]) -> Result<(), Error> {
        for (name, text) in files.iter().rev() {
            write_whole(&self.path.join(name), text.as_bytes())?;
        }
        Ok(())
    }
}

/// A comparison's folder, which no other program works in.
#[derive(Debug)]
pub struct ResultFolder {
    path: PathBuf,
    _lock: FolderLock,
}

impl ResultFolder {
    /// Makes the folder `--out`, or one that is named after the time and `what`.
    ///
    /// # Errors
    /// [`Error::Output`] when it cannot be made, [`Error::Usage`] when another program works there.
    pub fn open(out: Option<&Path>, what: &str) -> Result<ResultFolder, Error> {
        let (path, lock) = own_folder(out, what)?;
        Ok(ResultFolder { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes sure that no other comparison's result would be replaced, unless by `force`.
    ///
    /// # Errors
    /// [`Error::Usage`] says what is there.
    pub fn check(&self, about: &Comparison<'_>, force: bool) -> Result<(), Error> {
        if self.path.join(SUITE).exists() && !force {
            return Err(Error::Usage(format!(
                "--out {}: holds a suite, whose page a comparison would replace; choose another \
                 folder, or replace it with --force",
                self.path.display()
            )));
        }
        let path = self.path.join(RESULT);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            text => text.unwrap_or_default(),
        };
        let new = serde_json::to_value(about).unwrap_or_default();
        let old: Option<Map<String, Value>> = serde_json::from_str(&text).ok();
        let lost = match (&old, new.as_object()) {
            (Some(old), Some(new)) => lost(old, new),
            _ => Some("a file that is no result".to_owned()),
        };
        match lost {
            Some(lost) if !force => Err(Error::Usage(format!(
                "--out {}: holds another comparison ({lost}), which this one would replace; choose \
                 another folder, or replace it with --force",
                self.path.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Writes the result, the result file last, and takes away what an earlier one left beside it.
    ///
    /// # Errors
    /// [`Error::Output`] when a file cannot be written.
    pub fn write(&self, files: &[(&str, String)]) -> Result<(), Error> {
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let figure = name
                .strip_suffix(".csv")
                .is_some_and(|name| NAMES.contains(&name));
            let own =
                OWN.contains(&&*name) || figure || name.ends_with(".svg") || name.ends_with(".tmp");
            if own && name != RESULT && !files.iter().any(|(file, _)| *file == name) {
                fs::remove_file(entry.path()).map_err(|source| Error::Output {
                    path: entry.path(),
                    source,
                })?;
                note(&format!(
                    "{}: of an earlier result, taken away",
                    entry.path().display()
                ));
            }
        }
        for (name, text) in files.iter().rev() {
            write_whole(&self.path.join(name), text.as_bytes())?;
        }
        Ok(())
    }
}
