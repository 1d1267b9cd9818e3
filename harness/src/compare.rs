//! `secant compare`: several optimisers on the same splits, initial weights and order of images, and what can be said about
//! their difference.
//!
//! Rules, after AlgoPerf (Dahl and others 2023) and DeepOBS (Schneider and others 2019): targets are fixed beforehand; each
//! optimiser gets the same number of tuning settings, scored on validation images only, on a seed that the comparison does not
//! use; a target that a run does not reach counts as infinitely far; evaluation is off the clock; every gradient is counted;
//! runs are interleaved, so that noise of the machine falls on all.

pub mod args;
mod arm;
mod figures;
mod runs;
mod table;
mod tune;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::ZonedDateTime;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dataset::Dataset;
use crate::error::{EXIT_OK, Error};
use crate::export::write_whole;
use crate::report::{note, say};
use args::CompareArgs;
use arm::Arm;
use runs::{Progress, Run, Runner};
use table::Row;
use tune::Tuning;

/// The folder's result file.
const RESULT: &str = "compare.json";

/// What `compare.json` and `--json` hold.
#[derive(Debug, Serialize)]
struct Result_<'a> {
    model: &'a str,
    epochs: u32,
    seeds: &'a [u64],
    targets: &'a [f64],
    tuning: &'a [Tuning],
    runs: Vec<&'a Value>,
    table: &'a [Row],
}

/// The part of an earlier result that `--reference` reads.
#[derive(Debug, Deserialize)]
struct Reference {
    table: Vec<Row>,
}

/// Runs the comparison. `signal` becomes other than 0 when the user wants to stop.
///
/// # Errors
/// [`Error`] says what is wrong with options, data or files.
pub fn compare(
    args: &CompareArgs,
    dataset: &Dataset,
    signal: &Arc<AtomicUsize>,
) -> Result<u8, Error> {
    let mut arms = args
        .optimizers
        .iter()
        .map(|text| Arm::parse(text, args))
        .collect::<Result<Vec<_>, _>>()
        .map_err(Error::Usage)?;
    let reference = args.reference.as_deref().map(read_reference).transpose()?;
    let folder = match &args.out {
        Some(folder) => folder.clone(),
        None => PathBuf::from("runs").join(format!(
            "{}-compare-{}",
            ZonedDateTime::now().strftime("%Y%m%d-%H%M%S"),
            args.model.file_name()
        )),
    };
    let cache = folder.join("runs");
    fs::create_dir_all(&cache).map_err(|source| Error::Output {
        path: cache.clone(),
        source,
    })?;
    let seeds: Vec<u64> = (args.seed..args.seed + u64::from(args.seeds)).collect();
    let steps = |arm: &Arm| Runner::iterations(args, dataset, arm);
    let tuning_steps: u64 = arms
        .iter()
        .map(|arm| u64::from(args.tune) * steps(arm))
        .sum();
    let final_steps: u64 = arms.iter().map(|arm| seeds.len() as u64 * steps(arm)).sum();
    say(
        args.json,
        &format!(
            "{} on {}: {} x {} seeds, {} epochs each{}",
            args.model.name,
            dataset.name,
            arms.iter()
                .map(|arm| arm.name.as_str())
                .collect::<Vec<_>>()
                .join(", "),
            seeds.len(),
            args.epochs,
            if args.tune > 0 {
                format!(", after {} tuning settings each", args.tune)
            } else {
                String::new()
            }
        ),
    );
    let mut runner = Runner {
        args,
        dataset,
        cache: &cache,
        signal,
        progress: Progress::new(args.json, tuning_steps + final_steps),
    };
    let tuning = tune::tune(args, &mut arms, &mut runner)?;
    let mut runs: Vec<Run> = Vec::new();
    'all: for seed in &seeds {
        for arm in &arms {
            match runner.run(arm, *seed)? {
                Some(run) => runs.push(run),
                None => break 'all,
            }
        }
    }
    runner.progress.finish();
    if runs.is_empty() {
        note("secant: interrupted before the first run was done.");
        return Ok(128 + signal.load(Ordering::Relaxed) as u8);
    }

    let table = table::table(&arms, &runs, &args.targets);
    let result = Result_ {
        model: &args.model.name,
        epochs: args.epochs,
        seeds: &seeds,
        targets: &args.targets,
        tuning: &tuning,
        runs: runs.iter().map(|run| &run.record).collect(),
        table: &table,
    };
    let text = serde_json::to_string(&result).map_err(|error| Error::Run(error.to_string()))?;
    let write = |name: &str, text: &str| write_whole(&folder.join(name), text.as_bytes());
    write(RESULT, &text)?;
    let markdown = table::markdown(&table, &args.targets);
    write("compare.md", &markdown)?;
    write("compare.csv", &table::csv(&table, &args.targets))?;
    for (name, svg) in figures::all(args, &arms, &runs, &tuning)
        .map_err(|error| Error::Run(format!("cannot draw the figures: {error}")))?
    {
        write(name, &svg)?;
    }
    say(args.json, &format!("\n{markdown}"));
    if let Some(reference) = reference {
        say(args.json, &table::against(&table, &reference.table));
    }
    if args.json {
        println!("{text}");
    }
    say(args.json, &format!("Files: {}", folder.display()));
    match signal.load(Ordering::Relaxed) {
        0 => Ok(EXIT_OK),
        signal => {
            note(
                "secant: interrupted; the table holds the runs that were done. The same command with the same --out goes on.",
            );
            Ok(128 + signal as u8)
        }
    }
}

fn read_reference(path: &Path) -> Result<Reference, Error> {
    let text = fs::read_to_string(path)
        .map_err(|error| Error::Usage(format!("--reference {}: {error}", path.display())))?;
    serde_json::from_str(&text).map_err(|error| {
        Error::Usage(format!(
            "--reference {}: not a result of secant compare ({error})",
            path.display()
        ))
    })
}
