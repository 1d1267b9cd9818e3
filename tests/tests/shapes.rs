//! Shapes of any size: a network is made with the right counts, or refused with the reason; never
//! one whose counts have wrapped. Counted again here with numbers of 128 bits.
//!
//! These tests mean the most on a target of 32 bits: `cargo test -p secant-tests --test shapes
//! --target i686-unknown-linux-musl` (docs/reliability.md).

use proptest::prelude::*;
use secant::least_squares::LevenbergMarquardt;
use secant::network::{
    Layer, LayerError, Network, Shape, ShapeError, avg_pool2d, conv2d, depthwise_conv2d, dropout,
    global_avg_pool2d, group_norm, layer_norm, leaky_relu, linear, max_pool2d, relu, sigmoid, tanh,
};
use secant::optim::{
    Adam, AdamConfig, Bfgs, FlatLbfgs, GradientDescent, Guard, HessianFree, IterateAverages, Lbfgs,
    LbfgsB, NewtonCg, OwlQn,
};
use secant::{Batch, Normalisation, Samples};

/// Most values of a map, of padded inputs, and of all parameters.
const LARGEST: u128 = 1 << 28;

type Net = Network<'static, 6>;

/// What a layer makes of a shape: the new shape, and weights, biases, padded input; or nothing.
struct Counted {
    shape: [u128; 3],
    weights: u128,
    biases: u128,
    padded: u128,
}

/// Positions and covered length of windows along an axis.
fn windows(image: u128, size: usize, stride: usize, padding: usize) -> Option<(u128, u128)> {
    let (size, stride, padding) = (size as u128, stride as u128, padding as u128);
    if size == 0 || stride == 0 || padding >= size || image + 2 * padding < size {
        return None;
    }
    let positions = (image + 2 * padding - size) / stride + 1;
    Some((positions, (positions - 1) * stride + size))
}

fn counted(layer: &Layer, [channels, rows, columns]: [u128; 3]) -> Option<Counted> {
    let all = channels.saturating_mul(rows).saturating_mul(columns);
    let window = |size: [usize; 2], stride: [usize; 2], padding: [usize; 2]| {
        let (r, over) = windows(rows, size[0], stride[0], padding[0])?;
        let (c, wide) = windows(columns, size[1], stride[1], padding[1])?;
        Some(([r, c], over.saturating_mul(wide).saturating_mul(channels)))
    };
    let plain = |shape| Counted {
        shape,
        weights: 0,
        biases: 0,
        padded: all,
    };
    let same = plain([channels, rows, columns]);
    Some(match layer {
        Layer::Conv2d(l) => {
            let ([r, c], padded) = window(l.kernel, l.stride, l.padding)?;
            let outputs = l.outputs as u128;
            let taps = (l.kernel[0] as u128).saturating_mul(l.kernel[1] as u128);
            Counted {
                shape: [outputs, r, c],
                weights: taps.saturating_mul(channels).saturating_mul(outputs),
                biases: outputs,
                padded,
            }
        }
        Layer::DepthwiseConv2d(l) => {
            let ([r, c], padded) = window(l.kernel, l.stride, l.padding)?;
            let taps = (l.kernel[0] as u128).saturating_mul(l.kernel[1] as u128);
            Counted {
                shape: [channels, r, c],
                weights: taps.saturating_mul(channels),
                biases: channels,
                padded,
            }
        }
        Layer::MaxPool2d(l) => {
            let ([r, c], _) = window(l.size, l.stride, [0; 2])?;
            if l.size[0] as u128 * l.size[1] as u128 > 256 {
                return None;
            }
            plain([channels, r, c])
        }
        Layer::AvgPool2d(l) => {
            let ([r, c], _) = window(l.size, l.stride, [0; 2])?;
            plain([channels, r, c])
        }
        Layer::Linear(l) => Counted {
            shape: [l.outputs as u128, 1, 1],
            weights: all.saturating_mul(l.outputs as u128),
            biases: l.outputs as u128,
            padded: all,
        },
        Layer::GlobalAvgPool2d => plain([channels, 1, 1]),
        Layer::GroupNorm(l) => {
            let groups = l.groups as u128;
            if groups == 0 || channels % groups != 0 {
                return None;
            }
            Counted {
                weights: channels,
                biases: channels,
                ..same
            }
        }
        _ => same,
    })
}

