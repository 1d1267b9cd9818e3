//! The data set as the present engine takes it: images of 28 x 28 bytes in ten classes.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

pub use secant::Normalisation;

pub use crate::data::dataset::hex;
use crate::data::dataset::{Dataset as Any, Elements, Part, Targets, dimensions};
use crate::data::error::DataError;
pub use crate::data::open::{Location, STANDARD_FOLDERS, SYNTHETIC};
use crate::data::{open, scaling, synthetic};

/// Rows of an image.
pub const ROWS: usize = 28;
/// Columns of an image.
pub const COLUMNS: usize = 28;
/// Pixels of an image.
pub const PIXELS: usize = ROWS * COLUMNS;
/// Number of classes; labels are 0 to 9.
pub const CLASSES: usize = 10;

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
}

impl From<Part> for Images {
    fn from(part: Part) -> Images {
        let pixels = match part.elements {
            Elements::U8(pixels) => pixels,
            _ => Vec::new(),
        };
        let labels = match part.targets {
            Targets::Classes(labels) => labels.into_iter().map(|label| label as u8).collect(),
            Targets::Values { .. } => Vec::new(),
        };
        Images { pixels, labels }
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
    pub normalisation: Normalisation,
}

/// The map from bytes to numbers of mean 0 and variance 1 over `pixels`.
pub fn normalisation_of(pixels: &[u8]) -> Normalisation {
    let shape = secant::Shape::new(1, 1, 1);
    scaling::per_channel(&Elements::U8(pixels.to_vec()), shape)[0]
}

/// As [`open::locate`].
pub fn locate(chosen: Option<&Path>, environment: Option<OsString>, folders: &[&Path]) -> Location {
    open::locate(chosen, environment, folders)
}

/// As [`open::load`], for images of 28 x 28 bytes in ten classes.
///
/// # Errors
/// [`DataError`] when a file is missing, or is not what it should be.
pub fn load(location: &Location, limit: Option<usize>) -> Result<Dataset, DataError> {
    let set: Any = open::load(location, limit)?;
    let refuse = |expected: String| Err(DataError::new(set.source.as_ref(), expected));
    if set.shape != synthetic::SHAPE || !matches!(set.train.elements, Elements::U8(_)) {
        return refuse(format!(
            "expected images of 1 x {ROWS} x {COLUMNS} bytes, found {} of {}",
            dimensions(set.shape),
            set.train.elements.kind()
        ));
    }
    if set.names.is_empty() || set.names.len() > CLASSES {
        return refuse(format!(
            "expected at most {CLASSES} classes, found {}",
            set.names.len()
        ));
    }
    let own = |part: Arc<Part>| Arc::try_unwrap(part).unwrap_or_else(|part| (*part).clone());
    Ok(Dataset {
        normalisation: set.scalings[0],
        name: set.name,
        source: set.source,
        fallback: *location == Location::Synthetic { fallback: true },
        train: Arc::new(own(set.train).into()),
        test: Arc::new(own(set.test).into()),
    })
}
