//! What a run is resumed from.

use std::sync::LazyLock;

use clap::Parser;
use secant_harness::cli::{Cli, Command, options};
use secant_harness::config::RunConfig;
use secant_harness::data::dataset::Dataset;
use secant_harness::data::synthetic;
use secant_harness::train::Trainer;
use secant_harness::train::checkpoint::Checkpoint;

/// A small run, and its data.
static RUN: LazyLock<(RunConfig, Dataset)> = LazyLock::new(|| {
    let (train, test) = synthetic::generate(20, 10, 1);
    let dataset = Dataset::new(
        "tiny".to_owned(),
        "drawn".to_owned(),
        synthetic::SHAPE,
        (0..10).map(|class| class.to_string()).collect(),
        (train, test),
        Vec::new(),
    );
    let words = "secant train --model pool14,linear10 --optimizer lbfgs --history 2 --batch 4 \
                 --epochs 2 --average 0.2 --threads 1";
    let cli = Cli::try_parse_from(words.split_whitespace()).expect("these are options");
    let Command::Train(args) = cli.command else {
        unreachable!("the words begin with train")
    };
    let config = args.resolve(dataset.task()).expect("they fit");
    (config, dataset)
});

/// A checkpoint as it is, and once more with a checksum that is right: what is accepted goes on
/// for two steps.
pub fn resume(bytes: &[u8]) -> bool {
    let (config, dataset) = &*RUN;
    let attempt = |bytes: &[u8]| match Checkpoint::decode(bytes) {
        Err(why) => {
            assert!(!why.is_empty() && !why.contains('\n'));
            false
        }
        Ok((_, checkpoint)) => {
            let mut memory = Trainer::memory(config);
            let run = Trainer::new(config, dataset, &mut memory);
            let mut run = run.expect("the settings are in range");
            // The names of settings and data are long, and mutations seldom leave them whole.
            let checkpoint = checkpoint.of(config, dataset);
            match run.restore(checkpoint) {
                Ok(()) => {
                    run.run(&mut ()).expect("all lengths fit");
                    let _ = run.finish();
                    true
                }
                Err(why) => {
                    assert!(!why.is_empty() && !why.contains('\n'));
                    false
                }
            }
        }
    };
    let as_it_is = attempt(bytes);
    attempt(&Checkpoint::sealed(bytes)) || as_it_is
}

/// A file of options.
pub fn options(bytes: &[u8]) -> bool {
    match options::words(&String::from_utf8_lossy(bytes)) {
        Ok(_) => true,
        Err(why) => {
            assert!(!why.is_empty() && !why.contains('\n'), "{why}");
            false
        }
    }
}
