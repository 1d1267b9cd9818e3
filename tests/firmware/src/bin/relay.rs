//! One leg of a run of every optimiser: ten steps from where the leg before has stopped, on this
//! machine or another.
#![cfg_attr(device, no_std, no_main)]

use secant_firmware::store::FileStore;
use secant_firmware::{Console, program, scenario};
use static_cell::ConstStaticCell;

static MEMORY: ConstStaticCell<scenario::Memory> = ConstStaticCell::new(scenario::Memory::new());

fn run() -> bool {
    scenario::legs(MEMORY.take(), &mut Console, 10, |name| {
        let path = match name {
            "adam" => c"target/relay/adam",
            "lbfgs" => c"target/relay/lbfgs",
            "flat-lbfgs" => c"target/relay/flat-lbfgs",
            "layer-lbfgs-row" => c"target/relay/layer-lbfgs-row",
            "layer-lbfgs-factored" => c"target/relay/layer-lbfgs-factored",
            _ => c"target/relay/layer-lbfgs",
        };
        Some(FileStore::open(path).expect("the file can be opened"))
    });
    true
}

program!(run);
