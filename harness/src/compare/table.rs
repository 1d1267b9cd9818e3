//! The table: medians, times to targets, and paired differences with their intervals.

use serde::{Deserialize, Serialize};

use super::arm::Arm;
use super::median::{interval, median};
use super::runs::{Point, Run};
use super::verdict::{FEWEST, LEVEL, Paired, holm, paired};
use crate::score::Measure;

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
    /// These seeds.
    #[serde(default)]
    pub seeds: Vec<u64>,
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
    /// The 95 % interval of that median; none with five runs or fewer, an end that is infinite being
    /// none.
    #[serde(default)]
    pub gradient_epochs_interval: Option<[Option<f64>; 2]>,
    /// Median seconds, likewise.
    pub seconds: Option<f64>,
    /// Its interval.
    #[serde(default)]
    pub seconds_interval: Option<[Option<f64>; 2]>,
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
    /// 95 % interval of this row alone, of all looks together, see [`paired`]; none with too few
    /// seeds.
    pub interval: Option<[f64; 2]>,
    /// The p-value, corrected for the number of rows.
    #[serde(default = "one")]
    pub p: f64,
    /// Seeds.
    pub seeds: usize,
    /// In words: of all rows together, one verdict or more is false in 5 % of tables without any
    /// difference.
    pub verdict: String,
}

/// Whether every difference is known as well as that: its interval is at most so wide.
pub fn narrow(table: &[Row], width: f64) -> bool {
    let mut differences = table.iter().filter_map(|row| row.difference.as_ref());
    differences.all(|d| d.interval.is_some_and(|[low, high]| high - low <= width))
}

/// The p-value of a result that has none.
fn one() -> f64 {
    1.0
}

/// Where a run first reaches `target`.
fn reach(history: &[Point], target: f64, measure: Measure, what: impl Fn(&Point) -> f64) -> f64 {
    let reached = |point: &&Point| {
        let value = point.watched;
        value.is_some_and(|value| measure.reaches(value, target))
    };
    history.iter().find(reached).map_or(f64::INFINITY, what)
}

/// The paired differences to `first`, in percentage points or the RMSE's unit.
fn differences(own: &[&Run], first: &[&Run], measure: Measure) -> Vec<f64> {
    own.iter()
        .filter_map(|run| {
            let other = first.iter().find(|other| other.seed == run.seed)?;
            Some(measure.factor() * (run.summary.test - other.summary.test))
        })
        .collect()
}

/// Judges the differences of all rows together: [`holm`] corrects for their number.
fn judge(rows: &mut [Row], measure: Measure) {
    let judged = rows.iter_mut().filter_map(|row| row.difference.as_mut());
    let judged: Vec<&mut Difference> = judged.collect();
    let own: Vec<f64> = judged.iter().map(|difference| difference.p).collect();
    for (difference, p) in judged.into_iter().zip(holm(&own)) {
        difference.p = p;
        difference.verdict = verdict(difference.seeds, difference.mean, p, measure).to_owned();
    }
}

/// In words; `p` is corrected already.
pub fn verdict(seeds: usize, mean: f64, p: f64, measure: Measure) -> &'static str {
    if seeds < FEWEST {
        "too few seeds to tell"
    } else if p >= LEVEL {
        "no difference shown"
    } else if (mean > 0.0) == (measure.sign() > 0.0) {
        "better"
    } else {
        "worse"
    }
}

/// The table of all arms. Where it is one of several `looks` at a comparison that goes on until
/// enough is known, intervals and p-values are corrected for them (Bonferroni).
pub fn table(
    arms: &[Arm],
    runs: &[Run],
    targets: &[f64],
    (measure, looks): (Measure, usize),
) -> Vec<Row> {
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
            let ends = |values: Vec<f64>| interval(values).map(|ends| ends.map(finite));
            let epochs = values(|point| point.gradient_epochs);
            let times = values(|point| point.train_seconds);
            let reached = epochs.iter().filter(|x| x.is_finite()).count();
            let (gradient_epochs_interval, seconds_interval) =
                (ends(epochs.clone()), ends(times.clone()));
            let gradient_epochs = finite(median(epochs));
            let seconds = finite(median(times));
            let base = rows.iter().find(|row: &&Row| row.epochs == arm.epochs);
            let base = base.map(|row| &row.targets[t]);
            let ratio = |own: Option<f64>, base: Option<f64>| Some(base? / own?);
            Reach {
                target: *target,
                reached,
                ratio_epochs: ratio(gradient_epochs, base.and_then(|b| b.gradient_epochs)),
                ratio_seconds: ratio(seconds, base.and_then(|b| b.seconds)),
                gradient_epochs,
                gradient_epochs_interval,
                seconds,
                seconds_interval,
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
            seeds: own.iter().map(|run| run.seed).collect(),
            targets,
            difference: if leader == Some(a) {
                None
            } else {
                let differences = differences(&own, &first, measure);
                let level = LEVEL / looks as f64;
                let Paired { mean, interval, p } = paired(&differences, level);
                let p = (p * looks as f64).min(1.0);
                (!differences.is_empty()).then(|| Difference {
                    mean,
                    interval,
                    p,
                    seeds: differences.len(),
                    verdict: String::new(),
                })
            },
        });
    }
    judge(&mut rows, measure);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_of_all_rows_together() {
        let row = |p: f64, mean: f64| Row {
            name: String::new(),
            epochs: 1.0,
            runs: 5,
            collapses: 0,
            rollbacks: 0,
            test: [0.5; 3],
            values: vec![],
            seeds: vec![],
            targets: vec![],
            difference: Some(Difference {
                mean,
                interval: Some([mean, mean]),
                p,
                seeds: 5,
                verdict: String::new(),
            }),
        };
        let verdicts = |ps: &[f64], mean, measure| -> Vec<String> {
            let mut rows: Vec<Row> = ps.iter().map(|p| row(*p, mean)).collect();
            judge(&mut rows, measure);
            let all = rows.into_iter().filter_map(|row| row.difference);
            all.map(|difference| difference.verdict).collect()
        };
        let accuracy = Measure::Accuracy;
        assert_eq!(verdicts(&[0.03], 1.0, accuracy), ["better"]);
        assert_eq!(verdicts(&[0.03], -1.0, accuracy), ["worse"]);
        assert_eq!(verdicts(&[0.03], -1.0, Measure::Rmse), ["better"]);
        assert_eq!(
            verdicts(&[0.03, 0.01], 1.0, accuracy),
            ["better", "better"],
            "0.03 and 0.02 corrected"
        );
        assert_eq!(
            verdicts(&[0.03, 0.04], 1.0, accuracy),
            ["no difference shown", "no difference shown"],
            "0.06 both corrected"
        );
    }
}
