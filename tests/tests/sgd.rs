//! Gradient descent with momentum against its definition, to the last bit.

use secant::ConfigError;
use secant::checkpoint::State;
use secant::optim::{Decay, Sgd, SgdConfig};
use secant_tests::draw::Draw;

fn configs() -> impl Iterator<Item = SgdConfig> {
    (0..24).map(|i| SgdConfig {
        learning_rate: 0.5,
        momentum: [0.0, 0.5, 0.75][i / 8],
        nesterov: i & 1 != 0,
        weight_decay: if i & 2 != 0 { 0.25 } else { 0.0 },
        decay: if i & 4 != 0 {
            Decay::Decoupled
        } else {
            Decay::Coupled
        },
    })
}

/// The method of one weight in double precision, as its sources write it: weight, velocity.
fn definition(config: &SgdConfig, [w, v]: [f64; 2], factor: f64, gradient: f64) -> [f64; 2] {
    let (rate, momentum) = (f64::from(config.learning_rate), f64::from(config.momentum));
    let decay = f64::from(config.weight_decay);
    let (g, shrunk) = match config.decay {
        Decay::Coupled => (gradient + decay * w, w),
        _ => (gradient, w - rate * factor * decay * w),
    };
    let v = momentum * v + g;
    let u = if config.nesterov { g + momentum * v } else { v };
    [shrunk - rate * factor * u, v]
}

/// Settings, weights and gradients are fractions of small powers of two, so that for a few steps
/// nothing is rounded, in either precision: both must agree exactly.
#[test]
fn where_nothing_is_rounded_it_is_its_definition() {
    // No vector is filled evenly.
    const WEIGHTS: usize = 37;
    for config in configs() {
        let mut draw = Draw::new(7);
        let mut eighths = || (draw.symmetric() * 8.0).round() / 8.0;
        let mut weights: Vec<f32> = (0..WEIGHTS).map(|_| eighths()).collect();
        let mut expected: Vec<[f64; 2]> = weights.iter().map(|w| [f64::from(*w), 0.0]).collect();
        let mut memory = vec![f32::NAN; Sgd::memory_len(WEIGHTS)];
        let mut sgd = Sgd::new(config, WEIGHTS, &mut memory).unwrap();
        for factor in [1.0, 0.5, 1.0] {
            let gradient: Vec<f32> = (0..WEIGHTS).map(|_| eighths()).collect();
            sgd.step(factor, &mut weights, &gradient).unwrap();
            for (state, g) in expected.iter_mut().zip(&gradient) {
                *state = definition(&config, *state, f64::from(factor), f64::from(*g));
            }
            for ((w, v), [ew, ev]) in weights.iter().zip(sgd.memory()).zip(&expected) {
                assert_eq!((f64::from(*w), f64::from(*v)), (*ew, *ev), "{config:?}");
            }
        }
        assert_eq!(sgd.steps(), 3);
    }
}

#[test]
fn each_product_is_added_with_one_rounding() {
    for config in configs() {
        let config = SgdConfig {
            learning_rate: 0.03,
            momentum: config.momentum * 1.1,
            weight_decay: config.weight_decay * 0.07,
            ..config
        };
        let mut draw = Draw::new(8);
        let mut weights: Vec<f32> = (0..37).map(|_| draw.symmetric()).collect();
        let mut memory = [0.0; 37];
        let mut sgd = Sgd::new(config, 37, &mut memory).unwrap();
        for step in 0..100 {
            let factor = 1.0 - step as f32 / 200.0;
            let gradient: Vec<f32> = (0..37).map(|_| draw.symmetric()).collect();
            let rate = config.learning_rate * factor;
            let expected: Vec<f32> = (0..37)
                .map(|i| {
                    let (w, v) = (weights[i], sgd.memory()[i]);
                    let (g, shrunk) = match config.decay {
                        Decay::Coupled => (config.weight_decay.mul_add(w, gradient[i]), w),
                        _ => (gradient[i], (-(rate * config.weight_decay)).mul_add(w, w)),
                    };
                    let v = config.momentum.mul_add(v, g);
                    let u = if config.nesterov {
                        config.momentum.mul_add(v, g)
                    } else {
                        v
                    };
                    (-rate).mul_add(u, shrunk)
                })
                .collect();
            sgd.step(factor, &mut weights, &gradient).unwrap();
            assert_eq!(weights, expected, "{config:?}, step {step}");
        }
    }
}

#[test]
fn velocities_decay_to_zero_and_not_to_subnormal_numbers() {
    let config = SgdConfig {
        momentum: 0.5,
        ..SgdConfig::DEFAULT
    };
    let (mut w, mut memory) = ([0.5], [0.0; 1]);
    let mut sgd = Sgd::new(config, 1, &mut memory).unwrap();
    sgd.step(1.0, &mut w, &[1.0]).unwrap();
    for _ in 0..200 {
        sgd.step(1.0, &mut w, &[0.0]).unwrap();
        let v = sgd.memory()[0];
        assert!(v == 0.0 || v.is_normal(), "{v}");
    }
    assert_eq!(sgd.memory(), [0.0]);
}

#[test]
fn a_checkpoint_goes_on_the_same() {
    let config = SgdConfig {
        nesterov: true,
        ..SgdConfig::DEFAULT
    };
    let (mut w, mut memory) = ([1.0, -2.0], [0.0; 2]);
    let mut sgd = Sgd::new(config, 2, &mut memory).unwrap();
    for _ in 0..5 {
        let gradient = w;
        sgd.step(1.0, &mut w, &gradient).unwrap();
    }
    let mut numbers = [0; Sgd::NUMBERS];
    sgd.numbers(&mut numbers).unwrap();
    let (mut again, mut other) = (w, [7.0; 2]);
    let mut second = Sgd::new(config, 2, &mut other).unwrap();
    second.memory_mut().copy_from_slice(sgd.memory());
    second.restore(&numbers).unwrap();
    sgd.step(0.5, &mut w, &[0.1, 0.2]).unwrap();
    second.step(0.5, &mut again, &[0.1, 0.2]).unwrap();
    assert_eq!((w, sgd), (again, second));
}

#[test]
fn what_is_out_of_range_is_refused_and_changes_nothing() {
    let mut memory = [0.0; 2];
    for config in [
        SgdConfig {
            momentum: 1.0,
            ..SgdConfig::DEFAULT
        },
        SgdConfig {
            learning_rate: f32::NAN,
            ..SgdConfig::DEFAULT
        },
        SgdConfig {
            weight_decay: -1.0,
            ..SgdConfig::DEFAULT
        },
    ] {
        assert!(Sgd::new(config, 2, &mut memory).is_err(), "{config:?}");
    }
    assert!(matches!(
        Sgd::new(SgdConfig::DEFAULT, 3, &mut memory),
        Err(ConfigError::TooShort { .. })
    ));
    let mut w = [1.0, 2.0];
    let mut sgd = Sgd::new(SgdConfig::DEFAULT, 2, &mut memory).unwrap();
    assert!(sgd.step(1.0, &mut w, &[1.0]).is_err());
    assert!(sgd.step(1.0, &mut w[..1], &[1.0, 1.0]).is_err());
    assert_eq!(
        (w, sgd.steps(), sgd.memory()),
        ([1.0, 2.0], 0, &[0.0; 2][..])
    );
}
