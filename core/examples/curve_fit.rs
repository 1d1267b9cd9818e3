//! Fits a cooling curve, `T(t) = ambient + amplitude exp(-rate t)`, to twenty readings of a
//! thermometer, and tells how well each number is known.
//!
//! Everything but the printing runs without `std` and without a heap: `cargo run -p secant
//! --example curve_fit`.
#![no_std]
extern crate std;

use secant::ConfigError;
use secant::Real;
use secant::objective;
use secant::optim::{Bfgs, BfgsConfig};

/// Degrees Celsius, one reading a minute.
const READINGS: [f64; 20] = [
    81.9, 75.3, 70.1, 64.6, 60.4, 56.1, 52.9, 49.4, 46.9, 44.2, 42.0, 39.8, 38.2, 36.3, 35.1, 33.6,
    32.7, 31.4, 30.6, 29.9,
];

fn main() -> Result<(), ConfigError> {
    // Half the sum of squares of T(t) - reading; x = ambient, amplitude, rate (per ten minutes).
    let mut misfit = objective::from_fn(3, |x: &[f64], gradient: &mut [f64]| {
        gradient.fill(0.0);
        let mut value = 0.0;
        for (minute, reading) in READINGS.iter().enumerate() {
            let t = minute as f64 / 10.0;
            let decay = libm::exp(-x[2] * t);
            let r = x[0] + x[1] * decay - reading;
            value += 0.5 * r * r;
            gradient[0] += r;
            gradient[1] += r * decay;
            gradient[2] -= r * x[1] * decay * t;
        }
        value
    });

    let mut memory = [0.0; Bfgs::<f64>::memory_len(3)];
    let mut bfgs = Bfgs::new(BfgsConfig::default(), 3, &mut memory)?;
    let mut x = [20.0, 60.0, 1.0];
    let report = bfgs.minimize(&mut misfit, &mut x)?;

    std::println!("{report}");
    // At the minimum of half a sum of squares, the inverse Hessian times the noise's variance is
    // the covariance.
    let variance = 2.0 * report.value / (READINGS.len() - 3) as f64;
    if let Some(h) = bfgs.inverse_hessian() {
        for (i, (name, unit)) in [("ambient", "C"), ("amplitude", "C"), ("rate", "per 10 min")]
            .into_iter()
            .enumerate()
        {
            std::println!(
                "{name:10} {:8.3} +- {:.3} {unit}",
                x[i],
                (variance * h[4 * i]).sqrt()
            );
        }
    }
    std::println!("noise      {:8.3} C", Real::sqrt(variance));
    assert!(report.termination.is_converged() && variance < 0.1);
    Ok(())
}
