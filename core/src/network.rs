//! The network as a value: [`Shape`], [`Layer`] and [`Network`].
//!
//! A network is a list of layers applied in turn. Shapes are checked when it is made, at compile time for a constant:
//!
//! ```
//! use secant::network::{Network, Shape, conv2d, linear, max_pool2d, relu};
//!
//! const NET: Network<7> = Network::new(
//!     Shape::new(1, 28, 28),
//!     [conv2d(8, 3), relu(), max_pool2d(2), conv2d(16, 3), relu(), max_pool2d(2), linear(10)],
//! );
//! assert_eq!(NET.parameter_count(), 5_258);
//! ```
//!
//! # No batch normalisation
//!
//! It would couple all samples of a batch: no layer can begin before the one in front of it has seen the last sample, so the
//! activations of the whole batch must be kept, where here one block of lanes (on a device one sample) goes through the whole
//! network before the next, and a batch's gradient is a sum over samples however it is cut. Its sums could be kept in a fixed
//! order, so it could be exact; it could not be static. A normalisation with fixed statistics is a scale and a shift, which the
//! weights and biases of the convolution in front of it can hold.

use crate::loss::Loss;
use crate::plan::{self, Plan, Stage};

/// Channels, rows and columns of one sample at some point of the network, stored in that order (row-major).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Shape {
    /// Feature maps.
    pub channels: usize,
    /// Height in pixels.
    pub rows: usize,
    /// Width in pixels.
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

    /// Number of values in a sample.
    #[expect(
        clippy::len_without_is_empty,
        reason = "no shape of a network is empty"
    )]
    pub const fn len(&self) -> usize {
        self.channels * self.rows * self.columns
    }
}

/// One layer. Make it with [`conv2d`], [`depthwise_conv2d`], [`linear`], [`relu`], [`leaky_relu`], [`tanh`], [`max_pool2d`],
/// [`avg_pool2d`], [`global_avg_pool2d`] or [`dropout`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Layer {
    /// Two-dimensional cross-correlation with a bias a channel; see [`conv2d`].
    Conv2d {
        /// Output channels.
        outputs: usize,
        /// Rows and columns of the kernel.
        kernel: usize,
        /// Step between output pixels, in input pixels.
        stride: usize,
        /// Rows and columns of zeros on each side of the input.
        padding: usize,
    },
    /// Rectified linear unit; see [`relu`].
    Relu,
    /// Largest value of each window; see [`max_pool2d`].
    MaxPool2d {
        /// Rows and columns of the window.
        size: usize,
        /// Step between windows.
        stride: usize,
    },
    /// Fully connected layer with a bias an output; see [`linear`].
    Linear {
        /// Output values.
        outputs: usize,
    },
    /// Random zeros in training; see [`dropout`].
    Dropout {
        /// Probability that a value is set to zero.
        probability: f32,
    },
    /// Convolution of each channel by itself; see [`depthwise_conv2d`].
    DepthwiseConv2d {
        /// Rows and columns of the kernel.
        kernel: usize,
        /// Step between output pixels, in input pixels.
        stride: usize,
        /// Rows and columns of zeros on each side of the input.
        padding: usize,
    },
    /// Mean of each window; see [`avg_pool2d`].
    AvgPool2d {
        /// Rows and columns of the window.
        size: usize,
        /// Step between windows.
        stride: usize,
    },
    /// Mean of each channel; see [`global_avg_pool2d`].
    GlobalAvgPool2d,
    /// A small slope for negative values; see [`leaky_relu`].
    LeakyRelu {
        /// Slope below zero.
        slope: f32,
    },
    /// Hyperbolic tangent; see [`tanh`].
    Tanh,
}

/// Two-dimensional convolution (cross-correlation, as every framework calls it), stride 1, no padding:
/// `y[o][r][c] = b[o] + sum over i, u, v of w[o][i][u][v] x[i][r s + u - p][c s + v - p]`, with stride `s` and padding `p`
/// set by [`Layer::stride`] and [`Layer::padding`], and zeros outside the image.
///
/// Parameters: `w` (outputs x inputs x kernel x kernel, row-major), then `b` (outputs).
pub const fn conv2d(outputs: usize, kernel: usize) -> Layer {
    Layer::Conv2d {
        outputs,
        kernel,
        stride: 1,
        padding: 0,
    }
}

