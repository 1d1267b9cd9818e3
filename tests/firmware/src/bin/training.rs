//! Training with Adam and nothing else: its link map shows the memory and the flash that it needs,
//! and with the feature `no-panic` it links only if no panic can be reached.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use secant::network::Init;
use secant::network::presets::MICRO;
use secant::optim::{Adam, AdamConfig};
use secant::{Batch, Random};
use secant_firmware::log;
use secant_firmware::scenario::{PARAMETERS, SAMPLES};
use static_cell::ConstStaticCell;

static PARAMETER: ConstStaticCell<[f32; PARAMETERS]> = ConstStaticCell::new([0.0; PARAMETERS]);
static GRADIENT: ConstStaticCell<[f32; PARAMETERS]> = ConstStaticCell::new([0.0; PARAMETERS]);
static MOMENTS: ConstStaticCell<[f32; Adam::memory_len(PARAMETERS)]> =
    ConstStaticCell::new([0.0; Adam::memory_len(PARAMETERS)]);
static WORKSPACE: ConstStaticCell<[f32; MICRO.workspace_len(1)]> =
    ConstStaticCell::new([0.0; MICRO.workspace_len(1)]);

/// Floats of all memory that training needs, by the library's constants.
#[cfg(not(feature = "no-panic"))]
const PLANNED: usize = 2 * PARAMETERS + Adam::memory_len(PARAMETERS) + MICRO.workspace_len(1);

/// Bytes of RAM, the stack included, that it keeps within.
#[cfg(not(feature = "no-panic"))]
const PROMISED: usize = 105_000;

#[entry]
#[cfg(feature = "no-panic")]
fn main() -> ! {
    secant_firmware::exit(train().is_some())
}

#[entry]
#[cfg(not(feature = "no-panic"))]
fn main() -> ! {
    secant_firmware::stack::report("training", PLANNED, PROMISED, train)
}

fn train() -> Option<()> {
    let parameters = PARAMETER.try_take()?;
    let gradient = GRADIENT.try_take()?;
    let moments = MOMENTS.try_take()?;
    let workspace = WORKSPACE.try_take()?;
    MICRO.initialise(Init::He, &mut Random::new(0, 0), parameters);
    let mut adam = Adam::new(AdamConfig::DEFAULT, PARAMETERS, moments).ok()?;
    let indices = [0, 1, 2, 3];
    let batch = Batch::new(SAMPLES, &indices).weight(0.25);
    for _ in 0..10 {
        gradient.fill(0.0);
        let tally = MICRO
            .accumulate_gradient::<1>(parameters, batch, gradient, workspace)
            .ok()?;
        adam.step(1.0, parameters, gradient).ok()?;
        log!("step {}: {}", adam.steps(), tally);
    }
    let tally = MICRO.evaluate::<1>(parameters, batch, workspace).ok()?;
    (tally.count == 4).then_some(())
}
