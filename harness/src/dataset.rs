//! Finds and loads the images: ten classes of 28 x 28 grey pixels, for training and for testing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use secant::Scaling;
use sha2::{Digest, Sha256};

use crate::idx::{self, IdxError};
use crate::synthetic;

/// Rows of an image.
pub const ROWS: usize = 28;
/// Columns of an image.
pub const COLUMNS: usize = 28;
/// Pixels of an image.
pub const PIXELS: usize = ROWS * COLUMNS;
/// Number of classes; labels are 0 to 9.
pub const CLASSES: usize = 10;
/// Names of the classes of Fashion-MNIST, by label; the built-in set draws the same ones.
pub const CLASS_NAMES: [&str; CLASSES] = [
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
];

/// Folders that are searched when neither `--data` nor `SECANT_DATA` names one: where `data/fetch.sh` puts the files
/// (seen from the repository), and where Debian's package `dataset-fashion-mnist` puts them.
pub const STANDARD_FOLDERS: [&str; 2] = ["data/fashion-mnist", "/usr/share/datasets/fashion-mnist"];

/// The word that chooses the built-in set in place of a folder.
pub const SYNTHETIC: &str = "synthetic";

/// SHA-256 of the 10,000 test labels of Fashion-MNIST (bytes after the header): tells it from other sets of its shape.
const FASHION_MNIST_TEST_LABELS: &str =
    "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9";

/// Images with their labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// [`PIXELS`] bytes an image, row by row, 0 black (background) to 255 white.
    pub pixels: Vec<u8>,
    /// One class an image, below [`CLASSES`].
    pub labels: Vec<u8>,
}

impl Images {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Keeps the first `count` images, if there are more.
    pub fn truncate(&mut self, count: usize) {
        self.labels.truncate(count);
        self.pixels.truncate(count.saturating_mul(PIXELS));
        self.pixels.shrink_to_fit();
    }
}

/// A data set in memory.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// `fashion-mnist`, `synthetic`, or the folder's name for another set of the same shape.
    pub name: String,
    /// The folder that it came from, or `built-in`.
    pub source: String,
    /// True when the built-in set stands in because no folder was found, not because it was asked for.
    pub fallback: bool,
    /// Images to train on and to validate with.
    pub train: Arc<Images>,
    /// Images that only the last table sees.
    pub test: Arc<Images>,
    /// From bytes to numbers of mean 0 and variance 1 over `train`.
    pub normalisation: Scaling,
}

/// The map from bytes to numbers of mean 0 and variance 1 over `pixels`. The sums are of integers, so the result has the
/// same bits everywhere. Pixels that are all equal map to zero.
pub fn normalisation_of(pixels: &[u8]) -> Scaling {
    let mut histogram = [0u64; 256];
    for &pixel in pixels {
        histogram[usize::from(pixel)] += 1;
    }
    let moment = |power: u32| -> u64 {
        (0u64..)
            .zip(&histogram)
            .map(|(value, count)| count * value.pow(power))
            .sum()
    };
    let count = pixels.len().max(1) as f64;
    let mean = moment(1) as f64 / count;
    let variance = moment(2) as f64 / count - mean * mean;
    let deviation = if variance > 0.0 {
        variance.sqrt()
    } else {
        255.0
    };
    Scaling {
        scale: (1.0 / deviation) as f32,
        offset: (-mean / deviation) as f32,
    }
}

/// Where images come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// The four IDX files in this folder.
    Folder(PathBuf),
    /// The set that the program draws itself.
    Synthetic {
        /// True when nothing else was found.
        fallback: bool,
    },
}

/// A data set that cannot be used, as one line.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A file cannot be read or is not what its header says.
    #[error("{0}; data/fetch.sh gets good files")]
    Idx(#[from] IdxError),
    /// There is no such folder.
    #[error("{}: expected a folder with the files of Fashion-MNIST, found no folder; data/fetch.sh gets them, and \
        --data {SYNTHETIC} does without", .0.display())]
    NoFolder(PathBuf),
    /// A file is missing.
    #[error("{}: expected a file {name} or {name}.gz, found neither; data/fetch.sh gets it", folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The file's name without `.gz`.
        name: &'static str,
    },
    /// The images have another size.
    #[error("{}: expected images of {ROWS} x {COLUMNS} pixels, found {rows} x {columns}", path.display())]
    ImageSize {
        /// The file.
        path: PathBuf,
        /// Rows found.
        rows: usize,
        /// Columns found.
        columns: usize,
    },
    /// There is no image.
    #[error("{}: expected at least one image, found none", .0.display())]
    Empty(PathBuf),
    /// Images and labels are not equally many.
    #[error("{}: expected {images} labels, one for each image beside it, found {labels}", path.display())]
    Count {
        /// The file of labels.
        path: PathBuf,
        /// Number of images.
        images: usize,
        /// Number of labels.
        labels: usize,
    },
    /// A label is out of range.
    #[error("{}: expected labels from 0 to {}, found {found} at position {position}", path.display(), CLASSES - 1)]
    Label {
        /// The file of labels.
        path: PathBuf,
        /// Index of the image.
        position: usize,
        /// Its label.
        found: u8,
    },
}

