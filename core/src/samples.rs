//! Samples where they lie: in flash, in a file's buffer, anywhere. Bytes, 16-bit integers or
//! floats, with classes, target vectors or nothing beside them.

/// The values of all samples, one sample after the other, each row-major (channel, row, column).
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Values<'a> {
    /// Bytes: images.
    U8(&'a [u8]),
    /// Signed bytes.
    I8(&'a [i8]),
    /// 16-bit integers: what most sensors and microphones give.
    I16(&'a [i16]),
    /// Floats.
    F32(&'a [f32]),
}

impl Values<'_> {
    /// Number of values of all samples.
    pub const fn len(&self) -> usize {
        match self {
            Values::U8(values) => values.len(),
            Values::I8(values) => values.len(),
            Values::I16(values) => values.len(),
            Values::F32(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> From<&'a [u8]> for Values<'a> {
    fn from(values: &'a [u8]) -> Self {
        Values::U8(values)
    }
}

impl<'a> From<&'a [i8]> for Values<'a> {
    fn from(values: &'a [i8]) -> Self {
        Values::I8(values)
    }
}

impl<'a> From<&'a [i16]> for Values<'a> {
    fn from(values: &'a [i16]) -> Self {
        Values::I16(values)
    }
}

impl<'a> From<&'a [f32]> for Values<'a> {
    fn from(values: &'a [f32]) -> Self {
        Values::F32(values)
    }
}

/// What the network's output is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Targets<'a> {
    /// Nothing: for inference.
    None,
    /// The class of each sample, counted from 0.
    U8(&'a [u8]),
    /// The class of each sample, counted from 0, where there are more than 256.
    U16(&'a [u16]),
    /// A vector for each sample, as long as the network's output, one after the other.
    F32(&'a [f32]),
}

/// The target of one sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target<'a> {
    /// A class.
    Class(usize),
    /// A value for each output.
    Values(&'a [f32]),
}

impl<'a> Targets<'a> {
    /// The target of a sample whose network has so many outputs.
    pub(crate) fn get(&self, index: u32, outputs: usize) -> Option<Target<'a>> {
        let index = index as usize;
        match self {
            Targets::None => None,
            Targets::U8(classes) => classes.get(index).map(|c| Target::Class(usize::from(*c))),
            Targets::U16(classes) => classes.get(index).map(|c| Target::Class(usize::from(*c))),
            Targets::F32(values) => {
                let values = values.get(index.checked_mul(outputs)?..)?;
                values.get(..outputs).map(Target::Values)
            }
        }
    }
}

/// How an element becomes a value: `x = element * scale + offset`, rounded once.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Affine {
    /// Value of one step of an element.
    pub scale: f32,
    /// Value of element 0.
    pub offset: f32,
}

impl Affine {
    /// Elements as they are.
    pub const NONE: Affine = Affine {
        scale: 1.0,
        offset: 0.0,
    };

    /// Bytes 0..=255 become 0..=1.
    pub const UNIT: Affine = Affine {
        scale: 1.0 / 255.0,
        offset: 0.0,
    };

    /// Elements of that mean and standard deviation become values of mean 0 and variance 1.
    pub const fn standard(mean: f32, deviation: f32) -> Affine {
        Affine {
            scale: 1.0 / deviation,
            offset: -mean / deviation,
        }
    }
}

/// How elements become values.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Normalisation<'a> {
    /// All alike.
    Same(Affine),
    /// Each channel in its own way; as many as a sample has channels.
    PerChannel(&'a [Affine]),
}

impl Normalisation<'_> {
    /// Elements as they are.
    pub const NONE: Normalisation<'static> = Normalisation::Same(Affine::NONE);

    /// Bytes 0..=255 become 0..=1.
    pub const UNIT: Normalisation<'static> = Normalisation::Same(Affine::UNIT);

    /// Elements of that mean and standard deviation become values of mean 0 and variance 1.
    pub const fn standard(mean: f32, deviation: f32) -> Normalisation<'static> {
        Normalisation::Same(Affine::standard(mean, deviation))
    }

    /// The scaling of a channel.
    #[inline(always)]
    pub(crate) fn channel(&self, channel: usize) -> Affine {
        match self {
            Normalisation::Same(scaling) => *scaling,
            Normalisation::PerChannel(scalings) => match scalings.get(channel) {
                Some(scaling) => *scaling,
                None => Affine::NONE,
            },
        }
    }
}

/// Samples and what they should become.
///
/// ```
/// use secant::{Affine, Normalisation, Samples, Targets, Values};
///
/// // Two gestures of three axes x 50 points, each axis with its own scale, and their classes.
/// let (accelerations, gestures) = ([0i16; 2 * 3 * 50], [0, 4]);
/// let [x, y] = [Affine::standard(0.0, 800.0); 2];
/// let axes = [x, y, Affine::standard(16_384.0, 900.0)];
/// let samples = Samples {
///     values: Values::I16(&accelerations),
///     targets: Targets::U8(&gestures),
///     normalisation: Normalisation::PerChannel(&axes),
/// };
/// # assert_eq!(samples.values.len(), 300);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Samples<'a> {
    /// The values of all samples.
    pub values: Values<'a>,
    /// What they should become.
    pub targets: Targets<'a>,
    /// How an element becomes a value.
    pub normalisation: Normalisation<'a>,
}

impl<'a> Samples<'a> {
    /// Images of one byte a pixel and their classes.
    pub const fn bytes(
        pixels: &'a [u8],
        classes: &'a [u8],
        normalisation: Normalisation<'a>,
    ) -> Samples<'a> {
        Samples {
            values: Values::U8(pixels),
            targets: Targets::U8(classes),
            normalisation,
        }
    }

    /// Samples without targets, for inference.
    pub const fn unlabelled(values: Values<'a>, normalisation: Normalisation<'a>) -> Samples<'a> {
        Samples {
            values,
            targets: Targets::None,
            normalisation,
        }
    }
}
