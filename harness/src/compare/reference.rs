//! An earlier result to hold the new one against: `--reference FILE`, or `--baseline NAME` of those
//! that `--save-baseline NAME` has kept.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::head::{Comparison, differences};
use super::show::probability;
use super::table::{Difference, Row, verdict};
use super::verdict::{LEVEL, Paired, holm, paired};
use crate::error::Error;
use crate::export::write_whole;
use crate::report::note;
use crate::score::{Measure, number};

/// Where `--save-baseline` keeps results.
const BASELINES: &str = "runs/baselines";

/// The part of an earlier result that is read.
#[derive(Debug, Deserialize)]
pub struct Reference {
    #[serde(default)]
    measure: Measure,
    /// The digest of the data; none in results of old versions.
    #[serde(default)]
    dataset: Option<Data>,
    #[serde(default)]
    spec: Option<String>,
    table: Vec<Row>,
    /// All else.
    #[serde(flatten)]
    head: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Data {
    sha256: String,
}

/// The change of an optimiser from the earlier result to this one.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// The optimiser.
    pub name: String,
    /// Passes over the training samples.
    pub epochs: f64,
    /// The median then.
    pub was: f64,
    /// The median now.
    pub is: f64,
    /// Whether all runs of one seed came out the same.
    pub same: bool,
    /// The mean difference of runs of one seed, now minus then, with its verdict; none without a
    /// seed in common.
    pub difference: Option<Difference>,
}

impl Change {
    /// The verdict in words.
    pub fn said(&self) -> &str {
        match &self.difference {
            None => "no seed in common",
            Some(_) if self.same => "the same",
            Some(d) => &d.verdict,
        }
    }
}

/// The file of a baseline.
///
/// # Errors
/// [`Error::Usage`] when the name is none for a file.
pub fn baseline(name: &str) -> Result<PathBuf, Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(fits) {
        return Err(Error::Usage(format!(
            "a baseline's name has letters, digits, '-', '_' and '.'; found '{name}'"
        )));
    }
    Ok(Path::new(BASELINES).join(format!("{name}.json")))
}

/// Keeps a result as a baseline.
///
/// # Errors
/// [`Error::Output`] when it cannot be written.
pub fn save(path: &Path, text: &str) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|source| Error::Output {
            path: folder.to_owned(),
            source,
        })?;
    }
    write_whole(path, text.as_bytes())
}

