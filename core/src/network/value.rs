//! The network: layers, their plan, and what is known of them at compile time.

use super::error::{FreezeError, ShapeError};
use crate::layers::Layer;
use crate::layers::conv2d::Convolution;
use crate::loss::Loss;
use crate::plan::stage::Stage;
use crate::plan::workspace::CurvatureLayout;
use crate::plan::{self, Plan, chain, workspace};
use crate::shape::{LARGEST, LayerError, Shape, product_fits};

/// A feed-forward network of at most `N` layers: a plain value, `Copy`, without memory of its own.
///
/// Parameters are one flat slice of [`Network::parameter_count`] floats, layer by layer, weights
/// before biases; gradients have the same layout. Working memory is a slice of
/// [`Network::workspace_len`] floats.
///
/// The first layers can be [frozen](Network::freeze): then they are no longer parameters, and `'w`
/// is how long their weights live. In a constant that is `'static`, and need not be written.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Network<'w, const N: usize> {
    input: Shape,
    layers: [Layer; N],
    layer_count: usize,
    pub(crate) loss: Loss,
    stages: [Stage; N],
    stage_count: usize,
    /// The stage that the backward pass ends with: the first one that has parameters. The number of
    /// stages if none has.
    first_trained: usize,
    frozen_layers: usize,
    frozen: &'w [f32],
    // Known from the rest, kept because every pass asks for them.
    parameter_count: usize,
    output_len: usize,
    single_workspace_len: usize,
    single_inference_len: usize,
    pub(crate) single_curvature: CurvatureLayout,
}

