//! The table: medians, times to targets, and paired differences with their intervals.

use std::fmt::Write;

use secant::Random;
use serde::{Deserialize, Serialize};

use super::arm::Arm;
use super::runs::{Point, Run};
use crate::score::{Measure, number};

/// One optimiser's line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The optimiser, as the user named it.
    pub name: String,
    /// Passes over the training samples, as asked for.
    pub epochs: f64,
    /// Runs.
    pub runs: usize,
    /// Runs that went wrong.
    pub collapses: usize,
    /// Times that the guard stepped in, in all runs.
    pub rollbacks: u32,
    /// Median, lowest and highest test accuracy, or RMSE.
    #[serde(alias = "test_accuracy")]
    pub test: [f64; 3],
    /// The figure of each seed, in order.
    #[serde(alias = "accuracies")]
    pub values: Vec<f64>,
    /// To each target.
    pub targets: Vec<Reach>,
    /// Mean paired difference to the first optimiser, in percentage points of test accuracy or in
    /// the RMSE's unit, with its interval.
    pub difference: Option<Difference>,
}

/// How far a target is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reach {
    /// The accuracy, or RMSE, on the validation samples, or the test samples where the protocol
    /// watches these.
    pub target: f64,
    /// Runs that reached it.
    pub reached: usize,
    /// Median gradient epochs; none when less than half of the runs got there (a run that did not
    /// counts as infinite).
    pub gradient_epochs: Option<f64>,
    /// Median seconds, likewise.
    pub seconds: Option<f64>,
    /// Gradient epochs of the first optimiser over these.
    pub ratio_epochs: Option<f64>,
    /// Seconds of the first optimiser over these.
    pub ratio_seconds: Option<f64>,
}

/// A paired difference.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Difference {
    /// Mean over the seeds, in percentage points or the RMSE's unit.
    pub mean: f64,
    /// 95 % bootstrap interval: percentiles of the means of 10,000 samples of seeds, drawn with
    /// replacement.
    pub interval: [f64; 2],
    /// Seeds.
    pub seeds: usize,
    /// In words.
    pub verdict: String,
}

/// Median of finite or infinite numbers: infinite when half of them are.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => 0.5 * (values[n / 2 - 1] + values[n / 2]),
    }
}

/// Where a run first reaches `target`.
fn reach(history: &[Point], target: f64, measure: Measure, what: impl Fn(&Point) -> f64) -> f64 {
    let reached = |point: &&Point| {
        let value = point.watched;
        value.is_some_and(|value| measure.reaches(value, target))
    };
    history.iter().find(reached).map_or(f64::INFINITY, what)
}

