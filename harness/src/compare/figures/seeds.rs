//! One line and its band from the runs of several seeds.

use crate::chart::Point;
use crate::compare::median::median;

/// Of the k-th evaluation of all runs the median x, the median y, and the lowest and highest y.
///
/// A run that has no value there, because its loss was not finite, counts as `worst`, so that the
/// line is never the median of those alone that went well. A run that ended before, because it had
/// converged, keeps its last value.
pub fn over_seeds(runs: &[Vec<(f64, Option<f64>)>], worst: f64) -> Vec<Point> {
    // Where no run has a value there is nothing that could be worse.
    if runs.iter().flatten().all(|(_, y)| y.is_none()) {
        return Vec::new();
    }
    let most = runs.iter().map(Vec::len).max().unwrap_or(0);
    let point = |k: usize| {
        let x = runs.iter().filter_map(|run| Some(run.get(k)?.0)).collect();
        let value = |run: &Vec<(f64, Option<f64>)>| {
            let (_, y) = run.get(k).or(run.last())?;
            Some(y.filter(|y| y.is_finite()).unwrap_or(worst))
        };
        let values: Vec<f64> = runs.iter().filter_map(value).collect();
        let band = [
            values.iter().copied().fold(f64::INFINITY, f64::min),
            values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        ];
        Point {
            x: median(x),
            y: median(values),
            band,
        }
    };
    (0..most).map(point).collect()
}

/// `5 seeds (0 to 4). Line: median, band: lowest to highest.`, `line` being what the line is.
pub fn describe(seeds: &[u64], line: &str) -> String {
    let first = seeds.first().copied().unwrap_or(0);
    let last = seeds.last().copied().unwrap_or(0);
    let middle = match (line, seeds.len() % 2) {
        ("median", 0) => "median (mean of the middle two)",
        _ => line,
    };
    match seeds.len() {
        0 | 1 => format!("seed {first}."),
        2 => format!("seeds {first} and {last}. Line: mean of both, band: from one to the other."),
        n => format!("{n} seeds ({first} to {last}). Line: {middle}, band: lowest to highest."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(values: &[f64]) -> Vec<(f64, Option<f64>)> {
        let points = values.iter().enumerate();
        points.map(|(k, y)| (k as f64, Some(*y))).collect()
    }

    #[test]
    fn an_even_number_of_runs_has_its_median_in_the_middle() {
        let runs = [run(&[1.0]), run(&[2.0]), run(&[4.0]), run(&[9.0])];
        let points = over_seeds(&runs, 0.0);
        assert_eq!(
            points[0],
            Point {
                x: 0.0,
                y: 3.0,
                band: [1.0, 9.0]
            }
        );
        assert_eq!(over_seeds(&runs[..3], 0.0)[0].y, 2.0);
        assert_eq!(over_seeds(&runs[..2], 0.0)[0].y, 1.5);
        assert_eq!(over_seeds(&runs[..1], 0.0)[0].band, [1.0, 1.0]);
    }

    #[test]
    fn a_run_that_went_wrong_counts_as_the_worst() {
        let wrong = vec![(0.0, Some(5.0)), (1.0, None)];
        let runs = [run(&[7.0, 8.0, 9.0]), wrong, run(&[5.0, 6.0, 7.0])];
        let points = over_seeds(&runs, f64::NEG_INFINITY);
        assert_eq!(points[1].y, 6.0);
        assert_eq!(points[1].band, [f64::NEG_INFINITY, 8.0]);
        assert_eq!((points[2].x, points[2].y), (2.0, 7.0), "wrong to the end");
    }

    #[test]
    fn a_run_that_converged_keeps_its_value() {
        let points = over_seeds(&[run(&[1.0, 2.0, 3.0]), run(&[1.0, 5.0])], 0.0);
        assert_eq!(points[2].band, [3.0, 5.0]);
        assert!(over_seeds(&[vec![(0.0, None)]], 0.0).is_empty());
        assert!(over_seeds(&[], 0.0).is_empty() && over_seeds(&[vec![]], 0.0).is_empty());
    }
}
