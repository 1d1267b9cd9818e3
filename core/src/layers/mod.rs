//! The layers: what each is, in plain matches with one line per layer. All that is known of a layer
//! (its shape rule, parameters, memory and kernels) stands in its own file or folder.
//!
//! Maps hold `lanes` samples innermost (`[channel][row][column][lane]`), so the inner loop of every
//! kernel is the same operation on independent samples. Lengths have been checked by the caller;
//! a kernel never allocates.

pub(crate) mod activation;
pub(crate) mod avg_pool2d;
pub(crate) mod conv2d;
pub(crate) mod depthwise_conv2d;
pub(crate) mod draw;
pub(crate) mod dropout;
pub(crate) mod group_norm;
pub(crate) mod linear;
pub(crate) mod max_pool2d;
pub(crate) mod memory;
pub(crate) mod register_block;
pub(crate) mod relu;
pub(crate) mod turn;

use crate::arch::Simd;
use crate::map::Frame;
use crate::shape::{LayerError, Parameters, Shape, Window};
use activation::Activation;
use avg_pool2d::AvgPool2d;
use conv2d::{Conv2d, Convolution};
use depthwise_conv2d::DepthwiseConv2d;
use group_norm::GroupNorm;
use linear::Linear;
use max_pool2d::MaxPool2d;
use memory::{
    Backward, BackwardWithTangent, Forward, ForwardWithTangent, SingleBackward, TangentBackward,
    TangentForward,
};

/// One layer. Make it with [`conv2d`], [`conv1d`], [`depthwise_conv2d`], [`linear`], [`relu`],
/// [`leaky_relu`], [`tanh`], [`sigmoid`], [`max_pool2d`], [`max_pool1d`], [`avg_pool2d`],
/// [`avg_pool1d`], [`global_avg_pool2d`], [`group_norm`], [`layer_norm`] or [`dropout`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Layer {
    /// Two-dimensional cross-correlation with a bias per channel; see [`conv2d`].
    Conv2d(Conv2d),
    /// Rectified linear unit; see [`relu`].
    Relu,
    /// Largest value of each window; see [`max_pool2d`].
    MaxPool2d(MaxPool2d),
    /// Fully connected layer with a bias per output; see [`linear`].
    Linear(Linear),
    /// Random zeros in training, with this probability; see [`dropout`].
    Dropout(f32),
    /// Convolution of each channel by itself; see [`depthwise_conv2d`].
    DepthwiseConv2d(DepthwiseConv2d),
    /// Mean of each window; see [`avg_pool2d`].
    AvgPool2d(AvgPool2d),
    /// Mean of each channel; see [`global_avg_pool2d`].
    GlobalAvgPool2d,
    /// This slope for negative values; see [`leaky_relu`].
    LeakyRelu(f32),
    /// Hyperbolic tangent; see [`tanh`].
    Tanh,
    /// Logistic function; see [`sigmoid`].
    Sigmoid,
    /// Normalisation of groups of channels; see [`group_norm`].
    GroupNorm(GroupNorm),
}

/// Two-dimensional convolution (cross-correlation, as every framework calls it), stride 1, no
/// padding:
/// `y[o][r][c] = b[o] + sum over i, u, v of w[o][i][u][v] x[i][r s + u - p][c t + v - q]`, with
/// strides `s` and `t` and padding `p` and `q` set by [`Layer::stride`] and [`Layer::padding`], and
/// zeros outside the image. [`Layer::kernel`] makes the kernel rectangular.
///
/// Parameters: `w` (outputs x inputs x kernel rows x kernel columns, row-major), then `b`
/// (outputs).
pub const fn conv2d(outputs: usize, kernel: usize) -> Layer {
    Layer::Conv2d(Conv2d {
        outputs,
        kernel: [kernel; 2],
        stride: [1; 2],
        padding: [0; 2],
        algorithm: Convolution::Direct,
    })
}

/// Convolution of signals, a [`conv2d`] with a kernel of 1 x `kernel`:
/// `y[o][c] = b[o] + sum over i, v of w[o][i][v] x[i][c t + v - q]`. A signal is an image with one
/// row ([`Shape::signal`]).
pub const fn conv1d(outputs: usize, kernel: usize) -> Layer {
    conv2d(outputs, kernel).kernel(1, kernel)
}

