//! The run's folder: every file whole or not there at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::ZonedDateTime;
use secant::Affine;
use serde::Serialize;

use crate::config::RunConfig;
use crate::error::Error;
use crate::lock::FolderLock;
use crate::model::Model;
use crate::score::Measure;
use crate::train::Record;
use crate::weights;

/// The choices of the run.
pub const CONFIG: &str = "config.json";
/// The options of the run, for `--config` and `secant rerun`.
pub const OPTIONS: &str = "config.toml";
/// One line an epoch.
pub const METRICS: &str = "metrics.csv";
/// The trained weights.
pub const MODEL: &str = "model.safetensors";
/// The weights after the epoch that was best on the validation samples.
pub const BEST: &str = "best.safetensors";
/// The mean of the weights over the last part of the run.
pub const AVERAGE: &str = "average.safetensors";
/// The trained weights as bare floats, for a device.
pub const WEIGHTS: &str = "weights.bin";
/// Loss, and accuracy or error, over the run.
pub const CURVES: &str = "curves.svg";

/// The whole record of the run: what `--json` prints.
pub const RESULT: &str = "result.json";

/// What the run has become, while it goes on.
pub const CHECKPOINT: &str = "checkpoint.bin";
/// The checkpoint before it.
pub const PREVIOUS: &str = "checkpoint.previous.bin";

/// All files of a run.
const FILES: [&str; 11] = [
    CONFIG, OPTIONS, METRICS, MODEL, BEST, AVERAGE, WEIGHTS, CURVES, RESULT, CHECKPOINT, PREVIOUS,
];

/// Folder in which runs get a folder of their own.
const RUNS: &str = "runs";

/// A folder for the files of one run.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: FolderLock,
}

impl RunFolder {
    /// Makes the folder `out`, or else `runs/<time>-<model>-<optimizer>-s<seed>`.
    ///
    /// # Errors
    /// [`Error::Usage`] when `out` already holds a run, unless `force` allows to replace it;
    /// [`Error::Output`] when the folder cannot be made.
    pub fn create(out: Option<&Path>, force: bool, config: &RunConfig) -> Result<Self, Error> {
        match out {
            Some(folder) => RunFolder::at(folder, force),
            None => {
                fs::create_dir_all(RUNS).map_err(|source| output(RUNS, source))?;
                let name = format!(
                    "{}-{}-{}-s{}",
                    ZonedDateTime::now().strftime("%Y%m%d-%H%M%S"),
                    config.model.file_name(),
                    config.optimizer.name(),
                    config.seed
                );
                let mut folder = Path::new(RUNS).join(&name);
                for number in 2.. {
                    match fs::create_dir(&folder) {
                        Ok(()) => break,
                        // Another run of the same second.
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                            folder = Path::new(RUNS).join(format!("{name}-{number}"));
                        }
                        Err(source) => return Err(output(&folder, source)),
                    }
                }
                let lock = FolderLock::take(&folder)?;
                Ok(Self {
                    path: folder,
                    _lock: lock,
                })
            }
        }
    }

    /// The folder of a run that is to go on.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is none, or another program works in it.
    pub fn resume(folder: &Path) -> Result<Self, Error> {
        if !folder.join(OPTIONS).is_file() {
            return Err(Error::Usage(format!(
                "--resume {}: expected the folder of a run, as 'secant train' has written it; it \
                 has no {OPTIONS}",
                folder.display()
            )));
        }
        let lock = FolderLock::take_named("--resume", folder)?;
        sweep(folder, |name| FILES.contains(&name));
        Ok(Self {
            path: folder.to_owned(),
            _lock: lock,
        })
    }

    /// Makes the folder `folder`.
    ///
    /// # Errors
    /// As [`RunFolder::create`].
    pub fn at(folder: &Path, force: bool) -> Result<Self, Error> {
        if folder.exists() && !folder.is_dir() {
            return Err(Error::Usage(format!(
                "--out {}: expected a folder, found a file",
                folder.display()
            )));
        }
        let old = FILES.map(|name| folder.join(name));
        fs::create_dir_all(folder).map_err(|source| output(folder, source))?;
        // Looked for again, now that nobody else works here.
        let lock = FolderLock::take(folder)?;
        let old = old.into_iter().filter(|file| file.exists());
        let old: Vec<_> = old.collect();
        if !force && !old.is_empty() {
            return Err(Error::Usage(format!(
                "--out {}: already holds a run; choose another folder, or replace it with --force",
                folder.display()
            )));
        }
        // A run that fails must not leave the model of an earlier one beside its own files.
        for file in old {
            fs::remove_file(&file).map_err(|source| output(&file, source))?;
        }
        sweep(folder, |name| FILES.contains(&name));
        Ok(Self {
            path: folder.to_owned(),
            _lock: lock,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a value as JSON.
    ///
    /// # Errors
    /// [`Error::Output`] when the file cannot be written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        let path = self.path.join(name);
        let mut text = serde_json::to_string_pretty(value).map_err(|e| output(&path, e.into()))?;
        text.push('\n');
        write_whole(&path, text.as_bytes())
    }

    /// Writes a text.
    ///
    /// # Errors
    /// [`Error::Output`] when the file cannot be written.
    pub fn write_text(&self, name: &str, text: &str) -> Result<(), Error> {
        write_whole(&self.path.join(name), text.as_bytes())
    }

    /// Writes weights, [`MODEL`], [`BEST`] or [`AVERAGE`]: see [`weights::safetensors`].
    ///
    /// # Errors
    /// [`Error::Output`] when the file cannot be written.
    pub fn write_model(
        &self,
        name: &str,
        model: &Model,
        (inputs, targets): (&[Affine], &[Affine]),
        parameters: &[f32],
    ) -> Result<(), Error> {
        let path = self.path.join(name);
        let bytes = weights::safetensors(model, (inputs, targets), parameters);
        write_whole(&path, &bytes.map_err(|error| output(&path, error))?)
    }

    /// Writes weights for a device: see [`weights::bare`].
    ///
    /// # Errors
    /// [`Error::Output`] when the file cannot be written.
    pub fn write_weights(&self, parameters: &[f32]) -> Result<(), Error> {
        write_whole(&self.path.join(WEIGHTS), &weights::bare(parameters))
    }

    /// Replaces the checkpoint; the one before it is kept as [`PREVIOUS`].
    ///
    /// # Errors
    /// [`Error::Output`] when the file cannot be written; those that there were are left.
    pub fn write_checkpoint(&self, bytes: &[u8]) -> Result<(), Error> {
        let previous = self.path.join(PREVIOUS);
        replace(&self.path.join(CHECKPOINT), bytes, Some(&previous))
    }

    /// Deletes a file that is of no use any more, if it is there.
    ///
    /// # Errors
    /// [`Error::Output`] when it cannot be deleted.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(output(&path, error)),
            _ => Ok(()),
        }
    }
}

