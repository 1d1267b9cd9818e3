//! Shapes of samples and windows, and what can be wrong with them: what everything else stands on.

use crate::message::Message;

/// Channels, rows and columns of one sample at some point of the network, stored in that order
/// (row-major). A one-dimensional signal has one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Shape {
    /// Feature maps.
    pub channels: usize,
    /// Height in pixels; 1 for a signal.
    pub rows: usize,
    /// Width in pixels; the length of a signal.
    pub columns: usize,
}

impl Shape {
    /// A shape of `channels` maps of `rows` x `columns`.
    pub const fn new(channels: usize, rows: usize, columns: usize) -> Shape {
        Shape {
            channels,
            rows,
            columns,
        }
    }

    /// A plain vector of `length` values.
    pub const fn vector(length: usize) -> Shape {
        Shape::new(length, 1, 1)
    }

    /// A signal of `length` points in each of `channels` channels.
    pub const fn signal(channels: usize, length: usize) -> Shape {
        Shape::new(channels, 1, length)
    }

    /// Number of values in a sample; `usize::MAX` if there are more.
    #[expect(
        clippy::len_without_is_empty,
        reason = "no shape of a network is empty"
    )]
    pub const fn len(&self) -> usize {
        self.channels
            .saturating_mul(self.rows)
            .saturating_mul(self.columns)
    }

    /// Whether there are values, and not more than [`LARGEST`].
    pub(crate) const fn fits(&self) -> bool {
        product_fits([self.channels, self.rows, self.columns])
    }
}

/// Most values of a map and most parameters of a network. Places are kept as 32-bit numbers, and so
/// that no product of two sizes in this crate overflows there is room to spare.
pub(crate) const LARGEST: usize = 1 << 28;

/// Whether the product of these sizes is from 1 to [`LARGEST`]. So is then each of them, and every
/// product of some of them.
pub(crate) const fn product_fits([a, b, c]: [usize; 3]) -> bool {
    let product = a.saturating_mul(b).saturating_mul(c);
    a > 0 && b > 0 && c > 0 && product <= LARGEST
}

/// The windows of a convolution or a pool: rows, then columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Window {
    /// Rows and columns of a window.
    pub size: [usize; 2],
    /// Step between windows, down and to the right.
    pub stride: [usize; 2],
}

impl Window {
    /// Single pixels, side by side.
    pub const PIXEL: Window = Window {
        size: [1, 1],
        stride: [1, 1],
    };

    /// Pixels of a window.
    pub const fn len(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Rows and columns of windows in an image with `padding` on each side.
    pub const fn positions(
        &self,
        image: [usize; 2],
        padding: [usize; 2],
    ) -> Result<[usize; 2], LayerError> {
        let mut positions = [0; 2];
        let mut axis = 0;
        while axis < 2 {
            if self.size[axis] == 0 {
                return Err(LayerError::Zero("kernel or window"));
            }
            if self.stride[axis] == 0 {
                return Err(LayerError::Zero("stride"));
            }
            if padding[axis] >= self.size[axis] {
                return Err(LayerError::PaddingTooWide {
                    padding,
                    kernel: self.size,
                });
            }
            let length = image[axis].saturating_add(padding[axis].saturating_mul(2));
            if length < self.size[axis] {
                return Err(LayerError::WindowTooLarge {
                    window: self.size,
                    image,
                });
            }
            positions[axis] = (length - self.size[axis]) / self.stride[axis] + 1;
            axis += 1;
        }
        Ok(positions)
    }

    /// Rows and columns that so many rows and columns of windows cover.
    pub const fn cover(&self, [rows, columns]: [usize; 2]) -> [usize; 2] {
        [
            (rows - 1) * self.stride[0] + self.size[0],
            (columns - 1) * self.stride[1] + self.size[1],
        ]
    }
}

/// The weights of a layer: `outputs` rows of `inputs` weights, then `outputs` biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Parameters {
    pub outputs: usize,
    pub inputs: usize,
}

impl Parameters {
    /// None.
    pub const NONE: Parameters = Parameters {
        outputs: 0,
        inputs: 0,
    };

    /// Number of weights.
    pub const fn weights(&self) -> usize {
        self.outputs.saturating_mul(self.inputs)
    }

    /// Number of weights and biases.
    pub const fn len(&self) -> usize {
        self.weights().saturating_add(self.outputs)
    }
}

/// What is wrong with a layer, given the shape of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LayerError {
    /// A size is zero; which one.
    Zero(&'static str),
    /// Padding must be smaller than the kernel: an output of zeros alone is of no use.
    PaddingTooWide {
        /// Rows and columns of padding on each side.
        padding: [usize; 2],
        /// Rows and columns of the kernel.
        kernel: [usize; 2],
    },
    /// The kernel or window is larger than the image with its padding.
    WindowTooLarge {
        /// Rows and columns of the window.
        window: [usize; 2],
        /// Rows and columns of the image that reaches the layer.
        image: [usize; 2],
    },
    /// A max-pool's window may have at most 256 pixels; its rows and columns.
    PoolTooLarge([usize; 2]),
    /// A dropout probability must be at least 0 and below 1.
    Probability,
    /// The slope of a leaky relu must be from 0 to 1.
    Slope,
    /// Groups must divide the channels.
    Groups {
        /// Groups asked for.
        groups: usize,
        /// Channels that reach the layer.
        channels: usize,
    },
    /// The layer's output, padded input or parameters are more than 2^28 values.
    TooLarge,
}

impl LayerError {
    pub(crate) const fn describe(self, message: Message) -> Message {
        match self {
            LayerError::Zero(what) => message.text(what).text(" must be at least 1, not 0"),
            LayerError::PaddingTooWide { padding, kernel } => message
                .text("padding must be smaller than the kernel of ")
                .pair(kernel)
                .text(", not ")
                .pair(padding),
            LayerError::WindowTooLarge { window, image } => message
                .text("the kernel or window of ")
                .pair(window)
                .text(" is larger than the image of ")
                .pair(image)
                .text(" that reaches the layer"),
            LayerError::PoolTooLarge(window) => message
                .text("a max-pool's window may have at most 256 pixels, not ")
                .pair(window),
            LayerError::Probability => {
                message.text("a dropout probability must be at least 0 and below 1")
            }
            LayerError::Slope => message.text("the slope of a leaky relu must be from 0 to 1"),
            LayerError::Groups { groups, channels } => message
                .text("the number of groups must divide the ")
                .number(channels)
                .text(" channels that reach the layer, and ")
                .number(groups)
                .text(" does not"),
            LayerError::TooLarge => {
                message.text("the layer's output or its weights are more than 2^28 values")
            }
        }
    }
}

impl core::fmt::Display for LayerError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.describe(Message::new()).as_str())
    }
}

impl core::error::Error for LayerError {}
