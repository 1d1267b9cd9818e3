//! The page's words and tables, from the results.

use std::ffi::OsString;

use serde_json::Value;

use super::{Figure, Kind, Page, Table, Verdict};
use crate::chart::Chart;
use crate::compare::arm::Arm;
use crate::compare::lengths::Length;
use crate::compare::plan::Plan;
use crate::compare::runs::Run;
use crate::compare::table::{Reach, Row};
use crate::compare::tune::Tuning;
use crate::data::dataset::Dataset;
use crate::score::{Measure, number};

/// Everything that the page is made of.
pub struct Content<'a> {
    /// What was compared.
    pub plan: &'a Plan,
    /// On what.
    pub dataset: &'a Dataset,
    /// The optimisers as they ran.
    pub arms: &'a [Arm],
    /// All runs.
    pub runs: &'a [Run],
    /// What tuning found.
    pub tuning: &'a [Tuning],
    /// A row for each optimiser and length of run.
    pub rows: &'a [Row],
    /// Lengths of run to the targets.
    pub lengths: &'a [Length],
    /// The figures.
    pub charts: &'a [Chart],
}

/// The page of a comparison.
pub fn page(content: &Content<'_>) -> Page {
    let Content {
        plan,
        dataset,
        rows,
        lengths,
        ..
    } = *content;
    let mut tables = vec![results(rows, plan)];
    if plan.epochs.len() == 1 && !plan.targets.is_empty() {
        tables.push(reached(rows, plan));
    }
    if !lengths.is_empty() {
        tables.push(by_length(lengths, plan));
    }
    let mut settings = vec![resolved(content)];
    settings.extend(content.tuning.iter().map(|tuning| trials(tuning, plan)));
    Page {
        title: title(plan, dataset),
        lead: lead(plan, rows),
        verdicts: verdicts(plan, rows),
        tables,
        figures: content.charts.iter().map(Figure::new).collect(),
        settings,
        command: command(std::env::args_os().skip(1)),
        facts: facts(content),
        version: env!("CARGO_PKG_VERSION"),
    }
}

/// `adam and lbfgs on fashion-mnist`.
fn title(plan: &Plan, dataset: &Dataset) -> String {
    let names = &plan.optimizers;
    let what = match names.as_slice() {
        [one] => one.clone(),
        [first, other] => format!("{first} and {other}"),
        [first, rest @ ..] => format!("{first} and {} others", rest.len()),
        [] => String::new(),
    };
    format!("{what} on {}", dataset.name)
}

fn lead(plan: &Plan, rows: &[Row]) -> String {
    let lengths: Vec<String> = plan.epochs.iter().map(f64::to_string).collect();
    let runs: usize = rows.iter().map(|row| row.runs).sum();
    let wanted = plan.optimizers.len() * plan.epochs.len() * plan.seeds.len();
    let mut text = format!(
        "The network {}, {} a run, {}{}.",
        plan.model.name,
        count(&lengths.join(", "), "epoch"),
        count(&plan.seeds.len().to_string(), "seed"),
        match plan.tune {
            0 => String::new(),
            n => format!(", after {n} settings tried for each optimiser"),
        }
    );
    if runs < wanted {
        text += &format!(" Interrupted: {runs} of {wanted} runs were done.");
    }
    text
}

