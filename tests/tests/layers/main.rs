//! Every layer against the oracle: forward at awkward sizes, gradients against finite differences,
//! the same bits from every instruction set, and who wins a tie.

#[macro_use]
mod fixture;
mod curvature;
mod inference;
mod networks;

use fixture::{Fixture, LANES};
use networks::{cases, fixtures, is_winograd};
use secant::arch::Isa;
use secant::network::{
    Layer, Shape, conv1d, conv2d, depthwise_conv2d, global_avg_pool2d, linear, max_pool2d, relu,
};
use secant::{Affine, Batch, Loss, Metrics, Normalisation, PassError, Samples, Targets, Values};
use secant_tests::contract_bits;
use secant_tests::oracle::Masks;
use secant_tests::tolerance;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Mutex;

/// The instruction set is one for the whole process: tests that force it take turns.
static FORCED: Mutex<()> = Mutex::new(());

/// A network in one line, for messages.
fn describe(fixture: &Fixture) -> String {
    format!(
        "{:?} {:?} {:?} dropout {:?}",
        fixture.network.input(),
        fixture.network.layers(),
        fixture.network.loss(),
        fixture.dropout
    )
}

/// Terms of the longest sum of each layer, added up: how many roundings an output has behind it.
fn roundings(fixture: &Fixture) -> f64 {
    let layers = fixture.network.layers().iter().enumerate();
    let sums = layers.map(|(i, layer)| {
        let input = fixture.network.shape(i);
        let (weights, biases) = layer.parameters(input);
        match layer {
            // Two sums over a group, and a few operations with their results.
            Layer::GroupNorm(norm) => 2 * input.len() / norm.groups + 8,
            _ => weights.checked_div(biases).map_or(0, |terms| terms + 1),
        }
    });
    sums.sum::<usize>() as f64 + tolerance::FORWARD_EXTRA_ROUNDINGS
}

