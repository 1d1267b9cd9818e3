//! How short a run reaches an accuracy, or comes down to an error.
//!
//! Within one run whose learning rate falls to zero, accuracy rises most at the end, wherever that
//! is, so the moment at which a run passes a target says more about its schedule than about its
//! optimiser. Runs of several lengths, each with its own schedule, answer what a user asks: how
//! much training do I have to pay for?
//!
//! ```text
//! a(L)    mean test accuracy (or RMSE, which falls) of the runs of length L
//! L(t)    where a crosses the target t, a being linear in log L between the lengths that were run
//! ```
//!
//! Lengths count every gradient. The interval of a ratio `R` is that of the verdict ([`paired`]) for
//! the mean of the jackknife's pseudo-values of its logarithm, one for each of the `n` seeds:
//!
//! ```text
//! p_s = n ln R - (n - 1) ln R(-s)     R(-s): from all seeds but s, for both optimisers
//! ```
//!
//! There is none where a target lies so near to an end of the lengths that leaving a seed out loses
//! it. How often it holds the true ratio is simulated in the tests.
//!
//! Source: J. W. Tukey, *Bias and confidence in not-quite large samples*, Ann. Math. Statist. 29
//! (1958), 614.

use std::fmt::Write;

use serde::Serialize;

use super::arm::Arm;
use super::runs::Run;
use super::verdict::{LEVEL, paired};
use crate::chart::Point;
use crate::score::Measure;

/// The length of run with which an optimiser reaches a target.
#[derive(Debug, Clone, Serialize)]
pub struct Length {
    /// The optimiser, as the user named it.
    pub name: String,
    /// The mean test accuracy, or RMSE.
    pub target: f64,
    /// Gradient epochs of a run; none where the lengths that were run do not bracket it.
    pub gradient_epochs: Option<f64>,
    /// Training seconds of a run.
    pub seconds: Option<f64>,
    /// Gradient epochs of the first optimiser over these.
    pub ratio_epochs: Option<f64>,
    /// Its 95 % interval.
    pub ratio_epochs_interval: Option<[f64; 2]>,
    /// Seconds of the first optimiser over these.
    pub ratio_seconds: Option<f64>,
}

/// Runs of one length and seed.
#[derive(Debug, Clone, Copy)]
struct Cell {
    /// Test accuracy, or RMSE with a minus sign: higher is better.
    merit: f64,
    epochs: f64,
    seconds: f64,
}

/// An optimiser's runs: a row for each length, rising, a cell for each seed.
type Grid = Vec<Vec<Cell>>;

/// Mean epochs and seconds where the mean merit of `seeds` crosses `target`.
fn crossing(grid: &Grid, target: f64, seeds: &[usize]) -> Option<(f64, f64)> {
    let mean = |row: &Vec<Cell>, what: fn(&Cell) -> f64| {
        seeds.iter().map(|&s| what(&row[s])).sum::<f64>() / seeds.len() as f64
    };
    grid.windows(2).find_map(|pair| {
        let (low, high) = (&pair[0], &pair[1]);
        let (a, b) = (mean(low, |c| c.merit), mean(high, |c| c.merit));
        let share = (target - a) / (b - a);
        if !(a < target && target <= b) {
            return None;
        }
        let between = |what| {
            let (x, y): (f64, f64) = (mean(low, what), mean(high, what));
            x * (y / x).powf(share)
        };
        Some((between(|c| c.epochs), between(|c| c.seconds)))
    })
}

