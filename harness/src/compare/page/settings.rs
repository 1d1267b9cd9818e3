//! The page's tables of settings: as the optimisers ran, and what tuning tried.

use serde_json::Value;

use super::Table;
use super::words::{count, heads, text_of};
use crate::compare::arm::Arm;
use crate::compare::plan::Plan;
use crate::compare::runs::Run;
use crate::compare::tune::Tuning;

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

/// The settings of each optimiser as it ran.
pub fn resolved(plan: &Plan, arms: &[Arm], runs: &[Run]) -> Table {
    let several = plan.epochs.len() > 1;
    let mut head = heads(&["optimiser", "batch", "initial weights", "settings"]);
    if several {
        head.insert(1, "epochs".to_owned());
    }
    let mut rows = Vec::new();
    for (a, arm) in arms.iter().enumerate() {
        let Some(run) = runs.iter().find(|run| run.arm == a) else {
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
        caption: match arms.iter().any(|arm| arm.tuned) {
            true => "As they ran, after tuning".to_owned(),
            false => "As they ran".to_owned(),
        },
        head,
        rows,
        foot: String::new(),
    }
}

/// Every setting that was tried, the one that was taken first.
pub fn trials(tuning: &Tuning, plan: &Plan) -> Table {
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

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