fn output(path: impl AsRef<Path>, source: io::Error) -> Error {
    Error::Output {
        path: path.as_ref().to_owned(),
        source,
    }
}

/// Writes a file under another name, brings it to the disk and then gives it its name, so that
/// after a crash the file is either as it was or as it should be. The other name is new, so that
/// two programs do not share it and nobody can put a link there beforehand.
///
/// # Errors
/// [`Error::Output`] when the file cannot be written; no half of it is left.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), Error> {
    replace(path, content, None)
}

/// [`write_whole`]; what the file held before goes to `previous`.
fn replace(path: &Path, content: &[u8], previous: Option<&Path>) -> Result<(), Error> {
    let (temporary, mut file) = new_file_beside(path).map_err(|source| output(path, source))?;
    let written = (|| {
        file.write_all(content)?;
        file.sync_all()?;
        if let Some(previous) = previous.filter(|_| path.exists()) {
            // A second name, so that the first one is never missing; not every system has them.
            let _ = fs::remove_file(previous);
            fs::hard_link(path, previous).or_else(|_| fs::rename(path, previous))?;
        }
        fs::rename(&temporary, path)?;
        // The new name is safe once the folder is; not every system can bring a folder to the disk,
        // or needs to.
        if let Some(folder) = path.parent()
            && let Ok(folder) = File::open(folder)
        {
            let _ = folder.sync_all();
        }
        Ok(())
    })();
    written.map_err(|source| {
        let _ = fs::remove_file(&temporary);
        output(path, source)
    })
}

/// Deletes what a program that was killed had begun to write by [`write_whole`] to files with `ours`
/// among their names; nobody else works in the folder.
pub fn sweep(folder: &Path, ours: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let begun = name.strip_suffix(".tmp").and_then(|name| {
            let (file, numbers) = name.rsplit_once('.')?;
            let numbered = numbers.chars().all(|c| c.is_ascii_digit() || c == '-');
            Some(numbered && ours(file))
        });
        if begun == Some(true) {
            // Only untidy if it stays.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A new file in the folder of `path`, and its path.
fn new_file_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        name.push(format!(".{}-{count}.tmp", std::process::id()));
        let temporary = path.with_file_name(name);
        match File::create_new(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            file => return Ok((temporary, file?)),
        }
    }
}

