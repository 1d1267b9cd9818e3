//! Steps of optimisers in parts: any parts, applied in any order, have the bits of the whole step.

use secant::network::{Init, Network, Shape, conv2d, linear, relu};
use secant::optim::{
    Adam, AdamConfig, Decay, LayerLbfgs, LayerLbfgsConfig, SecondMoment, Sgd, SgdConfig,
};
use secant::{Batch, LayerInputs, Normalisation, Random, Samples};

/// Layers of 5 and of 3 rows, of many short ones, of one, and of four with a single input.
const NET: Network<7> = Network::new(
    Shape::new(1, 4, 5),
    [
        conv2d(5, 3),
        relu(),
        linear(3),
        linear(40),
        relu(),
        linear(1),
        linear(4),
    ],
);
const N: usize = NET.parameter_count();

/// Lengths of parts: rows of two, some, all but two, all.
const LENGTHS: [usize; 7] = [0, 1, 17, 40, 100, 1000, usize::MAX];

fn parameters() -> [f32; N] {
    let mut parameters = [0.0; N];
    NET.initialise(Init::He, &mut Random::new(1, 0), &mut parameters);
    parameters
}

/// Something that changes from step to step.
fn gradient(step: u64) -> [f32; N] {
    let mut random = Random::new(2, step);
    core::array::from_fn(|_| random.uniform() - 0.5)
}

#[test]
fn parts_of_elementwise_steps_have_the_bits_of_the_whole() {
    let configs = [
        AdamConfig::DEFAULT,
        AdamConfig {
            weight_decay: 0.1,
            nesterov: true,
            ..AdamConfig::DEFAULT
        },
    ];
    for (config, len) in configs
        .into_iter()
        .flat_map(|c| LENGTHS.map(|len| (c, len)))
    {
        let mut memory = [[0.0; Adam::memory_len(N)]; 2];
        let [mine, other] = &mut memory;
        let mut whole = Adam::new(config, N, mine).unwrap();
        let mut divided = Adam::new(config, N, other).unwrap();
        let (mut x, mut y) = (parameters(), parameters());
        for step in 0..3 {
            let g = gradient(step);
            whole.step(0.5, &mut x, &g).unwrap();
            let parts = divided.parts(0.5, &mut y, &g, len).unwrap();
            let parts: Vec<_> = parts.collect();
            assert_eq!(parts.len(), N.div_ceil(len.max(1)));
            parts.into_iter().rev().for_each(|part| part.apply());
        }
        assert_eq!((x, whole.memory()), (y, divided.memory()));
        assert!(whole.parts(1.0, &mut x, &[0.0; N - 1], len).is_err());
        assert_eq!(whole.steps(), 3);
    }
    let configs = [
        SgdConfig::DEFAULT,
        SgdConfig {
            weight_decay: 0.1,
            decay: Decay::Decoupled,
            nesterov: true,
            ..SgdConfig::DEFAULT
        },
    ];
    for (config, len) in configs
        .into_iter()
        .flat_map(|c| LENGTHS.map(|len| (c, len)))
    {
        let mut memory = [[0.0; Sgd::memory_len(N)]; 2];
        let [mine, other] = &mut memory;
        let mut whole = Sgd::new(config, N, mine).unwrap();
        let mut divided = Sgd::new(config, N, other).unwrap();
        let (mut x, mut y) = (parameters(), parameters());
        for step in 0..3 {
            let g = gradient(step);
            whole.step(0.5, &mut x, &g).unwrap();
            let parts: Vec<_> = divided.parts(0.5, &mut y, &g, len).unwrap().collect();
            parts.into_iter().rev().for_each(|part| part.apply());
        }
        assert_eq!((x, whole.memory()), (y, divided.memory()));
    }
}

#[test]
fn parts_of_layerwise_steps_have_the_bits_of_the_whole() {
    let pixels: Vec<u8> = (0..200u8).map(|i| i.wrapping_mul(83)).collect();
    let samples = Samples::bytes(&pixels, &[0; 10], Normalisation::UNIT);
    let indices: Vec<u32> = (0..10).collect();
    let batch = Batch::new(samples, &indices);
    let mut workspace = vec![0.0; LayerLbfgs::<4>::workspace_len(&NET, 4)];
    for second_moment in [
        SecondMoment::Row,
        SecondMoment::Element,
        SecondMoment::Factored,
    ] {
        for (decay, len) in [Decay::Coupled, Decay::Decoupled]
            .into_iter()
            .flat_map(|decay| LENGTHS.map(|len| (decay, len)))
        {
            let config = LayerLbfgsConfig {
                second_moment,
                weight_decay: 0.1,
                decay,
                ..LayerLbfgsConfig::DEFAULT
            };
            const MEMORY: usize = LayerLbfgs::<4>::memory_len(&NET, SecondMoment::Element);
            let mut memory = [[0.0; MEMORY]; 2];
            let [mine, other] = &mut memory;
            let mut whole = LayerLbfgs::<4>::new(config, &NET, mine).unwrap();
            let mut divided = LayerLbfgs::<4>::new(config, &NET, other).unwrap();
            let (mut x, mut y) = (parameters(), parameters());
            let mut counts = Vec::new();
            for step in 0..3 {
                let mut g = gradient(step);
                let mut spare = [0.0; N];
                let mut observe = |inputs: LayerInputs<'_>, scratch: &mut [f32]| {
                    let _ = whole.observe(&inputs, scratch);
                    let _ = divided.observe(&inputs, scratch);
                };
                NET.observe_inputs(&x, batch, &mut workspace, &mut spare, &mut observe)
                    .unwrap();
                let (mut h, before) = (g, x);
                let fresh = whole.step(0.5, &mut x, &mut g).unwrap();
                let (freshness, parts) = divided.parts(0.5, &mut y, &mut h, len).unwrap();
                let parts: Vec<_> = parts.collect();
                counts.push(parts.len());
                assert!(x.iter().zip(before).all(|(x, before)| *x != before));
                parts.into_iter().rev().for_each(|part| part.apply());
                assert_eq!((fresh, g), (freshness, h), "{second_moment:?}, {len}");
            }
            assert_eq!((x, whole.memory()), (y, divided.memory()));
            assert!(whole.refreshes().0 > 0);
            // Rows of 10, 31, 4, 41 and 2; two at least in a part.
            let expected = match (second_moment, len) {
                (SecondMoment::Factored, _) => 5,
                (_, 0 | 1) => 2 + 1 + 20 + 1 + 2,
                (_, 17) => 2 + 1 + 10 + 1 + 1,
                (_, 40) => 1 + 1 + 4 + 1 + 1,
                (_, 100) => 1 + 1 + 2 + 1 + 1,
                _ => 5,
            };
            assert_eq!(counts, [expected; 3], "{second_moment:?}, {len}");
        }
    }
}
