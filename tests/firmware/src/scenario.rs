//! What every machine runs: `micro` on 32 images, and one line a step with the bits of the loss and
//! a checksum of all parameters.
//!
//! Host and devices run the same source; their lines must be equal. A run may also be made in legs,
//! the first here and the next there, each of which goes on from the checkpoint that the one before
//! left; the lines must be those of the run without a break.

use core::fmt::Write;

use secant::checkpoint::{self, State, Store};
use secant::network::Init;
use secant::network::presets::MICRO;
use secant::optim::{
    Adam, AdamConfig, Curvature, FlatLbfgs, FlatLbfgsConfig, Freshness, LayerLbfgs,
    LayerLbfgsConfig, Lbfgs, LbfgsConfig, SecondMoment, Stopping,
};
use secant::{Batch, ConfigError, Metrics, Normalisation, Random, Samples, objective};

/// Number of parameters.
pub const PARAMETERS: usize = MICRO.parameter_count();
/// Pairs that L-BFGS keeps.
pub const HISTORY: usize = 4;
/// Pairs that the layer-wise L-BFGS keeps of each layer.
pub const LAYER_HISTORY: usize = 8;
/// Steps of a run without a break.
pub const STEPS: usize = 50;
/// Samples a step.
pub const BATCH: usize = 2;
/// Images in all.
pub const IMAGES: usize = 32;

/// The first 32 training images of Fashion-MNIST (Copyright 2017 Zalando SE, MIT licence).
/// The bytes of the images.
pub static PIXELS: [u8; IMAGES * 784] = *include_bytes!("../pixels.bin");
static LABELS: [u8; IMAGES] = *include_bytes!("../labels.bin");

/// The images where they lie in flash.
pub const SAMPLES: Samples<'static> = Samples::bytes(&PIXELS, &LABELS, Normalisation::UNIT);

/// Floats of the largest optimiser.
const MOST: usize = {
    let (a, b) = (
        Lbfgs::<HISTORY>::memory_len(PARAMETERS),
        FlatLbfgs::<HISTORY>::memory_len(PARAMETERS),
    );
    if a > b { a } else { b }
};

/// All the memory that training needs.
pub struct Memory {
    /// Weights and biases.
    pub parameters: [f32; PARAMETERS],
    /// Their gradient.
    pub gradient: [f32; PARAMETERS],
    /// The gradient at another point, for flat L-BFGS upon Adam.
    pub other: [f32; PARAMETERS],
    /// Moments, or pairs.
    pub optimiser: [f32; MOST],
    /// Activations.
    pub workspace: [f32; MICRO.workspace_len(1)],
}

impl Memory {
    /// Zeros.
    pub const fn new() -> Memory {
        Memory {
            parameters: [0.0; PARAMETERS],
            gradient: [0.0; PARAMETERS],
            other: [0.0; PARAMETERS],
            optimiser: [0.0; MOST],
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
    /// The random numbers as they were when this order was drawn.
    drawn_from: Random,
    order: [u32; IMAGES],
    next: usize,
    /// Batches so far.
    step: usize,
}

impl Sampler {
    fn new() -> Sampler {
        let random = Random::new(0, 1);
        Sampler {
            random,
            drawn_from: random,
            order: [0; IMAGES],
            next: IMAGES,
            step: 0,
        }
    }

    fn draw(&mut self) {
        self.drawn_from = self.random;
        self.order = core::array::from_fn(|i| i as u32);
        self.random.shuffle(&mut self.order);
        self.next = 0;
    }

    fn batch(&mut self) -> Batch<'_> {
        if self.next + BATCH > IMAGES {
            self.draw();
        }
        let indices = &self.order[self.next..][..BATCH];
        self.next += BATCH;
        self.step += 1;
        Batch::new(SAMPLES, indices).weight(1.0 / BATCH as f32)
    }
}

/// The random numbers that the order was drawn from say what it is.
impl State for Sampler {
    const NUMBERS: usize = Random::NUMBERS + 2;

    fn numbers(&self, numbers: &mut [u64]) -> Result<(), ConfigError> {
        self.drawn_from.numbers(numbers)?;
        numbers[1..3].copy_from_slice(&[self.next as u64, self.step as u64]);
        Ok(())
    }

    fn restore(&mut self, numbers: &[u64]) -> Result<(), ConfigError> {
        self.random.restore(numbers)?;
        self.draw();
        (self.next, self.step) = (numbers[1] as usize, numbers[2] as usize);
        Ok(())
    }
}

/// Part of a run: it goes on from the checkpoint in the store, if there is one, and leaves one
/// there.
pub struct Leg<S> {
    /// Where checkpoints are; none for a run without a break.
    pub store: Option<S>,
    /// Steps to make.
    pub steps: usize,
}

/// More numbers than any optimiser and the sampler have.
type Numbers = [u64; 64];

impl<S: Store> Leg<S> {
    /// Loads what a leg before has left: the sampler's numbers, then those of the optimiser, of
    /// type `T`, and its memory `state`. Without one, the run begins.
    fn load<T: State>(&mut self, parameters: &mut [f32], state: &mut [f32]) -> Option<Numbers> {
        let mut numbers = [0; 64];
        let floats: &mut [&mut [f32]] = &mut [&mut *parameters, state];
        let found = &mut numbers[..Sampler::NUMBERS + T::NUMBERS];
        match self
            .store
            .as_mut()
            .map(|store| checkpoint::load(store, found, floats))
        {
            None | Some(Ok(None)) => {
                MICRO.initialise(Init::He, &mut Random::new(0, 0), parameters);
                None
            }
            Some(Ok(Some(_))) => Some(numbers),
            Some(Err(_)) => panic!("the checkpoint cannot be read"),
        }
    }

