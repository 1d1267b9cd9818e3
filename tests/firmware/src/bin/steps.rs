//! Runs the scenario and prints its lines.
#![no_std]
#![no_main]

use secant_firmware::{Console, exit, scenario};
use static_cell::ConstStaticCell;

#[cfg(target_arch = "arm")]
use cortex_m_rt::entry;
#[cfg(target_arch = "riscv32")]
use riscv_rt::entry;

static MEMORY: ConstStaticCell<scenario::Memory> = ConstStaticCell::new(scenario::Memory::new());

#[entry]
fn main() -> ! {
    scenario::run(MEMORY.take(), &mut Console);
    exit(true)
}
