//! What a person or a script reads: progress, the last table, the JSON object.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use secant::arch::Isa;
use secant::network::Init;
use serde::Serialize;

use crate::batch::Batch;
use crate::config::{RunConfig, init_name};
use crate::data::dataset::Dataset;
use crate::data::split::Split;
use crate::error::Error;
use crate::loss::NamedLoss;
use crate::machine::{self, Machine};
use crate::optimizers::Optimizer;
use crate::score::{Measure, Numbers, Score, number};
use crate::train::average::{Averaged, AveragedRecord};
use crate::train::{Clock, Observer, Outcome, Record, RunStatus, StopReason};

/// Writes a line to standard output, or to standard error if `json` keeps standard output for the
/// JSON object. A reader that went away, as `head` does, is no error: the run's result is its
/// files.
pub fn say(json: bool, line: &str) {
    if !speaks() {
        return;
    }
    let _ = if json {
        writeln!(io::stderr().lock(), "{line}")
    } else {
        writeln!(io::stdout().lock(), "{line}")
    };
}

/// Writes the one JSON object of a command to standard output.
///
/// # Errors
/// [`Error::Stdout`] when it cannot be written; a reader that went away is no error.
pub fn print_json(record: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string(record).map_err(|error| Error::Stdout(error.into()))?;
    print_line(&text)
}

/// Writes the one line that a command owes to standard output.
///
/// # Errors
/// As [`print_json`].
pub fn print_line(line: &str) -> Result<(), Error> {
    if !speaks() {
        return Ok(());
    }
    match writeln!(io::stdout().lock(), "{line}") {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => Err(Error::Stdout(source)),
        _ => Ok(()),
    }
}

/// Writes a line to standard error.
pub fn note(line: &str) {
    if speaks() {
        complain(line);
    }
}

/// The same on every rank: why the program ends.
pub fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Whether another process speaks for this one.
static QUIET: AtomicBool = AtomicBool::new(false);

/// From now on says nothing, if so, but why the program ends: what there is to say, rank 0 says.
pub fn be_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// Whether this process speaks, and shows how far it is.
pub fn speaks() -> bool {
    !QUIET.load(Ordering::Relaxed)
}

/// Shows a run on the terminal, a bar on top of one line an epoch; elsewhere the lines alone.
pub struct Display {
    json: bool,
    bar: Option<ProgressBar>,
    drawn: Instant,
    signal: Arc<AtomicUsize>,
    headed: bool,
}

impl Display {
    /// A display that stops the run when `signal` becomes other than 0.
    pub fn new(json: bool, iterations: u32, signal: Arc<AtomicUsize>) -> Self {
        let bar = (speaks() && io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(
                Some(u64::from(iterations)),
                ProgressDrawTarget::stderr_with_hz(10),
            );
            if let Ok(style) = ProgressStyle::with_template(
                "{msg}  {bar:24.cyan/dim}  {pos}/{len}  {elapsed} gone, {eta} left",
            ) {
                bar.set_style(style.progress_chars("━╸─"));
            }
            bar
        });
        Self {
            json,
            bar,
            drawn: Instant::now(),
            signal,
            headed: false,
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// A line on standard error, with the bar out of its way.
    pub fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| note(line)),
            None => note(line),
        }
    }

    fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(self.json, line)),
            None => say(self.json, line),
        }
    }
}

impl Observer for Display {
    fn iteration(&mut self, status: &RunStatus) -> ControlFlow<()> {
        if let Some(bar) = &self.bar
            && self.drawn.elapsed() > Duration::from_millis(50)
        {
            self.drawn = Instant::now();
            bar.set_position(u64::from(status.iteration));
            bar.set_message(format!("epoch {}  loss {:.4}", status.epoch, status.loss));
        }
        if self.signal.load(Ordering::Relaxed) == 0 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }

    fn record(&mut self, record: &Record) {
        if !self.headed {
            self.headed = true;
            let figure = record.measure.name();
            self.line(&format!(
                "epoch iteration  gradient epochs  seconds  train loss  valid. loss  {figure:>8}"
            ));
        }
        let dash = || "-".to_owned();
        let loss = record
            .validation
            .map_or_else(dash, |score| number(score.loss));
        let figure = |score: Score| record.measure.show(score.value);
        let figure = record.validation.map_or_else(dash, figure);
        let width = record.measure.name().len().max(8);
        self.line(&format!(
            "{:5} {:9}  {:15.2}  {:7.1}  {:>10}  {loss:>11}  {figure:>width$}",
            record.epoch,
            record.iteration,
            record.gradient_epochs,
            record.seconds,
            number(record.train_loss),
        ));
    }
}

