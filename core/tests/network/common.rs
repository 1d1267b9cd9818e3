//! Networks that between them have every kind of stage.

use secant::Random;
use secant::network::presets::MICRO;
use secant::network::{
    Init, Layer, Network, Shape, avg_pool2d, conv2d, depthwise_conv2d, dropout, global_avg_pool2d,
    leaky_relu, linear, max_pool2d, relu, tanh,
};

/// Room for layers.
pub const CAPACITY: usize = 12;

/// Shapes and layers that between them have every kind of stage, and every size of code.
pub fn networks() -> Vec<(&'static str, Shape, Vec<Layer>)> {
    vec![
        ("micro", MICRO.input(), MICRO.layers().to_vec()),
        (
            "padding, odd channels, linear with relu",
            Shape::new(3, 13, 11),
            vec![
                conv2d(6, 5).padding(2),
                relu(),
                max_pool2d(2),
                conv2d(7, 3).padding(1),
                relu(),
                linear(9),
                relu(),
                linear(4),
            ],
        ),
        (
            "strides, pool without relu, no pool",
            Shape::new(2, 17, 19),
            vec![
                conv2d(5, 3).stride(2).padding(1),
                max_pool2d(3),
                conv2d(3, 2),
                linear(3),
            ],
        ),
        (
            "overlapping and gapped pools",
            Shape::new(1, 20, 23),
            vec![
                conv2d(4, 3),
                relu(),
                max_pool2d(3).stride(2),
                conv2d(6, 3).padding(2),
                max_pool2d(2).stride(3),
                linear(5),
            ],
        ),
        (
            "pools and activations that stand alone",
            Shape::new(2, 16, 16),
            vec![
                max_pool2d(2),
                relu(),
                max_pool2d(2).stride(1),
                conv2d(4, 3),
                conv2d(5, 1),
                relu(),
                max_pool2d(5),
                linear(6),
                max_pool2d(1),
                linear(2),
            ],
        ),
        (
            "dropout",
            Shape::new(1, 9, 9),
            vec![
                dropout(0.1),
                conv2d(3, 3),
                relu(),
                max_pool2d(2),
                dropout(0.3),
                linear(8),
                relu(),
                dropout(0.5),
                linear(4),
            ],
        ),
        (
            "depthwise, average pools, other activations, margins between",
            Shape::new(2, 14, 15),
            vec![
                conv2d(4, 3).stride(2),
                tanh(),
                depthwise_conv2d(3).padding(1),
                leaky_relu(0.1),
                avg_pool2d(2),
                conv2d(3, 2).padding(1),
                leaky_relu(0.2),
                global_avg_pool2d(),
                linear(5),
                tanh(),
                linear(3),
            ],
        ),
    ]
}

/// A network, weights and samples.
pub struct Case {
    pub network: Network<'static, CAPACITY>,
    pub parameters: Vec<f32>,
    pub pixels: Vec<u8>,
    pub labels: Vec<u8>,
}

/// Draws weights and samples.
pub fn case(input: Shape, layers: &[Layer]) -> Case {
    const SAMPLES: usize = 5;
    let network = Network::<CAPACITY>::try_from_slice(input, layers).unwrap();
    let mut random = Random::new(1, 2);
    let mut parameters = vec![0.0; network.parameter_count()];
    network.initialise(Init::PyTorch, &mut random, &mut parameters);
    // Every third byte is zero, as in real images; equal neighbours give ties.
    let pixels = (0..SAMPLES * input.len())
        .map(|_| match random.below(3) {
            0 => 0,
            _ => random.below(8) as u8 * 36,
        })
        .collect();
    let labels = (0..SAMPLES)
        .map(|_| random.below(network.output_len() as u32) as u8)
        .collect();
    Case {
        network,
        parameters,
        pixels,
        labels,
    }
}

/// The bits of values, but for a zero's sign.
pub fn bits(values: &[f32]) -> Vec<u32> {
    // Adding a zero term may change a zero's sign, which is not part of the contract.
    values.iter().map(|v| (v + 0.0).to_bits()).collect()
}
