//! A naive network in double precision: every layer as its definition reads, one sample at a time, nothing fused, nothing
//! clever. Slow, and written without a look at the library's kernels; only the *description* of a network
//! ([`Layer`], [`Shape`]) is shared.
//!
//! Gradients come from central finite differences, so that they rest on the forward pass alone.

use secant::network::{Layer, Shape};

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

/// Factors of dropout: for the layer of that index, the value of that place (in a row-major map) is multiplied by it.
pub type Masks<'a> = &'a dyn Fn(usize, usize) -> f64;

/// No dropout: evaluation.
pub const NO_DROPOUT: Masks<'static> = &|_, _| 1.0;

impl Oracle {
    /// The network's output for one sample, a row-major map.
    pub fn forward(&self, sample: &[f64], masks: Masks<'_>) -> Vec<f64> {
        assert_eq!(sample.len(), self.input.len(), "length of the sample");
        let mut shape = self.input;
        let mut x = sample.to_vec();
        let mut parameters = self.parameters.as_slice();
        for (index, layer) in self.layers.iter().enumerate() {
            let (count, output) = describe(layer, shape);
            let (own, rest) = parameters.split_at(count);
            x = match *layer {
                Layer::Conv2d {
                    kernel,
                    stride,
                    padding,
                    ..
                } => conv2d(&x, shape, own, output, kernel, stride, padding),
                Layer::Relu => x.iter().map(|x| if *x > 0.0 { *x } else { 0.0 }).collect(),
                Layer::MaxPool2d { size, stride } => max_pool2d(&x, shape, output, size, stride),
                Layer::Linear { outputs } => linear(&x, own, outputs),
                Layer::DepthwiseConv2d {
                    kernel,
                    stride,
                    padding,
                } => depthwise_conv2d(&x, shape, own, output, kernel, stride, padding),
                Layer::AvgPool2d { size, stride } => {
                    avg_pool2d(&x, shape, output, size, size, stride)
                }
                Layer::GlobalAvgPool2d => {
                    avg_pool2d(&x, shape, output, shape.rows, shape.columns, 1)
                }
                Layer::LeakyRelu { slope } => {
                    let slope = f64::from(slope);
                    x.iter()
                        .map(|x| if *x > 0.0 { *x } else { slope * x })
                        .collect()
                }
                Layer::Tanh => x.iter().map(|x| x.tanh()).collect(),
                Layer::Dropout(_) => x
                    .iter()
                    .enumerate()
                    .map(|(i, x)| x * masks(index, i))
                    .collect(),
                _ => panic!("the oracle does not know {layer:?}"),
            };
            assert_eq!(x.len(), output.len(), "length of the output of {layer:?}");
            shape = output;
            parameters = rest;
        }
        assert!(
            parameters.is_empty(),
            "more parameters than the layers have"
        );
        x
    }

    /// An upper bound of what rounding can be relative to: the forward pass with every product and every term made positive.
    /// A sum whose terms cancel is no more accurate than its largest terms allow.
    pub fn magnitude(&self, sample: &[f64], masks: Masks<'_>) -> Vec<f64> {
        let positive = |values: &[f64]| values.iter().map(|x| x.abs()).collect::<Vec<_>>();
        let oracle = Oracle {
            parameters: positive(&self.parameters),
            ..self.clone()
        };
        oracle.forward(&positive(sample), masks)
    }

    /// Softmax cross-entropy of one sample.
    pub fn loss(&self, sample: &[f64], label: usize, masks: Masks<'_>) -> f64 {
        softmax_cross_entropy(&self.forward(sample, masks), label)
    }

    /// For every parameter the derivatives of all values that `f` returns for this network, by central differences:
    /// `(f(w + h) - f(w - h)) / 2h`. Their error is about `h^2` from the curvature plus `1e-16 / h` from rounding, together
    /// about 1e-10 with `h = 1e-5`.
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
}

