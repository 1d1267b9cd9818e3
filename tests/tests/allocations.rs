//! The training loop allocates nothing once it is warm: counted by an allocator, over all threads.
//!
//! One test alone in its file, since the count is the whole process's.

use std::alloc::System;
use std::ops::ControlFlow;

use clap::Parser;
use secant_harness::cli::{Cli, Command};
use secant_harness::data::dataset::Dataset;
use secant_harness::data::synthetic;
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

#[test]
fn a_warm_training_loop_allocates_nothing() {
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
