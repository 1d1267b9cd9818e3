//! Labels as they lie in files, and how they become classes.

use std::collections::{BTreeMap, BTreeSet};

use super::elements::Targets;
use super::error::quoted;

/// The most classes.
pub const MAX_CLASSES: usize = 1 << 16;

/// The labels of a part as its file has them.
#[derive(Debug, Clone, PartialEq)]
pub enum Labels {
    /// Integers that number the classes.
    Numbers(Vec<i64>),
    /// Names of classes.
    Names(Vec<String>),
    /// Numbers to predict, `width` a sample.
    Values {
        /// Sample by sample.
        values: Vec<f32>,
        /// Numbers a sample.
        width: usize,
    },
}

impl Labels {
    /// Number of samples.
    pub fn len(&self) -> usize {
        match self {
            Labels::Numbers(labels) => labels.len(),
            Labels::Names(labels) => labels.len(),
            Labels::Values { values, width } => values.len() / (*width).max(1),
        }
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What they are, for messages.
    pub fn kind(&self) -> String {
        match self {
            Labels::Numbers(_) => "numbered classes".to_owned(),
            Labels::Names(_) => "named classes".to_owned(),
            Labels::Values { width, .. } => format!("{width} number(s) to predict"),
        }
    }
}

/// Labels of all parts as targets.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// In the order of the parts.
    pub targets: Vec<Targets>,
    /// Names of the classes; empty for numbers to predict.
    pub names: Vec<String>,
    /// What was done to the labels, if it was more than to take them.
    pub note: Option<String>,
}

/// Turns the labels of all parts, which must be of one kind, into targets.
///
/// * Numbered classes are taken as they are where the least is 0 or more than 1. Where the least is
///   1, as in EMNIST's letters, 1 is subtracted. Where the least is negative, as with labels -1 and
///   1, the numbers that occur are the classes, in rising order.
/// * Named classes are sorted: by value where all names are numbers, by letters otherwise.
///
/// # Errors
/// A line that says so: more than [`MAX_CLASSES`] classes, or a number to predict that is not
/// finite.
pub fn resolve(parts: Vec<Labels>) -> Result<Resolved, String> {
    let numbers = || {
        parts.iter().flat_map(|part| match part {
            Labels::Numbers(labels) => labels.as_slice(),
            _ => &[],
        })
    };
    let (least, most) = (numbers().min().copied(), numbers().max().copied());
    let names: BTreeSet<&String> = parts
        .iter()
        .flat_map(|part| match part {
            Labels::Names(labels) => labels.as_slice(),
            _ => &[],
        })
        .collect();
    if let (Some(least), Some(most)) = (least, most) {
        return number(&parts, least, most);
    }
    if !names.is_empty() {
        return name(&parts, sorted(names));
    }
    let mut targets = Vec::new();
    for part in parts {
        if let Labels::Values { values, width } = part {
            if let Some(position) = values.iter().position(|value| !value.is_finite()) {
                return Err(format!(
                    "expected finite numbers to predict, found {} for sample {}",
                    values[position],
                    position / width.max(1)
                ));
            }
            targets.push(Targets::Values { values, width });
        } else {
            targets.push(Targets::Classes(Vec::new()));
        }
    }
    Ok(Resolved {
        targets,
        names: Vec::new(),
        note: None,
    })
}

/// Why so many labels do not go with `count` samples.
pub fn wanted(count: u64, found: u64) -> String {
    format!("expected {count} labels, one for each sample beside it, found {found}")
}

fn number(parts: &[Labels], least: i64, most: i64) -> Result<Resolved, String> {
    let all = || {
        parts.iter().map(|part| match part {
            Labels::Numbers(labels) => labels.as_slice(),
            _ => &[],
        })
    };
    if least < 0 {
        let distinct: BTreeSet<i64> = all().flatten().copied().collect();
        too_many(distinct.len())?;
        let classes: BTreeMap<i64, u16> = distinct.iter().copied().zip(0..=u16::MAX).collect();
        let class = |label: &i64| classes.get(label).copied().unwrap_or_default();
        return Ok(Resolved {
            targets: all()
                .map(|labels| Targets::Classes(labels.iter().map(class).collect()))
                .collect(),
            note: Some(format!(
                "The labels run from {least} to {most}: the {} numbers that occur are the classes, in rising order.",
                distinct.len()
            )),
            names: distinct.iter().map(ToString::to_string).collect(),
        });
    }
    let first = i64::from(least == 1);
    if most - first >= MAX_CLASSES as i64 {
        return Err(format!(
            "expected labels from 0 to {}, found {most}",
            MAX_CLASSES - 1
        ));
    }
    let class = |label: &i64| u16::try_from(label - first).unwrap_or_default();
    Ok(Resolved {
        targets: all()
            .map(|labels| Targets::Classes(labels.iter().map(class).collect()))
            .collect(),
        names: (first..=most).map(|label| label.to_string()).collect(),
        note: (first == 1).then(|| {
            format!("The labels run from 1 to {most}: class 0 of the network is label 1.")
        }),
    })
}

fn name(parts: &[Labels], names: Vec<String>) -> Result<Resolved, String> {
    too_many(names.len())?;
    let classes: BTreeMap<&String, u16> = names.iter().zip(0..=u16::MAX).collect();
    let class = |label: &String| classes.get(label).copied().unwrap_or_default();
    let targets = parts.iter().map(|part| match part {
        Labels::Names(labels) => Targets::Classes(labels.iter().map(class).collect()),
        _ => Targets::Classes(Vec::new()),
    });
    Ok(Resolved {
        targets: targets.collect(),
        names: names.clone(),
        note: None,
    })
}

fn too_many(classes: usize) -> Result<(), String> {
    if classes > MAX_CLASSES {
        return Err(format!(
            "expected at most {MAX_CLASSES} classes, found {classes}"
        ));
    }
    Ok(())
}

/// By value where all are numbers, by letters otherwise.
fn sorted(names: BTreeSet<&String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().cloned().collect();
    let values: Option<Vec<f64>> = names.iter().map(|name| name.parse().ok()).collect();
    if let Some(values) = values {
        let mut pairs: Vec<(f64, String)> = values.into_iter().zip(names).collect();
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        names = pairs.into_iter().map(|(_, name)| name).collect();
    }
    names
}

/// Lines about classes that cannot be learned: those with no sample or a single one among `counts`,
/// which are of the training part.
pub fn warnings(names: &[String], counts: &[usize]) -> Vec<String> {
    let with = |wanted: usize| -> Vec<String> {
        let classes = names.iter().zip(counts);
        let classes = classes.filter(|(_, count)| **count == wanted);
        classes.map(|(name, _)| quoted(name)).collect()
    };
    let mut lines = Vec::new();
    if names.len() == 1 {
        lines.push(format!(
            "There is one class only, {}: every network is always right.",
            quoted(&names[0])
        ));
    }
    for (count, words) in [
        (0, "no training sample: a network cannot learn"),
        (1, "a single training sample: validation will not see"),
    ] {
        let classes = with(count);
        match classes.len() {
            0 => {}
            1 => lines.push(format!("Class {} has {words} it.", classes[0])),
            some => lines.push(format!(
                "{some} classes have {words} them: {}.",
                super::error::listed(&classes)
            )),
        }
    }
    lines
}
