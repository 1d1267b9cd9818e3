//! The page's tables of results.

use super::Table;
use super::words::{heads, signed, target};
use crate::compare::lengths::Length;
use crate::compare::plan::Plan;
use crate::compare::reference::Change;
use crate::compare::table::{Reach, Row};
use crate::score::Measure;

/// The differences.
pub fn results(rows: &[Row], plan: &Plan) -> Table {
    let measure = plan.measure;
    let several = plan.epochs.len() > 1;
    let figure = format!("test {}, median", measure.name());
    let unit = match measure {
        Measure::Rmse => "mean difference",
        _ => "mean difference, points",
    };
    let mut head = heads(&[
        "optimiser",
        "runs",
        "collapsed",
        &figure,
        "lowest to highest",
        unit,
        "95 % interval",
        "verdict",
    ]);
    if several {
        head.insert(1, "epochs".to_owned());
    }
    let row = |row: &Row| {
        let [middle, low, high] = row.test.map(|value| measure.show(value));
        let dash = || "-".to_owned();
        let difference = row.difference.as_ref();
        let mut cells = vec![
            row.name.clone(),
            row.runs.to_string(),
            row.collapses.to_string(),
            middle,
            format!("{} to {high}", low.trim_end_matches(" %")),
            difference.map_or_else(dash, |d| signed(d.mean, measure)),
            difference
                .and_then(|d| d.interval)
                .map_or_else(dash, |[a, b]| {
                    format!("{} to {}", signed(a, measure), signed(b, measure))
                }),
            difference.map_or_else(dash, |d| d.verdict.clone()),
        ];
        if several {
            cells.insert(1, row.epochs.to_string());
        }
        cells
    };
    Table {
        caption: "Results".to_owned(),
        head,
        rows: rows.iter().map(row).collect(),
        foot: "Differences are to the first optimiser, in pairs: the same split, initial weights \
               and order of samples. Intervals and verdicts by the larger p-value of Student's \
               paired t test and of Hall's, which allows for skewness; verdicts with Holm's \
               correction over the rows: in 5 % of tables without any difference one or more is \
               false."
            .to_owned(),
    }
}

/// How soon targets were reached in the course of a run.
pub fn reached(rows: &[Row], plan: &Plan) -> Table {
    let measure = plan.measure;
    let seconds = plan.timing.describe();
    let head = [
        "optimiser",
        "target",
        "reached",
        "gradient epochs",
        "times fewer",
        seconds,
        "times fewer",
    ];
    let targets = 0..rows.first().map_or(0, |row| row.targets.len());
    let by_any = |t: &usize| rows.iter().any(|row| row.targets[*t].reached > 0);
    let (some, none): (Vec<usize>, Vec<usize>) = targets.partition(by_any);
    let lines = some
        .into_iter()
        .flat_map(|t| rows.iter().map(move |row| (row, &row.targets[t])));
    let line = |(row, reach): (&Row, &Reach)| {
        let value = |x: Option<f64>, interval: Option<[Option<f64>; 2]>| {
            let end = |x: Option<f64>| x.map_or("∞".to_owned(), |x| format!("{x:.2}"));
            let interval = interval.map_or(String::new(), |[low, high]| {
                format!(" ({} to {})", end(low), end(high))
            });
            x.map_or("not reached".to_owned(), |x| format!("{x:.2}{interval}"))
        };
        let times = |x: Option<f64>| x.map_or("-".to_owned(), |x| format!("{x:.2} ×"));
        vec![
            row.name.clone(),
            target(reach.target, measure),
            format!("{} of {}", reach.reached, row.runs),
            value(reach.gradient_epochs, reach.gradient_epochs_interval),
            times(reach.ratio_epochs),
            value(reach.seconds, reach.seconds_interval),
            times(reach.ratio_seconds),
        ]
    };
    let mut foot = String::new();
    if lines.clone().next().is_some() {
        foot += "Medians over the seeds; a run that does not reach a target counts as infinite; \
                 with six seeds or more, the 95 % interval by order statistics. \
                 Times fewer: than the first optimiser. ";
    }
    if let (false, Some(row)) = (none.is_empty(), rows.first()) {
        let missed = none.iter().map(|t| target(row.targets[*t].target, measure));
        let missed: Vec<String> = missed.collect();
        foot += &format!("No run reached {}.", missed.join(", "));
    }
    Table {
        caption: "How soon a target was reached in the course of a run".to_owned(),
        head: heads(&head),
        rows: lines.map(line).collect(),
        foot,
    }
}

/// How long a run must be.
pub fn by_length(lengths: &[Length], plan: &Plan) -> Table {
    let measure = plan.measure;
    let seconds = plan.timing.describe();
    let head = [
        "optimiser",
        "target",
        "gradient epochs of a run",
        "times fewer",
        "95 % interval",
        seconds,
        "times fewer",
    ];
    let row = |row: &Length| {
        let value = |x: Option<f64>| x.map_or("out of range".to_owned(), |x| format!("{x:.2}"));
        let times = |x: Option<f64>| x.map_or("-".to_owned(), |x| format!("{x:.2} ×"));
        vec![
            row.name.clone(),
            target(row.target, measure),
            value(row.gradient_epochs),
            times(row.ratio_epochs),
            row.ratio_epochs_interval
                .map_or("-".to_owned(), |[low, high]| {
                    format!("{low:.2} to {high:.2}")
                }),
            value(row.seconds),
            times(row.ratio_seconds),
        ]
    };
    Table {
        caption: "How long a run must be to reach a target".to_owned(),
        head: heads(&head),
        rows: lengths.iter().map(row).collect(),
        foot: format!(
            "Where the mean test {} crosses the target, a straight line over the logarithm of the \
             length between the lengths that were run. Times fewer: than the first optimiser; the \
             interval as that of the differences, of the logarithm, by the jackknife over seeds.",
            measure.name()
        ),
    }
}

/// What has changed since the reference.
pub fn changed(changes: &[Change], plan: &Plan) -> Table {
    let measure = plan.measure;
    let head = [
        "optimiser",
        "epochs",
        "was",
        "is",
        "mean change",
        "95 % interval",
        "verdict",
    ];
    let row = |change: &Change| {
        let dash = || "-".to_owned();
        let difference = change.difference.as_ref();
        let interval = difference.and_then(|d| d.interval);
        vec![
            change.name.clone(),
            change.epochs.to_string(),
            measure.show(change.was),
            measure.show(change.is),
            difference.map_or_else(dash, |d| signed(d.mean, measure)),
            interval.map_or_else(dash, |[a, b]| {
                format!("{} to {}", signed(a, measure), signed(b, measure))
            }),
            change.said().to_owned(),
        ]
    };
    Table {
        caption: "Since the reference".to_owned(),
        head: heads(&head),
        rows: changes.iter().map(row).collect(),
        foot: "Medians; changes and verdicts of runs of one seed, now minus then.".to_owned(),
    }
}
