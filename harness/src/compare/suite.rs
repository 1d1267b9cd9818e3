//! Several comparisons in one command: the same optimisers on several problems, and what can be
//! said of all of them together.
//!
//! Each problem is a comparison of its own, in a folder of its own, which goes on where it was like
//! any other. When all are there the suite's own files are written from their results: the
//! performance profile (`compare/profile.rs`) as a figure, and a score for each optimiser.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::figures;
use super::folder::{SUITE, SuiteFolder};
use super::page::{self, Figure, Page, Table};
use super::plan::Timing;
use super::profile::{FARTHEST, ratios, score, steps};
use super::show;
use super::table::Row;
use crate::chart::{Axis, Chart, Joined, Point, Scale, Series, Style, Unit};
use crate::error::Error;
use crate::report::{print_line, say};
use crate::shell;

/// Suites with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Micro, lenet and seed on Fashion-MNIST, micro on 5,000 of its images and on the built-in set
    Small,
}

/// A problem of a suite: a comparison whose settings are given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// The name of its folder.
    pub name: &'static str,
    /// The network.
    pub model: &'static str,
    /// Whether it is about the built-in set, not Fashion-MNIST.
    pub synthetic: bool,
    /// The most training samples.
    pub limit: Option<usize>,
    /// Passes over them.
    pub epochs: f64,
    /// Validation accuracies to reach: what a run with good settings reaches early, in the middle
    /// and near its end.
    pub targets: [f64; 3],
}

const SMALL: [Problem; 5] = [
    Problem {
        name: "micro",
        model: "micro",
        synthetic: false,
        limit: None,
        epochs: 2.0,
        targets: [0.86, 0.87, 0.88],
    },
    Problem {
        name: "micro-5000",
        model: "micro",
        synthetic: false,
        limit: Some(5000),
        epochs: 5.0,
        targets: [0.82, 0.84, 0.86],
    },
    Problem {
        name: "lenet",
        model: "lenet",
        synthetic: false,
        limit: None,
        epochs: 2.0,
        targets: [0.86, 0.87, 0.88],
    },
    Problem {
        name: "seed-12000",
        model: "seed",
        synthetic: false,
        limit: Some(12_000),
        epochs: 3.0,
        targets: [0.75, 0.8, 0.84],
    },
    Problem {
        name: "garments",
        model: "micro",
        synthetic: true,
        limit: Some(12_000),
        epochs: 1.0,
        targets: [0.85, 0.89, 0.91],
    },
];

impl Suite {
    /// Its name.
    pub fn name(self) -> &'static str {
        let Suite::Small = self;
        "small"
    }

    /// Its problems, in the order in which they are run.
    pub fn problems(self) -> &'static [Problem] {
        let Suite::Small = self;
        &SMALL
    }
}

/// What is read of the result of a problem.
#[derive(Debug, Deserialize)]
struct Solved {
    complete: bool,
    table: Vec<Row>,
}

/// An optimiser on a problem.
#[derive(Debug, Serialize)]
struct Time {
    problem: &'static str,
    target: f64,
    optimizer: String,
    reached: usize,
    runs: usize,
    /// Medians, and how many times those of the fastest they are; none where the target was not
    /// reached.
    gradient_epochs: Option<f64>,
    ratio_epochs: Option<f64>,
    seconds: Option<f64>,
    ratio_seconds: Option<f64>,
}

/// An optimiser on all problems.
#[derive(Debug, Serialize)]
struct Standing {
    optimizer: String,
    /// The area under its profile, by seconds,
    score: f64,
    /// and by gradient epochs.
    score_epochs: f64,
    /// Problems that it solves at all,
    solved: usize,
    /// in the least time of all,
    fastest: usize,
    /// or in twice that.
    within_twice: usize,
}

/// What `suite.json` and `--json` hold.
#[derive(Debug, Serialize)]
struct Summary {
    version: &'static str,
    command: Vec<String>,
    suite: &'static str,
    timing: Timing,
    /// Whether all runs of all problems were made.
    complete: bool,
    /// Networks, data and targets.
    problems: usize,
    standings: Vec<Standing>,
    times: Vec<Time>,
}

