//! The page's words and tables, from the results.

use super::words::{count, text_of};
use super::{Figure, Page, settings, tables, verdicts};
use crate::chart::Chart;
use crate::compare::arm::Arm;
use crate::compare::lengths::Length;
use crate::compare::plan::Plan;
use crate::compare::reference::Change;
use crate::compare::runs::Run;
use crate::compare::table::Row;
use crate::compare::tune::Tuning;
use crate::data::dataset::Dataset;
use crate::shell;

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
    /// What has changed since the reference.
    pub changes: &'a [Change],
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
    let mut all = vec![tables::results(rows, plan)];
    if plan.epochs.len() == 1 && !plan.targets.is_empty() {
        all.push(tables::reached(rows, plan));
    }
    if !lengths.is_empty() {
        all.push(tables::by_length(lengths, plan));
    }
    if !content.changes.is_empty() {
        all.push(tables::changed(content.changes, plan));
    }
    let mut chosen = vec![settings::resolved(plan, content.arms, content.runs)];
    chosen.extend(
        content
            .tuning
            .iter()
            .map(|tuning| settings::trials(tuning, plan)),
    );
    Page {
        title: title(plan, dataset),
        lead: lead(plan, rows),
        verdicts: verdicts::verdicts(plan, rows),
        tables: all,
        figures: content.charts.iter().map(Figure::new).collect(),
        settings: chosen,
        command: shell::line(content.plan.command.iter().skip(1)),
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
