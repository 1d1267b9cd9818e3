//! `secant bench`: how fast this machine is, and how much of that the kernels use.
//!
//! Everything is timed in short windows of which the fastest counts, so that other work on the machine disturbs little.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use secant::arch::{self, Isa, Kernel, Simd};
use secant::optim::{Adam, AdamConfig};
use secant::{Batch, DropoutKey, Init, Random, Samples, StagePass};
use serde::Serialize;

use crate::dataset::Images;
use crate::engine::{Engine, LANES};
use crate::model::Model;

/// Samples a step.
const BATCH: usize = 64;

/// What `secant bench` measures.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The network.
    pub model: String,
    /// The instruction set that the kernels ran on.
    pub isa: &'static str,
    /// Fused multiply-adds of independent vectors, 2 operations each, in billions a second, on one thread.
    pub peak_gflops_per_thread: f64,
    /// Useful operations of a step's three passes over the whole step, on one thread.
    pub gflops: f64,
    /// The same as a share of the peak.
    pub share_of_peak: f64,
    /// Each pass of each layer that multiplies.
    pub layers: Vec<LayerReport>,
    /// A step of each optimiser.
    pub step: Vec<StepReport>,
    /// Seconds that one pass over 60,000 samples takes with Adam and batches of 64, for each number of threads.
    pub epoch_seconds: BTreeMap<usize, f64>,
}

/// Speed of one pass of one layer, with its activation and its pool.
#[derive(Debug, Serialize)]
pub struct LayerReport {
    /// Number and kind.
    pub name: String,
    /// `forward`, `weight_gradient` or `input_gradient`.
    pub pass: &'static str,
    /// Useful operations in billions a second, on one thread.
    pub gflops: f64,
    /// The same as a share of the peak.
    pub share_of_peak: f64,
}

/// Time of one step of an optimiser with a batch of 64 on all threads.
#[derive(Debug, Serialize)]
pub struct StepReport {
    /// Its name.
    pub optimizer: &'static str,
    /// The whole step.
    pub seconds: f64,
    /// Share of it that computes the gradient.
    pub gradient_share: f64,
}

/// Seconds that `work` takes: the fastest of many short windows.
fn seconds(mut work: impl FnMut()) -> f64 {
    /// A window is at least this long.
    const WINDOW: f64 = 1e-3;
    let (mut repeats, mut best, mut windows) = (1, f64::INFINITY, 0);
    let begin = Instant::now();
    while windows < 5 || (windows < 200 && begin.elapsed().as_secs_f64() < 0.15) {
        let start = Instant::now();
        for _ in 0..repeats {
            work();
        }
        let taken = start.elapsed().as_secs_f64();
        if taken < WINDOW && windows == 0 {
            repeats *= 2;
            continue;
        }
        best = best.min(taken / f64::from(repeats));
        windows += 1;
    }
    best
}

/// Rounds of independent fused multiply-adds.
struct Peak {
    rounds: usize,
}

/// Sums that wait for each other nowhere: more than latency times instructions a cycle, few enough for 16 registers.
const SUMS: usize = 12;

impl Kernel for Peak {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let (factor, term) = (simd.splat(black_box(0.5)), simd.splat(black_box(1.0)));
        let mut sums = [term; SUMS];
        for _ in 0..self.rounds {
            for sum in &mut sums {
                *sum = simd.fma(*sum, factor, term);
            }
        }
        let mut total = term;
        for sum in sums {
            total = simd.add(total, sum);
        }
        simd.sum(total) / S::WIDTH as f32
    }
}

/// Floats in a vector of the instruction set.
struct Width;

impl Kernel for Width {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> usize {
        S::WIDTH
    }
}

/// Billions of operations a second that the machine's fused multiply-add gives on one thread.
pub fn peak_gflops() -> f64 {
    let rounds = 4096;
    let taken = seconds(|| {
        black_box(arch::dispatch(Peak { rounds }));
    });
    (2 * rounds * SUMS * arch::dispatch(Width)) as f64 / taken / 1e9
}

/// Measures a network on some images.
pub fn run(model: &Model, images: &Arc<Images>, threads: usize) -> Report {
    let peak = peak_gflops();
    let (layers, gflops) = layers(model, images, peak);
    let epoch_seconds = (1..=threads)
        .map(|threads| {
            let (step, _) = adam_step(model, images, threads);
            (threads, step * (60_000.0 / BATCH as f64))
        })
        .collect();
    let (seconds, gradient) = adam_step(model, images, threads);
    let step = vec![StepReport {
        optimizer: "adam",
        seconds,
        gradient_share: gradient / seconds,
    }];
    Report {
        model: model.name.clone(),
        isa: Isa::current().name(),
        peak_gflops_per_thread: peak,
        gflops,
        share_of_peak: gflops / peak,
        layers,
        step,
        epoch_seconds,
    }
}