/// The mean of `differences` and its 95 % bootstrap interval, the same in every call.
pub fn bootstrap(differences: &[f64]) -> (f64, [f64; 2]) {
    let n = differences.len();
    let mean = differences.iter().sum::<f64>() / n as f64;
    let mut random = Random::new(95, 0);
    let mut means: Vec<f64> = (0..10_000)
        .map(|_| {
            let sum: f64 = (0..n)
                .map(|_| differences[random.below(n as u32) as usize])
                .sum();
            sum / n as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    (mean, [means[250], means[9749]])
}

fn difference(own: &[&Run], first: &[&Run], measure: Measure) -> Option<Difference> {
    let differences: Vec<f64> = own
        .iter()
        .filter_map(|run| {
            let other = first.iter().find(|other| other.seed == run.seed)?;
            Some(measure.factor() * (run.summary.test - other.summary.test))
        })
        .collect();
    if differences.is_empty() {
        return None;
    }
    let (mean, interval) = bootstrap(&differences);
    let [low, high] = interval;
    let verdict = if differences.len() < 5 {
        "too few seeds to tell"
    } else if low <= 0.0 && high >= 0.0 {
        "no difference shown"
    } else if (low > 0.0) == (measure.sign() > 0.0) {
        "better"
    } else {
        "worse"
    };
    Some(Difference {
        mean,
        interval,
        seeds: differences.len(),
        verdict: verdict.to_owned(),
    })
}

/// The table of all arms.
pub fn table(arms: &[Arm], runs: &[Run], targets: &[f64], measure: Measure) -> Vec<Row> {
    let of = |a: usize| runs.iter().filter(|run| run.arm == a).collect::<Vec<_>>();
    let mut rows: Vec<Row> = Vec::new();
    for (a, arm) in arms.iter().enumerate() {
        // Runs are held against the first optimiser's of the same length.
        let leader = arms.iter().position(|other| other.epochs == arm.epochs);
        let first = leader.map(of).unwrap_or_default();
        let own = of(a);
        if own.is_empty() {
            continue;
        }
        let all: Vec<f64> = own.iter().map(|run| run.summary.test).collect();
        let fold = |f: fn(f64, f64) -> f64, start| all.iter().copied().fold(start, f);
        let reaches = targets.iter().enumerate().map(|(t, target)| {
            let values = |what: fn(&Point) -> f64| -> Vec<f64> {
                own.iter()
                    .map(|run| reach(&run.summary.history, *target, measure, what))
                    .collect()
            };
            let finite = |x: f64| x.is_finite().then_some(x);
            let all = values(|point| point.gradient_epochs);
            let reached = all.iter().filter(|x| x.is_finite()).count();
            let gradient_epochs = finite(median(all));
            let seconds = finite(median(values(|point| point.train_seconds)));
            let base = rows.iter().find(|row: &&Row| row.epochs == arm.epochs);
            let base = base.map(|row| &row.targets[t]);
            let ratio = |own: Option<f64>, base: Option<f64>| Some(base? / own?);
            Reach {
                target: *target,
                reached,
                ratio_epochs: ratio(gradient_epochs, base.and_then(|b| b.gradient_epochs)),
                ratio_seconds: ratio(seconds, base.and_then(|b| b.seconds)),
                gradient_epochs,
                seconds,
            }
        });
        let targets = reaches.collect();
        rows.push(Row {
            name: arm.name.clone(),
            epochs: arm.epochs,
            runs: own.len(),
            collapses: own.iter().filter(|run| run.summary.collapsed).count(),
            rollbacks: own.iter().map(|run| run.summary.rollbacks).sum(),
            test: [
                median(all.clone()),
                fold(f64::min, f64::INFINITY),
                fold(f64::max, f64::NEG_INFINITY),
            ],
            values: all,
            targets,
            difference: if leader == Some(a) {
                None
            } else {
                difference(&own, &first, measure)
            },
        });
    }
    rows
}

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or("not reached".to_owned(), |x| format!("{x:.digits$}"))
}

/// The table as Markdown.
pub fn markdown(rows: &[Row], targets: &[f64], measure: Measure) -> String {
    let figure = measure.name();
    let mut text = format!(
        "| optimiser | epochs | runs | collapses | test {figure}, median [min, max] | difference to the first, mean [95 %] | verdict |\n|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let shown = |x: f64| match measure {
            Measure::Rmse => number(x),
            _ => format!("{x:.2}"),
        };
        let [middle, low, high] = row.test.map(|x| shown(measure.factor() * x));
        let signed = |x: f64| format!("{}{}", if x < 0.0 { "" } else { "+" }, shown(x));
        let (difference, verdict) = match &row.difference {
            None => ("-".to_owned(), "-"),
            Some(d) => (
                format!(
                    "{} [{}, {}]",
                    signed(d.mean),
                    signed(d.interval[0]),
                    signed(d.interval[1])
                ),
                d.verdict.as_str(),
            ),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {middle} [{low}, {high}] | {difference} | {verdict} |",
            row.name, row.epochs, row.runs, row.collapses
        );
    }
    // Where runs differ in length, their lengths are what counts.
    if rows.iter().all(|row| row.epochs == rows[0].epochs) && !targets.is_empty() {
        let an = match measure {
            Measure::Accuracy => "an accuracy",
            Measure::LabelsRight => "a share of labels right",
            Measure::Rmse => "an RMSE",
        };
        let _ = write!(
            text,
            "\nTo {an} in the course of a run: gradient epochs and training seconds, medians; how many times fewer than the first.\n\n| optimiser | target | reached | gradient epochs | fewer | seconds | fewer |\n|---|---|---|---|---|---|---|\n"
        );
        for (t, target) in targets.iter().enumerate() {
            for row in rows {
                let reach = &row.targets[t];
                let times = |x: Option<f64>| x.map_or("-".to_owned(), |x| format!("{x:.2} x"));
                let _ = writeln!(
                    text,
                    "| {} | {} | {} of {} | {} | {} | {} | {} |",
                    row.name,
                    match measure {
                        Measure::Rmse => number(*target),
                        _ => format!("{:.1} %", 100.0 * target),
                    },
                    reach.reached,
                    row.runs,
                    cell(reach.gradient_epochs, 2),
                    times(reach.ratio_epochs),
                    cell(reach.seconds, 1),
                    times(reach.ratio_seconds)
                );
            }
        }
    }
    text
}

