//! Networks for what exports and imports them: every layer, weights drawn, scalings that are no
//! one's.

use std::path::PathBuf;

use secant::network::{Init, Shape};
use secant::{Affine, Random};
use secant_harness::data::dataset::{Part, Predicted, Task};
use secant_harness::data::elements::{Elements, Targets};
use secant_harness::data::predict::Predict;
use secant_harness::model::Description;
use secant_harness::trained::Trained;

/// A network with drawn weights.
pub fn trained(spec: &str, input: Shape, outputs: usize, predicted: Predicted) -> Trained {
    let description: Description = spec.parse().expect("a description");
    let task = Task {
        input,
        outputs,
        predicted,
    };
    let model = description.fit(task).expect("a network for the task");
    let mut parameters = vec![0.0; model.parameter_count()];
    let mut random = Random::new(9, 0);
    model
        .network
        .initialise(Init::PyTorch, &mut random, &mut parameters);
    // Biases and factors are not what initialisation leaves.
    for parameter in &mut parameters {
        *parameter += 0.1 * (random.uniform() - 0.5);
    }
    let map = |channel: usize| Affine::standard(90.0 + 10.0 * channel as f32, 70.0);
    Trained {
        folder: PathBuf::new(),
        model,
        parameters,
        scalings: (0..input.channels).map(map).collect(),
        target_scalings: match predicted {
            Predicted::Classes => Vec::new(),
            Predicted::Numbers => vec![Affine::standard(3.0, 2.0); outputs],
        },
        task,
        names: match predicted {
            Predicted::Classes => (0..outputs).map(|c| format!("class \"{c}\"")).collect(),
            Predicted::Numbers => Vec::new(),
        },
        source: String::new(),
        predict: Predict::Labels,
        class_weights: None,
        limit: None,
        drawn: None,
        digest: String::new(),
    }
}

/// Drawn samples of bytes.
pub fn samples(input: Shape, count: usize) -> Part {
    let mut random = Random::new(10, 0);
    let bytes = (0..count * input.len()).map(|_| random.below(256) as u8);
    Part {
        elements: Elements::U8(bytes.collect()),
        targets: Targets::Classes(vec![0; count]),
    }
}

/// Networks that hold every layer between them.
pub fn networks() -> Vec<Trained> {
    let classes = |spec, input, outputs| trained(spec, input, outputs, Predicted::Classes);
    let square = Shape::new(1, 12, 12);
    vec![
        classes(
            "conv4k3 relu pool2 conv6k3p1 relu pool2 linear10",
            square,
            10,
        ),
        classes(
            "conv5k3s2p1 leakyrelu0.1 depthwise3p1 relu avgpool2 conv3k1 globalavgpool",
            Shape::new(3, 13, 10),
            3,
        ),
        classes(
            "conv1d6k5p2s2 relu pool1d3 linear20 dropout0.3 relu",
            Shape::new(2, 1, 40),
            4,
        ),
        trained("linear8 relu", Shape::new(1, 1, 7), 2, Predicted::Numbers),
        classes(
            "conv6k3 groupnorm3 tanh pool3s2 linear9 layernorm sigmoid",
            square,
            4,
        ),
        // The pool comes before the tanh.
        classes(
            "conv6k3 tanh pool2 conv4k3 sigmoid pool2 linear6 tanh",
            Shape::new(2, 13, 13),
            5,
        ),
    ]
}

/// What the network says of the first samples of a part, computed as a device does, in the files'
/// units where numbers are predicted: what all exported programs give.
pub fn expected(trained: &Trained, part: &Part) -> Vec<f32> {
    let indices: Vec<u32> = (0..part.len() as u32).collect();
    let outputs = trained.outputs(part, &indices, true);
    let width = trained.task.outputs;
    let own = |(i, output): (usize, &f32)| match trained.target_scalings.get(i % width) {
        Some(map) => (output - map.offset) / map.scale,
        None => *output,
    };
    outputs.iter().enumerate().map(own).collect()
}
