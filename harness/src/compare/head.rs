//! What is compared, and on what; and whether another comparison is of the same.

use serde::Serialize;
use serde_json::{Map, Value};

use super::plan::{Plan, Timing};
use crate::batch::Batch;
use crate::config::init_name;
use crate::data::dataset::Dataset;
use crate::loss::{ClassWeights, NamedLoss};
use crate::machine::{self, Machine};
use crate::score::Measure;

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
pub fn lost(old: &Map<String, Value>, new: &Map<String, Value>) -> Option<String> {
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
