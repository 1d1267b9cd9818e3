//! How fast this machine is, and how much of that the kernels use.
//!
//! Everything is timed in short windows of which the fastest counts, so that other work on the
//! machine disturbs little.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use secant::arch::{self, Isa, Kernel, Simd};
use secant::network::Init;
use secant::optim::{Initial, Pair, two_loop};
use secant::{Affine, DropoutKey, PassError, Random, StagePass};
use serde::Serialize;

use crate::batch::Batch;
use crate::data::dataset::{Dataset, Part};
use crate::engine::{self, Engine, LANES};
use crate::model::{Model, Net};
use crate::optimizers::settings::TwoLoops;
use crate::optimizers::step::BatchLoss;
use crate::optimizers::{self, Choice, Optimizer};
use crate::workspace::Workspace;

/// Samples a step.
const BATCH: usize = 64;

/// Most samples to work on.
pub const SAMPLES: usize = 512;

/// Samples of an epoch, as in Fashion-MNIST.
const EPOCH: f64 = 60_000.0;

/// What `secant bench` measures.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The network.
    pub model: String,
    /// The instruction set that the kernels ran on.
    pub isa: &'static str,
    /// Fused multiply-adds of independent vectors, 2 operations each, in billions a second, on one
    /// thread.
    pub peak_gflops_per_thread: f64,
    /// Useful operations of a block's passes over its whole gradient, loss and data included, on
    /// one thread.
    pub gflops: f64,
    /// The same as a share of the peak.
    pub share_of_peak: f64,
    /// Each pass of each layer that multiplies.
    pub layers: Vec<LayerReport>,
    /// A step of each optimiser.
    pub step: Vec<StepReport>,
    /// Seconds that one pass over 60,000 samples takes with Adam and batches of 64, for each number
    /// of threads.
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

/// Time of one step of an optimiser with a batch of 64 on all threads, once its history is full.
#[derive(Debug, Serialize)]
pub struct StepReport {
    /// Its name.
    pub optimizer: &'static str,
    /// A step on average.
    pub seconds: f64,
    /// Gradients of the batch in a step on average: more than one where a line search or a pair
    /// needs it.
    pub evaluations: f64,
    /// Share of it that computes gradients.
    pub gradient_share: f64,
    /// Share of it that the two-loop recursions take, timed by themselves on vectors of the same
    /// sizes. What is left is moments, weights, new pairs and the line search's own work.
    pub two_loop_share: f64,
    /// A step that evaluates one gradient and renews no pair, as most do; none where every step
    /// evaluates more.
    pub plain_seconds: Option<f64>,
}

/// Steps of one kind.
#[derive(Debug, Clone, Copy)]
struct Kind {
    count: u32,
    /// The fastest of them, and what its gradients took.
    seconds: f64,
    gradient_seconds: f64,
}

/// Seconds that `work` takes: the fastest of many windows of a millisecond or more.
fn seconds<E>(mut work: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    const WINDOW: f64 = 1e-3;
    /// Time and number of windows after which the fastest is trusted.
    const LONG_ENOUGH: f64 = 0.2;
    const FEWEST: u32 = 10;
    const MOST: u32 = 200;
    let (mut repeats, mut best, mut windows) = (1, f64::INFINITY, 0);
    let begin = Instant::now();
    while windows < FEWEST || (windows < MOST && begin.elapsed().as_secs_f64() < LONG_ENOUGH) {
        let start = Instant::now();
        for _ in 0..repeats {
            work()?;
        }
        let taken = start.elapsed().as_secs_f64();
        if taken < WINDOW && windows == 0 {
            repeats *= 2;
            continue;
        }
        best = best.min(taken / f64::from(repeats));
        windows += 1;
    }
    Ok(best)
}

/// Rounds of independent fused multiply-adds.
struct Peak {
    rounds: usize,
}

/// Sums that wait for each other nowhere: more than latency times instructions a cycle, few enough
/// for 16 registers.
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
        Ok::<(), std::convert::Infallible>(())
    });
    let Ok(taken) = taken;
    (2 * rounds * SUMS * arch::dispatch(Width)) as f64 / taken / 1e9
}

/// Bytes that measuring needs, at most, beside the data: of the optimisers one at a time.
pub fn memory(model: &Model, threads: usize) -> u64 {
    let network = &model.network;
    let batch = NonZeroUsize::new(BATCH).map_or(Batch::Full, Batch::Size);
    let optimizers = optimizers::named().filter(|entry| entry.benched);
    let largest = optimizers.filter_map(|entry| {
        let choice: Choice = entry.name.parse().ok()?;
        let optimizer = choice.resolve(network, batch).ok()?;
        let settings = optimizer.settings();
        let pairs = settings.two_loops(network).into_iter();
        let pairs = pairs.map(|t| (t.pairs as u64 + 2).saturating_mul(t.length as u64));
        let pairs = pairs.max().unwrap_or(0);
        Some((settings.memory_len(network) as u64).saturating_add(pairs))
    });
    // Each pass of each layer has a workspace of its own, one at a time; vectors as long as the
    // parameters are these, their copy, and gradients.
    let floats = [
        engine::floats(network, threads),
        network.workspace_len(LANES) as u64,
        largest.max().unwrap_or(0),
        8 * network.parameter_count() as u64,
    ];
    let floats = floats.into_iter().fold(0, u64::saturating_add);
    floats.saturating_mul(4)
}

