//! `secant size`: the figures are those that firmware declares its statics with.

use secant::network::Network;
use secant::network::presets::MICRO;
use secant::optim::{Adam, Form, LayerLbfgs, Lbfgs};
use secant_harness::model::Model;
use secant_harness::size::Size;

const N: usize = MICRO.parameter_count();

fn micro(optimizer: &str) -> Size {
    let model: Model = "micro".parse().unwrap();
    Size::new(&model, &optimizer.parse().unwrap(), 1, 0).unwrap()
}

#[test]
fn micro_with_adam_needs_what_the_firmware_declares() {
    let size = micro("adam");
    let floats = 2 * N + Adam::memory_len(N) + MICRO.workspace_len(1);
    assert_eq!(size.total(), 4 * floats);
    assert!(size.total() <= 95_000, "{size:?}");
}

#[test]
fn micro_with_lbfgs_needs_what_the_firmware_declares() {
    let size = micro("lbfgs-row:history=8");
    let memory = LayerLbfgs::<8>::memory_len(&MICRO, Form::Row);
    let floats = 2 * N + memory + MICRO.workspace_len(1);
    assert_eq!(size.total(), 4 * floats);
    assert!(size.total() < micro("adam").total());

    let size = micro("lbfgs-armijo:history=4");
    let floats = N + Lbfgs::<4>::memory_len(N) + MICRO.workspace_len(1);
    assert_eq!(size.total(), 4 * floats);
}

/// The promise of `tests/firmware/src/bin/training_head.rs`.
#[test]
fn the_head_of_micro_needs_what_the_firmware_declares() {
    const CONVOLUTIONS: [f32; MICRO.parameter_offset(6)] = [0.0; MICRO.parameter_offset(6)];
    const HEAD: Network<7> = MICRO.freeze(6, &CONVOLUTIONS);
    let model: Model = "micro".parse().unwrap();
    let size = Size::new(&model, &"lbfgs-row:history=4".parse().unwrap(), 1, 6).unwrap();
    let memory = LayerLbfgs::<4>::memory_len(&HEAD, Form::Row);
    let floats = 2 * HEAD.parameter_count() + memory + HEAD.workspace_len(1);
    assert_eq!(size.total(), 4 * floats);
    assert_eq!(size.frozen, 4 * CONVOLUTIONS.len());
    assert!(size.total() < 64 << 10, "{size:?}");
}

#[test]
fn wrong_options_are_told() {
    let model: Model = "micro".parse().unwrap();
    let told = |optimizer: &str, lanes, freeze| {
        Size::new(&model, &optimizer.parse().unwrap(), lanes, freeze)
            .unwrap_err()
            .to_string()
    };
    assert!(told("adam:history=4", 1, 0).contains("--history is an option of lbfgs"));
    assert!(told("lbfgs-row:history=17", 1, 0).contains("--history 17: lbfgs-row keeps 0 to 16"));
    assert!(told("lbfgs-seed", 1, 0).contains("--optimizer lbfgs-seed: it needs a heap"));
    assert!(told("adam", 3, 0).contains("--lanes 3"));
    assert!(told("adam", 1, 7).contains("--freeze 7"));
}
