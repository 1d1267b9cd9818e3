//! Finds out where the data is and in which format, and loads it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::dataset::Dataset;
use super::error::{DataError, listed};
use super::pieces::{self, Pieces};
use super::predict::Predict;
use super::{csv, files, idx, npy, png, synthetic, ts};

/// Folders that are searched when neither `--data` nor `SECANT_DATA` names one: where
/// `data/fetch.sh` puts Fashion-MNIST (seen from the repository), and where Debian's package
/// `dataset-fashion-mnist` puts it.
pub const STANDARD_FOLDERS: [&str; 2] = ["data/fashion-mnist", "/usr/share/datasets/fashion-mnist"];

/// The word that chooses the built-in set in place of a folder.
pub const SYNTHETIC: &str = "synthetic";

/// Where samples come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder or a file.
    Path(PathBuf),
    /// The set that the program draws itself.
    Synthetic {
        /// True when nothing else was found.
        fallback: bool,
    },
}

/// Decides where the samples come from: `chosen` (`--data`), else `environment` (`SECANT_DATA`),
/// else the first of `folders` that holds IDX files, else the built-in set. What a person named is
/// never passed over in silence: a named folder without data is an error later.
pub fn locate(chosen: Option<&Path>, environment: Option<OsString>, folders: &[&Path]) -> Location {
    let environment = environment
        .filter(|value| !value.is_empty())
        .map(PathBuf::from);
    match chosen.map(Path::to_owned).or(environment) {
        Some(named) if named == Path::new(SYNTHETIC) => Location::Synthetic { fallback: false },
        Some(named) => Location::Path(named),
        None => match folders
            .iter()
            .find(|folder| !matches!(idx::find(folder), Ok(None)))
        {
            Some(folder) => Location::Path(folder.to_path_buf()),
            None => Location::Synthetic { fallback: true },
        },
    }
}

/// Loads the data set at `location`, with `limit` of its training samples, from each class in
/// proportion; the same ones for every run. Test samples are never left out, so that test
/// accuracies can be compared. `predict` says what the targets are.
///
/// # Errors
/// Nothing is found there, or a file is not what it should be.
pub fn load(
    location: &Location,
    limit: Option<usize>,
    predict: &Predict,
) -> Result<Dataset, DataError> {
    match location {
        Location::Synthetic { .. } => synthetic::dataset(limit).predicting(predict),
        Location::Path(path) => pieces::assemble(path, read(path, predict)?, limit, predict),
    }
}

/// Loads the folder or file `path`, whatever its format; see [`load`].
///
/// # Errors
/// Nothing is found there, or a file is not what it should be.
pub fn open(path: &Path, limit: Option<usize>) -> Result<Dataset, DataError> {
    load(&Location::Path(path.to_owned()), limit, &Predict::Labels)
}

/// Asks each format in turn whether the folder or file is its own.
fn read(path: &Path, predict: &Predict) -> Result<Pieces, DataError> {
    if let Some(files) = idx::find(path)? {
        predict.no_columns(path)?;
        return idx::read_set(&files);
    }
    if !path.exists() {
        return Err(DataError::new(
            path,
            format!(
                "expected a folder or file with data, found neither; 'secant data fetch' gets Fashion-MNIST, and --data \
                 {SYNTHETIC} does without"
            ),
        ));
    }
    if let Some(files) = npy::find(path)? {
        predict.no_columns(path)?;
        return npy::read_set(&files, predict);
    }
    if let Some(files) = ts::find(path)? {
        predict.no_columns(path)?;
        return ts::read_set(&files);
    }
    if let Some(files) = csv::find(path)? {
        return csv::read_set(&files, predict);
    }
    if let Some(files) = png::find(path) {
        predict.no_columns(path)?;
        return png::read_set(&files);
    }
    let mut names: Vec<String> = files::files(path).iter().map(|p| files::name(p)).collect();
    let folders = files::folders(path);
    names.extend(folders.iter().map(|p| format!("{}/", files::name(p))));
    let found = match (path.is_file(), path.is_dir(), names.is_empty()) {
        (true, _, _) => "another file".to_owned(),
        (false, false, _) => files::kind(path).to_owned(),
        (false, true, true) => "no file in the folder".to_owned(),
        (false, true, false) => listed(&names),
    };
    Err(DataError::new(
        path,
        format!(
            "expected IDX files (train-images-idx3-ubyte, ...), x_train.npy and y_train.npy or an .npz of both, \
             NAME_TRAIN.ts, train.csv, or folders of PNG images by class, found {found}"
        ),
    ))
}
