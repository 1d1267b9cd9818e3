//! What every machine runs: `micro` on 32 images, and one line a step with the bits of the loss and a checksum of all parameters.
//!
//! The firmware includes this file, and so does a program for the host; their lines must be equal.

use core::fmt::Write;

use secant::optim::{
    Adam, AdamConfig, Curvature, Form, LayerLbfgs, LayerLbfgsConfig, Lbfgs, LbfgsConfig, Stopping,
};
use secant::presets::MICRO;
use secant::{Batch, Init, LayerInputs, Normalisation, Random, Samples, Tally, objective};

/// Number of parameters.
pub const PARAMETERS: usize = MICRO.parameter_count();
/// Pairs that L-BFGS keeps.
pub const HISTORY: usize = 4;
/// Pairs that the layer-wise L-BFGS keeps of each layer.
pub const LAYER_HISTORY: usize = 8;
/// Optimisation steps.
pub const STEPS: usize = 50;
/// Samples a step.
pub const BATCH: usize = 2;
/// Images in all.
pub const IMAGES: usize = 32;

/// The first 32 training images of Fashion-MNIST (Copyright 2017 Zalando SE, MIT licence).
static PIXELS: [u8; IMAGES * 784] = *include_bytes!("../pixels.bin");
static LABELS: [u8; IMAGES] = *include_bytes!("../labels.bin");

/// The images where they lie in flash.
pub const SAMPLES: Samples<'static> = Samples {
    pixels: &PIXELS,
    labels: &LABELS,
    normalisation: Normalisation::UNIT,
};

/// All the memory that training needs.
pub struct Memory {
    /// Weights and biases.
    pub parameters: [f32; PARAMETERS],
    /// Their gradient, for Adam.
    pub gradient: [f32; PARAMETERS],
    /// Moments, or pairs.
    pub optimiser: [f32; Lbfgs::<HISTORY>::memory_len(PARAMETERS)],
    /// Activations.
    pub workspace: [f32; MICRO.workspace_len(1)],
}

impl Memory {
    /// Zeros.
    pub const fn new() -> Memory {
        Memory {
            parameters: [0.0; PARAMETERS],
            gradient: [0.0; PARAMETERS],
            optimiser: [0.0; Lbfgs::<HISTORY>::memory_len(PARAMETERS)],
            workspace: [0.0; MICRO.workspace_len(1)],
        }
    }
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new()
    }
}

/// FNV-1a, 64 bits, over the bytes of the values.
pub fn checksum(values: &[f32]) -> u64 {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

/// Draws the batches: all images in random order, then all in another.
struct Sampler {
    random: Random,
    order: [u32; IMAGES],
    next: usize,
}

impl Sampler {
    fn new() -> Sampler {
        let mut order = [0; IMAGES];
        for (i, place) in order.iter_mut().enumerate() {
            *place = i as u32;
        }
        Sampler {
            random: Random::new(0, 1),
            order,
            next: IMAGES,
        }
    }

    fn batch(&mut self) -> Batch<'_> {
        if self.next + BATCH > IMAGES {
            self.random.shuffle(&mut self.order);
            self.next = 0;
        }
        let indices = &self.order[self.next..][..BATCH];
        self.next += BATCH;
        Batch {
            samples: SAMPLES,
            indices,
            weight: 1.0 / BATCH as f32,
            dropout: None,
        }
    }
}

fn initialise(parameters: &mut [f32]) {
    MICRO.initialise(Init::He, &mut Random::new(0, 0), parameters);
}

fn line(out: &mut dyn Write, name: &str, step: usize, loss: u64, parameters: &[f32]) {
    // Where the lines go to never fails.
    let _ = writeln!(
        out,
        "{name} {step} loss {loss:016x} parameters {:016x}",
        checksum(parameters)
    );
}

/// Everything, optimiser by optimiser.
pub fn run(memory: &mut Memory, out: &mut dyn Write) {
    adam(memory, out);
    lbfgs(memory, out);
    layer_lbfgs(memory, out, "layer-lbfgs-row", Form::Row);
    layer_lbfgs(memory, out, "layer-lbfgs-factored", Form::Factored);
    layer_lbfgs(memory, out, "layer-lbfgs", Form::Element);
}

