//! Initial weights: their distributions, against what each initialisation promises, and the layers
//! that are not drawn.

use secant::Random;
use secant::network::{Init, Network, Shape, conv2d, group_norm, linear, weights_from_bytes};

/// 3 x 3 x 3 inputs an output, a scale and shift for 64 channels, then 64 x 6 x 6.
const NET: Network<3> = Network::new(
    Shape::new(3, 8, 8),
    [conv2d(64, 3), group_norm(8), linear(40)],
);

/// Mean, deviation and largest size of numbers.
fn moments(x: &[f32]) -> [f64; 3] {
    let n = x.len() as f64;
    let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let variance = x
        .iter()
        .map(|x| (f64::from(*x) - mean).powi(2))
        .sum::<f64>()
        / n;
    let largest = x
        .iter()
        .fold(0.0, |most: f64, x| most.max(f64::from(x.abs())));
    [mean, variance.sqrt(), largest]
}

fn drawn(init: Init, seed: u64) -> Vec<f32> {
    let mut parameters = vec![f32::NAN; NET.parameter_count() + 3];
    NET.initialise(init, &mut Random::new(seed, 0), &mut parameters);
    let behind = parameters.split_off(NET.parameter_count());
    assert!(behind.iter().all(|x| x.is_nan()), "what is behind stays");
    parameters
}

#[test]
fn distributions_are_as_promised() {
    for init in Init::ALL {
        let parameters = drawn(init, 3);
        let (convolution, rest) = parameters.split_at(64 * 27);
        let (biases, rest) = rest.split_at(64);
        let (scales, rest) = rest.split_at(64);
        let (shifts, rest) = rest.split_at(64);
        let (linear, last) = rest.split_at(40 * 2304);
        assert_eq!(last.len(), 40);
        assert!(scales.iter().all(|x| *x == 1.0) && shifts.iter().all(|x| *x == 0.0));
        for (weights, fan_in) in [(convolution, 27.0_f64), (linear, 2304.0)] {
            let [mean, deviation, largest] = moments(weights);
            let root = 1.0 / fan_in.sqrt();
            // Of a normal distribution cut at two deviations: 1 - 4 p(2) / (2 P(2) - 1), p its density
            // and P its distribution.
            let cut = (1.0 - 4.0 * 0.053_990_966_5 / 0.954_499_736_1_f64).sqrt();
            let (expected, bound) = match init {
                Init::He => (2.0_f64.sqrt() * root, f64::INFINITY),
                Init::LeCun => (root, f64::INFINITY),
                Init::PyTorch => (root / 3.0_f64.sqrt(), root),
                Init::DeepObs => (0.05 * cut, 0.1),
            };
            let n = weights.len() as f64;
            // Five standard errors, for a distribution with the tails of a normal one at most.
            assert!(
                mean.abs() < 5.0 * expected / n.sqrt(),
                "{init:?}: mean {mean}"
            );
            let off = (deviation / expected - 1.0).abs();
            assert!(
                off < 5.0 / (2.0 * n).sqrt(),
                "{init:?}: {deviation}, not {expected}"
            );
            assert!(
                largest <= bound * (1.0 + 1e-6),
                "{init:?}: {largest} over {bound}"
            );
            // They reach as far as they may.
            assert!(largest > 1.6 * deviation, "{init:?}: {largest}");
        }
        for biases in [biases, last] {
            match init {
                Init::He | Init::LeCun => assert!(biases.iter().all(|b| *b == 0.0)),
                Init::DeepObs => assert!(biases.iter().all(|b| *b == 0.05)),
                Init::PyTorch => assert!(moments(biases)[1] > 0.0),
            }
        }
        assert_eq!(parameters, drawn(init, 3));
        assert_ne!(parameters, drawn(init, 4));
    }
}

#[test]
fn names_lead_back() {
    for init in Init::ALL {
        assert_eq!(Init::from_name(init.name()), Some(init));
    }
    assert_eq!(Init::from_name("He"), None);
    assert_eq!(Init::default(), Init::He);
}

#[test]
fn weights_come_from_bytes() {
    let weights = [1.0, -2.5, f32::MIN_POSITIVE, 1e30];
    let bytes: Vec<u8> = weights
        .iter()
        .flat_map(|w: &f32| w.to_le_bytes())
        .chain([7])
        .collect();
    assert_eq!(weights_from_bytes::<4>(&bytes), weights);
    assert_eq!(weights_from_bytes::<1>(&bytes), [1.0]);
}
