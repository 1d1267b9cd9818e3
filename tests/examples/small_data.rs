//! Full batches of few images: L-BFGS and Newton-CG against Adam at its best, in passes over the
//! images.
//!
//! ```text
//! cargo run --release -p secant-tests --example small_data
//! ```
//!
//! 1. `micro` is trained on 54,000 images. Then its last layer alone, which is a convex problem, is
//!    fine-tuned on images that it has not seen, with an L2 penalty, until the gradient's norm is
//!    1e-4. Validation: 2,000 other unseen images.
//! 2. The whole of `micro` is trained from its initial weights on 1,000 images, full batches all
//!    the time.
//!
//! A gradient is a pass, a product with the Hessian is a pass; a line search's evaluations count in
//! full. Adam's best is the fewest passes over a grid of settings (24 on the head, 8 on the whole
//! network), chosen for each row afterwards: generous to Adam.

use std::error::Error;

use clap::Parser;
use secant::network::{Init, Network};
use secant::objective::{HessianProduct, Objective};
use secant::optim::{Adam, AdamConfig, Lbfgs, LbfgsConfig, NewtonCg, NewtonCgConfig, Stopping};
use secant::{Batch, Random, Samples};
use secant_harness::cli::{Cli, Command};
use secant_harness::data::dataset::Dataset;
use secant_harness::data::elements::Targets;
use secant_harness::data::open::{self, Location, STANDARD_FOLDERS};
use secant_harness::data::predict::Predict;
use secant_harness::data::split::Split;
use secant_harness::model::MAX_LAYERS;
use secant_harness::train::train;
use secant_tests::softmax_regression::SoftmaxRegression;

/// The gradient's norm that ends a run.
const NORM: f64 = 1e-4;
/// Passes after which a run on the head is given up.
const HEAD_PASSES: u32 = 2000;
/// Passes on the whole network.
const NETWORK_PASSES: u32 = 400;
/// Images to validate with.
const VALIDATION: usize = 2000;
const LANES: usize = 16;

/// A problem, and what happened on the way.
struct Watched<P, A> {
    problem: P,
    passes: fn(&P) -> u32,
    accuracy: A,
    /// Pass, norm and, now and then, validation accuracy of each evaluation.
    trace: Vec<(u32, f64, Option<f64>)>,
}

impl<P, A: Fn(&[f64]) -> f64> Watched<P, A> {
    fn note(&mut self, x: &[f64], gradient: &[f64]) {
        let norm = secant::vector::norm2(gradient);
        let pass = (self.passes)(&self.problem);
        // Off the books, but it takes time.
        let judged = pass <= 20 || pass.is_multiple_of(10);
        let accuracy = judged.then(|| (self.accuracy)(x));
        self.trace.push((pass, norm, accuracy));
    }

    /// Passes until the norm; none when it was not reached.
    fn converged(&self) -> Option<u32> {
        self.trace.iter().find(|e| e.1 <= NORM).map(|e| e.0)
    }

    /// The best validation accuracy, and the passes until it.
    fn best(&self) -> (f64, u32) {
        let first = (f64::NEG_INFINITY, 0);
        let judged = self.trace.iter().filter_map(|e| Some((e.2?, e.0)));
        judged.fold(first, |best, at| if at.0 > best.0 { at } else { best })
    }
}

impl<P: Objective<f64>, A: Fn(&[f64]) -> f64> Objective<f64> for Watched<P, A> {
    fn dimension(&self) -> usize {
        self.problem.dimension()
    }
    fn value_and_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let value = self.problem.value_and_gradient(x, gradient);
        self.note(x, gradient);
        value
    }
}

impl<P: HessianProduct<f64>, A: Fn(&[f64]) -> f64> HessianProduct<f64> for Watched<P, A> {
    fn hessian_product(&mut self, x: &[f64], v: &[f64], product: &mut [f64]) {
        self.problem.hessian_product(x, v, product);
    }
}

fn stopping(passes: u32) -> Stopping<f64> {
    Stopping {
        // The trace finds the pass; a tenth of the norm is surely past it.
        gradient_tolerance: NORM / 100.0,
        max_iterations: passes,
        max_evaluations: passes,
        ..Stopping::default()
    }
}