/// The table as comma-separated values, one line an optimiser, length of run and target.
pub fn csv(rows: &[Row], targets: &[f64]) -> String {
    let mut text = String::from(
        "optimizer,epochs,runs,collapses,rollbacks,test_median,test_min,test_max,difference,low,high,target,reached,gradient_epochs,seconds,ratio_epochs,ratio_seconds\n",
    );
    for row in rows {
        for t in 0..targets.len().max(1) {
            let number = |x: Option<f64>| x.map_or(String::new(), |x| x.to_string());
            let d = row.difference.as_ref();
            let [middle, low, high] = row.test;
            let _ = write!(
                text,
                "{},{},{},{},{},{middle},{low},{high},{},{},{}",
                row.name,
                row.epochs,
                row.runs,
                row.collapses,
                row.rollbacks,
                number(d.map(|d| d.mean)),
                number(d.map(|d| d.interval[0])),
                number(d.map(|d| d.interval[1]))
            );
            let _ = match row.targets.get(t) {
                None => writeln!(text, ",,,,,,"),
                Some(reach) => writeln!(
                    text,
                    ",{},{},{},{},{},{}",
                    reach.target,
                    reach.reached,
                    number(reach.gradient_epochs),
                    number(reach.seconds),
                    number(reach.ratio_epochs),
                    number(reach.ratio_seconds)
                ),
            };
        }
    }
    text
}

/// The medians beside those of an earlier result.
pub fn against(rows: &[Row], reference: &[Row], measure: Measure) -> String {
    let mut text = String::from("Against the reference:\n");
    for row in rows {
        let Some(old) = reference
            .iter()
            .find(|old| (&old.name, old.epochs) == (&row.name, row.epochs))
        else {
            let _ = writeln!(
                text,
                "  {}, {} epochs: not in the reference",
                row.name, row.epochs
            );
            continue;
        };
        let change = measure.factor() * (row.test[0] - old.test[0]);
        let change = match measure {
            Measure::Rmse => number(change),
            _ => format!("{change:+.2} points"),
        };
        let _ = writeln!(
            text,
            "  {}, {} epochs: median test {} {}, was {} ({change}; {} and {} runs)",
            row.name,
            row.epochs,
            measure.name(),
            measure.show(row.test[0]),
            measure.show(old.test[0]),
            row.runs,
            old.runs
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_half_of_the_runs_miss_is_not_reached() {
        assert_eq!(median(vec![1.0, f64::INFINITY]), f64::INFINITY);
        assert_eq!(median(vec![3.0, f64::INFINITY, 1.0]), 3.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn the_bootstrap_covers_the_mean_and_tells_clear_differences() {
        let (mean, [low, high]) = bootstrap(&[0.5, 0.7, 0.6, 0.4, 0.8]);
        assert!((mean - 0.6).abs() < 1e-12 && 0.0 < low && low < mean && mean < high);
        let (_, [low, high]) = bootstrap(&[0.5, -0.7, 0.6, -0.4, 0.1]);
        assert!(low < 0.0 && high > 0.0);
        assert_eq!(bootstrap(&[0.25; 6]), (0.25, [0.25, 0.25]));
    }
}
