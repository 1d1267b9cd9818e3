//! Counts instructions: forward, and one training step with a sixteenth of an Adam step, for each
//! image in flash; how deep the stack gets; and the two passes of small networks of one kind of
//! convolution each.
//!
//! QEMU with `-icount shift=0` makes each instruction one nanosecond of the board's time. The
//! board's CMSDK timer 0 counts at 25 MHz, so one tick is 40 instructions. Instruction counts are
//! not cycles.
#![no_std]
#![no_main]

use core::fmt::Write;

use cortex_m_rt::entry;
use secant::network::presets::MICRO;
use secant::network::{
    Init, Layer, Network, Shape, conv1d, conv2d, depthwise_conv2d, global_avg_pool2d, linear,
    max_pool1d, relu,
};
use secant::optim::{Adam, AdamConfig};
use secant::{Batch, Normalisation, Random, Samples, SteppedGradient};
use secant_firmware::scenario::{IMAGES, PARAMETERS, PIXELS, SAMPLES};
use secant_firmware::{Console, exit, stack, timer};
use static_cell::ConstStaticCell;

static P: ConstStaticCell<[f32; PARAMETERS]> = ConstStaticCell::new([0.0; PARAMETERS]);
static G: ConstStaticCell<[f32; PARAMETERS]> = ConstStaticCell::new([0.0; PARAMETERS]);
static M: ConstStaticCell<[f32; Adam::memory_len(PARAMETERS)]> =
    ConstStaticCell::new([0.0; Adam::memory_len(PARAMETERS)]);
static W: ConstStaticCell<[f32; MICRO.workspace_len(1)]> =
    ConstStaticCell::new([0.0; MICRO.workspace_len(1)]);

/// Multiply-accumulates that the figures are given for: all that a dense pass would do, dead
/// outputs too.
const FORWARD: u32 = MICRO.multiply_accumulates() as u32;
/// Forward, weight gradients, and input gradients of all layers but the first (whose nobody needs).
const STEP: u32 = 2 * FORWARD + 143_392;

/// Two convolutions of one kind. Their samples are the bytes of the images, cut anew.
const fn pair(first: Layer, second: Layer) -> Network<'static, 6> {
    Network::new(
        Shape::new(8, 16, 16),
        [
            first,
            relu(),
            second,
            relu(),
            global_avg_pool2d(),
            linear(10),
        ],
    )
}

const SQUARE_3: Network<6> = pair(conv2d(16, 3).padding(1), conv2d(16, 3).padding(1));
const SQUARE_5: Network<6> = pair(conv2d(16, 5).padding(2), conv2d(16, 5).padding(2));
const STRIDE_2: Network<6> = {
    let layer = conv2d(16, 3).stride(2).padding(1);
    pair(layer, layer)
};
const DEPTHWISE: Network<6> = {
    let layer = depthwise_conv2d(3).padding(1);
    pair(layer, layer)
};
const POINTWISE: Network<6> = pair(conv2d(16, 1), conv2d(16, 1));
/// Two convolutions of signals.
const SIGNAL_5: Network<6> = Network::new(
    Shape::signal(8, 128),
    [
        conv1d(16, 5).padding(2),
        relu(),
        conv1d(16, 5).padding(2),
        relu(),
        global_avg_pool2d(),
        linear(10),
    ],
);

/// Gestures from six channels of an inertial sensor.
const GESTURE: Network<10> = Network::new(
    Shape::signal(6, 100),
    [
        conv1d(16, 5),
        relu(),
        max_pool1d(2),
        conv1d(32, 5),
        relu(),
        max_pool1d(2),
        conv1d(32, 3),
        relu(),
        global_avg_pool2d(),
        linear(4),
    ],
);
/// Multiply-accumulates of a step: twice the forward pass, and input gradients of all layers but
/// the first.
const GESTURE_STEP: u32 = (3 * GESTURE.multiply_accumulates() - 96 * 16 * 6 * 5) as u32;
const GESTURE_PARAMETERS: usize = GESTURE.parameter_count();
/// Gestures in a step.
const GESTURES: usize = 16;
/// What each is.
static KINDS: [u8; GESTURES] = [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3];

/// Samples that the small networks are measured on.
const FEW: usize = 4;
const MOST_PARAMETERS: usize = SQUARE_5.parameter_count();
const LARGEST_WORKSPACE: usize = SQUARE_5.workspace_len(1);

struct Small {
    parameters: [f32; MOST_PARAMETERS],
    gradient: [f32; MOST_PARAMETERS],
    workspace: [f32; LARGEST_WORKSPACE],
}

static MOMENTS: ConstStaticCell<[f32; Adam::memory_len(GESTURE_PARAMETERS)]> =
    ConstStaticCell::new([0.0; Adam::memory_len(GESTURE_PARAMETERS)]);

static SMALL: ConstStaticCell<Small> = ConstStaticCell::new(Small {
    parameters: [0.0; MOST_PARAMETERS],
    gradient: [0.0; MOST_PARAMETERS],
    workspace: [0.0; LARGEST_WORKSPACE],
});

/// Instructions of a number of multiply-accumulates each, in hundredths.
fn hundredths(instructions: u32, work: u32) -> (u32, u32) {
    let n = (u64::from(instructions) * 100 / u64::from(work) + 50 / 100) as u32;
    (n / 100, n % 100)
}

