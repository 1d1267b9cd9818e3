//! The pass of one sample at a time against the lane blocks: a block of two lanes with one sample
//! in it has the same sums in the same order, so every bit of loss, gradient and logits must be the
//! same.

use secant::arch::Isa;
use secant::{
    Batch, DropoutKey, Loss, Metrics, Normalisation, PassError, Samples, SteppedGradient,
};

use crate::common::{bits, case, networks};

#[test]
fn singles_have_the_bits_of_lane_blocks() {
    let losses = [Loss::SoftmaxCrossEntropy, Loss::MeanSquaredError];
    let cases = networks()
        .into_iter()
        .flat_map(|case| losses.map(|loss| (case.clone(), loss)));
    for ((name, input, layers), loss) in cases {
        let mut case = case(input, &layers);
        case.network = case.network.with_loss(loss);
        let samples = Samples::bytes(
            &case.pixels,
            &case.labels,
            Normalisation::standard(76.5, 51.0),
        );
        let key = Some(DropoutKey { seed: 7, step: 3 });
        let order = [2u32, 0, 4, 1, 3];
        let batch = |indices| Batch::new(samples, indices).weight(0.2).dropout(key);
        let n = case.network.parameter_count();

        let (mut blocks, mut tally) = (vec![0.0; n], Metrics::default());
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
                let mut progress = SteppedGradient::new();
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
                assert_eq!(progress, SteppedGradient::new());
            }
        }
        Isa::force(Isa::detect()).unwrap();
    }
}

#[test]
fn a_workspace_that_is_too_short_is_an_error() {
    for (name, input, layers) in networks() {
        let case = case(input, &layers);
        let samples = Samples::bytes(&case.pixels, &case.labels, Normalisation::UNIT);
        let batch = Batch::new(samples, &[0]).weight(1.0);
        let mut gradient = vec![0.0; case.parameters.len()];
        let expected = case.network.workspace_len(1);
        let found = expected - 1;
        let mut workspace = vec![0.0; found];
        let done = case.network.accumulate_gradient::<1>(
            &case.parameters,
            batch,
            &mut gradient,
            &mut workspace,
        );
        let error = PassError::Workspace { expected, found };
        assert_eq!(done, Err(error), "{name}");
    }
}