#[test]
fn every_kind_of_layer_has_a_case() {
    let source = include_str!("../../../core/src/layers/mod.rs");
    let body = source
        .split("pub enum Layer {")
        .nth(1)
        .and_then(|rest| rest.split("\n}").next());
    let declared: BTreeSet<&str> = body
        .expect("the enum Layer stands in core/src/layers/mod.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(char::is_uppercase))
        .filter_map(|line| line.split(['(', ',']).next())
        .collect();
    let debug: Vec<String> = cases()
        .iter()
        .flat_map(|(_, layers)| layers)
        .map(|layer| format!("{layer:?}"))
        .collect();
    let tested: BTreeSet<&str> = debug
        .iter()
        .filter_map(|name| name.split(['(', ' ']).next())
        .collect();
    assert!(
        declared.len() >= 5,
        "found only {declared:?} in the enum Layer"
    );
    assert_eq!(
        declared, tested,
        "left: the kinds that the library has; right: the kinds in `cases`"
    );
}

#[test]
fn forward_agrees_with_the_oracle() {
    for fixture in fixtures(3) {
        let (oracle, classes) = (fixture.oracle(), fixture.network.output_len());
        let relative = roundings(&fixture) * tolerance::ROUNDING;
        let indices = fixture.indices();
        let found = fixture.predict(16, &indices);
        for (i, found) in indices.iter().zip(found.chunks_exact(classes)) {
            let mask = fixture.mask(*i);
            let expected = oracle.forward(&fixture.values(*i), &mask as Masks<'_>);
            let mut magnitude = oracle.magnitude(&fixture.values(*i), &mask as Masks<'_>);
            if is_winograd(&fixture) {
                let largest = magnitude.iter().fold(0.0, |a, b| f64::max(a, *b));
                magnitude.fill(tolerance::WINOGRAD * largest);
            }
            for (place, ((found, expected), magnitude)) in
                found.iter().zip(expected).zip(magnitude).enumerate()
            {
                let error = (f64::from(*found) - expected).abs();
                assert!(
                    error <= relative * magnitude,
                    "{}: sample {i}, output {place} is {found}, expected {expected}",
                    describe(&fixture)
                );
            }
        }
    }
}

#[test]
fn loss_agrees_with_the_oracle() {
    for fixture in fixtures(3) {
        let indices = fixture.indices();
        let logits = fixture.logits(&fixture.oracle(), &indices);
        let expected = fixture.mean_loss(&logits, &indices);
        let evaluated = fixture.evaluate(4, &indices);
        let (with_gradient, _) = fixture.gradient(4, &indices);
        assert_eq!(evaluated, with_gradient, "{}", describe(&fixture));
        let error = (evaluated.mean_loss() - expected).abs();
        assert!(
            error <= tolerance::LOSS * (1.0 + expected),
            "{}: loss {}, expected {expected}",
            describe(&fixture),
            evaluated.mean_loss()
        );
    }
}

#[test]
fn gradient_agrees_with_finite_differences() {
    let mut worst = 0.0;
    for fixture in fixtures(3) {
        let indices = fixture.indices();
        // The loss, then all logits.
        let derivatives = fixture.oracle().derivatives(|oracle| {
            let logits = fixture.logits(oracle, &indices);
            let loss = fixture.mean_loss(&logits, &indices);
            [vec![loss], logits].concat()
        });
        let largest = |values: &[f64]| values.iter().fold(0.0, |a, b| f64::max(a, b.abs()));
        // Of the difference between output and target, in softmax's terms or in the output's own.
        let size = match fixture.network.loss() {
            Loss::MeanSquaredError | Loss::Huber(_) => {
                1.0 + largest(&fixture.logits(&fixture.oracle(), &indices))
            }
            _ => 1.0,
        };
        let factors = fixture.class_weights.iter();
        let size = size * factors.fold(1.0, |a, b| f64::max(a, f64::from(*b)));
        for lanes in LANES {
            let (_, found) = fixture.gradient(lanes, &indices);
            for layer in 0..fixture.network.layers().len() {
                let (weights, biases) = fixture.network.parameter_ranges(layer);
                let sensitivity = |range: &Range<usize>| {
                    let of_one = derivatives[range.clone()].iter().map(|d| largest(&d[1..]));
                    of_one.fold(0.0, f64::max)
                };
                // A normalisation takes a bias before it out again: its derivative is zero, but the
                // terms of the sum are not.
                let layers = fixture.network.layers();
                let cancels = layers[layer..]
                    .iter()
                    .any(|layer| matches!(layer, Layer::GroupNorm(_)));
                let common = if cancels { sensitivity(&weights) } else { 0.0 };
                for range in [weights, biases] {
                    let bound = tolerance::GRADIENT * size * sensitivity(&range).max(common)
                        + tolerance::DIFFERENCES;
                    for i in range {
                        let (found, expected) = (f64::from(found[i]), derivatives[i][0]);
                        let error = (found - expected).abs();
                        worst = f64::max(worst, error / bound);
                        assert!(
                            error <= bound,
                            "{}: {lanes} lanes, layer {layer}, parameter {i}: {found}, expected {expected}, bound {bound}",
                            describe(&fixture),
                        );
                    }
                }
            }
        }
    }
    println!("largest error of a derivative: {worst:.2} of what is allowed");
}

#[test]
fn outputs_depend_on_neither_lanes_nor_neighbours() {
    for fixture in fixtures(35) {
        let all = fixture.indices();
        let bits = |logits: Vec<f32>| logits.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let classes = fixture.network.output_len();
        let (reference, others) = match is_winograd(&fixture) {
            true => (LANES[1], &LANES[1..]),
            false => (1, &LANES[..]),
        };
        let one = bits(fixture.predict(reference, &all));
        for lanes in others.iter().copied() {
            // One sample, one fewer and one more than a block, two blocks and a bit.
            for count in [1, lanes - 1, lanes, lanes + 1, 2 * lanes + 3] {
                let found = bits(fixture.predict(lanes, &all[..count]));
                assert_eq!(
                    found,
                    one[..count * classes],
                    "{}: {lanes} lanes, {count} samples",
                    describe(&fixture)
                );
            }
        }
        let reversed: Vec<u32> = all.iter().rev().copied().collect();
        let found = bits(fixture.predict(16, &reversed));
        for (found, expected) in found
            .chunks_exact(classes)
            .zip(one.chunks_exact(classes).rev())
        {
            assert_eq!(found, expected, "{}: reversed", describe(&fixture));
        }
    }
}

#[test]
fn instruction_sets_agree_in_every_bit() {
    let _guard = FORCED.lock();
    let before = Isa::current();
    let available: Vec<Isa> = Isa::ALL
        .into_iter()
        .filter(|isa| isa.is_available())
        .collect();
    println!("comparing {available:?}");
    for fixture in fixtures(19) {
        let indices = fixture.indices();
        for lanes in LANES {
            for count in [lanes, 19] {
                let mut reference = None;
                for isa in &available {
                    Isa::force(*isa).expect("it is available");
                    let logits = fixture.predict(lanes, &indices[..count]);
                    let (tally, gradient) = fixture.gradient(lanes, &indices[..count]);
                    let bits: Vec<u32> = logits
                        .into_iter()
                        .chain(gradient)
                        .map(contract_bits)
                        .collect();
                    let result = (tally.loss.to_bits(), tally.correct, bits);
                    let reference = reference.get_or_insert_with(|| result.clone());
                    assert!(
                        *reference == result,
                        "{isa:?}, {lanes} lanes, {count}: {}",
                        describe(&fixture)
                    );
                }
            }
        }
    }
    Isa::force(before).expect("it was in use");
}

#[test]
fn a_pass_adds_to_the_gradient_and_reads_nothing_stale() {
    for fixture in fixtures(5) {
        let (indices, network) = (fixture.indices(), &fixture.network);
        let mut workspace = fixture.workspace(4);
        let run = |weight: f32, gradient: &mut [f32], workspace: &mut [f32]| {
            let batch = secant::Batch::new(fixture.samples(), &indices)
                .weight(weight)
                .dropout(fixture.dropout);
            network
                .accumulate_gradient::<4>(&fixture.parameters, batch, gradient, workspace)
                .expect("it fits")
        };
        let mut once = vec![0.0; fixture.parameters.len()];
        run(1.0, &mut once, &mut workspace);
        // The same again in the workspace as it was left, halved (which is exact), on a gradient
        // that is there already.
        let mut again = vec![0.0; once.len()];
        run(0.5, &mut again, &mut workspace);
        let same = once
            .iter()
            .zip(&again)
            .all(|(a, b)| contract_bits(*a) == contract_bits(2.0 * b));
        assert!(same, "{}: halved weight", describe(&fixture));
        let mut added = vec![1.0; once.len()];
        run(1.0, &mut added, &mut workspace);
        let largest = once.iter().fold(0.0, |a, b| f32::max(a, b.abs()));
        for (once, added) in once.iter().zip(&added) {
            // Each sum now begins at 1: a rounding of numbers of that size for every term, of which
            // there are under 1000.
            let bound = 1000.0 * tolerance::ROUNDING * f64::from(1.0 + largest);
            assert!(
                f64::from(added - 1.0 - once).abs() <= bound,
                "{}: added {added}, {once}",
                describe(&fixture)
            );
        }
    }
}

#[test]
fn a_gradient_that_overwrites_is_one_added_to_zeros() {
    for fixture in fixtures(5) {
        for lanes in LANES {
            for count in [fixture.indices().len(), 1, 0] {
                let indices = &fixture.indices()[..count];
                let (tally, expected) = fixture.gradient(lanes, indices);
                let (found, gradient) = fixture.overwritten(lanes, indices);
                let what = describe(&fixture);
                assert_eq!(found, tally, "{what}, {lanes} lanes");
                let equal = contract_bits_of(&gradient) == contract_bits_of(&expected);
                assert!(equal, "{what}, {lanes} lanes, {count} samples");
            }
        }
    }
}

/// A fixture whose parameters and pixels are given and whose values are `byte - 1`.
fn by_hand(
    input: Shape,
    layers: &[Layer],
    parameters: &[f32],
    pixels: &[u8],
    label: u8,
) -> Fixture {
    let count = pixels.len() / input.len();
    let fixture = Fixture::new(input, layers, count, 0);
    assert_eq!(parameters.len(), fixture.parameters.len());
    Fixture {
        parameters: parameters.to_vec(),
        pixels: pixels.to_vec(),
        labels: vec![label; count],
        normalisation: Affine {
            scale: 1.0,
            offset: -1.0,
        },
        ..fixture
    }
}

#[test]
fn relu_has_no_gradient_at_either_zero() {
    // One pixel through z = w x + b, then a linear layer of two classes. Bytes 0, 1, 2 are -1, 0,
    // 1.
    for (weight, bias, byte, passes) in [
        (1.0, 0.0, 1, false),              // z = +0
        (-1.0, -0.0, 1, false),            // z = -0
        (1.0, -1.0, 2, false),             // z = +0 by cancellation
        (1.0, 0.0, 0, false),              // z = -1
        (1.0, 0.0, 2, true),               // z = 1
        (1.0, f32::from_bits(1), 1, true), // z is the least number above 0
    ] {
        let parameters = [weight, bias, 0.5, -0.25, 0.0, 0.0];
        let fixture = by_hand(
            Shape::new(1, 1, 1),
            &[conv2d(1, 1), relu(), linear(2)],
            &parameters,
            &[byte],
            0,
        );
        for lanes in LANES {
            let (_, gradient) = fixture.gradient(lanes, &[0]);
            assert_eq!(
                gradient[1] != 0.0,
                passes,
                "bias gradient {} for {weight} x + {bias}, {byte}",
                gradient[1]
            );
        }
    }
}

#[test]
fn the_first_of_equals_wins_the_max_pool() {
    // Three channels; z = -x0 - x1 - 0 x2, and x2 numbers the pixels, so that the gradient by its
    // weight tells who won. A pixel is (byte 0, byte 1); values are one less. (1, 1) gives -0, (2,
    // 0) gives -1 + 1 = +0, (0, 1) gives 1.
    const MINUS_ZERO: (u8, u8) = (1, 1);
    const PLUS_ZERO: (u8, u8) = (2, 0);
    const ONE: (u8, u8) = (0, 1);
    const MINUS_ONE: (u8, u8) = (2, 1);
    for (window, winner) in [
        ([ONE, ONE, ONE, ONE], 0),
        ([PLUS_ZERO, ONE, ONE, MINUS_ONE], 1),
        ([MINUS_ONE, MINUS_ONE, PLUS_ZERO, PLUS_ZERO], 2),
        ([MINUS_ONE, MINUS_ONE, MINUS_ONE, PLUS_ZERO], 3),
        ([PLUS_ZERO, MINUS_ZERO, MINUS_ZERO, PLUS_ZERO], 0),
        ([MINUS_ZERO, PLUS_ZERO, PLUS_ZERO, MINUS_ZERO], 0),
        ([MINUS_ONE, MINUS_ZERO, PLUS_ZERO, MINUS_ONE], 1),
        ([MINUS_ONE, PLUS_ZERO, MINUS_ZERO, MINUS_ONE], 1),
    ] {
        let numbers = [11, 13, 17, 23];
        let pixels: Vec<u8> = window
            .map(|p| p.0)
            .into_iter()
            .chain(window.map(|p| p.1))
            .chain(numbers)
            .collect();
        let parameters = [-1.0, -1.0, -0.0, -0.0, 0.5, -0.25, 0.0, 0.0];
        let layers = [conv2d(1, 1), max_pool2d(2), linear(2)];
        let fixture = by_hand(Shape::new(3, 2, 2), &layers, &parameters, &pixels, 0);
        let _guard = FORCED.lock();
        let before = Isa::current();
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            Isa::force(isa).expect("it is available");
            for lanes in LANES {
                let (_, gradient) = fixture.gradient(lanes, &[0]);
                // gradient[3] is that of the bias: dz, all of it at the winner.
                let number = gradient[2] / gradient[3] + 1.0;
                let expected = f32::from(numbers[winner]);
                assert!(
                    (number - expected).abs() < 0.01,
                    "{isa:?}, {lanes} lanes, {window:?}: {number} won"
                );
            }
        }
        Isa::force(before).expect("it was in use");
    }
}

#[test]
fn not_a_number_reaches_the_loss_through_every_layer() {
    // An infinite weight times 0 makes one pixel of four not a number, at each place of the window.
    let conv = conv2d(1, 1);
    let depthwise = depthwise_conv2d(1);
    let pairs = max_pool2d(2).kernel(1, 2);
    let networks = [
        // Relu and pools behind a convolution, the relu also into a map with a margin.
        vec![conv, relu(), max_pool2d(2), linear(2)],
        vec![conv, relu(), pairs, linear(2)],
        vec![conv, relu(), linear(2)],
        vec![conv, relu(), conv2d(1, 3).padding(1), linear(2)],
        // The same alone.
        vec![depthwise, relu(), max_pool2d(2), linear(2)],
        vec![depthwise, relu(), pairs, linear(2)],
        vec![depthwise, relu(), linear(2)],
        vec![depthwise, relu(), conv2d(1, 3).padding(1), linear(2)],
        vec![conv, global_avg_pool2d(), linear(2)],
    ];
    for (layers, place) in networks
        .iter()
        .flat_map(|net| (0..4).map(move |i| (net, i)))
    {
        let mut pixels = [2; 4];
        pixels[place] = 1;
        let input = Shape::new(1, 2, 2);
        let mut parameters = Fixture::new(input, layers, 1, 0).parameters;
        parameters.fill(0.5);
        (parameters[0], parameters[1]) = (f32::INFINITY, 0.0);
        let fixture = by_hand(input, layers, &parameters, &pixels, 0);
        let _guard = FORCED.lock();
        let before = Isa::current();
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            Isa::force(isa).expect("it is available");
            for lanes in LANES {
                let logits = fixture.predict(lanes, &[0]);
                assert!(
                    logits.iter().all(|z| z.is_nan()),
                    "{isa:?}, {lanes} lanes, {layers:?}, place {place}: {logits:?}"
                );
                assert!(fixture.evaluate(lanes, &[0]).loss.is_nan());
            }
        }
        Isa::force(before).expect("it was in use");
    }
}

#[test]
fn the_first_of_equal_logits_is_the_answer() {
    // Two classes with the same logits, and a third below.
    let parameters = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0];
    for (label, correct) in [(0, 1), (1, 0), (2, 0)] {
        let fixture = by_hand(Shape::new(1, 1, 1), &[linear(3)], &parameters, &[3], label);
        for lanes in LANES {
            assert_eq!(
                fixture.evaluate(lanes, &[0]).correct,
                correct,
                "label {label}, {lanes} lanes"
            );
        }
    }
}

