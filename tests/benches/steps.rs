//! A step of the layer-wise L-BFGS against one of Adam, on one thread: the gradient of 64 images,
//! what each optimiser does beside it, and a refresh of the pairs, all timed in turn in one
//! program, so that the ratios hold on a busy machine too.
//!
//! ```text
//! cargo bench -p secant-tests --bench steps
//! SECANT_ISA=baseline cargo bench -p secant-tests --bench steps
//! ```
//!
//! A second table has products with curvature matrices of the same images, over their gradient.
//!
//! Every time is the fastest of many. "Over Adam's" is
//! `(gradient + step + refresh / 20) / (gradient + Adam's step)`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use secant::arch::Isa;
use secant::network::presets::{LENET, MICRO, SEED};
use secant::network::{Convolution, Init, Network};
use secant::optim::{Adam, AdamConfig, LayerLbfgs, LayerLbfgsConfig, SecondMoment};
use secant::{Batch, Curvature, Normalisation, Random, Samples};
use secant_harness::cli::choose_isa;
use secant_harness::workspace::Workspace;

/// Samples side by side.
const LANES: usize = 16;

/// Images of a step.
const BATCH: usize = 64;

/// Pairs of a layer.
const PAIRS: usize = 8;

/// Turns of a network, at least, and how long they go on.
const TURNS: usize = 40;
const LONG_ENOUGH: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    // `cargo test --all-targets` passes no flag, and must not wait for timings.
    if !std::env::args().any(|word| word == "--bench") {
        return ExitCode::SUCCESS;
    }
    if let Err(error) = choose_isa() {
        eprintln!("steps: {error}");
        return ExitCode::from(error.exit_code());
    }
    println!(
        "microseconds on {}, batches of {BATCH}, m = {PAIRS}\n",
        Isa::current().name()
    );
    println!(
        "{:<8}{:<10}{:>10}{:>8}{:>9}{:>10}{:>14}",
        "network", "moments", "gradient", "adam", "step", "refresh", "over Adam's"
    );
    network("micro", &MICRO);
    network("lenet", &LENET);
    network("seed", &SEED);
    println!(
        "\n{:<17}{:>10}{:>10}{:>8}{:>14}{:>8}",
        "network", "gradient", "Hessian", "over", "Gauss-Newton", "over"
    );
    let winograd = Convolution::Winograd;
    products("micro", &MICRO);
    products("micro winograd", &MICRO.with_convolution(winograd));
    products("lenet", &LENET);
    products("seed", &SEED);
    products("seed winograd", &SEED.with_convolution(winograd));
    ExitCode::SUCCESS
}

/// The shortest time of a piece of work.
struct Fastest(Duration);

impl Fastest {
    const fn new() -> Fastest {
        Fastest(Duration::MAX)
    }

    fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.0 = self.0.min(start.elapsed());
        result
    }

    fn micros(&self) -> f64 {
        self.0.as_secs_f64() * 1e6
    }
}

/// A line for products with curvature matrices.
fn products<const N: usize>(name: &str, network: &Network<N>) {
    let mut random = Random::new(7, 0);
    let mut pixels = vec![0; BATCH * network.input().len()];
    pixels.fill_with(|| random.below(256).saturating_sub(random.below(512)) as u8);
    let labels: Vec<u8> = (0..BATCH).map(|i| (i % 10) as u8).collect();
    let indices: Vec<u32> = (0..BATCH as u32).collect();
    let samples = Samples::bytes(&pixels, &labels, Normalisation::standard(127.5, 76.5));
    let batch = Batch::new(samples, &indices);
    let n = network.parameter_count();
    let (mut parameters, mut vector, mut result) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    network.initialise(Init::PyTorch, &mut random, &mut parameters);
    network.initialise(Init::PyTorch, &mut random, &mut vector);
    // Each in its own memory, as an engine has it.
    let mut workspace = Workspace::new(network.workspace_len(LANES));
    let mut longer = Workspace::new(network.curvature_workspace_len(LANES));
    let mut times = [(); 3].map(|()| Fastest::new());
    let [gradients, hessians, gauss_newtons] = &mut times;
    let begin = Instant::now();
    for turn in 0.. {
        if turn > TURNS && begin.elapsed() > LONG_ENOUGH {
            break;
        }
        let (w, v, result) = (&parameters, &vector, &mut result);
        let workspace = workspace.floats();
        gradients
            .time(|| network.accumulate_gradient::<LANES>(w, batch, result, workspace))
            .expect("the images belong to the network");
        for (times, curvature) in [
            (&mut *hessians, Curvature::Hessian),
            (&mut *gauss_newtons, Curvature::GaussNewton),
        ] {
            let workspace = longer.floats();
            times
                .time(|| {
                    network.curvature_product::<LANES>(curvature, w, v, batch, result, workspace)
                })
                .expect("the images belong to the network");
        }
        result.fill(0.0);
    }
    let [gradient, hessian, gauss_newton] = times.map(|fastest| fastest.micros());
    println!(
        "{name:<17}{gradient:>10.1}{hessian:>10.1}{:>8.2}{gauss_newton:>14.1}{:>8.2}",
        hessian / gradient,
        gauss_newton / gradient
    );
}