impl Reference {
    /// Reads an earlier result, which must be of the same data, network and measure.
    ///
    /// # Errors
    /// [`Error::Usage`] says why it cannot be compared with.
    pub fn read(
        path: &Path,
        (measure, spec, data): (Measure, &str, &str),
    ) -> Result<Reference, Error> {
        let wrong = |why: String| Error::Usage(format!("--reference {}: {why}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let old: Reference = serde_json::from_str(&text)
            .map_err(|error| wrong(format!("not a result of secant compare ({error})")))?;
        if old.measure != measure {
            return Err(wrong(format!(
                "it is judged by {}, this comparison by {}",
                old.measure.name(),
                measure.name()
            )));
        }
        if old.dataset.as_ref().is_some_and(|old| old.sha256 != data) {
            return Err(wrong("it is of other data".to_owned()));
        }
        if let Some(old) = old.spec.as_ref().filter(|old| *old != spec) {
            return Err(wrong(format!("it is of another network, '{old}'")));
        }
        Ok(old)
    }

    /// Says where the earlier comparison was made otherwise: its numbers are of that, too.
    pub fn note_differences(&self, about: &Comparison<'_>) {
        for difference in differences(&self.head, about) {
            note(&format!("The reference has {difference}."));
        }
    }

    /// What has changed, row by row, judged as the table is.
    pub fn changes(&self, rows: &[Row], measure: Measure) -> Vec<Change> {
        let mut changes: Vec<Change> = Vec::new();
        for row in rows {
            let mut all = self.table.iter();
            let same = |old: &&Row| (&old.name, old.epochs) == (&row.name, row.epochs);
            let Some(old) = all.find(same) else { continue };
            let pairs: Vec<f64> = row
                .seeds
                .iter()
                .zip(&row.values)
                .filter_map(|(seed, value)| {
                    let place = old.seeds.iter().position(|other| other == seed)?;
                    Some(measure.factor() * (value - old.values.get(place)?))
                })
                .collect();
            let Paired { mean, interval, p } = paired(&pairs, LEVEL);
            changes.push(Change {
                same: !pairs.is_empty() && pairs.iter().all(|pair| *pair == 0.0),
                name: row.name.clone(),
                epochs: row.epochs,
                was: old.test[0],
                is: row.test[0],
                difference: (!pairs.is_empty()).then(|| Difference {
                    mean,
                    interval,
                    p,
                    seeds: pairs.len(),
                    verdict: String::new(),
                }),
            });
        }
        if changes.is_empty() {
            note("The reference has none of these optimisers with runs of these lengths.");
        }
        let judged = changes.iter_mut().filter_map(|c| c.difference.as_mut());
        let judged: Vec<&mut Difference> = judged.collect();
        let own: Vec<f64> = judged.iter().map(|difference| difference.p).collect();
        for (difference, p) in judged.into_iter().zip(holm(&own)) {
            difference.p = p;
            let (seeds, mean) = (difference.seeds, difference.mean);
            difference.verdict = verdict(seeds, mean, p, measure).to_owned();
        }
        changes
    }
}

/// The changes as Markdown; nothing where there is nothing to hold against.
pub fn markdown(changes: &[Change], measure: Measure) -> String {
    if changes.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "\nSince the reference, runs of one seed beside each other:\n\n| optimiser | epochs | was | is | change, mean [95 %] | p | verdict |\n|---|---|---|---|---|---|---|\n",
    );
    let shown = |x: f64| match measure {
        Measure::Rmse => number(x),
        _ => format!("{x:+.2}"),
    };
    for change in changes {
        let (mean, p) = match &change.difference {
            None => ("-".to_owned(), "-".to_owned()),
            Some(d) => (
                match d.interval {
                    Some([a, b]) => format!("{} [{}, {}]", shown(d.mean), shown(a), shown(b)),
                    None => shown(d.mean),
                },
                probability(d.p),
            ),
        };
        let verdict = change.said();
        // Writing to a string never fails.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {mean} | {p} | {verdict} |",
            change.name,
            change.epochs,
            measure.show(change.was),
            measure.show(change.is)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[f64], seeds: &[u64]) -> Row {
        Row {
            name: "adam".to_owned(),
            epochs: 2.0,
            runs: values.len(),
            collapses: 0,
            rollbacks: 0,
            test: [values[0]; 3],
            values: values.to_vec(),
            seeds: seeds.to_vec(),
            targets: vec![],
            difference: None,
        }
    }

    #[test]
    fn changes_are_paired_by_seed() {
        let old = Reference {
            measure: Measure::Accuracy,
            dataset: None,
            spec: None,
            head: Map::new(),
            table: vec![row(&[0.1, 0.2, 0.3, 0.4], &[3, 2, 1, 0])],
        };
        let new = row(&[0.41, 0.312, 0.211, 0.9], &[0, 1, 2, 9]);
        let changes = old.changes(&[new], Measure::Accuracy);
        let difference = changes[0].difference.as_ref().unwrap();
        assert_eq!(difference.seeds, 3);
        assert!((difference.mean - 1.1).abs() < 1e-9, "{difference:?}");
        assert_eq!(difference.verdict, "better");
        let other = old.changes(&[row(&[0.5], &[77])], Measure::Accuracy);
        assert!(other[0].difference.is_none());
    }

    #[test]
    fn a_baselines_name_stays_in_its_folder() {
        assert!(baseline("v1.2_fast-math").is_ok());
        for name in ["", "../x", "a/b", ".hidden", "a b"] {
            assert!(baseline(name).is_err(), "{name}");
        }
    }
}