    /// Leaves a checkpoint.
    fn save(&mut self, numbers: &Numbers, count: usize, memory: &Memory, length: usize) {
        let floats: &[&[f32]] = &[&memory.parameters, &memory.optimiser[..length]];
        if let Some(store) = &mut self.store {
            let saved = checkpoint::save(store, &numbers[..count], floats);
            assert!(saved.is_ok(), "the checkpoint cannot be written");
        }
    }
}

/// The numbers of the sampler and an optimiser, and how many.
fn numbers<T: State>(sampler: &Sampler, optimiser: &T) -> Result<(Numbers, usize), ConfigError> {
    let mut numbers = [0; 64];
    sampler.numbers(&mut numbers)?;
    optimiser.numbers(&mut numbers[Sampler::NUMBERS..])?;
    Ok((numbers, Sampler::NUMBERS + T::NUMBERS))
}

/// The sampler of a run that goes on, or begins; the optimiser takes its numbers as well.
fn resume<T: State>(loaded: Option<Numbers>, optimiser: &mut T) -> Result<Sampler, ConfigError> {
    let mut sampler = Sampler::new();
    if let Some(numbers) = loaded {
        sampler.restore(&numbers)?;
        optimiser.restore(&numbers[Sampler::NUMBERS..])?;
    }
    Ok(sampler)
}

/// A store of runs without a break.
pub enum NoStore {}

impl Store for NoStore {
    type Error = core::convert::Infallible;

    fn write(&mut self, _: u16, _: &[u8]) -> Result<(), Self::Error> {
        match *self {}
    }

