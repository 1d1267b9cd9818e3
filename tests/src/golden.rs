//! The golden table and the runs behind it: small, free of files, and written for any target (no
//! `std`, memory from the caller). Firmware includes this file, so desktop and devices check one
//! table by one source.
//!
//! Nothing is compiled before it is called with a type to write to.

use core::fmt::{self, Write};

use secant::network::{Convolution, Init, Network, presets};
use secant::objective;
use secant::optim::{Adam, AdamConfig, Decay, Lbfgs, LbfgsConfig};
use secant::random::philox4x32;
use secant::{Affine, Batch, DropoutKey, Normalisation, Random, Samples};
use sha2::{Digest, Sha256};

/// What the table begins with.
pub const HEADER: &str = "\
# Golden values: what every target must compute, to the bit. The runs stand in tests/src/golden.rs.
# A sum is the SHA-256 of little-endian f32 (-0 counted as 0), a loss the bits of an f64.
# To write anew: SECANT_GOLDEN=write cargo test --release -p secant-tests --test golden
";

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

/// Ten classes of noisy images: class c has two bright bars, whose places depend on c. Whole
/// numbers only.
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
    let normalisation = Normalisation::Same(Affine {
        scale: 1.0 / 64.0,
        offset: -1.75,
    });
    Samples::bytes(pixels, labels, normalisation)
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

/// [`STEPS`] steps of Adam; `loss` hears the mean loss of each batch before its step. The moments
/// stay in `memory`.
pub fn adam<const LANES: usize, const N: usize>(
    network: &Network<'_, N>,
    samples: Samples<'_>,
    memory: Memory<'_>,
    mut loss: impl FnMut(f64),
) {
    let n = memory.parameters.len();
    let mut adam = Adam::new(ADAM, n, memory.memory).expect("the settings are in range");
    for step in 0..STEPS {
        let indices = indices(step);
        let batch = Batch::new(samples, &indices)
            .weight(1.0 / BATCH as f32)
            .dropout(Some(DropoutKey {
                seed: SEED,
                step: step as u32,
            }));
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
        adam.step(1.0, memory.parameters, memory.gradient)
            .expect("the lengths are right");
    }
}

/// Pairs that the golden L-BFGS keeps.
pub const HISTORY: usize = 4;

