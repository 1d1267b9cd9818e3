//! The engine of the harness: the same bits for any number of threads and any instruction set.

use std::sync::Arc;

use secant::arch::Isa;
use secant::network::{Convolution, Init};
use secant::{Curvature, DropoutKey, Random};
use secant_harness::data::{scaling, synthetic};
use secant_harness::engine::Engine;
use secant_harness::model::Model;
use secant_tests::contract_bits;

/// Bits of a gradient and of two curvature products of `count` images, and of an evaluation. The
/// batch ends in a block that is not full.
fn bits(model: &Model, count: u32, threads: usize) -> (Vec<u32>, u64, u64) {
    let (images, _) = synthetic::generate(count as usize + 10, 0, 3);
    let network = model.network;
    let mut parameters = vec![0.0; network.parameter_count()];
    network.initialise(Init::He, &mut Random::new(5, 0), &mut parameters);
    let scalings = scaling::per_channel(&images.elements, synthetic::SHAPE);
    let mut engine = Engine::new(network, Arc::new(images), scalings, Vec::new(), threads);
    let mut gradient = vec![0.0; parameters.len()];
    let mut indices: Vec<u32> = (0..count).collect();
    Random::new(5, 1).shuffle(&mut indices);
    let key = Some(DropoutKey { seed: 7, step: 2 });
    let tally = engine.gradient(&parameters, &indices, key, &mut gradient);
    let (evaluation, _) = engine.evaluate(&parameters, &indices);
    // The gradient is as good a vector as any.
    let mut products = vec![0.0; 2 * parameters.len()];
    let both = [Curvature::Hessian, Curvature::GaussNewton];
    for (product, curvature) in products.chunks_exact_mut(parameters.len()).zip(both) {
        let metrics =
            engine.curvature_product(curvature, &parameters, &indices, &gradient, product);
        assert_eq!(metrics, evaluation);
        assert!(product.iter().any(|x| *x != 0.0));
    }
    let floats = gradient.into_iter().chain(products).map(contract_bits);
    (
        floats.collect(),
        tally.loss.to_bits(),
        evaluation.loss.to_bits(),
    )
}

#[test]
fn neither_threads_nor_instruction_sets_change_a_bit() {
    // More blocks than chunks; then as many chunks as blocks, whose number no number of threads but
    // 5 divides.
    for (model, count) in [
        (
            "conv8k3 relu pool2 conv4k5p2s2 pool3s2 linear20 relu dropout0.3 linear10",
            150,
        ),
        ("micro", 150),
        ("seed", 70),
        // Two chunks, so that 16 threads are teams of 8, with more members than parts.
        (
            "conv5k1 conv24k3p1 relu pool2 dropout0.3 linear300 relu linear10",
            20,
        ),
        // As `2c2d`, with fewer channels.
        (
            "conv6k5p2 relu pool2 conv9k5p2 relu pool2 linear50 relu linear10",
            70,
        ),
    ] {
        for algorithm in [Convolution::Direct, Convolution::Winograd] {
            let mut network: Model = model.parse().unwrap();
            network.network = network.network.with_convolution(algorithm);
            let expected = bits(&network, count, 1);
            for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                Isa::force(isa).unwrap();
                // The baseline fuses in software: fewer numbers, unless there is time.
                let slow = isa == Isa::Baseline && std::env::var_os("SECANT_EXHAUSTIVE").is_none();
                let numbers: &[usize] = match slow {
                    true => &[1, 5],
                    false => &[1, 2, 3, 5, 8, 16],
                };
                for &threads in numbers {
                    let found = bits(&network, count, threads);
                    let (isa, name) = (isa.name(), algorithm.name());
                    assert!(
                        found == expected,
                        "{model}, {name}: {isa} with {threads} threads"
                    );
                }
            }
            Isa::force(Isa::detect()).unwrap();
        }
    }
}
