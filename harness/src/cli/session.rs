//! A run from its options to its files: begun or resumed, watched, and written down.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use secant::Affine;
use secant::arch::Isa;

use super::environment::{open_dataset, tell, watch_signals};
use super::options;
use super::train::{Keep, TrainArgs};
use crate::checkpoints::{self, Checkpoints};
use crate::config::RunConfig;
use crate::data::dataset::Dataset;
use crate::error::{EXIT_OK, EXIT_RUN, Error};
use crate::export::{self, AVERAGE, BEST, CHECKPOINT, MODEL, PREVIOUS, RunFolder};
use crate::machine;
use crate::memory;
use crate::plot;
use crate::ranks::Ranks;
use crate::report::{self, ConfigFile, DatasetRecord, Display, RunRecord, note, print_line, say};
use crate::score::{self, Score};
use crate::shell;
use crate::train::checkpoint::Checkpoint;
use crate::train::{Observer, Outcome, Record, RunStatus, StopReason, Trainer};

/// What has become of a run.
pub struct Done {
    /// The exit status.
    pub status: u8,
    /// SHA-256 of its data.
    pub data: String,
    /// How it went; `None` where the run to resume had ended.
    pub outcome: Option<Outcome>,
}

/// Trains, and writes down how it went. All `ranks` train; rank 0 alone has files.
///
/// # Errors
/// [`Error`] when options, data or files are wrong.
pub fn train(args: &TrainArgs, ranks: &Ranks) -> Result<Done, Error> {
    args.memory.into_iter().for_each(memory::set_limit);
    let started = Instant::now();
    let first = ranks.is_first();
    let resumed = args.resume.as_deref().filter(|_| first);
    let resumed = ranks.agree(resumed.map(RunFolder::resume).transpose())?;
    let ended = resumed.as_ref().map(RunFolder::path);
    let ended = ended.filter(|folder| !checkpoints::any(folder));
    if ranks.first(ended.is_some()) {
        ended.map_or(Ok(()), |folder| has_ended(folder, args.json))?;
        return Ok(Done::nothing(EXIT_OK));
    }
    let (config, dataset) = ranks.agree(prepare(args))?;
    let start = config.start.as_ref().map_or("", |start| &start.sha256);
    ranks.same(&[
        ("builds of secant", machine::build().unwrap_or_default()),
        ("data (SHA-256)", &dataset.digest),
        ("weights to start from", start),
    ])?;
    let mut memory = Trainer::memory(&config);
    let trainer = Trainer::new(&config, &dataset, &mut memory);
    let trainer = ranks.agree(trainer.map_err(|error| Error::Usage(error.to_string())))?;
    let mut trainer = trainer.since(started).on(ranks);
    // Before there are files: from here on a signal ends the run in order.
    let signal = ranks.signal(ranks.agree(watch_signals())?);
    let resuming = args.resume.is_some();
    let folder = match first {
        true => open_folder(args, resumed, &mut trainer, (&config, &dataset)).map(Some),
        false => Ok(None),
    };
    let folder = ranks.agree(folder)?;
    if resuming && ranks.count() > 1 {
        // The files may be where rank 0 alone can read them.
        let state = trainer.checkpoint().filter(|_| first);
        let state = ranks.first(state.map(|state| state.encode("")));
        let state = Checkpoint::decode(&state.unwrap_or_default());
        let restored = match first {
            true => Ok(()),
            false => state.and_then(|(_, state)| trainer.restore(state)),
        };
        ranks.agree(restored.map_err(|why| Error::Run(format!("the checkpoint {why}"))))?;
    }
    let Some(folder) = folder else {
        let run = trainer.run(&mut Follower(signal));
        run.map_err(|error| Error::Run(error.to_string()))?;
        trainer.finish();
        return Ok(Done::nothing(EXIT_OK));
    };
    let split = trainer.split().clone();
    introduce(args, &config, &dataset, &trainer, ranks);
    let every = args.checkpoint_every.unwrap_or_default();
    let files = Checkpoints::new(&folder, every)?;
    let display = Display::new(args.json, trainer.planned_iterations(), signal.clone());
    let mut keeper = Keeper {
        display,
        files,
        failed: None,
    };
    trainer
        .run(&mut keeper)
        .map_err(|error| Error::Run(error.to_string()))?;
    keeper.display.finish();
    let saved = keeper.failed.take().map_or(Ok(()), Err);
    let resumable = trainer.checkpoint().is_some();
    let outcome = trainer.finish();

    let (model, kept) = keep(args.keep, &folder, &config, &dataset, &outcome);
    let metrics = folder.write_text(export::METRICS, &export::metrics_csv(&outcome.history));
    let title = format!(
        "{}, {}, seed {}, {}",
        config.model.name,
        config.optimizer.name(),
        config.seed,
        dataset.name
    );
    let curves = plot::curves(&title, &outcome.history);
    let curves = folder.write_text(export::CURVES, &curves);
    let record = RunRecord::new(&config, &dataset, &split, &outcome);
    let result = folder.write_json(export::RESULT, &record);
    if args.json {
        report::print_json(&record)?;
    } else if !outcome.diverged() {
        say(false, &report::table(&config, &outcome));
        if let Some(line) = best_epoch(args.keep, &outcome) {
            say(false, &line);
        }
        if let Some(line) = averaged(&outcome) {
            say(false, &line);
        }
    }
    model.and(metrics).and(curves).and(result)?;
    if outcome.stop == StopReason::Interrupted {
        saved?;
    } else {
        // All that they hold is in the other files now.
        folder.remove(CHECKPOINT)?;
        folder.remove(PREVIOUS)?;
    }
    let path = folder.path().display();
    say(args.json, &format!("The run's files are in {path}."));

    let done = |status, outcome| {
        Ok(Done {
            status,
            data: dataset.digest.clone(),
            outcome: Some(outcome),
        })
    };
    if outcome.diverged() {
        note(&format!(
            "secant: the run diverged in iteration {}: loss or weights are not finite; {kept}. \
             A smaller --learning-rate helps most often.",
            outcome.iterations
        ));
        return done(EXIT_RUN, outcome);
    }
    if outcome.stop == StopReason::Interrupted {
        let how = match resumable {
            true => format!("secant train --resume {path} goes on"),
            false => "its optimiser cannot be resumed".to_owned(),
        };
        note(&format!(
            "secant: interrupted; what was done until then is saved. {how}."
        ));
        let status = 128 + signal.load(Ordering::Relaxed) as u8;
        return done(status, outcome);
    }
    if let Some(why) = outcome.collapse() {
        let kept = outcome.weights().and_then(|(_, epoch)| epoch);
        let kept = kept.map(|_| format!(" The file {}.", kept_of(&outcome)));
        note(&format!(
            "secant: the run counts as collapsed: {why}.{}",
            kept.unwrap_or_default()
        ));
    }
    done(EXIT_OK, outcome)
}

