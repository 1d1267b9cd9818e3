//! Several optimisers on the same splits, initial weights and order of samples, and what can be
//! said about their difference.
//!
//! Rules, after AlgoPerf (Dahl and others 2023) and DeepOBS (Schneider and others 2019): targets
//! are fixed beforehand; each optimiser gets the same number of tuning settings, scored on
//! validation samples only, on seeds that the comparison does not use; a target that a run does not
//! reach counts as infinitely far; evaluation is off the clock; every gradient is counted; runs are
//! interleaved, so that noise of the machine falls on all.

mod arm;
mod cache;
mod display;
mod figures;
mod folder;
mod lengths;
pub mod plan;
mod pool;
pub mod protocol;
mod runs;
mod schedule;
mod show;
mod table;
mod tune;
mod verdict;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde::Deserialize;

use crate::data::dataset::Dataset;
use crate::error::{EXIT_OK, Error};
use crate::report::{note, print_line, say};
use crate::score::Measure;
use arm::Arm;
use cache::Cache;
use display::ComparisonDisplay;
use folder::{Comparison, Outcome, RESULT, ResultFolder};
use plan::Plan;
use runs::Runner;
use table::Row;

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
    plan.check(dataset)?;
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
    let out = ResultFolder::open(plan)?;
    let about = Comparison::new(plan, dataset);
    out.check(&about, plan.force)?;
    let cache = Cache::new(out.path().join("runs"), plan, dataset)?;
    let samples = Runner::samples(plan, dataset);
    let seeds = &plan.seeds;
    let steps: u64 = arms
        .iter()
        .map(|arm| (tune::runs(plan, arm) + seeds.len() as u64) * Runner::iterations(samples, arm))
        .sum();
    say(plan.json, &plan.describe(dataset));
    let failed = AtomicBool::new(false);
    let display = ComparisonDisplay::new(plan.json, steps);
    let runner = Runner {
        plan,
        dataset,
        cache: &cache,
        signal,
        failed: &failed,
        display: &display,
        constant: Runner::constant(plan, dataset),
    };
    let made = pool::make(&runner, arms, seeds, plan.jobs);
    display.finish();
    let made = made?;
    let stopped = signal.load(Ordering::Relaxed);
    if made.runs.is_empty() || !made.tuned {
        note(
            "secant: interrupted before there was a table to write; files from before are as they \
             were. The same command with the same --out goes on.",
        );
        return Ok(128 + stopped as u8);
    }

    let measure = plan.measure;
    let table = table::table(&made.arms, &made.runs, &plan.targets, measure);
    let lengths = lengths::table(&made.arms, &made.runs, &plan.targets, measure);
    let result = Outcome {
        about: &about,
        complete: made.runs.len() == made.arms.len() * seeds.len(),
        tuning: &made.tunings,
        runs: made.runs.iter().map(|run| &run.record).collect(),
        table: &table,
        lengths: &lengths,
    };
    let text = serde_json::to_string(&result).map_err(|error| Error::Run(error.to_string()))?;
    let markdown = show::markdown(&table, &plan.targets, measure, plan.timing)
        + &lengths::markdown(&lengths, measure)
        + &show::tuning(&made.tunings, measure);
    let figures = figures::all(plan, &made.arms, &made.runs, &made.tunings, &table)
        .map_err(|error| Error::Run(format!("cannot draw the figures: {error}")))?;
    let csv = |written: Result<String, csv::Error>| written.map_err(|e| Error::Run(e.to_string()));
    let mut files = vec![
        (RESULT, text.clone()),
        ("compare.md", markdown.clone()),
        (
            "compare.csv",
            csv(show::csv(&table, &plan.targets, measure, plan.timing))?,
        ),
    ];
    if !made.tunings.is_empty() {
        files.push(("tuning.csv", csv(show::tuning_csv(&made.tunings, measure))?));
    }
    files.extend(figures);
    out.write(&files)?;
    say(plan.json, &format!("\n{}\n", show::terminal(&markdown)));
    if let Some(reference) = reference {
        say(plan.json, &show::against(&table, &reference.table, measure));
    }
    if plan.json {
        print_line(&text)?;
    }
    say(plan.json, &format!("Files: {}", out.path().display()));
    if stopped == 0 {
        return Ok(EXIT_OK);
    }
    note(
        "secant: interrupted; the table holds the runs that were done. The same command with the \
         same --out goes on.",
    );
    Ok(128 + stopped as u8)
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
