//! The training loop and products with curvature matrices allocate nothing once they are
//! warm: counted by an allocator, over all threads.
//!
//! One test alone in its file, since the count is the whole process's.

use std::alloc::System;
use std::ops::ControlFlow;
use std::sync::Arc;

use clap::Parser;
use secant::{Affine, Curvature};
use secant_harness::cli::{Cli, Command};
use secant_harness::data::dataset::Dataset;
use secant_harness::data::synthetic;
use secant_harness::engine::Engine;
use secant_harness::model::Model;
use secant_harness::train::{Observer, RunStatus, Trainer};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations so far, growing ones included.
fn allocations() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}

/// Counts the allocations from step to step, those at an epoch's end left out (a record is stored
/// there).
struct Count {
    before: usize,
    epoch: u32,
    found: Vec<(u32, usize)>,
}

impl Observer for Count {
    fn iteration(&mut self, status: &RunStatus) -> ControlFlow<()> {
        let now = allocations();
        // The first epoch warms up.
        if status.epoch > 1 && status.epoch == self.epoch && now != self.before {
            self.found.push((status.iteration, now - self.before));
        }
        self.epoch = status.epoch;
        self.before = allocations();
        ControlFlow::Continue(())
    }
}

/// Products with curvature matrices, the first of each kind left out: it makes workspaces longer.
fn products_allocate_nothing() {
    let (images, _) = synthetic::generate(150, 10, 1);
    let images = Arc::new(images);
    let indices: Vec<u32> = (0..150).collect();
    for threads in [1, 3] {
        let network = "micro".parse::<Model>().expect("it has a name").network;
        let n = network.parameter_count();
        let (parameters, vector, mut product) = (vec![0.1; n], vec![1.0; n], vec![0.0; n]);
        let scalings = vec![Affine::NONE];
        let mut engine = Engine::new(network, Arc::clone(&images), scalings, Vec::new(), threads);
        let mut run = |engine: &mut Engine| {
            for curvature in [Curvature::Hessian, Curvature::GaussNewton] {
                engine.curvature_product(curvature, &parameters, &indices, &vector, &mut product);
            }
        };
        // A thread that has not had a chunk yet makes its workspace when it gets one.
        for _ in 0..50 {
            run(&mut engine);
        }
        let before = allocations();
        for _ in 0..20 {
            run(&mut engine);
        }
        let found = allocations() - before;
        assert_eq!(found, 0, "{threads} threads: allocations in 40 products");
    }
}

#[test]
fn warm_training_loops_and_products_allocate_nothing() {
    products_allocate_nothing();
    let parts = synthetic::generate(400, 10, 1);
    let dataset = Dataset::new(
        "tiny".to_owned(),
        "drawn".to_owned(),
        synthetic::SHAPE,
        (0..10).map(|class| class.to_string()).collect(),
        parts,
        Vec::new(),
    );
    for optimizer in ["adam", "lbfgs"] {
        for (model, threads) in [
            ("micro", "1"),
            ("micro", "2"),
            ("micro", "3"),
            ("seed", "2"),
            // Teams of two for each of three chunks.
            ("seed", "6"),
        ] {
            let words = [
                "secant",
                "train",
                "--data",
                "synthetic",
                "--batch",
                "40",
                "--epochs",
                "3",
            ];
            let chosen = [
                "--optimizer",
                optimizer,
                "--model",
                model,
                "--threads",
                threads,
            ];
            let Command::Train(arguments) =
                Cli::parse_from(words.into_iter().chain(chosen)).command
            else {
                panic!("the words begin with train");
            };
            let config = arguments
                .resolve(dataset.task())
                .expect("these words are a run");
            let mut memory = Trainer::memory(&config);
            let mut trainer =
                Trainer::new(&config, &dataset, &mut memory).expect("the settings are in range");
            let mut count = Count {
                before: 0,
                epoch: 0,
                found: Vec::with_capacity(100),
            };
            trainer.run(&mut count).expect("the settings are in range");
            assert!(count.epoch == 3, "it trained for {} epochs", count.epoch);
            assert!(
                count.found.is_empty(),
                "{optimizer}, {model}, {threads} threads: (step, allocations) {:?}",
                count.found
            );
        }
    }
}
