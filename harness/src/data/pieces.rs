//! From what a reader found to a data set: everything that must fit together is checked here, once
//! for all formats.

use std::path::{Path, PathBuf};

use secant::Random;
use secant::network::Shape;

use super::dataset::{self, Dataset, Part};
use super::elements::{self, Elements, Targets};
use super::error::DataError;
use super::labels::{self, Labels};
use super::predict::Predict;
use super::split::{self, Split};

/// Samples and labels of one part, as a reader found them.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The file or folder of the samples.
    pub path: PathBuf,
    /// The file or folder of the labels.
    pub labels_path: PathBuf,
    /// Shape of a sample.
    pub shape: Shape,
    /// All samples.
    pub elements: Elements,
    /// All labels.
    pub labels: Labels,
}

/// What a reader found.
#[derive(Debug, Clone)]
pub struct Pieces {
    /// Name of the data set, where the reader knows one that is better than the folder's.
    pub name: Option<String>,
    /// Names of the classes, where the reader knows those of a data set with numbered classes.
    pub names: Vec<String>,
    /// Samples to train on.
    pub train: Piece,
    /// Samples to test with.
    pub test: Option<Piece>,
    /// What a person should know, a line each.
    pub notes: Vec<String>,
}

/// The part of the samples that is split off to test with where there is no test part.
pub const TEST_SHARE: f64 = 0.2;

/// Key of the random choices that do not depend on a run's seed, so that all runs on a data set see
/// the same samples, and their streams.
const SEED: u64 = 0;
const TEST: u64 = 0;
const LIMIT: u64 = 1;

/// Checks the pieces and makes a data set of them, with a random `limit` of the training samples,
/// from each class in proportion. `predict` says what the targets are.
///
/// # Errors
/// The first piece that does not fit.
pub fn assemble(
    source: &Path,
    pieces: Pieces,
    limit: Option<usize>,
    predict: &Predict,
) -> Result<Dataset, DataError> {
    let Pieces {
        name,
        names: known,
        train,
        test,
        mut notes,
    } = pieces;
    let wanted = |piece: Piece| -> Result<Piece, DataError> {
        let labels = predict.convert(&piece.labels_path, piece.labels)?;
        Ok(Piece { labels, ..piece })
    };
    let train = placeholder(predict, wanted(train)?);
    let test = match test {
        Some(test) => Some(placeholder(predict, wanted(test)?)),
        None => None,
    };
    check(&train)?;
    if let Some(test) = &test {
        check(test)?;
        match_up(&train, test)?;
    }
    let shape = train.shape;
    let length = elements::size(shape).unwrap_or_default();
    let path = train.labels_path;
    let (mut elements, mut labels) = (vec![train.elements], vec![train.labels]);
    if let Some(test) = test {
        elements.push(test.elements);
        labels.push(test.labels);
    }
    let resolved = labels::resolve(labels).map_err(|problem| DataError::new(&path, problem))?;
    notes.extend(resolved.note);
    let names = if known.len() == resolved.names.len() {
        known
    } else {
        resolved.names
    };
    let mut parts = elements
        .into_iter()
        .zip(resolved.targets)
        .map(|(elements, targets)| Part { elements, targets });
    let (mut train, test) = match (parts.next(), parts.next()) {
        (Some(train), Some(test)) => (train, test),
        (Some(all), None) => {
            let mut random = Random::new(SEED, TEST);
            let split = Split::stratified(&all.targets, TEST_SHARE, &mut random);
            if split.validation.is_empty() {
                return Err(DataError::new(
                    source,
                    format!(
                        "expected a test part, or a class of two samples to split one off, found {} sample(s)",
                        all.len()
                    ),
                ));
            }
            notes.push(format!(
                "There is no test part: {} of the {} samples, from each class in proportion, are set aside as one.",
                split.validation.len(),
                all.len()
            ));
            (
                all.select(&split.train, length),
                all.select(&split.validation, length),
            )
        }
        _ => return Err(DataError::new(source, "expected samples, found none")),
    };
    if let Some(limit) = limit.filter(|&limit| limit < train.len()) {
        let mut random = Random::new(SEED, LIMIT);
        train = train.select(&split::sample(&train.targets, limit, &mut random), length);
    }
    if matches!(train.targets, Targets::Classes(_)) {
        let counts = train.targets.counts(names.len());
        notes.extend(labels::warnings(&names, &counts));
    }
    if *predict != Predict::Input
        && let Targets::Values { values, width } = &train.targets
    {
        notes.extend(constant(values, *width));
    }
    let name = name.unwrap_or_else(|| name_of(source));
    let source = source.display().to_string();
    let parts = (train, test);
    let dataset = Dataset::new(name, source, shape, names, parts, notes);
    Ok(match predict {
        Predict::Input => dataset.reconstructed(),
        _ => dataset,
    })
}

