//! How much of a step each of several threads does when they share it: the longest chain of work on
//! 8, 16 and 32 threads, timed on one.
//!
//! ```text
//! cargo bench -p secant-tests --bench shares
//! ```
//!
//! The members of a team work in turn on this one thread, each in its own memory, and read from the
//! others what those had in the turn before: the same copies as on several threads, without waiting,
//! but from a nearer cache. Every time is the fastest of many. The first table is of 16 images, one
//! chunk; "speed-up" is of a gradient of 64, four chunks, on four such teams, over one thread:
//! `4 whole / longest share`.
//!
//! The second table is what comes after the shares: the sum of the four chunks' gradients, and the
//! parts of an optimiser's step, each of which is taken by the thread that is free first. The last
//! columns are the speed-up of all together. Refreshes of the layer-wise method are not in it: one
//! thread does them.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use secant::arch::Isa;
use secant::network::presets::{LENET, MICRO, SEED};
use secant::network::{Convolution, Init, Network};
use secant::optim::{Adam, AdamConfig, LayerLbfgs, LayerLbfgsConfig};
use secant::{Batch, Normalisation, Random, Samples, Share, SharedMap};
use secant_harness::cli::choose_isa;
use secant_harness::workspace::Workspace;

/// Samples side by side, and images of a chunk.
const LANES: usize = 16;

/// Chunks of a batch of 64.
const CHUNKS: usize = 4;

/// Turns, and calls of each member in a turn, of which the first finds other members' maps in the
/// cache.
const TURNS: usize = 200;
const CALLS: usize = 3;

fn main() -> ExitCode {
    // `cargo test --all-targets` passes no flag, and must not wait for timings.
    if !std::env::args().any(|word| word == "--bench") {
        return ExitCode::SUCCESS;
    }
    if let Err(error) = choose_isa() {
        eprintln!("shares: {error}");
        return ExitCode::from(error.exit_code());
    }
    println!(
        "microseconds of {LANES} images on {}\n",
        Isa::current().name()
    );
    println!(
        "{:<17}{:>9}{:>9}{:>10}{:>10}{:>10}",
        "network", "members", "whole", "longest", "threads", "speed-up"
    );
    let winograd = Convolution::Winograd;
    let mut lines = Vec::new();
    for count in [2, 4, 8] {
        lines.extend([
            network("micro winograd", &MICRO.with_convolution(winograd), count),
            network("seed winograd", &SEED.with_convolution(winograd), count),
            network("lenet", &LENET, count),
            network("seed", &SEED, count),
        ]);
    }
    println!(
        "\n{:<17}{:>8}{:>14}{:>16}{:>18}{:>8}{:>9}",
        "network", "threads", "sum", "adam", "lbfgs", "adam", "lbfgs"
    );
    for line in lines {
        println!("{line}");
    }
    ExitCode::SUCCESS
}

/// The shortest time of `work` in several calls.
fn fastest(mut work: impl FnMut()) -> Duration {
    let call = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..CALLS).map(call).min().unwrap_or_default()
}

/// A piece of work on one thread, and the longest chain of it on several, in microseconds.
#[derive(Clone, Copy)]
struct Chain {
    whole: f64,
    longest: f64,
}

impl std::ops::Add for Chain {
    type Output = Chain;

    fn add(self, other: Chain) -> Chain {
        Chain {
            whole: self.whole + other.whole,
            longest: self.longest + other.longest,
        }
    }
}

impl std::fmt::Display for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{:.1} to {:.1}", self.whole, self.longest))
    }
}

impl Chain {
    /// Of parts, each of which goes to the thread that is free first.
    fn of(parts: &[Duration], whole: Duration, threads: usize) -> Chain {
        let mut busy = vec![Duration::ZERO; threads];
        for part in parts {
            if let Some(first) = busy.iter_mut().min() {
                *first += *part;
            }
        }
        Chain {
            whole: micros(whole),
            longest: micros(busy.into_iter().max().unwrap_or_default()),
        }
    }

