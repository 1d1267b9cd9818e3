//! A network of one-dimensional convolutions trained on real accelerometer data: what the test of
//! the desktop and the firmware share.
//!
//! BasicMotions: 3 axes of acceleration and 3 of rotation of a smart watch, 10 seconds of 100
//! points; standing, running, walking, badminton. 40 windows to train on and 40 to test on.

use secant::network::{Init, Network, Shape, conv1d, global_avg_pool2d, linear, max_pool1d, relu};
use secant::optim::{Adam, AdamConfig};
use secant::{Affine, Batch, Metrics, Normalisation, Random, Samples, Targets, Values};

/// Points of each of six channels, through two convolutions to four classes. The mean over time at
/// the end makes the answer depend little on when a movement was made.
pub const NET: Network<7> = Network::new(
    Shape::signal(6, 100),
    [
        conv1d(16, 8),
        relu(),
        max_pool1d(2),
        conv1d(16, 5),
        relu(),
        global_avg_pool2d(),
        linear(4),
    ],
);

/// Parameters of the network.
pub const PARAMETERS: usize = NET.parameter_count();

/// Windows to train on, and as many to test on.
pub const WINDOWS: usize = 40;

/// Values of a part.
const VALUES: usize = WINDOWS * 600;

/// Windows in a batch.
const BATCH: usize = 4;

/// Passes over the data.
pub const EPOCHS: usize = 12;

/// Both parts as bytes, as `tests/firmware/motions.py` wrote them.
static BYTES: &[u8; 4 * VALUES] = include_bytes!("../firmware/motions.bin");

/// The values of both parts. A constant, so that they lie in flash.
static ELEMENTS: [i16; 2 * VALUES] = {
    let mut elements = [0; 2 * VALUES];
    let mut i = 0;
    while i < elements.len() {
        elements[i] = i16::from_le_bytes([BYTES[2 * i], BYTES[2 * i + 1]]);
        i += 1;
    }
    elements
};

/// The class of each window: ten of each, one class after the other.
static CLASSES: [u8; WINDOWS] = {
    let mut classes = [0; WINDOWS];
    let mut i = 0;
    while i < WINDOWS {
        classes[i] = (i / 10) as u8;
        i += 1;
    }
    classes
};

/// Mean 0 and variance 1 of each channel over the training windows, whose elements are steps of
/// 1/512.
static SCALINGS: [Affine; 6] = [
    Affine::standard(1307.0, 3621.0),
    Affine::standard(-668.0, 3479.0),
    Affine::standard(-526.0, 1816.0),
    Affine::standard(10.0, 1081.0),
    Affine::standard(-12.0, 932.0),
    Affine::standard(-29.0, 1800.0),
];

/// The windows to train on, or those to test on.
pub fn samples(test: bool) -> Samples<'static> {
    let (train, others) = ELEMENTS.split_at(VALUES);
    Samples {
        values: Values::I16(if test { others } else { train }),
        targets: Targets::U8(&CLASSES),
        normalisation: Normalisation::PerChannel(&SCALINGS),
    }
}

/// All that training needs.
pub struct Memory<const WORKSPACE: usize> {
    /// Weights and biases.
    pub parameters: [f32; PARAMETERS],
    gradient: [f32; PARAMETERS],
    moments: [f32; Adam::memory_len(PARAMETERS)],
    workspace: [f32; WORKSPACE],
}

impl<const WORKSPACE: usize> Memory<WORKSPACE> {
    /// Zeros.
    pub const fn new() -> Self {
        Memory {
            parameters: [0.0; PARAMETERS],
            gradient: [0.0; PARAMETERS],
            moments: [0.0; Adam::memory_len(PARAMETERS)],
            workspace: [0.0; WORKSPACE],
        }
    }
}

impl<const WORKSPACE: usize> Default for Memory<WORKSPACE> {
    fn default() -> Self {
        Self::new()
    }
}

/// Trains with Adam and a rate that falls to zero; calls `show` with the metrics and the parameters
/// of each epoch. Returns the metrics of the windows to test on. `None` where a length does not
/// fit.
pub fn train<const LANES: usize, const WORKSPACE: usize>(
    seed: u64,
    memory: &mut Memory<WORKSPACE>,
    mut show: impl FnMut(Metrics, &[f32]),
) -> Option<Metrics> {
    let Memory {
        parameters,
        gradient,
        moments,
        workspace,
    } = memory;
    NET.initialise(Init::He, &mut Random::new(seed, 0), parameters);
    let config = AdamConfig {
        learning_rate: 0.004,
        ..AdamConfig::DEFAULT
    };
    let mut adam = Adam::new(config, PARAMETERS, moments).ok()?;
    let mut random = Random::new(seed, 1);
    let mut order: [u32; WINDOWS] = core::array::from_fn(|i| i as u32);
    for epoch in 0..EPOCHS {
        random.shuffle(&mut order);
        let mut metrics = Metrics::NONE;
        for indices in order.chunks_exact(BATCH) {
            let batch = Batch::new(samples(false), indices);
            gradient.fill(0.0);
            metrics += NET
                .accumulate_gradient::<LANES>(parameters, batch, gradient, workspace)
                .ok()?;
            let factor = 1.0 - epoch as f32 / EPOCHS as f32;
            adam.step(factor, parameters, gradient).ok()?;
        }
        show(metrics, parameters);
    }
    let order = core::array::from_fn::<u32, WINDOWS, _>(|i| i as u32);
    let batch = Batch::new(samples(true), &order);
    NET.evaluate::<LANES>(parameters, batch, workspace).ok()
}
