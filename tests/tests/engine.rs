//! The engine of the harness: the same bits for any number of threads and any instruction set.

use std::sync::Arc;

use secant::arch::Isa;
use secant::{DropoutKey, Init, Random};
use secant_harness::dataset::normalisation_of;
use secant_harness::engine::Engine;
use secant_harness::model::Model;
use secant_harness::synthetic;
use secant_tests::contract_bits;

/// Bits of a gradient and of an evaluation. The batch ends in a block that is not full.
fn bits(model: &Model, threads: usize) -> (Vec<u32>, u64, u64) {
    let (images, _) = synthetic::generate(160, 0, 3);
    let network = model.network;
    let mut parameters = vec![0.0; network.parameter_count()];
    network.initialise(Init::He, &mut Random::new(5, 0), &mut parameters);
    let normalisation = normalisation_of(&images.pixels);
    let mut engine = Engine::new(network, Arc::new(images), normalisation, threads);
    let mut gradient = vec![0.0; parameters.len()];
    let mut indices: Vec<u32> = (0..150).collect();
    Random::new(5, 1).shuffle(&mut indices);
    let key = Some(DropoutKey { seed: 7, step: 2 });
    let tally = engine.gradient(&parameters, &indices, key, &mut gradient);
    let evaluation = engine.evaluate(&parameters, &indices);
    let gradient = gradient.into_iter().map(contract_bits).collect();
    (gradient, tally.loss.to_bits(), evaluation.loss.to_bits())
}

#[test]
fn neither_threads_nor_instruction_sets_change_a_bit() {
    let model: Model = "conv8k3 relu pool2 conv4k5p2s2 pool3s2 linear20 relu dropout0.3 linear10"
        .parse()
        .unwrap();
    let expected = bits(&model, 1);
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        Isa::force(isa).unwrap();
        for threads in [1, 2, 3, 5, 8] {
            let found = bits(&model, threads);
            assert!(found == expected, "{} with {threads} threads", isa.name());
        }
    }
    Isa::force(Isa::detect()).unwrap();
}
