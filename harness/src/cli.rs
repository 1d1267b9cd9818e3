//! The program: from the command line to the exit status.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clap::Parser;
use secant::arch::Isa;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::args::{Cli, Command, TrainArgs};
use crate::bench;
use crate::compare::{self, args::CompareArgs};
use crate::dataset::{self, Dataset, Location, STANDARD_FOLDERS};
use crate::error::{EXIT_OK, EXIT_RUN, Error};
use crate::export::{self, RunFolder};
use crate::plot;
use crate::report::{self, ConfigFile, DatasetRecord, Display, RunRecord, note, say};
use crate::size;
use crate::train::{StopReason, Trainer};

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    let done = match &cli.command {
        Command::Train(args) => choose_isa().and_then(|()| train(args)),
        Command::Compare(args) => choose_isa().and_then(|()| compare(args)),
        Command::Bench(args) => choose_isa().and_then(|()| bench::main(args)),
        Command::Size(args) => size::run(args, &mut std::io::stdout().lock()).map(|()| EXIT_OK),
    };
    ExitCode::from(done.unwrap_or_else(|error| {
        note(&format!("secant: {error}"));
        error.exit_code()
    }))
}

/// Obeys `SECANT_ISA`.
///
/// # Errors
/// [`Error::Usage`] when it names no instruction set, or one that the machine has not.
pub fn choose_isa() -> Result<(), Error> {
    let Some(value) = std::env::var_os("SECANT_ISA").filter(|value| !value.is_empty()) else {
        return Ok(());
    };
    let names = || Isa::ALL.map(|isa| isa.name()).join(", ");
    let isa = value.to_str().and_then(Isa::from_name).ok_or_else(|| {
        Error::Usage(format!(
            "SECANT_ISA: expected one of {}, found '{}'",
            names(),
            value.display()
        ))
    })?;
    Isa::force(isa).map_err(|error| Error::Usage(format!("SECANT_ISA: {error}")))
}

/// Number of the signal that asked the program to stop, or 0. A second signal ends the program at once.
fn watch_signals() -> Result<Arc<AtomicUsize>, Error> {
    let received = Arc::new(AtomicUsize::new(0));
    let armed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal arms what the second one sets off.
        flag::register_conditional_shutdown(signal, 128 + signal, armed.clone())
            .and_then(|_| flag::register(signal, armed.clone()))
            .and_then(|_| flag::register_usize(signal, received.clone(), signal as usize))
            .map_err(|error| Error::Run(format!("cannot watch for Ctrl-C: {error}")))?;
    }
    Ok(received)
}

fn open_dataset(data: Option<&Path>, limit: Option<usize>) -> Result<Dataset, Error> {
    let folders = STANDARD_FOLDERS.map(Path::new);
    let location = dataset::locate(data, std::env::var_os("SECANT_DATA"), &folders);
    if location == (Location::Synthetic { fallback: true }) {
        note(&format!(
            "Fashion-MNIST was not found in {}: training on the built-in synthetic set.\n\
             Run data/fetch.sh to get the real images, or say --data DIR where they are.",
            STANDARD_FOLDERS.join(" or ")
        ));
    }
    Ok(dataset::load(&location, limit)?)
}

fn compare(args: &CompareArgs) -> Result<u8, Error> {
    let dataset = open_dataset(args.data.as_deref(), args.limit.map(usize::from))?;
    compare::compare(args, &dataset, &watch_signals()?)
}

fn train(args: &TrainArgs) -> Result<u8, Error> {
    let started = Instant::now();
    let config = args.resolve()?;
    let mut dataset = open_dataset(args.data.as_deref(), args.limit.map(usize::from))?;
    if let Some(start) = &config.start {
        // The weights know no other.
        dataset.normalisation = start.normalisation;
    }
    let mut memory = Trainer::memory(&config);
    let mut trainer = Trainer::new(&config, &dataset, &mut memory)
        .map_err(|error| Error::Usage(error.to_string()))?
        .since(started);
    let split = trainer.split().clone();
    let folder = RunFolder::create(args.out.as_deref(), args.force, &config)?;
    let limit = args.limit.map(usize::from);
    folder.write_json(
        export::CONFIG,
        &ConfigFile {
            version: env!("CARGO_PKG_VERSION"),
            dataset: DatasetRecord::new(&dataset, &split),
            limit,
            isa: Isa::current().name(),
            run: &config,
        },
    )?;

    say(
        args.json,
        &format!(
            "{}: {} training, {} validation and {} test images from {}",
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
            "{} ({}) with {}, {}, {}\n",
            config.model.name,
            config.model.describe_parameters(),
            config.optimizer.name(),
            report::plural(config.threads.get() as u32, "thread"),
            Isa::current().name()
        ),
    );
    let signal = watch_signals()?;
    let mut display = Display::new(args.json, trainer.planned_iterations(), signal.clone());
    trainer
        .run(&mut display)
        .map_err(|error| Error::Run(error.to_string()))?;
    display.finish();
    let outcome = trainer.finish();

    // The weights first: they matter most where space runs out. What cannot be written does not keep the result from
    // being shown.
    let model = if outcome.diverged() {
        Ok(())
    } else {
        folder.write_model(&args.model, dataset.normalisation, &outcome.parameters)
    };
    let metrics = folder.write_text(export::METRICS, &export::metrics_csv(&outcome.history));
    let title = format!(
        "{}, {}, seed {}, {}",
        config.model.name,
        config.optimizer.name(),
        config.seed,
        dataset.name
    );
    let curves = plot::curves(&title, &outcome.history)
        .map_err(|error| Error::Run(format!("cannot draw the curves: {error}")))
        .and_then(|curves| folder.write_text(export::CURVES, &curves));

    if args.json {
        let record = RunRecord::new(&config, &dataset, &split, &outcome);
        report::print_json(&record)?;
    } else if !outcome.diverged() {
        say(false, &report::table(&config, &outcome, &split));
    }
    model.and(metrics).and(curves)?;
    say(
        args.json,
        &format!("The run's files are in {}.", folder.path().display()),
    );

    if outcome.diverged() {
        note(&format!(
            "secant: the run diverged in iteration {}: loss or weights are not finite; no model was saved. A smaller \
             --learning-rate helps most often.",
            outcome.iterations
        ));
        return Ok(EXIT_RUN);
    }
    if outcome.stop == StopReason::Interrupted {
        note("secant: interrupted; what was done until then is saved.");
        return Ok(128 + signal.load(Ordering::Relaxed) as u8);
    }
    if outcome.collapsed() {
        note(
            "secant: the run counts as collapsed: its validation accuracy ended under 50 %, or more than 10 points under its \
             own best.",
        );
    }
    Ok(EXIT_OK)
}
