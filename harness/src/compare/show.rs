//! The table as people and programs read it: Markdown for the file, aligned columns for a terminal,
//! comma-separated values.

use std::fmt::Write;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};

use super::arm::Arm;
use super::plan::Timing;
use super::runs::Run;
use super::table::{Reach, Row};
use super::tune::Tuning;
use crate::score::{Measure, number};

/// Columns of a terminal that every table fits.
const WIDTH: u16 = 80;

/// Columns between two columns of a table.
const GAP: u16 = 2;

/// How verdicts come about, under every table.
const METHOD: &str = "\
Differences are paired by seed. Intervals and p: the more careful of Student's test and Hall's, \
which allows for skewness; p corrected for the number of rows (Holm), so that a table without any \
difference has a false verdict in at most 5 % of cases. An interval is that of its row alone.\n";

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or("not reached".to_owned(), |x| format!("{x:.digits$}"))
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
            "\nTo {an} in the course of a run: gradient epochs and {seconds} of training, medians (a run that does not get there counts as infinitely far); how many times fewer than the first.\n\n| optimiser | target | reached | gradient epochs | fewer | {seconds} | fewer |\n|---|---|---|---|---|---|---|\n"
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

/// A p-value: `0.034`, `< 0.001`.
fn probability(p: f64) -> String {
    if p < 0.001 {
        "< 0.001".to_owned()
    } else {
        format!("{p:.3}")
    }
}

/// A Markdown text whose tables are aligned, and whose lines are cut at [`WIDTH`] columns.
pub fn terminal(markdown: &str) -> String {
    let mut text = String::new();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for line in markdown.lines().chain([""]) {
        if let Some(cells) = line.strip_prefix('|') {
            if !line.starts_with("|---") {
                let cells = cells.trim_end().trim_end_matches('|').split('|');
                rows.push(cells.map(|cell| cell.trim().to_owned()).collect());
            }
            continue;
        }
        if !rows.is_empty() {
            text += &aligned(std::mem::take(&mut rows));
            text.push('\n');
        }
        text += &wrapped(line);
        text.push('\n');
    }
    text.trim_end().to_owned()
}

/// Columns that words keep at least, before figures are broken into lines.
const NARROW: u16 = 8;

/// A table of which the first row is the head. Where it is too wide, names and settings are broken
/// into lines, and figures stand whole.
fn aligned(mut rows: Vec<Vec<String>>) -> String {
    let head = rows.remove(0);
    let length = |text: &str| text.chars().count() as u16;
    let mut widths: Vec<u16> = head
        .iter()
        .enumerate()
        .map(|(c, title)| {
            let words = title.split(' ').map(length);
            let cells = rows.iter().filter_map(|row| Some(length(row.get(c)?)));
            words.chain(cells).max().unwrap_or(1).max(1)
        })
        .collect();
    // Figures begin with a digit, a sign or a bracket; names and settings with a letter.
    let figure = |cell: &String| !cell.starts_with(char::is_alphabetic);
    let figures: Vec<bool> = (0..head.len())
        .map(|c| rows.iter().filter_map(|row| row.get(c)).all(figure))
        .collect();
    let room = WIDTH.saturating_sub(GAP * head.len() as u16);
    while widths.iter().sum::<u16>() > room {
        let columns = widths.iter_mut().zip(&figures);
        // Of words the widest column, and only if these are narrow already one of figures.
        let widest = columns.max_by_key(|(width, figure)| (!**figure && **width > NARROW, **width));
        match widest {
            Some((width, _)) if *width > 1 => *width -= 1,
            _ => break,
        }
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH);
    table.set_header(head);
    table.add_rows(rows);
    for (column, width) in table.column_iter_mut().zip(widths) {
        column.set_padding((0, GAP));
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width + GAP)));
    }
    let lines = table.lines();
    let lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// A line broken between words, so that a terminal shows it whole.
