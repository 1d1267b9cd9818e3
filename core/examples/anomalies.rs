//! Notices movements that it has not seen: an autoencoder learns to copy standing and walking
//! through eight numbers; what it copies badly is something else. Six channels of a smart watch, in
//! pieces of ten points. Nothing here needs a heap: on a device the arrays are statics.
//!
//! ```text
//! cargo run --release -p secant --example anomalies
//! ```

use secant::network::{Init, Network, Shape, linear, tanh};
use secant::optim::{Adam, AdamConfig};
use secant::{Batch, Loss, Metrics, Normalisation, Random, Samples, Targets, Values};

const CHANNELS: usize = 6;
const POINTS: usize = 10;
const LEN: usize = CHANNELS * POINTS;

/// Eight numbers in the middle; the output is what the input was.
const NET: Network<3> = Network::new(
    Shape::signal(CHANNELS, POINTS),
    [linear(8), tanh(), linear(LEN)],
)
.with_loss(Loss::MeanSquaredError);
const N: usize = NET.parameter_count();

/// Ten windows of 100 points of each activity to train on, then ten of each to test on;
/// tests/firmware/README.md says where they are from.
static BYTES: &[u8] = include_bytes!("motions.bin");
const NAMES: [&str; 4] = ["standing", "running", "walking", "badminton"];
/// Mean and deviation of each channel.
const MEANS: [f32; CHANNELS] = [1307.0, -668.0, -526.0, 10.0, -12.0, -29.0];
const DEVIATIONS: [f32; CHANNELS] = [3621.0, 3479.0, 1816.0, 1081.0, 932.0, 1800.0];

/// The 100 pieces of an activity, scaled, from the windows to train on or to test on.
fn pieces(activity: usize, test: bool) -> Vec<f32> {
    let element = |i: usize| i16::from_le_bytes([BYTES[2 * i], BYTES[2 * i + 1]]);
    let first = (usize::from(test) * 40 + activity * 10) * 600;
    let mut pieces = Vec::new();
    for piece in 0..100 {
        for channel in 0..CHANNELS {
            let start = first + piece / 10 * 600 + channel * 100 + piece % 10 * POINTS;
            let scaled = |i| (f32::from(element(start + i)) - MEANS[channel]) / DEVIATIONS[channel];
            pieces.extend((0..POINTS).map(scaled));
        }
    }
    pieces
}

/// Pieces whose targets they are themselves.
fn copies(pieces: &[f32]) -> Samples<'_> {
    Samples {
        values: Values::F32(pieces),
        targets: Targets::F32(pieces),
        normalisation: Normalisation::NONE,
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let usual = [pieces(0, false), pieces(2, false)].concat();
    let (mut parameters, mut gradient) = ([0.0; N], [0.0; N]);
    let mut moments = [0.0; Adam::memory_len(N)];
    let mut workspace = [0.0; NET.workspace_len(1)];
    NET.initialise(Init::PyTorch, &mut Random::new(0, 0), &mut parameters);
    let mut adam = Adam::new(AdamConfig::DEFAULT, N, &mut moments)?;
    let mut order: [u32; 200] = std::array::from_fn(|i| i as u32);
    for epoch in 1..=60 {
        Random::new(1, epoch).shuffle(&mut order);
        let mut metrics = Metrics::NONE;
        for indices in order.chunks_exact(4) {
            let batch = Batch::new(copies(&usual), indices);
            gradient.fill(0.0);
            metrics +=
                NET.accumulate_gradient::<1>(&parameters, batch, &mut gradient, &mut workspace)?;
            adam.step(1.0, &mut parameters, &gradient)?;
        }
        if epoch % 20 == 0 {
            println!("epoch {epoch}: loss {:.4}", metrics.mean_loss());
        }
    }

    // The error of a piece is its loss. What is far above the usual is reported.
    let mut errors = |pieces: &[f32], count: u32| -> Result<Vec<f64>, secant::PassError> {
        let error = |i: u32| {
            let batch = Batch::new(copies(pieces), std::slice::from_ref(&i));
            let metrics = NET.evaluate::<1>(&parameters, batch, &mut workspace)?;
            Ok(metrics.loss)
        };
        (0..count).map(error).collect()
    };
    let mut usual = errors(&usual, 200)?;
    usual.sort_by(f64::total_cmp);
    let limit = 2.0 * usual[190];
    for (activity, name) in NAMES.iter().enumerate() {
        let unseen = errors(&pieces(activity, true), 100)?;
        let reported = unseen.iter().filter(|error| **error > limit).count();
        println!("{name:<10} {reported:3} of 100 pieces reported");
    }
    Ok(())
}
