//! `secant size`: the figures are those that firmware declares its statics with.

use secant::network::presets::MICRO;
use secant::network::{Network, Shape};
use secant::optim::{Adam, LayerLbfgs, Lbfgs, SecondMoment};
use secant_harness::boards::BOARDS;
use secant_harness::data::dataset::{Predicted, Task};
use secant_harness::model::{Description, Model};
use secant_harness::size::{STACK, Size};

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
    let memory = LayerLbfgs::<8>::memory_len(&MICRO, SecondMoment::Row);
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
    let memory = LayerLbfgs::<4>::memory_len(&HEAD, SecondMoment::Row);
    let floats = 2 * HEAD.parameter_count() + memory + HEAD.workspace_len(1);
    assert_eq!(size.total(), 4 * floats);
    assert_eq!(size.frozen, 4 * CONVOLUTIONS.len());
    assert!(size.total() < 64 << 10, "{size:?}");
}

/// A network whose statics only the sum of a board's banks could hold: no linker places it.
#[test]
fn banks_do_not_add_up() {
    let mut split = 0;
    for board in BOARDS.iter().filter(|board| board.banks.len() > 1) {
        let sum: usize = board.banks.iter().map(|bank| bank.bytes).sum();
        // One linear layer of two outputs: 36 bytes an input, so the middle is hit closely.
        let wanted = (board.block() + sum) / 2;
        let inputs = (wanted - STACK) / 36;
        let task = Task {
            input: Shape::new(1, 1, inputs),
            outputs: 2,
            predicted: Predicted::Classes,
        };
        let description: Description = "linear2".parse().unwrap();
        let model = description.fit(task).unwrap();
        let size = Size::new(&model, &"adam".parse().unwrap(), 1, 0).unwrap();
        let bytes = size.with_stack();
        assert!(
            board.block() < bytes && bytes <= sum,
            "{}: {bytes} is not between {} and {sum}",
            board.name,
            board.block()
        );
        assert!(!board.fits(bytes), "{}", board.name);
        split += 1;
    }
    assert!(split >= 5, "{split} boards have several banks");
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
