//! The networks that the passes are tested on.

use crate::fixture::Fixture;
use secant::network::{
    Conv2d, Convolution, Layer, Network, Shape, avg_pool1d, avg_pool2d, conv1d, conv2d,
    depthwise_conv1d, depthwise_conv2d, dropout, global_avg_pool2d, group_norm, layer_norm,
    leaky_relu, linear, max_pool1d, max_pool2d, relu, sigmoid, tanh,
};
use secant::{DropoutKey, Loss};
use secant_tests::draw::Draw;

/// Networks that put a layer into every awkward place. Those that begin with `conv2d(_, 1)` do so
/// to see the input gradient of what follows.
pub fn cases() -> Vec<(Shape, Vec<Layer>)> {
    let shape = Shape::new;
    vec![
        // Convolution: one pixel; a kernel as large as the image; no square; one channel in or out;
        // blocks plus and minus one.
        (shape(1, 1, 1), vec![conv2d(1, 1)]),
        (shape(1, 1, 1), vec![conv2d(2, 1), conv2d(3, 1)]),
        (shape(2, 5, 5), vec![conv2d(3, 1), conv2d(4, 5)]),
        (shape(1, 5, 9), vec![conv2d(2, 1), conv2d(3, 3)]),
        (shape(3, 4, 2), vec![conv2d(1, 2), conv2d(1, 1)]),
        (shape(2, 3, 4), vec![conv2d(7, 2), conv2d(9, 2)]),
        (shape(1, 3, 3), vec![conv2d(8, 2), conv2d(17, 1), linear(2)]),
        (shape(1, 1, 13), vec![conv2d(5, 1), conv2d(2, 1)]),
        // Stride, also one that leaves columns unread, and one larger than the kernel.
        (shape(1, 7, 7), vec![conv2d(2, 1), conv2d(3, 3).stride(2)]),
        (shape(2, 8, 6), vec![conv2d(2, 1), conv2d(2, 3).stride(2)]),
        (shape(1, 8, 9), vec![conv2d(3, 1), conv2d(2, 2).stride(3)]),
        (
            shape(1, 6, 6),
            vec![conv2d(2, 3).stride(2), conv2d(2, 1).stride(2)],
        ),
        // Padding, alone and with stride; wider than the image.
        (shape(1, 4, 5), vec![conv2d(2, 1), conv2d(3, 3).padding(1)]),
        (
            shape(2, 3, 3),
            vec![conv2d(3, 3).padding(2), conv2d(2, 3).padding(2)],
        ),
        (shape(1, 1, 1), vec![conv2d(2, 1), conv2d(2, 5).padding(4)]),
        (
            shape(1, 1, 2),
            vec![conv2d(2, 3).padding(1), conv2d(2, 3).padding(1)],
        ),
        (
            shape(1, 5, 7),
            vec![conv2d(2, 1), conv2d(3, 3).padding(1).stride(2)],
        ),
        (
            shape(2, 6, 5),
            vec![
                conv2d(2, 3).padding(2).stride(3),
                conv2d(3, 3).padding(1).stride(2),
            ],
        ),
        // ReLU: first, last, twice, after each other layer.
        (shape(1, 3, 3), vec![relu(), conv2d(2, 2)]),
        (
            shape(2, 4, 3),
            vec![conv2d(3, 2), relu(), conv2d(2, 2), relu()],
        ),
        (
            shape(1, 3, 5),
            vec![conv2d(2, 1), relu(), relu(), linear(3)],
        ),
        (
            shape(1, 4, 4),
            vec![conv2d(2, 1), max_pool2d(2), relu(), linear(3)],
        ),
        (
            shape(1, 4, 4),
            vec![conv2d(3, 1), relu(), max_pool2d(2), relu(), linear(3)],
        ),
        (
            shape(1, 2, 3),
            vec![linear(5), relu(), linear(4), relu(), linear(3)],
        ),
        (
            shape(1, 2, 3),
            vec![linear(5), relu(), conv2d(3, 1), relu(), linear(2)],
        ),
        // Max-pool: sizes that do not divide; overlapping, gapped; first, last, twice, alone; one
        // window.
        (shape(1, 5, 7), vec![conv2d(2, 1), max_pool2d(2)]),
        (shape(2, 8, 5), vec![conv2d(3, 1), max_pool2d(3)]),
        (shape(1, 6, 6), vec![conv2d(2, 1), max_pool2d(3).stride(2)]),
        (
            shape(1, 5, 4),
            vec![conv2d(2, 1), max_pool2d(3).stride(1), relu()],
        ),
        (shape(1, 9, 8), vec![conv2d(2, 1), max_pool2d(2).stride(3)]),
        (shape(2, 7, 7), vec![max_pool2d(2), conv2d(2, 2)]),
        (
            shape(1, 9, 9),
            vec![conv2d(2, 1), max_pool2d(2), max_pool2d(2)],
        ),
        (shape(1, 6, 5), vec![conv2d(3, 1), max_pool2d(1)]),
        (shape(1, 16, 17), vec![conv2d(2, 1), max_pool2d(16)]),
        (shape(1, 2, 2), vec![linear(6), max_pool2d(1), linear(3)]),
        // What a pool drops is never computed; padding, stride and another pool behind it.
        (
            shape(1, 11, 11),
            vec![
                conv2d(3, 3),
                relu(),
                max_pool2d(2),
                conv2d(4, 2),
                relu(),
                max_pool2d(2),
                linear(3),
            ],
        ),
        (
            shape(1, 10, 9),
            vec![
                conv2d(2, 2),
                max_pool2d(2),
                conv2d(3, 3).padding(1),
                relu(),
                max_pool2d(3),
                linear(4),
            ],
        ),
        (
            shape(1, 12, 12),
            vec![
                conv2d(2, 3).stride(2),
                relu(),
                conv2d(3, 2).stride(2),
                max_pool2d(2),
                linear(2),
            ],
        ),
        (
            shape(2, 9, 9),
            vec![
                max_pool2d(2),
                conv2d(2, 3).padding(2).stride(3),
                relu(),
                linear(3),
            ],
        ),
        // Linear: one to one; on a map; blocks plus and minus one.
        (shape(1, 1, 1), vec![linear(1)]),
        (shape(1, 1, 1), vec![linear(1), linear(2)]),
        (shape(3, 3, 2), vec![linear(15), linear(17)]),
        (shape(2, 3, 3), vec![conv2d(3, 2), linear(7), linear(9)]),
        // Dropout: first, on a map that is padded later, between linear layers, never, nearly
        // always.
        (shape(1, 3, 5), vec![dropout(0.5), conv2d(2, 2), linear(3)]),
        (
            shape(2, 4, 3),
            vec![
                conv2d(3, 2),
                relu(),
                dropout(0.3),
                conv2d(2, 3).padding(1),
                linear(3),
            ],
        ),
        (
            shape(1, 4, 5),
            vec![
                linear(13),
                relu(),
                dropout(0.2),
                linear(6),
                dropout(0.0),
                linear(4),
            ],
        ),
        // A linear layer's outputs as one-pixel images with padding around them.
        (
            shape(1, 2, 3),
            vec![
                linear(3),
                relu(),
                conv2d(4, 3).padding(1).stride(3),
                linear(5),
            ],
        ),
        // Depthwise convolution: as the first layer, strided, padded, before everything that could
        // join a stage.
        (shape(3, 5, 4), vec![depthwise_conv2d(3)]),
        (
            shape(2, 6, 7),
            vec![
                conv2d(5, 1),
                depthwise_conv2d(3).padding(1).stride(2),
                relu(),
                conv2d(2, 1),
            ],
        ),
        (
            shape(1, 9, 9),
            vec![
                conv2d(3, 3),
                depthwise_conv2d(2).padding(1),
                max_pool2d(3),
                depthwise_conv2d(1),
                tanh(),
                linear(3),
            ],
        ),
        // Average pools: dropped rows, overlap, gaps, the whole map, before a padded convolution.
        (shape(2, 5, 6), vec![conv2d(2, 1), avg_pool2d(2)]),
        (
            shape(1, 8, 7),
            vec![
                conv2d(2, 1),
                avg_pool2d(3).stride(2),
                relu(),
                conv2d(3, 3).padding(1),
                avg_pool2d(1).stride(2),
            ],
        ),
        (
            shape(1, 6, 5),
            vec![
                conv2d(4, 2),
                leaky_relu(0.1),
                max_pool2d(2),
                tanh(),
                global_avg_pool2d(),
                linear(2),
            ],
        ),
        // Activations: first, last, twice, around a pool and a dropout.
        (shape(1, 2, 3), vec![tanh(), linear(4), leaky_relu(0.25)]),
        (
            shape(1, 7, 7),
            vec![
                conv2d(3, 3),
                leaky_relu(0.0),
                leaky_relu(1.0),
                dropout(0.3),
                tanh(),
                linear(5),
                tanh(),
            ],
        ),
        (
            shape(1, 10, 10),
            vec![
                conv2d(3, 3),
                dropout(0.4),
                max_pool2d(2),
                dropout(0.95),
                relu(),
                linear(3),
            ],
        ),
        // Winograd's kernels: tiles that are whole and cut, margins, maps of one pixel, more inputs
        // than are summed per lane, pools that are tiles and others, more tiles than a band has.
        (
            shape(1, 7, 8),
            vec![conv2d(5, 3).padding(1), conv2d(9, 3), relu(), linear(2)],
        ),
        (
            shape(2, 9, 6),
            vec![
                conv2d(17, 3).padding(2),
                relu(),
                max_pool2d(2),
                conv2d(3, 3),
                max_pool2d(2).stride(1),
                linear(3),
            ],
        ),
        (
            shape(16, 5, 5),
            vec![conv2d(2, 3).padding(1), relu(), max_pool2d(2), linear(2)],
        ),
        (
            shape(19, 1, 2),
            vec![conv2d(2, 3).padding(1), relu(), linear(2)],
        ),
        (
            shape(1, 8, 6),
            vec![conv2d(4, 3), max_pool2d(2), tanh(), linear(2)],
        ),
        (
            shape(62, 2, 36),
            vec![conv2d(2, 3).padding(1), relu(), max_pool2d(2), linear(2)],
        ),
        // The logistic function, first and behind a convolution.
        (shape(2, 1, 3), vec![sigmoid(), linear(4), sigmoid()]),
        (
            shape(1, 6, 5),
            vec![conv2d(9, 2), sigmoid(), max_pool2d(2), linear(2)],
        ),
        // Normalisation: first, last, of each channel, behind and before other layers, of maps that
        // are padded and of maps whose last row a pool drops.
        (shape(4, 3, 2), vec![group_norm(2), linear(3)]),
        (shape(3, 2, 4), vec![linear(6), layer_norm()]),
        (
            shape(1, 8, 7),
            vec![
                conv2d(6, 3),
                group_norm(3),
                relu(),
                max_pool2d(2),
                conv2d(4, 2).padding(1),
                layer_norm(),
                leaky_relu(0.1),
                linear(3),
            ],
        ),
        (
            Shape::signal(2, 19),
            vec![
                conv1d(9, 3),
                group_norm(9),
                conv1d(4, 3).padding(2),
                relu(),
                max_pool1d(2),
                group_norm(2),
                linear(2),
            ],
        ),
        (
            shape(2, 5, 5),
            vec![
                group_norm(1),
                depthwise_conv2d(2).stride(2),
                dropout(0.3),
                layer_norm(),
                relu(),
                global_avg_pool2d(),
                linear(2),
            ],
        ),
        // Signals.
        (
            Shape::signal(3, 20),
            vec![
                conv1d(9, 5),
                relu(),
                max_pool1d(2),
                conv1d(4, 3).padding(1),
                relu(),
                global_avg_pool2d(),
                linear(3),
            ],
        ),
        (
            Shape::signal(2, 23),
            vec![
                conv1d(5, 7).stride(2).padding(3),
                avg_pool1d(3),
                depthwise_conv1d(2),
                conv1d(3, 1),
                linear(2),
            ],
        ),
        (
            Shape::signal(1, 9),
            vec![max_pool1d(3).strides(1, 2), conv1d(2, 3), relu(), linear(2)],
        ),
        // Rectangles: kernels, steps, padding and windows of their own along each axis.
        (
            shape(2, 7, 5),
            vec![
                conv2d(10, 1).kernel(3, 5).paddings(1, 2),
                relu(),
                max_pool2d(2).kernel(3, 1),
                linear(4),
            ],
        ),
        (
            shape(1, 9, 8),
            vec![
                conv2d(3, 1).kernel(4, 3).strides(2, 1).paddings(0, 2),
                relu(),
                max_pool2d(1).kernel(2, 3).strides(1, 2),
                conv2d(2, 1).kernel(1, 2).strides(1, 2).paddings(0, 1),
                linear(3),
            ],
        ),
        (
            shape(3, 6, 6),
            vec![
                depthwise_conv2d(1)
                    .kernel(3, 2)
                    .strides(1, 2)
                    .paddings(2, 0),
                avg_pool2d(1).kernel(1, 3).strides(2, 1),
                linear(2),
            ],
        ),
        (
            shape(1, 12, 3),
            vec![
                conv2d(2, 1).kernel(12, 3).padding(2),
                relu(),
                max_pool2d(1).kernel(1, 2),
                linear(2),
            ],
        ),
        // One channel between two of Winograd's: its input has a tangent and a gradient.
        (
            shape(2, 9, 7),
            vec![
                conv2d(1, 3).padding(1),
                relu(),
                conv2d(5, 3),
                max_pool2d(2),
                linear(3),
            ],
        ),
    ]
}

