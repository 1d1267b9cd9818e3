//! How much of a block's gradient each of several threads computes when they share it: the longest
//! chain of work on 8, 16 and 32 threads, timed on one.
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

use std::process::ExitCode;
use std::time::{Duration, Instant};

use secant::arch::Isa;
use secant::network::presets::{LENET, MICRO, SEED};
use secant::network::{Convolution, Init, Network};
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
    for count in [2, 4, 8] {
        network("micro winograd", &MICRO.with_convolution(winograd), count);
        network("seed winograd", &SEED.with_convolution(winograd), count);
        network("lenet", &LENET, count);
        network("seed", &SEED, count);
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

/// A line of a network and `count` members.
fn network<const N: usize>(name: &str, network: &Network<N>, count: usize) {
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
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let longest = micros(longest.into_iter().max().unwrap_or_default());
    println!(
        "{name:<17}{count:>9}{:>9.1}{longest:>10.1}{:>10}{:>10.2}",
        micros(alone),
        CHUNKS * count,
        CHUNKS as f64 * micros(alone) / longest
    );
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
