//! The optimiser on small networks: against Adam, against the second moment itself, and on data
//! that are not numbers.

use super::*;
use crate::arch::Isa;
use crate::network::presets::{MICRO, SEED};
use crate::network::{Init, Layer, Shape, conv2d, depthwise_conv2d, linear, max_pool2d, relu};
use crate::optim::adam::{Adam, Decay};
use crate::samples::{Normalisation, Samples};

const SMALL: Network<5> = Network::new(
    Shape::new(1, 8, 8),
    [conv2d(3, 3), relu(), max_pool2d(2), linear(7), linear(4)],
);
const N: usize = SMALL.parameter_count();

/// 32 random images of 8 x 8.
fn images(pixels: &mut [u8; 32 * 64], labels: &mut [u8; 32]) {
    let mut random = Random::new(5, 0);
    for p in pixels.iter_mut() {
        *p = random.below(256) as u8;
    }
    for (i, label) in labels.iter_mut().enumerate() {
        *label = (i % 4) as u8;
    }
}

fn batch<'a>(pixels: &'a [u8], labels: &'a [u8], indices: &'a [u32]) -> Batch<'a> {
    let normalisation = Normalisation::UNIT;
    let samples = Samples::bytes(pixels, labels, normalisation);
    let weight = 1.0 / indices.len() as f32;
    Batch::new(samples, indices).weight(weight)
}

#[test]
fn without_pairs_the_element_form_is_adam_bit_for_bit() {
    let (mut pixels, mut labels) = ([0; 32 * 64], [0; 32]);
    images(&mut pixels, &mut labels);
    for (decay, weight_decay) in [
        (Decay::Coupled, 0.0),
        (Decay::Coupled, 1e-3),
        (Decay::Decoupled, 1e-2),
    ] {
        let mut start = [0.0; N];
        SMALL.initialise(Init::He, &mut Random::new(2, 0), &mut start);
        let (mut w, mut g) = (start, [0.0; N]);
        let mut workspace = [0.0; SMALL.workspace_len(16)];
        let config = LayerLbfgsConfig {
            weight_decay,
            decay,
            ..LayerLbfgsConfig::DEFAULT
        };
        let mut moments = [f32::NAN; Adam::memory_len(N)];
        let mut memory = [f32::NAN; LayerLbfgs::<0>::memory_len(&SMALL, SecondMoment::Element)];
        let mut adam = Adam::new(config.adam(), N, &mut moments).unwrap();
        let mut lbfgs = LayerLbfgs::<0>::new(config, &SMALL, &mut memory).unwrap();
        let mut v = start;
        let mut random = Random::new(1, 1);
        for step in 0..1000 {
            let mut indices = [0; 4];
            indices.fill_with(|| random.below(32));
            let batch = batch(&pixels, &labels, &indices);
            let factor = 1.0 - step as f32 / 1000.0;
            g.fill(0.0);
            SMALL
                .accumulate_gradient::<16>(&w, batch, &mut g, &mut workspace)
                .unwrap();
            adam.step(factor, &mut w, &g).unwrap();
            g.fill(0.0);
            assert!(!lbfgs.wants_inputs());
            SMALL
                .accumulate_gradient::<16>(&v, batch, &mut g, &mut workspace)
                .unwrap();
            let freshness = lbfgs.step(factor, &mut v, &mut g);
            assert_eq!(freshness, Ok(Freshness::Current));
            for (a, b) in w.iter().zip(&v) {
                assert_eq!(a.to_bits(), b.to_bits(), "step {step}");
            }
        }
        assert!(w.iter().all(|w| w.is_finite()) && w != start);
    }
}

