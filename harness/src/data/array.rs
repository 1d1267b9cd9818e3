//! Arrays of numbers as IDX and NumPy files hold them, and what they mean as samples or as labels.

use std::path::Path;

use secant::network::Shape;

use super::elements::Elements;
use super::error::DataError;
use super::labels::Labels;

/// The most elements that an array may have: 2^30, twenty times the training images of
/// Fashion-MNIST.
pub const MAX_ELEMENTS: u64 = 1 << 30;

/// An array with its dimensions.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Sizes, slowest dimension first.
    pub dimensions: Vec<usize>,
    /// The elements, last dimension fastest; as many as the product of `dimensions`.
    pub cells: Cells,
}

/// The elements of an array.
#[derive(Debug, Clone, PartialEq)]
pub enum Cells {
    /// Unsigned bytes; booleans are 0 and 1.
    U8(Vec<u8>),
    /// Signed bytes.
    I8(Vec<i8>),
    /// 16-bit integers.
    I16(Vec<i16>),
    /// All other integers.
    I64(Vec<i64>),
    /// Floats of 32 bits; those of 64 are rounded to them.
    F32(Vec<f32>),
    /// Texts, as labels may be.
    Text(Vec<String>),
}

impl Cells {
    /// The elements as floats, unless they are texts.
    fn into_floats(self) -> Option<Vec<f32>> {
        Some(match self {
            Cells::U8(values) => values.into_iter().map(f32::from).collect(),
            Cells::I8(values) => values.into_iter().map(f32::from).collect(),
            Cells::I16(values) => values.into_iter().map(f32::from).collect(),
            Cells::I64(values) => values.into_iter().map(|v| v as f32).collect(),
            Cells::F32(values) => values,
            Cells::Text(_) => return None,
        })
    }

    fn len(&self) -> usize {
        match self {
            Cells::U8(values) => values.len(),
            Cells::I8(values) => values.len(),
            Cells::I16(values) => values.len(),
            Cells::I64(values) => values.len(),
            Cells::F32(values) => values.len(),
            Cells::Text(values) => values.len(),
        }
    }
}

/// Number of elements of an array with these dimensions, unless it is more than [`MAX_ELEMENTS`], or
/// would be if it had any: so that no product of some of the dimensions is larger.
pub fn count(dimensions: &[u64]) -> Option<u64> {
    let sizes = dimensions.iter().filter(|&&size| size > 0);
    let product = sizes
        .copied()
        .try_fold(1u64, |product, size| product.checked_mul(size))
        .filter(|&product| product <= MAX_ELEMENTS)?;
    Some(if dimensions.contains(&0) { 0 } else { product })
}

/// Dimensions as people write them: `60000 x 28 x 28`.
pub fn product(dimensions: &[impl ToString]) -> String {
    let sizes: Vec<String> = dimensions.iter().map(ToString::to_string).collect();
    sizes.join(" x ")
}

impl Array {
    /// An array whose elements lie first dimension fastest, as Fortran has them.
    pub fn from_fortran(dimensions: Vec<usize>, cells: Cells) -> Array {
        let mut strides = Vec::with_capacity(dimensions.len());
        let mut stride = 1;
        for &size in &dimensions {
            strides.push(stride);
            stride *= size;
        }
        Array::gathered(&dimensions, &strides, cells)
    }

    /// The array whose element `[i, j, ...]` is `cells[i strides[0] + j strides[1] + ...]`.
    fn gathered(dimensions: &[usize], strides: &[usize], cells: Cells) -> Array {
        let cells = match cells {
            Cells::U8(values) => Cells::U8(gather(dimensions, strides, &values)),
            Cells::I8(values) => Cells::I8(gather(dimensions, strides, &values)),
            Cells::I16(values) => Cells::I16(gather(dimensions, strides, &values)),
            Cells::I64(values) => Cells::I64(gather(dimensions, strides, &values)),
            Cells::F32(values) => Cells::F32(gather(dimensions, strides, &values)),
            Cells::Text(values) => Cells::Text(gather(dimensions, strides, &values)),
        };
        Array {
            dimensions: dimensions.to_vec(),
            cells,
        }
    }

