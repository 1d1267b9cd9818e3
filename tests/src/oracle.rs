//! A naive network in double precision: every layer as its definition reads, one sample at a time,
//! nothing fused, nothing clever. Slow, and written without a look at the library's kernels; only
//! the *description* of a network ([`Layer`], [`Shape`]) is shared.
//!
//! Gradients come from central finite differences, so that they rest on the forward pass alone, and
//! so do products with curvature matrices, which come from hyper-dual numbers in its place.

use crate::hyperdual::{HyperDual, Number};
use secant::network::{Layer, Shape};
use secant::{Curvature, Loss};

/// A network and its parameters in double precision.
#[derive(Debug, Clone)]
pub struct Oracle {
    /// Shape of a sample.
    pub input: Shape,
    /// The layers in order.
    pub layers: Vec<Layer>,
    /// All parameters, layer by layer, weights before biases.
    pub parameters: Vec<f64>,
}

/// Factors of dropout: for the layer of that index, the value of that place (in a row-major map) is
/// multiplied by it.
pub type Masks<'a> = &'a dyn Fn(usize, usize) -> f64;

/// No dropout: evaluation.
pub const NO_DROPOUT: Masks<'static> = &|_, _| 1.0;

impl Oracle {
    /// The network's output for one sample, a row-major map.
    pub fn forward(&self, sample: &[f64], masks: Masks<'_>) -> Vec<f64> {
        self.forward_at(&self.parameters, sample, masks)
    }

    /// The same for these parameters.
    pub fn forward_at<T: Number>(
        &self,
        parameters: &[T],
        sample: &[f64],
        masks: Masks<'_>,
    ) -> Vec<T> {
        let mut x: Vec<T> = sample.iter().map(|x| T::from(*x)).collect();
        self.walk(parameters, |index, layer, shape, own, output| {
            x = self.layer(index, layer, &x, shape, own, output, masks);
        });
        x
    }

    /// Calls `visit` with the index, the layer, the shape of its input, its parameters and the
    /// shape of its output, for each layer in order.
    fn walk<T>(&self, parameters: &[T], mut visit: impl FnMut(usize, &Layer, Shape, &[T], Shape)) {
        let (mut shape, mut parameters) = (self.input, parameters);
        for (index, layer) in self.layers.iter().enumerate() {
            let (count, output) = describe(layer, shape);
            let (own, rest) = parameters.split_at(count);
            visit(index, layer, shape, own, output);
            (shape, parameters) = (output, rest);
        }
        assert!(
            parameters.is_empty(),
            "more parameters than the layers have"
        );
    }

    /// One layer's output.
    fn layer<T: Number>(
        &self,
        index: usize,
        layer: &Layer,
        x: &[T],
        shape: Shape,
        own: &[T],
        output: Shape,
        masks: Masks<'_>,
    ) -> Vec<T> {
        let (zero, one) = (T::from(0.0), T::from(1.0));
        assert_eq!(x.len(), shape.len(), "length of the input of {layer:?}");
        match *layer {
            Layer::Conv2d(conv) => {
                let window = Window::new(conv.kernel, conv.stride);
                conv2d(x, shape, own, output, window, conv.padding)
            }
            Layer::Relu => x
                .iter()
                .map(|x| if *x > zero { *x } else { zero })
                .collect(),
            Layer::MaxPool2d(pool) => {
                max_pool2d(x, shape, output, Window::new(pool.size, pool.stride))
            }
            Layer::Linear(linear_layer) => linear(x, own, linear_layer.outputs),
            Layer::DepthwiseConv2d(conv) => {
                let window = Window::new(conv.kernel, conv.stride);
                depthwise_conv2d(x, shape, own, output, window, conv.padding)
            }
            Layer::AvgPool2d(pool) => {
                avg_pool2d(x, shape, output, Window::new(pool.size, pool.stride))
            }
            Layer::GlobalAvgPool2d => {
                let window = Window::new([shape.rows, shape.columns], [1, 1]);
                avg_pool2d(x, shape, output, window)
            }
            Layer::LeakyRelu(slope) => {
                let slope = T::from(f64::from(slope));
                x.iter()
                    .map(|x| if *x > zero { *x } else { slope * *x })
                    .collect()
            }
            Layer::GroupNorm(norm) => group_norm(x, shape, own, norm.groups),
            Layer::Sigmoid => x.iter().map(|x| one / (one + (-*x).exp())).collect(),
            Layer::Tanh => x.iter().map(|x| x.tanh()).collect(),
            Layer::Dropout(_) => x
                .iter()
                .enumerate()
                .map(|(i, x)| *x * T::from(masks(index, i)))
                .collect(),
            _ => panic!("the oracle does not know {layer:?}"),
        }
    }