/// Number of parameters and shape of the output of a layer, from its definition.
fn describe(layer: &Layer, input: Shape) -> (usize, Shape) {
    // Windows of `size` that fit into `length`, `stride` apart.
    let windows = |length: usize, size: usize, stride: usize| (length - size) / stride + 1;
    match *layer {
        Layer::Conv2d {
            outputs,
            kernel,
            stride,
            padding,
        } => (
            outputs * (input.channels * kernel * kernel + 1),
            Shape::new(
                outputs,
                windows(input.rows + 2 * padding, kernel, stride),
                windows(input.columns + 2 * padding, kernel, stride),
            ),
        ),
        Layer::DepthwiseConv2d {
            kernel,
            stride,
            padding,
        } => (
            input.channels * (kernel * kernel + 1),
            Shape::new(
                input.channels,
                windows(input.rows + 2 * padding, kernel, stride),
                windows(input.columns + 2 * padding, kernel, stride),
            ),
        ),
        Layer::GlobalAvgPool2d => (0, Shape::vector(input.channels)),
        Layer::MaxPool2d { size, stride } | Layer::AvgPool2d { size, stride } => (
            0,
            Shape::new(
                input.channels,
                windows(input.rows, size, stride),
                windows(input.columns, size, stride),
            ),
        ),
        Layer::Linear { outputs } => (outputs * (input.len() + 1), Shape::vector(outputs)),
        _ => (0, input),
    }
}

/// The value at (channel, row, column) of a row-major map, 0 outside.
fn at(x: &[f64], shape: Shape, channel: usize, row: isize, column: isize) -> f64 {
    let inside = |i: isize, n: usize| i >= 0 && (i as usize) < n;
    if inside(row, shape.rows) && inside(column, shape.columns) {
        x[(channel * shape.rows + row as usize) * shape.columns + column as usize]
    } else {
        0.0
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

fn conv2d(
    x: &[f64],
    input: Shape,
    parameters: &[f64],
    output: Shape,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Vec<f64> {
    let taps = Shape::new(input.channels, kernel, kernel);
    let (weights, biases) = parameters.split_at(output.channels * taps.len());
    places(output)
        .map(|(o, r, c)| {
            let w = &weights[o * taps.len()..][..taps.len()];
            let sum: f64 = places(taps)
                .zip(w)
                .map(|((i, u, v), w)| {
                    let row = (r * stride + u) as isize - padding as isize;
                    let column = (c * stride + v) as isize - padding as isize;
                    w * at(x, input, i, row, column)
                })
                .sum();
            biases[o] + sum
        })
        .collect()
}

/// A convolution of each channel's map as if it were the only one.
fn depthwise_conv2d(
    x: &[f64],
    input: Shape,
    parameters: &[f64],
    output: Shape,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Vec<f64> {
    let (weights, biases) = parameters.split_at(input.channels * kernel * kernel);
    let one = |shape: Shape| Shape::new(1, shape.rows, shape.columns);
    x.chunks_exact(one(input).len())
        .zip(weights.chunks_exact(kernel * kernel).zip(biases))
        .flat_map(|(x, (w, b))| {
            let own = [w, &[*b]].concat();
            conv2d(x, one(input), &own, one(output), kernel, stride, padding)
        })
        .collect()
}

fn avg_pool2d(
    x: &[f64],
    input: Shape,
    output: Shape,
    rows: usize,
    columns: usize,
    stride: usize,
) -> Vec<f64> {
    places(output)
        .map(|(channel, r, c)| {
            let window = places(Shape::new(1, rows, columns)).map(|(_, u, v)| {
                let (row, column) = (r * stride + u, c * stride + v);
                at(x, input, channel, row as isize, column as isize)
            });
            window.sum::<f64>() / (rows * columns) as f64
        })
        .collect()
}

fn max_pool2d(x: &[f64], input: Shape, output: Shape, size: usize, stride: usize) -> Vec<f64> {
    places(output)
        .map(|(channel, r, c)| {
            places(Shape::new(1, size, size))
                .map(|(_, u, v)| {
                    at(
                        x,
                        input,
                        channel,
                        (r * stride + u) as isize,
                        (c * stride + v) as isize,
                    )
                })
                .fold(f64::NEG_INFINITY, f64::max)
        })
        .collect()
}

fn linear(x: &[f64], parameters: &[f64], outputs: usize) -> Vec<f64> {
    let (weights, biases) = parameters.split_at(outputs * x.len());
    weights
        .chunks_exact(x.len())
        .zip(biases)
        .map(|(w, b)| b + w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>())
        .collect()
}

/// `-ln softmax(z)_label`.
pub fn softmax_cross_entropy(z: &[f64], label: usize) -> f64 {
    let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = z.iter().map(|z| (z - largest).exp()).sum();
    sum.ln() - (z[label] - largest)
}

/// `1/C sum (z - unit vector of the label)^2` over the C outputs.
pub fn mean_squared_error(z: &[f64], label: usize) -> f64 {
    let target = |c| f64::from(u8::from(c == label));
    let squares = z.iter().enumerate().map(|(c, z)| (z - target(c)).powi(2));
    squares.sum::<f64>() / z.len() as f64
}
