//! Inference with one lane, row by row in its own small workspace, against the forward pass of
//! training, which keeps every map.

use super::fixture::Fixture;
use super::{describe, fixtures};
use secant::network::presets::{LENET, MICRO, SEED, TWO_C_TWO_D};
use secant::network::{
    Layer, Network, Shape, avg_pool2d, conv1d, conv2d, depthwise_conv2d, dropout,
    global_avg_pool2d, group_norm, layer_norm, leaky_relu, linear, max_pool1d, max_pool2d, relu,
    sigmoid, tanh,
};
use secant::{Batch, DropoutKey, LayerInputs, Loss, Samples};
use secant_tests::draw::Draw;

/// Outputs of the training pass with one lane: what a linear layer behind the network reads there.
fn kept(fixture: &Fixture, index: u32) -> Vec<u32> {
    let mut layers = fixture.network.layers().to_vec();
    let (last, outputs) = (layers.len(), fixture.network.output_len());
    layers.push(linear(1));
    let network = Network::<21>::try_from_slice(fixture.network.input(), &layers)
        .unwrap()
        .with_loss(Loss::MeanSquaredError);
    let mut parameters = fixture.parameters.clone();
    parameters.resize(network.parameter_count(), 0.0);
    let targets = vec![0.0; fixture.labels.len()];
    let samples = Samples {
        targets: secant::Targets::F32(&targets),
        ..fixture.samples()
    };
    let indices = [index];
    let batch = Batch::new(samples, &indices).dropout(fixture.dropout);
    let mut row = vec![0.0; outputs + 1];
    let mut seen = false;
    let mut observe = |inputs: LayerInputs<'_>, _: &mut [f32]| {
        if inputs.layer() == last {
            inputs.row(0, 0, &mut row);
            seen = true;
        }
    };
    let mut workspace = vec![f32::NAN; network.workspace_len(1)];
    network
        .observe_inputs(&parameters, batch, &mut workspace, &mut [], &mut observe)
        .unwrap();
    assert!(seen, "the last layer has inputs");
    row[..outputs].iter().map(|z| z.to_bits()).collect()
}

/// Whether all samples' outputs are the training pass's, in a workspace of just that length full of
/// what must not be read, then in it as the sample before has left it.
fn check(fixture: &Fixture) {
    let network = &fixture.network;
    let length = network.inference_workspace_len(1);
    assert!(length <= network.workspace_len(1), "{}", describe(fixture));
    for spare in [0, 5] {
        let mut workspace = vec![f32::NAN; length + spare];
        for index in fixture.indices() {
            let mut outputs = vec![f32::NAN; network.output_len()];
            let batch = [index];
            let batch = Batch::new(fixture.samples(), &batch).dropout(fixture.dropout);
            let parameters = &fixture.parameters;
            network
                .predict::<1>(parameters, batch, &mut outputs, &mut workspace)
                .unwrap_or_else(|error| panic!("{}: {error}", describe(fixture)));
            let bits: Vec<u32> = outputs.iter().map(|z| z.to_bits()).collect();
            assert_eq!(bits, kept(fixture, index), "{}", describe(fixture));
        }
    }
}

#[test]
fn every_case_gives_the_bits_of_training() {
    for fixture in fixtures(2) {
        check(&fixture);
    }
}

#[test]
fn networks_with_a_name_give_the_bits_of_training() {
    for (shape, layers) in [
        (MICRO.input(), MICRO.layers()),
        (LENET.input(), LENET.layers()),
        (SEED.input(), SEED.layers()),
        (TWO_C_TWO_D.input(), TWO_C_TWO_D.layers()),
    ] {
        check(&Fixture::new(shape, layers, 2, 1));
    }
}

/// A network of maps large enough for chains: any layer may follow any other.
fn deep(draw: &mut Draw) -> (Shape, Vec<Layer>) {
    loop {
        let signal = draw.below(4) == 0;
        let rows = if signal { 1 } else { 6 + draw.below(20) };
        let input = Shape::new(1 + draw.below(3), rows, 6 + draw.below(20));
        let mut layers = Vec::new();
        for _ in 0..2 + draw.below(9) {
            let size = (
                if signal { 1 } else { 1 + draw.below(4) },
                1 + draw.below(4),
            );
            let step = (1 + draw.below(3), 1 + draw.below(3));
            let padding = (draw.below(size.0), draw.below(size.1));
            layers.push(match draw.below(15) {
                0..4 => conv2d(1 + draw.below(9), 1)
                    .kernel(size.0, size.1)
                    .strides(step.0.min(2), step.1.min(2))
                    .paddings(padding.0, padding.1),
                4 | 5 => depthwise_conv2d(1)
                    .kernel(size.0, size.1)
                    .strides(step.0, step.1)
                    .paddings(padding.0, padding.1),
                6 | 7 => relu(),
                8 => leaky_relu(0.25),
                9 => [tanh(), sigmoid()][draw.below(2)],
                10 => max_pool2d(1).kernel(size.0, size.1).strides(step.0, step.1),
                11 => avg_pool2d(1).kernel(size.0, size.1).strides(step.0, step.1),
                12 => layer_norm(),
                13 => [group_norm(2), group_norm(3)][draw.below(2)],
                _ => dropout(0.25),
            });
        }
        layers.push(
            [
                linear(1 + draw.below(20)),
                global_avg_pool2d(),
                conv2d(3, 1),
            ][draw.below(3)],
        );
        if Network::<20>::try_from_slice(input, &layers).is_ok_and(|n| n.output_len() < 400) {
            return (input, layers);
        }
    }
}

