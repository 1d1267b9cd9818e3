//! Reads tables of comma-separated values, a sample a row: `train.csv` and `test.csv`, or one file.
//!
//! ```text
//! ax_0,ax_1,ax_2,ay_0,ay_1,ay_2,label
//! 0.1,0.2,0.1,-1.5,-1.4,-1.5,shake
//! ```
//!
//! The first line is a header, and one column is called `label`, `class` or `target`, in any case,
//! wherever it stands. If its values are numbers and not all of them whole, they are numbers to
//! predict; otherwise classes. Columns that a person names instead ([`Predict::Columns`]) are
//! numbers to predict, several to a sample if need be; a single one that is not all numbers holds
//! classes. A column without a name holds row numbers, as pandas writes them, and is left out. All
//! other columns are numbers.
//!
//! A sample has shape columns x 1 x 1, each column a channel, so that each is scaled by its own
//! mean and deviation; unless *all* columns are named by place, in any order:
//!
//! | columns | shape |
//! |---|---|
//! | `ax_0`, `ax_1`, ..., `ay_0`, ... (or `ax0`, ...): a name and a number | channels x 1 x length |
//! | `1x1`, `1x2`, ..., or `red_0x0`, ...: perhaps a name, row x column | channels x rows x columns |
//!
//! Channels are in the order in which their names appear; each must be complete. Counting may begin
//! at 0 or 1.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secant::network::Shape;

use super::elements::Elements;
use super::error::{DataError, listed, quoted};
use super::files;
use super::labels::Labels;
use super::pieces::{Piece, Pieces};
use super::predict::Predict;

/// Names of the column with the labels.
pub const LABEL_COLUMNS: [&str; 3] = ["label", "class", "target"];

/// The files of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    train: PathBuf,
    test: Option<PathBuf>,
}

/// The tables in the folder `path`: `train.csv` and perhaps `test.csv`, or one alone; or the file
/// `path`.
///
/// # Errors
/// Several files, none of which is called `train.csv`.
pub fn find(path: &Path) -> Result<Option<Files>, DataError> {
    if path.is_file() {
        let table = files::has_ending(path, "csv");
        return Ok(table.then(|| Files {
            train: path.to_owned(),
            test: None,
        }));
    }
    let all = files::ending(path, "csv");
    let named = |wanted: &str| {
        let found = all
            .iter()
            .find(|p| files::name(p).eq_ignore_ascii_case(wanted));
        found.cloned()
    };
    if let Some(train) = named("train.csv") {
        let test = named("test.csv");
        return Ok(Some(Files { train, test }));
    }
    let train = files::only(path, "file train.csv", all)?;
    Ok(train.map(|train| Files { train, test: None }))
}

/// Reads the files; `predict` says which columns are not part of the samples.
///
/// # Errors
/// The first file that is not what it should be.
pub fn read_set(files: &Files, predict: &Predict) -> Result<Pieces, DataError> {
    let read = |path: &Path| read(path, predict);
    let train = read(&files.train)?;
    let test = files.test.as_deref().map(read).transpose()?;
    if let Some(test) = &test
        && test.columns != train.columns
    {
        let differs = test.columns.iter().zip(&train.columns);
        let position = differs.take_while(|(a, b)| a == b).count();
        let shown = |columns: &[String]| columns.get(position).map_or("none".into(), |c| quoted(c));
        return Err(DataError::new(
            &test.path,
            format!(
                "expected the columns of {}, there {} as number {}, found {}",
                files::name(&train.path),
                shown(&train.columns),
                position + 1,
                shown(&test.columns)
            ),
        ));
    }
    let mut notes: Vec<String> = train.note.iter().cloned().collect();
    // One rule for both: a number that is not whole in either makes it a regression.
    let texts = train.labels.iter();
    let texts = texts.chain(test.iter().flat_map(|test| &test.labels));
    let numbers: Option<Vec<f64>> = texts.map(|text| text.parse().ok()).collect();
    let whole = |values: &Vec<f64>| values.iter().all(|value| value.fract() == 0.0);
    let regression = match predict {
        Predict::Columns(columns) => columns.len() > 1 || numbers.is_some(),
        _ => numbers.as_ref().is_some_and(|values| !whole(values)),
    };
    if regression && *predict == Predict::Labels {
        notes.push(format!(
            "The column '{}' holds numbers that are not all whole: they are predicted as numbers, not as classes.",
            train.label_columns[0]
        ));
    }
    Ok(Pieces {
        name: None,
        names: Vec::new(),
        train: train.into_piece(regression)?,
        test: test.map(|test| test.into_piece(regression)).transpose()?,
        notes,
    })
}

