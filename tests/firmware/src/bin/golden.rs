//! Prints the golden table: all of it where memory is plenty, and its beginning on a
//! microcontroller.
#![cfg_attr(device, no_std, no_main)]

use secant_firmware::golden::{FLOATS, MICRO_FLOATS, Table};
use secant_firmware::{Console, program};
use static_cell::ConstStaticCell;

const SMALL: bool = cfg!(any(target_arch = "arm", target_arch = "riscv32"));
const LENGTH: usize = if SMALL { MICRO_FLOATS } else { FLOATS };

static TABLE: ConstStaticCell<Table<LENGTH>> = ConstStaticCell::new(Table::new());

fn run() -> bool {
    let table = TABLE.take();
    if SMALL {
        table.micro(&mut Console).is_ok()
    } else {
        table.all(&mut Console).is_ok()
    }
}

program!(run);
