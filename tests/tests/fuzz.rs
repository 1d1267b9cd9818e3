//! Every input that ever failed, the seeds, and some thousand mutations of them: no panic, never
//! more than 64 MB, and never a second of the processor. `SECANT_FUZZ=COUNT` makes so many
//! executions a target (`SECANT_FUZZ_TARGET=idx` for one), and reports the slowest input.

use std::alloc::System;
use std::collections::BTreeMap;
use std::fs;
use std::panic;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use targets::mutate::Mutator;
use targets::{TARGETS, Target};

#[path = "../fuzz/src/lib.rs"]
mod targets;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that an execution may ask for, given back or not.
const MOST: usize = 64_000_000;

/// Time that an execution may take.
const LONGEST: Duration = Duration::from_secs(1);

/// Mutations of each target in an ordinary run.
const MUTATIONS: u64 = 4_000;

fn folder(part: &str, target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz")
        .join(part)
        .join(target)
}

/// The files of a folder, by name; none where there is no folder.
fn inputs(part: &str, target: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder(part, target)).into_iter().flatten();
    let mut found = BTreeMap::new();
    for entry in entries {
        let path = entry.unwrap().path();
        found.insert(path.clone(), fs::read(path).unwrap());
    }
    found.into_values().collect()
}

/// Executes an input; its time. What fails is left as a file, to be kept with the others.
fn execute(target: &Target, bytes: &[u8]) -> (bool, Duration) {
    let (begun, region) = (Instant::now(), Region::new(ALLOCATOR));
    let done = panic::catch_unwind(|| (target.run)(bytes));
    let (mut time, asked) = (begun.elapsed(), region.change().bytes_allocated);
    if time > LONGEST {
        // Other work may have had the processor: the best of some tries counts.
        for _ in 0..5 {
            let begun = Instant::now();
            let _ = panic::catch_unwind(|| (target.run)(bytes));
            time = time.min(begun.elapsed());
        }
    }
    if done.is_err() || asked > MOST || time > LONGEST {
        let name = format!("{}-{:x}", target.name, bytes.len());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, bytes).unwrap();
        let why = match done {
            Err(_) => "panics",
            Ok(_) if asked > MOST => "asks for too much memory",
            Ok(_) => "takes too long",
        };
        panic!(
            "{} {why} on {}: {asked} bytes, {time:?}",
            target.name,
            path.display()
        );
    }
    (done.unwrap_or(false), time)
}

#[test]
fn no_input_breaks_anything() {
    let count = std::env::var("SECANT_FUZZ").map_or(MUTATIONS, |count| count.parse().unwrap());
    let chosen = std::env::var("SECANT_FUZZ_TARGET").ok();
    let seed = std::env::var("SECANT_FUZZ_SEED").map_or(1, |seed| seed.parse().unwrap());
    for target in TARGETS
        .iter()
        .filter(|t| chosen.as_ref().is_none_or(|c| c == t.name))
    {
        let mut seeds = inputs("corpus", target.name);
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        let accepted = seeds.iter().filter(|seed| execute(target, seed).0).count();
        assert!(accepted > 0, "{}: no seed is a good input", target.name);
        let failed = inputs("failed", target.name);
        for input in &failed {
            execute(target, input);
        }
        seeds.extend(failed);
        let mut mutator = Mutator::new(seed);
        let (begun, mut slowest, mut good) = (Instant::now(), Duration::ZERO, 0_u64);
        for _ in 0..count {
            let input = mutator.next(&seeds);
            let (accepted, time) = execute(target, &input);
            slowest = slowest.max(time);
            good += u64::from(accepted);
        }
        println!(
            "{}: {count} executions, {good} of them accepted, the slowest {slowest:?}, {:?} in all",
            target.name,
            begun.elapsed()
        );
    }
}