/// A table as it was read.
struct Table {
    path: PathBuf,
    /// Names of the columns to predict.
    label_columns: Vec<String>,
    /// Names of the other columns.
    columns: Vec<String>,
    shape: Shape,
    values: Vec<f32>,
    /// Their texts, sample by sample.
    labels: Vec<String>,
    note: Option<String>,
}

impl Table {
    fn into_piece(self, regression: bool) -> Result<Piece, DataError> {
        let width = self.label_columns.len();
        let labels = if regression {
            let mut values = Vec::with_capacity(self.labels.len());
            for (i, text) in self.labels.iter().enumerate() {
                let value = text.parse::<f32>().ok().filter(|value| value.is_finite());
                values.push(value.ok_or_else(|| {
                    DataError::new(
                        &self.path,
                        format!(
                            "expected a finite number to predict in column {}, found {} for sample {}",
                            quoted(&self.label_columns[i % width]),
                            quoted(text),
                            i / width
                        ),
                    )
                })?);
            }
            Labels::Values { values, width }
        } else {
            Labels::Names(self.labels)
        };
        Ok(Piece {
            labels_path: self.path.clone(),
            path: self.path,
            shape: self.shape,
            elements: Elements::F32(self.values),
            labels,
        })
    }
}

/// The columns to predict, and those that are neither predicted nor part of a sample.
fn label_columns(
    path: &Path,
    header: &[String],
    predict: &Predict,
) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    let shown: Vec<String> = header.iter().map(|name| quoted(name)).collect();
    let is_label = |name: &String| {
        let mut wanted = LABEL_COLUMNS.iter();
        wanted.any(|wanted| name.eq_ignore_ascii_case(wanted))
    };
    let found: Vec<usize> = (0..header.len())
        .filter(|&c| is_label(&header[c]))
        .collect();
    match (predict, found.as_slice()) {
        (Predict::Input, _) => Ok((Vec::new(), found)),
        (Predict::Columns(columns), _) => {
            let mut chosen: Vec<usize> = Vec::new();
            for name in columns {
                let mut places = (0..header.len()).filter(|&c| header[c] == *name);
                match (places.next(), places.next()) {
                    (Some(c), None) if !chosen.contains(&c) => chosen.push(c),
                    (place, _) => {
                        return Err(DataError::new(
                            path,
                            format!(
                                "expected one column {} to predict, found {} among the columns {}",
                                quoted(name),
                                if place.is_none() { "none" } else { "it twice" },
                                listed(&shown)
                            ),
                        ));
                    }
                }
            }
            let left_out = found.into_iter().filter(|c| !chosen.contains(c)).collect();
            Ok((chosen, left_out))
        }
        (_, [label]) => Ok((vec![*label], Vec::new())),
        (_, found) => Err(DataError::new(
            path,
            format!(
                "expected a header with one column called {}, found {} among the columns {}; \
                 --predict NAME,... names others",
                LABEL_COLUMNS.join(" or "),
                if found.is_empty() { "none" } else { "several" },
                listed(&shown)
            ),
        )),
    }
}