    /// An upper bound of what rounding can be relative to: the forward pass with every product and
    /// every term made positive. A sum whose terms cancel is no more accurate than its largest
    /// terms allow. A normalised value is as uncertain as what it is made of, over the deviation,
    /// and the more the further it is out.
    pub fn magnitude(&self, sample: &[f64], masks: Masks<'_>) -> Vec<f64> {
        let positive = |values: &[f64]| values.iter().map(|x| x.abs()).collect::<Vec<_>>();
        let (mut x, mut size) = (sample.to_vec(), positive(sample));
        self.walk(&self.parameters, |index, layer, shape, own, output| {
            let own_size = positive(own);
            size = match layer {
                Layer::GroupNorm(norm) => {
                    let ones = [vec![1.0; shape.channels], vec![0.0; shape.channels]].concat();
                    let h = group_norm(&x, shape, &ones, norm.groups);
                    let length = x.len() / norm.groups;
                    let sizes = size.iter().zip(&h).enumerate().map(|(i, (own, h))| {
                        let group = i / length * length..(i / length + 1) * length;
                        let mean = size[group.clone()].iter().sum::<f64>() / length as f64;
                        let channel = i / (shape.rows * shape.columns);
                        let spread = (own + mean) / deviation(&x[group]) * (1.0 + h.abs());
                        own_size[channel] * spread + own_size[shape.channels + channel]
                    });
                    sizes.collect()
                }
                _ => self.layer(index, layer, &size, shape, &own_size, output, masks),
            };
            x = self.layer(index, layer, &x, shape, own, output, masks);
        });
        size
    }

    /// For every parameter the derivatives of all values that `f` returns for this network, by
    /// central differences: `(f(w + h) - f(w - h)) / 2h`. Their error is about `h^2` from the
    /// curvature plus `1e-16 / h` from rounding, together about 1e-10 with `h = 1e-5`.
    pub fn derivatives(&self, f: impl Fn(&Oracle) -> Vec<f64>) -> Vec<Vec<f64>> {
        const H: f64 = 1e-5;
        let mut moved = self.clone();
        let mut at = |i: usize, w: f64| {
            let before = std::mem::replace(&mut moved.parameters[i], w);
            let values = f(&moved);
            moved.parameters[i] = before;
            values
        };
        let parameters = self.parameters.iter().enumerate();
        parameters
            .map(|(i, w)| {
                let (above, below) = (at(i, w + H), at(i, w - H));
                above
                    .iter()
                    .zip(below)
                    .map(|(a, b)| (a - b) / (2.0 * H))
                    .collect()
            })
            .collect()
    }

