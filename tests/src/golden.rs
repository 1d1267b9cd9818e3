//! The runs behind the golden table: small, free of files, and written for any target (no `std`, memory from the caller), so
//! that firmware makes the same ones.

use secant::objective;
use secant::optim::{Adam, AdamConfig, Decay, Lbfgs, LbfgsConfig};
use secant::random::philox4x32;
use secant::{Batch, DropoutKey, Network, Normalisation, Samples};

/// Images in the golden data set.
pub const IMAGES: usize = 32;
/// Pixels of an image.
pub const PIXELS: usize = 28 * 28;
/// Images a step: neither a multiple nor a divisor of 16 lanes.
pub const BATCH: usize = 12;
/// Steps of a run.
pub const STEPS: usize = 10;
/// Seed of all randomness.
pub const SEED: u64 = 0x5eca;

/// Ten classes of noisy images: class c has two bright bars, whose places depend on c. Whole numbers only.
pub fn images(pixels: &mut [u8; IMAGES * PIXELS], labels: &mut [u8; IMAGES]) {
    for (image, (pixels, label)) in (0u32..).zip(pixels.chunks_exact_mut(PIXELS).zip(labels)) {
        let class = image % 10;
        *label = class as u8;
        for (place, pixel) in (0u32..).zip(pixels) {
            let (row, column) = (place / 28, place % 28);
            let noise = philox4x32([image, place, 0, 0], [SEED as u32, 0])[0] >> 25;
            let bright = row / 4 == 1 + class / 2 || column / 4 == 1 + class % 5;
            *pixel = (noise + if bright { 128 } else { 0 }) as u8;
        }
    }
}

/// The golden data set, of mean near 0 and variance near 1.
pub fn samples<'a>(pixels: &'a [u8; IMAGES * PIXELS], labels: &'a [u8; IMAGES]) -> Samples<'a> {
    let normalisation = Normalisation {
        scale: 1.0 / 64.0,
        offset: -1.75,
    };
    Samples {
        pixels,
        labels,
        normalisation,
    }
}

/// The images of a step: the next [`BATCH`], from the start again at the end.
pub fn indices(step: usize) -> [u32; BATCH] {
    core::array::from_fn(|i| ((step * BATCH + i) % IMAGES) as u32)
}

/// How Adam runs: the settings that touch most of its code.
pub const ADAM: AdamConfig = AdamConfig {
    learning_rate: 2e-3,
    beta1: 0.9,
    beta2: 0.98,
    epsilon: 1e-8,
    weight_decay: 1e-3,
    decay: Decay::Decoupled,
    nesterov: true,
};

/// Memory of a run, for n parameters: `memory` is the optimiser's.
#[derive(Debug)]
pub struct Memory<'a> {
    /// n.
    pub parameters: &'a mut [f32],
    /// n.
    pub gradient: &'a mut [f32],
    /// [`Adam::memory_len`] or [`Lbfgs::memory_len`].
    pub memory: &'a mut [f32],
    /// [`Network::workspace_len`].
    pub workspace: &'a mut [f32],
}

/// [`STEPS`] steps of Adam; `loss` hears the mean loss of each batch before its step. The moments stay in `memory`.
pub fn adam<const LANES: usize, const N: usize>(
    network: &Network<N>,
    samples: Samples<'_>,
    memory: Memory<'_>,
    mut loss: impl FnMut(f64),
) {
    let mut adam = Adam::new(ADAM);
    memory.memory.fill(0.0);
    for step in 0..STEPS {
        let indices = indices(step);
        let batch = Batch {
            samples,
            indices: &indices,
            weight: 1.0 / BATCH as f32,
            dropout: Some(DropoutKey {
                seed: SEED,
                step: step as u32,
            }),
        };
        memory.gradient.fill(0.0);
        let tally = network
            .accumulate_gradient::<LANES>(
                memory.parameters,
                batch,
                memory.gradient,
                memory.workspace,
            )
            .expect("lengths, indices and labels fit");
        loss(tally.mean_loss());
        adam.step(1.0, memory.parameters, memory.gradient, memory.memory)
            .expect("the lengths are right");
    }
}

/// Pairs that the golden L-BFGS keeps.
pub const HISTORY: usize = 4;

/// [`STEPS`] steps of L-BFGS, each on a batch of its own; `loss` hears the mean loss of each batch before its step, `state`
/// the pairs that are left, oldest first, each `s`, then `y`, and then the number 1 / (s . y).
pub fn lbfgs<const LANES: usize, const N: usize>(
    network: &Network<N>,
    samples: Samples<'_>,
    memory: Memory<'_>,
    mut loss: impl FnMut(f64),
    mut state: impl FnMut(&[f32]),
) {
    let n = memory.parameters.len();
    let Memory {
        parameters,
        memory,
        workspace,
        ..
    } = memory;
    let mut lbfgs = Lbfgs::<HISTORY>::new(LbfgsConfig::mini_batch(), n, memory)
        .expect("the settings are in range");
    for step in 0..STEPS {
        let indices = indices(step);
        let mut first = None;
        let mut objective = objective::from_fn(n, |x: &[f32], gradient: &mut [f32]| {
            let dropout = Some(DropoutKey {
                seed: SEED,
                step: step as u32,
            });
            let batch = Batch {
                samples,
                indices: &indices,
                weight: 1.0 / BATCH as f32,
                dropout,
            };
            gradient.fill(0.0);
            let tally = network
                .accumulate_gradient::<LANES>(x, batch, gradient, workspace)
                .expect("lengths, indices and labels fit");
            first.get_or_insert(tally.mean_loss());
            tally.mean_loss() as f32
        });
        lbfgs.objective_changed();
        lbfgs
            .step(&mut objective, parameters)
            .expect("the lengths are right");
        loss(first.unwrap_or(f64::NAN));
    }
    for pair in lbfgs.pairs() {
        state(pair.s);
        state(pair.y);
        state(&[pair.rho]);
    }
}