#[test]
fn arguments_that_do_not_fit_are_errors_and_nothing_is_written() {
    let layers = [conv2d(2, 2), relu(), linear(3)];
    let fixture = Fixture::new(Shape::new(1, 3, 3), &layers, 4, 1);
    let network = &fixture.network;
    let count = fixture.parameters.len();
    let samples = fixture.samples();
    let batch = |samples, indices| Batch::new(samples, indices).weight(1.0);
    let fewer_pixels = Samples {
        values: Values::U8(&fixture.pixels[1..]),
        ..samples
    };
    let wrong_class = Samples {
        targets: Targets::U8(&[0, 1, 3, 2]),
        ..samples
    };
    let unlabelled = Samples {
        targets: Targets::None,
        ..samples
    };
    let vectors = Samples {
        targets: Targets::F32(&[0.0; 12]),
        ..samples
    };
    let fewer_labels = Samples {
        targets: Targets::U8(&[0, 1, 2]),
        ..samples
    };
    let scalings = [Affine::NONE; 2];
    let two_channels = Samples {
        normalisation: Normalisation::PerChannel(&scalings),
        ..samples
    };
    let needed = network.workspace_len(4);
    for (error, batch, parameters, gradient, workspace) in [
        (
            PassError::Parameters {
                expected: count,
                found: count - 1,
            },
            batch(samples, &[0, 1]),
            count - 1,
            count - 1,
            0,
        ),
        (
            PassError::Gradient {
                expected: count,
                found: count + 1,
            },
            batch(samples, &[0, 1]),
            count,
            count + 1,
            0,
        ),
        (
            PassError::Workspace {
                expected: needed,
                found: needed - 1,
            },
            batch(samples, &[0, 1]),
            count,
            count,
            1,
        ),
        (
            PassError::Values {
                sample: 9,
                found: 35,
            },
            batch(fewer_pixels, &[0, 1]),
            count,
            count,
            0,
        ),
        (
            PassError::Values {
                sample: 9,
                found: 36,
            },
            batch(fewer_labels, &[0, 1]),
            count,
            count,
            0,
        ),
        (
            PassError::Channels {
                expected: 1,
                found: 2,
            },
            batch(two_channels, &[0, 1]),
            count,
            count,
            0,
        ),
        (
            PassError::Targets,
            batch(unlabelled, &[0, 1]),
            count,
            count,
            0,
        ),
        (PassError::Targets, batch(vectors, &[0, 1]), count, count, 0),
        (
            PassError::ClassWeights {
                expected: 3,
                found: 2,
            },
            batch(samples, &[0, 1]).class_weights(&[1.0; 2]),
            count,
            count,
            0,
        ),
        (
            PassError::Index(4),
            batch(samples, &[0, 4]),
            count,
            count,
            0,
        ),
        (
            PassError::Label {
                label: 3,
                classes: 3,
            },
            batch(wrong_class, &[0, 2]),
            count,
            count,
            0,
        ),
    ] {
        let mut gradient = vec![1.0; gradient];
        let parameters = vec![0.5; parameters];
        let mut memory = vec![1.0; network.workspace_len(4) - workspace];
        let result =
            network.accumulate_gradient::<4>(&parameters, batch, &mut gradient, &mut memory);
        assert_eq!(result, Err(error));
        assert!(
            gradient.iter().chain(&memory).all(|x| *x == 1.0),
            "{error:?}: something was written"
        );
        // A forward pass needs less memory.
        let evaluated = network.evaluate::<4>(&parameters, batch, &mut memory);
        match error {
            PassError::Gradient { .. } | PassError::Workspace { .. } => {
                assert!(evaluated.is_ok(), "{error:?}");
            }
            _ => assert_eq!(evaluated, Err(error)),
        }
        let mut outputs = vec![1.0; 6];
        let predicted = network.predict::<4>(&parameters, batch, &mut outputs, &mut memory);
        match error {
            PassError::Parameters { .. }
            | PassError::Values { found: 35, .. }
            | PassError::Channels { .. }
            | PassError::Index(_) => {
                assert_eq!(predicted, Err(error));
                assert!(outputs.iter().all(|x| *x == 1.0), "{error:?}: outputs");
            }
            // What targets there are, nobody asks.
            _ => assert!(predicted.is_ok(), "{error:?}"),
        }
    }
    let expected = network.inference_workspace_len(4);
    let found = expected - 1;
    assert!(expected < network.workspace_len(4));
    let mut memory = vec![0.0; found];
    assert_eq!(
        network.evaluate::<4>(&fixture.parameters, batch(samples, &[0]), &mut memory),
        Err(PassError::Workspace { expected, found })
    );
    let mut memory = fixture.workspace(4);
    let result = network.predict::<4>(
        &fixture.parameters,
        batch(samples, &[0, 1]),
        &mut [0.0; 5],
        &mut memory,
    );
    assert_eq!(
        result,
        Err(PassError::Outputs {
            expected: 6,
            found: 5
        })
    );
    // No samples: nothing to do, and no error.
    let mut gradient = vec![1.0; count];
    let tally = network.accumulate_gradient::<4>(
        &fixture.parameters,
        batch(samples, &[]),
        &mut gradient,
        &mut memory,
    );
    assert_eq!(tally, Ok(Metrics::default()));
    assert!(gradient.iter().all(|x| *x == 1.0));
}