/// Measures a network on the first [`SAMPLES`] training samples of `dataset`, which belongs to it.
///
/// # Errors
/// What an optimiser says when it cannot be started.
pub fn run(
    model: &Model,
    dataset: &Dataset,
    threads: usize,
) -> Result<Report, Box<dyn std::error::Error>> {
    let bench = Bench::new(model, dataset);
    let peak = peak_gflops();
    let gflops = bench.useful_operations() / seconds(bench.block())? / 1e9;
    let layers = bench.layers(peak)?;
    let mut step = Vec::new();
    let mut epoch_seconds = BTreeMap::new();
    for entry in optimizers::named().filter(|entry| entry.benched) {
        let optimizer = bench.optimizer(entry.name)?;
        step.push(bench.step(&optimizer, threads)?);
    }
    let adam = bench.optimizer("adam")?;
    for threads in 1..=threads {
        let step = bench.step(&adam, threads)?.seconds;
        epoch_seconds.insert(threads, step * EPOCH / BATCH as f64);
    }
    Ok(Report {
        model: model.name.clone(),
        isa: Isa::current().name(),
        peak_gflops_per_thread: peak,
        gflops,
        share_of_peak: gflops / peak,
        layers,
        step,
        epoch_seconds,
    })
}

/// A network, its initial parameters and something to compute on.
struct Bench {
    network: Net,
    samples: Arc<Part>,
    scalings: Vec<Affine>,
    parameters: Vec<f32>,
    indices: Vec<u32>,
}

impl Bench {
    fn new(model: &Model, dataset: &Dataset) -> Bench {
        let count = dataset.train.len() as u32;
        let network = model.network;
        let mut parameters = vec![0.0; network.parameter_count()];
        network.initialise(Init::He, &mut Random::new(0, 0), &mut parameters);
        // A set smaller than a batch takes part several times.
        let mut indices: Vec<u32> = (0..SAMPLES as u32).map(|i| i % count).collect();
        Random::new(0, 1).shuffle(&mut indices);
        indices.truncate(BATCH);
        Bench {
            network,
            samples: Arc::clone(&dataset.train),
            scalings: dataset.scalings.clone(),
            parameters,
            indices,
        }
    }

    /// The optimiser with its default settings.
    fn optimizer(&self, name: &str) -> Result<Optimizer, String> {
        let batch = NonZeroUsize::new(BATCH).map_or(Batch::Full, Batch::Size);
        let choice: Choice = name.parse()?;
        let optimizer = choice.resolve(&self.network, batch);
        optimizer.map_err(|refusal| refusal.describe(str::to_owned))
    }