/// With all directions of a layer, the pairs are the eigenvectors of the second moment of its rows.
#[test]
fn pairs_are_the_eigenvectors_of_the_second_moment() {
    const WIDE: Network<1> = Network::new(Shape::vector(6), [linear(3)]);
    let (mut pixels, labels) = ([0u8; 16 * 6], [1u8; 16]);
    let mut random = Random::new(9, 0);
    for p in pixels.iter_mut() {
        *p = random.below(256) as u8;
    }
    let indices: [u32; 16] = core::array::from_fn(|i| i as u32);
    let batch = batch(&pixels, &labels, &indices);
    let mut memory = [0.0; LayerLbfgs::<2>::memory_len(&WIDE, SecondMoment::Row)];
    let mut workspace = [0.0; LayerLbfgs::<2>::workspace_len(&WIDE, 16)];
    let (w, mut g) = ([0.1; WIDE.parameter_count()], [0.0; WIDE.parameter_count()]);
    let config = LayerLbfgsConfig {
        second_moment: SecondMoment::Row,
        ..LayerLbfgsConfig::DEFAULT
    };
    let mut lbfgs = LayerLbfgs::<2>::new(config, &WIDE, &mut memory).unwrap();
    let mut seen = 0;
    WIDE.accumulate_gradient_observed::<16>(
        &w,
        batch,
        &mut g,
        &mut workspace,
        &mut |inputs, scratch| {
            seen += 1;
            assert_eq!(
                (inputs.row_len(), inputs.positions(), inputs.samples()),
                (7, 1, 16)
            );
            assert_eq!(lbfgs.observe(&inputs, scratch), Refresh::Updated);
        },
    )
    .unwrap();
    assert_eq!(seen, 1);
    let mut plain = [0.0; WIDE.parameter_count()];
    WIDE.accumulate_gradient::<16>(&w, batch, &mut plain, &mut workspace)
        .unwrap();
    assert_eq!(g, plain, "being watched changes no bit");
    let (v, l) = lbfgs.memory().split_at(7 * 7);
    for i in 0..7 {
        for k in 0..7 {
            let mut modelled = 0.0;
            for j in 0..7 {
                modelled += l[j] * v[j * 7 + i] * v[j * 7 + k];
            }
            let mut exact = 0.0;
            for sample in 0..16 {
                let value = |i: usize| {
                    if i == 6 {
                        1.0
                    } else {
                        f32::from(pixels[sample * 6 + i]) / 255.0
                    }
                };
                exact += value(i) * value(k) / 16.0;
            }
            assert!(
                (modelled - exact).abs() < 1e-5,
                "{i} {k}: {modelled} {exact}"
            );
        }
    }
}

/// The trace is the mean of the rows' squared lengths, with a longer memory from refresh to refresh.
#[test]
fn the_trace_is_a_running_mean_of_squared_lengths() {
    const WIDE: Network<1> = Network::new(Shape::vector(20), [linear(3)]);
    const ROW: usize = 21;
    let (mut pixels, labels) = ([0u8; 64 * 20], [1u8; 64]);
    let mut random = Random::new(9, 0);
    for (i, p) in pixels.iter_mut().enumerate() {
        // Each sixteen samples are brighter than those before.
        *p = random.below(1 + 60 * (1 + i as u32 / 320)) as u8;
    }
    let mut memory = [0.0; LayerLbfgs::<2>::memory_len(&WIDE, SecondMoment::Row)];
    let mut workspace = [0.0; LayerLbfgs::<2>::workspace_len(&WIDE, 16)];
    let (mut w, mut g) = ([0.1; WIDE.parameter_count()], [0.0; WIDE.parameter_count()]);
    let config = LayerLbfgsConfig {
        second_moment: SecondMoment::Row,
        keep: 0.6,
        ..LayerLbfgsConfig::DEFAULT
    };
    let mut lbfgs = LayerLbfgs::<2>::new(config, &WIDE, &mut memory).unwrap();
    let mut expected = 0.0;
    for (round, keep) in [0.0, 0.5, 0.6, 0.6].into_iter().enumerate() {
        let indices: [u32; 16] = core::array::from_fn(|i| (16 * round + i) as u32);
        WIDE.accumulate_gradient_observed::<16>(
            &w,
            batch(&pixels, &labels, &indices),
            &mut g,
            &mut workspace,
            &mut |inputs, scratch| assert_eq!(lbfgs.observe(&inputs, scratch), Refresh::Updated),
        )
        .unwrap();
        let squares = indices.iter().map(|sample| {
            let row = &pixels[*sample as usize * 20..][..20];
            let squares = row
                .iter()
                .map(|p| (f64::from(*p) / 255.0) * (f64::from(*p) / 255.0));
            1.0 + squares.sum::<f64>()
        });
        expected = keep * expected + (1.0 - keep) * squares.sum::<f64>() / 16.0;
        let trace = f64::from(lbfgs.memory()[2 * ROW + 2]);
        assert!(
            (trace - expected).abs() < 1e-5 * expected,
            "{round}: {trace} {expected}"
        );
        let _ = lbfgs.step(1.0, &mut w, &mut g).unwrap();
    }
}