/// Writes what is to be said of all problems together; `results` are their `compare.json`.
///
/// # Errors
/// [`Error`] when a result cannot be read or a file cannot be written.
pub fn summarise(
    suite: Suite,
    results: &[String],
    timing: Timing,
    (folder, json): (&SuiteFolder, bool),
) -> Result<(), Error> {
    let wrong = |error: serde_json::Error| Error::Run(error.to_string());
    let read = |text: &String| serde_json::from_str::<Solved>(text).map_err(wrong);
    let solved = results.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = match solved.first() {
        Some(first) => first.table.iter().map(|row| row.name.clone()).collect(),
        None => Vec::new(),
    };
    let summary = summary(suite, &solved, &names, timing);
    let text = serde_json::to_string(&summary).map_err(wrong)?;
    let markdown = markdown(&summary);
    let charts = charts(&summary, &names);
    let page = page(&summary, &charts);
    let mut files = vec![
        (SUITE.to_owned(), text.clone()),
        ("suite.md".to_owned(), markdown.clone()),
        ("suite.csv".to_owned(), csv(&summary)?),
        (page::FILE.to_owned(), page.html()?),
    ];
    files.extend(figures::files(&charts));
    folder.write(&files)?;
    say(json, &format!("\n{}\n", show::terminal(&markdown)));
    if json {
        print_line(&text)?;
    }
    say(json, &format!("Files: {}", folder.path().display()));
    Ok(())
}

/// Ratios of one optimiser's times.
fn of(summary: &Summary, name: &str, ratio: fn(&Time) -> Option<f64>) -> Vec<f64> {
    let own = summary.times.iter().filter(|time| time.optimizer == name);
    own.map(|time| ratio(time).unwrap_or(f64::INFINITY))
        .collect()
}

fn summary(suite: Suite, solved: &[Solved], names: &[String], timing: Timing) -> Summary {
    let mut times = Vec::new();
    for (problem, result) in suite.problems().iter().zip(solved) {
        let targets = result.table.first().map_or(0, |row| row.targets.len());
        for t in 0..targets {
            let time = |row: &Row| Time {
                problem: problem.name,
                target: row.targets[t].target,
                optimizer: row.name.clone(),
                reached: row.targets[t].reached,
                runs: row.runs,
                gradient_epochs: row.targets[t].gradient_epochs,
                ratio_epochs: None,
                seconds: row.targets[t].seconds,
                ratio_seconds: None,
            };
            let mut own: Vec<Time> = result.table.iter().map(time).collect();
            let to_fastest = |of: fn(&Time) -> Option<f64>| -> Vec<Option<f64>> {
                let all = own.iter().map(|time| of(time).unwrap_or(f64::INFINITY));
                let ratios = ratios(&[all.collect()]).remove(0);
                ratios
                    .into_iter()
                    .map(|r| r.is_finite().then_some(r))
                    .collect()
            };
            let epochs = to_fastest(|time| time.gradient_epochs);
            let seconds = to_fastest(|time| time.seconds);
            for (time, (epochs, seconds)) in own.iter_mut().zip(epochs.into_iter().zip(seconds)) {
                (time.ratio_epochs, time.ratio_seconds) = (epochs, seconds);
            }
            times.extend(own);
        }
    }
    let mut summary = Summary {
        version: env!("CARGO_PKG_VERSION"),
        command: shell::command(),
        suite: suite.name(),
        timing,
        complete: solved.len() == suite.problems().len() && solved.iter().all(|s| s.complete),
        problems: times.len() / names.len().max(1),
        standings: Vec::new(),
        times,
    };
    for name in names {
        let seconds = of(&summary, name, |time| time.ratio_seconds);
        let epochs = of(&summary, name, |time| time.ratio_epochs);
        let count = |tau: f64| seconds.iter().filter(|ratio| **ratio <= tau).count();
        summary.standings.push(Standing {
            optimizer: name.clone(),
            score: score(&seconds),
            score_epochs: score(&epochs),
            solved: count(f64::MAX),
            fastest: count(1.0),
            within_twice: count(2.0),
        });
    }
    summary
}