pub fn wrapped(line: &str) -> String {
    let mut text = String::new();
    let mut column = 0;
    for word in line.split(' ') {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > usize::from(WIDTH) {
            text.push('\n');
            column = 0;
        } else if column > 0 {
            text.push(' ');
            column += 1;
        }
        text += word;
        column += width;
    }
    text
}

/// The table as comma-separated values, one line an optimiser, length of run and target. Accuracies
/// are in percent and differences in percentage points, RMSEs in the data's own unit.
///
/// # Errors
/// Writing to memory does not fail.
pub fn csv(
    rows: &[Row],
    targets: &[f64],
    measure: Measure,
    timing: Timing,
) -> Result<String, csv::Error> {
    let (percent, points) = match measure {
        Measure::Rmse => ("", ""),
        _ => ("_percent", "_points"),
    };
    let seconds = timing.key();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "optimizer".to_owned(),
        "epochs".to_owned(),
        "runs".to_owned(),
        "collapses".to_owned(),
        "rollbacks".to_owned(),
        format!("test_median{percent}"),
        format!("test_min{percent}"),
        format!("test_max{percent}"),
        format!("difference{points}"),
        format!("low{points}"),
        format!("high{points}"),
        "p".to_owned(),
        "verdict".to_owned(),
        format!("target{percent}"),
        "reached".to_owned(),
        "gradient_epochs".to_owned(),
        seconds.to_owned(),
        "ratio_epochs".to_owned(),
        format!("ratio_{seconds}"),
    ])?;
    for row in rows {
        for t in 0..targets.len().max(1) {
            let number = |x: Option<f64>| x.map_or(String::new(), |x| x.to_string());
            let d = row.difference.as_ref();
            let [middle, low, high] = row.test.map(|x| (measure.factor() * x).to_string());
            let reach = row.targets.get(t);
            writer.write_record([
                row.name.clone(),
                row.epochs.to_string(),
                row.runs.to_string(),
                row.collapses.to_string(),
                row.rollbacks.to_string(),
                middle,
                low,
                high,
                number(d.map(|d| d.mean)),
                number(d.and_then(|d| Some(d.interval?[0]))),
                number(d.and_then(|d| Some(d.interval?[1]))),
                number(d.map(|d| d.p)),
                d.map_or(String::new(), |d| d.verdict.clone()),
                number(reach.map(|reach| measure.factor() * reach.target)),
                reach.map_or(String::new(), |reach| reach.reached.to_string()),
                number(reach.and_then(|reach| reach.gradient_epochs)),
                number(reach.and_then(|reach| reach.seconds)),
                number(reach.and_then(|reach| reach.ratio_epochs)),
                number(reach.and_then(|reach| reach.ratio_seconds)),
            ])?;
        }
    }
    text_of(writer)
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

/// Every setting that tuning tried, a line each.
///
/// # Errors
/// Writing to memory does not fail.
pub fn tuning_csv(tunings: &[Tuning], measure: Measure) -> Result<String, csv::Error> {
    let percent = match measure {
        Measure::Rmse => "",
        _ => "_percent",
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "optimizer".to_owned(),
        "epochs".to_owned(),
        "setting".to_owned(),
        "taken".to_owned(),
        "batch".to_owned(),
        "learning_rate".to_owned(),
        "drawn".to_owned(),
        format!("validation_{}{percent}", measure.key()),
    ])?;
    for tuning in tunings {
        for (i, trial) in tuning.trials.iter().enumerate() {
            let drawn: Vec<String> = trial
                .drawn
                .iter()
                .map(|(k, v)| format!("{k}={v}"))
                .collect();
            writer.write_record([
                tuning.name.clone(),
                tuning.epochs.to_string(),
                i.to_string(),
                (i == tuning.best).to_string(),
                trial.batch.to_string(),
                trial.learning_rate.to_string(),
                drawn.join(":"),
                (measure.factor() * trial.validation()).to_string(),
            ])?;
        }
    }
    text_of(writer)
}