/// A row that is short keeps all its directions, a longer one as many as it may.
#[test]
fn pairs_and_rates_are_those_of_the_documentation() {
    for n in 1..40 {
        assert_eq!(LayerLbfgs::<0>::pairs(n), 0);
        assert_eq!(LayerLbfgs::<4>::pairs(n), if n <= 16 { n } else { 4 });
        assert_eq!(LayerLbfgs::<16>::pairs(n), if n <= 16 { n } else { 16 });
    }
    let near = |found: f32, expected: f32| assert!((found - expected).abs() < 0.02 * expected);
    near(LayerLbfgs::<8>::learning_rate(&MICRO, 32), 0.010);
    near(LayerLbfgs::<8>::learning_rate(&SEED, 32), 0.0034);
    near(LayerLbfgs::<8>::learning_rate(&SEED, 128), 0.0068);
}

#[test]
fn every_second_moment_and_number_of_pairs_learns() {
    fn learn<const M: usize>(second_moment: SecondMoment) {
        let (mut pixels, mut labels) = ([0; 32 * 64], [0; 32]);
        images(&mut pixels, &mut labels);
        let indices: [u32; 32] = core::array::from_fn(|i| i as u32);
        let batch = batch(&pixels, &labels, &indices);
        let (mut w, mut g) = ([0.0; N], [0.0; N]);
        SMALL.initialise(Init::He, &mut Random::new(2, 0), &mut w);
        let mut workspace = [0.0; LayerLbfgs::<16>::workspace_len(&SMALL, 16)];
        let mut memory = [0.0; 3 * N + 2000];
        let config = LayerLbfgsConfig {
            second_moment,
            ..LayerLbfgsConfig::DEFAULT
        };
        let mut lbfgs = LayerLbfgs::<M>::new(config, &SMALL, &mut memory).unwrap();
        let before = SMALL
            .evaluate::<16>(&w, batch, &mut workspace)
            .unwrap()
            .mean_loss();
        for step in 0..150 {
            let metrics = lbfgs
                .train_step::<16, _>(&SMALL, 1.0, &mut w, batch, &mut g, &mut workspace)
                .unwrap();
            assert!(step > 0 || metrics.mean_loss() == before);
        }
        let after = SMALL
            .evaluate::<16>(&w, batch, &mut workspace)
            .unwrap()
            .mean_loss();
        assert!(
            after < 0.3 * before,
            "{second_moment:?}, {M} pairs: {before} to {after}"
        );
        assert_eq!(lbfgs.refreshes(), (if M == 0 { 0 } else { 17 }, 0));
    }
    for second_moment in SecondMoment::ALL {
        learn::<0>(second_moment);
        learn::<1>(second_moment);
        learn::<4>(second_moment);
        learn::<16>(second_moment);
    }
}

