//! A data set in memory: samples of one shape, with a class or with numbers to predict.

use std::sync::Arc;

use secant::network::Shape;
use secant::{Normalisation, Samples, Scaling, Values};
use sha2::{Digest, Sha256};

use super::scaling;

/// The numbers of all samples of a part, as they lie in the file: sample by sample, each channel by
/// channel, row by row.
#[derive(Debug, Clone, PartialEq)]
pub enum Elements {
    /// Bytes from 0 to 255, as images have them.
    U8(Vec<u8>),
    /// Bytes from -128 to 127.
    I8(Vec<i8>),
    /// 16-bit integers, as analogue-to-digital converters and sound files have them.
    I16(Vec<i16>),
    /// Floats, all of them finite.
    F32(Vec<f32>),
}

impl Elements {
    /// Number of elements, of all samples together.
    pub fn len(&self) -> usize {
        match self {
            Elements::U8(values) => values.len(),
            Elements::I8(values) => values.len(),
            Elements::I16(values) => values.len(),
            Elements::F32(values) => values.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `u8`, `i8`, `i16` or `f32`.
    pub fn kind(&self) -> &'static str {
        match self {
            Elements::U8(_) => "u8",
            Elements::I8(_) => "i8",
            Elements::I16(_) => "i16",
            Elements::F32(_) => "f32",
        }
    }

    /// The elements of the samples `indices`, in that order; a sample has `length` elements.
    ///
    /// # Panics
    /// When an index names no sample.
    pub fn select(&self, indices: &[u32], length: usize) -> Elements {
        match self {
            Elements::U8(values) => Elements::U8(select(values, indices, length)),
            Elements::I8(values) => Elements::I8(select(values, indices, length)),
            Elements::I16(values) => Elements::I16(select(values, indices, length)),
            Elements::F32(values) => Elements::F32(select(values, indices, length)),
        }
    }

    fn hash(&self, hash: &mut Sha256) {
        hash.update(self.kind());
        hash.update((self.len() as u64).to_le_bytes());
        match self {
            Elements::U8(values) => hash.update(values),
            Elements::I8(values) => hash_numbers(hash, values, |value| value.to_le_bytes()),
            Elements::I16(values) => hash_numbers(hash, values, |value| value.to_le_bytes()),
            Elements::F32(values) => hash_numbers(hash, values, |value| value.to_le_bytes()),
        }
    }
}

/// What a network shall predict for each sample of a part.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// One class a sample, an index into [`Dataset::names`].
    Classes(Vec<u16>),
    /// `width` finite numbers a sample.
    Values {
        /// Sample by sample.
        values: Vec<f32>,
        /// Numbers a sample, at least 1.
        width: usize,
    },
}

impl Targets {
    /// Number of samples.
    pub fn len(&self) -> usize {
        match self {
            Targets::Classes(labels) => labels.len(),
            Targets::Values { values, width } => values.len() / (*width).max(1),
        }
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The targets of the samples `indices`, in that order.
    ///
    /// # Panics
    /// When an index names no sample.
    pub fn select(&self, indices: &[u32]) -> Targets {
        match self {
            Targets::Classes(labels) => Targets::Classes(select(labels, indices, 1)),
            Targets::Values { values, width } => Targets::Values {
                values: select(values, indices, *width),
                width: *width,
            },
        }
    }

    /// Samples of each of `classes` classes; nothing for numbers.
    pub fn counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        if let Targets::Classes(labels) = self {
            for &label in labels {
                counts[usize::from(label)] += 1;
            }
        }
        counts
    }

    fn hash(&self, hash: &mut Sha256) {
        match self {
            Targets::Classes(labels) => {
                hash.update("classes");
                hash_numbers(hash, labels, |label| label.to_le_bytes());
            }
            Targets::Values { values, width } => {
                hash.update("values");
                hash.update((*width as u64).to_le_bytes());
                hash_numbers(hash, values, |value| value.to_le_bytes());
            }
        }
    }
}

/// Samples with their targets: those to train on, or those to test with.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The samples.
    pub elements: Elements,
    /// What belongs to them.
    pub targets: Targets,
}

impl Part {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// As the library takes them, normalised by one scaling for all channels, or one for each.
    pub fn samples<'a>(&'a self, scalings: &'a [Scaling]) -> Samples<'a> {
        Samples {
            values: match &self.elements {
                Elements::U8(values) => Values::U8(values),
                Elements::I8(values) => Values::I8(values),
                Elements::I16(values) => Values::I16(values),
                Elements::F32(values) => Values::F32(values),
            },
            targets: match &self.targets {
                Targets::Classes(labels) => secant::Targets::U16(labels),
                Targets::Values { values, .. } => secant::Targets::F32(values),
            },
            normalisation: match scalings {
                [scaling] => Normalisation::Same(*scaling),
                scalings => Normalisation::PerChannel(scalings),
            },
        }
    }

