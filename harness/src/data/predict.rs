//! What to predict, where a person wants something else than the files say.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::error::{DataError, quoted};
use super::labels::Labels;

/// What a network shall predict.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Predict {
    /// What the files say.
    #[default]
    Labels,
    /// The labels as numbers, also where they are whole.
    Numbers,
    /// The labels as classes, also where they are written as floats.
    Classes,
    /// The sample itself, as an autoencoder does. Labels are not needed.
    Input,
    /// These columns of a table.
    Columns(Vec<String>),
}

/// As it is read; nothing for what the files say.
impl fmt::Display for Predict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Predict::Labels => Ok(()),
            Predict::Numbers => f.write_str("numbers"),
            Predict::Classes => f.write_str("classes"),
            Predict::Input => f.write_str("input"),
            Predict::Columns(columns) => f.write_str(&columns.join(",")),
        }
    }
}

impl FromStr for Predict {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "numbers" => Predict::Numbers,
            "classes" => Predict::Classes,
            "input" => Predict::Input,
            _ => {
                let columns: Vec<String> = text.split(',').map(|c| c.trim().to_owned()).collect();
                if columns.iter().any(String::is_empty) {
                    return Err(
                        "expected numbers, classes, input, or names of a table's columns"
                            .to_owned(),
                    );
                }
                Predict::Columns(columns)
            }
        })
    }
}

impl Predict {
    /// Refuses columns where the data is no table.
    pub fn no_columns(&self, path: &Path) -> Result<(), DataError> {
        match self {
            Predict::Columns(columns) => Err(DataError::new(
                path,
                format!(
                    "expected a table (CSV) to predict the columns {} of, found data without \
                     columns; --predict numbers, classes or input suits any data",
                    quoted(&columns.join(","))
                ),
            )),
            _ => Ok(()),
        }
    }

    /// The labels of `path` as they are wanted.
    ///
    /// # Errors
    /// A label that is not so.
    pub fn convert(&self, path: &Path, labels: Labels) -> Result<Labels, DataError> {
        let refuse = |expected: &str, found: &dyn ToString, sample: usize| {
            DataError::new(
                path,
                format!(
                    "expected {expected}, found {} for sample {sample}",
                    found.to_string()
                ),
            )
        };
        Ok(match (self, labels) {
            (Predict::Numbers, Labels::Numbers(numbers)) => Labels::Values {
                values: numbers.into_iter().map(|number| number as f32).collect(),
                width: 1,
            },
            (Predict::Numbers, Labels::Names(names)) => {
                let mut values = Vec::with_capacity(names.len());
                for (sample, name) in names.iter().enumerate() {
                    let value = name.parse::<f32>().ok().filter(|value| value.is_finite());
                    let wrong = || refuse("labels that are numbers", &quoted(name), sample);
                    values.push(value.ok_or_else(wrong)?);
                }
                Labels::Values { values, width: 1 }
            }
            (Predict::Classes, Labels::Values { values, width: 1 }) => {
                let mut numbers = Vec::with_capacity(values.len());
                for (sample, value) in values.into_iter().enumerate() {
                    if value.fract() != 0.0 || value.abs() > 1e9 {
                        return Err(refuse("whole numbers as classes", &value, sample));
                    }
                    numbers.push(value as i64);
                }
                Labels::Numbers(numbers)
            }
            (Predict::Classes, Labels::Values { width, .. }) => {
                return Err(DataError::new(
                    path,
                    format!("expected one class for each sample, found {width} numbers"),
                ));
            }
            (_, labels) => labels,
        })
    }
}
