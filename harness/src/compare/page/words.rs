//! Numbers and names as the page writes them.

use serde_json::Value;

use crate::compare::plan::Plan;
use crate::compare::table::Row;
use crate::score::{Measure, number};

/// `1 seed`, `2 seeds`.
pub fn count(number: &str, what: &str) -> String {
    match number {
        "1" => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// A value of the measure, without its unit.
pub fn bare(value: f64, measure: Measure) -> String {
    match measure {
        Measure::Rmse => number(value),
        _ => format!("{value:.2}"),
    }
}

/// With its sign.
pub fn signed(value: f64, measure: Measure) -> String {
    let sign = if value < 0.0 { "−" } else { "+" };
    format!("{sign}{}", bare(value.abs(), measure))
}

/// An optimiser's name, with the length of its runs where there are several.
pub fn name(row: &Row, plan: &Plan) -> String {
    match plan.epochs.len() {
        1 => row.name.clone(),
        _ => format!("{}, {}", row.name, count(&row.epochs.to_string(), "epoch")),
    }
}

/// A target, no longer than it was given.
pub fn target(value: f64, measure: Measure) -> String {
    match measure {
        Measure::Rmse => number(value),
        _ => format!("{} %", (1e4 * value).round() / 100.0),
    }
}

/// Names of columns.
pub fn heads(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A text without its quotes, anything else as JSON has it.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_shown_as_they_were_given() {
        assert_eq!(target(0.29, Measure::Accuracy), "29 %");
        assert_eq!(target(0.9198, Measure::Accuracy), "91.98 %");
    }
}