/// Rectified linear unit: `y = 0` where `x < 0`, else `y = x`. The derivative at 0 is 0; a NaN
/// stays a NaN.
pub const fn relu() -> Layer {
    Layer::Relu
}

/// Largest value of each `size` x `size` window, windows side by side (another step with
/// [`Layer::stride`], another shape with [`Layer::kernel`]). Rows and columns that do not fill a
/// window are dropped. On a tie the first in row-major order is the one that gets the gradient; a
/// NaN counts as larger than any number.
pub const fn max_pool2d(size: usize) -> Layer {
    Layer::MaxPool2d(MaxPool2d {
        size: [size; 2],
        stride: [size; 2],
    })
}

/// Largest value of each `size` points of a signal: a [`max_pool2d`] with windows of 1 x `size`.
pub const fn max_pool1d(size: usize) -> Layer {
    Layer::MaxPool2d(MaxPool2d {
        size: [1, size],
        stride: [1, size],
    })
}

/// Fully connected layer on all values of a sample: `y[o] = b[o] + sum over i of w[o][i] x[i]`.
///
/// Parameters: `w` (outputs x inputs, row-major), then `b` (outputs).
pub const fn linear(outputs: usize) -> Layer {
    Layer::Linear(Linear { outputs })
}

/// In training each value becomes 0 with `probability`, else it is multiplied by
/// `1 / (1 - probability)`; in evaluation it stays as it is.
pub const fn dropout(probability: f32) -> Layer {
    Layer::Dropout(probability)
}

/// Depthwise convolution: each channel with a kernel of its own, stride 1, no padding (all can be
/// set as for [`conv2d`]):
/// `y[c][r][q] = b[c] + sum over u, v of w[c][u][v] x[c][r s + u - p][q t + v - o]`. With a
/// `conv2d(outputs, 1)` after it, a separable convolution.
///
/// Parameters: `w` (channels x kernel rows x kernel columns, row-major), then `b` (channels).
pub const fn depthwise_conv2d(kernel: usize) -> Layer {
    Layer::DepthwiseConv2d(DepthwiseConv2d {
        kernel: [kernel; 2],
        stride: [1; 2],
        padding: [0; 2],
    })
}

/// Depthwise convolution of signals: a [`depthwise_conv2d`] with kernels of 1 x `kernel`.
pub const fn depthwise_conv1d(kernel: usize) -> Layer {
    depthwise_conv2d(kernel).kernel(1, kernel)
}

/// Mean of each `size` x `size` window, windows side by side (another step with [`Layer::stride`],
/// another shape with [`Layer::kernel`]). Rows and columns that do not fill a window are dropped.
pub const fn avg_pool2d(size: usize) -> Layer {
    Layer::AvgPool2d(AvgPool2d {
        size: [size; 2],
        stride: [size; 2],
    })
}

/// Mean of each `size` points of a signal: an [`avg_pool2d`] with windows of 1 x `size`.
pub const fn avg_pool1d(size: usize) -> Layer {
    Layer::AvgPool2d(AvgPool2d {
        size: [1, size],
        stride: [1, size],
    })
}

/// Mean of each channel: one value per channel is left.
pub const fn global_avg_pool2d() -> Layer {
    Layer::GlobalAvgPool2d
}

/// Leaky rectified linear unit: `y = slope x` where `x < 0`, else `y = x`. The derivative at 0 is
/// the slope.
pub const fn leaky_relu(slope: f32) -> Layer {
    Layer::LeakyRelu(slope)
}

/// Hyperbolic tangent.
pub const fn tanh() -> Layer {
    Layer::Tanh
}

/// Logistic function: `y = 1 / (1 + e^-x)`.
pub const fn sigmoid() -> Layer {
    Layer::Sigmoid
}

/// Group normalisation: in each sample, the values of each of `groups` groups of channels are
/// normalised to mean 0 and variance 1, then scaled and moved per channel:
/// `y = gamma_c (x - m) / sqrt(v + 1e-5) + beta_c`, with the group's mean `m` and (biased) variance
/// `v`. `groups` must divide the channels. Initially `gamma` is 1 and `beta` 0, and so each is
/// [initialised](crate::network::Network::initialise) whatever the rest is.
///
/// Parameters: `gamma` (channels), then `beta` (channels).
///
/// ```
/// use secant::network::{Network, Shape, conv1d, group_norm, linear, relu};
///
/// const NET: Network<4> = Network::new(
///     Shape::signal(3, 50),
///     [conv1d(8, 5), group_norm(2), relu(), linear(4)],
/// );
/// assert_eq!(NET.parameter_ranges(1), (128..136, 136..144));
/// ```
pub const fn group_norm(groups: usize) -> Layer {
    Layer::GroupNorm(GroupNorm { groups })
}