/// Adam.
pub fn adam(memory: &mut Memory, out: &mut dyn Write) {
    initialise(&mut memory.parameters);
    line(out, "adam", 0, 0, &memory.parameters);
    memory.optimiser.fill(0.0);
    let mut adam = Adam::new(AdamConfig::default());
    let mut sampler = Sampler::new();
    for step in 1..=STEPS {
        memory.gradient.fill(0.0);
        let tally = MICRO.accumulate_gradient::<1>(
            &memory.parameters,
            sampler.batch(),
            &mut memory.gradient,
            &mut memory.workspace,
        );
        let done = adam.step(
            1.0,
            &mut memory.parameters,
            &memory.gradient,
            &mut memory.optimiser,
        );
        let (Ok(tally), Ok(())) = (tally, done) else {
            let _ = writeln!(out, "adam {step} failed");
            return;
        };
        line(out, "adam", step, tally.loss.to_bits(), &memory.parameters);
    }
    finish(out, "adam", memory, Adam::memory_len(PARAMETERS));
}

/// L-BFGS on mini-batches.
pub fn lbfgs(memory: &mut Memory, out: &mut dyn Write) {
    initialise(&mut memory.parameters);
    memory.optimiser.fill(0.0);
    let config = LbfgsConfig {
        curvature: Curvature::damp(),
        stopping: Stopping::never(),
        ..LbfgsConfig::default()
    };
    let mut sampler = Sampler::new();
    {
        let Memory {
            parameters,
            optimiser,
            workspace,
            ..
        } = memory;
        let Ok(mut lbfgs) = Lbfgs::<HISTORY>::new(config, PARAMETERS, optimiser) else {
            let _ = writeln!(out, "lbfgs failed");
            return;
        };
        for step in 1..=STEPS {
            let batch = sampler.batch();
            let mut loss = objective::from_fn(PARAMETERS, |x: &[f32], gradient: &mut [f32]| {
                gradient.fill(0.0);
                MICRO
                    .accumulate_gradient::<1>(x, batch, gradient, workspace)
                    .map_or(f32::NAN, |tally: Tally| tally.mean_loss() as f32)
            });
            lbfgs.objective_changed();
            let Ok(done) = lbfgs.step(&mut loss, parameters) else {
                let _ = writeln!(out, "lbfgs {step} failed");
                return;
            };
            line(
                out,
                "lbfgs",
                step,
                u64::from(done.value.to_bits()),
                parameters,
            );
        }
    }
    finish(
        out,
        "lbfgs",
        memory,
        Lbfgs::<HISTORY>::memory_len(PARAMETERS),
    );
}

/// Layer-wise stochastic L-BFGS: before some steps the pairs are gathered from the layers' inputs, in the gradient's memory.
pub fn layer_lbfgs(memory: &mut Memory, out: &mut dyn Write, name: &str, form: Form) {
    initialise(&mut memory.parameters);
    memory.optimiser.fill(0.0);
    let mut lbfgs = LayerLbfgs::<LAYER_HISTORY>::new(LayerLbfgsConfig {
        form,
        ..LayerLbfgsConfig::DEFAULT
    });
    let mut sampler = Sampler::new();
    let length = LayerLbfgs::<LAYER_HISTORY>::memory_len(&MICRO, form);
    for step in 1..=STEPS {
        let batch = sampler.batch();
        let Memory {
            parameters,
            gradient,
            optimiser,
            workspace,
        } = memory;
        let state = &mut optimiser[..length];
        let observed = if lbfgs.wants_inputs() {
            let mut observe = |inputs: LayerInputs<'_>, scratch: &mut [f32]| {
                lbfgs.observe(&inputs, state, scratch);
            };
            MICRO.observe_inputs(parameters, batch, workspace, gradient, &mut observe)
        } else {
            Ok(())
        };
        gradient.fill(0.0);
        let tally = MICRO.accumulate_gradient::<1>(parameters, batch, gradient, workspace);
        let done = lbfgs.step(&MICRO, 1.0, parameters, gradient, state);
        let (Ok(()), Ok(tally), Ok(())) = (observed, tally, done) else {
            let _ = writeln!(out, "{name} {step} failed");
            return;
        };
        line(out, name, step, tally.loss.to_bits(), &memory.parameters);
    }
    finish(out, name, memory, length);
}

/// The optimiser's state, and the logits of all images.
fn finish(out: &mut dyn Write, name: &str, memory: &mut Memory, state: usize) {
    let mut hash = 0;
    for image in 0..IMAGES as u32 {
        let mut logits = [0.0; MICRO.output_len()];
        let batch = Batch {
            samples: SAMPLES,
            indices: &[image],
            weight: 1.0,
            dropout: None,
        };
        let done = MICRO.predict::<1>(
            &memory.parameters,
            batch,
            &mut logits,
            &mut memory.workspace,
        );
        if done.is_err() {
            let _ = writeln!(out, "{name}: no logits of image {image}");
        }
        hash ^= checksum(&logits).rotate_left(image);
    }
    let _ = writeln!(
        out,
        "{name} end state {:016x} logits {hash:016x}",
        checksum(&memory.optimiser[..state])
    );
}