fn lbfgs<const M: usize>(problem: &mut impl Objective<f64>, start: &[f64], passes: u32) {
    let n = start.len();
    let config = LbfgsConfig {
        stopping: stopping(passes),
        ..LbfgsConfig::default()
    };
    let mut memory = vec![0.0; Lbfgs::<M, f64>::memory_len(n)];
    let mut x = start.to_vec();
    let ran = Lbfgs::<M, f64>::new(config, n, &mut memory)
        .and_then(|mut lbfgs| lbfgs.minimize(problem, &mut x));
    if let Err(error) = ran {
        println!("L-BFGS: {error}");
    }
}

fn newton_cg<P: HessianProduct<f64>, A: Fn(&[f64]) -> f64>(
    problem: &mut Watched<P, A>,
    start: &[f64],
    passes: u32,
) {
    let n = start.len();
    let config = NewtonCgConfig {
        max_products: 50,
        stopping: stopping(passes),
        ..NewtonCgConfig::default()
    };
    let mut memory = vec![0.0; NewtonCg::<f64>::memory_len(n)];
    let mut x = start.to_vec();
    let ran = NewtonCg::new(config, n, &mut memory).and_then(|mut newton| {
        loop {
            let step = newton.step(problem, &mut x)?;
            // Products with the matrix are passes, which no rule of the optimiser counts.
            if step.termination.is_some() || (problem.passes)(&problem.problem) >= passes {
                return Ok(());
            }
        }
    });
    if let Err(error) = ran {
        println!("Newton-CG: {error}");
    }
}

/// Full-batch Adam at a constant rate.
fn adam(
    problem: &mut impl Objective<f64>,
    start: &[f64],
    passes: u32,
    (learning_rate, beta2): (f32, f32),
) -> Result<(), secant::ConfigError> {
    let n = start.len();
    let config = AdamConfig {
        learning_rate,
        beta2,
        ..AdamConfig::DEFAULT
    };
    let narrow = |x: &[f64]| -> Vec<f32> { x.iter().map(|x| *x as f32).collect() };
    let (mut w, mut memory) = (narrow(start), vec![0.0; Adam::memory_len(n)]);
    let mut adam = Adam::new(config, n, &mut memory)?;
    let (mut wide, mut gradient) = (start.to_vec(), vec![0.0; n]);
    for _ in 0..passes {
        problem.value_and_gradient(&wide, &mut gradient);
        let norm = secant::vector::norm2(&gradient);
        if norm <= NORM || !norm.is_finite() {
            break;
        }
        adam.step(1.0, &mut w, &narrow(&gradient))?;
        wide = w.iter().map(|w| f64::from(*w)).collect();
    }
    Ok(())
}

/// Adam's settings on the head: rates and decays, the likeliest first.
const HEAD_GRID: (&[f32], &[f32]) = (
    &[0.12, 0.25, 0.06, 0.5, 0.03, 0.016, 0.008, 1.0],
    &[0.99, 0.9, 0.999],
);
/// Adam's settings on the whole network.
const NETWORK_GRID: (&[f32], &[f32]) = (&[0.004, 0.008, 0.016, 0.002], &[0.99, 0.999]);

/// One line of a table.
fn line<P, A: Fn(&[f64]) -> f64>(name: &str, watched: &Watched<P, A>, adam: Option<u32>) {
    let (best, at) = watched.best();
    let found = watched.converged();
    let ratio = found
        .zip(adam)
        .map(|(own, adam)| f64::from(adam) / f64::from(own));
    println!(
        "  {name:<34}{:>14}{:>9}   {:.2} % after {at}",
        found.map_or("not reached".to_owned(), |passes| passes.to_string()),
        ratio.map_or(String::new(), |ratio| format!("{ratio:.2} x")),
        100.0 * best
    );
}

/// The network's mean loss over some images, as a function of its parameters. Its own passes run in
/// f32.
struct Whole<'a> {
    network: &'a Network<'static, MAX_LAYERS>,
    samples: Samples<'a>,
    indices: &'a [u32],
    penalty: f64,
    workspace: Vec<f32>,
    passes: u32,
}

impl Whole<'_> {
    fn batch(&self) -> Batch<'_> {
        Batch::new(self.samples, self.indices)
    }
}