fn read(path: &Path, predict: &Predict) -> Result<Table, DataError> {
    let refuse = |problem: String| DataError::new(path, problem);
    let file = files::open(path)?;
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(file);
    let line = |error: csv::Error| refuse(broken(&error));
    let header = reader.byte_headers().map_err(line)?.clone();
    let mut header: Vec<String> = header
        .iter()
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    if let Some(first) = header.first_mut() {
        // Written by spreadsheets: the mark of UTF-8.
        *first = first.trim_start_matches('\u{feff}').to_owned();
    }
    let (chosen, left_out) = label_columns(path, &header, predict)?;
    let kept: Vec<usize> = (0..header.len())
        .filter(|c| !chosen.contains(c) && !left_out.contains(c) && !header[*c].is_empty())
        .collect();
    if kept.is_empty() {
        return Err(refuse(
            "expected columns of numbers beside the label, found none".to_owned(),
        ));
    }
    let columns: Vec<String> = kept.iter().map(|&c| header[c].clone()).collect();
    let (shape, order) = layout(&columns);
    let kept: Vec<usize> = order.iter().map(|&c| kept[c]).collect();

    let (mut values, mut labels) = (Vec::new(), Vec::new());
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(line)? {
        let row = record.position().map_or(0, csv::Position::line);
        let field = |c: usize| String::from_utf8_lossy(record.get(c).unwrap_or_default());
        for &c in &kept {
            let text = field(c);
            match text.parse::<f32>() {
                Ok(value) if value.is_finite() => values.push(value),
                _ => {
                    return Err(refuse(format!(
                        "line {row}: expected a finite number in column {}, found {}",
                        quoted(&header[c]),
                        quoted(&text)
                    )));
                }
            }
        }
        for &label in &chosen {
            let text = field(label);
            if text.is_empty() {
                return Err(refuse(format!(
                    "line {row}: expected a label in column {}, found nothing",
                    quoted(&header[label])
                )));
            }
            labels.push(text.into_owned());
        }
    }
    let nameless = header.iter().any(String::is_empty);
    Ok(Table {
        path: path.to_owned(),
        label_columns: chosen.iter().map(|&c| header[c].clone()).collect(),
        note: match (nameless, left_out.first()) {
            (true, _) => Some(format!(
                "{}: a column without a name is taken for row numbers and left out.",
                path.display()
            )),
            (false, Some(&c)) => Some(format!(
                "{}: the column {} is no part of the samples, and left out.",
                path.display(),
                quoted(&header[c])
            )),
            (false, None) => None,
        },
        columns,
        shape,
        values,
        labels,
    })
}

/// What is wrong with a table, in words.
fn broken(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            pos,
            expected_len,
            len,
        } => format!(
            "line {}: expected {expected_len} columns as in the header, found {len}",
            pos.as_ref().map_or(0, csv::Position::line)
        ),
        _ => format!("cannot be read: {error}"),
    }
}

/// The shape that the columns' names say, and the columns in the order of the elements.
fn layout(columns: &[String]) -> (Shape, Vec<usize>) {
    by_place(columns).unwrap_or_else(|| {
        let order = (0..columns.len()).collect();
        (Shape::new(columns.len(), 1, 1), order)
    })
}

/// The same where all columns are named by place, each place of each channel once.
fn by_place(columns: &[String]) -> Option<(Shape, Vec<usize>)> {
    let mut channels: Vec<&str> = Vec::new();
    let mut places: BTreeMap<(usize, usize, usize), usize> = BTreeMap::new();
    for (c, name) in columns.iter().enumerate() {
        let (name, row, column) = place(name)?;
        let channel = match channels.iter().position(|other| *other == name) {
            Some(channel) => channel,
            None => {
                channels.push(name);
                channels.len() - 1
            }
        };
        if places.insert((channel, row, column), c).is_some() {
            return None;
        }
    }
    let &(_, row, column) = places.keys().next()?;
    let &(_, last_row, last_column) = places.keys().next_back()?;
    let rows = last_row.checked_sub(row)?.checked_add(1)?;
    let width = last_column.checked_sub(column)?.checked_add(1)?;
    if row > 1 || column > 1 {
        return None;
    }
    let length = channels.len().checked_mul(rows)?.checked_mul(width)?;
    // As many different places as there are, all of them within bounds: each is there once.
    let inside = |&(_, r, c): &(usize, usize, usize)| {
        (row..row + rows).contains(&r) && (column..column + width).contains(&c)
    };
    if length != columns.len() || !places.keys().all(inside) {
        return None;
    }
    let shape = Shape::new(channels.len(), rows, width);
    Some((shape, places.into_values().collect()))
}

/// Name of the channel, row and column of `ax_7`, `ax7`, `3x7` or `red_3x7`; the row is 0 where
/// there is none.
fn place(name: &str) -> Option<(&str, usize, usize)> {
    let number = |text: &'_ str| -> Option<(usize, usize)> {
        let start = text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        Some((start, text[start..].parse().ok()?))
    };
    let (start, column) = number(name)?;
    let before = &name[..start];
    if let Some(rest) = before.strip_suffix('x')
        && let Some((start, row)) = number(rest)
    {
        return Some((rest[..start].trim_end_matches('_'), row, column));
    }
    Some((before.trim_end_matches('_'), 0, column))
}