/// All optimisers with their runs, and the number of seeds; none when all runs have one length.
/// Only seeds whose runs are all there count.
fn grids<'a>(
    arms: &'a [Arm],
    runs: &[Run],
    measure: Measure,
) -> Option<(Vec<(&'a Arm, Grid)>, usize)> {
    let mut lengths: Vec<f64> = arms.iter().map(|arm| arm.epochs).collect();
    lengths.sort_by(f64::total_cmp);
    lengths.dedup();
    let mut seeds: Vec<u64> = runs.iter().map(|run| run.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    seeds.retain(|seed| runs.iter().filter(|run| run.seed == *seed).count() == arms.len());
    if lengths.len() < 2 || seeds.is_empty() {
        return None;
    }
    // The arms of one length come in the users' order, so an optimiser is a place in it.
    let names = arms.iter().filter(|a| a.epochs == arms[0].epochs);
    let cell = |optimizer: usize, length: f64, seed: u64| {
        let mut of_length = arms.iter().enumerate().filter(|(_, a)| a.epochs == length);
        let (index, _) = of_length.nth(optimizer)?;
        let run = runs
            .iter()
            .find(|run| run.arm == index && run.seed == seed)?;
        let last = run.summary.history.last()?;
        Some(Cell {
            merit: measure.sign() * run.summary.test,
            epochs: last.gradient_epochs,
            seconds: last.train_seconds,
        })
    };
    let grid = |(o, arm): (usize, &'a Arm)| {
        let row = |length| {
            seeds
                .iter()
                .map(|s| cell(o, length, *s))
                .collect::<Option<_>>()
        };
        let rows: Option<Grid> = lengths.iter().map(|length| row(*length)).collect();
        Some((arm, rows?))
    };
    let grids: Option<Vec<_>> = names.enumerate().map(grid).collect();
    Some((grids?, seeds.len()))
}

/// Of each optimiser the mean test figure, as it is shown, over the mean gradient epochs of its
/// runs, with the lowest and the highest: joined by straight lines over a logarithmic axis, these
/// cross a target where the table says.
pub fn curves(arms: &[Arm], runs: &[Run], measure: Measure) -> Vec<(String, Vec<Point>)> {
    let shown = |cell: &Cell| measure.sign() * measure.factor() * cell.merit;
    let point = |row: &Vec<Cell>| {
        let mean =
            |what: &dyn Fn(&Cell) -> f64| row.iter().map(what).sum::<f64>() / row.len() as f64;
        let values = || row.iter().map(shown);
        Point {
            x: mean(&|cell| cell.epochs),
            y: mean(&shown),
            band: [
                values().fold(f64::INFINITY, f64::min),
                values().fold(f64::NEG_INFINITY, f64::max),
            ],
        }
    };
    let Some((grids, _)) = grids(arms, runs, measure) else {
        return Vec::new();
    };
    let curve = |(arm, grid): &(&Arm, Grid)| (arm.name.clone(), grid.iter().map(point).collect());
    grids.iter().map(curve).collect()
}

/// The table, empty when all runs have one length. Only seeds whose runs are all there count.
pub fn table(arms: &[Arm], runs: &[Run], targets: &[f64], measure: Measure) -> Vec<Length> {
    let Some((grids, seeds)) = grids(arms, runs, measure) else {
        return Vec::new();
    };
    let all: Vec<usize> = (0..seeds).collect();
    let mut rows = Vec::new();
    for &target in targets {
        let wanted = measure.sign() * target;
        let leader = &grids[0].1;
        let first = crossing(leader, wanted, &all);
        for (o, (arm, grid)) in grids.iter().enumerate() {
            let own = crossing(grid, wanted, &all);
            let ratio = |what: fn((f64, f64)) -> f64| Some(what(first?) / what(own?));
            rows.push(Length {
                name: arm.name.clone(),
                target,
                gradient_epochs: own.map(|(epochs, _)| epochs),
                seconds: own.map(|(_, seconds)| seconds),
                ratio_epochs: ratio(|(epochs, _)| epochs).filter(|_| o > 0),
                ratio_epochs_interval: match o {
                    0 => None,
                    _ => interval(leader, grid, wanted),
                },
                ratio_seconds: ratio(|(_, seconds)| seconds).filter(|_| o > 0),
            });
        }
    }
    rows
}

/// The interval of the ratio of lengths, from three seeds on.
fn interval(first: &Grid, own: &Grid, target: f64) -> Option<[f64; 2]> {
    let n = first[0].len();
    let log_ratio = |seeds: &[usize]| {
        let (first, _) = crossing(first, target, seeds)?;
        let (own, _) = crossing(own, target, seeds)?;
        Some((first / own).ln())
    };
    let all: Vec<usize> = (0..n).collect();
    let whole = log_ratio(&all)?;
    let pseudo = all.iter().map(|left_out| {
        let rest: Vec<usize> = all.iter().copied().filter(|s| s != left_out).collect();
        let rest = log_ratio(&rest)?;
        Some(n as f64 * whole - (n as f64 - 1.0) * rest)
    });
    let pseudo: Vec<f64> = pseudo.collect::<Option<_>>()?;
    let [low, high] = paired(&pseudo, LEVEL).interval?;
    Some([low.exp(), high.exp()])
}

/// The table as Markdown; nothing when it is empty.
pub fn markdown(rows: &[Length], measure: Measure) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\nLength of run whose mean test {} reaches a target, between the lengths that were run; how many times shorter than the first's.\n\n| optimiser | target | gradient epochs | fewer [95 %] | seconds | fewer |\n|---|---|---|---|---|---|\n",
        measure.name()
    );
    for row in rows {
        let number = |x: Option<f64>, digits: usize| {
            x.map_or("out of range".to_owned(), |x| format!("{x:.digits$}"))
        };
        let ratio = match (row.ratio_epochs, row.ratio_epochs_interval) {
            (Some(ratio), Some([a, b])) => format!("{ratio:.2} x [{a:.2}, {b:.2}]"),
            (Some(ratio), None) => format!("{ratio:.2} x"),
            _ => "-".to_owned(),
        };
        let seconds = row
            .ratio_seconds
            .map_or("-".to_owned(), |x| format!("{x:.2} x"));
        // Writing to a string never fails.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {ratio} | {} | {seconds} |",
            row.name,
            measure.show(row.target),
            number(row.gradient_epochs, 2),
            number(row.seconds, 1),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use secant::Random;

    /// Accuracy .8 + .1 log2(length) at length 0.5, 1 and 2, `faster` times sooner.
    fn grid(faster: f64) -> Grid {
        let cell = |length: f64, shift: f64| Cell {
            merit: 0.8 + 0.1 * (length * faster).log2() + shift,
            epochs: length,
            seconds: 10.0 * length,
        };
        [0.5, 1.0, 2.0]
            .map(|length| vec![cell(length, 0.01), cell(length, -0.01)])
            .to_vec()
    }

    #[test]
    fn accuracy_is_linear_in_the_logarithm_of_the_length() {
        let (epochs, seconds) = crossing(&grid(1.0), 0.85, &[0, 1]).unwrap();
        assert!((epochs - 2f64.sqrt()).abs() < 1e-12 && (seconds - 10.0 * epochs).abs() < 1e-9);
        let (epochs, _) = crossing(&grid(1.5), 0.85, &[0, 1]).unwrap();
        assert!((1.5 * epochs - 2f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn what_the_lengths_do_not_bracket_is_not_guessed() {
        assert!(crossing(&grid(1.0), 0.69, &[0, 1]).is_none(), "shorter");
        assert!(crossing(&grid(1.0), 0.91, &[0, 1]).is_none(), "longer");
    }

    #[test]
    fn seeds_count_for_both_alike() {
        // Both optimisers have the same luck with a seed, so their ratio does not scatter.
        let three = |faster| -> Grid {
            let shifts = [0.01, -0.01, 0.003];
            let row = |row: &Vec<Cell>| {
                let cell = |shift: &f64| Cell {
                    merit: 0.5 * (row[0].merit + row[1].merit) + shift,
                    ..row[0]
                };
                shifts.iter().map(cell).collect()
            };
            grid(faster).iter().map(row).collect()
        };
        let [low, high] = interval(&three(1.0), &three(1.5), 0.85).unwrap();
        assert!((low - 1.5).abs() < 1e-9 && (high - 1.5).abs() < 1e-9);
        assert_eq!(interval(&grid(1.0), &grid(1.5), 0.85), None, "two seeds");
    }

    /// The share of 95 % intervals that miss the true ratio, 1.3: accuracies scatter by seed, and
    /// beyond that by run, twice as much as `micro` does.
    #[test]
    fn intervals_hold_the_true_ratio_as_often_as_promised() {
        let mut random = Random::new(58, 0);
        for skewed in [false, true] {
            for n in [3, 5, 10, 20] {
                let (mut missed, mut given) = (0, 0);
                for _ in 0..1500 {
                    let luck: Vec<f64> = (0..n).map(|_| f64::from(random.normal())).collect();
                    let mut draw = |faster: f64| -> Grid {
                        let row = |length: f64| {
                            let cell = |luck: &f64| {
                                let own = match skewed {
                                    true => 1.0 + (1.0 - f64::from(random.uniform())).ln(),
                                    false => f64::from(random.normal()),
                                };
                                Cell {
                                    merit: 0.8
                                        + 0.02 * (length * faster).log2()
                                        + 0.004 * luck
                                        + 0.004 * own,
                                    epochs: length,
                                    seconds: length,
                                }
                            };
                            luck.iter().map(cell).collect()
                        };
                        [0.25, 0.5, 1.0, 2.0, 4.0].map(row).to_vec()
                    };
                    let (first, own) = (draw(1.0), draw(1.3));
                    if let Some([low, high]) = interval(&first, &own, 0.81) {
                        given += 1;
                        missed += i32::from(!(low..=high).contains(&1.3));
                    }
                }
                let share = f64::from(missed) / f64::from(given);
                println!("skewed {skewed}, {n} seeds: {:.1} % miss", 100.0 * share);
                assert!(given > 1200, "{given}");
                assert!(
                    share <= 0.055 + 0.018,
                    "skewed {skewed}, {n} seeds: {share}"
                );
            }
        }
    }
}