/// The same numbers as bytes, signed bytes, 16-bit integers and floats, and as classes of 8 and of
/// 16 bits: the same bits.
#[test]
fn elements_of_every_type_give_the_same_bits() {
    for (input, layers) in cases() {
        let fixture = Fixture::new(input, &layers, 20, 5);
        let network = &fixture.network;
        let bytes = &fixture.pixels;
        let signed: Vec<i8> = bytes.iter().map(|b| (*b ^ 0x80) as i8).collect();
        let words: Vec<i16> = bytes.iter().map(|b| i16::from(*b)).collect();
        let floats: Vec<f32> = bytes.iter().map(|b| f32::from(*b)).collect();
        let labels: Vec<u16> = fixture.labels.iter().map(|l| u16::from(*l)).collect();
        let Affine { scale, offset } = fixture.normalisation;
        // A signed byte is the byte less 128; all of this is exact.
        let moved = Affine {
            scale,
            offset: offset + 128.0 * scale,
        };
        let per_channel = vec![fixture.normalisation; input.channels];
        let same = Normalisation::Same(fixture.normalisation);
        let variants = [
            (Values::U8(bytes), Normalisation::PerChannel(&per_channel)),
            (Values::I8(&signed), Normalisation::Same(moved)),
            (Values::I16(&words), same),
            (Values::F32(&floats), same),
        ];
        let indices = fixture.indices();
        for lanes in LANES {
            let (metrics, gradient) = fixture.gradient(lanes, &indices);
            for (values, normalisation) in variants {
                let samples = Samples {
                    values,
                    targets: Targets::U16(&labels),
                    normalisation,
                };
                let batch = Batch::new(samples, &indices);
                let (parameters, mut found) = (&fixture.parameters, vec![0.0; gradient.len()]);
                let mut workspace = fixture.workspace(lanes);
                let pass = with_lanes!(
                    lanes,
                    network.accumulate_gradient(parameters, batch, &mut found, &mut workspace)
                );
                assert_eq!(pass, Ok(metrics), "{}", describe(&fixture));
                assert_eq!(
                    contract_bits_of(&found),
                    contract_bits_of(&gradient),
                    "{}: {lanes} lanes",
                    describe(&fixture)
                );
            }
        }
    }
}