    /// The product of a curvature matrix of `f` of the outputs of `samples` with `vector`, exact
    /// but for rounding: entry by entry, the second derivative along the entry and along the
    /// vector. `f` has as arguments the number of a sample and its outputs. For the Gauss-Newton
    /// matrix the outputs are made linear in the parameters first.
    pub fn product(
        &self,
        curvature: Curvature,
        vector: &[f64],
        samples: &[(Vec<f64>, Masks<'_>)],
        f: impl Fn(usize, &[HyperDual]) -> HyperDual,
    ) -> Vec<f64> {
        let values = self.parameters.iter().zip(vector);
        let along = values.map(|(w, v)| HyperDual {
            second: *v,
            ..HyperDual::from(*w)
        });
        let mut parameters: Vec<HyperDual> = along.collect();
        let entry = |i: usize| {
            parameters[i].first = 1.0;
            let parts = samples.iter().enumerate().map(|(number, (x, masks))| {
                let mut z = self.forward_at(&parameters, x, *masks);
                if curvature == Curvature::GaussNewton {
                    z.iter_mut().for_each(|z| z.both = 0.0);
                }
                f(number, &z).both
            });
            let sum = parts.sum();
            parameters[i].first = 0.0;
            sum
        };
        (0..vector.len()).map(entry).collect()
    }
}

/// Windows: rows and columns of one, and the steps down and to the right.
#[derive(Clone, Copy)]
struct Window {
    size: [usize; 2],
    stride: [usize; 2],
}

impl Window {
    fn new(size: [usize; 2], stride: [usize; 2]) -> Window {
        Window { size, stride }
    }

    /// So many channels of windows in an image with `padding` on each side.
    fn output(self, channels: usize, input: Shape, padding: [usize; 2]) -> Shape {
        let count = |length: usize, axis: usize| {
            (length + 2 * padding[axis] - self.size[axis]) / self.stride[axis] + 1
        };
        Shape::new(channels, count(input.rows, 0), count(input.columns, 1))
    }
}

/// Number of parameters and shape of the output of a layer, from its definition.
fn describe(layer: &Layer, input: Shape) -> (usize, Shape) {
    match *layer {
        Layer::Conv2d(conv) => (
            conv.outputs * (input.channels * conv.kernel[0] * conv.kernel[1] + 1),
            Window::new(conv.kernel, conv.stride).output(conv.outputs, input, conv.padding),
        ),
        Layer::DepthwiseConv2d(conv) => (
            input.channels * (conv.kernel[0] * conv.kernel[1] + 1),
            Window::new(conv.kernel, conv.stride).output(input.channels, input, conv.padding),
        ),
        Layer::GlobalAvgPool2d => (0, Shape::vector(input.channels)),
        Layer::MaxPool2d(pool) => {
            let window = Window::new(pool.size, pool.stride);
            (0, window.output(input.channels, input, [0, 0]))
        }
        Layer::AvgPool2d(pool) => {
            let window = Window::new(pool.size, pool.stride);
            (0, window.output(input.channels, input, [0, 0]))
        }
        Layer::Linear(linear) => (
            linear.outputs * (input.len() + 1),
            Shape::vector(linear.outputs),
        ),
        Layer::GroupNorm(_) => (2 * input.channels, input),
        _ => (0, input),
    }
}

/// The value at (channel, row, column) of a row-major map, 0 outside.
fn at<T: Number>(x: &[T], shape: Shape, channel: usize, row: isize, column: isize) -> T {
    let inside = |i: isize, n: usize| i >= 0 && (i as usize) < n;
    if inside(row, shape.rows) && inside(column, shape.columns) {
        x[(channel * shape.rows + row as usize) * shape.columns + column as usize]
    } else {
        T::from(0.0)
    }
}

/// All (channel, row, column) of a shape, row-major.
fn places(shape: Shape) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..shape.len()).map(move |i| {
        (
            i / shape.columns / shape.rows,
            i / shape.columns % shape.rows,
            i % shape.columns,
        )
    })
}

fn conv2d<T: Number>(
    x: &[T],
    input: Shape,
    parameters: &[T],
    output: Shape,
    window: Window,
    padding: [usize; 2],
) -> Vec<T> {
    let taps = Shape::new(input.channels, window.size[0], window.size[1]);
    let (weights, biases) = parameters.split_at(output.channels * taps.len());
    places(output)
        .map(|(o, r, c)| {
            let w = &weights[o * taps.len()..][..taps.len()];
            let sum: T = places(taps)
                .zip(w)
                .map(|((i, u, v), w)| {
                    let row = (r * window.stride[0] + u) as isize - padding[0] as isize;
                    let column = (c * window.stride[1] + v) as isize - padding[1] as isize;
                    *w * at(x, input, i, row, column)
                })
                .sum();
            biases[o] + sum
        })
        .collect()
}

/// A convolution of each channel's map as if it were the only one.
fn depthwise_conv2d<T: Number>(
    x: &[T],
    input: Shape,
    parameters: &[T],
    output: Shape,
    window: Window,
    padding: [usize; 2],
) -> Vec<T> {
    let taps = window.size[0] * window.size[1];
    let (weights, biases) = parameters.split_at(input.channels * taps);
    let one = |shape: Shape| Shape::new(1, shape.rows, shape.columns);
    x.chunks_exact(one(input).len())
        .zip(weights.chunks_exact(taps).zip(biases))
        .flat_map(|(x, (w, b))| {
            let own = [w, &[*b]].concat();
            conv2d(x, one(input), &own, one(output), window, padding)
        })
        .collect()
}

/// The values of the window behind output pixel (channel, row, column).
fn window_of<T: Number>(
    x: &[T],
    input: Shape,
    window: Window,
    (channel, r, c): (usize, usize, usize),
) -> impl Iterator<Item = T> {
    places(Shape::new(1, window.size[0], window.size[1])).map(move |(_, u, v)| {
        let (row, column) = (r * window.stride[0] + u, c * window.stride[1] + v);
        at(x, input, channel, row as isize, column as isize)
    })
}

