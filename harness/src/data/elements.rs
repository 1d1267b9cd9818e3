//! Elements and targets of samples, as they lie in memory.

use secant::network::Shape;
use sha2::{Digest, Sha256};

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

    /// All elements as floats, which hold each of them exactly.
    pub fn to_floats(&self) -> Vec<f32> {
        match self {
            Elements::U8(values) => values.iter().map(|&value| f32::from(value)).collect(),
            Elements::I8(values) => values.iter().map(|&value| f32::from(value)).collect(),
            Elements::I16(values) => values.iter().map(|&value| f32::from(value)).collect(),
            Elements::F32(values) => values.clone(),
        }
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

    pub(super) fn hash(&self, hash: &mut Sha256) {
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
    /// One class a sample, an index into [`Dataset::names`](super::dataset::Dataset::names).
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

    pub(super) fn hash(&self, hash: &mut Sha256) {
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

/// Number of values of a sample, unless it is more than fits.
pub fn size(shape: Shape) -> Option<usize> {
    shape
        .channels
        .checked_mul(shape.rows)?
        .checked_mul(shape.columns)
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