impl Objective<f64> for Whole<'_> {
    fn dimension(&self) -> usize {
        self.network.parameter_count()
    }

    fn value_and_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        self.passes += 1;
        let w: Vec<f32> = x.iter().map(|x| *x as f32).collect();
        let mut g = vec![0.0; w.len()];
        let mut workspace = std::mem::take(&mut self.workspace);
        let network = self.network;
        let pass = network.accumulate_gradient::<LANES>(&w, self.batch(), &mut g, &mut workspace);
        self.workspace = workspace;
        for ((out, g), x) in gradient.iter_mut().zip(&g).zip(x) {
            *out = f64::from(*g) + self.penalty * x;
        }
        let penalty = 0.5 * self.penalty * x.iter().map(|x| x * x).sum::<f64>();
        pass.map_or(f64::NAN, |tally| tally.mean_loss() + penalty)
    }
}

impl HessianProduct<f64> for Whole<'_> {
    /// A central difference of gradients, two passes: `(g(x + h v) - g(x - h v)) / 2h` with `h
    /// |v| = 1e-3 max(1, |x|)`, as small as gradients in f32 allow.
    fn hessian_product(&mut self, x: &[f64], v: &[f64], product: &mut [f64]) {
        let h = 1e-3 * secant::vector::norm2(x).max(1.0) / secant::vector::norm2(v).max(1e-30);
        let moved =
            |sign: f64| -> Vec<f64> { x.iter().zip(v).map(|(x, v)| x + sign * h * v).collect() };
        let mut below = vec![0.0; x.len()];
        self.value_and_gradient(&moved(1.0), product);
        self.value_and_gradient(&moved(-1.0), &mut below);
        for (product, below) in product.iter_mut().zip(&below) {
            *product = (*product - below) / (2.0 * h);
        }
    }
}

/// Images and labels as the network reads them.
fn samples(dataset: &Dataset) -> Samples<'_> {
    dataset.train.samples(&dataset.scalings)
}

/// What the last layer gets to see of the images.
fn features(
    body: &Network<MAX_LAYERS>,
    parameters: &[f32],
    dataset: &Dataset,
    indices: &[u32],
) -> Result<Vec<f32>, Box<dyn Error>> {
    let mut features = vec![0.0; indices.len() * body.output_len()];
    let mut workspace = vec![0.0; body.workspace_len(LANES)];
    let batch = Batch::new(samples(dataset), indices).weight(1.0);
    body.predict::<LANES>(
        &parameters[..body.parameter_count()],
        batch,
        &mut features,
        &mut workspace,
    )?;
    Ok(features)
}

fn labels(dataset: &Dataset, indices: &[u32]) -> Vec<u8> {
    match &dataset.train.targets {
        Targets::Classes(labels) => indices.iter().map(|i| labels[*i as usize] as u8).collect(),
        Targets::Values { .. } => Vec::new(),
    }
}

