//! Labelled samples as bytes, where they lie: in flash, in a file's buffer, anywhere.

/// How a byte becomes a value: `x = byte * scale + offset`, rounded once.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Normalisation {
    /// Value of one step of a byte.
    pub scale: f32,
    /// Value of byte 0.
    pub offset: f32,
}

impl Normalisation {
    /// Bytes 0..=255 become 0..=1.
    pub const UNIT: Normalisation = Normalisation {
        scale: 1.0 / 255.0,
        offset: 0.0,
    };

    /// Bytes of that mean and standard deviation become values of mean 0 and variance 1.
    pub const fn standard(mean: f32, deviation: f32) -> Normalisation {
        Normalisation {
            scale: 1.0 / deviation,
            offset: -mean / deviation,
        }
    }
}

/// Samples of one byte a value and one label each.
#[derive(Debug, Clone, Copy)]
pub struct Samples<'a> {
    /// All samples, one after the other, each row-major (channel, row, column).
    pub pixels: &'a [u8],
    /// The class of each sample, counted from 0.
    pub labels: &'a [u8],
    /// How a byte becomes a value.
    pub normalisation: Normalisation,
}

impl<'a> Samples<'a> {
    /// Number of samples.
    pub const fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no sample.
    pub const fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The bytes of one sample of `length` values.
    pub(crate) fn sample(&self, index: u32, length: usize) -> &'a [u8] {
        &self.pixels[index as usize * length..][..length]
    }
}