/// `1 epoch`, `2 epochs`.
pub fn plural(count: u32, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The table at the end of a run.
pub fn table(config: &RunConfig, outcome: &Outcome) -> String {
    let measure = outcome.test.measure;
    let width = measure.name().len().max(8);
    let fit = |text: &str| match measure {
        Measure::Rmse => format!("  {text:>9}"),
        _ => String::new(),
    };
    let mut text = format!(
        "\n{:<10}  {:>9}  {:>width$}{}  samples\n",
        "",
        "loss",
        measure.name(),
        fit("R squared")
    );
    let parts = [
        ("train", Some(outcome.train)),
        ("validation", outcome.validation),
        ("test", Some(outcome.test)),
    ];
    for (name, score) in parts {
        let Some(score) = score else { continue };
        let r = score
            .r_squared
            .map_or("-".to_owned(), |r| format!("{r:.4}"));
        text.push_str(&format!(
            "{name:<10}  {:>9}  {:>width$}{}  {:>7}\n",
            number(score.loss),
            measure.show(score.value),
            fit(&r),
            score.count
        ));
    }
    text.push_str(&format!(
        "\n{} ({}), {}, seed {}: {}, {}, {:.2} gradient epochs in {:.1} s ({:.1} s of it \
         training); stopped: {}.",
        config.model.name,
        config.model.describe_parameters(),
        config.optimizer.name(),
        config.seed,
        plural(outcome.epochs, "epoch"),
        plural(outcome.iterations, "iteration"),
        outcome.gradient_epochs,
        outcome.seconds,
        outcome.train_seconds,
        outcome.stop.describe(),
    ));
    text
}

/// The choices of a run, as `config.json` holds them.
#[derive(Debug, Serialize)]
pub struct ConfigFile<'a> {
    /// The program's version.
    pub version: &'static str,
    /// The command that began the run, as a shell reads it.
    pub command: String,
    /// The data.
    pub dataset: DatasetRecord<'a>,
    /// What is predicted, where that is not what the files say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predict: Option<String>,
    /// `--limit`.
    pub limit: Option<usize>,
    /// The instruction set.
    pub isa: &'static str,
    /// The rest.
    #[serde(flatten)]
    pub run: &'a RunConfig,
}

/// The data of a run.
#[derive(Debug, Serialize)]
pub struct DatasetRecord<'a> {
    name: &'a str,
    source: &'a str,
    /// Channels, rows and columns of a sample.
    shape: [usize; 3],
    /// 0 where numbers are predicted.
    classes: usize,
    /// By label.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    class_names: &'a [String],
    /// SHA-256 of shape, samples and labels.
    sha256: &'a str,
    train: usize,
    validation: usize,
    test: usize,
}

impl<'a> DatasetRecord<'a> {
    /// The record of a data set that was split so.
    pub fn new(dataset: &'a Dataset, split: &Split) -> Self {
        Self {
            name: &dataset.name,
            source: &dataset.source,
            shape: [
                dataset.shape.channels,
                dataset.shape.rows,
                dataset.shape.columns,
            ],
            classes: dataset.names.len(),
            class_names: &dataset.names,
            sha256: &dataset.digest,
            train: split.train.len(),
            validation: split.validation.len(),
            test: dataset.test.len(),
        }
    }
}

/// A run as one JSON object: what `--json` prints. A number that is not finite is written as
/// `null`.
#[derive(Debug, Serialize)]
pub struct RunRecord<'a> {
    /// The program's version.
    version: &'static str,
    /// SHA-256 of the program.
    build: Option<&'static str>,
    /// The machine.
    machine: Machine,
    /// The data: name, folder, and how many samples train, validate and test.
    dataset: DatasetRecord<'a>,
    /// A preset's name, or the description of the network.
    model: &'a str,
    /// Number of weights and biases.
    parameters: usize,
    /// How the weights were drawn and updated: name, settings, batch, initialisation.
    optimizer: OptimizerRecord<'a>,
    /// What training makes small: `cross-entropy`, `smoothed:S`, `mse`, `huber:DELTA` or `bce`.
    loss: NamedLoss,
    /// Seed of split, initial weights, order of the samples and dropout.
    seed: u64,
    /// Threads that shared a batch.
    threads: usize,
    /// Instruction set of the kernels.
    isa: &'static str,
    /// Whole passes over the training samples.
    epochs: u32,
    /// Steps of the optimiser.
    iterations: u32,
    /// Gradients of single samples over the number of training samples, every one counted, line
    /// searches too.
    gradient_epochs: f64,
    /// Seconds in all: start-up, steps, evaluations.
    seconds: f64,
    /// What `train_seconds` of the history are: `wall`, or `cpu` for those that the processor
    /// spent.
    clock: Clock,
    /// `epochs`, `max_iterations`, `tolerance`, `patience`, `converged`, `line_search_failed`, `interrupted` or
    /// `diverged`.
    stop_reason: StopReason,
    /// Mean loss of training samples with the last weights, without dropout: in the units in
    /// which numbers to predict are standardised.
    train_loss: f64,
    /// Samples that it is the mean of: all that trained, or in a comparison 6,000 of them.
    train_loss_samples: u32,
    /// `validation_accuracy`, the share of the validation samples that came out right with the last
    /// weights (`null` without such samples); `test_loss`, the mean loss of the test samples;
    /// `test_accuracy`. For labels `..._labels_right` stands in place of the accuracies, and for
    /// numbers `..._rmse`, in the data's own units, with `train_r_squared`, `validation_r_squared`
    /// and `test_r_squared`.
    #[serde(flatten)]
    scores: Numbers,
    /// Share of the test samples of each class that came out right, in the order of the classes;
    /// `null` for a class without any. Empty where numbers are predicted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    class_accuracy: Vec<Option<f64>>,
    /// Test samples by class, a row each, and by the class that the network gave them.
    #[serde(skip_serializing_if = "<[Vec<u64>]>::is_empty")]
    confusion: &'a [Vec<u64>],
    /// RMSE of each output on the test samples, where several numbers are predicted; not where
    /// these are the samples.
    #[serde(skip_serializing_if = "<[f64]>::is_empty")]
    test_rmse_of_outputs: &'a [f64],
    /// See [`Outcome::collapse`].
    collapsed: bool,
    /// The epoch that was best on the validation samples, or, without any, in its training loss.
    best_epoch: Option<u32>,
    /// The averaged weights, where the run was to average them: scores under the names above, and
    /// SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    average: Option<AveragedRecord>,
    /// SHA-256 of the weights as little-endian bytes, in the order of the flat slice.
    sha256: Hashes<'a>,
    /// One entry an epoch, and one where a run stopped within an epoch.
    history: &'a [Record],
    /// Every choice that the result depends on, resolved: what `config.json` holds.
    settings: &'a RunConfig,
}

