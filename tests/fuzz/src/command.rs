//! What a person types.

use std::cell::RefCell;

use clap::{CommandFactory, FromArgMatches};
use secant::arch::Isa;
use secant::{Batch, Normalisation, Samples};
use secant_harness::cli::{Cli, Command};
use secant_harness::data::dataset::Task;
use secant_harness::model::Description;
use secant_harness::train::Trainer;

thread_local! {
    /// All options; to list them takes longer than to read a line.
    static OPTIONS: RefCell<clap::Command> = RefCell::new(Cli::command());
}

/// The words of a command line, separated by spaces; those of `train` up to the first step.
pub fn command_line(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let words = ["secant"].into_iter().chain(text.split(' '));
    let matches = OPTIONS.with_borrow_mut(|options| options.try_get_matches_from_mut(words));
    let Some(cli) = matches
        .ok()
        .and_then(|found| Cli::from_arg_matches(&found).ok())
    else {
        return false;
    };
    let Command::Train(args) = cli.command else {
        return true;
    };
    // Its file is another target.
    if args.weights.is_some() {
        return true;
    }
    match args.resolve(Task::FASHION_MNIST) {
        Ok(config) => {
            let needed = config.memory();
            let settings = config.optimizer.settings();
            let own = 4 * settings.memory_len(&config.model.network) as u64;
            assert!(needed >= own, "{needed} of {own}");
            if needed < 16_000_000 {
                let _ = Trainer::memory(&config);
            }
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// The description of a network; a small one makes a step on every instruction set, to the same
/// bits.
pub fn model(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Ok(description) = text.parse::<Description>() else {
        return false;
    };
    let Ok(model) = description.fit(Task::FASHION_MNIST) else {
        return false;
    };
    let network = model.network;
    let (n, workspace) = (network.parameter_count(), network.workspace_len(16));
    if n.max(workspace) > 1 << 18 || network.multiply_accumulates() > 1 << 15 {
        return true;
    }
    let parameters: Vec<f32> = (0..n).map(|i| (i % 13) as f32 / 50.0 - 0.1).collect();
    let pixels: Vec<u8> = (0..784 * 3).map(|i| (i * 7 % 251) as u8).collect();
    let samples = Samples::bytes(&pixels, &[0, 3, 9], Normalisation::standard(0.3, 0.3));
    let before = Isa::current();
    let mut seen = Vec::new();
    for isa in Isa::ALL {
        if Isa::force(isa).is_err() {
            continue;
        }
        let (mut gradient, mut workspace) = (vec![0.0; n], vec![0.0; workspace]);
        let batch = Batch::new(samples, &[0, 1, 2]);
        let done =
            network.accumulate_gradient::<16>(&parameters, batch, &mut gradient, &mut workspace);
        let loss = done.expect("lengths that the network has told").mean_loss();
        // A zero's sign and a NaN's bits are not promised.
        let bits = |x: f32| {
            if x.is_nan() {
                f32::NAN.to_bits()
            } else {
                (x + 0.0).to_bits()
            }
        };
        seen.push((
            gradient.into_iter().map(bits).collect::<Vec<_>>(),
            loss.to_bits(),
        ));
    }
    let _ = Isa::force(before);
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
    true
}