/// Layer normalisation: a [`group_norm`] over all channels together.
pub const fn layer_norm() -> Layer {
    group_norm(1)
}

impl Layer {
    /// The same layer with that step between output pixels or windows, down and to the right.
    ///
    /// # Panics
    /// When the layer is neither a convolution nor a pool: in a constant that is a compile error.
    pub const fn stride(self, step: usize) -> Layer {
        self.strides(step, step)
    }

    /// [`stride`](Layer::stride) with a step of its own along each axis.
    ///
    /// # Panics
    /// When the layer is neither a convolution nor a pool: in a constant that is a compile error.
    pub const fn strides(self, rows: usize, columns: usize) -> Layer {
        let stride = [rows, columns];
        match self {
            Layer::Conv2d(layer) => Layer::Conv2d(Conv2d { stride, ..layer }),
            Layer::MaxPool2d(layer) => Layer::MaxPool2d(MaxPool2d { stride, ..layer }),
            Layer::AvgPool2d(layer) => Layer::AvgPool2d(AvgPool2d { stride, ..layer }),
            Layer::DepthwiseConv2d(layer) => {
                Layer::DepthwiseConv2d(DepthwiseConv2d { stride, ..layer })
            }
            _ => panic!("only convolutions and pools have a stride"),
        }
    }

    /// The same layer with that many zeros on each side of its input. An axis along which the
    /// kernel has one pixel needs none and gets none, unless that holds for both.
    ///
    /// # Panics
    /// When the layer is not a convolution: in a constant that is a compile error.
    pub const fn padding(self, width: usize) -> Layer {
        match self.kernel_size() {
            [1, columns] if columns > 1 => self.paddings(0, width),
            [rows, 1] if rows > 1 => self.paddings(width, 0),
            _ => self.paddings(width, width),
        }
    }

    /// The same layer with `rows` rows of zeros above and below its input, and `columns` columns to
    /// the left and to the right.
    ///
    /// # Panics
    /// When the layer is not a convolution: in a constant that is a compile error.
    pub const fn paddings(self, rows: usize, columns: usize) -> Layer {
        let padding = [rows, columns];
        match self {
            Layer::Conv2d(layer) => Layer::Conv2d(Conv2d { padding, ..layer }),
            Layer::DepthwiseConv2d(layer) => {
                Layer::DepthwiseConv2d(DepthwiseConv2d { padding, ..layer })
            }
            _ => panic!("only convolutions have padding"),
        }
    }

    /// The same layer with a kernel or windows of `rows` x `columns`. The windows of a pool then
    /// lie side by side.
    ///
    /// # Panics
    /// When the layer is neither a convolution nor a pool: in a constant that is a compile error.
    pub const fn kernel(self, rows: usize, columns: usize) -> Layer {
        let size = [rows, columns];
        match self {
            Layer::Conv2d(layer) => Layer::Conv2d(Conv2d {
                kernel: size,
                ..layer
            }),
            Layer::MaxPool2d(_) => Layer::MaxPool2d(MaxPool2d { size, stride: size }),
            Layer::AvgPool2d(_) => Layer::AvgPool2d(AvgPool2d { size, stride: size }),
            Layer::DepthwiseConv2d(layer) => Layer::DepthwiseConv2d(DepthwiseConv2d {
                kernel: size,
                ..layer
            }),
            _ => panic!("only convolutions and pools have a kernel or windows"),
        }
    }

    /// Rows and columns of a convolution's kernel; 0 for other layers.
    const fn kernel_size(&self) -> [usize; 2] {
        match self {
            Layer::Conv2d(layer) => layer.kernel,
            Layer::DepthwiseConv2d(layer) => layer.kernel,
            _ => [0; 2],
        }
    }

    /// The same layer, with that algorithm if it is a convolution.
    pub(crate) const fn computed(self, algorithm: Convolution) -> Layer {
        match self {
            Layer::Conv2d(layer) => Layer::Conv2d(Conv2d { algorithm, ..layer }),
            other => other,
        }
    }

