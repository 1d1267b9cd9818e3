//! Numbers at the edge of what floats hold.

use secant::arch::Isa;
use secant::network::{Network, Shape, conv2d, linear, max_pool2d, relu};
use secant::{Batch, Normalisation, Samples, Targets, Values};

/// Outputs are the biases: the sample is 0.
const LINEAR: Network<1> = Network::new(Shape::vector(1), [linear(3)]);

/// Loss of class `label` for these outputs, and the gradient of the biases.
fn loss<const LANES: usize>(outputs: [f32; 3], label: u8) -> (f64, [f32; 3]) {
    let [a, b, c] = outputs;
    let parameters = [0.0, 0.0, 0.0, a, b, c];
    let (mut gradient, mut workspace) = ([0.0; 6], [0.0; 512]);
    let labels = [label];
    let samples = Samples {
        values: Values::F32(&[0.0]),
        targets: Targets::U8(&labels),
        normalisation: Normalisation::standard(0.0, 1.0),
    };
    let workspace = &mut workspace[..LINEAR.workspace_len(LANES)];
    let metrics = LINEAR
        .accumulate_gradient::<LANES>(
            &parameters,
            Batch::new(samples, &[0]),
            &mut gradient,
            workspace,
        )
        .unwrap();
    (metrics.mean_loss(), [gradient[3], gradient[4], gradient[5]])
}

/// `log sum exp z - z_label` in double precision, and softmax less the label.
fn expected(outputs: [f32; 3], label: usize) -> (f64, [f64; 3]) {
    let z = outputs.map(f64::from);
    let most = z
        .iter()
        .fold(f64::MIN, |most, z| if *z > most { *z } else { most });
    let sum: f64 = z.iter().map(|z| libm::exp(z - most)).sum();
    let mut gradient = z.map(|z| libm::exp(z - most) / sum);
    gradient[label] -= 1.0;
    (libm::log(sum) + (most - z[label]), gradient)
}

#[test]
fn softmax_is_right_at_any_finite_output() {
    let sizes = [1.0, 80.0, 90.0, 1e3, 1e4, 1e10, 1e30, f32::MAX / 4.0];
    for size in sizes {
        for outputs in [
            [size, -size, 0.0],
            [size, size, -size],
            [-size; 3],
            [0.0, 1.0, size],
            [-size, -size, -2.0 * size],
        ] {
            for label in 0..3 {
                let (value, gradient) = expected(outputs, label);
                for (found, slopes) in [
                    loss::<1>(outputs, label as u8),
                    loss::<4>(outputs, label as u8),
                    loss::<16>(outputs, label as u8),
                ] {
                    let close = (found - value).abs() <= 2e-6 * (1.0 + value.abs());
                    assert!(close, "{outputs:?}, class {label}: {found}, not {value}");
                    for (g, e) in slopes.iter().zip(gradient) {
                        assert!(
                            (f64::from(*g) - e).abs() < 1e-6,
                            "{outputs:?}, class {label}"
                        );
                    }
                }
            }
        }
    }
}

/// A loss that is not finite is what ends a run, or takes it back.
#[test]
fn outputs_that_are_not_finite_show_in_the_loss() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    for outputs in [
        [inf, 0.0, 0.0],
        [inf, inf, 0.0],
        [inf, -inf, 0.0],
        [-inf; 3],
        [nan, 0.0, 0.0],
        [0.0, 0.0, nan],
    ] {
        for label in 0..3 {
            assert!(!loss::<1>(outputs, label).0.is_finite(), "{outputs:?}");
            assert!(!loss::<16>(outputs, label).0.is_finite(), "{outputs:?}");
        }
    }
    // The probability of another class is 0, and only that of the label is asked for.
    let (value, gradient) = loss::<1>([0.0, 0.0, -inf], 0);
    assert!((value - core::f64::consts::LN_2).abs() < 1e-6);
    assert_eq!(gradient, [-0.5, 0.5, 0.0]);
    assert!(!loss::<1>([0.0, 0.0, -inf], 2).0.is_finite());
}

const SMALL: Network<4> = Network::new(
    Shape::new(1, 8, 8),
    [conv2d(4, 3), relu(), max_pool2d(2), linear(3)],
);

/// Weights too small for a normal float, and pixels that are all the same: every instruction set
/// gives the same bits, and they are numbers.
#[test]
fn subnormal_weights_and_constant_pixels_change_no_rule() {
    let count = SMALL.parameter_count();
    for scale in [1e-45, 1e-41, 1e-39, 1e-30] {
        for pixel in [0_u8, 255] {
            let weights: Vec<f32> = (0..count).map(|i| (i % 7) as f32 * scale).collect();
            let pixels = vec![pixel; 64 * 20];
            let labels: Vec<u8> = (0..20).map(|i| i % 3).collect();
            let indices: Vec<u32> = (0..20).collect();
            let samples = Samples::bytes(&pixels, &labels, Normalisation::standard(0.5, 0.25));
            let mut seen = Vec::new();
            let before = Isa::current();
            for isa in Isa::ALL.into_iter().filter(|isa| Isa::force(*isa).is_ok()) {
                let mut gradient = vec![0.0; count];
                let mut workspace = vec![0.0; SMALL.workspace_len(16)];
                let metrics = SMALL
                    .accumulate_gradient::<16>(
                        &weights,
                        Batch::new(samples, &indices),
                        &mut gradient,
                        &mut workspace,
                    )
                    .unwrap();
                assert!(
                    (metrics.mean_loss() - libm::log(3.0)).abs() < 1e-6,
                    "{isa:?}"
                );
                let bits: Vec<u32> = gradient.iter().map(|g| g.to_bits()).collect();
                assert!(gradient.iter().all(|g| g.is_finite()));
                seen.push((bits, metrics.mean_loss().to_bits()));
            }
            Isa::force(before).unwrap();
            assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{scale:e}");
        }
    }
}