/// Rectified linear unit: `y = 0` where `x < 0`, else `y = x`. The derivative at 0 is 0; a NaN stays a NaN.
pub const fn relu() -> Layer {
    Layer::Relu
}

/// Largest value of each `size` x `size` window, windows side by side (another step with [`Layer::stride`]). Rows and
/// columns that do not fill a window are dropped. On a tie the first in row-major order is the one that gets the gradient;
/// a NaN counts as larger than any number.
pub const fn max_pool2d(size: usize) -> Layer {
    Layer::MaxPool2d { size, stride: size }
}

/// Fully connected layer on all values of a sample: `y[o] = b[o] + sum over i of w[o][i] x[i]`.
///
/// Parameters: `w` (outputs x inputs, row-major), then `b` (outputs).
pub const fn linear(outputs: usize) -> Layer {
    Layer::Linear { outputs }
}

/// In training each value becomes 0 with `probability`, else it is multiplied by `1 / (1 - probability)`; in evaluation it
/// stays as it is.
pub const fn dropout(probability: f32) -> Layer {
    Layer::Dropout { probability }
}

/// Depthwise convolution: each channel with a kernel of its own, stride 1, no padding (both can be set as for [`conv2d`]):
/// `y[c][r][q] = b[c] + sum over u, v of w[c][u][v] x[c][r s + u - p][q s + v - p]`. With a `conv2d(outputs, 1)` after it, a
/// separable convolution.
///
/// Parameters: `w` (channels x kernel x kernel, row-major), then `b` (channels).
pub const fn depthwise_conv2d(kernel: usize) -> Layer {
    Layer::DepthwiseConv2d {
        kernel,
        stride: 1,
        padding: 0,
    }
}

/// Mean of each `size` x `size` window, windows side by side (another step with [`Layer::stride`]). Rows and columns that do
/// not fill a window are dropped.
pub const fn avg_pool2d(size: usize) -> Layer {
    Layer::AvgPool2d { size, stride: size }
}

/// Mean of each channel: one value a channel is left.
pub const fn global_avg_pool2d() -> Layer {
    Layer::GlobalAvgPool2d
}

/// Leaky rectified linear unit: `y = slope x` where `x < 0`, else `y = x`. The derivative at 0 is the slope.
pub const fn leaky_relu(slope: f32) -> Layer {
    Layer::LeakyRelu { slope }
}

/// Hyperbolic tangent, from `libm`.
pub const fn tanh() -> Layer {
    Layer::Tanh
}

impl Layer {
    /// The same layer with that step between output pixels or windows.
    ///
    /// # Panics
    /// When the layer is neither a convolution nor a pool: in a constant that is a compile error.
    pub const fn stride(self, step: usize) -> Layer {
        match self {
            Layer::Conv2d {
                outputs,
                kernel,
                padding,
                ..
            } => Layer::Conv2d {
                outputs,
                kernel,
                stride: step,
                padding,
            },
            Layer::MaxPool2d { size, .. } => Layer::MaxPool2d { size, stride: step },
            Layer::AvgPool2d { size, .. } => Layer::AvgPool2d { size, stride: step },
            Layer::DepthwiseConv2d {
                kernel, padding, ..
            } => Layer::DepthwiseConv2d {
                kernel,
                stride: step,
                padding,
            },
            _ => panic!("only convolutions and pools have a stride"),
        }
    }

    /// The same layer with that many rows and columns of zeros on each side of its input.
    ///
    /// # Panics
    /// When the layer is not a convolution: in a constant that is a compile error.
    pub const fn padding(self, width: usize) -> Layer {
        match self {
            Layer::Conv2d {
                outputs,
                kernel,
                stride,
                ..
            } => Layer::Conv2d {
                outputs,
                kernel,
                stride,
                padding: width,
            },
            Layer::DepthwiseConv2d { kernel, stride, .. } => Layer::DepthwiseConv2d {
                kernel,
                stride,
                padding: width,
            },
            _ => panic!("only convolutions have padding"),
        }
    }

