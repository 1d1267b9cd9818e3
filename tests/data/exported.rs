//! The network 'conv2k3 relu pool2 linear3', trained by secant 0.1.0. Written by 'secant export'.

use secant::Affine;
use secant::network::{self, Network, Shape};

/// The network.
#[rustfmt::skip]
pub const NETWORK: Network<'static, 4> = Network::new(
    Shape::new(1, 6, 6),
    [
        network::conv2d(2, 3),
        network::relu(),
        network::max_pool2d(2),
        network::linear(3),
    ],
);

/// From elements of a sample to its inputs, for each channel or for all of them.
#[rustfmt::skip]
pub static NORMALISATION: [Affine; 1] = [
    Affine {
        scale: 0.014285714,
        offset: -1.2857143,
    },
];

/// Names of the classes, by label.
#[rustfmt::skip]
pub const CLASSES: [&str; 3] = [
    "class \"0\"",
    "class \"1\"",
    "class \"2\"",
];

/// Weights and biases, layer by layer.
#[rustfmt::skip]
pub static WEIGHTS: [f32; 47] = [
    0.2408562, 0.03452833, 0.27893835, 0.16509958, -0.017326271, -0.03332642, 0.28114828,
    -0.07624753, -0.22461978, -0.034366842, 0.28257075, -0.044322547, 0.33609152, 0.14183778,
    -0.25602394, -0.10231396, 0.20588316, -0.30411595, -0.07657412, 0.10926507, -0.268379,
    -0.23134375, 0.048608713, 0.17283574, 0.27957764, 0.018936872, -0.099206954, -0.13894215,
    0.34218583, -0.29028952, 0.3256146, -0.2881503, -0.23806226, -0.1509011, 0.1667073,
    0.15435502, -0.26963273, -0.2846381, 0.3189651, 0.2323575, -0.14483882, -0.25495133,
    0.08027181, 0.03729473, -0.0937255, -0.0037739333, 0.1957044,
];