/// With one lane, in the least memory, and with several: the same bits as gradient, observation and
/// step one by one.
#[test]
fn a_training_step_is_gradient_observation_and_step() {
    fn compare<const LANES: usize>() {
        let (mut pixels, mut labels) = ([0; 32 * 64], [0; 32]);
        images(&mut pixels, &mut labels);
        let mut start = [0.0; N];
        SMALL.initialise(Init::He, &mut Random::new(2, 0), &mut start);
        let (mut w, mut v) = (start, start);
        let (mut g, mut h) = ([f32::NAN; N], [0.0; N]);
        let mut memory = [[0.0; LayerLbfgs::<4>::memory_len(&SMALL, SecondMoment::Element)]; 2];
        let [a, b] = &mut memory;
        let config = LayerLbfgsConfig {
            refresh_first: 2,
            refresh_every: 3,
            ..LayerLbfgsConfig::DEFAULT
        };
        let mut whole = LayerLbfgs::<4>::new(config, &SMALL, a).unwrap();
        let mut parts = LayerLbfgs::<4>::new(config, &SMALL, b).unwrap();
        let mut workspace = [0.0; 2 * SMALL.workspace_len(16)];
        let exact = if LANES == 1 {
            SMALL.workspace_len(1)
        } else {
            LayerLbfgs::<4>::workspace_len(&SMALL, LANES)
        };
        let mut random = Random::new(1, 1);
        for step in 0..20 {
            let mut indices = [0; 6];
            indices.fill_with(|| random.below(32));
            let batch = batch(&pixels, &labels, &indices);
            let metrics = whole
                .train_step::<LANES, _>(&SMALL, 0.5, &mut w, batch, &mut g, &mut workspace[..exact])
                .unwrap();
            h.fill(0.0);
            let wanted = parts.wants_inputs();
            let found = SMALL
                .accumulate_gradient_observed::<LANES>(
                    &v,
                    batch,
                    &mut h,
                    &mut workspace,
                    &mut |inputs, scratch| {
                        if wanted {
                            assert_eq!(parts.observe(&inputs, scratch), Refresh::Updated);
                        }
                    },
                )
                .unwrap();
            assert_eq!(parts.step(0.5, &mut v, &mut h), Ok(Freshness::Current));
            assert_eq!((metrics, w, g), (found, v, h), "step {step}");
        }
        assert_eq!(whole.memory(), parts.memory());
        assert_eq!(whole.progress, parts.progress);
        assert_eq!(whole.refreshes(), (8, 0));
    }
    compare::<1>();
    compare::<16>();
}

/// Steps and refreshes have the same bits on every instruction set.
#[test]
fn no_instruction_set_changes_a_bit() {
    for second_moment in SecondMoment::ALL {
        let (mut pixels, mut labels) = ([0; 32 * 64], [0; 32]);
        images(&mut pixels, &mut labels);
        let mut first = None;
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            Isa::force(isa).unwrap();
            let (mut w, mut g) = ([0.0; N], [0.0; N]);
            SMALL.initialise(Init::He, &mut Random::new(2, 0), &mut w);
            let mut workspace = [0.0; LayerLbfgs::<5>::workspace_len(&SMALL, 16)];
            let mut memory = [0.0; 3 * N + 2000];
            let config = LayerLbfgsConfig {
                second_moment,
                refresh_first: 3,
                refresh_every: 4,
                weight_decay: 1e-3,
                ..LayerLbfgsConfig::DEFAULT
            };
            let mut lbfgs = LayerLbfgs::<5>::new(config, &SMALL, &mut memory).unwrap();
            let mut random = Random::new(1, 1);
            for _ in 0..12 {
                let mut indices = [0; 13];
                indices.fill_with(|| random.below(32));
                let batch = batch(&pixels, &labels, &indices);
                lbfgs
                    .train_step::<16, _>(&SMALL, 1.0, &mut w, batch, &mut g, &mut workspace)
                    .unwrap();
            }
            let found = (w.map(f32::to_bits), memory.map(f32::to_bits));
            match &first {
                None => first = Some(found),
                Some(first) => assert!(found == *first, "{second_moment:?}, {}", isa.name()),
            }
        }
    }
}