    /// The layer's name in reports and errors.
    pub const fn name(&self) -> &'static str {
        match self {
            Layer::Conv2d { .. } => "conv2d",
            Layer::Relu => "relu",
            Layer::MaxPool2d { .. } => "max_pool2d",
            Layer::Linear { .. } => "linear",
            Layer::Dropout { .. } => "dropout",
            Layer::DepthwiseConv2d { .. } => "depthwise_conv2d",
            Layer::AvgPool2d { .. } => "avg_pool2d",
            Layer::GlobalAvgPool2d => "global_avg_pool2d",
            Layer::LeakyRelu { .. } => "leaky_relu",
            Layer::Tanh => "tanh",
        }
    }

    /// Shape of the output for an input of shape `input`.
    pub const fn output(&self, input: Shape) -> Result<Shape, LayerError> {
        match *self {
            Layer::Conv2d {
                outputs,
                kernel,
                stride,
                padding,
            } => {
                if outputs == 0 || kernel == 0 || stride == 0 {
                    return Err(LayerError::Zero);
                }
                if padding >= kernel {
                    return Err(LayerError::PaddingTooWide);
                }
                let (rows, columns) = (input.rows + 2 * padding, input.columns + 2 * padding);
                if rows < kernel || columns < kernel {
                    return Err(LayerError::WindowTooLarge);
                }
                Ok(Shape::new(
                    outputs,
                    (rows - kernel) / stride + 1,
                    (columns - kernel) / stride + 1,
                ))
            }
            Layer::MaxPool2d { size, stride } => {
                if size == 0 || stride == 0 {
                    return Err(LayerError::Zero);
                }
                if size > plan::LARGEST_POOL {
                    return Err(LayerError::PoolTooLarge);
                }
                if input.rows < size || input.columns < size {
                    return Err(LayerError::WindowTooLarge);
                }
                Ok(Shape::new(
                    input.channels,
                    (input.rows - size) / stride + 1,
                    (input.columns - size) / stride + 1,
                ))
            }
            Layer::Linear { outputs } => {
                if outputs == 0 {
                    return Err(LayerError::Zero);
                }
                Ok(Shape::vector(outputs))
            }
            Layer::Dropout { probability } => {
                if !(probability >= 0.0 && probability < 1.0) {
                    return Err(LayerError::Probability);
                }
                Ok(input)
            }
            Layer::DepthwiseConv2d {
                kernel,
                stride,
                padding,
            } => {
                let outputs = input.channels;
                let same = Layer::Conv2d {
                    outputs,
                    kernel,
                    stride,
                    padding,
                };
                same.output(input)
            }
            Layer::AvgPool2d { size, stride } => Layer::MaxPool2d { size, stride }.output(input),
            Layer::GlobalAvgPool2d => Ok(Shape::vector(input.channels)),
            Layer::LeakyRelu { slope } => {
                if !(slope >= 0.0 && slope <= 1.0) {
                    return Err(LayerError::Slope);
                }
                Ok(input)
            }
            Layer::Relu | Layer::Tanh => Ok(input),
        }
    }

    /// Number of weights and of biases for an input of shape `input`.
    pub const fn parameters(&self, input: Shape) -> (usize, usize) {
        match *self {
            Layer::Conv2d {
                outputs, kernel, ..
            } => (outputs * input.channels * kernel * kernel, outputs),
            Layer::Linear { outputs } => (outputs * input.len(), outputs),
            Layer::DepthwiseConv2d { kernel, .. } => {
                (input.channels * kernel * kernel, input.channels)
            }
            _ => (0, 0),
        }
    }
}

/// What is wrong with a layer, given the shape of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LayerError {
    /// Outputs, kernel, size or stride is zero.
    Zero,
    /// Padding must be smaller than the kernel: an output of zeros alone is of no use.
    PaddingTooWide,
    /// The kernel or window is larger than the image.
    WindowTooLarge,
    /// A pool's window may have at most 16 rows and columns.
    PoolTooLarge,
    /// A dropout probability must be at least 0 and below 1.
    Probability,
    /// The slope of a leaky relu must be from 0 to 1.
    Slope,
}

