//! What the library's errors and statuses say: a table to be read in review, and what must hold for
//! each sentence.

use std::fmt::{Display, Write};

use secant::arch::{Isa, IsaUnavailable};
use secant::checkpoint::CheckpointError;
use secant::least_squares::FitStatus;
use secant::network::{FreezeError, LayerError, ShapeError};
use secant::optim::Termination;
use secant::{ConfigError, PassError, TrainError};
use secant_tests::snapshot;

fn layers() -> Vec<LayerError> {
    let (padding, kernel) = ([3, 0], [3, 5]);
    let (window, image) = ([5, 5], [4, 28]);
    let (groups, channels) = (3, 8);
    vec![
        LayerError::Zero("stride"),
        LayerError::PaddingTooWide { padding, kernel },
        LayerError::WindowTooLarge { window, image },
        LayerError::PoolTooLarge([17, 16]),
        LayerError::Probability,
        LayerError::Slope,
        LayerError::Groups { groups, channels },
        LayerError::TooLarge,
    ]
}

fn passes() -> Vec<PassError> {
    let (expected, found) = (5258, 5257);
    vec![
        PassError::Parameters { expected, found },
        PassError::Gradient { expected, found },
        PassError::Product { expected, found },
        PassError::Workspace { expected, found },
        PassError::Values { sample: 784, found },
        PassError::Channels {
            expected: 3,
            found: 2,
        },
        PassError::Index(60_000),
        PassError::Label {
            label: 10,
            classes: 10,
        },
        PassError::Targets,
        PassError::ClassWeights {
            expected: 10,
            found: 9,
        },
        PassError::Outputs { expected, found },
        PassError::Empty,
    ]
}

fn configs() -> Vec<ConfigError> {
    let range = |field, range, found| ConfigError::OutOfRange {
        field,
        range,
        found,
    };
    vec![
        // An f32 is shown as it was written, and an f64 with all its digits.
        range("beta1", "in [0, 1)", f64::from(1.1_f32)),
        range("c1", "in (0, 1/2]", 0.1 + 0.5),
        range("rate", "positive and finite", f64::NAN),
        ConfigError::TooShort {
            slice: "memory",
            needed: 12,
            found: 11,
        },
        ConfigError::WrongLength {
            slice: "gradient",
            expected: 12,
            found: 13,
        },
        ConfigError::NotAState,
    ]
}

const TERMINATIONS: [Termination; 12] = [
    Termination::GradientConverged,
    Termination::StepConverged,
    Termination::ValueConverged,
    Termination::IterationLimit,
    Termination::EvaluationLimit,
    Termination::LineSearchFailed,
    Termination::NoiseLevel,
    Termination::NotFinite,
    Termination::StoppedByCaller,
    Termination::TargetReached,
    Termination::Unbounded,
    Termination::SaddleOrMaximum,
];

const FITS: [FitStatus; 10] = [
    FitStatus::GradientConverged,
    FitStatus::OffsetConverged,
    FitStatus::StepConverged,
    FitStatus::ZeroResiduals,
    FitStatus::NoiseLevel,
    FitStatus::NoDecrease,
    FitStatus::Flat,
    FitStatus::EvaluationLimit,
    FitStatus::NotFinite,
    FitStatus::StoppedByCaller,
];

#[test]
fn every_sentence_is_that_of_the_snapshot() {
    let mut table = String::new();
    let mut add = |kind: &str, sentence: &dyn Display| {
        let sentence = sentence.to_string();
        assert!(
            !sentence.is_empty() && sentence.trim() == sentence,
            "{kind}: {sentence:?}"
        );
        assert!(
            !sentence.ends_with('.') && !sentence.contains(['\n', '{', '}']),
            "{kind}: {sentence:?}"
        );
        writeln!(table, "{kind:<11} {sentence}").expect("writing to a string");
    };
    for error in layers() {
        add("layer", &error);
        // In a network the same, after where it is.
        let whole = ShapeError::Layer {
            index: 2,
            name: "conv2d",
            error,
        };
        assert_eq!(whole.to_string(), format!("layer 3 (conv2d): {error}"));
    }
    add(
        "shape",
        &ShapeError::Layer {
            index: 0,
            name: "relu",
            error: LayerError::TooLarge,
        },
    );
    add("shape", &ShapeError::NoLayers);
    add(
        "shape",
        &ShapeError::TooManyLayers {
            layers: 9,
            capacity: 8,
        },
    );
    add("shape", &ShapeError::Input);
    add("shape", &ShapeError::Parameters);
    add(
        "freeze",
        &FreezeError::Layers {
            frozen: 8,
            layers: 7,
        },
    );
    add(
        "freeze",
        &FreezeError::Weights {
            expected: 80,
            found: 79,
        },
    );
    for error in passes() {
        add("pass", &error);
        assert_eq!(TrainError::from(error).to_string(), error.to_string());
    }
    for error in configs() {
        add("setting", &error);
        assert_eq!(TrainError::from(error).to_string(), error.to_string());
    }
    for error in [
        CheckpointError::Store("the flash is worn out"),
        CheckpointError::Format,
        CheckpointError::Length {
            expected: 100,
            found: 99,
        },
        CheckpointError::Damaged,
    ] {
        add("checkpoint", &error);
    }
    for isa in Isa::ALL {
        add("processor", &IsaUnavailable(isa));
    }
    for status in TERMINATIONS {
        add("minimiser", &status);
        let said = status.to_string().starts_with("converged");
        let target = status == Termination::TargetReached;
        assert_eq!(status.is_converged(), said || target, "{status}");
    }
    for status in FITS {
        add("fit", &status);
        let said = status.to_string().starts_with("converged");
        assert_eq!(status.is_converged(), said, "{status}");
    }
    snapshot::check("messages.txt", &table);
}