/// The rows of several samples are those of one after the other.
#[test]
fn rows_of_several_samples_are_those_of_each() {
    const LANES: usize = 16;
    let layers = [
        conv2d(3, 3),
        depthwise_conv2d(2),
        relu(),
        linear(7),
        linear(4),
    ];
    let network = Network::new(Shape::new(1, 8, 8), layers);
    let (mut pixels, mut labels) = ([0; 32 * 64], [0; 32]);
    images(&mut pixels, &mut labels);
    let indices: [u32; LANES] = core::array::from_fn(|i| 7 * i as u32 % 32);
    let batch = batch(&pixels, &labels, &indices);
    let (mut w, mut g, mut workspace) = ([0.0; 2000], [0.0; 2000], [0.0; 60_000]);
    let count = network.parameter_count();
    network.initialise(Init::He, &mut Random::new(2, 0), &mut w[..count]);
    let mut seen = 0;
    network
        .accumulate_gradient_observed::<LANES>(
            &w[..count],
            batch,
            &mut g[..count],
            &mut workspace,
            &mut |inputs, _| {
                let n = inputs.row_len();
                for position in 0..inputs.positions() {
                    for first in 0..LANES {
                        for some in 1..=LANES - first {
                            let mut rows = [f32::NAN; LANES * 100];
                            inputs.rows(position, first, &mut rows[..some * n]);
                            for (i, found) in rows[..some * n].chunks_exact(n).enumerate() {
                                let mut row = [f32::NAN; 100];
                                inputs.row(position, first + i, &mut row[..n]);
                                assert_eq!(found, &row[..n]);
                                seen += 1;
                            }
                            assert!(rows[some * n..].iter().all(|x| x.is_nan()));
                        }
                    }
                }
            },
        )
        .unwrap();
    assert!(seen > 1000, "{seen}");
}

/// A head of two classes has fewer parameters than a refresh needs scratch: then the optimiser
/// brings its own.
#[test]
fn a_small_head_is_refreshed() {
    const HEAD: Network<1> = Network::new(Shape::vector(64), [linear(2)]);
    const P: usize = HEAD.parameter_count();
    const SCRATCH: usize = 8 * 65 + 2 * 8 * 8 + 65;
    const { assert!(P < SCRATCH) };
    assert_eq!(LayerLbfgs::<8>::scratch_len(&HEAD), 0);
    let state = 8 * 65 + 8 + 1 + P + 2;
    let needed = LayerLbfgs::<8>::memory_len(&HEAD, SecondMoment::Row);
    assert_eq!(needed, state + SCRATCH);

    let (mut pixels, mut labels) = ([0; 32 * 64], [0; 32]);
    images(&mut pixels, &mut labels);
    labels.iter_mut().for_each(|label| *label %= 2);
    let batch = batch(&pixels, &labels, &[3, 4, 5]);
    let (mut w, mut g, mut workspace) = ([0.0; P], [0.0; P], [0.0; HEAD.workspace_len(1)]);
    let mut memory = [0.0; LayerLbfgs::<8>::memory_len(&HEAD, SecondMoment::Row)];
    let config = LayerLbfgsConfig {
        second_moment: SecondMoment::Row,
        ..LayerLbfgsConfig::DEFAULT
    };
    let mut lbfgs = LayerLbfgs::<8>::new(config, &HEAD, &mut memory).unwrap();
    for _ in 0..5 {
        lbfgs
            .train_step::<1, _>(&HEAD, 1.0, &mut w, batch, &mut g, &mut workspace)
            .unwrap();
    }
    assert_eq!(lbfgs.refreshes(), (5, 0));
    assert_eq!(lbfgs.memory().len(), state);
}

#[test]
fn steps_say_how_fresh_their_curvature_is() {
    let (mut pixels, mut labels) = ([0; 32 * 64], [0; 32]);
    images(&mut pixels, &mut labels);
    let batch = batch(&pixels, &labels, &[1, 2]);
    let (mut w, mut g) = ([0.0; N], [0.0; N]);
    let mut workspace = [0.0; SMALL.workspace_len(1)];
    let mut memory = [0.0; LayerLbfgs::<2>::memory_len(&SMALL, SecondMoment::Element)];
    let config = LayerLbfgsConfig {
        refresh_first: 1,
        refresh_every: 2,
        ..LayerLbfgsConfig::DEFAULT
    };
    let mut lbfgs = LayerLbfgs::<2>::new(config, &SMALL, &mut memory).unwrap();
    let mut step = |lbfgs: &mut LayerLbfgs<'_, 2>| lbfgs.step(1.0, &mut w, &mut g).unwrap();
    for _ in 0..3 {
        assert_eq!(step(&mut lbfgs), Freshness::Missing);
    }
    assert_eq!(lbfgs.refreshes(), (0, 0));
    let mut scratch = [0.0; N];
    SMALL
        .observe_inputs(
            &[0.1; N],
            batch,
            &mut workspace,
            &mut scratch,
            &mut |inputs, scratch| {
                assert_eq!(lbfgs.observe(&inputs, scratch), Refresh::Updated);
            },
        )
        .unwrap();
    assert_eq!(step(&mut lbfgs), Freshness::Current);
    assert_eq!(lbfgs.refreshes(), (1, 0));
    assert_eq!(step(&mut lbfgs), Freshness::Stale);
    assert_eq!(step(&mut lbfgs), Freshness::Current);
    lbfgs.reset();
    assert_eq!(step(&mut lbfgs), Freshness::Missing);
}