/// How the weights were drawn and updated.
#[derive(Debug, Serialize)]
struct OptimizerRecord<'a> {
    #[serde(flatten)]
    optimizer: &'a Optimizer,
    batch: Batch,
    #[serde(serialize_with = "init_name")]
    init: Init,
    /// Times that the guard of a stochastic optimiser went back to earlier weights.
    rollbacks: u32,
}

#[derive(Debug, Serialize)]
struct Hashes<'a> {
    initial: &'a str,
    r#final: &'a str,
}

impl<'a> RunRecord<'a> {
    /// The record of this run.
    pub fn new(
        config: &'a RunConfig,
        dataset: &'a Dataset,
        split: &Split,
        outcome: &'a Outcome,
    ) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            build: machine::build().ok(),
            machine: Machine::this(),
            dataset: DatasetRecord::new(dataset, split),
            model: &config.model.name,
            parameters: outcome.parameters.len(),
            optimizer: OptimizerRecord {
                optimizer: &config.optimizer,
                batch: config.batch,
                init: config.init,
                rollbacks: outcome.rollbacks,
            },
            loss: NamedLoss::from(config.model.network.loss()),
            seed: config.seed,
            threads: config.threads.get(),
            isa: Isa::current().name(),
            epochs: outcome.epochs,
            iterations: outcome.iterations,
            gradient_epochs: outcome.gradient_epochs,
            seconds: outcome.seconds,
            clock: outcome.clock,
            stop_reason: outcome.stop,
            train_loss: outcome.train.loss,
            train_loss_samples: outcome.train.count,
            scores: scores(outcome),
            class_accuracy: class_accuracy(&outcome.confusion),
            confusion: &outcome.confusion,
            test_rmse_of_outputs: match outcome.test_outputs.as_slice() {
                several @ [_, _, ..] if !dataset.autoencoder => several,
                _ => &[],
            },
            collapsed: outcome.collapsed(),
            best_epoch: outcome.best_weights().map(|(_, epoch)| epoch),
            average: outcome.average.as_ref().map(Averaged::record),
            sha256: Hashes {
                initial: &outcome.initial_sha256,
                r#final: &outcome.final_sha256,
            },
            history: &outcome.history,
            settings: config,
        }
    }
}

/// Of each class, the share of its samples that stand on the diagonal.
fn class_accuracy(confusion: &[Vec<u64>]) -> Vec<Option<f64>> {
    let rows = confusion.iter().enumerate();
    let share = |(class, row): (usize, &Vec<u64>)| {
        let all: u64 = row.iter().sum();
        (all > 0).then(|| row[class] as f64 / all as f64)
    };
    rows.map(share).collect()
}

/// The figures of a run under their names.
fn scores(outcome: &Outcome) -> Numbers {
    let key = outcome.test.measure.key();
    let mut scores = vec![
        (
            format!("validation_{key}"),
            outcome.validation.map(|score| score.value),
        ),
        ("test_loss".to_owned(), Some(outcome.test.loss)),
        (format!("test_{key}"), Some(outcome.test.value)),
    ];
    if outcome.test.measure == Measure::Rmse {
        scores.insert(0, (format!("train_{key}"), Some(outcome.train.value)));
        for (part, score) in [
            ("train", Some(outcome.train)),
            ("validation", outcome.validation),
            ("test", Some(outcome.test)),
        ] {
            let r = score.and_then(|score| score.r_squared);
            scores.push((format!("{part}_r_squared"), r));
        }
    }
    Numbers(scores)
}