/// Parameters, multiply-accumulates, output and largest map, if there is such a network.
fn count(input: Shape, layers: &[Layer]) -> Option<(u128, u128, u128, u128)> {
    let mut shape = [input.channels, input.rows, input.columns].map(|x| x as u128);
    let len = |shape: [u128; 3]| shape[0].saturating_mul(shape[1]).saturating_mul(shape[2]);
    let fits = |values: u128| values > 0 && values <= LARGEST;
    if !fits(len(shape)) {
        return None;
    }
    let (mut parameters, mut work, mut largest) = (0, 0, len(shape));
    for layer in layers {
        let next = counted(layer, shape)?;
        let own = next.weights.saturating_add(next.biases);
        if !fits(len(next.shape)) || next.padded > LARGEST || own > LARGEST {
            return None;
        }
        parameters += own;
        if parameters > LARGEST {
            return None;
        }
        work += next.weights * next.shape[1] * next.shape[2];
        shape = next.shape;
        largest = largest.max(len(shape));
    }
    Some((parameters, work, len(shape), largest))
}

/// Sizes from the whole range: small ones, powers of two and what lies beside them, and any.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        6 => 0_usize..20,
        3 => (0..usize::BITS, 0_usize..3).prop_map(|(bit, by)| (1_usize << bit).wrapping_add(by).wrapping_sub(1)),
        1 => any::<usize>(),
    ]
}

fn pair() -> impl Strategy<Value = [usize; 2]> {
    [size(), size()]
}

fn layer() -> impl Strategy<Value = Layer> {
    prop_oneof![
        4 => (size(), pair(), pair(), pair()).prop_map(|(outputs, k, s, p)| {
            conv2d(outputs, 1).kernel(k[0], k[1]).strides(s[0], s[1]).paddings(p[0], p[1])
        }),
        2 => (pair(), pair(), pair()).prop_map(|(k, s, p)| {
            depthwise_conv2d(1).kernel(k[0], k[1]).strides(s[0], s[1]).paddings(p[0], p[1])
        }),
        2 => (pair(), pair())
            .prop_map(|(k, s)| max_pool2d(1).kernel(k[0], k[1]).strides(s[0], s[1])),
        2 => (pair(), pair())
            .prop_map(|(k, s)| avg_pool2d(1).kernel(k[0], k[1]).strides(s[0], s[1])),
        3 => size().prop_map(linear),
        1 => size().prop_map(group_norm),
        2 => prop_oneof![
            Just(relu()),
            Just(tanh()),
            Just(sigmoid()),
            Just(leaky_relu(0.1)),
            Just(global_avg_pool2d()),
            Just(layer_norm()),
            Just(dropout(0.5)),
        ],
    ]
}

/// What fits more often: an image of some size, and windows that are small beside it.
fn likely() -> impl Strategy<Value = (Shape, Vec<Layer>)> {
    let side = || prop_oneof![1_usize..40, 1_usize..20_000];
    let small = || [1_usize..6, 1_usize..6];
    let window = prop_oneof![
        (1_usize..3_000, small(), small(), [0_usize..3, 0_usize..3]).prop_map(
            |(outputs, k, s, p)| {
                conv2d(outputs, 1)
                    .kernel(k[0], k[1])
                    .strides(s[0], s[1])
                    .paddings(p[0].min(k[0] - 1), p[1].min(k[1] - 1))
            }
        ),
        (small(), small()).prop_map(|(k, s)| max_pool2d(1).kernel(k[0], k[1]).strides(s[0], s[1])),
        (small(), small()).prop_map(|(k, s)| avg_pool2d(1).kernel(k[0], k[1]).strides(s[0], s[1])),
        Just(relu()),
        Just(tanh()),
        Just(global_avg_pool2d()),
        (1_usize..5_000).prop_map(linear),
    ];
    let shape = (1_usize..600, side(), side()).prop_map(|(c, r, q)| Shape::new(c, r, q));
    (shape, prop::collection::vec(window, 1..6))
}

fn agrees(input: Shape, layers: &[Layer]) -> Result<(), TestCaseError> {
    let made = Net::try_from_slice(input, layers);
    let expected = count(input, layers);
    let Ok(network) = made else {
        prop_assert!(
            expected.is_none(),
            "{made:?}, and {expected:?} were possible"
        );
        // The reason can be told.
        prop_assert!(!made.unwrap_err().to_string().is_empty());
        return Ok(());
    };
    let Some((parameters, work, outputs, largest)) = expected else {
        return Err(TestCaseError::fail(format!("{network:?} has wrapped")));
    };
    prop_assert_eq!(network.parameter_count() as u128, parameters);
    prop_assert_eq!(network.parameter_offset(layers.len()) as u128, parameters);
    prop_assert_eq!(network.output_len() as u128, outputs);
    let work = usize::try_from(work).unwrap_or(usize::MAX);
    prop_assert_eq!(network.multiply_accumulates(), work);
    let mut before = 0;
    for lanes in [1, 2, 4, 8, 16] {
        let len = network.workspace_len(lanes);
        // Its output lies there for each lane, and more lanes never need less.
        prop_assert!(len as u128 >= outputs * lanes as u128 || len == usize::MAX);
        prop_assert!(len >= before, "{lanes} lanes: {len} after {before}");
        before = if lanes > 1 { len } else { 0 };
        // Nor has it wrapped to far too much: 33 maps for each stage, and scratch.
        let most = (layers.len() as u128 + 8) * 33 * lanes as u128;
        let most = most * (4 * largest + 64 * LARGEST);
        prop_assert!(len as u128 <= most || len == usize::MAX, "{len} of {most}");
        prop_assert!(network.inference_workspace_len(lanes) <= len);
    }
    runs(&network, outputs);
    Ok(())
}

