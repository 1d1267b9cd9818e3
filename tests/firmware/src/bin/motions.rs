//! Trains on real accelerometer data and prints, after each epoch, the bits of the loss and a
//! checksum of the parameters; at the end how many of the windows to test on came out right.
#![cfg_attr(device, no_std, no_main)]

use core::fmt::Write as _;

use secant_firmware::motions::{Memory, NET, WINDOWS, train};
use secant_firmware::{Console, program, scenario};
use static_cell::ConstStaticCell;

const WORKSPACE: usize = NET.workspace_len(1);

static MEMORY: ConstStaticCell<Memory<WORKSPACE>> = ConstStaticCell::new(Memory::new());

fn run() -> bool {
    let mut epoch = 0;
    let tested = train::<1, WORKSPACE>(0, MEMORY.take(), |metrics, parameters| {
        epoch += 1;
        let (loss, sum) = (metrics.loss.to_bits(), scenario::checksum(parameters));
        let _ = writeln!(
            Console,
            "epoch {epoch} loss {loss:016x} parameters {sum:016x}"
        );
    });
    let Some(tested) = tested else {
        return false;
    };
    let loss = tested.loss.to_bits();
    let _ = writeln!(
        Console,
        "test loss {loss:016x}, {} of {WINDOWS} right",
        tested.correct
    );
    tested.correct >= 38
}

program!(run);