/// `1 seed`, `2 seeds`.
fn count(number: &str, what: &str) -> String {
    match number {
        "1" => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// A value of the measure, without its unit.
fn bare(value: f64, measure: Measure) -> String {
    match measure {
        Measure::Rmse => number(value),
        _ => format!("{value:.2}"),
    }
}

fn signed(value: f64, measure: Measure) -> String {
    let sign = if value < 0.0 { "−" } else { "+" };
    format!("{sign}{}", bare(value.abs(), measure))
}

/// An optimiser's name, with the length of its runs where there are several.
fn name(row: &Row, plan: &Plan) -> String {
    match plan.epochs.len() {
        1 => row.name.clone(),
        _ => format!("{}, {}", row.name, count(&row.epochs.to_string(), "epoch")),
    }
}

fn verdicts(plan: &Plan, rows: &[Row]) -> Vec<Verdict> {
    let measure = plan.measure;
    let unit = match measure {
        Measure::Rmse => "of test RMSE".to_owned(),
        _ => format!("points of test {}", measure.name()),
    };
    let first = plan.optimizers.first().map_or("", String::as_str);
    let mut verdicts = Vec::new();
    for row in rows {
        if let Some(difference) = &row.difference {
            let name = name(row, plan);
            let (kind, headline) = match difference.verdict.as_str() {
                "better" => (Kind::Better, format!("{name} is better than {first}")),
                "worse" => (Kind::Worse, format!("{name} is worse than {first}")),
                "no difference shown" => (
                    Kind::Even,
                    format!("No difference between {name} and {first} was shown"),
                ),
                other => (Kind::Unknown, format!("{name} against {first}: {other}")),
            };
            let interval = difference.interval.map_or(String::new(), |[low, high]| {
                format!(
                    "; 95 % interval {} to {}",
                    signed(low, measure),
                    signed(high, measure)
                )
            });
            let mut detail = format!(
                "{} {unit} on average over {}{interval}.",
                signed(difference.mean, measure),
                count(&difference.seeds.to_string(), "seed"),
            );
            if plan.epochs.len() == 1 {
                detail += &farthest(&row.targets, first, plan);
            }
            verdicts.push(Verdict {
                kind,
                headline,
                detail,
            });
        }
    }
    together(&mut verdicts);
    for row in rows.iter().filter(|row| row.collapses > 0) {
        verdicts.push(Verdict {
            kind: Kind::Warning,
            headline: format!(
                "{}: {} of {} runs collapsed",
                name(row, plan),
                row.collapses,
                row.runs
            ),
            detail: "A run that collapsed learned next to nothing, or lost what it had learned."
                .to_owned(),
        });
    }
    if verdicts.is_empty()
        && let Some(row) = rows.first()
    {
        let [middle, low, high] = row.test.map(|value| measure.show(value));
        verdicts.push(Verdict {
            kind: Kind::Unknown,
            headline: format!("{}: nothing to compare it with", name(row, plan)),
            detail: format!("Test {}: median {middle}, {low} to {high}.", measure.name()),
        });
    }
    verdicts
}

/// Makes one of many verdicts that say nothing.
fn together(verdicts: &mut Vec<Verdict>) {
    let open = |verdict: &Verdict| verdict.kind == Kind::Unknown;
    let count = verdicts.iter().filter(|verdict| open(verdict)).count();
    if count < 3 {
        return;
    }
    verdicts.retain(|verdict| !open(verdict));
    verdicts.push(Verdict {
        kind: Kind::Unknown,
        headline: format!("Too few seeds to tell {count} differences"),
        detail: "What was seen stands in the table; more --seeds tell more.".to_owned(),
    });
}

/// How soon the farthest of the targets was reached that both reached.
fn farthest(targets: &[Reach], first: &str, plan: &Plan) -> String {
    let measure = plan.measure;
    let both = targets.iter().filter(|reach| reach.ratio_epochs.is_some());
    let farthest = both.reduce(|a, b| match measure.reaches(b.target, a.target) {
        true => b,
        false => a,
    });
    let Some(reach) = farthest else {
        return String::new();
    };
    // The first optimiser's own are these times the ratio.
    let (Some(epochs), Some(ratio)) = (reach.gradient_epochs, reach.ratio_epochs) else {
        return String::new();
    };
    let (Some(seconds), Some(ratio_seconds)) = (reach.seconds, reach.ratio_seconds) else {
        return String::new();
    };
    format!(
        " To {} {} in the course of a run it took {epochs:.2} gradient epochs and {seconds:.2} \
         {}; {first} took {:.2} and {:.2}.",
        target(reach.target, measure),
        measure.name(),
        plan.timing.describe(),
        ratio * epochs,
        ratio_seconds * seconds
    )
}

fn target(value: f64, measure: Measure) -> String {
    match measure {
        Measure::Rmse => number(value),
        _ => format!("{} %", (1e4 * value).round() / 100.0),
    }
}

fn heads(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn results(rows: &[Row], plan: &Plan) -> Table {
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

fn reached(rows: &[Row], plan: &Plan) -> Table {
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
        let value = |x: Option<f64>| x.map_or("not reached".to_owned(), |x| format!("{x:.2}"));
        let times = |x: Option<f64>| x.map_or("-".to_owned(), |x| format!("{x:.2} ×"));
        vec![
            row.name.clone(),
            target(reach.target, measure),
            format!("{} of {}", reach.reached, row.runs),
            value(reach.gradient_epochs),
            times(reach.ratio_epochs),
            value(reach.seconds),
            times(reach.ratio_seconds),
        ]
    };
    let mut foot = String::new();
    if lines.clone().next().is_some() {
        foot += "Medians over the seeds; a run that does not reach a target counts as infinite. \
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

fn by_length(lengths: &[Length], plan: &Plan) -> Table {
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
            times(row.ratio_epochs.map(|(ratio, _)| ratio)),
            row.ratio_epochs.map_or("-".to_owned(), |(_, [low, high])| {
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
             length between the lengths that were run. Times fewer: than the first optimiser.",
            measure.name()
        ),
    }
}

/// The settings of an optimiser's record, in words: those that are `wanted` and have no column.
fn in_words(optimizer: &Value, wanted: impl Fn(&str) -> bool) -> String {
    let object = optimizer.as_object().into_iter().flatten();
    let own = object.filter(|(key, value)| {
        let elsewhere = ["name", "batch", "init", "rollbacks"].contains(&key.as_str());
        !elsewhere && !value.is_null() && wanted(key)
    });
    let words = own.map(|(key, value)| {
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        format!("{} {value}", key.replace('_', "-"))
    });
    words.collect::<Vec<_>>().join(", ")
}

/// A value as its own text has it: a float of 32 bits with no more digits than it needs.
fn as_text(value: &impl serde::Serialize) -> Value {
    let text = serde_json::to_string(value).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn resolved(content: &Content<'_>) -> Table {
    let several = content.plan.epochs.len() > 1;
    let mut head = heads(&["optimiser", "batch", "initial weights", "settings"]);
    if several {
        head.insert(1, "epochs".to_owned());
    }
    let mut rows = Vec::new();
    for (a, arm) in content.arms.iter().enumerate() {
        let Some(run) = content.runs.iter().find(|run| run.arm == a) else {
            continue;
        };
        let optimizer = &run.record["optimizer"];
        let mut row = vec![
            arm.name.clone(),
            text_of(&optimizer["batch"]),
            text_of(&optimizer["init"]),
            in_words(optimizer, |_| true),
        ];
        if several {
            row.insert(1, arm.epochs.to_string());
        }
        rows.push(row);
    }
    Table {
        caption: match content.tuning.is_empty() {
            true => "As they ran".to_owned(),
            false => "As they ran, after tuning".to_owned(),
        },
        head,
        rows,
        foot: String::new(),
    }
}

/// Every setting that was tried, the one that was taken first.
fn trials(tuning: &Tuning, plan: &Plan) -> Table {
    let measure = plan.measure;
    let all: Vec<Value> = tuning
        .trials
        .iter()
        .map(|t| as_text(&t.optimizer))
        .collect();
    let differs = |key: &str| all.iter().any(|other| other[key] != all[0][key]);
    let mut rows: Vec<(usize, Vec<String>)> = Vec::new();
    for (i, trial) in tuning.trials.iter().enumerate() {
        let value = match trial.validation() {
            value if value.is_finite() => measure.show(value),
            _ => "collapsed".to_owned(),
        };
        let mark = match i {
            _ if i == tuning.best => format!("{} (taken)", i + 1),
            0 => "1 (defaults)".to_owned(),
            _ => (i + 1).to_string(),
        };
        let words = in_words(&all[i], differs);
        let batch = text_of(&as_text(&trial.batch));
        rows.push((i, vec![mark, value, batch, words]));
    }
    rows.sort_by_key(|(i, _)| *i != tuning.best);
    let length = match plan.epochs.len() {
        1 => String::new(),
        _ => format!(", {}", count(&tuning.epochs.to_string(), "epoch")),
    };
    let figure = format!("validation {}", measure.name());
    Table {
        caption: format!("Tried for {}{length}", tuning.name),
        head: heads(&["setting", &figure, "batch", "settings"]),
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        foot:
            "Means of three runs on seeds that the comparison does not use; the first setting is \
               the default, the others are drawn at random. What does not differ is left out."
                .to_owned(),
    }
}

fn facts(content: &Content<'_>) -> Vec<(String, String)> {
    let Content { plan, dataset, .. } = *content;
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
    fact("data", dataset.name.clone());
    fact("data from", dataset.source.clone());
    fact("digest of the data", dataset.digest.clone());
    if let Some(run) = content.runs.first() {
        let data = &run.record["dataset"];
        let samples = ["train", "validation", "test"].map(|part| text_of(&data[part]));
        let [train, validation, test] = samples;
        fact(
            "samples",
            format!("{train} to train, {validation} to validate, {test} to test"),
        );
        fact("parameters", text_of(&run.record["parameters"]));
        fact("loss", text_of(&run.record["loss"]));
        fact("instruction set", text_of(&run.record["isa"]));
        fact("threads of a run", text_of(&run.record["threads"]));
    }
    let seeds: Vec<String> = plan.seeds.iter().map(u64::to_string).collect();
    let shown = match seeds.as_slice() {
        [first, .., last] if seeds.len() > 3 => format!("{first} to {last}"),
        few => few.join(", "),
    };
    fact("seeds", shown);
    facts
}

/// A command line that a shell reads as these words.
fn command(words: impl Iterator<Item = OsString>) -> String {
    let mut line = String::from("secant");
    for word in words {
        let word = word.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
        line.push(' ');
        if !word.is_empty() && word.chars().all(plain) {
            line.push_str(&word);
        } else {
            line.push_str(&format!("'{}'", word.replace('\'', r"'\''")));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_survives_a_shell() {
        let words = [
            "compare",
            "--model",
            "conv4k3 relu",
            "",
            "it's",
            "a\\b",
            "$HOME",
        ];
        let line = command(words.map(OsString::from).into_iter());
        let line = line.strip_prefix("secant ").unwrap();
        let script = format!("for word in {line}; do printf '%s|' \"$word\"; done");
        let shell = std::process::Command::new("sh")
            .args(["-c", &script])
            .output();
        let read = String::from_utf8(shell.unwrap().stdout).unwrap();
        assert_eq!(read, words.map(|word| format!("{word}|")).concat());
    }

    #[test]
    fn settings_are_shown_as_they_were_given() {
        let record = as_text(&serde_json::json!({
            "name": "adam", "learning_rate": 0.01, "batch": 32, "init": "pytorch",
            "schedule": "cosine", "clip": null,
        }));
        assert_eq!(
            in_words(&record, |_| true),
            "learning-rate 0.01, schedule cosine"
        );
        assert_eq!(as_text(&0.1f32).to_string(), "0.1");
        assert_eq!(target(0.29, Measure::Accuracy), "29 %");
        assert_eq!(target(0.9198, Measure::Accuracy), "91.98 %");
    }
}