    /// One block of lanes.
    fn batch(&self) -> secant::Batch<'_> {
        secant::Batch::new(self.samples.samples(&self.scalings), &self.indices[..LANES])
            .weight(1.0 / BATCH as f32)
            .dropout(DROPOUT)
    }

    /// Two operations for each multiply-accumulate of a block's passes that a result needs.
    fn useful_operations(&self) -> f64 {
        let stages = self.network.stages();
        let macs: usize = stages
            .map(|stage| stage.passes * stage.multiply_accumulates)
            .sum();
        (2 * LANES * macs) as f64
    }

    /// The gradient of one block on one thread.
    fn block(&self) -> impl FnMut() -> Result<(), PassError> + '_ {
        let mut gradient = vec![0.0; self.parameters.len()];
        let mut workspace = Workspace::new(self.network.workspace_len(LANES));
        move || {
            self.network
                .gradient::<LANES>(
                    &self.parameters,
                    self.batch(),
                    &mut gradient,
                    workspace.floats(),
                )
                .map(|tally| {
                    black_box(tally);
                })
        }
    }

    /// Speed of each pass of each layer that multiplies.
    fn layers(&self, peak: f64) -> Result<Vec<LayerReport>, PassError> {
        let (network, batch) = (&self.network, self.batch());
        let mut gradient = vec![0.0; self.parameters.len()];
        let mut workspace = Workspace::new(network.workspace_len(LANES));
        let workspace = workspace.floats();
        let mut reports = Vec::new();
        for (s, stage) in network.stages().enumerate() {
            let operations = (2 * stage.multiply_accumulates * LANES) as f64;
            if operations == 0.0 {
                continue;
            }
            let mut time = |pass| {
                // All passes first, so that the workspace holds what this one would find.
                gradient.fill(0.0);
                network.accumulate_gradient::<LANES>(
                    &self.parameters,
                    batch,
                    &mut gradient,
                    workspace,
                )?;
                seconds(|| {
                    network.run_stage::<LANES>(
                        s,
                        pass,
                        &self.parameters,
                        batch,
                        &mut gradient,
                        workspace,
                    )
                })
            };
            let forward = time(StagePass::Forward)?;
            let weights = time(StagePass::WeightGradient)?;
            let mut times = vec![("forward", forward), ("weight_gradient", weights)];
            if stage.passes > 2 {
                times.push(("input_gradient", time(StagePass::InputGradient)?));
            }
            let first = stage.layers.start;
            let name = format!("{} {}", first + 1, network.layers()[first].name());
            for (pass, taken) in times {
                let gflops = operations / taken / 1e9;
                reports.push(LayerReport {
                    name: name.clone(),
                    pass,
                    gflops,
                    share_of_peak: gflops / peak,
                });
            }
        }
        Ok(reports)
    }

    /// Time of a step of `optimizer` on one batch: the fastest of each kind of step, weighted by
    /// how often it occurs.
    fn step(
        &self,
        optimizer: &Optimizer,
        threads: usize,
    ) -> Result<StepReport, Box<dyn std::error::Error>> {
        /// Steps that fill the history.
        const WARM_UP: u32 = 40;
        /// Steps that contain the rare ones several times, and time after which more make the
        /// fastest more certain.
        const FEWEST: u32 = 80;
        const LONG_ENOUGH: f64 = 0.4;
        /// Time after which fewer must do.
        const TOO_LONG: f64 = 8.0;
        let mut parameters = self.parameters.clone();
        let n = parameters.len();
        let settings = optimizer.settings();
        let mut memory = vec![0.0; settings.memory_len(&self.network)];
        let mut stepper = settings.start(&self.network, false, &mut memory)?;
        let mut engine = Engine::new(
            self.network,
            Arc::clone(&self.samples),
            self.scalings.clone(),
            Vec::new(),
            threads,
        );
        let mut kinds = BTreeMap::new();
        let (mut steps, begin) = (0, Instant::now());
        loop {
            let so_far = begin.elapsed().as_secs_f64();
            let enough = steps >= WARM_UP + FEWEST && so_far > LONG_ENOUGH;
            if enough || steps > WARM_UP && so_far > TOO_LONG {
                break;
            }
            let mut loss = BatchLoss::new(&mut engine, &self.indices, DROPOUT, n);
            let start = Instant::now();
            // The schedule's end is never reached: the rate stays.
            stepper.step(&mut loss, (steps, u32::MAX), &mut parameters)?;
            let seconds = start.elapsed().as_secs_f64();
            steps += 1;
            if steps <= WARM_UP {
                continue;
            }
            let kind = kinds.entry(loss.evaluations()).or_insert(Kind {
                count: 0,
                seconds: f64::INFINITY,
                gradient_seconds: 0.0,
            });
            kind.count += 1;
            if seconds < kind.seconds {
                kind.seconds = seconds;
                kind.gradient_seconds = loss.gradient_time().as_secs_f64();
            }
        }
        let mean = |value: &dyn Fn(u64, &Kind) -> f64| {
            let each = kinds.iter();
            let sum: f64 = each
                .map(|((evaluations, _), kind)| f64::from(kind.count) * value(*evaluations, kind))
                .sum();
            sum / f64::from(steps - WARM_UP)
        };
        let seconds = mean(&|_, kind| kind.seconds);
        Ok(StepReport {
            optimizer: optimizer.name(),
            seconds,
            evaluations: mean(&|evaluations, _| evaluations as f64),
            gradient_share: mean(&|_, kind| kind.gradient_seconds) / seconds,
            two_loop_share: two_loop_seconds(&settings.two_loops(&self.network)) / seconds,
            plain_seconds: kinds.get(&(1, false)).map(|kind| kind.seconds),
        })
    }
}

/// Seconds that these recursions take. All rows of a layer share its pairs, as in the layer-wise
/// method.
fn two_loop_seconds(work: &[TwoLoops]) -> f64 {
    let mut total = 0.0;
    for TwoLoops {
        count,
        pairs,
        length,
    } in work
    {
        let mut draw = Random::new(0, 2);
        let mut vector = || -> Vec<f32> { (0..*length).map(|_| draw.uniform() - 0.5).collect() };
        let vectors: Vec<Vec<f32>> = (0..*pairs).map(|_| vector()).collect();
        let history: Vec<Pair<'_, f32>> = vectors.iter().map(|v| Pair::eigen(v, 1.0)).collect();
        let (mut q, mut coefficients) = (vector(), vec![0.0; *pairs]);
        let taken = seconds(|| {
            for _ in 0..*count {
                two_loop(&history, Initial::Scalar(1.0), &mut q, &mut coefficients);
            }
            black_box(&mut q);
            Ok::<(), std::convert::Infallible>(())
        });
        let Ok(taken) = taken;
        total += taken;
    }
    total
}

/// The random choice of dropout layers.
const DROPOUT: Option<DropoutKey> = Some(DropoutKey { seed: 0, step: 0 });