#[test]
fn random_networks_give_the_bits_of_training() {
    let mut draw = Draw::new(0x57_12ea);
    let mut smaller = 0;
    for seed in 0..600 {
        let (input, layers) = deep(&mut draw);
        let mut fixture = Fixture::new(input, &layers, 2, seed);
        check(&fixture);
        fixture.dropout = Some(DropoutKey { seed, step: 3 });
        check(&fixture);
        let network = fixture.network;
        smaller += u32::from(2 * network.inference_workspace_len(1) <= network.workspace_len(1));
    }
    // Else nothing has been tested.
    assert!(smaller > 200, "{smaller} of 600 have chains worth the name");
}

/// Chains that begin with a whole map that a normalisation has left, and end with one.
#[test]
fn normalised_maps_give_the_bits_of_training() {
    for second in [
        conv2d(4, 3).padding(1),
        depthwise_conv2d(3).padding(1),
        avg_pool2d(2),
        max_pool2d(3).stride(2),
    ] {
        for third in [conv2d(5, 3), depthwise_conv2d(2), relu(), tanh()] {
            let layers = [
                conv2d(4, 3).padding(1),
                group_norm(2),
                second,
                third,
                conv2d(6, 3).stride(2),
                layer_norm(),
                linear(3),
            ];
            check(&Fixture::new(Shape::new(2, 24, 23), &layers, 2, 3));
        }
    }
}

#[test]
fn inference_takes_less_than_half_of_the_memory_of_training() {
    // The first convolution computes two rows of its pool at once from a window of 6 rows of 26,
    // with four channels of two rows of 24 as scratch and two words of codes; the second from 4
    // rows of 12 in 8 channels; the linear layer reads 16 x 5 x 5.
    let windows = 6 * 26 + 4 * 12 * 8;
    assert_eq!(
        MICRO.inference_workspace_len(1),
        windows + 4 * 2 * 24 + 2 + 400
    );
    let half = |name, inference, training| {
        assert!(
            2 * inference <= training,
            "{name}: {inference} of {training}"
        );
    };
    for lanes in [1, 2, 4, 8, 16] {
        half(
            "micro",
            MICRO.inference_workspace_len(lanes),
            MICRO.workspace_len(lanes),
        );
    }
    half(
        "lenet",
        LENET.inference_workspace_len(1),
        LENET.workspace_len(1),
    );
    half(
        "seed",
        SEED.inference_workspace_len(1),
        SEED.workspace_len(1),
    );
    half(
        "2c2d",
        TWO_C_TWO_D.inference_workspace_len(1),
        TWO_C_TWO_D.workspace_len(1),
    );
    // A signal has one row: two maps at a time.
    const SIGNAL: Network<5> = Network::new(
        Shape::signal(3, 40),
        [conv1d(8, 3), max_pool1d(2), conv1d(8, 3), relu(), linear(2)],
    );
    // The first input and output are the largest pair: 3 x 40, 8 x 19, four channels of 1 x 38.
    assert!(SIGNAL.inference_workspace_len(1) >= 3 * 40 + 8 * 19);
    assert!(SIGNAL.inference_workspace_len(1) < SIGNAL.workspace_len(1));
}

/// Loss and outputs from one pass, beside those of a pass each.
#[test]
fn loss_and_outputs_come_from_one_pass() {
    fn same<const LANES: usize>(fixture: &Fixture) {
        let network = &fixture.network;
        let all = fixture.indices();
        let mut workspace = vec![f32::NAN; network.inference_workspace_len(LANES)];
        for count in [0, 1, LANES, all.len()] {
            let batch = Batch::new(fixture.samples(), &all[..count.min(all.len())]);
            let length = batch.indices.len() * network.output_len();
            let (mut outputs, mut alone) = (vec![f32::NAN; length], vec![f32::NAN; length]);
            let parameters = &fixture.parameters;
            let both = network
                .evaluate_outputs::<LANES>(parameters, batch, &mut outputs, &mut workspace)
                .unwrap();
            network
                .predict::<LANES>(parameters, batch, &mut alone, &mut workspace)
                .unwrap();
            let loss = network
                .evaluate::<LANES>(parameters, batch, &mut workspace)
                .unwrap();
            let bits = |values: &[f32]| values.iter().map(|z| z.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&outputs), bits(&alone), "{}", describe(fixture));
            assert_eq!(
                both.loss.to_bits(),
                loss.loss.to_bits(),
                "{}",
                describe(fixture)
            );
            assert_eq!((both.correct, both.count), (loss.correct, loss.count));
        }
        let batch = Batch::new(fixture.samples(), &all[..1]);
        let mut short = vec![0.0; network.output_len() - 1];
        let refused = network.evaluate_outputs::<LANES>(
            &fixture.parameters,
            batch,
            &mut short,
            &mut workspace,
        );
        assert!(refused.is_err());
    }
    for fixture in fixtures(21) {
        same::<1>(&fixture);
        same::<4>(&fixture);
        same::<16>(&fixture);
    }
}