/// A line a run, and a line an evaluation: what plots and statistics of one's own begin with.
///
/// # Errors
/// Writing to memory does not fail.
pub fn runs_csv(
    arms: &[Arm],
    runs: &[Run],
    (measure, timing): (Measure, Timing),
) -> Result<[String; 2], csv::Error> {
    let (percent, key) = match measure {
        Measure::Rmse => ("", measure.key()),
        _ => ("_percent", measure.key()),
    };
    let seconds = timing.key();
    let number = |x: Option<f64>| x.map_or(String::new(), |x| x.to_string());
    let figure = |x: Option<f64>| number(x.map(|x| measure.factor() * x));
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record([
        "optimizer",
        "epochs",
        "seed",
        "collapsed",
        "rollbacks",
        &format!("test_{key}{percent}"),
        "test_loss",
        &format!("validation_{key}{percent}"),
        "train_loss",
        "gradient_epochs",
        seconds,
        "iterations",
        "batch",
        "learning_rate",
    ])?;
    let mut course = csv::Writer::from_writer(Vec::new());
    course.write_record([
        "optimizer",
        "epochs",
        "seed",
        "evaluation",
        "gradient_epochs",
        seconds,
        "train_loss",
        &format!("watched_{key}{percent}"),
    ])?;
    for run in runs {
        let arm = &arms[run.arm];
        let names = [
            arm.name.clone(),
            arm.epochs.to_string(),
            run.seed.to_string(),
        ];
        let last = run.summary.history.last();
        let rest = [
            run.summary.collapsed.to_string(),
            run.summary.rollbacks.to_string(),
            figure(Some(run.summary.test)),
            number(run.record["test_loss"].as_f64()),
            figure(run.summary.validation),
            number(run.record["train_loss"].as_f64()),
            number(last.map(|point| point.gradient_epochs)),
            number(last.map(|point| point.train_seconds)),
            run.record["iterations"].to_string(),
            arm.batch.to_string(),
            arm.optimizer.settings().rate().to_string(),
        ];
        table.write_record(names.iter().chain(&rest))?;
        for (e, point) in run.summary.history.iter().enumerate() {
            let rest = [
                (e + 1).to_string(),
                point.gradient_epochs.to_string(),
                point.train_seconds.to_string(),
                number(point.train_loss),
                figure(point.watched),
            ];
            course.write_record(names.iter().chain(&rest))?;
        }
    }
    Ok([text_of(table)?, text_of(course)?])
}

/// What was written.
fn text_of(writer: csv::Writer<Vec<u8>>) -> Result<String, csv::Error> {
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_aligned_columns_that_fit() {
        let long = "lbfgs:history=4:learning-rate=0.02:warm-up=0.1:damping=0.25";
        let text = format!(
            "| optimiser | runs | test accuracy %, median [min, max] | difference to the first, mean [95 %] | p | verdict |\n\
             |---|---|---|---|---|---|\n\
             | adam | 5 | 88.35 [88.33, 88.85] | - | - | - |\n\
             | {long} | 5 | 89.22 [89.02, 89.36] | +0.69 [+0.42, +0.93] | 0.013 | better |\n\n\
             A sentence of more than eighty columns that a terminal would break in the midst of a word otherwise."
        );
        let shown = terminal(&text);
        assert!(!shown.contains('|'), "{shown}");
        for line in shown.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        // Whole cells stand in one line.
        let line = shown.lines().find(|line| line.contains("better")).unwrap();
        assert!(line.contains("89.22 [89.02, 89.36]") && line.contains("+0.69 [+0.42, +0.93]"));
        let adam = shown.lines().find(|line| line.contains("adam")).unwrap();
        assert_eq!(adam.find("88.35"), line.find("89.22"), "aligned: {shown}");
        assert!(shown.ends_with("otherwise."));
    }
}