    fn read(&mut self, _: u16, _: &mut [u8]) -> Result<Option<usize>, Self::Error> {
        match *self {}
    }
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
    legs(memory, out, STEPS, |_| None::<NoStore>);
}

/// A leg of everything, `store` giving the store of each run by its name. Panics when something
/// goes wrong.
pub fn legs<S: Store>(
    memory: &mut Memory,
    out: &mut dyn Write,
    steps: usize,
    mut store: impl FnMut(&str) -> Option<S>,
) {
    let mut leg = |name| Leg {
        store: store(name),
        steps,
    };
    adam(memory, out, leg("adam")).expect("it fits");
    lbfgs(memory, out, leg("lbfgs")).expect("it fits");
    flat_lbfgs(memory, out, leg("flat-lbfgs")).expect("it fits");
    for second_moment in SecondMoment::ALL {
        let name = match second_moment {
            SecondMoment::Row => "layer-lbfgs-row",
            SecondMoment::Factored => "layer-lbfgs-factored",
            _ => "layer-lbfgs",
        };
        layer_lbfgs(memory, out, name, second_moment, leg(name)).expect("it fits");
    }
}

/// Adam.
pub fn adam<S: Store>(
    memory: &mut Memory,
    out: &mut dyn Write,
    mut leg: Leg<S>,
) -> Result<(), ConfigError> {
    let length = Adam::memory_len(PARAMETERS);
    let Memory {
        parameters,
        gradient,
        optimiser,
        workspace,
        ..
    } = memory;
    let mut adam = Adam::new(AdamConfig::DEFAULT, PARAMETERS, optimiser)?;
    let loaded = leg.load::<Adam>(parameters, adam.memory_mut());
    let mut sampler = resume(loaded, &mut adam)?;
    for _ in 0..leg.steps {
        gradient.fill(0.0);
        let tally = MICRO
            .accumulate_gradient::<1>(parameters, sampler.batch(), gradient, workspace)
            .expect("it fits");
        adam.step(1.0, parameters, gradient)?;
        line(out, "adam", sampler.step, tally.loss.to_bits(), parameters);
    }
    let (numbers, count) = numbers(&sampler, &adam)?;
    leg.save(&numbers, count, memory, length);
    finish(out, "adam", memory, length);
    Ok(())
}

/// L-BFGS on mini-batches.
pub fn lbfgs<S: Store>(
    memory: &mut Memory,
    out: &mut dyn Write,
    mut leg: Leg<S>,
) -> Result<(), ConfigError> {
    let length = Lbfgs::<HISTORY>::memory_len(PARAMETERS);
    let config = LbfgsConfig {
        curvature: Curvature::damp(),
        stopping: Stopping::never(),
        ..LbfgsConfig::default()
    };
    memory.optimiser.fill(0.0);
    let state = &mut memory.optimiser[..length];
    let loaded = leg.load::<Lbfgs<HISTORY>>(&mut memory.parameters, state);
    let Memory {
        parameters,
        optimiser,
        workspace,
        ..
    } = memory;
    let mut lbfgs = Lbfgs::<HISTORY>::new(config, PARAMETERS, optimiser)?;
    let mut sampler = resume(loaded, &mut lbfgs)?;
    for _ in 0..leg.steps {
        let batch = sampler.batch();
        let mut loss = objective::from_fn(PARAMETERS, |x: &[f32], gradient: &mut [f32]| {
            gradient.fill(0.0);
            MICRO
                .accumulate_gradient::<1>(x, batch, gradient, workspace)
                .map_or(f32::NAN, |tally: Metrics| tally.mean_loss() as f32)
        });
        lbfgs.objective_changed();
        let value = lbfgs.step(&mut loss, parameters)?.value;
        let bits = u64::from(value.to_bits());
        line(out, "lbfgs", sampler.step, bits, parameters);
    }
    let (numbers, count) = numbers(&sampler, &lbfgs)?;
    leg.save(&numbers, count, memory, length);
    finish(out, "lbfgs", memory, length);
    Ok(())
}

/// Stochastic L-BFGS upon Adam, a pair every five steps.
pub fn flat_lbfgs<S: Store>(
    memory: &mut Memory,
    out: &mut dyn Write,
    mut leg: Leg<S>,
) -> Result<(), ConfigError> {
    let length = FlatLbfgs::<HISTORY>::memory_len(PARAMETERS);
    let config = FlatLbfgsConfig {
        pair_every: 5,
        ..FlatLbfgsConfig::DEFAULT
    };
    let Memory {
        parameters,
        gradient,
        other,
        optimiser,
        workspace,
    } = memory;
    let mut lbfgs = FlatLbfgs::<HISTORY>::new(config, PARAMETERS, optimiser)?;
    let loaded = leg.load::<FlatLbfgs<HISTORY>>(parameters, lbfgs.memory_mut());
    let mut sampler = resume(loaded, &mut lbfgs)?;
    for _ in 0..leg.steps {
        let batch = sampler.batch();
        let mut gradient_at = |x: &[f32], gradient: &mut [f32]| {
            gradient.fill(0.0);
            MICRO
                .accumulate_gradient::<1>(x, batch, gradient, workspace)
                .expect("it fits")
        };
        let tally = gradient_at(parameters, gradient);
        if lbfgs.wants_anchor_gradient() {
            gradient_at(lbfgs.anchor(), other);
            lbfgs.observe(parameters, gradient, other)?;
        }
        let freshness = lbfgs.step(1.0, parameters, gradient)?;
        assert!(freshness == Freshness::Current, "a pair was made when due");
        let bits = tally.loss.to_bits();
        line(out, "flat-lbfgs", sampler.step, bits, parameters);
    }
    let (numbers, count) = numbers(&sampler, &lbfgs)?;
    leg.save(&numbers, count, memory, length);
    finish(out, "flat-lbfgs", memory, length);
    Ok(())
}

/// Layer-wise stochastic L-BFGS: before some steps the pairs are gathered from the layers' inputs,
/// in the gradient's memory.
pub fn layer_lbfgs<S: Store>(
    memory: &mut Memory,
    out: &mut dyn Write,
    name: &str,
    second_moment: SecondMoment,
    mut leg: Leg<S>,
) -> Result<(), ConfigError> {
    let length = LayerLbfgs::<LAYER_HISTORY>::memory_len(&MICRO, second_moment);
    let config = LayerLbfgsConfig {
        second_moment,
        ..LayerLbfgsConfig::DEFAULT
    };
    let Memory {
        parameters,
        gradient,
        optimiser,
        workspace,
        ..
    } = memory;
    let mut lbfgs = LayerLbfgs::<LAYER_HISTORY>::new(config, &MICRO, optimiser)?;
    let loaded = leg.load::<LayerLbfgs<LAYER_HISTORY>>(parameters, lbfgs.memory_mut());
    let mut sampler = resume(loaded, &mut lbfgs)?;
    for _ in 0..leg.steps {
        let batch = sampler.batch();
        let tally = lbfgs
            .train_step::<1, _>(&MICRO, 1.0, parameters, batch, gradient, workspace)
            .expect("it fits");
        line(out, name, sampler.step, tally.loss.to_bits(), parameters);
    }
    let (numbers, count) = numbers(&sampler, &lbfgs)?;
    leg.save(&numbers, count, memory, length);
    finish(out, name, memory, length);
    Ok(())
}

/// The optimiser's state, and the logits of all images.
fn finish(out: &mut dyn Write, name: &str, memory: &mut Memory, state: usize) {
    let mut hash = 0;
    for image in 0..IMAGES as u32 {
        let mut logits = [0.0; MICRO.output_len()];
        let indices = [image];
        let batch = Batch::new(SAMPLES, &indices);
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
