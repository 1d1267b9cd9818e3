//! Prints the beginning of the table of golden products: `micro`, one sample at a time.
#![cfg_attr(device, no_std, no_main)]

use secant_firmware::golden_products::{MICRO_FLOATS, micro};
use secant_firmware::{Console, program};
use static_cell::ConstStaticCell;

static MEMORY: ConstStaticCell<[f32; MICRO_FLOATS]> = ConstStaticCell::new([0.0; MICRO_FLOATS]);

fn run() -> bool {
    micro(MEMORY.take(), &mut Console).is_ok()
}

program!(run);