/// [`STEPS`] steps of L-BFGS, each on a batch of its own; `loss` hears the mean loss of each batch
/// before its step, `state` the pairs that are left, oldest first, each `s`, then `y`, and then the
/// number 1 / (s . y).
pub fn lbfgs<const LANES: usize, const N: usize>(
    network: &Network<'_, N>,
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
            let batch = Batch::new(samples, &indices)
                .weight(1.0 / BATCH as f32)
                .dropout(dropout);
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

/// The bits of `x`, one pattern for both zeros and one for all NaN: what the determinism contract
/// speaks of.
pub fn contract_bits(x: f32) -> u32 {
    if x.is_nan() {
        f32::NAN.to_bits()
    } else {
        (x + 0.0).to_bits()
    }
}

/// The SHA-256 of numbers.
#[derive(Clone, Default)]
pub(crate) struct Sum(Sha256);

impl Sum {
    fn add(&mut self, numbers: &[f32]) {
        for x in numbers {
            self.0.update(contract_bits(*x).to_le_bytes());
        }
    }

    pub(crate) fn of(numbers: &[f32]) -> Sum {
        let mut sum = Sum::default();
        sum.add(numbers);
        sum
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = self.0.clone().finalize();
        sum.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Which optimiser.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Optimizer {
    Adam,
    Lbfgs,
}

/// The memory that a table takes: for [`Table::micro`] `Table<MICRO_FLOATS>`, for [`Table::all`]
/// `Table<FLOATS>`.
#[derive(Debug)]
pub struct Table<const L: usize> {
    pixels: [u8; IMAGES * PIXELS],
    labels: [u8; IMAGES],
    floats: [f32; L],
}

/// Floats of the longest run of a network.
const fn run_len<const N: usize>(network: &Network<N>) -> usize {
    let n = network.parameter_count();
    2 * n
        + Lbfgs::<HISTORY>::memory_len(n)
        + network.workspace_len(16)
        + IMAGES * network.output_len()
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

/// Floats of [`Table::micro`]: initial weights of the largest network, runs of the smallest.
pub const MICRO_FLOATS: usize = max(presets::SEED.parameter_count(), run_len(&presets::MICRO));
/// Floats of [`Table::all`].
pub const FLOATS: usize = max(
    max(run_len(&presets::SEED), run_len(&presets::LENET)),
    run_len(&SEED_WINOGRAD),
);

/// `micro`, and `seed`, with the other algorithm.
const MICRO_WINOGRAD: Network<'_, 7> = presets::MICRO.with_convolution(Convolution::Winograd);
const SEED_WINOGRAD: Network<'_, 19> = presets::SEED.with_convolution(Convolution::Winograd);

impl<const L: usize> Table<L> {
    /// Zeros.
    pub const fn new() -> Table<L> {
        Table {
            pixels: [0; IMAGES * PIXELS],
            labels: [0; IMAGES],
            floats: [0.0; L],
        }
    }

    /// The beginning of the table, as far as a microcontroller's memory goes: the initial weights
    /// of all networks, and the runs of `micro`.
    pub fn micro<W: Write>(&mut self, out: &mut W) -> fmt::Result {
        let Table {
            pixels,
            labels,
            floats,
        } = self;
        images(pixels, labels);
        let sha = Sha256::new().chain_update(pixels.as_slice());
        let sum = Sum(sha.chain_update(labels.as_slice()));
        write!(out, "{HEADER}\nimages {sum}\n")?;
        initial("micro", &presets::MICRO, floats, out)?;
        initial("lenet", &presets::LENET, floats, out)?;
        initial("seed", &presets::SEED, floats, out)?;
        for optimizer in [Optimizer::Adam, Optimizer::Lbfgs] {
            let name = "micro";
            self.run::<1, 7, W>(name, &presets::MICRO, Init::He, optimizer, out)?;
            self.run::<4, 7, W>(name, &presets::MICRO, Init::He, optimizer, out)?;
            self.run::<16, 7, W>(name, &presets::MICRO, Init::He, optimizer, out)?;
        }
        Ok(())
    }

    /// The whole table.
    pub fn all<W: Write>(&mut self, out: &mut W) -> fmt::Result {
        self.micro(out)?;
        let (lenet, seed) = (&presets::LENET, &presets::SEED);
        self.run::<16, 11, W>("lenet", lenet, Init::LeCun, Optimizer::Lbfgs, out)?;
        self.run::<16, 19, W>("seed", seed, Init::PyTorch, Optimizer::Adam, out)?;
        let (name, init, adam) = ("micro winograd", Init::He, Optimizer::Adam);
        self.run::<4, 7, W>(name, &MICRO_WINOGRAD, init, adam, out)?;
        self.run::<16, 7, W>(name, &MICRO_WINOGRAD, init, adam, out)?;
        let (name, init) = ("seed winograd", Init::PyTorch);
        self.run::<16, 19, W>(name, &SEED_WINOGRAD, init, adam, out)
    }

    /// One run as lines of the table. Panics when it has learnt nothing: its lines would be of
    /// little use.
    fn run<const LANES: usize, const N: usize, W: Write>(
        &mut self,
        name: &str,
        network: &Network<N>,
        init: Init,
        optimizer: Optimizer,
        out: &mut W,
    ) -> fmt::Result {
        let n = network.parameter_count();
        let length = match optimizer {
            Optimizer::Adam => Adam::memory_len(n),
            Optimizer::Lbfgs => Lbfgs::<HISTORY>::memory_len(n),
        };
        // What no one has written must not matter.
        self.floats.fill(f32::NAN);
        let (parameters, rest) = self.floats.split_at_mut(n);
        let (gradient, rest) = rest.split_at_mut(n);
        let (memory, rest) = rest.split_at_mut(length);
        let (workspace, rest) = rest.split_at_mut(network.workspace_len(LANES));
        let (logits, _) = rest.split_at_mut(IMAGES * network.output_len());

        let samples = samples(&self.pixels, &self.labels);
        network.initialise(init, &mut Random::new(SEED, 0), parameters);
        let heading = format_args!("{name} {optimizer:?} init={} lanes={LANES}", init.name());
        write!(out, "\n{heading}\ninitial {}\n", Sum::of(parameters))?;
        let lent = Memory {
            parameters,
            gradient,
            memory,
            workspace,
        };
        let (mut losses, mut step) = ([f64::NAN; STEPS], 0);
        let loss = |loss| {
            losses[step] = loss;
            step += 1;
        };
        let mut state = Sum::default();
        match optimizer {
            Optimizer::Adam => {
                adam::<LANES, N>(network, samples, lent, loss);
                state.add(memory);
            }
            Optimizer::Lbfgs => {
                lbfgs::<LANES, N>(network, samples, lent, loss, |x| state.add(x));
            }
        }
        for (step, loss) in losses.iter().enumerate() {
            writeln!(out, "loss {step} {:016x} {loss:.6}", loss.to_bits())?;
        }
        let (first, last) = (losses[0], losses[STEPS - 1]);
        assert!(
            last < first,
            "{heading}: the loss went from {first} to {last}"
        );

        let indices: [u32; IMAGES] = core::array::from_fn(|i| i as u32);
        let batch = Batch::new(samples, &indices).weight(1.0);
        network
            .predict::<LANES>(parameters, batch, logits, workspace)
            .expect("lengths, indices and labels fit");
        writeln!(out, "trained {}", Sum::of(parameters))?;
        writeln!(out, "state {state}\nlogits {}", Sum::of(logits))
    }
}

impl<const L: usize> Default for Table<L> {
    fn default() -> Table<L> {
        Table::new()
    }
}

/// A network's initial weights by every initialisation.
fn initial<const N: usize, W: Write>(
    name: &str,
    network: &Network<N>,
    floats: &mut [f32],
    out: &mut W,
) -> fmt::Result {
    let n = network.parameter_count();
    write!(out, "\n{name} initial weights, {n} parameters\n")?;
    for init in Init::ALL {
        let parameters = &mut floats[..n];
        parameters.fill(f32::NAN);
        network.initialise(init, &mut Random::new(SEED, 0), parameters);
        writeln!(out, "{} {}", init.name(), Sum::of(parameters))?;
    }
    Ok(())
}