/// Decides where the images come from: `chosen` (`--data`), else `environment` (`SECANT_DATA`), else the first of
/// `folders` that holds any of the files, else the built-in set. What a person named is never passed over in silence:
/// a named folder without the files is an error later.
pub fn locate(chosen: Option<&Path>, environment: Option<OsString>, folders: &[&Path]) -> Location {
    let environment = environment
        .filter(|value| !value.is_empty())
        .map(PathBuf::from);
    match chosen.map(Path::to_owned).or(environment) {
        Some(named) if named == Path::new(SYNTHETIC) => Location::Synthetic { fallback: false },
        Some(named) => Location::Folder(named),
        None => match folders.iter().find(|folder| holds_any(folder)) {
            Some(folder) => Location::Folder(folder.to_path_buf()),
            None => Location::Synthetic { fallback: true },
        },
    }
}

/// Loads the data set at `location`, its training images cut to the first `limit`; test images are never cut, so
/// that test accuracies can be compared.
///
/// # Errors
/// [`DatasetError`] when a file is missing, or is not what it should be.
pub fn load(location: &Location, limit: Option<usize>) -> Result<Dataset, DatasetError> {
    match location {
        Location::Synthetic { fallback } => {
            let count = limit.unwrap_or(usize::MAX).min(synthetic::TRAIN_IMAGES);
            let (train, test) = synthetic::generate(count, synthetic::TEST_IMAGES, synthetic::SEED);
            Ok(Dataset {
                name: SYNTHETIC.to_owned(),
                source: "built-in".to_owned(),
                fallback: *fallback,
                normalisation: normalisation_of(&train.pixels),
                train: Arc::new(train),
                test: Arc::new(test),
            })
        }
        Location::Folder(folder) => {
            if !folder.is_dir() {
                return Err(DatasetError::NoFolder(folder.clone()));
            }
            let mut train =
                load_pair(folder, "train-images-idx3-ubyte", "train-labels-idx1-ubyte")?;
            let test = load_pair(folder, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")?;
            train.truncate(limit.unwrap_or(usize::MAX));
            Ok(Dataset {
                name: name_of(folder, &test.labels),
                source: folder.display().to_string(),
                fallback: false,
                normalisation: normalisation_of(&train.pixels),
                train: Arc::new(train),
                test: Arc::new(test),
            })
        }
    }
}

fn name_of(folder: &Path, test_labels: &[u8]) -> String {
    if hex(&Sha256::digest(test_labels)) == FASHION_MNIST_TEST_LABELS {
        return "fashion-mnist".to_owned();
    }
    let name = folder
        .canonicalize()
        .ok()
        .and_then(|f| f.file_name().map(|n| n.to_string_lossy().into_owned()));
    name.unwrap_or_else(|| "custom".to_owned())
}

/// Lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn holds_any(folder: &Path) -> bool {
    FILES.iter().any(|name| find(folder, name).is_ok())
}

/// The four files, without the `.gz` that each may end in.
pub const FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// The file `name` in `folder`, or else `name.gz`.
fn find(folder: &Path, name: &'static str) -> Result<PathBuf, DatasetError> {
    let plain = folder.join(name);
    let zipped = folder.join(format!("{name}.gz"));
    [plain, zipped]
        .into_iter()
        .find(|path| path.exists())
        .ok_or_else(|| DatasetError::Missing {
            folder: folder.to_owned(),
            name,
        })
}

fn load_pair(
    folder: &Path,
    images: &'static str,
    labels: &'static str,
) -> Result<Images, DatasetError> {
    let images = find(folder, images)?;
    let path = find(folder, labels)?;
    let pixels = idx::read(&images, 3)?;
    let (count, rows, columns) = (
        pixels.dimensions[0],
        pixels.dimensions[1],
        pixels.dimensions[2],
    );
    if (rows, columns) != (ROWS, COLUMNS) {
        return Err(DatasetError::ImageSize {
            path: images,
            rows,
            columns,
        });
    }
    if count == 0 {
        return Err(DatasetError::Empty(images));
    }
    let labels = idx::read(&path, 1)?.elements;
    if labels.len() != count {
        return Err(DatasetError::Count {
            path,
            images: count,
            labels: labels.len(),
        });
    }
    if let Some((position, &found)) = labels
        .iter()
        .enumerate()
        .find(|(_, label)| usize::from(**label) >= CLASSES)
    {
        return Err(DatasetError::Label {
            path,
            position,
            found,
        });
    }
    Ok(Images {
        pixels: pixels.elements,
        labels,
    })
}