    /// The sum of the chunks' gradients, `n` numbers each, in a piece for each thread.
    fn sum(n: usize, threads: usize) -> Chain {
        let chunks = vec![vec![1.0f32; n]; CHUNKS];
        let mut target = vec![0.0; n];
        let mut time = |count: usize| {
            (0..TURNS)
                .map(|_| {
                    fastest(|| {
                        target[..count].copy_from_slice(&chunks[0][..count]);
                        for chunk in &chunks[1..] {
                            for (sum, g) in target[..count].iter_mut().zip(chunk) {
                                *sum += g;
                            }
                        }
                        std::hint::black_box(&mut target);
                    })
                })
                .min()
                .unwrap_or_default()
        };
        Chain {
            whole: micros(time(n)),
            longest: micros(time(n.div_ceil(threads))),
        }
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// The fastest of each part of a step.
#[derive(Default)]
struct Parts {
    times: Vec<Duration>,
    next: usize,
}

impl Parts {
    fn time(&mut self, work: impl FnOnce()) {
        let begin = Instant::now();
        work();
        let time = begin.elapsed();
        if self.times.len() == self.next {
            self.times.push(time);
        }
        self.times[self.next] = self.times[self.next].min(time);
        self.next += 1;
    }

    /// The chain of `step`, which times the parts of one step, cut into such lengths.
    fn chain(threads: usize, len: usize, mut step: impl FnMut(usize, &mut Parts)) -> Chain {
        let [mut parts, mut whole] = [(); 2].map(|()| Parts::default());
        for _ in 0..TURNS {
            (parts.next, whole.next) = (0, 0);
            step(len, &mut parts);
            step(usize::MAX, &mut whole);
        }
        Chain::of(&parts.times, whole.times.iter().sum(), threads)
    }
}

/// Lines of a network and `count` members: prints that of the gradient, and returns the other.
fn network<const N: usize>(name: &str, network: &Network<N>, count: usize) -> String {
    let mut random = Random::new(7, 0);
    let mut pixels = vec![0; LANES * network.input().len()];
    pixels.fill_with(|| random.below(256).saturating_sub(random.below(512)) as u8);
    let labels: Vec<u8> = (0..LANES).map(|i| (i % 10) as u8).collect();
    let indices: Vec<u32> = (0..LANES as u32).collect();
    let samples = Samples::bytes(&pixels, &labels, Normalisation::standard(127.5, 76.5));
    let batch = Batch::new(samples, &indices);
    let mut parameters = vec![0.0; network.parameter_count()];
    network.initialise(Init::PyTorch, &mut random, &mut parameters);
    let mut whole = vec![0.0; parameters.len()];
    let mut parts = vec![vec![0.0; parameters.len()]; count];
    let workspace = |_| Workspace::new(network.shared_workspace_len(LANES, count));
    let mut workspaces: Vec<Workspace> = (0..count).map(workspace).collect();
    let mut exchange = Exchange::default();
    let (mut alone, mut longest) = (Duration::MAX, vec![Duration::MAX; count]);
    for _ in 0..TURNS {
        let workspace = workspaces[0].floats();
        alone = alone.min(fastest(|| {
            let done = network.gradient::<LANES>(&parameters, batch, &mut whole, workspace);
            done.expect("the images belong to the network");
        }));
        let members = workspaces.iter_mut().zip(&mut parts).zip(&mut longest);
        for (index, ((workspace, part), longest)) in members.enumerate() {
            *longest = (*longest).min(fastest(|| {
                exchange.number = 0;
                let mut exchange = |maps: &mut [SharedMap<'_>]| exchange.make(index, count, maps);
                let share = Share::new(index, count, &mut exchange);
                let workspace = workspace.floats();
                let done = network.shared_gradient::<LANES>(
                    &parameters,
                    batch,
                    part,
                    workspace,
                    share,
                    None,
                );
                done.expect("the images belong to the network");
            }));
        }
    }
    // What is timed is the gradient.
    network.gradient_shares::<LANES>(count, |member, range| {
        assert!(parts[member][range.clone()] == whole[range]);
    });
    let threads = CHUNKS * count;
    let gradient = Chain {
        whole: CHUNKS as f64 * micros(alone),
        longest: micros(longest.into_iter().max().unwrap_or_default()),
    };
    println!(
        "{name:<17}{count:>9}{:>9.1}{:>10.1}{threads:>10}{:>10.2}",
        micros(alone),
        gradient.longest,
        gradient.whole / gradient.longest
    );
    // As an engine cuts them.
    let n = parameters.len();
    let len = |least: usize| n.div_ceil(2 * threads).max(least);
    let sum = Chain::sum(n, threads);
    let mut memory = vec![0.0; Adam::memory_len(n)];
    let mut adam = Adam::new(AdamConfig::DEFAULT, n, &mut memory).expect("it is long enough");
    let mut moved = parameters.clone();
    let adam = Parts::chain(threads, len(8 * 1024), |len, watch| {
        let parts = adam.parts(1.0, &mut moved, &whole, len);
        for part in parts.expect("lengths are equal") {
            watch.time(|| part.apply());
        }
    });
    let config = LayerLbfgsConfig::DEFAULT;
    let needed = LayerLbfgs::<8>::memory_len(network, config.second_moment);
    let mut memory = vec![0.0; needed];
    let mut lbfgs = LayerLbfgs::<8>::new(config, network, &mut memory).expect("it is long enough");
    let mut workspace = vec![0.0; LayerLbfgs::<8>::workspace_len(network, LANES)];
    let observed = network.accumulate_gradient_observed::<LANES>(
        &parameters,
        batch,
        &mut whole,
        &mut workspace,
        &mut |inputs, scratch| {
            let _ = lbfgs.observe(&inputs, scratch);
        },
    );
    observed.expect("the images belong to the network");
    let mut moved = parameters.clone();
    let mut direction = whole.clone();
    let lbfgs = Parts::chain(threads, len(4 * 1024), |len, watch| {
        direction.copy_from_slice(&whole);
        let parts = lbfgs.parts(1.0, &mut moved, &mut direction, len);
        for part in parts.expect("lengths are equal").1 {
            watch.time(|| part.apply());
        }
    });
    let speed_up = |step: Chain| {
        let all = gradient + sum + step;
        all.whole / all.longest
    };
    format!(
        "{name:<17}{threads:>8}{sum:>14}{adam:>16}{lbfgs:>18}{:>8.1}{:>9.1}",
        speed_up(adam),
        speed_up(lbfgs)
    )
}

/// What each member had in each exchange.
#[derive(Default)]
struct Exchange {
    number: usize,
    gifts: Vec<Vec<Vec<f32>>>,
}

impl Exchange {
    fn make(&mut self, index: usize, count: usize, maps: &mut [SharedMap<'_>]) {
        if self.gifts.len() == self.number {
            self.gifts.push(vec![Vec::new(); count]);
        }
        let gifts = &mut self.gifts[self.number];
        self.number += 1;
        gifts[index].clear();
        for map in maps.iter() {
            for range in map.parts.of(index) {
                gifts[index].extend_from_slice(&map.values[range]);
            }
        }
        for (other, gift) in gifts
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index)
        {
            let mut rest = &gift[..];
            for map in maps.iter_mut() {
                for range in map.parts.of(other) {
                    // Nothing in the first turn.
                    let (part, behind) = rest.split_at(range.len().min(rest.len()));
                    map.values[range][..part.len()].copy_from_slice(part);
                    rest = behind;
                }
            }
        }
    }
}
