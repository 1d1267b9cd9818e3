//! Fine-tunes the last layer of `micro` with the row-scaled layer-wise L-BFGS: the convolutions are
//! frozen, and their weights, which were trained on the desktop, stay in flash. As the other
//! programs do, it shows the memory that this needs.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use secant::network::presets::MICRO;
use secant::network::{Init, Network, weights_from_bytes};
use secant::optim::{LayerLbfgs, LayerLbfgsConfig, SecondMoment};
use secant::{Affine, Batch, Normalisation, Random, Samples};
use secant_firmware::scenario::{IMAGES, SAMPLES};
use static_cell::ConstStaticCell;

/// Layers that stay as they are: all but the last.
const FROZEN: usize = 6;
static CONVOLUTIONS: [f32; MICRO.parameter_offset(FROZEN)] =
    weights_from_bytes(include_bytes!("../../convolutions.bin"));
const HEAD: Network<7> = MICRO.freeze(FROZEN, &CONVOLUTIONS);

const N: usize = HEAD.parameter_count();
const PAIRS: usize = 4;
const MEMORY: usize = LayerLbfgs::<PAIRS>::memory_len(&HEAD, SecondMoment::Row);
static WEIGHTS: ConstStaticCell<[f32; N]> = ConstStaticCell::new([0.0; N]);
static GRADIENT: ConstStaticCell<[f32; N]> = ConstStaticCell::new([0.0; N]);
static STATE: ConstStaticCell<[f32; MEMORY]> = ConstStaticCell::new([0.0; MEMORY]);
static WORKSPACE: ConstStaticCell<[f32; HEAD.workspace_len(1)]> =
    ConstStaticCell::new([0.0; HEAD.workspace_len(1)]);

/// Floats of all memory that training needs, by the library's constants.
#[cfg(not(feature = "no-panic"))]
const PLANNED: usize = 2 * N + MEMORY + HEAD.workspace_len(1);

/// The images as the convolutions know them: mean 0 and variance 1 over the set that they were
/// trained on.
const IMAGES_AS_TRAINED: Samples = Samples {
    normalisation: Normalisation::Same(Affine {
        scale: 0.011_108_496,
        offset: -0.810_257_7,
    }),
    ..SAMPLES
};

/// Their numbers, in flash as well.
static ORDER: [u32; IMAGES] = {
    let mut order = [0; IMAGES];
    let mut i = 0;
    while i < IMAGES {
        order[i] = i as u32;
        i += 1;
    }
    order
};

/// Bytes of RAM, the stack included, that it keeps within.
#[cfg(not(feature = "no-panic"))]
const PROMISED: usize = 64 << 10;

#[entry]
#[cfg(feature = "no-panic")]
fn main() -> ! {
    secant_firmware::exit(train().is_some())
}

#[entry]
#[cfg(not(feature = "no-panic"))]
fn main() -> ! {
    secant_firmware::stack::report("training_head", PLANNED, PROMISED, train)
}

fn train() -> Option<()> {
    let weights = WEIGHTS.try_take()?;
    let gradient = GRADIENT.try_take()?;
    let memory = STATE.try_take()?;
    let workspace = WORKSPACE.try_take()?;
    HEAD.initialise(Init::He, &mut Random::new(0, 0), weights);
    let config = LayerLbfgsConfig {
        second_moment: SecondMoment::Row,
        ..LayerLbfgsConfig::DEFAULT
    };
    let mut lbfgs = LayerLbfgs::<PAIRS>::new(config, &HEAD, memory).ok()?;
    let batch = |indices| Batch::new(IMAGES_AS_TRAINED, indices).weight(0.25);
    for _ in 0..8 {
        for indices in ORDER.chunks_exact(4) {
            lbfgs
                .train_step::<1, _>(&HEAD, 1.0, weights, batch(indices), gradient, workspace)
                .ok()?;
        }
    }
    // A new head starts at one right answer in ten.
    let tally = HEAD.evaluate::<1>(weights, batch(&ORDER), workspace).ok()?;
    (tally.correct >= 30).then_some(())
}