    /// The array as samples, the first dimension counting them.
    ///
    /// | dimensions | a sample |
    /// |---|---|
    /// | N x columns | a signal: 1 x 1 x columns |
    /// | N x rows x columns | one map: 1 x rows x columns |
    /// | N x channels x rows x columns | channels x rows x columns |
    /// | N x rows x columns x channels | the same, if the last dimension is 1, 3 or 4 and the second is not |
    ///
    /// # Errors
    /// Another number of dimensions, samples without elements, texts.
    pub fn into_samples(self, path: &Path) -> Result<(Shape, Elements), DataError> {
        let channels = |size: usize| [1, 3, 4].contains(&size);
        let (shape, array) = match *self.dimensions.as_slice() {
            [_, columns] => (Shape::new(1, 1, columns), self),
            [_, rows, columns] => (Shape::new(1, rows, columns), self),
            [count, rows, columns, last] if channels(last) && !channels(rows) => {
                let sizes = [count, last, rows, columns];
                let strides = [rows * columns * last, 1, columns * last, last];
                (
                    Shape::new(last, rows, columns),
                    Array::gathered(&sizes, &strides, self.cells),
                )
            }
            [_, channels, rows, columns] => (Shape::new(channels, rows, columns), self),
            _ => {
                return Err(DataError::new(
                    path,
                    format!(
                        "expected samples of 2 to 4 dimensions, the first counting them, found {}",
                        self.rank()
                    ),
                ));
            }
        };
        if shape.channels == 0 || shape.rows == 0 || shape.columns == 0 {
            return Err(DataError::new(
                path,
                format!(
                    "expected samples of at least one value, found {}",
                    product(&array.dimensions)
                ),
            ));
        }
        let elements = match array.cells {
            Cells::U8(values) => Elements::U8(values),
            Cells::I8(values) => Elements::I8(values),
            Cells::I16(values) => Elements::I16(values),
            Cells::I64(values) => Elements::F32(values.into_iter().map(|v| v as f32).collect()),
            Cells::F32(values) => Elements::F32(values),
            Cells::Text(_) => {
                return Err(DataError::new(
                    path,
                    "expected samples of numbers, found texts",
                ));
            }
        };
        Ok((shape, elements))
    }

    /// The array as labels: integers and texts are classes, floats are numbers to predict. Several
    /// numbers a sample are numbers to predict, integers too: labels that are there or not.
    ///
    /// # Errors
    /// More dimensions than there can be.
    pub fn into_labels(self, path: &Path) -> Result<Labels, DataError> {
        let width = match *self.dimensions.as_slice() {
            [_] => 1,
            [_, width] if width > 0 => width,
            _ => {
                return Err(DataError::new(
                    path,
                    format!("expected labels of one dimension, found {}", self.rank()),
                ));
            }
        };
        if width > 1 {
            let sizes = product(&self.dimensions);
            let values = self.cells.into_floats().ok_or_else(|| {
                DataError::new(
                    path,
                    format!("expected one name for each sample, found {sizes}"),
                )
            })?;
            return Ok(Labels::Values { values, width });
        }
        Ok(match self.cells {
            Cells::U8(labels) => Labels::Numbers(labels.into_iter().map(i64::from).collect()),
            Cells::I8(labels) => Labels::Numbers(labels.into_iter().map(i64::from).collect()),
            Cells::I16(labels) => Labels::Numbers(labels.into_iter().map(i64::from).collect()),
            Cells::I64(labels) => Labels::Numbers(labels),
            Cells::F32(values) => Labels::Values { values, width: 1 },
            Cells::Text(labels) => Labels::Names(labels),
        })
    }

    fn rank(&self) -> String {
        match self.dimensions.len() {
            0 => "a single number".to_owned(),
            rank => format!("{rank} ({})", product(&self.dimensions)),
        }
    }

    /// Whether there are as many elements as the dimensions say.
    pub fn is_whole(&self) -> bool {
        self.dimensions.iter().product::<usize>() == self.cells.len()
    }
}

fn gather<T: Clone>(dimensions: &[usize], strides: &[usize], values: &[T]) -> Vec<T> {
    let mut gathered = Vec::with_capacity(values.len());
    let mut position = vec![0; dimensions.len()];
    let mut at = 0;
    while gathered.len() < values.len() {
        gathered.push(values[at].clone());
        // To the next element: as an odometer counts.
        for axis in (0..dimensions.len()).rev() {
            position[axis] += 1;
            at += strides[axis];
            if position[axis] < dimensions[axis] {
                break;
            }
            at -= strides[axis] * dimensions[axis];
            position[axis] = 0;
        }
    }
    gathered
}
