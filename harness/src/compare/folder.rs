//! The folder of a comparison: what it is about, and its files.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::ZonedDateTime;
use serde::Serialize;
use serde_json::{Map, Value};

use super::figures::NAMES;
use super::lengths::Length;
use super::plan::{Plan, Timing};
use super::reference::Change;
use super::table::Row;
use super::tune::Tuning;
use crate::batch::Batch;
use crate::config::init_name;
use crate::data::dataset::Dataset;
use crate::error::Error;
use crate::export::write_whole;
use crate::lock::FolderLock;
use crate::loss::{ClassWeights, NamedLoss};
use crate::machine::{self, Machine};
use crate::report::note;
use crate::score::Measure;

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

/// What is compared, and on what: the head of `compare.json`.
#[derive(Debug, Serialize)]
pub struct Comparison<'a> {
    /// The program's version.
    version: &'static str,
    /// SHA-256 of the program.
    build: Option<&'static str>,
    /// The command, as it was given.
    command: Vec<String>,
    /// The machine.
    machine: Machine,
    /// Runs side by side.
    jobs: usize,
    /// Threads of a run.
    threads: usize,
    /// What `train_seconds` are: `cpu`, or `exclusive` for those of the clock.
    timing: Timing,
    dataset: DataRecord<'a>,
    model: &'a str,
    /// The network as layers.
    spec: &'a str,
    loss: NamedLoss,
    convolution: &'static str,
    #[serde(serialize_with = "init_name")]
    init: secant::network::Init,
    class_weights: &'a Option<ClassWeights>,
    raw_targets: bool,
    measure: Measure,
    optimizers: &'a [String],
    /// Settings tried for each in tuning.
    tune: u32,
    epochs: &'a [f64],
    /// The seeds that were run.
    pub seeds: &'a [u64],
    /// `--width`, where seeds were added until the intervals were no wider.
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<f64>,
    targets: &'a [f64],
    /// Evaluations in a run.
    evaluations: u32,
    /// Share of the training samples that validates.
    validation: f64,
    /// `--batch`.
    batch: Option<Batch>,
    /// `--limit`.
    limit: Option<usize>,
    /// How verdicts come about.
    method: &'static str,
}

/// The data.
#[derive(Debug, Serialize)]
struct DataRecord<'a> {
    name: &'a str,
    source: &'a str,
    sha256: &'a str,
    train_and_validation: usize,
    test: usize,
}

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

impl<'a> Comparison<'a> {
    /// The head of a comparison's result.
    pub fn new(plan: &'a Plan, dataset: &'a Dataset) -> Comparison<'a> {
        Comparison {
            version: env!("CARGO_PKG_VERSION"),
            build: machine::build().ok(),
            command: plan.command.clone(),
            machine: Machine::this(),
            jobs: plan.jobs.get(),
            threads: plan.threads.get(),
            timing: plan.timing,
            dataset: DataRecord {
                name: &dataset.name,
                source: &dataset.source,
                sha256: &dataset.digest,
                train_and_validation: dataset.train.len(),
                test: dataset.test.len(),
            },
            model: &plan.model.name,
            spec: &plan.model.spec,
            loss: NamedLoss::from(plan.model.network.loss()),
            convolution: plan.model.network.convolution().name(),
            init: plan.init,
            class_weights: &plan.class_weights,
            raw_targets: plan.raw_targets,
            measure: plan.measure,
            optimizers: &plan.optimizers,
            tune: plan.tune,
            epochs: &plan.epochs,
            seeds: &plan.seeds,
            width: plan.auto,
            targets: &plan.targets,
            evaluations: plan.evaluations,
            validation: plan.validation,
            batch: plan.batch,
            limit: plan.limit,
            method: "paired differences; p the larger of Student's t and Hall's transformed t; \
                     intervals at 95 %, row by row; p corrected by Holm over the rows",
        }
    }
}

/// Keys whose lists may grow in a comparison that goes on.
const GROWING: [&str; 4] = ["optimizers", "epochs", "seeds", "targets"];

/// Keys that must be the same in a comparison that goes on.
const SAME: [&str; 12] = [
    "measure",
    "spec",
    "loss",
    "convolution",
    "init",
    "class_weights",
    "raw_targets",
    "tune",
    "evaluations",
    "validation",
    "batch",
    "limit",
];

/// What of the head of another comparison of the same kind is other than in this one's.
pub fn differences(old: &Map<String, Value>, about: &Comparison<'_>) -> Vec<String> {
    let new = serde_json::to_value(about).unwrap_or_default();
    let keys = SAME
        .iter()
        .filter(|key| **key != "spec" && **key != "measure");
    let differ = keys.filter_map(|key| {
        let old = old.get(*key)?;
        (*old != new[*key]).then(|| format!("{key} {old}, not {}", new[*key]))
    });
    differ.collect()
}

/// What of an earlier comparison's head is not in the new one's: the new one would replace it.
fn lost(old: &Map<String, Value>, new: &Map<String, Value>) -> Option<String> {
    let of = |map: &Map<String, Value>, key: &str| map.get(key).cloned().unwrap_or(Value::Null);
    for key in GROWING {
        let (old, new) = (of(old, key), of(new, key));
        let new = new.as_array().cloned().unwrap_or_default();
        let mut all = old.as_array().into_iter().flatten();
        if let Some(missing) = all.find(|item| !new.contains(item)) {
            return Some(format!("{key} with {missing}"));
        }
    }
    if of(old, "dataset")["sha256"] != of(new, "dataset")["sha256"] {
        return Some("other data".to_owned());
    }
    let mut keys = SAME.iter();
    let changed = keys.find(|key| of(old, key) != of(new, key))?;
    Some(format!("{changed} {}", of(old, changed)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_comparison_goes_on_where_nothing_is_lost() {
        let old = json!({
            "optimizers": ["adam", "lbfgs"], "epochs": [2.0], "seeds": [0, 1], "targets": [0.9],
            "dataset": {"sha256": "a", "source": "here"}, "tune": 0, "validation": 0.1,
            "command": ["secant"],
        });
        let verdict = |key: &str, value: Value| {
            let mut new = old.clone();
            new[key] = value;
            lost(old.as_object().unwrap(), new.as_object().unwrap())
        };
        for (key, value) in [
            ("seeds", json!([0, 1, 2])),
            ("optimizers", json!(["lbfgs", "adam", "sgd"])),
            ("command", json!(["elsewhere"])),
            ("dataset", json!({"sha256": "a", "source": "there"})),
        ] {
            assert_eq!(verdict(key, value), None, "{key}");
        }
        for (key, value, said) in [
            ("seeds", json!([1, 2]), "seeds with 0"),
            ("optimizers", json!(["adam"]), "optimizers with \"lbfgs\""),
            ("tune", json!(3), "tune 0"),
            ("validation", json!(0.2), "validation 0.1"),
            ("dataset", json!({"sha256": "b"}), "other data"),
        ] {
            assert_eq!(verdict(key, value).as_deref(), Some(said));
        }
    }
}
