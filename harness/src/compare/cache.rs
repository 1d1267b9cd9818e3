//! Finished runs in files, so that none has to be made twice, and none is taken for another.
//!
//! A run's result depends on the data, the resolved settings and the build; its seconds on the
//! machine, the threads, the runs side by side and the instruction set as well. Both are digests in
//! the file, beside one of the record: a file is used only if all three are what they should be. A
//! file that is cut off, edited, or of anything else is as good as none.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::arm::Arm;
use super::plan::Plan;
use crate::config::RunConfig;
use crate::data::dataset::{Dataset, hex};
use crate::error::Error;
use crate::export::{sweep, write_whole};
use crate::machine::{self, Machine};
use crate::report::note;

/// The folder of finished runs.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    /// Files of runs that others have finished, by the part of their names that stands for the
    /// result.
    others: BTreeMap<String, PathBuf>,
    /// Whether files of runs that took their time elsewhere will do.
    any_times: bool,
    /// Whether they are copied.
    copies: bool,
    data: String,
    build: String,
    times: String,
}

/// A run's file: where it is, and what must stand in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    path: PathBuf,
    /// A file that somebody else has written.
    other: Option<PathBuf>,
    any_times: bool,
    copies: bool,
    /// Digest of what the result depends on.
    result: String,
    /// Digest of what the seconds depend on.
    times: String,
}

/// What a run's file holds.
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    result: &'a str,
    times: &'a str,
    /// Of the record's text.
    sha256: String,
    #[serde(borrow)]
    record: &'a RawValue,
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text))
}

impl Cache {
    /// The folder, for runs of `plan` on `dataset` on this machine; files that an earlier program
    /// left half-written are taken away. The caller has locked the folder.
    ///
    /// # Errors
    /// [`Error::Output`] when the folder cannot be made, [`Error::Run`] when the program cannot
    /// read its own file.
    pub fn new(folder: PathBuf, plan: &Plan, dataset: &Dataset) -> Result<Cache, Error> {
        fs::create_dir_all(&folder).map_err(|source| Error::Output {
            path: folder.clone(),
            source,
        })?;
        sweep(&folder, |_| true);
        let build = machine::known_build()?;
        Ok(Cache {
            folder,
            others: BTreeMap::new(),
            any_times: false,
            copies: false,
            data: format!(
                "{} {} {:?} {:?} {} {:?}",
                dataset.name,
                dataset.digest,
                dataset.scalings,
                dataset.target_scalings,
                dataset.autoencoder,
                plan.evaluations,
            ),
            build: build.to_owned(),
            times: format!(
                "{:?} {} {} {:?}",
                Machine::this(),
                plan.threads,
                plan.jobs,
                plan.timing
            ),
        })
    }

    /// Reads runs from these folders of other shards, too, and copies them if asked to. It does not
    /// matter on which machine they took how long.
    pub fn read_too(&mut self, folders: &[PathBuf], copies: bool) {
        (self.any_times, self.copies) = (true, copies);
        // The own folder is among them: its files may be of another machine.
        for folder in folders.iter().chain([&self.folder]) {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if let Some((result, _)) = name.rsplit_once('-') {
                    self.others.insert(result.to_owned(), entry.path());
                }
            }
        }
    }

    /// Where the run of this configuration is kept.
    ///
    /// # Errors
    /// [`Error::Run`] when the configuration cannot be written as text.
    pub fn place(&self, arm: &Arm, config: &RunConfig) -> Result<Place, Error> {
        let mut own = config.clone();
        own.threads = NonZeroUsize::MIN;
        let text = serde_json::to_string(&own).map_err(|e| Error::Run(e.to_string()))?;
        let result = digest(&format!("{text}\n{}\n{}", self.data, self.build));
        let times = digest(&self.times);
        let word = |c: char| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' => c,
            _ => '_',
        };
        let name: String = arm.name.chars().map(word).take(60).collect();
        let name = format!("{name}-s{}-{}", config.seed, &result[..16]);
        Ok(Place {
            path: self.folder.join(format!("{name}-{}.json", &times[..8])),
            other: self.others.get(&name).cloned(),
            any_times: self.any_times,
            copies: self.copies,
            result,
            times,
        })
    }
}

impl Place {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The record that is kept there, if it is this run's and whole.
    pub fn read(&self) -> Option<String> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return self.read_other(),
            Err(_) => String::new(),
        };
        let record = self.checked(&text);
        if record.is_none() {
            note(&format!(
                "{}: damaged, or of another run: making the run again",
                self.path.display()
            ));
        }
        record
    }

    /// The record in the file of somebody else. One that is half-written is as good as none, and
    /// another's to mend.
    fn read_other(&self) -> Option<String> {
        let other = self.other.as_ref()?;
        let text = fs::read_to_string(other).ok()?;
        let record = self.checked(&text)?;
        if let (Some(folder), Some(name)) = (self.path.parent(), other.file_name()) {
            let copy = folder.join(name);
            // Without the copy the run is read from there the next time as well.
            if self.copies && !copy.exists() {
                let _ = write_whole(&copy, text.as_bytes());
            }
        }
        Some(record)
    }

    fn checked(&self, text: &str) -> Option<String> {
        let kept: Kept<'_> = serde_json::from_str(text).ok()?;
        let record = kept.record.get();
        let own = kept.result == self.result && (self.any_times || kept.times == self.times);
        (own && kept.sha256 == digest(record)).then(|| record.to_owned())
    }

    /// Keeps a record, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Output`] when the file cannot be written.
    pub fn write(&self, record: &str) -> Result<(), Error> {
        let wrong = |error: serde_json::Error| Error::Run(error.to_string());
        let raw: &RawValue = serde_json::from_str(record).map_err(wrong)?;
        let kept = Kept {
            result: &self.result,
            times: &self.times,
            sha256: digest(record),
            record: raw,
        };
        let text = serde_json::to_string(&kept).map_err(wrong)?;
        write_whole(&self.path, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let place = Place {
            path: PathBuf::new(),
            other: None,
            any_times: false,
            copies: false,
            result: digest("settings"),
            times: digest("machine"),
        };
        let record = r#"{"seed":3,"history":[{"loss":2.5e-1},{"loss":null}],"name":"a\"\u00e9"}"#;
        let kept = Kept {
            result: &place.result,
            times: &place.times,
            sha256: digest(record),
            record: serde_json::from_str(record).unwrap(),
        };
        let whole = serde_json::to_string(&kept).unwrap();
        assert_eq!(place.checked(&whole).as_deref(), Some(record));
        for end in 0..whole.len() {
            assert_eq!(place.checked(&whole[..end]), None, "the first {end} bytes");
        }
        for (at, bit) in (0..whole.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut bytes = whole.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            if let Ok(text) = String::from_utf8(bytes) {
                assert_eq!(place.checked(&text), None, "byte {at}, bit {bit}");
            }
        }
        // Twice in a file, deeper than a reader may go, or of another run.
        let deep = format!("{}{}", "[".repeat(1 << 16), "]".repeat(1 << 16));
        let others = [
            format!("{whole}{whole}"),
            whole.replace(record, &deep),
            whole.replace(&place.times, &digest("another machine")),
            whole.replace(record, &record.replace('3', "4")),
            deep,
        ];
        for other in others {
            assert_eq!(place.checked(&other), None, "{:.80}", other);
        }
    }
}