/// The history as CSV; with averaged weights two columns are theirs.
pub fn metrics_csv(history: &[Record]) -> String {
    let measure = history.first().map_or(Measure::default(), |r| r.measure);
    let key = measure.key();
    let mut text = format!(
        "epoch,iteration,gradient_epochs,seconds,train_loss,validation_loss,validation_{key}"
    );
    let averaged = history.iter().any(|record| record.average.is_some());
    if averaged {
        text.push_str(&format!(
            ",average_validation_loss,average_validation_{key}"
        ));
    }
    text.push('\n');
    let optional = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    for record in history {
        text.push_str(&format!(
            "{},{},{},{:.3},{},{},{}",
            record.epoch,
            record.iteration,
            record.gradient_epochs,
            record.seconds,
            record.train_loss,
            optional(record.validation.map(|score| score.loss)),
            optional(record.validation.map(|score| score.value)),
        ));
        if averaged {
            let [loss, value] = [
                record.average.map(|score| score.loss),
                record.average.map(|score| score.value),
            ];
            text.push_str(&format!(",{},{}", optional(loss), optional(value)));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Score;

    fn folder() -> PathBuf {
        let name = format!(
            "secant-export-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        );
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let files = fs::read_dir(folder).unwrap();
        files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let folder = folder();
        let file = folder.join("file");
        write_whole(&file, b"first").unwrap();
        write_whole(&file, b"second").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"second");
        assert_eq!(names(&folder), ["file"], "no temporary file is left");
        // A folder stands where the file should go: the write fails, and leaves nothing behind.
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        let error = write_whole(&file, b"third").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot write {}: ", file.display()))
        );
        assert_eq!(error.exit_code(), 3);
        assert_eq!(names(&folder), ["file"]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_planted_link_is_not_written_through() {
        let folder = folder().join("planted");
        fs::create_dir_all(&folder).unwrap();
        let victim = folder.join("victim");
        fs::write(&victim, b"precious").unwrap();
        for count in 0..200 {
            let name = format!("file.{}-{count}.tmp", std::process::id());
            std::os::unix::fs::symlink(&victim, folder.join(name)).unwrap();
        }
        std::os::unix::fs::symlink(&victim, folder.join("file.tmp")).unwrap();
        write_whole(&folder.join("file"), b"new").unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert_eq!(fs::read(folder.join("file")).unwrap(), b"new");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn metrics_leave_out_what_is_not_there() {
        let record = Record {
            epoch: 1,
            iteration: 3,
            gradient_epochs: 2.5,
            train_seconds: 0.5,
            seconds: 0.75,
            train_loss: 0.1,
            measure: Measure::Accuracy,
            validation: None,
            test: None,
            average: None,
        };
        let score = |measure, value| Score {
            loss: 0.25,
            count: 1,
            measure,
            value,
            r_squared: None,
        };
        let other = Record {
            validation: Some(score(Measure::Accuracy, 0.9)),
            ..record
        };
        assert_eq!(
            metrics_csv(&[record, other]),
            "epoch,iteration,gradient_epochs,seconds,train_loss,validation_loss,validation_accuracy\n\
             1,3,2.5,0.750,0.1,,\n\
             1,3,2.5,0.750,0.1,0.25,0.9\n"
        );
        let averaged = Record {
            average: Some(score(Measure::Accuracy, 0.95)),
            ..record
        };
        let text = metrics_csv(&[record, averaged]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].ends_with("_accuracy,average_validation_loss,average_validation_accuracy")
        );
        assert_eq!(
            lines[1..],
            ["1,3,2.5,0.750,0.1,,,,", "1,3,2.5,0.750,0.1,,,0.25,0.95"]
        );
        let regression = Record {
            measure: Measure::Rmse,
            validation: Some(score(Measure::Rmse, 17.5)),
            ..record
        };
        assert_eq!(
            metrics_csv(&[regression]),
            "epoch,iteration,gradient_epochs,seconds,train_loss,validation_loss,validation_rmse\n\
             1,3,2.5,0.750,0.1,0.25,17.5\n"
        );
    }
}