impl LayerError {
    const fn message(self) -> &'static str {
        match self {
            LayerError::Zero => "outputs, kernel, size and stride must be at least 1",
            LayerError::PaddingTooWide => "padding must be smaller than the kernel",
            LayerError::WindowTooLarge => {
                "the kernel or window is larger than the image that reaches the layer"
            }
            LayerError::PoolTooLarge => "a pool's window may have at most 16 rows and columns",
            LayerError::Probability => "a dropout probability must be at least 0 and below 1",
            LayerError::Slope => "the slope of a leaky relu must be from 0 to 1",
        }
    }
}

/// Why a list of layers is not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ShapeError {
    /// There is no layer.
    NoLayers,
    /// More layers than the network's capacity `N`.
    TooManyLayers,
    /// The input has no values.
    EmptyInput,
    /// A layer does not fit; counted from 0.
    Layer(usize, LayerError),
}

impl core::fmt::Display for ShapeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            ShapeError::NoLayers => f.write_str("a network needs at least one layer"),
            ShapeError::TooManyLayers => f.write_str("more layers than the network's capacity"),
            ShapeError::EmptyInput => f.write_str("the input shape has a zero"),
            ShapeError::Layer(i, error) => write!(f, "layer {}: {}", i + 1, error.message()),
        }
    }
}

impl core::error::Error for ShapeError {}

/// Why the first layers of a network cannot be frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FreezeError {
    /// No layer with parameters would be left to train.
    NothingToTrain,
    /// The weights are not those of the frozen layers.
    Weights {
        /// Their number: [`Network::parameter_offset`] of the first layer that is not frozen.
        expected: usize,
        /// How many there were.
        found: usize,
    },
}

impl core::fmt::Display for FreezeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            FreezeError::NothingToTrain => {
                f.write_str("no layer with parameters would be left to train")
            }
            FreezeError::Weights { expected, found } => {
                write!(f, "the frozen layers have {expected} weights, not {found}")
            }
        }
    }
}

impl core::error::Error for FreezeError {}

/// A feed-forward network of at most `N` layers: a plain value, `Copy`, without memory of its own.
///
/// Parameters are one flat slice of [`Network::parameter_count`] floats, layer by layer, weights before biases; gradients
/// have the same layout. Working memory is a slice of [`Network::workspace_len`] floats.
///
/// The first layers can be [frozen](Network::freeze): then they are no longer parameters, and `'w` is how long their weights
/// live. In a constant that is `'static`, and need not be written.
#[derive(Debug, Clone, Copy)]
pub struct Network<'w, const N: usize> {
    input: Shape,
    layers: [Layer; N],
    layer_count: usize,
    pub(crate) loss: Loss,
    stages: [Stage; N],
    stage_count: usize,
    /// The stage that the backward pass ends with: the first one that has parameters. The number of stages if none has.
    first_trained: usize,
    frozen_layers: usize,
    frozen: &'w [f32],
    // Known from the rest, kept because every pass asks for them.
    parameter_count: usize,
    output_len: usize,
    single_workspace_len: usize,
}