impl<'w, const N: usize> Network<'w, N> {
    /// The network of these layers.
    ///
    /// # Panics
    /// When a layer does not fit the shape that reaches it. In a constant that is a compile error
    /// that says why.
    pub const fn new(input: Shape, layers: [Layer; N]) -> Network<'w, N> {
        match Network::try_new(input, layers) {
            Ok(network) => network,
            Err(error) => panic!("{}", error.message().as_str()),
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
            return Err(ShapeError::TooManyLayers {
                layers: list.len(),
                capacity: N,
            });
        }
        if !input.fits() {
            return Err(ShapeError::Input);
        }
        let mut layers = [Layer::Relu; N];
        let (mut i, mut parameters) = (0, 0);
        let mut shape = input;
        while i < list.len() {
            layers[i] = list[i];
            let own = list[i].weights(shape);
            shape = match checked_output(&list[i], shape) {
                Ok(shape) => shape,
                Err(error) => {
                    return Err(ShapeError::Layer {
                        index: i,
                        name: list[i].name(),
                        error,
                    });
                }
            };
            // At most twice `LARGEST` here, which 32 bits hold.
            parameters += own.len();
            if parameters > LARGEST {
                return Err(ShapeError::Parameters);
            }
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
            single_inference_len: 0,
            single_curvature: CurvatureLayout::EMPTY,
        };
        Ok(network.train_from(0))
    }

    /// The same network with its first `layers` layers frozen: they keep the weights given here,
    /// and what is trained is the rest, the head. `weights` are the
    /// [`parameter_offset(layers)`](Network::parameter_offset) first parameters of the whole
    /// network.
    ///
    /// Parameters and gradient shrink to those of the other layers, and so does the memory of every
    /// optimiser; the backward pass ends there, and the workspace keeps no activation that only the
    /// frozen layers need. The gradient is the end of the whole network's, bit for bit. The weights
    /// are only read, and may lie in flash.
    ///
    /// ```
    /// use secant::network::Network;
    /// use secant::network::presets::MICRO;
    ///
    /// // All but the last layer; the weights would come from a file.
    /// static CONVOLUTIONS: [f32; MICRO.parameter_offset(6)] = [0.0; MICRO.parameter_offset(6)];
    /// const HEAD: Network<7> = MICRO.freeze(6, &CONVOLUTIONS);
    /// assert_eq!(HEAD.parameter_count(), 4_010);
    /// assert!(HEAD.workspace_len(1) < MICRO.workspace_len(1));
    /// ```
    ///
    /// # Panics
    /// Where [`try_freeze`](Network::try_freeze) would return an error. In a constant that is a
    /// compile error.
    pub const fn freeze<'a>(&self, layers: usize, weights: &'a [f32]) -> Network<'a, N> {
        match self.try_freeze(layers, weights) {
            Ok(network) => network,
            Err(error) => panic!("{}", error.message().as_str()),
        }
    }

    /// [`freeze`](Network::freeze), for weights that are known at run time.
    ///
    /// # Errors
    /// [`FreezeError`] when there are fewer layers, or the number of weights is wrong.
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
        if layers > self.layer_count {
            return Err(FreezeError::Layers {
                frozen: layers,
                layers: self.layer_count,
            });
        }
        let expected = network.parameter_offset(layers);
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
        self.single_workspace_len = workspace::len(&self.plan(), 1);
        self.single_inference_len = chain::len(self.plan().stages);
        self.single_curvature = workspace::single_curvature_layout(&self.plan());
        self
    }

    /// The same network with another loss than softmax cross-entropy.
    #[must_use]
    pub const fn with_loss(self, loss: Loss) -> Network<'w, N> {
        Network { loss, ..self }
    }

    /// The same network with its convolutions computed so, in blocks of several samples. Sizes of
    /// workspaces change.
    #[must_use]
    pub const fn with_convolution(mut self, algorithm: Convolution) -> Network<'w, N> {
        let mut i = 0;
        while i < N {
            self.layers[i] = self.layers[i].computed(algorithm);
            self.stages[i].op = self.stages[i].op.computed(algorithm);
            i += 1;
        }
        self
    }

    /// How the convolutions are computed in blocks of several samples.
    pub fn convolution(&self) -> Convolution {
        let mut layers = self.layers().iter();
        let winograd = layers.any(
            |layer| matches!(layer, Layer::Conv2d(layer) if layer.algorithm == Convolution::Winograd),
        );
        if winograd {
            Convolution::Winograd
        } else {
            Convolution::Direct
        }
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

    /// Where the parameters of layer `index` begin in the flat slice; 0 for frozen layers, which
    /// have none.
    pub const fn parameter_offset(&self, index: usize) -> usize {
        let (mut offset, mut i, mut shape) = (0, 0, self.input);
        while i < index && i < self.layer_count && i < N {
            if i >= self.frozen_layers {
                offset += self.layers[i].weights(shape).len();
            }
            if let Ok(next) = self.layers[i].output(shape) {
                shape = next;
            }
            i += 1;
        }
        offset
    }

    /// The range of layer `index`'s weights and the range of its biases in the flat slice; both are
    /// empty for frozen layers.
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

    /// Nominal multiply-accumulates of one forward pass of one sample: weights times output pixels,
    /// with the outputs that a flooring pool drops counted in; `usize::MAX` if there are more.
    pub const fn multiply_accumulates(&self) -> usize {
        let (mut total, mut i, mut shape) = (0, 0, self.input);
        while i < self.layer_count && i < N {
            let weights = self.layers[i].weights(shape).weights();
            if let Ok(next) = self.layers[i].output(shape) {
                let own = Shape::new(weights, next.rows, next.columns).len();
                total = usize::saturating_add(total, own);
                shape = next;
            }
            i += 1;
        }
        total
    }

    /// Floats of working memory for forward and backward passes of `lanes` samples at a time, which
    /// is 1, 2, 4, 8 or 16. `usize::MAX` where that is more than the target can address.
    pub const fn workspace_len(&self, lanes: usize) -> usize {
        if lanes == 1 {
            return self.single_workspace_len;
        }
        workspace::len(&self.plan(), lanes)
    }

    /// Floats of working memory for forward passes alone, of `lanes` samples at a time:
    /// [`evaluate`](Network::evaluate) and [`predict`](Network::predict). Maps are not kept, so
    /// this is less than [`workspace_len`](Network::workspace_len), which serves as well. With one
    /// lane, rows of a map come and go, as far as it takes to get along with half of that.
    pub const fn inference_workspace_len(&self, lanes: usize) -> usize {
        if lanes == 1 {
            return self.single_inference_len;
        }
        workspace::len(&self.plan().without_backward(), lanes)
    }

    /// Floats of working memory for [`curvature_product`](Network::curvature_product), of `lanes`
    /// samples at a time: with each map its tangent, and what no pass keeps otherwise.
    pub const fn curvature_workspace_len(&self, lanes: usize) -> usize {
        if lanes == 1 {
            return self.single_curvature.total;
        }
        workspace::curvature_len(&self.plan(), lanes)
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
            first_kept: self.first_trained,
            frozen: self.frozen,
            shape: self.input,
        }
    }
}

/// Shape of a layer's output, if output, padded input and weights are not too large.
const fn checked_output(layer: &Layer, input: Shape) -> Result<Shape, LayerError> {
    let output = match layer.output(input) {
        Ok(output) => output,
        Err(error) => return Err(error),
    };
    // This bounds the kernel's pixels, too.
    let ([rows, columns], _) = layer.reads([output.rows, output.columns], input);
    if !output.fits() || !product_fits([input.channels, rows, columns]) {
        return Err(LayerError::TooLarge);
    }
    if layer.weights(input).len() > LARGEST {
        return Err(LayerError::TooLarge);
    }
    Ok(output)
}
