//! Counts instructions: forward, and one training step with a sixteenth of an Adam step, for each image in flash; and how
//! deep the stack gets.
//!
//! QEMU with `-icount shift=0` makes each instruction one nanosecond of the board's time. The board's CMSDK timer 0 counts
//! at 25 MHz, so one tick is 40 instructions. Instruction counts are not cycles.
#![no_std]
#![no_main]

use core::fmt::Write;

use cortex_m_rt::entry;
use secant::optim::{Adam, AdamConfig};
use secant::network::presets::MICRO;
use secant::network::Init;
use secant::{Batch, SteppedGradient, Random};
use secant_firmware::scenario::{IMAGES, PARAMETERS, SAMPLES};
use secant_firmware::{Console, exit, stack, timer};
use static_cell::ConstStaticCell;

static P: ConstStaticCell<[f32; PARAMETERS]> = ConstStaticCell::new([0.0; PARAMETERS]);
static G: ConstStaticCell<[f32; PARAMETERS]> = ConstStaticCell::new([0.0; PARAMETERS]);
static M: ConstStaticCell<[f32; Adam::memory_len(PARAMETERS)]> =
    ConstStaticCell::new([0.0; Adam::memory_len(PARAMETERS)]);
static W: ConstStaticCell<[f32; MICRO.workspace_len(1)]> =
    ConstStaticCell::new([0.0; MICRO.workspace_len(1)]);

/// Multiply-accumulates that the figures are given for: all that a dense pass would do, dead outputs too.
const FORWARD: u32 = MICRO.multiply_accumulates() as u32;
/// Forward, weight gradients, and input gradients of all layers but the first (whose nobody needs).
const STEP: u32 = 2 * FORWARD + 143_392;

#[entry]
fn main() -> ! {
    let (parameters, gradient, moments, workspace) = (P.take(), G.take(), M.take(), W.take());
    let mut out = Console;
    MICRO.initialise(Init::He, &mut Random::new(0, 0), parameters);
    let mut adam = Adam::new(AdamConfig::default());
    timer::start();
    stack::paint();

    // Some training first: an untrained network has denser gradients than one in use.
    let order: [u32; IMAGES] = core::array::from_fn(|i| i as u32);
    let batch = |indices| Batch::new(SAMPLES, indices).weight(1.0 / 16.0);
    let (mut forward, mut passes, mut updates, mut pieces) = (0, 0, 0, [0u32; 6]);
    for indices in order.chunks_exact(16) {
        gradient.fill(0.0);
        let from = timer::instructions();
        let done = MICRO.accumulate_gradient::<1>(parameters, batch(indices), gradient, workspace);
        passes += timer::instructions() - from;
        if done.is_err() {
            exit(false);
        }
        let from = timer::instructions();
        let done = adam.step(1.0, parameters, gradient, moments);
        updates += timer::instructions() - from;
        if done.is_err() {
            exit(false);
        }
    }
    let depth = stack::depth();
    for indices in order.chunks_exact(16) {
        let from = timer::instructions();
        let done = MICRO.evaluate::<1>(parameters, batch(indices), workspace);
        forward += timer::instructions() - from;
        if done.is_err() {
            exit(false);
        }
        let mut progress = SteppedGradient::new();
        for i in 0.. {
            let from = timer::instructions();
            let done = progress.advance(&MICRO, parameters, batch(indices), gradient, workspace);
            pieces[i % 6] += timer::instructions() - from;
            match done {
                Ok(None) => {}
                Ok(Some(_)) => break,
                Err(_) => exit(false),
            }
        }
    }
    let images = IMAGES as u32;
    let hundredths = |instructions: u32, work: u32| {
        let n = (u64::from(instructions) * 100 / u64::from(work) + 50 / 100) as u32;
        (n / 100, n % 100)
    };
    let (a, b) = hundredths(forward / images, FORWARD);
    let _ = writeln!(
        out,
        "forward {} instructions, {a}.{b:02} a multiply-accumulate of {FORWARD}",
        forward / images
    );
    let step = (passes + updates) / images;
    let (a, b) = hundredths(step, STEP);
    let _ = writeln!(
        out,
        "step {step} instructions, {a}.{b:02} a multiply-accumulate of {STEP}, of them {} for Adam",
        updates / images
    );
    let names = [
        "conv1 forward",
        "conv2 forward",
        "linear forward",
        "linear backward",
        "conv2 backward",
        "conv1 backward",
    ];
    let macs = [48_672, 139_392, 4_000, 8_000, 2 * 139_392, 48_672];
    for ((name, instructions), work) in names.into_iter().zip(pieces).zip(macs) {
        let (a, b) = hundredths(instructions / images, work);
        let _ = writeln!(
            out,
            "{name} {} instructions, {a}.{b:02} a multiply-accumulate of {work}",
            instructions / images
        );
    }
    let _ = writeln!(out, "stack {depth} bytes");
    exit(true)
}
