//! Frozen layers against the same layers trained: the head's gradient is the end of the whole
//! gradient, bit for bit, and so is everything else that a pass shows.

use secant::arch::Isa;
use secant::network::presets::MICRO;
use secant::network::{Convolution, FreezeError, Network, Shape, conv2d, linear, max_pool2d, relu};
use secant::optim::{LayerLbfgs, SecondMoment};
use secant::{Batch, DropoutKey, Metrics, Normalisation, PassError, Samples, SteppedGradient};

use crate::common::{CAPACITY, Case, bits, case, networks};

const ORDER: [u32; 5] = [2, 0, 4, 1, 3];

fn batch<'a>(case: &'a Case, dropout: Option<DropoutKey>) -> Batch<'a> {
    let samples = Samples::bytes(
        &case.pixels,
        &case.labels,
        Normalisation::standard(76.5, 51.0),
    );
    Batch::new(samples, &ORDER).weight(0.2).dropout(dropout)
}

/// All that a pass shows.
#[derive(Debug, PartialEq)]
struct Shown {
    gradient: Vec<u32>,
    tally: Metrics,
    evaluation: Metrics,
    logits: Vec<u32>,
    /// Layer, samples and rows of each layer's inputs.
    inputs: Vec<(usize, usize, Vec<u32>)>,
}

fn pass<const LANES: usize>(
    network: &Network<'_, CAPACITY>,
    parameters: &[f32],
    batch: Batch<'_>,
) -> Shown {
    // Whatever the memory held before.
    let mut workspace = vec![f32::NAN; network.workspace_len(LANES)];
    let mut gradient = vec![0.25; parameters.len()];
    let tally = network
        .accumulate_gradient::<LANES>(parameters, batch, &mut gradient, &mut workspace)
        .unwrap();
    let mut observed = vec![0.25; parameters.len()];
    let mut inputs = Vec::new();
    let mut longer = vec![f32::NAN; network.workspace_len(LANES) + 3];
    let observing = network
        .accumulate_gradient_observed::<LANES>(
            parameters,
            batch,
            &mut observed,
            &mut longer,
            &mut |layer, scratch| {
                assert!(scratch.len() >= network.idle_len(LANES) + 3);
                scratch.fill(f32::NAN);
                let mut rows = Vec::new();
                for position in 0..layer.positions() {
                    for sample in 0..layer.samples() {
                        let mut row = vec![0.0; layer.row_len()];
                        layer.row(position, sample, &mut row);
                        rows.extend(bits(&row));
                    }
                }
                inputs.push((layer.layer(), layer.samples(), rows));
            },
        )
        .unwrap();
    assert_eq!(observing, tally);
    assert_eq!(bits(&observed), bits(&gradient), "observed");
    let evaluation = network
        .evaluate::<LANES>(parameters, batch, &mut workspace)
        .unwrap();
    let mut logits = vec![0.0; batch.indices.len() * network.output_len()];
    network
        .predict::<LANES>(parameters, batch, &mut logits, &mut workspace)
        .unwrap();
    Shown {
        gradient: bits(&gradient),
        tally,
        evaluation,
        logits: bits(&logits),
        inputs,
    }
}

/// The gradient and the number of its pieces.
fn pieces(
    network: &Network<'_, CAPACITY>,
    parameters: &[f32],
    batch: Batch<'_>,
) -> (Vec<u32>, Metrics, usize) {
    let mut gradient = vec![0.25; parameters.len()];
    let mut workspace = vec![f32::NAN; network.workspace_len(1)];
    let (mut progress, mut count) = (SteppedGradient::new(), 0);
    loop {
        count += 1;
        let done = progress.advance(network, parameters, batch, &mut gradient, &mut workspace);
        if let Some(tally) = done.unwrap() {
            assert_eq!(progress, SteppedGradient::new());
            return (bits(&gradient), tally, count);
        }
    }
}

fn compare<const LANES: usize>(name: &str, case: &Case, key: Option<DropoutKey>) {
    let (batch, layers) = (batch(case, key), case.network.layers().len());
    let whole = pass::<LANES>(&case.network, &case.parameters, batch);
    let mut frozen_before = 0;
    // To the last: a network that is frozen as a whole has outputs and nothing to train.
    for k in 0..=layers {
        let count = case.network.parameter_offset(k);
        let (frozen, trained) = case.parameters.split_at(count);
        let head = case.network.try_freeze(k, frozen).unwrap();
        assert_eq!(head.parameter_count(), trained.len());
        assert_eq!(head.output_len(), case.network.output_len());
        let shown = pass::<LANES>(&head, trained, batch);
        let expected = Shown {
            gradient: whole.gradient[count..].to_vec(),
            inputs: whole
                .inputs
                .iter()
                .filter(|(layer, ..)| *layer >= k)
                .cloned()
                .collect(),
            logits: whole.logits.clone(),
            ..whole
        };
        assert_eq!(shown, expected, "{name}, {k} frozen, {LANES} lanes");
        if LANES == 1 {
            let (gradient, tally, count) = pieces(&head, trained, batch);
            assert_eq!(gradient, expected.gradient, "{name}, {k} frozen, by pieces");
            assert_eq!(tally, expected.tally);
            assert!(
                k == 0 || count <= frozen_before,
                "{name}, {k}: {count} pieces"
            );
            frozen_before = count;
        }
    }
}

