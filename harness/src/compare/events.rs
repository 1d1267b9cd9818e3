//! A line of JSON for each start, evaluation and end of a run, for programs that watch.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::arm::Arm;
use crate::error::Error;
use crate::report::note;
use crate::train::Record;

/// Where the lines go, if anywhere.
#[derive(Debug, Default)]
pub struct Events(Option<Mutex<File>>);

impl Events {
    /// Makes the file anew.
    ///
    /// # Errors
    /// [`Error::Output`] when it cannot be made.
    pub fn create(path: Option<&Path>) -> Result<Events, Error> {
        let Some(path) = path else {
            return Ok(Events(None));
        };
        let file = File::create(path).map_err(|source| Error::Output {
            path: path.to_owned(),
            source,
        })?;
        Ok(Events(Some(Mutex::new(file))))
    }

    /// A run of `steps` steps begins.
    pub fn start(&self, arm: &Arm, seed: u64, steps: u32) {
        self.write("start", arm, seed, json!({ "steps": steps }));
    }

    /// A run was evaluated.
    pub fn evaluation(&self, arm: &Arm, seed: u64, record: &Record) {
        self.write("evaluation", arm, seed, json!(record));
    }

    /// A run is done; `kept` says whether it was there already.
    pub fn done(&self, arm: &Arm, seed: u64, kept: bool) {
        self.write("done", arm, seed, json!({ "kept": kept }));
    }

    fn write(&self, event: &str, arm: &Arm, seed: u64, mut line: Value) {
        let Some(file) = &self.0 else { return };
        line["event"] = json!(event);
        line["optimizer"] = json!(arm.name);
        line["length"] = json!(arm.epochs);
        line["settings"] = json!(arm.optimizer);
        line["seed"] = json!(seed);
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        // One write a line, so that a reader never sees half of one.
        if let Err(error) = file.write_all(format!("{line}\n").as_bytes()) {
            note(&format!("--events: {error}"));
        }
    }
}