#[test]
fn inputs_that_are_not_finite_leave_the_pairs_alone() {
    let layers: [Layer; 1] = [linear(2)];
    let network: Network<1> = Network::new(Shape::vector(3), layers);
    let normalisation = Normalisation::standard(0.0, 0.0);
    let samples = Samples::bytes(&[1, 2, 3], &[0], normalisation);
    let batch = Batch::new(samples, &[0]);
    let (mut memory, mut workspace, mut g) = ([0.0; 200], [0.0; 200], [0.0; 8]);
    let config = LayerLbfgsConfig::DEFAULT;
    let mut lbfgs = LayerLbfgs::<2>::new(config, &network, &mut memory).unwrap();
    let mut verdict = Refresh::Updated;
    network
        .accumulate_gradient_observed::<1>(
            &[0.0; 8],
            batch,
            &mut g,
            &mut workspace,
            &mut |inputs, scratch| {
                verdict = lbfgs.observe(&inputs, scratch);
            },
        )
        .unwrap();
    assert_eq!(verdict, Refresh::NotFinite);
    let after_v = &lbfgs.memory()[4 * 4..][..5];
    assert_eq!(after_v, [0.0; 5], "no eigenvalue and no trace");
    assert_eq!(lbfgs.refreshes(), (0, 1));
    assert_eq!(
        lbfgs.step(1.0, &mut [0.0; 8], &mut g),
        Ok(Freshness::Missing)
    );
    assert_eq!(lbfgs.refreshes(), (0, 1), "a refresh that failed is none");
}

#[test]
fn what_is_wrong_is_told() {
    const KIND: SecondMoment = SecondMoment::Element;
    let config = LayerLbfgsConfig::DEFAULT;
    let needed = LayerLbfgs::<2>::memory_len(&SMALL, KIND);
    assert_eq!(
        LayerLbfgs::<2>::new(config, &SMALL, &mut [0.0; 5]).err(),
        Some(ConfigError::TooShort {
            slice: "memory",
            needed,
            found: 5
        })
    );
    let damping = 0.0;
    let undamped = LayerLbfgsConfig { damping, ..config };
    assert_eq!(
        LayerLbfgs::<2>::new(undamped, &SMALL, &mut [0.0; 3 * N]).err(),
        Some(ConfigError::OutOfRange {
            field: "damping",
            range: "positive and finite",
            found: 0.0
        })
    );
    let mut memory = [0.0; LayerLbfgs::<2>::memory_len(&SMALL, KIND)];
    let mut lbfgs = LayerLbfgs::<2>::new(config, &SMALL, &mut memory).unwrap();
    let (mut w, mut g) = ([0.0; N], [0.0; N]);
    let short = ConfigError::WrongLength {
        slice: "gradient",
        expected: N,
        found: N - 1,
    };
    assert_eq!(lbfgs.step(1.0, &mut w, &mut g[1..]), Err(short));
    let (mut pixels, mut labels) = ([0; 32 * 64], [0; 32]);
    images(&mut pixels, &mut labels);
    let batch = batch(&pixels, &labels, &[1, 2]);
    let mut workspace = [0.0; SMALL.workspace_len(16)];
    let step = |lbfgs: &mut LayerLbfgs<'_, 2>, w: &mut [f32], g: &mut [f32], length| {
        let mut workspace = [0.0; SMALL.workspace_len(16)];
        lbfgs.train_step::<16, _>(&SMALL, 1.0, w, batch, g, &mut workspace[..length])
    };
    assert_eq!(
        step(&mut lbfgs, &mut w, &mut g[1..], workspace.len()),
        Err(TrainError::Config(short))
    );
    assert_eq!(
        step(&mut lbfgs, &mut w, &mut g, 7),
        Err(TrainError::Config(ConfigError::TooShort {
            slice: "workspace",
            needed: LayerLbfgs::<2>::workspace_len(&SMALL, 16),
            found: 7
        }))
    );
    assert_eq!(lbfgs.steps(), 0);

    // A scratch that is too short, and inputs of another network.
    const OTHER: Network<1> = Network::new(Shape::new(1, 8, 8), [linear(16)]);
    let parameters = [0.0; OTHER.parameter_count()];
    let needed = LayerLbfgs::<2>::scratch_len(&OTHER);
    assert_eq!(needed, 2 * 65 + 2 * 2 * 2 + 65);
    let mut memory = [0.0; LayerLbfgs::<2>::memory_len(&OTHER, KIND)];
    let mut other = LayerLbfgs::<2>::new(config, &OTHER, &mut memory).unwrap();
    let mut observe = |inputs: LayerInputs<'_>, _: &mut [f32]| {
        let short = Refresh::ScratchTooShort { needed, found: 3 };
        assert_eq!(other.observe(&inputs, &mut [0.0; 3]), short);
        assert_eq!(lbfgs.observe(&inputs, &mut [0.0; N]), Refresh::OtherNetwork);
    };
    OTHER
        .observe_inputs(&parameters, batch, &mut workspace, &mut [], &mut observe)
        .unwrap();
    assert_eq!((lbfgs.refreshes(), other.refreshes()), ((0, 0), (0, 0)));
}