/// A pass, if its memory is not too much for a test; in a workspace of exactly its length.
fn runs(network: &Net, outputs: u128) {
    let (p, lanes) = (network.parameter_count(), network.workspace_len(16));
    let sample = network.input().len();
    if p.max(lanes).max(network.workspace_len(1)).max(sample) > 1 << 18
        || outputs > u128::from(u16::MAX)
    {
        return;
    }
    if network.multiply_accumulates() > 1 << 20 {
        return;
    }
    let (parameters, mut gradient) = (vec![0.01; p], vec![0.0; p]);
    let pixels = vec![7_u8; network.input().len() * 2];
    let samples = Samples::bytes(&pixels, &[0, 0], Normalisation::standard(0.5, 0.5));
    let mut workspace = vec![0.0; lanes];
    let batch = Batch::new(samples, &[0, 1]);
    network
        .accumulate_gradient::<16>(&parameters, batch, &mut gradient, &mut workspace)
        .unwrap();
    let mut workspace = vec![0.0; network.workspace_len(1)];
    network
        .accumulate_gradient::<1>(&parameters, batch, &mut gradient, &mut workspace)
        .unwrap();
    let mut workspace = vec![0.0; network.inference_workspace_len(1)];
    network
        .evaluate::<1>(&parameters, batch, &mut workspace)
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counts_are_right_over_the_whole_range(
        c in size(), r in size(), q in size(), layers in prop::collection::vec(layer(), 1..6)
    ) {
        agrees(Shape::new(c, r, q), &layers)?;
    }

    #[test]
    fn counts_are_right_where_most_fits((input, layers) in likely()) {
        agrees(input, &layers)?;
    }

    #[test]
    fn what_is_asked_of_a_layer_alone_does_not_wrap(
        c in size(), r in size(), q in size(), layer in layer()
    ) {
        let input = Shape::new(c, r, q);
        let exact = (c as u128).saturating_mul(r as u128).saturating_mul(q as u128);
        prop_assert_eq!(input.len(), usize::try_from(exact).unwrap_or(usize::MAX));
        let (weights, biases) = layer.parameters(input);
        if let Ok(output) = layer.output(input) {
            let _ = output.len();
            let by_hand = counted(&layer, [c, r, q].map(|x| x as u128));
            if let Some(by_hand) = by_hand {
                let fit = |x: u128| usize::try_from(x).unwrap_or(usize::MAX);
                prop_assert_eq!((weights, biases), (fit(by_hand.weights), fit(by_hand.biases)));
            }
        }
    }

    #[test]
    fn memory_of_optimisers_does_not_wrap(n in size(), m in size()) {
        let fit = |x: u128| usize::try_from(x).unwrap_or(usize::MAX);
        let wide = n as u128;
        prop_assert_eq!(Adam::memory_len(n), fit(2 * wide));
        prop_assert_eq!(Guard::memory_len(n), n);
        prop_assert_eq!(FlatLbfgs::<4>::memory_len(n), fit(13 * wide));
        prop_assert_eq!(HessianFree::memory_len(n), fit(5 * wide));
        prop_assert_eq!(IterateAverages::memory_len(n), fit(3 * wide));
        prop_assert_eq!(NewtonCg::<f64>::memory_len(n), fit(6 * wide));
        prop_assert_eq!(GradientDescent::<f64>::memory_len(n), fit(6 * wide));
        prop_assert_eq!(Lbfgs::<3, f64>::memory_len(n), fit(12 * wide));
        let square = wide.saturating_mul(wide);
        prop_assert_eq!(Bfgs::<f64>::memory_len(n), fit(square.saturating_add(6 * wide)));
        for len in [LbfgsB::<3, f64>::memory_len(n), OwlQn::<3, f64>::memory_len(n)] {
            prop_assert!(len >= n, "{len} of {n}");
            prop_assert!(len == usize::MAX || len as u128 >= 10 * wide);
        }
        let fitted = LevenbergMarquardt::<f64>::memory_len(n, m);
        let exact = square.saturating_mul(3).saturating_add(wide.saturating_mul(m as u128));
        let exact = exact.saturating_add(m as u128);
        prop_assert!(fitted == usize::MAX || fitted as u128 >= exact);
        prop_assert!(fitted < usize::MAX || exact.saturating_mul(100) > usize::MAX as u128);
        // No memory is enough for what does not fit.
        if Adam::memory_len(n) > 64 {
            prop_assert!(Adam::new(AdamConfig::default(), n, &mut [0.0; 64]).is_err());
        }
    }
}