/// A network of rectangular kernels drawn at random, small enough for finite differences.
fn random_rectangles(draw: &mut Draw) -> (Shape, Vec<Layer>) {
    loop {
        let input = Shape::new(1 + draw.below(3), 1 + draw.below(8), 1 + draw.below(12));
        let mut layers: Vec<Layer> = Vec::new();
        for _ in 0..1 + draw.below(5) {
            let (rows, columns) = (1 + draw.below(5), 1 + draw.below(6));
            let steps = (1 + draw.below(3), 1 + draw.below(3));
            let paddings = (draw.below(rows), draw.below(columns));
            layers.push(match draw.below(8) {
                0..3 => conv2d(1 + draw.below(10), 1)
                    .kernel(rows, columns)
                    .strides(steps.0, steps.1)
                    .paddings(paddings.0, paddings.1),
                3 => depthwise_conv2d(1)
                    .kernel(rows, columns)
                    .strides(steps.0, steps.1)
                    .paddings(paddings.0, paddings.1),
                4 => relu(),
                5 | 6 => max_pool2d(1)
                    .kernel(rows, columns)
                    .strides(steps.0, steps.1),
                _ => avg_pool2d(1)
                    .kernel(rows, columns)
                    .strides(steps.0, steps.1),
            });
        }
        layers.push(linear(1 + draw.below(5)));
        let network = Network::<8>::try_from_slice(input, &layers);
        if network.is_ok_and(|n| (1..300).contains(&n.parameter_count())) {
            return (input, layers);
        }
    }
}

