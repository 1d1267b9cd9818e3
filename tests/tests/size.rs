//! `secant size`: the figures are those that firmware declares its statics with.

use secant::network::Network;
use secant::network::presets::MICRO;
use secant::optim::{Adam, Form, LayerLbfgs, Lbfgs};
use secant_harness::model::Model;
use secant_harness::size::{Size, SizedOptimizer};

const N: usize = MICRO.parameter_count();

fn micro(optimizer: SizedOptimizer, history: Option<usize>) -> Size {
    let model: Model = "micro".parse().unwrap();
    Size::new(&model, optimizer, history, 1, 0).unwrap()
}

#[test]
fn micro_with_adam_needs_what_the_firmware_declares() {
    let size = micro(SizedOptimizer::Adam, None);
    let floats = 2 * N + Adam::memory_len(N) + MICRO.workspace_len(1);
    assert_eq!(size.total(), 4 * floats);
    assert!(size.total() <= 95_000, "{size:?}");
}

#[test]
fn micro_with_lbfgs_needs_what_the_firmware_declares() {
    let size = micro(SizedOptimizer::LbfgsRow, Some(8));
    let memory = LayerLbfgs::<8>::memory_len(&MICRO, Form::Row);
    let floats = 2 * N + memory + MICRO.workspace_len(1);
    assert_eq!(size.total(), 4 * floats);
    assert!(size.total() < micro(SizedOptimizer::Adam, None).total());

    let size = micro(SizedOptimizer::LbfgsArmijo, Some(4));
    let floats = N + Lbfgs::<4>::memory_len(N) + MICRO.workspace_len(1);
    assert_eq!(size.total(), 4 * floats);
}

/// The promise of `tests/firmware/src/bin/training_head.rs`.
#[test]
fn the_head_of_micro_needs_what_the_firmware_declares() {
    const CONVOLUTIONS: [f32; MICRO.parameter_offset(6)] = [0.0; MICRO.parameter_offset(6)];
    const HEAD: Network<7> = MICRO.freeze(6, &CONVOLUTIONS);
    let model: Model = "micro".parse().unwrap();
    let size = Size::new(&model, SizedOptimizer::LbfgsRow, Some(4), 1, 6).unwrap();
    let memory = LayerLbfgs::<4>::memory_len(&HEAD, Form::Row);
    let floats = 2 * HEAD.parameter_count() + memory + HEAD.workspace_len(1);
    assert_eq!(size.total(), 4 * floats);
    assert_eq!(size.frozen, 4 * CONVOLUTIONS.len());
    assert!(size.total() < 64 << 10, "{size:?}");
}

#[test]
fn wrong_options_are_told() {
    let model: Model = "micro".parse().unwrap();
    let told = |optimizer, history, lanes, freeze| {
        Size::new(&model, optimizer, history, lanes, freeze)
            .unwrap_err()
            .to_string()
    };
    assert!(told(SizedOptimizer::Adam, Some(4), 1, 0).contains("--history"));
    assert!(told(SizedOptimizer::LbfgsRow, Some(5), 1, 0).contains("--history 5"));
    assert!(told(SizedOptimizer::Adam, None, 3, 0).contains("--lanes 3"));
    assert!(told(SizedOptimizer::Adam, None, 1, 7).contains("--freeze 7"));
}
