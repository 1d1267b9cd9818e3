//! Steps with curvature products in the program: on networks, against dense solves, on one thread
//! and on several.

use std::sync::Arc;

use secant::{Curvature, DropoutKey};
use secant_harness::batch::Batch;
use secant_harness::data::{scaling, synthetic};
use secant_harness::engine::Engine;
use secant_harness::model::Model;
use secant_harness::optimizers::Choice;
use secant_harness::optimizers::step::BatchLoss;
use secant_tests::dense::{distance, solve};

/// An engine on drawn images, and initial weights.
fn engine(model: &Model, threads: usize) -> (Engine, Vec<f32>) {
    let (images, _) = synthetic::generate(200, 0, 3);
    let network = model.network;
    let scalings = scaling::per_channel(&images.elements, synthetic::SHAPE);
    let mut random = secant::Random::new(5, 0);
    let mut parameters = vec![0.0; network.parameter_count()];
    network.initialise(secant::network::Init::He, &mut random, &mut parameters);
    let engine = Engine::new(network, Arc::new(images), scalings, Vec::new(), threads);
    (engine, parameters)
}

/// A step of the program's optimiser on a small network, against the dense matrix of its products.
#[test]
fn a_step_on_a_network_is_that_of_the_dense_solve() {
    let model: Model = "pool7 linear5 tanh linear10".parse().unwrap();
    let network = model.network;
    let (mut engine, parameters) = engine(&model, 1);
    let n = parameters.len();
    let order: Vec<u32> = (0..200).rev().collect();
    let (at, size, samples, damping) = (50, 60, 100, 0.05);
    // The gradient is the batch's, the matrix that of the samples which begin with it.
    let mut gradient = vec![0.0; n];
    engine.gradient(&parameters, &order[at..at + size], None, &mut gradient);
    let mut dense = vec![0.0; n * n];
    for j in 0..n {
        let (mut unit, mut column) = (vec![0.0; n], vec![0.0; n]);
        unit[j] = 1.0;
        let indices = &order[at..at + samples];
        engine.curvature_product(
            Curvature::GaussNewton,
            &parameters,
            indices,
            &unit,
            &mut column,
        );
        for i in 0..n {
            dense[i * n + j] = f64::from(column[i]) + if i == j { damping } else { 0.0 };
        }
    }
    let newton = solve(dense, gradient.iter().map(|g| -f64::from(*g)).collect());
    let words = format!(
        "hessian-free:iterations=400:progress=0:schedule=constant:damping={damping}:product-samples={samples}"
    );
    let choice: Choice = words.parse().unwrap();
    let optimizer = choice.resolve(&network, Batch::Full).unwrap();
    let mut memory = vec![f32::NAN; optimizer.settings().memory_len(&network)];
    let mut stepper = (optimizer.settings().start(&network, false, &mut memory)).unwrap();
    let mut moved = parameters.clone();
    let mut loss = BatchLoss::new(&mut engine, &order[at..at + size], None, n).among(&order, at);
    stepper.step(&mut loss, (0, 2), &mut moved).unwrap();
    // A gradient, a value, and two gradients for each sample of a product.
    let products = (loss.sample_gradients() - 2 * size as u64) / (2 * samples as u64);
    assert!(products > 20 && products <= 400, "{products}");
    for (w, before) in moved.iter_mut().zip(&parameters) {
        *w -= before;
    }
    let off = distance(&moved, &newton);
    assert!(off < 5e-3, "off by {off}");
}

/// Values are those that come with gradients, with dropout and without; products near the end of the
/// order are of its last samples.
#[test]
fn a_batch_counts_what_it_is_asked() {
    let model: Model = "pool4 linear20 relu dropout0.4 linear10".parse().unwrap();
    let (mut engine, parameters) = engine(&model, 1);
    let n = parameters.len();
    let order: Vec<u32> = (0..200).collect();
    let (mut gradient, mut product, mut expected) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    for dropout in [None, Some(DropoutKey { seed: 1, step: 2 })] {
        let batch = &order[150..187];
        let mut loss = BatchLoss::new(&mut engine, batch, dropout, n).among(&order, 150);
        let with = loss.gradient(&parameters, &mut gradient).mean_loss();
        let alone = loss.value(&parameters, &mut product);
        assert_eq!(with.to_bits(), alone.to_bits());
        assert_eq!(loss.sample_gradients(), 2 * 37);
        let hessian = Curvature::Hessian;
        loss.curvature_product(hessian, 80, &parameters, &gradient, &mut product);
        assert_eq!(loss.sample_gradients(), 2 * 37 + 3 * 80);
        engine.curvature_product(
            hessian,
            &parameters,
            &order[120..],
            &gradient,
            &mut expected,
        );
        assert_eq!(product, expected);
        // More than there are: all.
        let mut loss = BatchLoss::new(&mut engine, batch, dropout, n);
        loss.curvature_product(hessian, 80, &parameters, &gradient, &mut product);
        engine.curvature_product(hessian, &parameters, batch, &gradient, &mut expected);
        assert_eq!(product, expected);
    }
}

#[test]
fn threads_change_no_bit() {
    let model: Model = "conv4k5s3 relu linear10".parse().unwrap();
    let network = model.network;
    for words in [
        "hessian-free",
        "lbfgs-flat:pairs=products:pair-every=2:product-samples=70",
    ] {
        let choice: Choice = words.parse().unwrap();
        let optimizer = choice.resolve(&network, choice.default_batch()).unwrap();
        let ends = [1, 2, 3].map(|threads| {
            let (mut engine, mut parameters) = engine(&model, threads);
            let mut memory = vec![0.0; optimizer.settings().memory_len(&network)];
            let mut stepper = (optimizer.settings().start(&network, false, &mut memory)).unwrap();
            let order: Vec<u32> = (0..200).collect();
            let before = parameters.clone();
            for step in 0..12 {
                let at = step * 37 % 160;
                let n = parameters.len();
                let mut loss =
                    BatchLoss::new(&mut engine, &order[at..at + 37], None, n).among(&order, at);
                stepper
                    .step(&mut loss, (step as u32, 24), &mut parameters)
                    .unwrap();
            }
            assert!(parameters != before);
            parameters.iter().map(|w| w.to_bits()).collect::<Vec<_>>()
        });
        assert!(ends[0] == ends[1] && ends[0] == ends[2], "{words}");
    }
}
