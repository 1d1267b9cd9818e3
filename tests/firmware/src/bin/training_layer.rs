//! Training with the row-scaled layer-wise L-BFGS and nothing else: its link map shows the memory
//! and the flash that it needs, and with the feature `no-panic` it links only if no panic can be
//! reached.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use secant::network::Init;
use secant::network::presets::MICRO;
use secant::optim::{LayerLbfgs, LayerLbfgsConfig, SecondMoment};
use secant::{Batch, Random};
use secant_firmware::scenario::{LAYER_HISTORY, PARAMETERS, SAMPLES};
use static_cell::ConstStaticCell;

static PARAMETER: ConstStaticCell<[f32; PARAMETERS]> = ConstStaticCell::new([0.0; PARAMETERS]);
static GRADIENT: ConstStaticCell<[f32; PARAMETERS]> = ConstStaticCell::new([0.0; PARAMETERS]);
static MEMORY: ConstStaticCell<
    [f32; LayerLbfgs::<LAYER_HISTORY>::memory_len(&MICRO, SecondMoment::Row)],
> = ConstStaticCell::new([0.0; LayerLbfgs::<LAYER_HISTORY>::memory_len(&MICRO, SecondMoment::Row)]);
static WORKSPACE: ConstStaticCell<[f32; MICRO.workspace_len(1)]> =
    ConstStaticCell::new([0.0; MICRO.workspace_len(1)]);

/// Floats of all memory that training needs, by the library's constants.
#[cfg(not(feature = "no-panic"))]
const PLANNED: usize = 2 * PARAMETERS
    + LayerLbfgs::<LAYER_HISTORY>::memory_len(&MICRO, SecondMoment::Row)
    + MICRO.workspace_len(1);

/// Bytes of RAM, the stack included, that it keeps within.
#[cfg(not(feature = "no-panic"))]
const PROMISED: usize = 100_000;

#[entry]
#[cfg(feature = "no-panic")]
fn main() -> ! {
    secant_firmware::exit(train().is_some())
}

#[entry]
#[cfg(not(feature = "no-panic"))]
fn main() -> ! {
    secant_firmware::stack::report("training_layer", PLANNED, PROMISED, train)
}

fn train() -> Option<()> {
    let parameters = PARAMETER.try_take()?;
    let gradient = GRADIENT.try_take()?;
    let memory = MEMORY.try_take()?;
    let workspace = WORKSPACE.try_take()?;
    MICRO.initialise(Init::He, &mut Random::new(0, 0), parameters);
    let config = LayerLbfgsConfig {
        second_moment: SecondMoment::Row,
        ..LayerLbfgsConfig::DEFAULT
    };
    let mut lbfgs = LayerLbfgs::<LAYER_HISTORY>::new(config, &MICRO, memory).ok()?;
    let indices = [0, 1, 2, 3];
    let batch = Batch::new(SAMPLES, &indices).weight(0.25);
    for _ in 0..10 {
        lbfgs
            .train_step::<1, _>(&MICRO, 1.0, parameters, batch, gradient, workspace)
            .ok()?;
    }
    let tally = MICRO.evaluate::<1>(parameters, batch, workspace).ok()?;
    (tally.count == 4).then_some(())
}