/// The tables of a summary: its standings, and all times.
fn tables(summary: &Summary) -> [Table; 2] {
    let heads = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let all = summary.problems;
    let standing = |own: &Standing| {
        vec![
            own.optimizer.clone(),
            format!("{:.3}", own.score),
            format!("{:.3}", own.score_epochs),
            format!("{} of {all}", own.fastest),
            format!("{} of {all}", own.within_twice),
            format!("{} of {all}", own.solved),
        ]
    };
    let number = |x: Option<f64>| x.map_or("not reached".to_owned(), |x| format!("{x:.2}"));
    let times = |x: Option<f64>| x.map_or("-".to_owned(), |x| format!("{x:.2}"));
    let time = |time: &Time| {
        vec![
            time.problem.to_owned(),
            format!("{} %", (1e4 * time.target).round() / 100.0),
            time.optimizer.clone(),
            format!("{} of {}", time.reached, time.runs),
            number(time.gradient_epochs),
            times(time.ratio_epochs),
            number(time.seconds),
            times(time.ratio_seconds),
        ]
    };
    let seconds = summary.timing.describe();
    [
        Table {
            caption: "Scores".to_owned(),
            head: heads(&[
                "optimiser",
                &format!("score by {seconds}"),
                "by gradient epochs",
                "fastest",
                "within twice",
                "reached",
            ]),
            rows: summary.standings.iter().map(standing).collect(),
            foot: format!(
                "A problem is a network, data and a target; the time is the median over the seeds, \
                 infinite where fewer than half of the runs get there. The score is the area under \
                 the profile from 1 to {FARTHEST}: 1 for an optimiser that is the fastest \
                 everywhere, 0 for one that never comes within {FARTHEST} times the fastest. \
                 Counts are by {seconds}."
            ),
        },
        Table {
            caption: "All problems".to_owned(),
            head: heads(&[
                "problem",
                "target",
                "optimiser",
                "reached",
                "gradient epochs",
                "to the fastest",
                seconds,
                "to the fastest",
            ]),
            rows: summary.times.iter().map(time).collect(),
            foot: String::new(),
        },
    ]
}

fn markdown(summary: &Summary) -> String {
    let mut text = String::new();
    for table in tables(summary) {
        text += &format!("\n| {} |\n", table.head.join(" | "));
        text += &format!("|{}\n", "---|".repeat(table.head.len()));
        for row in table.rows {
            text += &format!("| {} |\n", row.join(" | "));
        }
        if !table.foot.is_empty() {
            text += &format!("\n{}\n", table.foot);
        }
    }
    text
}

fn csv(summary: &Summary) -> Result<String, Error> {
    let wrong = |error: csv::Error| Error::Run(error.to_string());
    let mut writer = csv::Writer::from_writer(Vec::new());
    for time in &summary.times {
        writer.serialize(time).map_err(wrong)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| wrong(error.into_error().into()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The profiles, by seconds and by gradient epochs.
fn charts(summary: &Summary, names: &[String]) -> Vec<Chart> {
    let chart = |name, what: &str, ratio: fn(&Time) -> Option<f64>| {
        let series = names.iter().enumerate().map(|(i, name)| {
            let own = of(summary, name, ratio);
            let points = steps(&own).into_iter();
            Series {
                name: name.clone(),
                remark: format!("score {:.3}", score(&own)),
                style: Style::of(i),
                joined: Joined::Steps,
                points: points.map(|(x, y)| Point::new(x, 100.0 * y)).collect(),
                taken: None,
            }
        });
        let axis = |label: String, column: &str, scale, unit| Axis {
            label,
            column: column.to_owned(),
            scale,
            unit,
        };
        Chart {
            name,
            title: format!("Performance profile by {what}"),
            subtitle: format!(
                "suite {}: share of {} problems solved in tau times the time of the fastest.",
                summary.suite, summary.problems
            ),
            x: axis("tau".to_owned(), "tau", Scale::Log, Unit::None),
            y: axis(
                "problems (%)".to_owned(),
                "share_percent",
                Scale::Linear,
                Unit::Percent,
            ),
            ideal: figures::SHOW_ALL,
            series: series.collect(),
            targets: Vec::new(),
        }
    };
    let seconds = summary.timing.describe();
    vec![
        chart("profile-seconds", seconds, |time| time.ratio_seconds),
        chart("profile-epochs", "gradient epochs", |time| {
            time.ratio_epochs
        }),
    ]
}

fn page(summary: &Summary, charts: &[Chart]) -> Page {
    let mut ranked: Vec<&Standing> = summary.standings.iter().collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    let verdict = |own: &&Standing| page::Verdict {
        kind: page::Kind::Unknown,
        headline: format!("{}: score {:.3}", own.optimizer, own.score),
        detail: format!(
            "The fastest on {} of {} problems, within twice the time of the fastest on {}; it \
             reaches {} of the targets.",
            own.fastest, summary.problems, own.within_twice, own.solved
        ),
    };
    let [scores, times] = tables(summary);
    Page {
        title: format!("suite {}", summary.suite),
        lead: format!(
            "{} optimisers on {} problems{}. Each problem's own page lies in its folder.",
            summary.standings.len(),
            summary.problems,
            match summary.complete {
                true => "",
                false => "; some runs are missing",
            }
        ),
        verdicts: ranked.iter().map(verdict).collect(),
        tables: vec![scores],
        figures: charts.iter().map(Figure::new).collect(),
        settings: vec![times],
        command: shell::line(shell::words()),
        facts: Vec::new(),
        version: env!("CARGO_PKG_VERSION"),
    }
}