/// Parameters as a run would begin with.
fn initial(model: &Model) -> Vec<f32> {
    let mut parameters = vec![0.0; model.network.parameter_count()];
    model.network.initialise(Init::He, &mut Random::new(0, 0), &mut parameters);
    parameters
}

/// Speed of each pass of each layer, and of a whole step.
fn layers(model: &Model, images: &Images, peak: f64) -> (Vec<LayerReport>, f64) {
    let network = &model.network;
    let parameters = initial(model);
    let mut gradient = vec![0.0; parameters.len()];
    let mut workspace = vec![0.0; network.workspace_len(LANES)];
    let indices: Vec<u32> = (0..BATCH as u32).collect();
    let samples = Samples {
        pixels: &images.pixels,
        labels: &images.labels,
        normalisation: images.normalisation(),
    };
    let dropout = Some(DropoutKey { seed: 0, step: 0 });
    let batch = Batch { samples, indices: &indices, weight: 1.0 / BATCH as f32, dropout };
    let mut adam = Adam::new(AdamConfig { learning_rate: 1e-3, ..AdamConfig::default() });
    let mut memory = vec![0.0; 2 * parameters.len()];
    let mut moving = parameters.clone();
    let step = seconds(|| {
        gradient.fill(0.0);
        let tally = network.accumulate_gradient::<LANES>(&moving, batch, &mut gradient, &mut workspace);
        black_box(tally).expect("a batch of the data set");
        adam.step(1.0, &mut moving, &gradient, &mut memory).expect("lengths fit");
    });

    let block = Batch { indices: &indices[..LANES], ..batch };
    let (mut reports, mut useful) = (Vec::new(), 0);
    for (s, stage) in network.stages().enumerate() {
        let passes = if s == 0 { 2 } else { 3 };
        let operations = 2 * stage.multiply_accumulates * LANES;
        useful += passes * stage.multiply_accumulates;
        if operations == 0 {
            continue;
        }
        let mut time = |pass| {
            // Whole passes first, so that the workspace holds what this stage would find.
            network
                .accumulate_gradient::<LANES>(&parameters, block, &mut gradient, &mut workspace)
                .expect("a batch of the data set");
            seconds(|| {
                network
                    .run_stage::<LANES>(s, pass, &parameters, block, &mut gradient, &mut workspace)
                    .expect("a batch of the data set");
            })
        };
        let forward = time(StagePass::Forward);
        let weights = time(StagePass::WeightGradient);
        let both = time(StagePass::Backward);
        let times = [
            ("forward", forward),
            ("weight_gradient", weights),
            ("input_gradient", (both - weights).max(1e-9)),
        ];
        for (pass, taken) in times.into_iter().take(passes) {
            let gflops = operations as f64 / taken / 1e9;
            reports.push(LayerReport {
                name: format!("{} {}", stage.layers.start + 1, network.layers()[stage.layers.start].name()),
                pass,
                gflops,
                share_of_peak: gflops / peak,
            });
        }
    }
    (reports, (2 * useful * BATCH) as f64 / step / 1e9)
}

/// Seconds of a step with Adam, and of its gradient alone.
fn adam_step(model: &Model, images: &Arc<Images>, threads: usize) -> (f64, f64) {
    let mut parameters = initial(model);
    let mut gradient = vec![0.0; parameters.len()];
    let mut engine = Engine::new(model.network, Arc::clone(images), images.normalisation(), threads);
    let indices: Vec<u32> = (0..BATCH as u32).collect();
    let dropout = Some(DropoutKey { seed: 0, step: 0 });
    let gradient_seconds = seconds(|| {
        engine.gradient(&parameters, &indices, dropout, &mut gradient);
    });
    let mut adam = Adam::new(AdamConfig { learning_rate: 1e-3, ..AdamConfig::default() });
    let mut memory = vec![0.0; 2 * parameters.len()];
    let step_seconds = seconds(|| {
        engine.gradient(&parameters, &indices, dropout, &mut gradient);
        adam.step(1.0, &mut parameters, &gradient, &mut memory).expect("lengths fit");
    });
    (step_seconds, gradient_seconds.min(step_seconds))
}