/// Runs every optimiser on the problem that `problem` makes.
fn race<P: HessianProduct<f64>, A: Fn(&[f64]) -> f64>(
    passes: u32,
    (rates, decays): (&[f32], &[f32]),
    start: &[f64],
    mut problem: impl FnMut() -> Watched<P, A>,
) -> Result<(), Box<dyn Error>> {
    println!(
        "  {:<34}{:>14}{:>9}   best validation accuracy",
        "", "passes to 1e-4", "fewer"
    );
    let mut best: Option<((f32, f32), Watched<P, A>)> = None;
    let grid = rates.iter().flat_map(|r| decays.iter().map(|d| (*r, *d)));
    for setting in grid {
        // A run that is slower than the best so far need not be finished.
        let most = best
            .as_ref()
            .and_then(|(_, w)| w.converged())
            .unwrap_or(passes);
        let mut watched = problem();
        adam(&mut watched, start, most, setting)?;
        let key = |w: &Watched<P, A>| (w.converged().unwrap_or(u32::MAX), -w.best().0);
        if best
            .as_ref()
            .is_none_or(|(_, other)| key(&watched) < key(other))
        {
            best = Some((setting, watched));
        }
    }
    let ((rate, decay), watched) = best.ok_or("an empty grid")?;
    let adam = watched.converged();
    line(
        &format!("Adam, best: rate {rate}, beta2 {decay}"),
        &watched,
        None,
    );
    let mut run = |name: &str, go: &dyn Fn(&mut Watched<P, A>)| {
        let mut watched = problem();
        go(&mut watched);
        line(name, &watched, adam);
    };
    run("L-BFGS, m 10", &|p| lbfgs::<10>(p, start, passes));
    run("L-BFGS, m 20", &|p| lbfgs::<20>(p, start, passes));
    run("Newton-CG", &|p| newton_cg(p, start, passes));
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let folders = STANDARD_FOLDERS.map(std::path::Path::new);
    let location = open::locate(None, std::env::var_os("SECANT_DATA"), &folders);
    if let Location::Synthetic { .. } = location {
        println!("Fashion-MNIST was not found: on the built-in images, which say little.");
    }
    let dataset = open::load(&location, None, &Predict::Labels)?;
    let words = "secant train --optimizer lbfgs --epochs 2 --validation 0.1";
    let Command::Train(args) = Cli::try_parse_from(words.split(' '))?.command else {
        return Err("'train' is another command".into());
    };
    let config = args.resolve(dataset.task())?;
    let outcome = train(&config, &dataset, &mut ())?;
    let network = config.model.network;
    println!(
        "micro, two epochs: test accuracy {:.2} %\n",
        100.0 * outcome.test.value
    );

    // The images that validated have not been trained on.
    let split = Split::stratified(
        &dataset.train.targets,
        0.1,
        &mut Random::new(config.seed, 0),
    );
    let mut unseen = split.validation;
    Random::new(0, 77).shuffle(&mut unseen);
    let (tuning, validation) = unseen.split_at(unseen.len().saturating_sub(VALIDATION));
    let layers = network.layers();
    let body = Network::<MAX_LAYERS>::try_from_slice(network.input(), &layers[..layers.len() - 1])?;
    let inputs = body.output_len();
    let head = &outcome.parameters[body.parameter_count()..];
    // From "all weights, then all biases" to a row a class with its bias.
    let (weights, biases) = head.split_at(inputs * dataset.names.len());
    let start: Vec<f64> = weights
        .chunks_exact(inputs)
        .zip(biases)
        .flat_map(|(row, bias)| row.iter().chain([bias]).map(|w| f64::from(*w)))
        .collect();
    let unseen_features = features(&body, &outcome.parameters, &dataset, validation)?;
    let unseen_labels = labels(&dataset, validation);
    for count in [200, 1000] {
        let indices = &tuning[..count.min(tuning.len())];
        let own_features = features(&body, &outcome.parameters, &dataset, indices)?;
        let own_labels = labels(&dataset, indices);
        let penalties: &[f64] = if count == 200 {
            &[1e-3]
        } else {
            &[1e-2, 1e-3, 1e-4]
        };
        for &penalty in penalties {
            println!("head, {count} images, L2 penalty {penalty}");
            let make = |features, labels| SoftmaxRegression {
                features,
                labels,
                inputs,
                classes: dataset.names.len(),
                penalty,
                passes: 0,
            };
            let judge = make(&unseen_features, &unseen_labels);
            race(HEAD_PASSES, HEAD_GRID, &start, || Watched {
                problem: make(&own_features, &own_labels),
                passes: |problem| problem.passes,
                accuracy: |w: &[f64]| judge.accuracy(w),
                trace: Vec::new(),
            })?;
        }
    }

    let indices = &split.train[..1000.min(split.train.len())];
    println!("\nthe whole of micro, 1000 images, L2 penalty 1e-3, {NETWORK_PASSES} passes");
    let mut initial = vec![0.0; network.parameter_count()];
    network.initialise(Init::He, &mut Random::new(3, 0), &mut initial);
    let start: Vec<f64> = initial.iter().map(|w| f64::from(*w)).collect();
    let accuracy = |w: &[f64]| {
        let w: Vec<f32> = w.iter().map(|w| *w as f32).collect();
        let batch = Batch::new(samples(&dataset), validation).weight(1.0);
        let mut workspace = vec![0.0; network.workspace_len(LANES)];
        network
            .evaluate::<LANES>(&w, batch, &mut workspace)
            .map_or(0.0, |tally| tally.accuracy())
    };
    race(NETWORK_PASSES, NETWORK_GRID, &start, || Watched {
        problem: Whole {
            network: &network,
            samples: samples(&dataset),
            indices,
            penalty: 1e-3,
            workspace: vec![0.0; network.workspace_len(LANES)],
            passes: 0,
        },
        passes: |problem| problem.passes,
        accuracy,
        trace: Vec::new(),
    })
}