impl Done {
    /// A command that has nothing to tell.
    fn nothing(status: u8) -> Done {
        Done {
            status,
            data: String::new(),
            outcome: None,
        }
    }
}

/// The run and its data.
fn prepare(args: &TrainArgs) -> Result<(RunConfig, Dataset), Error> {
    let limit = args.limit.map(usize::from);
    let dataset = open_dataset(args.data.as_deref(), limit, &args.targets.predict())?;
    let config = args.resolve(dataset.task())?;
    let trained = config.start.as_ref().map(|s| s.target_scalings.as_slice());
    let loss = config.model.network.loss();
    let mut dataset = args.targets.prepare(dataset, loss, trained)?;
    tell(&dataset);
    if let Some(line) = &config.model.note {
        note(line);
    }
    if let Some(start) = &config.start {
        // The weights know no other.
        dataset.scalings.clone_from(&start.scalings);
    }
    let needed = config.memory().saturating_add(config.checkpoint_memory());
    memory::check(needed, "the run").map_err(Error::Usage)?;
    Ok((config, dataset))
}

/// The folder of the run: that of the run that is resumed, which `trainer` then goes on from, or a
/// new one, with the choices and the first checkpoint.
fn open_folder(
    args: &TrainArgs,
    resumed: Option<RunFolder>,
    trainer: &mut Trainer<'_>,
    (config, dataset): (&RunConfig, &Dataset),
) -> Result<RunFolder, Error> {
    if let Some(folder) = resumed {
        let passed_over = checkpoints::restore(folder.path(), trainer)?;
        for line in &passed_over {
            note(&format!("secant: {line}; the checkpoint before it is used"));
        }
        return Ok(folder);
    }
    let folder = RunFolder::create(args.out.as_deref(), args.force, config)?;
    folder.write_json(
        export::CONFIG,
        &ConfigFile {
            version: env!("CARGO_PKG_VERSION"),
            command: shell::line(shell::words()),
            dataset: DatasetRecord::new(dataset, trainer.split()),
            predict: args.targets.predict.as_ref().map(ToString::to_string),
            limit: args.limit.map(usize::from),
            isa: Isa::current().name(),
            run: config,
        },
    )?;
    folder.write_text(export::OPTIONS, &options::text(args, config, dataset))?;
    let every = args.checkpoint_every.unwrap_or_default();
    if every != checkpoints::Every::Never {
        Checkpoints::new(&folder, every)?.write(trainer)?;
    }
    Ok(folder)
}

