//! Tables as Markdown, for the file; a terminal shows the same, aligned.

use std::fmt::Write;

use crate::compare::plan::Timing;
use crate::compare::table::{Reach, Row};
use crate::compare::tune::Tuning;
use crate::score::{Measure, number};

/// How verdicts come about, under every table.
const METHOD: &str = "\
Differences are paired by seed. Intervals and p: the more careful of Student's test and Hall's, \
which allows for skewness; p corrected for the number of rows (Holm), so that a table without any \
difference has a false verdict in at most 5 % of cases. An interval is that of its row alone.\n";

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or("not reached".to_owned(), |x| format!("{x:.digits$}"))
}

/// A median with its interval: `0.80 [0.70, 0.95]`; `inf` is where runs did not get there.
fn with_interval(value: Option<f64>, interval: Option<[Option<f64>; 2]>) -> String {
    let end = |x: Option<f64>| x.map_or("inf".to_owned(), |x| format!("{x:.2}"));
    match (value, interval) {
        (Some(_), Some([low, high])) => {
            format!("{} [{}, {}]", cell(value, 2), end(low), end(high))
        }
        _ => cell(value, 2),
    }
}

/// The table as Markdown.
pub fn markdown(
    rows: &[Row],
    targets: &[f64],
    (measure, timing): (Measure, Timing),
    looks: usize,
) -> String {
    let unit = match measure {
        Measure::Rmse => "",
        _ => " %",
    };
    // Where all runs have one length, it stands above the table, in the first line of the program.
    let one_length = rows.iter().all(|row| row.epochs == rows[0].epochs);
    let (head, rule) = if one_length {
        ("", "")
    } else {
        (" epochs |", "---|")
    };
    let mut text = format!(
        "| optimiser |{head} runs | test {}{unit}, median [min, max] | difference to the first, mean [95 %] | p | verdict |\n|---|{rule}---|---|---|---|---|\n",
        measure.name(),
    );
    for row in rows {
        let shown = |x: f64| match measure {
            Measure::Rmse => number(x),
            _ => format!("{x:.2}"),
        };
        let [middle, low, high] = row.test.map(|x| shown(measure.factor() * x));
        let signed = |x: f64| format!("{}{}", if x < 0.0 { "" } else { "+" }, shown(x));
        let dash = || "-".to_owned();
        let (difference, p, verdict) = match &row.difference {
            None => (dash(), dash(), "-"),
            Some(d) => (
                match d.interval {
                    Some([a, b]) => format!("{} [{}, {}]", signed(d.mean), signed(a), signed(b)),
                    None => signed(d.mean),
                },
                d.interval.map_or_else(dash, |_| probability(d.p)),
                match d.verdict.as_str() {
                    "no difference shown" => "none shown",
                    "too few seeds to tell" => "too few seeds",
                    other => other,
                },
            ),
        };
        let epochs = match one_length {
            true => String::new(),
            false => format!(" {} |", row.epochs),
        };
        let collapses = match row.collapses {
            0 => String::new(),
            count => format!(", {count} collapsed"),
        };
        let _ = writeln!(
            text,
            "| {} |{epochs} {}{collapses} | {middle} [{low}, {high}] | {difference} | {p} | {verdict} |",
            row.name, row.runs
        );
    }
    if rows.len() > 1 {
        let _ = write!(text, "\n{METHOD}");
        if looks > 1 {
            let _ = writeln!(
                text,
                "Seeds were added until the intervals were narrow enough, with up to {looks} looks at \
                 the table; intervals and p are corrected for these (Bonferroni)."
            );
        }
    }
    // Where runs differ in length, their lengths are what counts.
    if one_length && !targets.is_empty() {
        let an = match measure {
            Measure::Accuracy => "an accuracy",
            Measure::LabelsRight => "a share of labels right",
            Measure::Rmse => "an RMSE",
        };
        let seconds = timing.describe();
        let _ = write!(
            text,
            "\nTo {an} in the course of a run: gradient epochs and {seconds} of training, medians (a run that does not get there counts as infinitely far; with six runs or more, the 95 % interval by order statistics); how many times fewer than the first.\n\n| optimiser | target | reached | gradient epochs | fewer | {seconds} | fewer |\n|---|---|---|---|---|---|---|\n"
        );
        for (t, target) in targets.iter().enumerate() {
            for row in rows {
                let reach: &Reach = &row.targets[t];
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
                    with_interval(reach.gradient_epochs, reach.gradient_epochs_interval),
                    times(reach.ratio_epochs),
                    cell(reach.seconds, 1),
                    times(reach.ratio_seconds)
                );
            }
        }
    }
    text
}

/// A p-value: `0.034`, `< 0.001`.
pub fn probability(p: f64) -> String {
    if p < 0.001 {
        "< 0.001".to_owned()
    } else {
        format!("{p:.3}")
    }
}

/// The settings that tuning chose, as Markdown; nothing where nothing was tuned.
pub fn tuning(tunings: &[Tuning], measure: Measure) -> String {
    if tunings.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\nTuning: the settings that were taken, by their mean validation {} in three runs; of all that were tried, the range.\n\n| optimiser | epochs | taken | batch | settings | validation | tried [min, max] |\n|---|---|---|---|---|---|---|\n",
        measure.name()
    );
    for tuning in tunings {
        let trial = &tuning.trials[tuning.best];
        let values = tuning.trials.iter().map(|trial| trial.validation());
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        let taken = match tuning.best {
            0 => "the defaults".to_owned(),
            best => format!("no. {best}"),
        };
        let settings: Vec<String> = trial
            .drawn
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let settings = match settings.is_empty() {
            true => "-".to_owned(),
            false => settings.join(" "),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {taken} of {} | {} | {settings} | {} | [{}, {}] |",
            tuning.name,
            tuning.epochs,
            tuning.trials.len(),
            trial.batch,
            measure.show(trial.validation()),
            measure.show(low),
            measure.show(high),
        );
    }
    text
}
