//! Calibrates a thermistor: three numbers of `ln R = a + b / (T + c)`, with their deviations, from
//! nine readings of which one is wrong. `cargo run -p secant --example sensor_fit`.
use secant::ConfigError;
use secant::least_squares::{self, LevenbergMarquardt, LevenbergMarquardtConfig, Robust};

/// Degrees Celsius, and ohms; at 50 degrees a digit was misread.
const READINGS: [(f32, f32); 9] = [
    (0.0, 32_650.0),
    (10.0, 19_900.0),
    (20.0, 12_490.0),
    (30.0, 8_057.0),
    (40.0, 5_327.0),
    (50.0, 8_603.0),
    (60.0, 2_488.0),
    (70.0, 1_752.0),
    (80.0, 1_258.0),
];

fn main() -> Result<(), ConfigError> {
    let mut curve = least_squares::from_fn(3, READINGS.len(), |x: &[f32], r: &mut [f32]| {
        for (r, (t, ohms)) in r.iter_mut().zip(READINGS) {
            *r = x[0] + x[1] / (t + x[2]) - libm::logf(ohms);
        }
    });
    let config = LevenbergMarquardtConfig {
        robust: Robust::Cauchy { scale: 0.01 },
        ..LevenbergMarquardtConfig::default()
    };
    let mut memory = [0.0; LevenbergMarquardt::<f32>::memory_len(3, READINGS.len())];
    let mut method = LevenbergMarquardt::new(config, 3, READINGS.len(), &mut memory)?;
    let (mut x, mut matrix) = ([-5.0, 4000.0, 270.0], [0.0; 9]);
    let report = method.fit(&mut curve, &mut x)?;
    method.covariance(&mut curve, &x, &mut matrix)?;
    println!("{report}");
    for (i, name) in ["a", "b", "c"].into_iter().enumerate() {
        println!("{name}: {:9.3} +- {:.3}", x[i], matrix[4 * i].sqrt());
    }
    Ok(())
}