/// Each limit, at the last size that fits and at the first that does not.
#[test]
fn limits_are_exact() {
    let made = |input: Shape, layers: &[Layer]| Net::try_from_slice(input, layers).map(|_| ());
    let big = 1 << 28;
    assert_eq!(made(Shape::vector(big), &[relu()]), Ok(()));
    assert_eq!(
        made(Shape::vector(big + 1), &[relu()]),
        Err(ShapeError::Input)
    );
    // A zero that comes after what overflows.
    let half = 1 << (usize::BITS / 2);
    let wrapped = Shape::new(half, half, 0);
    assert_eq!(made(wrapped, &[relu()]), Err(ShapeError::Input));
    assert_eq!(
        made(Shape::new(half, half, 3), &[relu()]),
        Err(ShapeError::Input)
    );
    // Weights and biases count together.
    let layer = |index, name, error| Err(ShapeError::Layer { index, name, error });
    let too_large = |index, name| layer(index, name, LayerError::TooLarge);
    assert_eq!(
        made(Shape::vector((1 << 14) - 1), &[linear(1 << 14)]),
        Ok(())
    );
    assert_eq!(
        made(Shape::vector(1 << 14), &[linear(1 << 14)]),
        too_large(0, "linear")
    );
    // All layers together.
    let wide = [
        linear(1 << 13),
        linear(1 << 13),
        linear(1 << 13),
        linear(10),
    ];
    assert_eq!(made(Shape::vector(1 << 13), &wide), Ok(()));
    let wider = [linear(1 << 13); 4];
    assert_eq!(
        made(Shape::vector(1 << 13), &wider),
        Err(ShapeError::Parameters)
    );
    // Padding alone can be too much.
    let padded = [conv2d(1, 1 << 15).padding((1 << 15) - 1)];
    assert_eq!(
        made(Shape::new(1, 1 << 10, 1 << 10), &padded),
        too_large(0, "conv2d")
    );
    // A window of 256 points in any shape.
    for (size, fits) in [
        ([1, 256], true),
        ([256, 1], true),
        ([16, 16], true),
        ([1, 257], false),
        ([257, 1], false),
        ([15, 18], false),
    ] {
        let pool = max_pool2d(1).kernel(size[0], size[1]);
        let expected = if fits {
            Ok(())
        } else {
            layer(0, "max_pool2d", LayerError::PoolTooLarge(size))
        };
        assert_eq!(made(Shape::new(1, 300, 300), &[pool]), expected, "{size:?}");
    }
    // Strides that reach past everything.
    let far = [
        conv2d(2, 3).stride(usize::MAX),
        max_pool2d(1).stride(usize::MAX),
        avg_pool2d(1).stride(usize::MAX),
        linear(2),
    ];
    assert_eq!(made(Shape::new(1, 9, 9), &far), Ok(()));
}

/// In a constant the same is a value, too: this compiles.
#[test]
fn constants_are_refused_alike() {
    const HALF: usize = 1 << (usize::BITS / 2);
    const ZERO: Result<Network<1>, ShapeError> =
        Network::try_new(Shape::new(HALF, HALF, 0), [relu()]);
    const WIDE: Result<Network<1>, ShapeError> =
        Network::try_new(Shape::vector(9), [linear(usize::MAX)]);
    const DEEP: Result<Network<1>, ShapeError> = Network::try_new(
        Shape::new(1, 9, 9),
        [conv2d(1, usize::MAX).padding(usize::MAX - 1)],
    );
    const MANY: Result<Network<4>, ShapeError> =
        Network::try_new(Shape::vector(1 << 13), [linear(1 << 13); 4]);
    const FAR: Result<Network<3>, ShapeError> = Network::try_new(
        Shape::new(1, 9, 9),
        [
            conv2d(2, 3).stride(usize::MAX),
            max_pool2d(1).stride(usize::MAX),
            linear(2),
        ],
    );
    assert_eq!(ZERO.err(), Some(ShapeError::Input));
    assert!(matches!(WIDE, Err(ShapeError::Layer { index: 0, .. })));
    assert!(matches!(DEEP, Err(ShapeError::Layer { index: 0, .. })));
    assert_eq!(MANY.err(), Some(ShapeError::Parameters));
    assert!(FAR.is_ok());
}