/// Each channel with its own scale against a network whose input was scaled beforehand.
#[test]
fn channels_are_scaled_each_in_its_own_way() {
    let input = Shape::signal(3, 8);
    let fixture = Fixture::new(input, &[conv1d(4, 3), relu(), linear(2)], 5, 9);
    let scalings = [
        Affine::standard(100.0, 64.0),
        Affine::NONE,
        Affine {
            scale: -0.5,
            offset: 3.0,
        },
    ];
    let scaled = fixture.pixels.iter().enumerate().map(|(i, byte)| {
        let Affine { scale, offset } = scalings[i / 8 % 3];
        // Exact: powers of two, and small integers.
        f32::from(*byte) * scale + offset
    });
    let scaled: Vec<f32> = scaled.collect();
    let indices = fixture.indices();
    for lanes in LANES {
        let outputs = |values, normalisation| {
            let samples = Samples::unlabelled(values, normalisation);
            let batch = Batch::new(samples, &indices);
            let network = &fixture.network;
            let mut outputs = vec![0.0; indices.len() * 2];
            let mut workspace = vec![f32::NAN; network.inference_workspace_len(lanes)];
            let parameters = &fixture.parameters;
            with_lanes!(
                lanes,
                network.predict(parameters, batch, &mut outputs, &mut workspace)
            )
            .unwrap();
            contract_bits_of(&outputs)
        };
        let beforehand = outputs(Values::F32(&scaled), Normalisation::NONE);
        let scaled = Normalisation::PerChannel(&scalings);
        assert_eq!(outputs(Values::U8(&fixture.pixels), scaled), beforehand);
    }
}

fn contract_bits_of(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| contract_bits(*x)).collect()
}
