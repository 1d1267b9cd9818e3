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
mod events;
mod figures;
pub mod folder;
mod head;
mod lengths;
mod median;
mod others;
pub(crate) mod page;
pub mod plan;
mod pool;
mod profile;
pub mod protocol;
pub mod reference;
mod runs;
mod schedule;
pub mod shards;
pub mod share;
mod show;
pub mod suite;
mod table;
mod tune;
mod verdict;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::data::dataset::Dataset;
use crate::error::{EXIT_OK, Error};
use crate::machine::{self, Machine};
use crate::ranks::Ranks;
use crate::report::{note, say};
use arm::Arm;
use cache::Cache;
use display::ComparisonDisplay;
use events::Events;
use folder::{Outcome, RESULT, ResultFolder};
use head::Comparison;
use plan::Plan;
use pool::Made;
use reference::Reference;
use runs::Runner;
use share::Share;

/// What came of a comparison.
#[derive(Debug)]
pub struct Compared {
    /// The exit code.
    pub status: u8,
    /// `compare.json`; none where there was nothing to write.
    pub json: Option<String>,
}

/// Runs the comparison, on all `ranks`; the first has the files, and the outcome. `signal` becomes
/// other than 0 when the user wants to stop.
///
/// # Errors
/// [`Error`] says what is wrong with options, data or files.
pub fn compare(
    plan: &Plan,
    dataset: &Dataset,
    signal: &Arc<AtomicUsize>,
    ranks: &Ranks,
) -> Result<Compared, Error> {
    let arms = ranks.agree(arms(plan, dataset))?;
    ranks.same(&[
        ("builds of secant", machine::build().unwrap_or_default()),
        ("data (SHA-256)", &dataset.digest),
    ])?;
    let mut machines = ranks.all(Machine::this().cpu);
    machines.sort();
    machines.dedup();
    if machines.len() > 1 {
        note(&format!(
            "secant: the ranks are on {} kinds of machine: the seconds in the result are not \
             comparable",
            machines.len()
        ));
    }
    if !ranks.is_first() {
        return others::follow(plan, dataset, &arms, signal, ranks);
    }
    let compared = lead(plan, dataset, arms, (signal, ranks));
    let well = |compared: &Compared| compared.status == EXIT_OK && compared.json.is_some();
    others::dismiss(ranks, compared.as_ref().is_ok_and(well));
    compared
}

/// What is compared.
fn arms(plan: &Plan, dataset: &Dataset) -> Result<Vec<Arm>, Error> {
    let mut arms = Vec::new();
    for epochs in &plan.epochs {
        for text in &plan.optimizers {
            arms.push(Arm::parse(text, *epochs, plan).map_err(Error::Usage)?);
        }
    }
    plan.check(dataset)?;
    Ok(arms)
}