/// Prints the instructions of a network's forward pass, and of its forward and backward pass, both
/// over the multiply-accumulates of a dense forward pass.
fn small<const N: usize>(name: &str, network: &Network<'_, N>, memory: &mut Small) {
    let count = network.parameter_count();
    let workspace = &mut memory.workspace[..network.workspace_len(1)];
    let (parameters, gradient) = (
        &mut memory.parameters[..count],
        &mut memory.gradient[..count],
    );
    network.initialise(Init::He, &mut Random::new(0, 0), parameters);
    let indices: [u32; FEW] = core::array::from_fn(|i| i as u32);
    let pixels = &PIXELS[..FEW * network.input().len()];
    let samples = Samples::bytes(pixels, &KINDS[..FEW], Normalisation::UNIT);
    let batch = Batch::new(samples, &indices).weight(1.0);
    let from = timer::instructions();
    let done = network.evaluate::<1>(parameters, batch, workspace);
    let forward = timer::instructions() - from;
    gradient.fill(0.0);
    let from = timer::instructions();
    let also = network.accumulate_gradient::<1>(parameters, batch, gradient, workspace);
    let both = timer::instructions() - from;
    if done.is_err() || also.is_err() {
        exit(false);
    }
    let work = (FEW * network.multiply_accumulates()) as u32;
    let ((a, b), (c, d)) = (hundredths(forward, work), hundredths(both, work));
    let _ = writeln!(
        Console,
        "{name} forward {a}.{b:02}, with backward {c}.{d:02} instructions per multiply-accumulate",
    );
}

/// Prints the instructions of a training step with 16 gestures, after some training.
fn gesture(memory: &mut Small, moments: &mut [f32]) {
    let (parameters, gradient) = (
        &mut memory.parameters[..GESTURE_PARAMETERS],
        &mut memory.gradient[..GESTURE_PARAMETERS],
    );
    let workspace = &mut memory.workspace[..GESTURE.workspace_len(1)];
    GESTURE.initialise(Init::He, &mut Random::new(0, 0), parameters);
    let Ok(mut adam) = Adam::new(AdamConfig::DEFAULT, GESTURE_PARAMETERS, moments) else {
        exit(false)
    };
    let indices: [u32; GESTURES] = core::array::from_fn(|i| i as u32);
    let pixels = &PIXELS[..GESTURES * GESTURE.input().len()];
    let samples = Samples::bytes(pixels, &KINDS, Normalisation::UNIT);
    let batch = Batch::new(samples, &indices);
    let (mut passes, mut update, mut pieces) = (0, 0, [0u32; 10]);
    for _ in 0..5 {
        gradient.fill(0.0);
        let from = timer::instructions();
        let done = GESTURE.accumulate_gradient::<1>(parameters, batch, gradient, workspace);
        passes = timer::instructions() - from;
        let from = timer::instructions();
        let also = adam.step(1.0, parameters, gradient);
        update = timer::instructions() - from;
        if done.is_err() || also.is_err() {
            exit(false);
        }
    }
    let mut progress = SteppedGradient::new();
    for i in 0.. {
        let from = timer::instructions();
        let done = progress.advance(&GESTURE, parameters, batch, gradient, workspace);
        pieces[i % 10] += timer::instructions() - from;
        match done {
            Ok(None) => {}
            Ok(Some(_)) => break,
            Err(_) => exit(false),
        }
    }
    let step = (passes + update) / GESTURES as u32;
    let (a, b) = hundredths(step, GESTURE_STEP);
    let _ = writeln!(
        Console,
        "gesture step {step} instructions, {a}.{b:02} per multiply-accumulate of {GESTURE_STEP}, of them {} for Adam",
        update / GESTURES as u32
    );
    let names = ["conv1", "conv2", "conv3", "average pool", "linear"];
    for (i, name) in names.into_iter().enumerate() {
        let _ = writeln!(
            Console,
            "gesture {name} forward {}, backward {} instructions",
            pieces[i] / GESTURES as u32,
            pieces[9 - i] / GESTURES as u32
        );
    }
}

#[entry]
fn main() -> ! {
    let (parameters, gradient, moments, workspace) = (P.take(), G.take(), M.take(), W.take());
    let mut out = Console;
    MICRO.initialise(Init::He, &mut Random::new(0, 0), parameters);
    let Ok(mut adam) = Adam::new(AdamConfig::DEFAULT, PARAMETERS, moments) else {
        exit(false)
    };
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
        let done = adam.step(1.0, parameters, gradient);
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
    let (a, b) = hundredths(forward / images, FORWARD);
    let _ = writeln!(
        out,
        "forward {} instructions, {a}.{b:02} per multiply-accumulate of {FORWARD}",
        forward / images
    );
    let step = (passes + updates) / images;
    let (a, b) = hundredths(step, STEP);
    let _ = writeln!(
        out,
        "step {step} instructions, {a}.{b:02} per multiply-accumulate of {STEP}, of them {} for Adam",
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
            "{name} {} instructions, {a}.{b:02} per multiply-accumulate of {work}",
            instructions / images
        );
    }
    let _ = writeln!(out, "stack {depth} bytes");
    let memory = SMALL.take();
    small("3 x 3", &SQUARE_3, memory);
    small("5 x 5", &SQUARE_5, memory);
    small("3 x 3 stride 2", &STRIDE_2, memory);
    small("depthwise 3 x 3", &DEPTHWISE, memory);
    small("1 x 1", &POINTWISE, memory);
    small("1 x 5", &SIGNAL_5, memory);
    gesture(memory, MOMENTS.take());
    exit(true)
}
