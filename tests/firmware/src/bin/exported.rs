//! Asks networks that were exported as Rust and as C about the same samples, and prints the bits of
//! what both say: the lines of the desktop, if all is well. `tests/firmware/run exported` writes the
//! networks into the folder `SECANT_EXPORTED` and compiles those in C.
#![cfg_attr(device, no_std, no_main)]

use core::fmt::Write as _;

use secant::network::Network;
use secant::{Affine, Batch, Normalisation, Samples, Values};
use secant_firmware::{Console, program};

include!(concat!(env!("SECANT_EXPORTED"), "/networks.rs"));

/// What C exports: elements of a sample, and its outputs.
type Predict = unsafe extern "C" fn(*const f32, *mut f32);

/// Prints a line for each sample, first by the Rust source and then by the C source.
fn ask<const LAYERS: usize, const WORKSPACE: usize, const INPUTS: usize, const OUTPUTS: usize>(
    name: &str,
    network: &Network<'_, LAYERS>,
    weights: &[f32],
    (normalisation, numbers): (&[Affine], &[Affine]),
    bytes: &[u8],
    predict: Predict,
) {
    let samples = Samples::unlabelled(Values::U8(bytes), Normalisation::PerChannel(normalisation));
    let mut workspace = [0.0; WORKSPACE];
    for sample in 0..bytes.len() / INPUTS {
        let mut outputs = [0.0; OUTPUTS];
        let index = [sample as u32];
        let batch = Batch::new(samples, &index);
        let done = network.predict::<1>(weights, batch, &mut outputs, &mut workspace);
        done.expect("the samples belong to the network");
        for (output, map) in outputs.iter_mut().zip(numbers) {
            *output = (*output - map.offset) / map.scale;
        }
        print(name, "rust", sample, &outputs);
    }
    for (sample, bytes) in bytes.chunks_exact(INPUTS).enumerate() {
        let (mut input, mut outputs) = ([0.0; INPUTS], [0.0; OUTPUTS]);
        for (x, byte) in input.iter_mut().zip(bytes) {
            *x = f32::from(*byte);
        }
        // SAFETY: the header declares arrays of these lengths, and one thread calls.
        unsafe { predict(input.as_ptr(), outputs.as_mut_ptr()) };
        print(name, "c", sample, &outputs);
    }
}

fn print(name: &str, language: &str, sample: usize, outputs: &[f32]) {
    let _ = write!(Console, "{name} {language} {sample}");
    for output in outputs {
        let _ = write!(Console, " {:08x}", output.to_bits());
    }
    let _ = writeln!(Console);
}

fn run() -> bool {
    all();
    true
}

program!(run);