    /// The layer's name in reports and errors.
    pub const fn name(&self) -> &'static str {
        match self {
            Layer::Conv2d(_) => "conv2d",
            Layer::Relu => "relu",
            Layer::MaxPool2d(_) => "max_pool2d",
            Layer::Linear(_) => "linear",
            Layer::Dropout(_) => "dropout",
            Layer::DepthwiseConv2d(_) => "depthwise_conv2d",
            Layer::AvgPool2d(_) => "avg_pool2d",
            Layer::GlobalAvgPool2d => "global_avg_pool2d",
            Layer::LeakyRelu(_) => "leaky_relu",
            Layer::Tanh => "tanh",
            Layer::Sigmoid => "sigmoid",
            Layer::GroupNorm(_) => "group_norm",
        }
    }

    /// Shape of the output for an input of shape `input`.
    ///
    /// # Errors
    /// [`LayerError`] says what does not fit.
    pub const fn output(&self, input: Shape) -> Result<Shape, LayerError> {
        match self {
            Layer::Conv2d(layer) => layer.output(input),
            Layer::Relu | Layer::Tanh | Layer::Sigmoid => Ok(input),
            Layer::MaxPool2d(layer) => layer.output(input),
            Layer::Linear(layer) => layer.output(),
            Layer::Dropout(probability) => same(input, dropout::check(*probability)),
            Layer::DepthwiseConv2d(layer) => layer.output(input),
            Layer::AvgPool2d(layer) => layer.output(input),
            Layer::GlobalAvgPool2d => Ok(Shape::vector(input.channels)),
            Layer::LeakyRelu(slope) => same(input, activation::check_slope(*slope)),
            Layer::GroupNorm(layer) => layer.output(input),
        }
    }

    /// Number of weights and of biases for an input of shape `input`.
    pub const fn parameters(&self, input: Shape) -> (usize, usize) {
        let parameters = self.weights(input);
        (parameters.weights(), parameters.outputs)
    }

    /// The weights for an input of shape `input`.
    pub(crate) const fn weights(&self, input: Shape) -> Parameters {
        match self {
            Layer::Conv2d(layer) => layer.parameters(input),
            Layer::Linear(layer) => layer.parameters(input),
            Layer::DepthwiseConv2d(layer) => layer.parameters(input),
            Layer::GroupNorm(layer) => layer.parameters(input),
            _ => Parameters::NONE,
        }
    }

    /// The part of its input, of shape `input`, that a layer reads for so many live rows and
    /// columns of its output, padding included; and the padding above and to the left.
    pub(crate) const fn reads(&self, live: [usize; 2], input: Shape) -> ([usize; 2], [usize; 2]) {
        match self {
            Layer::Conv2d(layer) => (layer.window().cover(live), layer.padding),
            Layer::DepthwiseConv2d(layer) => (layer.window().cover(live), layer.padding),
            Layer::AvgPool2d(layer) => (layer.window().cover(live), [0; 2]),
            Layer::Linear(_) | Layer::GlobalAvgPool2d | Layer::GroupNorm(_) => {
                ([input.rows, input.columns], [0; 2])
            }
            _ => (live, [0; 2]),
        }
    }

    /// The rows of its input, padding included, that a row of the output is computed from, and the
    /// step to those of the next row. `None` where no row can be computed without the whole map.
    pub(crate) const fn rows(&self) -> Option<[usize; 2]> {
        match self {
            Layer::Conv2d(layer) => Some([layer.kernel[0], layer.stride[0]]),
            Layer::DepthwiseConv2d(layer) => Some([layer.kernel[0], layer.stride[0]]),
            Layer::AvgPool2d(layer) => Some([layer.size[0], layer.stride[0]]),
            // Dropout's choice goes by places in the whole map.
            Layer::Linear(_) | Layer::GlobalAvgPool2d | Layer::GroupNorm(_) | Layer::Dropout(_) => {
                None
            }
            _ => Some([1, 1]),
        }
    }

    /// Whether a stage that begins with this layer can take along a relu, and a max-pool.
    pub(crate) const fn joins(&self) -> (bool, bool) {
        match self {
            Layer::Conv2d(_) | Layer::Relu | Layer::MaxPool2d(_) => (true, true),
            Layer::Linear(_) => (true, false),
            _ => (false, false),
        }
    }

    /// Whether the layer is a relu, and the windows of a max-pool: what a stage may take along.
    pub(crate) const fn tail(&self) -> (bool, Option<Window>) {
        match self {
            Layer::Relu => (true, None),
            Layer::MaxPool2d(layer) => (false, Some(layer.window())),
            _ => (false, None),
        }
    }

    /// Floats of scratch of a stage, for the forward and for the backward pass.
    pub(crate) const fn scratch_len(&self, frame: &Frame, lanes: usize) -> (usize, usize) {
        match self {
            Layer::Conv2d(_) if lanes == 1 => conv2d::single::scratch_len(frame),
            Layer::Conv2d(layer) if layer.is_winograd(frame) => {
                conv2d::winograd::scratch_len(frame, lanes)
            }
            Layer::Conv2d(layer) => conv2d::lanes::scratch_len(layer, frame, lanes),
            Layer::Linear(_) if lanes > 1 => linear::lanes::scratch_len(frame, lanes),
            _ => (0, 0),
        }
    }

    /// The forward pass of a stage over a block of lanes.
    #[inline(always)]
    pub(crate) fn forward<S: Simd, const L: usize>(
        &self,
        simd: S,
        frame: &Frame,
        memory: Forward<'_>,
    ) -> Option<()> {
        match self {
            Layer::Conv2d(layer) if layer.is_winograd(frame) => {
                conv2d::winograd::forward::<S, L>(simd, frame, memory);
                Some(())
            }
            Layer::Conv2d(layer) => {
                conv2d::lanes::forward::<S, L>(layer, simd, frame, memory);
                Some(())
            }
            Layer::Linear(_) => {
                linear::lanes::forward::<S, L>(simd, frame, memory);
                Some(())
            }
            Layer::Relu | Layer::MaxPool2d(_) => {
                max_pool2d::lanes::forward::<S, L>(simd, frame, memory);
                Some(())
            }
            _ => self.forward_either::<S, L>(simd, frame, memory),
        }
    }

    /// The forward pass of a stage for one sample.
    #[inline(always)]
    pub(crate) fn forward_single<S: Simd>(
        &self,
        simd: S,
        frame: &Frame,
        memory: Forward<'_>,
    ) -> Option<()> {
        match self {
            Layer::Conv2d(layer) => conv2d::single::forward(layer, simd, frame, memory),
            Layer::Linear(_) => linear::single::forward(simd, frame, memory),
            Layer::Relu | Layer::MaxPool2d(_) => max_pool2d::single::forward(simd, frame, memory),
            Layer::DepthwiseConv2d(layer) => {
                depthwise_conv2d::single::forward(layer, simd, frame, memory)
            }
            _ => self.forward_either::<S, 1>(simd, frame, memory),
        }
    }

    /// The forward pass of the layers whose kernel is one for blocks and for single samples.
    #[inline(always)]
    fn forward_either<S: Simd, const L: usize>(
        &self,
        simd: S,
        frame: &Frame,
        memory: Forward<'_>,
    ) -> Option<()> {
        match self {
            Layer::Dropout(probability) => dropout::forward::<L>(*probability, frame, memory),
            Layer::DepthwiseConv2d(layer) => {
                depthwise_conv2d::forward::<S, L>(layer, simd, frame, memory)
            }
            Layer::AvgPool2d(_) | Layer::GlobalAvgPool2d => {
                avg_pool2d::forward::<S, L>(self.avg_pool(frame), simd, frame, memory)
            }
            Layer::GroupNorm(layer) => group_norm::forward::<S, L>(layer, simd, frame, memory),
            _ => activation::forward::<S, L>(self.activation()?, simd, frame, memory),
        }
    }

    /// Whether the backward pass over lanes itself overwrites a gradient of the weights that is to be
    /// fresh. All others are given zeros.
    pub(crate) const fn writes_fresh_gradients(&self) -> bool {
        matches!(self, Layer::Linear(_))
    }

    /// The backward pass of a stage over a block of lanes.
    #[inline(always)]
    pub(crate) fn backward<S: Simd, const L: usize>(
        &self,
        simd: S,
        frame: &Frame,
        memory: Backward<'_>,
    ) -> Option<()> {
        match self {
            Layer::Conv2d(layer) if layer.is_winograd(frame) => {
                conv2d::winograd::backward::<S, L>(simd, frame, memory);
            }
            Layer::Conv2d(layer) => conv2d::lanes::backward::<S, L>(layer, simd, frame, memory),
            Layer::Linear(_) => linear::lanes::backward::<S, L>(simd, frame, memory),
            Layer::Relu | Layer::MaxPool2d(_) if memory.passes.input_gradient => {
                max_pool2d::lanes::backward::<S, L>(simd, frame, memory);
            }
            Layer::Relu | Layer::MaxPool2d(_) => {}
            Layer::Dropout(probability) => {
                dropout::backward::<L>(*probability, frame, memory)?;
            }
            Layer::DepthwiseConv2d(layer) => {
                depthwise_conv2d::backward::<S, L>(layer, simd, frame, memory)?;
            }
            Layer::AvgPool2d(_) | Layer::GlobalAvgPool2d => {
                avg_pool2d::backward::<L>(self.avg_pool(frame), frame, memory)?;
            }
            Layer::GroupNorm(layer) => group_norm::backward::<S, L>(layer, simd, frame, memory)?,
            _ => activation::backward::<S, L>(self.activation()?, simd, frame, memory)?,
        }
        Some(())
    }

    /// The backward pass of a stage for one sample.
    #[inline(always)]
    pub(crate) fn backward_single<S: Simd>(
        &self,
        simd: S,
        frame: &Frame,
        memory: SingleBackward<'_>,
    ) -> Option<()> {
        match self {
            Layer::Conv2d(layer) => conv2d::single::backward(layer, simd, frame, memory),
            Layer::Linear(_) => linear::single::backward(simd, frame, memory),
            Layer::Relu | Layer::MaxPool2d(_) => max_pool2d::single::backward(simd, frame, memory),
            Layer::Dropout(probability) => dropout::backward_single(*probability, frame, memory),
            Layer::DepthwiseConv2d(layer) => {
                depthwise_conv2d::single::backward(layer, simd, frame, memory)
            }
            Layer::AvgPool2d(_) | Layer::GlobalAvgPool2d => {
                avg_pool2d::backward_single(self.avg_pool(frame), frame, memory)
            }
            Layer::GroupNorm(layer) => group_norm::backward_single(layer, simd, frame, memory),
            _ => activation::backward_single(self.activation()?, simd, frame, memory),
        }
    }

    /// Floats of scratch of a stage over a block of lanes, for both passes with their tangents.
    pub(crate) const fn tangent_scratch_len(&self, frame: &Frame, lanes: usize) -> usize {
        match self {
            Layer::Conv2d(layer) if layer.is_winograd(frame) => {
                conv2d::winograd::tangent::scratch_len(frame, lanes)
            }
            Layer::Conv2d(layer) => conv2d::tangent::tangent_scratch_len(layer, frame, lanes),
            Layer::Linear(_) => linear::tangent::tangent_scratch_len(frame, lanes),
            Layer::DepthwiseConv2d(_) => depthwise_conv2d::tangent::scratch_len(frame, lanes),
            _ => 0,
        }
    }

    /// The forward pass of a stage over a block of lanes together with its tangent, where the
    /// operation is linear and has weights.
    #[inline(always)]
    pub(crate) fn forward_with_tangent<S: Simd, const L: usize>(
        &self,
        simd: S,
        frame: &Frame,
        memory: ForwardWithTangent<'_>,
    ) -> Option<()> {
        match self {
            Layer::Conv2d(layer) if layer.is_winograd(frame) => {
                conv2d::winograd::tangent::forward::<S, L>(simd, frame, memory);
            }
            Layer::Conv2d(layer) => {
                conv2d::tangent::forward::<S, L>(layer, simd, frame, memory);
            }
            Layer::Linear(_) => linear::tangent::forward::<S, L>(simd, frame, memory),
            Layer::DepthwiseConv2d(layer) => {
                depthwise_conv2d::tangent::forward::<S, L>(layer, simd, frame, memory)?;
            }
            _ => return None,
        }
        Some(())
    }

    /// The backward pass of such a stage to weights and input, together with its tangent.
    #[inline(always)]
    pub(crate) fn backward_with_tangent<S: Simd, const L: usize>(
        &self,
        simd: S,
        frame: &Frame,
        memory: BackwardWithTangent<'_>,
    ) -> Option<()> {
        match self {
            Layer::Conv2d(layer) if layer.is_winograd(frame) => {
                conv2d::winograd::tangent::backward::<S, L>(simd, frame, memory);
            }
            Layer::Conv2d(layer) => {
                conv2d::tangent::backward::<S, L>(layer, simd, frame, memory);
            }
            Layer::Linear(_) => linear::tangent::backward::<S, L>(simd, frame, memory),
            Layer::DepthwiseConv2d(layer) => {
                depthwise_conv2d::tangent::backward::<S, L>(layer, simd, frame, memory)?;
            }
            _ => return None,
        }
        Some(())
    }

    /// Whether each output is a sum of products of inputs, or one of the inputs. Then the passes
    /// themselves give their tangents.
    pub(crate) const fn is_linear(&self) -> bool {
        !matches!(self, Layer::GroupNorm(_)) && self.activation().is_none()
    }

    /// The tangent of the forward pass of a layer that is not linear, over a block of lanes or of
    /// one sample.
    #[inline(always)]
    pub(crate) fn tangent_forward<S: Simd, const L: usize>(
        &self,
        simd: S,
        frame: &Frame,
        memory: TangentForward<'_>,
    ) -> Option<()> {
        match self {
            Layer::GroupNorm(layer) => {
                group_norm::tangent::forward::<S, L>(layer, simd, frame, memory)
            }
            _ => activation::tangent_forward::<S, L>(self.activation()?, simd, frame, memory),
        }
    }

    /// The tangent of the backward pass of a layer that is not linear, over a block of lanes or of
    /// one sample; the backward pass itself is done on the way.
    #[inline(always)]
    pub(crate) fn tangent_backward<S: Simd, const L: usize>(
        &self,
        simd: S,
        frame: &Frame,
        memory: TangentBackward<'_>,
    ) -> Option<()> {
        match self {
            Layer::GroupNorm(layer) => {
                group_norm::tangent::backward::<S, L>(layer, simd, frame, memory)
            }
            _ => activation::tangent_backward::<S, L>(self.activation()?, simd, frame, memory),
        }
    }

    /// Whether the layer is an activation, computed apart, that never decreases.
    pub(crate) const fn is_monotone(&self) -> bool {
        self.activation().is_some()
    }

    /// Whether the weights are factors and the biases shifts, which begin at 1 and 0.
    pub(crate) const fn is_scale_and_shift(&self) -> bool {
        matches!(self, Layer::GroupNorm(_))
    }

    /// Rows of inputs per sample that the weights are multiplied with. 0 where they are none that a
    /// map holds: a normalised value has variance 1 by definition, so there is nothing to learn.
    pub(crate) fn positions(&self, frame: &Frame) -> usize {
        match self {
            Layer::GroupNorm(_) => 0,
            Layer::Conv2d(_) => frame.rows * frame.columns,
            Layer::DepthwiseConv2d(_) => frame.output.live_len(),
            _ => 1,
        }
    }

    /// Copies the inputs of output `position` into `row`, with `copy(pixel, values)` for each run
    /// of pixels.
    #[inline(always)]
    pub(crate) fn input_row(
        &self,
        frame: &Frame,
        position: usize,
        row: &mut [f32],
        copy: impl Fn(usize, &mut [f32]),
    ) {
        match self {
            Layer::Conv2d(layer) => layer.input_row(frame, position, row, copy),
            Layer::DepthwiseConv2d(layer) => layer.input_row(frame, position, row, copy),
            _ => copy(0, row),
        }
    }

    /// The average pool that the layer is; else one over the whole map.
    const fn avg_pool(&self, frame: &Frame) -> AvgPool2d {
        match self {
            Layer::AvgPool2d(pool) => *pool,
            _ => AvgPool2d::whole(&frame.input),
        }
    }

    /// The activation that the layer is, if it is computed apart.
    const fn activation(&self) -> Option<Activation> {
        match self {
            Layer::LeakyRelu(slope) => Some(Activation::LeakyRelu(*slope)),
            Layer::Tanh => Some(Activation::Tanh),
            Layer::Sigmoid => Some(Activation::Sigmoid),
            _ => None,
        }
    }
}

/// The input's shape, once a layer's settings have been checked.
const fn same(input: Shape, checked: Result<(), LayerError>) -> Result<Shape, LayerError> {
    match checked {
        Ok(()) => Ok(input),
        Err(error) => Err(error),
    }
}
