//! Learns four activities from a smart watch: three axes of acceleration, three of rotation,
//! windows of 100 points as 16-bit integers. Nothing here needs a heap: on a device the arrays are
//! statics.
//!
//! ```text
//! cargo run --release -p secant --example gestures
//! ```

use secant::network::{Init, Network, Shape, conv1d, global_avg_pool2d, linear, max_pool1d, relu};
use secant::optim::{Adam, AdamConfig};
use secant::{
    Affine, Batch, Metrics, Normalisation, Random, Samples, Targets, Values, argmax, softmax,
};

/// 16 filters of 8 points, 16 of 5, the mean over time, four classes.
const NET: Network<7> = Network::new(
    Shape::signal(6, 100),
    [
        conv1d(16, 8),
        relu(),
        max_pool1d(2),
        conv1d(16, 5),
        relu(),
        global_avg_pool2d(),
        linear(4),
    ],
);
const N: usize = NET.parameter_count();
const NAMES: [&str; 4] = ["standing", "running", "walking", "badminton"];

/// 40 windows to train on, then 40 to test on; tests/firmware/README.md says where they are from.
static BYTES: &[u8] = include_bytes!("motions.bin");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let elements: Vec<i16> = BYTES
        .as_chunks()
        .0
        .iter()
        .map(|bytes| i16::from_le_bytes(*bytes))
        .collect();
    let (train, test) = elements.split_at(40 * 600);
    let classes: [u8; 40] = std::array::from_fn(|i| i as u8 / 10);
    // Mean and deviation of each channel over the windows to train on.
    let scalings = [
        Affine::standard(1307.0, 3621.0),
        Affine::standard(-668.0, 3479.0),
        Affine::standard(-526.0, 1816.0),
        Affine::standard(10.0, 1081.0),
        Affine::standard(-12.0, 932.0),
        Affine::standard(-29.0, 1800.0),
    ];
    let samples = |elements| Samples {
        values: Values::I16(elements),
        targets: Targets::U8(&classes),
        normalisation: Normalisation::PerChannel(&scalings),
    };

    let (mut parameters, mut gradient) = ([0.0; N], [0.0; N]);
    let mut moments = [0.0; Adam::memory_len(N)];
    let mut workspace = [0.0; NET.workspace_len(1)];
    NET.initialise(Init::He, &mut Random::new(0, 0), &mut parameters);
    let config = AdamConfig {
        learning_rate: 0.004,
        ..AdamConfig::DEFAULT
    };
    let mut adam = Adam::new(config, N, &mut moments)?;

    let mut random = Random::new(0, 1);
    let mut order: [u32; 40] = std::array::from_fn(|i| i as u32);
    for epoch in 1..=12 {
        random.shuffle(&mut order);
        let mut metrics = Metrics::NONE;
        for indices in order.chunks_exact(4) {
            let batch = Batch::new(samples(train), indices);
            gradient.fill(0.0);
            metrics +=
                NET.accumulate_gradient::<1>(&parameters, batch, &mut gradient, &mut workspace)?;
            adam.step(1.0, &mut parameters, &gradient)?;
        }
        println!("epoch {epoch:2}: mean loss {:.4}", metrics.mean_loss());
    }

    // What it says of windows that it has not seen; no labels are needed.
    let unseen = Samples::unlabelled(Values::I16(test), Normalisation::PerChannel(&scalings));
    for window in [3, 17, 25, 38] {
        let mut outputs = [0.0; 4];
        let batch = Batch::new(unseen, std::slice::from_ref(&window));
        NET.predict::<1>(&parameters, batch, &mut outputs, &mut workspace)?;
        let class = argmax(&outputs);
        softmax(&mut outputs);
        println!(
            "window {window}: {} with {:.3}",
            NAMES[class], outputs[class]
        );
    }
    Ok(())
}