/// A network drawn at random, small enough for finite differences.
fn random_case(draw: &mut Draw) -> (Shape, Vec<Layer>) {
    loop {
        let input = Shape::new(1 + draw.below(3), 1 + draw.below(10), 1 + draw.below(10));
        let mut layers: Vec<Layer> = Vec::new();
        for _ in 0..1 + draw.below(7) {
            layers.push(match draw.below(10) {
                0..4 => {
                    let kernel = 1 + draw.below(4);
                    conv2d(1 + draw.below(10), kernel)
                        .stride(1 + draw.below(3))
                        .padding(draw.below(kernel))
                }
                4 | 5 => relu(),
                6 | 7 => max_pool2d(1 + draw.below(3)).stride(1 + draw.below(3)),
                _ => linear(1 + draw.below(9)),
            });
            if draw.below(5) == 0 {
                layers.extend([
                    dropout(draw.below(3) as f32 * 0.3),
                    linear(1 + draw.below(9)),
                ]);
            }
        }
        let network = secant::network::Network::<8>::try_from_slice(input, &layers);
        if network.is_ok_and(|n| (1..400).contains(&n.parameter_count()) && n.output_len() < 100) {
            return (input, layers);
        }
    }
}

/// The losses that take turns.
const LOSSES: [Loss; 5] = [
    Loss::SoftmaxCrossEntropy,
    Loss::MeanSquaredError,
    Loss::SmoothedCrossEntropy(0.125),
    Loss::Huber(0.5),
    Loss::BinaryCrossEntropy,
];

