//! Training with Adam, then with flat L-BFGS, as `training` does with Adam alone.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use secant::optim::{Adam, AdamConfig, Lbfgs, LbfgsConfig};
use secant::network::presets::MICRO;
use secant::network::Init;
use secant::{Batch, Random, Metrics, objective};
use secant_firmware::scenario::{HISTORY, PARAMETERS, SAMPLES};
use static_cell::ConstStaticCell;

static PARAMETER: ConstStaticCell<[f32; PARAMETERS]> = ConstStaticCell::new([0.0; PARAMETERS]);
/// Numbers that L-BFGS works in: enough for mini-batches.
const MEMORY: usize = Lbfgs::<HISTORY>::mini_batch_memory_len(PARAMETERS);
static OPTIMISER: ConstStaticCell<[f32; MEMORY]> = ConstStaticCell::new([0.0; MEMORY]);
static WORKSPACE: ConstStaticCell<[f32; MICRO.workspace_len(1)]> =
    ConstStaticCell::new([0.0; MICRO.workspace_len(1)]);

/// Floats of all memory that training needs, by the library's constants.
#[cfg(not(feature = "no-panic"))]
const PLANNED: usize = PARAMETERS + MEMORY + MICRO.workspace_len(1);

/// Bytes of RAM, the stack included, that it keeps within.
#[cfg(not(feature = "no-panic"))]
const PROMISED: usize = 300_000;

#[entry]
#[cfg(feature = "no-panic")]
fn main() -> ! {
    secant_firmware::exit(train().is_some())
}

#[entry]
#[cfg(not(feature = "no-panic"))]
fn main() -> ! {
    secant_firmware::stack::report("training_lbfgs", PLANNED, PROMISED, train)
}

fn train() -> Option<()> {
    let parameters = PARAMETER.try_take()?;
    let memory = OPTIMISER.try_take()?;
    let (gradient, moments) = memory.split_at_mut_checked(PARAMETERS)?;
    let workspace = WORKSPACE.try_take()?;
    MICRO.initialise(Init::He, &mut Random::new(0, 0), parameters);
    let mut adam = Adam::new(AdamConfig::default());
    let indices = [0, 1, 2, 3];
    let batch = Batch::new(SAMPLES, &indices).weight(0.25);
    for _ in 0..10 {
        gradient.fill(0.0);
        MICRO
            .accumulate_gradient::<1>(parameters, batch, gradient, workspace)
            .ok()?;
        adam.step(1.0, parameters, gradient, moments).ok()?;
    }
    let mut lbfgs = Lbfgs::<HISTORY>::new(LbfgsConfig::mini_batch(), PARAMETERS, memory).ok()?;
    for _ in 0..10 {
        let mut loss = objective::from_fn(PARAMETERS, |x: &[f32], gradient: &mut [f32]| {
            gradient.fill(0.0);
            MICRO
                .accumulate_gradient::<1>(x, batch, gradient, workspace)
                .map_or(f32::NAN, |tally: Metrics| tally.mean_loss() as f32)
        });
        lbfgs.objective_changed();
        lbfgs.step(&mut loss, parameters).ok()?;
    }
    let tally = MICRO.evaluate::<1>(parameters, batch, workspace).ok()?;
    (tally.count == 4).then_some(())
}
