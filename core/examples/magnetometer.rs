//! Calibrates a three-axis magnetometer: finds the ellipsoid on which its readings lie, and the map
//! back to a sphere.
//!
//! A magnetometer that is turned in the earth's field should read vectors of one length. Magnetised
//! parts of the device add a constant (hard iron), soft iron and the axes' gains stretch the sphere
//! to an ellipsoid. With the readings m, the calibration is `W (m - b)`, W symmetric, and minimises
//! `sum (|W (m - b)|^2 - 1)^2` over nine numbers.
//!
//! Everything but the printing runs without `std` and without a heap: `cargo run -p secant
//! --example magnetometer`.
#![no_std]
extern crate std;

use secant::ConfigError;
use secant::objective::Objective;
use secant::optim::{Lbfgs, LbfgsConfig};
use secant::{Random, Real};

const READINGS: usize = 120;
/// b, then W's diagonal, then W's elements 01, 02, 12.
const N: usize = 9;
const PAIRS: usize = 6;

struct Ellipsoid {
    /// In units of the expected field, so that the numbers are near 1.
    readings: [[f32; 3]; READINGS],
}

/// `W v`.
fn stretch(x: &[f32; N], v: &[f32; 3]) -> [f32; 3] {
    [
        x[3] * v[0] + x[6] * v[1] + x[7] * v[2],
        x[6] * v[0] + x[4] * v[1] + x[8] * v[2],
        x[7] * v[0] + x[8] * v[1] + x[5] * v[2],
    ]
}

/// `m - b`.
fn shift(x: &[f32; N], m: &[f32; 3]) -> [f32; 3] {
    [m[0] - x[0], m[1] - x[1], m[2] - x[2]]
}

impl Objective<f32> for Ellipsoid {
    fn dimension(&self) -> usize {
        N
    }

    fn value_and_gradient(&mut self, x: &[f32], gradient: &mut [f32]) -> f32 {
        gradient.fill(0.0);
        let Ok(x) = <&[f32; N]>::try_from(x) else {
            return f32::NAN;
        };
        let mut value = 0.0;
        for m in &self.readings {
            let d = shift(x, m);
            let u = stretch(x, &d);
            let r = u[0] * u[0] + u[1] * u[1] + u[2] * u[2] - 1.0;
            value += r * r;
            // The residual's gradient is 2 W u with respect to m - b, and 2 u_i d_j with respect to
            // W's element ij.
            let wu = stretch(x, &u);
            let scale = 4.0 * r / READINGS as f32;
            for i in 0..3 {
                gradient[i] -= scale * wu[i];
                gradient[3 + i] += scale * u[i] * d[i];
            }
            gradient[6] += scale * (u[0] * d[1] + u[1] * d[0]);
            gradient[7] += scale * (u[0] * d[2] + u[2] * d[0]);
            gradient[8] += scale * (u[1] * d[2] + u[2] * d[1]);
        }
        value / READINGS as f32
    }
}

/// Readings as a sensor gives them: distorted, noisy, in whole steps of 0.15 microtesla, for a
/// field of 48 microtesla.
fn measure() -> [[f32; 3]; READINGS] {
    let mut random = Random::new(7, 0);
    let mut readings = [[0.0; 3]; READINGS];
    for m in &mut readings {
        let mut direction = [random.normal(), random.normal(), random.normal()];
        let length = secant::vector::norm2(&direction);
        direction.iter_mut().for_each(|x| *x *= 48.0 / length);
        let [x, y, z] = direction;
        let distorted = [
            1.12 * x + 0.05 * y - 0.02 * z + 31.0,
            0.05 * x + 0.93 * y + 0.04 * z - 12.5,
            -0.02 * x + 0.04 * y + 1.04 * z + 7.75,
        ];
        for (m, distorted) in m.iter_mut().zip(distorted) {
            let noisy = distorted + 0.3 * random.normal();
            let steps = noisy / 0.15;
            // Rounds half away from zero, without `std`.
            let whole = (steps + if steps < 0.0 { -0.5 } else { 0.5 }) as i32;
            *m = whole as f32 * 0.15 / 48.0;
        }
    }
    readings
}

/// The largest error of a calibrated length, in percent of the field.
fn worst_error(x: &[f32; N], readings: &[[f32; 3]]) -> f32 {
    let mut worst = 0.0f32;
    for m in readings {
        worst = worst.larger((secant::vector::norm2(&stretch(x, &shift(x, m))) - 1.0).abs());
    }
    100.0 * worst
}

fn main() -> Result<(), ConfigError> {
    let mut problem = Ellipsoid {
        readings: measure(),
    };
    let mut x = [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0];
    let before = worst_error(&x, &problem.readings);

    let mut memory = [0.0; Lbfgs::<PAIRS>::memory_len(N)];
    let mut lbfgs = Lbfgs::<PAIRS>::new(LbfgsConfig::default(), N, &mut memory)?;
    let report = lbfgs.minimize(&mut problem, &mut x)?;

    std::println!("{report}");
    std::println!("memory: {} bytes", size_of_val(&memory));
    std::println!(
        "offset in microtesla: {:.2} {:.2} {:.2} (true: 31, -12.5, 7.75)",
        48.0 * x[0],
        48.0 * x[1],
        48.0 * x[2]
    );
    std::println!(
        "worst error of the length: {before:.1} % before, {:.1} % after",
        worst_error(&x, &problem.readings)
    );
    assert!(report.termination.is_converged() && worst_error(&x, &problem.readings) < 3.0);
    Ok(())
}
