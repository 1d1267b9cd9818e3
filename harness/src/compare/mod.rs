//! Several optimisers on the same splits, initial weights and order of samples, and what can be
//! said about their difference.
//!
//! Rules, after AlgoPerf (Dahl and others 2023) and DeepOBS (Schneider and others 2019): targets
//! are fixed beforehand; each optimiser gets the same number of tuning settings, scored on
//! validation samples only, on seeds that the comparison does not use; a target that a run does not
//! reach counts as infinitely far; evaluation is off the clock; every gradient is counted; runs are
//! interleaved, so that noise of the machine falls on all.

mod arm;
mod figures;
mod lengths;
mod page;
pub mod plan;
pub mod protocol;
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

use crate::data::dataset::Dataset;
use crate::error::{EXIT_OK, Error};
use crate::export::write_whole;
use crate::report::{note, say};
use crate::score::Measure;
use arm::Arm;
use lengths::Length;
use plan::Plan;
use runs::{ComparisonDisplay, Run, Runner};
use table::Row;
use tune::Tuning;

/// The folder's result file.
const RESULT: &str = "compare.json";

/// What `compare.json` and `--json` hold.
#[derive(Debug, Serialize)]
struct Result_<'a> {
    model: &'a str,
    measure: Measure,
    epochs: &'a [f64],
    seeds: &'a [u64],
    targets: &'a [f64],
    tuning: &'a [Tuning],
    runs: Vec<&'a Value>,
    table: &'a [Row],
    lengths: &'a [Length],
}

/// The part of an earlier result that `--reference` reads.
#[derive(Debug, Deserialize)]
struct Reference {
    #[serde(default)]
    measure: Measure,
    table: Vec<Row>,
}

/// Runs the comparison. `signal` becomes other than 0 when the user wants to stop.
///
/// # Errors
/// [`Error`] says what is wrong with options, data or files.
pub fn compare(plan: &Plan, dataset: &Dataset, signal: &Arc<AtomicUsize>) -> Result<u8, Error> {
    let mut arms = Vec::new();
    for epochs in &plan.epochs {
        for text in &plan.optimizers {
            arms.push(Arm::parse(text, *epochs, plan).map_err(Error::Usage)?);
        }
    }
    if plan.tune > 0 && plan.validation == 0.0 {
        return Err(Error::Usage(
            "--tune needs validation samples, and this protocol has none: settings are never chosen \
             by test samples"
                .to_owned(),
        ));
    }
    let reference = plan.reference.as_deref().map(read_reference).transpose()?;
    if let (Some(path), Some(reference)) = (&plan.reference, &reference)
        && reference.measure != plan.measure
    {
        return Err(Error::Usage(format!(
            "--reference {}: it is judged by {}, this comparison by {}",
            path.display(),
            reference.measure.name(),
            plan.measure.name()
        )));
    }
    let folder = match &plan.out {
        Some(folder) => folder.clone(),
        None => PathBuf::from("runs").join(format!(
            "{}-compare-{}",
            ZonedDateTime::now().strftime("%Y%m%d-%H%M%S"),
            plan.model.file_name()
        )),
    };
    let cache = folder.join("runs");
    fs::create_dir_all(&cache).map_err(|source| Error::Output {
        path: cache.clone(),
        source,
    })?;
    let seeds = &plan.seeds;
    let steps = |arm: &Arm| Runner::iterations(plan, dataset, arm);
    let tuning_steps: u64 = arms
        .iter()
        .map(|arm| tune::runs(plan, arm) * steps(arm))
        .sum();
    let final_steps: u64 = arms.iter().map(|arm| seeds.len() as u64 * steps(arm)).sum();
    say(
        plan.json,
        &format!(
            "{} on {}: {} x {} seeds, {} epochs each{}",
            plan.model.name,
            dataset.name,
            plan.optimizers.join(", "),
            seeds.len(),
            plan.epochs
                .iter()
                .map(f64::to_string)
                .collect::<Vec<_>>()
                .join(", "),
            if plan.tune > 0 {
                format!(", after {} tuning settings each", plan.tune)
            } else {
                String::new()
            }
        ),
    );
    let mut runner = Runner {
        plan,
        dataset,
        cache: &cache,
        signal,
        display: ComparisonDisplay::new(plan.json, tuning_steps + final_steps),
    };
    let tuning = tune::tune(plan, &mut arms, &mut runner)?;
    let mut runs: Vec<Run> = Vec::new();
    'all: for seed in seeds {
        for (a, arm) in arms.iter().enumerate() {
            match runner.run(a, arm, *seed)? {
                Some(run) => runs.push(run),
                None => break 'all,
            }
        }
    }
    runner.display.finish();
    if runs.is_empty() {
        note("secant: interrupted before the first run was done.");
        return Ok(128 + signal.load(Ordering::Relaxed) as u8);
    }

    let measure = plan.measure;
    let table = table::table(&arms, &runs, &plan.targets, measure);
    let lengths = lengths::table(&arms, &runs, &plan.targets, measure);
    let result = Result_ {
        model: &plan.model.name,
        measure,
        epochs: &plan.epochs,
        seeds,
        targets: &plan.targets,
        tuning: &tuning,
        runs: runs.iter().map(|run| &run.record).collect(),
        table: &table,
        lengths: &lengths,
    };
    let text = serde_json::to_string(&result).map_err(|error| Error::Run(error.to_string()))?;
    let write = |name: &str, text: &str| write_whole(&folder.join(name), text.as_bytes());
    write(RESULT, &text)?;
    let markdown =
        table::markdown(&table, &plan.targets, measure) + &lengths::markdown(&lengths, measure);
    write("compare.md", &markdown)?;
    write("compare.csv", &table::csv(&table, &plan.targets))?;
    let figures = figures::all(plan, &dataset.name, &arms, &runs, &tuning);
    figures::write(&folder, &figures)?;
    let page = page::page(&page::Content {
        plan,
        dataset,
        arms: &arms,
        runs: &runs,
        tuning: &tuning,
        rows: &table,
        lengths: &lengths,
        charts: &figures,
    });
    write(page::FILE, &page.html()?)?;
    say(plan.json, &format!("\n{markdown}"));
    if let Some(reference) = reference {
        say(
            plan.json,
            &table::against(&table, &reference.table, measure),
        );
    }
    if plan.json {
        println!("{text}");
    }
    say(plan.json, &format!("Files: {}", folder.display()));
    match signal.load(Ordering::Relaxed) {
        0 => Ok(EXIT_OK),
        signal => {
            note(
                "secant: interrupted; the table holds the runs that were done. The same command \
                 with the same --out goes on.",
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