/// A line for each form of second moments.
fn network<const N: usize>(name: &str, network: &Network<N>) {
    let mut random = Random::new(7, 0);
    let mut pixels = vec![0; BATCH * network.input().len()];
    // Half of them dark, as images are, so that inputs differ in size.
    pixels.fill_with(|| random.below(256).saturating_sub(random.below(512)) as u8);
    let labels: Vec<u8> = (0..BATCH).map(|i| (i % 10) as u8).collect();
    let indices: Vec<u32> = (0..BATCH as u32).collect();
    let samples = Samples::bytes(&pixels, &labels, Normalisation::standard(127.5, 76.5));
    let batch = |indices| Batch::new(samples, indices).weight(1.0 / BATCH as f32);
    let n = network.parameter_count();
    let mut start = vec![0.0; n];
    network.initialise(Init::PyTorch, &mut random, &mut start);
    let mut workspace = vec![0.0; LayerLbfgs::<PAIRS>::workspace_len(network, LANES)];
    let mut gradient = vec![0.0; n];
    let mut memory = vec![0.0; Adam::memory_len(n)];
    let nesterov = AdamConfig {
        nesterov: true,
        ..AdamConfig::DEFAULT
    };
    let mut adam = Adam::new(nesterov, n, &mut memory).expect("the settings are in range");
    let mut weights = start.clone();
    for second_moment in SecondMoment::ALL {
        let config = LayerLbfgsConfig {
            second_moment,
            ..LayerLbfgsConfig::DEFAULT
        };
        let mut memory = vec![0.0; LayerLbfgs::<PAIRS>::memory_len(network, config.second_moment)];
        let mut lbfgs = LayerLbfgs::<PAIRS>::new(config, network, &mut memory)
            .expect("the settings are in range");
        let mut moved = start.clone();
        let [mut gradients, mut adams, mut steps, mut refreshes] = [(); 4].map(|()| Fastest::new());
        let begin = Instant::now();
        for turn in 0.. {
            if turn > TURNS && begin.elapsed() > LONG_ENOUGH {
                break;
            }
            let mut refresh = Duration::ZERO;
            gradient.fill(0.0);
            network
                .accumulate_gradient_observed::<LANES>(
                    &start,
                    batch(&indices[..LANES]),
                    &mut gradient,
                    &mut workspace,
                    &mut |inputs, scratch| {
                        let begin = Instant::now();
                        let _ = lbfgs.observe(&inputs, scratch);
                        refresh += begin.elapsed();
                    },
                )
                .expect("the images belong to the network");
            refreshes.0 = refreshes.0.min(refresh);
            gradient.fill(0.0);
            gradients
                .time(|| {
                    network.accumulate_gradient::<LANES>(
                        &start,
                        batch(&indices),
                        &mut gradient,
                        &mut workspace,
                    )
                })
                .expect("the images belong to the network");
            adams
                .time(|| adam.step(1.0, &mut weights, &gradient))
                .expect("the lengths are right");
            let _ = steps
                .time(|| lbfgs.step(1.0, &mut moved, &mut gradient))
                .expect("the lengths are right");
        }
        let [gradient, adam, step, refresh] =
            [gradients, adams, steps, refreshes].map(|fastest| fastest.micros());
        let ratio =
            (gradient + step + refresh / f64::from(config.refresh_every)) / (gradient + adam);
        println!(
            "{name:<8}{:<10}{gradient:>10.1}{adam:>8.1}{step:>9.1}{refresh:>10.1}{ratio:>14.4}",
            second_moment.name()
        );
    }
}