/// Runs the comparison, and writes down what came out.
fn lead(
    plan: &Plan,
    dataset: &Dataset,
    arms: Vec<Arm>,
    (signal, ranks): (&AtomicUsize, &Ranks),
) -> Result<Compared, Error> {
    let about = (plan.measure, &*plan.model.spec, &*dataset.digest);
    let reference = plan.reference.as_deref();
    let reference = reference
        .map(|path| Reference::read(path, about))
        .transpose()?;
    let name = format!("compare-{}", plan.model.file_name());
    let folder = plan.out.as_deref().map(|out| plan.share.folder(out));
    let out = ResultFolder::open(folder.as_deref(), &name)?;
    let mut about = Comparison::new(plan, dataset);
    if let Some(reference) = &reference {
        reference.note_differences(&about);
    }
    out.check(&about, plan.force)?;
    let mut cache = Cache::new(out.path().join(share::RUNS), plan, dataset)?;
    if let (Some(folder), true) = (&plan.out, plan.share != Share::All) {
        let copies = matches!(plan.share, Share::Merged(_));
        cache.read_too(&plan.share.others(folder), copies);
    } else if ranks.count() > 1 {
        // What another number of ranks has finished counts, too.
        cache.read_too(&[], false);
    }
    if let Share::Shard(_) = plan.share {
        shards::write_head(out.path(), &about)?;
    }
    say(plan.json, &show::wrapped(&plan.describe(dataset)));
    let events = Events::create(plan.events.as_deref())?;
    let looks = plan.looks();
    let mut look = 0;
    let (made, table) = loop {
        let seeds = &plan.seeds[..looks[look]];
        about.seeds = seeds;
        let made = make(
            plan,
            dataset,
            (&arms, seeds),
            (&cache, &events),
            (signal, ranks),
        )?;
        let judged = (plan.measure, looks.len());
        let table = table::table(&made.arms, &made.runs, &plan.targets, judged);
        look += 1;
        let stopped = signal.load(Ordering::Relaxed) != 0;
        if stopped
            || look == looks.len()
            || plan.auto.is_none_or(|width| table::narrow(&table, width))
        {
            break (made, table);
        }
    };
    let stopped = signal.load(Ordering::Relaxed);
    match &plan.share {
        Share::All => {}
        Share::Shard(shard) => {
            let folder = plan.out.as_deref().unwrap_or(out.path());
            say(false, &shards::summary(*shard, &made, folder));
            let status = if stopped == 0 {
                EXIT_OK
            } else {
                128 + stopped as u8
            };
            return Ok(Compared { status, json: None });
        }
        Share::Merged(_) if made.missing.is_empty() => {}
        Share::Merged(_) => return Err(Error::Run(shards::missing(&made))),
    }
    if made.runs.is_empty() || !made.tuned {
        note(
            "secant: interrupted before there was a table to write; files from before are as they \
             were. The same command with the same --out goes on.",
        );
        return Ok(Compared {
            status: 128 + stopped as u8,
            json: None,
        });
    }

    let measure = plan.measure;
    let lengths = lengths::table(&made.arms, &made.runs, &plan.targets, measure);
    let changes = reference.map_or(Vec::new(), |old| old.changes(&table, measure));
    let result = Outcome {
        about: &about,
        complete: made.runs.len() == made.arms.len() * about.seeds.len(),
        tuning: &made.tunings,
        runs: made.runs.iter().map(|run| &run.record).collect(),
        table: &table,
        lengths: &lengths,
        changes: &changes,
    };
    let text = serde_json::to_string(&result).map_err(|error| Error::Run(error.to_string()))?;
    let markdown = show::markdown(&table, &plan.targets, (measure, plan.timing), looks.len())
        + &lengths::markdown(&lengths, measure)
        + &reference::markdown(&changes, measure)
        + &show::tuning(&made.tunings, measure);
    let charts = figures::all(plan, &dataset.name, &made.arms, &made.runs, &made.tunings);
    let page = page::page(&page::Content {
        plan,
        dataset,
        arms: &made.arms,
        runs: &made.runs,
        tuning: &made.tunings,
        rows: &table,
        lengths: &lengths,
        changes: &changes,
        charts: &charts,
    });
    let wrong = |error: csv::Error| Error::Run(error.to_string());
    let csv = |written: Result<String, csv::Error>| written.map_err(wrong);
    let judged = (measure, plan.timing);
    let [runs, evaluations] = show::runs_csv(&made.arms, &made.runs, judged).map_err(wrong)?;
    let mut files = vec![
        (RESULT, text.clone()),
        ("compare.md", markdown.clone()),
        (
            "compare.csv",
            csv(show::table_csv(&table, &plan.targets, measure, plan.timing))?,
        ),
    ];
    files.extend([("runs.csv", runs), ("evaluations.csv", evaluations)]);
    if !made.tunings.is_empty() {
        files.push(("tuning.csv", csv(show::tuning_csv(&made.tunings, measure))?));
    }
    files.push((page::FILE, page.html()?));
    let drawn = figures::files(&charts);
    files.extend(
        drawn
            .iter()
            .map(|(name, text)| (name.as_str(), text.clone())),
    );
    out.write(&files)?;
    say(plan.json, &format!("\n{}\n", show::terminal(&markdown)));
    if let Some(path) = &plan.save_baseline {
        reference::save(path, &text)?;
        say(plan.json, &format!("Baseline: {}", path.display()));
    }
    say(plan.json, &format!("Files: {}", out.path().display()));
    let mut status = EXIT_OK;
    if stopped != 0 {
        note(
            "secant: interrupted; the table holds the runs that were done. The same command with \
             the same --out goes on.",
        );
        status = 128 + stopped as u8;
    }
    Ok(Compared {
        status,
        json: Some(text),
    })
}

/// Makes the runs of `seeds`, those that are kept excepted.
fn make(
    plan: &Plan,
    dataset: &Dataset,
    (arms, seeds): (&[Arm], &[u64]),
    (cache, events): (&Cache, &Events),
    (signal, ranks): (&AtomicUsize, &Ranks),
) -> Result<Made, Error> {
    let samples = Runner::samples(plan, dataset);
    let count = |arm: &Arm| tune::runs(plan, arm) + seeds.len() as u64;
    let steps = arms
        .iter()
        .map(|arm| count(arm) * Runner::iterations(samples, arm));
    let display = ComparisonDisplay::new(plan.json, steps.sum());
    let runner = Runner {
        plan,
        events,
        dataset,
        signal,
        failed: &AtomicBool::new(false),
        display: &display,
        constant: Runner::constant(plan, dataset),
    };
    let made = pool::make(&runner, cache, (arms.to_vec(), seeds), plan.jobs, |pool| {
        if ranks.count() > 1 {
            others::lead(pool, ranks);
        }
    });
    display.finish();
    made
}