    /// The samples `indices`, in that order; a sample has `length` elements.
    ///
    /// # Panics
    /// When an index names no sample.
    pub fn select(&self, indices: &[u32], length: usize) -> Part {
        Part {
            elements: self.elements.select(indices, length),
            targets: self.targets.select(indices),
        }
    }
}

/// What a network for a data set takes and gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// Shape of a sample.
    pub input: Shape,
    /// Values of the network's output: classes, or numbers to predict.
    pub outputs: usize,
}

impl Task {
    /// That of Fashion-MNIST: grey images of 28 x 28, ten classes.
    pub const FASHION_MNIST: Task = Task {
        input: Shape::new(1, 28, 28),
        outputs: 10,
    };
}

/// A data set in memory.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// `fashion-mnist`, `synthetic`, or as the file or folder is called.
    pub name: String,
    /// The file or folder that it came from, or `built-in`.
    pub source: String,
    /// Shape of a sample.
    pub shape: Shape,
    /// Names of the classes, by label; empty when numbers are predicted.
    pub names: Vec<String>,
    /// Samples to train on and to validate with.
    pub train: Arc<Part>,
    /// Samples that only the last table sees.
    pub test: Arc<Part>,
    /// Per channel, from elements to numbers of mean 0 and variance 1 over `train`.
    pub scalings: Vec<Scaling>,
    /// SHA-256, in hexadecimal digits, of the shape and of both parts: equal for the same content,
    /// whatever files it came from.
    pub digest: String,
    /// What a person should know, a line each: classes without samples, labels that were moved, a
    /// test part that was split off.
    pub notes: Vec<String>,
}

impl Dataset {
    /// A data set of checked parts: each has `shape.len()` elements a sample, both are of one kind,
    /// and labels are below `names.len()`.
    pub fn new(
        name: String,
        source: String,
        shape: Shape,
        names: Vec<String>,
        (train, test): (Part, Part),
        notes: Vec<String>,
    ) -> Dataset {
        let mut hash = Sha256::new();
        for size in [shape.channels, shape.rows, shape.columns] {
            hash.update((size as u64).to_le_bytes());
        }
        for part in [&train, &test] {
            part.elements.hash(&mut hash);
            part.targets.hash(&mut hash);
        }
        Dataset {
            name,
            source,
            shape,
            names,
            scalings: scaling::per_channel(&train.elements, shape),
            train: Arc::new(train),
            test: Arc::new(test),
            digest: hex(&hash.finalize()),
            notes,
        }
    }

    /// What a network for this data set takes and gives.
    pub fn task(&self) -> Task {
        Task {
            input: self.shape,
            outputs: match &self.train.targets {
                Targets::Classes(_) => self.names.len(),
                Targets::Values { width, .. } => *width,
            },
        }
    }

    /// The same elements as samples of another shape, for example the 840 columns of a table as
    /// 3 x 20 x 14.
    ///
    /// # Errors
    /// A line that says so when the shape has another number of elements.
    pub fn reshaped(self, shape: Shape) -> Result<Dataset, String> {
        let (expected, found) = (size(self.shape), size(shape));
        if expected.is_none() || expected != found {
            return Err(format!(
                "expected a shape of {} values like the {} of the data, found {}",
                expected.unwrap_or_default(),
                dimensions(self.shape),
                dimensions(shape),
            ));
        }
        let own = |part: Arc<Part>| Arc::try_unwrap(part).unwrap_or_else(|part| (*part).clone());
        let parts = (own(self.train), own(self.test));
        let (name, source, names, notes) = (self.name, self.source, self.names, self.notes);
        Ok(Dataset::new(name, source, shape, names, parts, notes))
    }
}

/// A shape as people write it: `3 x 20 x 14`.
pub fn dimensions(shape: Shape) -> String {
    format!("{} x {} x {}", shape.channels, shape.rows, shape.columns)
}

/// Number of values of a sample, unless it is more than fits.
pub fn size(shape: Shape) -> Option<usize> {
    shape
        .channels
        .checked_mul(shape.rows)?
        .checked_mul(shape.columns)
}

/// Lower-case hexadecimal digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn select<T: Copy>(values: &[T], indices: &[u32], length: usize) -> Vec<T> {
    let mut chosen = Vec::with_capacity(indices.len() * length);
    for &index in indices {
        chosen.extend_from_slice(&values[index as usize * length..][..length]);
    }
    chosen
}

/// Hashes numbers as little-endian bytes, a piece at a time.
fn hash_numbers<T: Copy, const N: usize>(
    hash: &mut Sha256,
    values: &[T],
    bytes: impl Fn(T) -> [u8; N],
) {
    for piece in values.chunks(1 << 12) {
        let piece: Vec<u8> = piece.iter().flat_map(|&value| bytes(value)).collect();
        hash.update(piece);
    }
}
