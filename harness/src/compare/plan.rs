//! What is compared, and how.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use secant::network::Init;

use super::share::Share;
use crate::batch::Batch;
use crate::data::dataset::Dataset;
use crate::data::split::Split;
use crate::error::Error;
use crate::loss::ClassWeights;
use crate::model::Model;
use crate::score::Measure;

/// Seeds of the tuning runs, far from the comparison's. One run says little: its accuracy scatters
/// by more than a good and a very good setting differ.
pub const TUNING_SEEDS: [u64; 3] = [1_000_003, 1_000_004, 1_000_005];

/// What the seconds of a run are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Timing {
    /// Runs side by side, one thread each; their seconds are those that the processor spent on them
    #[default]
    Cpu,
    /// One run at a time, on all threads; their seconds are the clock's
    Exclusive,
}

impl Timing {
    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Timing::Cpu => "CPU seconds",
            Timing::Exclusive => "seconds",
        }
    }

    /// As a column of a file.
    pub fn key(self) -> &'static str {
        match self {
            Timing::Cpu => "cpu_seconds",
            Timing::Exclusive => "wall_seconds",
        }
    }
}

/// A comparison.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The optimisers as the user wrote them, `NAME[:KEY=VALUE]...`; the first is what the others
    /// are held against.
    pub optimizers: Vec<String>,
    /// One run of each for every seed.
    pub seeds: Vec<u64>,
    /// Whether seeds are added until the differences are known well enough: then `seeds` are the
    /// most that may be.
    pub auto: Option<f64>,
    /// Settings to try for each optimiser and length of run first.
    pub tune: u32,
    /// The network.
    pub model: Model,
    /// How the initial weights are drawn.
    pub init: Init,
    /// Lengths of the runs, in passes over the training samples.
    pub epochs: Vec<f64>,
    /// What runs are judged by.
    pub measure: Measure,
    /// How much the samples of each class count, if not alike.
    pub class_weights: Option<ClassWeights>,
    /// Whether numbers to predict are learned in the data's own units.
    pub raw_targets: bool,
    /// Accuracies, or errors, to reach.
    pub targets: Vec<f64>,
    /// Evaluations in a run.
    pub evaluations: u32,
    /// Share of the training samples set aside for validation.
    pub validation: f64,
    /// Samples a step, for all optimisers.
    pub batch: Option<Batch>,
    /// Whether the test samples are evaluated in the course of a run.
    pub watch_test: bool,
    /// Optimiser, setting and value that a protocol gives; the user's own come after them.
    pub given: &'static [(&'static str, &'static str, &'static str)],
    /// Threads of a run.
    pub threads: NonZeroUsize,
    /// Runs side by side.
    pub jobs: NonZeroUsize,
    /// What the seconds of a run are.
    pub timing: Timing,
    /// An earlier result to hold this one against.
    pub reference: Option<PathBuf>,
    /// File to keep the result in, for later ones to be held against.
    pub save_baseline: Option<PathBuf>,
    /// File for a line of JSON for each start, evaluation and end of a run.
    pub events: Option<PathBuf>,
    /// The command line, which repeats it.
    pub command: Vec<String>,
    /// Which of the runs are made here.
    pub share: Share,
    /// Folder for the result.
    pub out: Option<PathBuf>,
    /// Whether another comparison's result in the folder may be replaced.
    pub force: bool,
    /// Training samples that are used, if not all.
    pub limit: Option<usize>,
    /// Whether standard output is for one JSON object.
    pub json: bool,
}

impl Plan {
    /// Accuracies to reach where none are given. For errors there are none: their size is a matter
    /// of the data.
    pub const TARGETS: [f64; 3] = [0.86, 0.87, 0.88];

    /// The numbers of seeds after which the table is looked at: all of them, or with
    /// [`Plan::auto`] 5, 10, 20 and so on.
    pub fn looks(&self) -> Vec<usize> {
        let all = self.seeds.len();
        let mut looks = vec![all];
        if self.auto.is_some() {
            let doubled = (0..).map(|k| 5usize << k);
            looks = doubled.take_while(|count| *count < all).collect();
            looks.push(all);
        }
        looks
    }

    /// Refuses what cannot be compared.
    ///
    /// # Errors
    /// [`Error::Usage`] says what.
    pub fn check(&self, dataset: &Dataset) -> Result<(), Error> {
        let usage = |text: String| Err(Error::Usage(text));
        if let Some(name) = twice(&self.optimizers) {
            return usage(format!("--optimizers: '{name}' is there twice"));
        }
        if let Some(epochs) = twice(&self.epochs) {
            return usage(format!("--epochs: {epochs} is there twice"));
        }
        if let Some(target) = twice(&self.targets) {
            return usage(format!("--targets: {target} is there twice"));
        }
        if self.tune > 0 && self.validation == 0.0 {
            return usage(
                "--tune needs validation samples, and this protocol has none: settings are never \
                 chosen by test samples"
                    .to_owned(),
            );
        }
        if self.tune > 0
            && let Some(seed) = TUNING_SEEDS.iter().find(|seed| self.seeds.contains(seed))
        {
            return usage(format!(
                "--seed: seed {seed} is one of tuning's own, and the comparison's must be others"
            ));
        }
        let targets = &dataset.train.targets;
        let mut random = secant::Random::new(0, 0);
        let split = Split::stratified(targets, self.validation, &mut random);
        let least = 2 * dataset.names.len().max(1);
        if split.train.len() < least {
            return usage(format!(
                "--validation {}: it leaves {} samples to train on; at least {least} are needed",
                self.validation,
                split.train.len()
            ));
        }
        Ok(())
    }

    /// A line that says what is compared.
    pub fn describe(&self, dataset: &Dataset) -> String {
        let epochs: Vec<String> = self.epochs.iter().map(f64::to_string).collect();
        let tuning = match self.tune {
            0 => String::new(),
            count => format!(", after {count} tuning settings each"),
        };
        let how = match self.timing {
            Timing::Cpu => format!("{} side by side, a thread each", self.jobs),
            Timing::Exclusive => format!("one at a time, {} threads", self.threads),
        };
        format!(
            "{} on {}: {} x {} seeds, {} epochs each{tuning}; {how}",
            self.model.name,
            dataset.name,
            self.optimizers.join(", "),
            self.seeds.len(),
            epochs.join(", "),
        )
    }
}

/// The first item that is there twice.
fn twice<T: PartialEq>(items: &[T]) -> Option<&T> {
    let mut all = items.iter().enumerate();
    all.find(|(i, item)| items[..*i].contains(item))
        .map(|(_, item)| item)
}
