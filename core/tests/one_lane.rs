//! The pass of one sample at a time against the lane blocks: a block of two lanes with one sample in it has the same sums in
//! the same order, so every bit of loss, gradient and logits must be the same.

use secant::arch::Isa;
use secant::network::{Layer, Network, Shape, conv2d, dropout, linear, max_pool2d, relu};
use secant::{Batch, DropoutKey, Init, Normalisation, PassError, Progress, Random, Samples, Tally};

const CAPACITY: usize = 12;

/// Shapes and layers that between them have every kind of stage, and every size of code.
fn networks() -> Vec<(&'static str, Shape, Vec<Layer>)> {
    vec![
        (
            "micro",
            Shape::new(1, 28, 28),
            vec![
                conv2d(8, 3),
                relu(),
                max_pool2d(2),
                conv2d(16, 3),
                relu(),
                max_pool2d(2),
                linear(10),
            ],
        ),
        (
            "padding, odd channels, linear with relu",
            Shape::new(3, 13, 11),
            vec![
                conv2d(6, 5).padding(2),
                relu(),
                max_pool2d(2),
                conv2d(7, 3).padding(1),
                relu(),
                linear(9),
                relu(),
                linear(4),
            ],
        ),
        (
            "strides, pool without relu, no pool",
            Shape::new(2, 17, 19),
            vec![
                conv2d(5, 3).stride(2).padding(1),
                max_pool2d(3),
                conv2d(3, 2),
                linear(3),
            ],
        ),
        (
            "overlapping and gapped pools",
            Shape::new(1, 20, 23),
            vec![
                conv2d(4, 3),
                relu(),
                max_pool2d(3).stride(2),
                conv2d(6, 3).padding(2),
                max_pool2d(2).stride(3),
                linear(5),
            ],
        ),
        (
            "pools and activations that stand alone",
            Shape::new(2, 16, 16),
            vec![
                max_pool2d(2),
                relu(),
                max_pool2d(2).stride(1),
                conv2d(4, 3),
                conv2d(5, 1),
                relu(),
                max_pool2d(5),
                linear(6),
                max_pool2d(1),
                linear(2),
            ],
        ),
        (
            "dropout",
            Shape::new(1, 9, 9),
            vec![
                dropout(0.1),
                conv2d(3, 3),
                relu(),
                max_pool2d(2),
                dropout(0.3),
                linear(8),
                relu(),
                dropout(0.5),
                linear(4),
            ],
        ),
    ]
}

struct Case {
    network: Network<CAPACITY>,
    parameters: Vec<f32>,
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

fn case(input: Shape, layers: &[Layer]) -> Case {
    const SAMPLES: usize = 5;
    let network = Network::<CAPACITY>::try_from_slice(input, layers).unwrap();
    let mut random = Random::new(1, 2);
    let mut parameters = vec![0.0; network.parameter_count()];
    network.initialise(Init::PyTorch, &mut random, &mut parameters);
    // Every third byte is zero, as in real images; equal neighbours give ties.
    let pixels = (0..SAMPLES * input.len())
        .map(|_| match random.below(3) {
            0 => 0,
            _ => random.below(8) as u8 * 36,
        })
        .collect();
    let labels = (0..SAMPLES)
        .map(|_| random.below(network.output_len() as u32) as u8)
        .collect();
    Case {
        network,
        parameters,
        pixels,
        labels,
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    // Adding a zero term may change a zero's sign, which is not part of the contract.
    values.iter().map(|v| (v + 0.0).to_bits()).collect()
}

#[test]
fn singles_have_the_bits_of_lane_blocks() {
    for (name, input, layers) in networks() {
        let case = case(input, &layers);
        let samples = Samples {
            pixels: &case.pixels,
            labels: &case.labels,
            normalisation: Normalisation::standard(0.3, 0.2),
        };
        let key = Some(DropoutKey { seed: 7, step: 3 });
        let order = [2u32, 0, 4, 1, 3];
        let batch = |indices| Batch {
            samples,
            indices,
            weight: 0.2,
            dropout: key,
        };
        let n = case.network.parameter_count();

        let (mut blocks, mut tally) = (vec![0.0; n], Tally::default());
        let mut workspace = vec![f32::NAN; case.network.workspace_len(2)];
        let mut logits = vec![0.0; order.len() * case.network.output_len()];
        let outputs = logits.chunks_mut(case.network.output_len());
        for (index, logits) in order.chunks(1).zip(outputs) {
            let net = &case.network;
            let p = &case.parameters;
            tally += net
                .accumulate_gradient::<2>(p, batch(index), &mut blocks, &mut workspace)
                .unwrap();
            net.predict::<2>(p, batch(index), logits, &mut workspace)
                .unwrap();
        }

        for isa in Isa::ALL {
            if Isa::force(isa).is_err() {
                continue;
            }
            // Whatever the memory held before, and however much longer it is.
            for extra in [0, 7] {
                let length = case.network.workspace_len(1) + extra;
                let mut workspace = vec![f32::NAN; length];
                let mut single = vec![0.0; n];
                let p = &case.parameters;
                let net = &case.network;
                let done = net
                    .accumulate_gradient::<1>(p, batch(&order), &mut single, &mut workspace)
                    .unwrap();
                assert_eq!(done, tally, "{name}");
                assert_eq!(bits(&single), bits(&blocks), "{name}: gradient");

                let mut output = vec![0.0; logits.len()];
                net.predict::<1>(p, batch(&order), &mut output, &mut workspace)
                    .unwrap();
                assert_eq!(bits(&output), bits(&logits), "{name}: logits");

                let mut pieces = vec![0.0; n];
                let mut progress = Progress::new();
                let mut count = 0;
                let done = loop {
                    count += 1;
                    if let Some(tally) = progress
                        .advance(net, p, batch(&order), &mut pieces, &mut workspace)
                        .unwrap()
                    {
                        break tally;
                    }
                };
                assert!(count >= 2 * order.len(), "{name}: {count} pieces");
                assert_eq!(done, tally, "{name}: pieces");
                assert_eq!(bits(&pieces), bits(&blocks), "{name}: gradient by pieces");
                assert_eq!(progress, Progress::new());
            }
        }
        Isa::force(Isa::detect()).unwrap();
    }
}

#[test]
fn a_workspace_that_is_too_short_is_an_error() {
    for (name, input, layers) in networks() {
        let case = case(input, &layers);
        let samples = Samples {
            pixels: &case.pixels,
            labels: &case.labels,
            normalisation: Normalisation::UNIT,
        };
        let batch = Batch {
            samples,
            indices: &[0],
            weight: 1.0,
            dropout: None,
        };
        let mut gradient = vec![0.0; case.parameters.len()];
        let mut workspace = vec![0.0; case.network.workspace_len(1) - 1];
        let done = case.network.accumulate_gradient::<1>(
            &case.parameters,
            batch,
            &mut gradient,
            &mut workspace,
        );
        assert_eq!(done, Err(PassError::Workspace), "{name}");
    }
}