/// Inputs that are seldom other than zero: a refresh turns the momentum into directions in which
/// the second moments have next to nothing, and must not let the quotient of the two decide the
/// length of the step.
#[test]
fn rare_inputs_take_no_long_steps_after_a_refresh() {
    const INPUTS: usize = 40;
    const WIDE: Network<3> = Network::new(Shape::vector(INPUTS), [linear(12), relu(), linear(4)]);
    const P: usize = WIDE.parameter_count();
    let (mut pixels, mut labels) = ([0u8; 512 * INPUTS], [0u8; 512]);
    let mut random = Random::new(3, 0);
    for (image, label) in pixels.chunks_exact_mut(INPUTS).zip(&mut labels) {
        *label = random.below(4) as u8;
        for (k, p) in image.iter_mut().enumerate() {
            // The first inputs always, the later ones ever more rarely.
            if random.below(1 + (k * k / 4) as u32) == 0 {
                *p = random.below(256) as u8;
            }
        }
    }
    let (mut w, mut g) = ([0.0; P], [0.0; P]);
    WIDE.initialise(Init::PyTorch, &mut Random::new(2, 0), &mut w);
    let mut workspace = [0.0; LayerLbfgs::<4>::workspace_len(&WIDE, 16)];
    let mut memory = [0.0; 3 * P + 1000];
    let mut lbfgs = LayerLbfgs::<4>::new(LayerLbfgsConfig::DEFAULT, &WIDE, &mut memory).unwrap();
    let mut longest = 0.0f32;
    for step in 0..256 {
        let indices: [u32; 4] = core::array::from_fn(|i| (4 * step + i) as u32 % 512);
        let batch = batch(&pixels, &labels, &indices);
        lbfgs
            .train_step::<16, _>(&WIDE, 1.0, &mut w, batch, &mut g, &mut workspace)
            .unwrap();
        // The gradient is now the direction that was taken.
        for u in g {
            if u.abs() > longest {
                longest = u.abs();
            }
        }
    }
    // A quotient of Adam's is at most `(1 - b1) / sqrt((1 - b2) (1 - b1^2 / b2))`, 1.7, and the
    // metric's root stretches a row to at most `1 / sqrt(lambda)`, 1.8 times its length. Uncovered
    // second moments take this to some hundred thousand.
    assert!(longest < 1.7 * 1.8, "{longest}");
}
