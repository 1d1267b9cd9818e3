//! Runs the scenario and prints its lines.
#![cfg_attr(device, no_std, no_main)]

use secant_firmware::{Console, program, scenario};
use static_cell::ConstStaticCell;

static MEMORY: ConstStaticCell<scenario::Memory> = ConstStaticCell::new(scenario::Memory::new());

fn run() -> bool {
    scenario::run(MEMORY.take(), &mut Console);
    true
}

program!(run);
