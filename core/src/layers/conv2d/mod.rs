//! Two-dimensional convolution, and with one row the convolution of signals.
//!
//! ```text
//! forward          y[o][r][c]     = b[o] + sum over i, u, v of w[o][i][u][v] x[i][r s + u][c t + v]
//! weight gradient  dw[o][i][u][v] = sum over samples, r, c of  dy[o][r][c]   x[i][r s + u][c t + v]
//! bias gradient    db[o]          = sum over samples, r, c of  dy[o][r][c]
//! input gradient   dx[i][r][c]    = sum over o, u, v of
//!                                   w[o][i][k-1-u][l-1-v] dy'[o][r + p + u][c + q + v]
//! ```
//! with strides `s` and `t`, a kernel of `k` x `l`, padding `p` and `q` (the zeros are stored
//! around `x`), and `dy'` the output gradient with `s - 1` rows and `t - 1` columns of zeros
//! between its pixels and a frame of `k - 1` and `l - 1` zeros, which are not stored: so the input
//! gradient is a forward pass with stride 1 and turned weights.
//!
//! Every term is one fused multiply-add, in the order of the indices as written (the last one runs
//! fastest). [`lanes`] says how sums of the weight gradient are kept per lane; [`single`] is the
//! same for one sample, which may leave out pixels without a gradient.
//!
//! There is no dilation and there are no groups: in the sums over lanes a dilated tap would be a
//! third stride in the innermost loop of every block, for a layer that small networks rarely
//! have; and groups are [`depthwise_conv2d`](crate::network::depthwise_conv2d) and a 1 x 1
//! convolution, or several networks.

pub(crate) mod definition;
pub(crate) mod lanes;
pub(crate) mod single;
pub(crate) mod tangent;
pub(crate) mod winograd;

use crate::map::Frame;
use crate::shape::{LayerError, Parameters, Shape, Window};

/// A two-dimensional convolution; see [`conv2d`](crate::network::conv2d).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Conv2d {
    /// Output channels.
    pub outputs: usize,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Step between output pixels, in input pixels, down and to the right.
    pub stride: [usize; 2],
    /// Rows of zeros above and below, and columns to the left and to the right.
    pub padding: [usize; 2],
    /// How blocks of several samples are computed.
    pub algorithm: Convolution,
}

/// How the convolutions of blocks of several samples are computed. One sample at a time is always
/// computed directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Convolution {
    /// Term by term.
    #[default]
    Direct,
    /// Kernels of 3 x 3 with stride 1 by Winograd's F(2 x 2, 3 x 3), where no pool follows or one of
    /// 2 x 2, with 16 multiplications for 36; all others directly. The last bits differ.
    Winograd,
}

impl Convolution {
    /// The name that reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Convolution::Direct => "direct",
            Convolution::Winograd => "winograd",
        }
    }
}

impl Conv2d {
    /// Where the kernel goes.
    pub(crate) const fn window(&self) -> Window {
        Window {
            size: self.kernel,
            stride: self.stride,
        }
    }

    pub(crate) const fn output(&self, input: Shape) -> Result<Shape, LayerError> {
        if self.outputs == 0 {
            return Err(LayerError::Zero("outputs"));
        }
        let image = [input.rows, input.columns];
        match self.window().positions(image, self.padding) {
            Ok([rows, columns]) => Ok(Shape::new(self.outputs, rows, columns)),
            Err(error) => Err(error),
        }
    }

    pub(crate) const fn parameters(&self, input: Shape) -> Parameters {
        Parameters {
            outputs: self.outputs,
            inputs: Shape::new(input.channels, self.kernel[0], self.kernel[1]).len(),
        }
    }

    /// Whether blocks of lanes go through [`winograd`].
    pub(crate) const fn is_winograd(&self, frame: &Frame) -> bool {
        matches!(self.algorithm, Convolution::Winograd) && winograd::serves(self, frame)
    }

    /// Pixels of the kernel.
    pub(crate) const fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Copies the inputs of an output pixel into `row`: see
    /// [`LayerInputs::row`](crate::LayerInputs::row).
    #[inline(always)]
    pub(crate) fn input_row(
        &self,
        frame: &Frame,
        position: usize,
        row: &mut [f32],
        copy: impl Fn(usize, &mut [f32]),
    ) {
        // `max(1)` shows the compiler that nothing divides by 0.
        let (rows, width) = (self.kernel[0].max(1), self.kernel[1].max(1));
        let columns = frame.columns.max(1);
        let (r, c) = (position / columns, position % columns);
        for (segment, values) in row.chunks_exact_mut(width).enumerate() {
            let (channel, u) = (segment / rows, segment % rows);
            let line = channel * frame.input.rows + r * self.stride[0] + u;
            copy(line * frame.input.columns + c * self.stride[1], values);
        }
    }
}
