//! Networks of other programs.

use secant::network::Shape;
use secant_harness::data::dataset::Task;
use secant_harness::import::{Imported, onnx as graphs, safetensors};
use secant_harness::model::Model;

/// An ONNX graph, of samples that it says or leaves open: what is accepted is a network with
/// finite weights, as many as it has.
pub fn onnx(bytes: &[u8]) -> bool {
    let mut accepted = false;
    for shape in [None, Some(Shape::new(1, 12, 12))] {
        accepted |= imported(graphs::read(bytes, shape, None));
    }
    accepted
}

/// Tensors of PyTorch, found by rule and by name.
pub fn tensors(bytes: &[u8]) -> bool {
    let task = Task {
        input: Shape::new(1, 28, 28),
        ..Task::FASHION_MNIST
    };
    let map = [(1, "first".to_owned()), (3, "3".to_owned())];
    let mut accepted = false;
    for map in [&map[..0], &map] {
        let model: Model = "pool7 conv2k3 relu linear10".parse().expect("a model");
        accepted |= imported(safetensors::read(bytes, (model, task), map));
    }
    accepted
}

fn imported(read: Result<Imported, String>) -> bool {
    match read {
        Ok(network) => {
            assert_eq!(network.parameters.len(), network.model.parameter_count());
            assert!(network.parameters.iter().all(|w| w.is_finite()));
            let maps = network.scalings.iter().flatten();
            let maps = maps.chain(&network.target_scalings);
            assert!(
                maps.clone()
                    .all(|map| map.scale.is_finite() && map.offset.is_finite())
            );
            assert_eq!(network.model.network.input(), network.task.input);
            true
        }
        Err(why) => {
            assert!(!why.is_empty() && !why.contains('\n'), "{why}");
            false
        }
    }
}