/// The table's networks and 300 random ones, each with and without dropout where it has any. Losses
/// and kinds of target take turns.
pub fn fixtures(count: usize) -> Vec<Fixture> {
    let mut draw = Draw::new(0x001a_7e25);
    // Seeds of their own, so that a new case in the table changes no random one.
    let random = (0..150).map(|_| random_case(&mut draw)).zip(1000..);
    let mut rectangles = Draw::new(0x4ec7);
    let random_rectangles = (0..150).map(|_| random_rectangles(&mut rectangles));
    let all = cases().into_iter().zip(0u64..).chain(random);
    let mut fixtures = Vec::new();
    for ((input, layers), seed) in all.chain(random_rectangles.zip(2000..)) {
        let mut fixture = Fixture::new(input, &layers, count, seed);
        fixture.network = fixture
            .network
            .with_loss(LOSSES[seed as usize % LOSSES.len()]);
        let outputs = fixture.network.output_len();
        // Of the losses that take them, every second one gets vectors; some classes get factors.
        let mut values = Draw::new(seed ^ 0x7a26);
        match fixture.network.loss() {
            Loss::BinaryCrossEntropy if seed / 5 % 2 == 0 => {
                fixture.vectors = (0..count * outputs)
                    .map(|_| values.below(5) as f32 / 4.0)
                    .collect();
            }
            Loss::MeanSquaredError | Loss::Huber(_) if seed / 5 % 2 == 0 => {
                fixture.vectors = (0..count * outputs).map(|_| values.symmetric()).collect();
            }
            _ if seed % 3 == 0 => {
                fixture.class_weights = (0..outputs)
                    .map(|_| 0.25 + values.below(8) as f32 / 4.0)
                    .collect();
            }
            _ => {}
        }
        if layers
            .iter()
            .any(|layer| matches!(layer, Layer::Dropout(_)))
        {
            let dropout = Some(DropoutKey {
                seed: seed << 33 | 7,
                step: seed as u32,
            });
            fixtures.push(Fixture {
                dropout,
                ..fixture.clone()
            });
        }
        fixtures.push(fixture);
    }
    let winograd: Vec<Fixture> = fixtures
        .iter()
        .filter(|fixture| fixture.network.layers().iter().any(is_winograd_kernel))
        .map(|fixture| Fixture {
            network: fixture.network.with_convolution(Convolution::Winograd),
            ..fixture.clone()
        })
        .collect();
    fixtures.extend(winograd);
    fixtures
}

/// Whether Winograd's algorithm may serve the layer.
fn is_winograd_kernel(layer: &Layer) -> bool {
    matches!(
        layer,
        Layer::Conv2d(Conv2d {
            kernel: [3, 3],
            stride: [1, 1],
            ..
        })
    )
}

/// Whether the fixture's blocks of samples are computed otherwise than one sample alone.
pub fn is_winograd(fixture: &Fixture) -> bool {
    fixture.network.layers().iter().any(
        |layer| matches!(layer, Layer::Conv2d(layer) if layer.algorithm == Convolution::Winograd),
    )
}