/// Says that the run to resume has ended; with `--json` its record.
fn has_ended(folder: &Path, json: bool) -> Result<(), Error> {
    let text = std::fs::read_to_string(folder.join(export::RESULT));
    let record = text
        .ok()
        .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
    let Some(record) = record else {
        return Err(Error::Usage(format!(
            "--resume {}: the run left no checkpoint to go on from: begin it anew, with --config \
             {}/{}",
            folder.display(),
            folder.display(),
            export::OPTIONS
        )));
    };
    let reason = record["stop_reason"].as_str().unwrap_or("unknown");
    let line = format!(
        "The run in {} has ended ({}, stop reason: {reason}); there is nothing to resume.",
        folder.display(),
        report::plural(record["epochs"].as_u64().unwrap_or(0) as u32, "epoch"),
    );
    say(json, &line);
    match json {
        true => print_line(&record.to_string()),
        false => Ok(()),
    }
}

/// What is about to happen.
fn introduce(
    args: &TrainArgs,
    config: &RunConfig,
    dataset: &Dataset,
    trainer: &Trainer<'_>,
    ranks: &Ranks,
) {
    let split = trainer.split();
    say(
        args.json,
        &format!(
            "{}: {} training, {} validation and {} test samples from {}",
            dataset.name,
            split.train.len(),
            split.validation.len(),
            dataset.test.len(),
            dataset.source
        ),
    );
    say(
        args.json,
        &format!(
            "{} ({}) with {}, {}{}, {}\n",
            config.model.name,
            config.model.describe_parameters(),
            config.optimizer.name(),
            match ranks.count() {
                1 => String::new(),
                count => format!("{count} ranks with "),
            },
            report::plural(config.threads.get() as u32, "thread"),
            Isa::current().name()
        ),
    );
    if args.resume.is_some() {
        say(
            args.json,
            &format!(
                "Resumed after iteration {} of {}, in epoch {}.",
                trainer.iterations(),
                trainer.planned_iterations(),
                trainer.epochs() + 1
            ),
        );
    }
}