/// Where a sample is its own target, labels are not looked at: each has the one number 0.
fn placeholder(predict: &Predict, piece: Piece) -> Piece {
    if *predict != Predict::Input {
        return piece;
    }
    let length = elements::size(piece.shape).unwrap_or_default().max(1);
    let labels = Labels::Values {
        values: vec![0.0; piece.elements.len() / length],
        width: 1,
    };
    Piece { labels, ..piece }
}

/// A line about numbers to predict that never change.
fn constant(values: &[f32], width: usize) -> Option<String> {
    let (first, _) = values.split_at_checked(width)?;
    let same = |c: &usize| {
        values
            .iter()
            .skip(*c)
            .step_by(width)
            .all(|v| *v == first[*c])
    };
    let constant: Vec<usize> = (0..width).filter(same).collect();
    match constant.as_slice() {
        [] => None,
        [_] if width == 1 => Some(format!(
            "The number to predict is {} in every training sample: there is nothing to learn.",
            first[0]
        )),
        [c, ..] => Some(format!(
            "{} of the {width} numbers to predict are the same in every training sample, number {} \
             among them: there is nothing to learn of these.",
            constant.len(),
            c + 1
        )),
    }
}

/// What must hold for a part alone.
fn check(piece: &Piece) -> Result<(), DataError> {
    let refuse = |problem: String| Err(DataError::new(&piece.path, problem));
    let length = elements::size(piece.shape).filter(|&length| length > 0);
    let Some(length) = length else {
        return refuse(format!(
            "expected samples of at least one value, found {}",
            dataset::dimensions(piece.shape)
        ));
    };
    let count = piece.elements.len() / length;
    if count == 0 {
        return refuse("expected at least one sample, found none".to_owned());
    }
    if count > u32::MAX as usize {
        return refuse(format!(
            "expected at most {} samples, found {count}",
            u32::MAX
        ));
    }
    if let Elements::F32(values) = &piece.elements
        && let Some(position) = values.iter().position(|value| !value.is_finite())
    {
        return refuse(format!(
            "expected finite numbers, found {} in sample {}, element {}",
            values[position],
            position / length,
            position % length
        ));
    }
    if piece.labels.len() != count {
        return Err(DataError::new(
            &piece.labels_path,
            labels::wanted(count as u64, piece.labels.len() as u64),
        ));
    }
    Ok(())
}

/// What must hold between the parts.
fn match_up(train: &Piece, test: &Piece) -> Result<(), DataError> {
    let file = |path: &Path| match path.file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => path.display().to_string(),
    };
    if test.shape != train.shape {
        return Err(DataError::new(
            &test.path,
            format!(
                "expected samples of {} as in {}, found {}",
                dataset::dimensions(train.shape),
                file(&train.path),
                dataset::dimensions(test.shape)
            ),
        ));
    }
    if test.elements.kind() != train.elements.kind() {
        return Err(DataError::new(
            &test.path,
            format!(
                "expected elements of type {} as in {}, found {}",
                train.elements.kind(),
                file(&train.path),
                test.elements.kind()
            ),
        ));
    }
    if test.labels.kind() != train.labels.kind() {
        return Err(DataError::new(
            &test.labels_path,
            format!(
                "expected {} as in {}, found {}",
                train.labels.kind(),
                file(&train.labels_path),
                test.labels.kind()
            ),
        ));
    }
    Ok(())
}

/// A data set's name where its files say none: that of the folder, or of the file without its
/// ending.
fn name_of(source: &Path) -> String {
    let whole = source.canonicalize().unwrap_or_else(|_| source.to_owned());
    let name = if whole.is_dir() {
        whole.file_name()
    } else {
        whole.file_stem()
    };
    name.map_or_else(
        || "custom".to_owned(),
        // Control characters, which a name may have, would break what it is written into.
        |name| name.to_string_lossy().replace(char::is_control, "_"),
    )
}