fn avg_pool2d<T: Number>(x: &[T], input: Shape, output: Shape, window: Window) -> Vec<T> {
    let count = T::from((window.size[0] * window.size[1]) as f64);
    places(output)
        .map(|place| window_of(x, input, window, place).sum::<T>() / count)
        .collect()
}

fn max_pool2d<T: Number>(x: &[T], input: Shape, output: Shape, window: Window) -> Vec<T> {
    places(output)
        .map(|place| largest(window_of(x, input, window, place)))
        .collect()
}

/// The largest, the first of equals.
fn largest<T: Number>(values: impl Iterator<Item = T>) -> T {
    values.fold(T::from(f64::NEG_INFINITY), |a, b| if b > a { b } else { a })
}

/// The square root of the variance, and 1e-5.
fn deviation<T: Number>(x: &[T]) -> T {
    let count = T::from(x.len() as f64);
    let mean = x.iter().copied().sum::<T>() / count;
    let squares = x.iter().map(|x| (*x - mean) * (*x - mean));
    let variance = squares.sum::<T>() / count;
    (variance + T::from(1e-5)).sqrt()
}

fn group_norm<T: Number>(x: &[T], shape: Shape, parameters: &[T], groups: usize) -> Vec<T> {
    let (gamma, beta) = parameters.split_at(shape.channels);
    let (plane, length) = (shape.rows * shape.columns, x.len() / groups);
    let groups = x.chunks_exact(length).enumerate();
    groups
        .flat_map(|(group, x)| {
            let mean = x.iter().copied().sum::<T>() / T::from(length as f64);
            let deviation = deviation(x);
            let value = move |(i, x): (usize, &T)| {
                let channel = (group * length + i) / plane;
                gamma[channel] * (*x - mean) / deviation + beta[channel]
            };
            x.iter().enumerate().map(value).collect::<Vec<_>>()
        })
        .collect()
}

fn linear<T: Number>(x: &[T], parameters: &[T], outputs: usize) -> Vec<T> {
    let (weights, biases) = parameters.split_at(outputs * x.len());
    weights
        .chunks_exact(x.len())
        .zip(biases)
        .map(|(w, b)| *b + w.iter().zip(x).map(|(w, x)| *w * *x).sum::<T>())
        .collect()
}

/// A sample's loss for outputs `z` and a value for each of them (for classes: 1 for the label's,
/// else 0), from the definitions of [`Loss`].
pub fn loss<T: Number>(loss: Loss, z: &[T], target: &[f64]) -> T {
    let (one, half) = (T::from(1.0), T::from(0.5));
    let targets = || target.iter().map(|t| T::from(*t));
    let count = T::from(z.len() as f64);
    let mean = |term: &dyn Fn(T, T) -> T| {
        let terms = z.iter().zip(targets()).map(|(z, t)| term(*z, t));
        terms.sum::<T>() / count
    };
    let cross_entropy = |smoothing: f64| {
        let smoothing = T::from(smoothing);
        let largest = largest(z.iter().copied());
        let sum: T = z.iter().map(|z| (*z - largest).exp()).sum();
        let of_class = |z: T| sum.ln() - (z - largest);
        let smooth = |t: T| (one - smoothing) * t + smoothing / count;
        let terms = z
            .iter()
            .zip(targets())
            .map(|(z, t)| smooth(t) * of_class(*z));
        terms.sum()
    };
    match loss {
        Loss::SoftmaxCrossEntropy => cross_entropy(0.0),
        Loss::SmoothedCrossEntropy(smoothing) => cross_entropy(f64::from(smoothing)),
        Loss::MeanSquaredError => mean(&|z, t| (z - t) * (z - t)),
        Loss::Huber(delta) => mean(&|z, t| {
            let (delta, e) = (T::from(f64::from(delta)), z - t);
            let e = if e < T::from(0.0) { -e } else { e };
            if e <= delta {
                e * e * half
            } else {
                delta * (e - delta * half)
            }
        }),
        // -t ln s - (1 - t) ln (1 - s) with s = 1 / (1 + e^-z).
        Loss::BinaryCrossEntropy => {
            mean(&|z, t| t * (-z).exp().ln_1p() + (one - t) * z.exp().ln_1p())
        }
        other => panic!("the oracle does not know {other:?}"),
    }
}
