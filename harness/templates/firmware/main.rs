//! Asks the network of `network.rs` about the samples of `samples.rs`, one at a time, and prints
//! what it says. Written by 'secant export'.
#![no_std]
#![no_main]

mod network;
mod samples;

use core::panic::PanicInfo;

use cortex_m_rt::entry;
use network::{NETWORK, NORMALISATION, WEIGHTS};
use secant::{Batch, Normalisation, Samples, Values};
use semihosting::{println, process};
use static_cell::ConstStaticCell;

/// Working memory of a prediction.
static WORKSPACE: ConstStaticCell<[f32; NETWORK.inference_workspace_len(1)]> =
    ConstStaticCell::new([0.0; NETWORK.inference_workspace_len(1)]);

#[entry]
fn main() -> ! {
    let workspace = WORKSPACE.take();
    let values = Values::KIND(&samples::SAMPLES);
    let samples = Samples::unlabelled(values, SCALING);
    let mut outputs = [0.0; NETWORK.output_len()];
    for (sample, (number, truth)) in samples::TRUTHS.iter().enumerate() {
        NETWORK
            .predict::<1>(&WEIGHTS, Batch::new(samples, &[sample as u32]), &mut outputs, workspace)
            .expect("samples, weights and memory belong to the network");
        SAYING
    }
    process::exit(0)
}

/// A mistake in this program: says where, and ends with a failure.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    println!("{info}");
    process::exit(1)
}