/// Writes the weights that are to be kept: they matter most where space runs out. What cannot be
/// written does not keep the result from being shown. In words, what was kept.
fn keep(
    keep: Keep,
    folder: &RunFolder,
    config: &RunConfig,
    dataset: &Dataset,
    outcome: &Outcome,
) -> (Result<(), Error>, String) {
    let scalings: (&[Affine], &[Affine]) = (&dataset.scalings, &dataset.target_scalings);
    let write = |name: &str, weights: Option<&[f32]>| match weights {
        Some(weights) => folder.write_model(name, &config.model, scalings, weights),
        // Those of an interruption before.
        None => folder.remove(name),
    };
    let last = outcome.weights().map(|(weights, _)| weights);
    let best = outcome.best_weights().map(|(weights, _)| weights);
    let last = last.filter(|_| keep != Keep::Best);
    let best = best.filter(|_| keep != Keep::Last);
    let average = outcome.average.as_ref().map(|a| a.parameters.as_slice());
    let written = write(MODEL, last)
        .and(write(BEST, best))
        .and(write(AVERAGE, average))
        .and(match last.or(best) {
            Some(weights) => folder.write_weights(weights),
            None => folder.remove(export::WEIGHTS),
        });
    let kept = match last.or(best) {
        Some(_) => kept_of(outcome),
        None => "no model was saved".to_owned(),
    };
    (written, kept)
}

/// What stands in the weights of a run that went wrong.
fn kept_of(outcome: &Outcome) -> String {
    match outcome.weights() {
        Some((_, Some(epoch))) => format!(
            "model.safetensors has the weights after epoch {epoch}, the best that there were"
        ),
        _ => "no model was saved".to_owned(),
    }
}

/// Which epoch was the best, where that is not the last.
fn best_epoch(keep: Keep, outcome: &Outcome) -> Option<String> {
    let best = outcome.best.as_ref()?;
    let of = |epoch| {
        let mut lines = outcome.history.iter();
        lines.find(|record| record.epoch == epoch)?.validation
    };
    let (value, end) = (of(best.epoch)?, outcome.validation?);
    let (show, name) = (|score: f64| end.measure.show(score), end.measure.name());
    let kept = match keep {
        Keep::Last => "--keep best would have kept its weights",
        _ => "best.safetensors has its weights",
    };
    Some(format!(
        "Epoch {} was the best on the validation samples ({name} {}, at the end {}): {kept}.",
        best.epoch,
        show(value.value),
        show(end.value)
    ))
}

/// Watches the run on the ranks that show and keep nothing.
struct Follower(Arc<AtomicUsize>);

impl Observer for Follower {
    fn iteration(&mut self, _: &RunStatus) -> ControlFlow<()> {
        match self.0.load(Ordering::Relaxed) {
            0 => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }

    fn record(&mut self, _: &Record) {}
}

/// How good the averaged weights are.
fn averaged(outcome: &Outcome) -> Option<String> {
    let average = outcome.average.as_ref()?;
    let show = |score: Score| {
        let name = score.measure.name();
        format!(
            "loss {}, {name} {}",
            score::number(score.loss),
            score.measure.show(score.value)
        )
    };
    let validation = average
        .validation
        .map(|score| format!("validation {}; ", show(score)));
    Some(format!(
        "Averaged weights, in {AVERAGE}:\n  {}test {}",
        validation.unwrap_or_default(),
        show(average.test)
    ))
}

/// Shows the run, and keeps it.
struct Keeper<'f> {
    display: Display,
    files: Checkpoints<'f>,
    /// Why the last checkpoint could not be written.
    failed: Option<Error>,
}

impl Observer for Keeper<'_> {
    fn iteration(&mut self, status: &RunStatus) -> ControlFlow<()> {
        self.display.iteration(status)
    }

    fn between(&mut self, run: &Trainer<'_>, stopping: bool) {
        if !stopping && !self.files.due(run) {
            return;
        }
        let failed = self.files.write(run).err();
        if let (Some(error), None) = (&failed, &self.failed) {
            self.display.note(&format!(
                "secant: {error}; the run goes on, with its checkpoint from before"
            ));
        }
        self.failed = failed;
    }

    fn record(&mut self, record: &Record) {
        self.display.record(record);
    }
}