#[test]
fn the_gradient_of_the_head_is_the_end_of_the_whole() {
    for (name, input, layers) in networks() {
        let case = case(input, &layers);
        for isa in Isa::ALL {
            if Isa::force(isa).is_err() {
                continue;
            }
            for key in [None, Some(DropoutKey { seed: 7, step: 3 })] {
                compare::<1>(name, &case, key);
                compare::<4>(name, &case, key);
                compare::<16>(name, &case, key);
            }
        }
    }
}

/// The first convolution that is trained may take another way through its sums than one behind
/// others that are.
#[test]
fn so_it_is_with_winograds_algorithm() {
    let one_channel = [
        conv2d(1, 3),
        relu(),
        conv2d(3, 3).padding(1),
        max_pool2d(2),
        linear(2),
    ];
    let hidden = ("one channel", Shape::new(1, 9, 8), one_channel.to_vec());
    for (name, input, layers) in networks().into_iter().chain([hidden]) {
        let mut case = case(input, &layers);
        case.network = case.network.with_convolution(Convolution::Winograd);
        compare::<4>(name, &case, None);
        compare::<16>(name, &case, None);
    }
}

/// A frozen layer's parameters leave the gradient and the optimisers, and its activations the
/// workspace.
#[test]
fn memory_shrinks() {
    const CONVOLUTIONS: [f32; MICRO.parameter_offset(6)] = [0.0; MICRO.parameter_offset(6)];
    const HEAD: Network<7> = MICRO.freeze(6, &CONVOLUTIONS);
    const PAIRS: usize = 4;
    assert_eq!(HEAD.parameter_count(), 10 * 401);
    assert_eq!(HEAD.parameter_ranges(0), (0..0, 0..0));
    assert_eq!(HEAD.parameter_ranges(6), (0..4000, 4000..4010));
    // Pairs of the rows, their eigenvalues, a trace, the momentum, a moment a row.
    assert_eq!(
        LayerLbfgs::<PAIRS>::memory_len(&HEAD, SecondMoment::Row),
        4 * 401 + 4 + 1 + 4010 + 10
    );
    // With one lane: the first stage's input, output, a row of codes of four bits and rows of
    // scratch; the head's own needs less.
    assert_eq!(
        HEAD.workspace_len(1),
        26 * 26 + 8 * 12 * 12 + 2 + 4 * 2 * 24
    );
    for lanes in [1, 2, 4, 8, 16] {
        let len = |k| {
            let frozen = vec![0.0; MICRO.parameter_offset(k)];
            MICRO.freeze(k, &frozen).workspace_len(lanes)
        };
        assert!(len(1) < len(0), "{lanes} lanes");
        assert!(len(6) <= len(1), "{lanes} lanes");
    }
}

#[test]
fn what_cannot_be_frozen_is_an_error() {
    let weights = [0.0; 80];
    let error = MICRO.try_freeze(3, &weights[..79]).unwrap_err();
    let expected = FreezeError::Weights {
        expected: 80,
        found: 79,
    };
    assert_eq!(error, expected);
    for frozen in [8, usize::MAX] {
        let error = MICRO.try_freeze(frozen, &[0.0; 5258]).unwrap_err();
        assert_eq!(error, FreezeError::Layers { frozen, layers: 7 });
    }
    // What is frozen already can be frozen anew.
    let once = MICRO.try_freeze(6, &[0.0; 1248]).unwrap();
    let again = once.try_freeze(3, &weights).unwrap();
    assert_eq!(again.parameter_count(), 5258 - 80);
    // The parameters of frozen layers do not belong to the slice.
    let batch = Batch::new(Samples::bytes(&[], &[], Normalisation::UNIT), &[]).weight(1.0);
    let mut workspace = vec![0.0; once.workspace_len(1)];
    let done = once.evaluate::<1>(&[0.0; 5258], batch, &mut workspace);
    let error = PassError::Parameters {
        expected: 4010,
        found: 5258,
    };
    assert_eq!(done, Err(error));
}