impl<'w, const N: usize> Network<'w, N> {
    /// The network of these layers.
    ///
    /// # Panics
    /// When a layer does not fit the shape that reaches it. In a constant that is a compile error that says why.
    pub const fn new(input: Shape, layers: [Layer; N]) -> Network<'w, N> {
        match Network::try_new(input, layers) {
            Ok(network) => network,
            Err(ShapeError::NoLayers) => panic!("a network needs at least one layer"),
            Err(ShapeError::TooManyLayers) => panic!("more layers than the network's capacity"),
            Err(ShapeError::EmptyInput) => panic!("the input shape has a zero"),
            Err(ShapeError::Layer(_, error)) => panic!("{}", error.message()),
        }
    }

    /// The network of these layers, or what is wrong with them.
    ///
    /// # Errors
    /// [`ShapeError`] names the first layer that does not fit.
    pub const fn try_new(input: Shape, layers: [Layer; N]) -> Result<Network<'w, N>, ShapeError> {
        Network::try_from_slice(input, &layers)
    }

    /// The network of a list made at run time, with at most `N` layers.
    ///
    /// # Errors
    /// [`ShapeError`] names the first layer that does not fit.
    pub const fn try_from_slice(
        input: Shape,
        list: &[Layer],
    ) -> Result<Network<'w, N>, ShapeError> {
        if list.is_empty() {
            return Err(ShapeError::NoLayers);
        }
        if list.len() > N {
            return Err(ShapeError::TooManyLayers);
        }
        if input.len() == 0 {
            return Err(ShapeError::EmptyInput);
        }
        let mut layers = [Layer::Relu; N];
        let mut i = 0;
        let mut shape = input;
        while i < list.len() {
            layers[i] = list[i];
            shape = match list[i].output(shape) {
                Ok(shape) => shape,
                Err(error) => return Err(ShapeError::Layer(i, error)),
            };
            i += 1;
        }
        let (stages, stage_count) = plan::plan(input, &layers, list.len());
        let network = Network {
            input,
            layers,
            layer_count: list.len(),
            loss: Loss::SoftmaxCrossEntropy,
            stages,
            stage_count,
            first_trained: 0,
            frozen_layers: 0,
            frozen: &[],
            parameter_count: 0,
            output_len: 0,
            single_workspace_len: 0,
        };
        Ok(network.train_from(0))
    }

    /// The same network with its first `layers` layers frozen: they keep the weights given here, and what is trained is the
    /// rest, the head. `weights` are the [`parameter_offset(layers)`](Network::parameter_offset) first parameters of the
    /// whole network.
    ///
    /// Parameters and gradient shrink to those of the other layers, and so does the memory of every optimiser; the backward
    /// pass ends there, and the workspace keeps no activation that only the frozen layers need. The gradient is the end of
    /// the whole network's, bit for bit. The weights are only read, and may lie in flash.
    ///
    /// ```
    /// use secant::Network;
    /// use secant::presets::MICRO;
    ///
    /// // All but the last layer; the weights would come from a file.
    /// static CONVOLUTIONS: [f32; MICRO.parameter_offset(6)] = [0.0; MICRO.parameter_offset(6)];
    /// const HEAD: Network<7> = MICRO.freeze(6, &CONVOLUTIONS);
    /// assert_eq!(HEAD.parameter_count(), 4_010);
    /// assert!(HEAD.workspace_len(1) < MICRO.workspace_len(1));
    /// ```
    ///
    /// # Panics
    /// Where [`try_freeze`](Network::try_freeze) would return an error. In a constant that is a compile error.
    pub const fn freeze<'a>(&self, layers: usize, weights: &'a [f32]) -> Network<'a, N> {
        match self.try_freeze(layers, weights) {
            Ok(network) => network,
            Err(FreezeError::NothingToTrain) => {
                panic!("no layer with parameters would be left to train")
            }
            Err(FreezeError::Weights { .. }) => panic!("these are not the frozen layers' weights"),
        }
    }

    /// [`freeze`](Network::freeze), for weights that are known at run time.
    ///
    /// # Errors
    /// [`FreezeError`] when nothing is left to train, or the number of weights is wrong.
    pub const fn try_freeze<'a>(
        &self,
        layers: usize,
        weights: &'a [f32],
    ) -> Result<Network<'a, N>, FreezeError> {
        let (stages, stage_count) = plan::plan(self.input, &self.layers, self.layer_count);
        let network = Network {
            stages,
            stage_count,
            frozen_layers: 0,
            frozen: weights,
            ..*self
        };
        let expected = network.parameter_offset(layers);
        if layers > 0 && expected == network.parameter_offset(self.layer_count) {
            return Err(FreezeError::NothingToTrain);
        }
        if weights.len() != expected {
            return Err(FreezeError::Weights {
                expected,
                found: weights.len(),
            });
        }
        Ok(network.train_from(layers))
    }

    /// Leaves the first `layers` layers to the frozen weights.
    const fn train_from(mut self, layers: usize) -> Network<'w, N> {
        let mut s = 0;
        while s < self.stage_count
            && (self.stages[s].layer < layers || self.stages[s].outputs() == 0)
        {
            s += 1;
        }
        self.first_trained = s;
        // From here on parameters are counted anew.
        let begin = self.parameter_offset(layers);
        while s < self.stage_count {
            self.stages[s].parameters -= begin;
            s += 1;
        }
        self.frozen_layers = layers;
        self.parameter_count = self.parameter_offset(self.layer_count);
        self.output_len = self.shape(self.layer_count).len();
        self.single_workspace_len = crate::single::workspace_len(&self.plan());
        self
    }

    /// The same network with another loss than softmax cross-entropy.
    #[must_use]
    pub const fn with_loss(self, loss: Loss) -> Network<'w, N> {
        Network { loss, ..self }
    }

    /// The loss that training makes small.
    pub const fn loss(&self) -> Loss {
        self.loss
    }

    /// Shape of an input sample.
    pub const fn input(&self) -> Shape {
        self.input
    }

    /// The layers in order.
    pub fn layers(&self) -> &[Layer] {
        &self.layers[..self.layer_count]
    }

    /// Shape of the input of layer `index`; for the number of layers, the network's output shape.
    pub const fn shape(&self, index: usize) -> Shape {
        let mut shape = self.input;
        let mut i = 0;
        while i < index && i < self.layer_count && i < N {
            if let Ok(next) = self.layers[i].output(shape) {
                shape = next;
            }
            i += 1;
        }
        shape
    }

    /// Number of values in the network's output: the classes.
    pub const fn output_len(&self) -> usize {
        self.output_len
    }

    /// Number of parameters, weights and biases of all layers that are not frozen.
    pub const fn parameter_count(&self) -> usize {
        self.parameter_count
    }

    /// Where the parameters of layer `index` begin in the flat slice; 0 for frozen layers, which have none.
    pub const fn parameter_offset(&self, index: usize) -> usize {
        let (mut offset, mut i, mut shape) = (0, 0, self.input);
        while i < index && i < self.layer_count && i < N {
            let (weights, biases) = self.layers[i].parameters(shape);
            if i >= self.frozen_layers {
                offset += weights + biases;
            }
            if let Ok(next) = self.layers[i].output(shape) {
                shape = next;
            }
            i += 1;
        }
        offset
    }

    /// The range of layer `index`'s weights and the range of its biases in the flat slice; both are empty for frozen layers.
    pub fn parameter_ranges(
        &self,
        index: usize,
    ) -> (core::ops::Range<usize>, core::ops::Range<usize>) {
        let start = self.parameter_offset(index);
        let (weights, biases) = if index < self.frozen_layers {
            (0, 0)
        } else {
            self.layers[index].parameters(self.shape(index))
        };
        (
            start..start + weights,
            start + weights..start + weights + biases,
        )
    }

    /// Nominal multiply-accumulates of one forward pass of one sample: weights times output pixels, with the outputs that a
    /// flooring pool drops counted in.
    pub const fn multiply_accumulates(&self) -> usize {
        let (mut total, mut i, mut shape) = (0, 0, self.input);
        while i < self.layer_count && i < N {
            let (weights, _) = self.layers[i].parameters(shape);
            if let Ok(next) = self.layers[i].output(shape) {
                total += weights * next.rows * next.columns;
                shape = next;
            }
            i += 1;
        }
        total
    }

    /// Floats of working memory for forward and backward passes of `lanes` samples at a time.
    pub const fn workspace_len(&self, lanes: usize) -> usize {
        if lanes == 1 {
            return self.single_workspace_len;
        }
        plan::workspace(&self.plan(), lanes).total
    }

    /// Number of frozen layers.
    pub const fn frozen_layers(&self) -> usize {
        self.frozen_layers
    }

    /// The weights of the frozen layers.
    pub const fn frozen_weights(&self) -> &'w [f32] {
        self.frozen
    }

    /// The stages.
    pub(crate) const fn plan(&self) -> Plan<'_> {
        let stages = match self.stages.split_at_checked(self.stage_count) {
            Some((stages, _)) => stages,
            None => &self.stages,
        };
        Plan {
            stages,
            first_trained: self.first_trained,
            frozen: self.frozen,
            shape: self.input,
        }
    }
}
