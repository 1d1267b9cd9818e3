//! A fit by least squares with bounds, a robust loss and the covariance: built with `no-panic` only.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use secant::least_squares::{LevenbergMarquardt, LevenbergMarquardtConfig, Residuals, Robust};
use static_cell::ConstStaticCell;

/// y = a exp(-b t) + c, from readings.
struct Decay;

const READINGS: [f32; 8] = [9.1, 6.4, 4.6, 3.5, 2.8, 2.4, 2.1, 1.9];

impl Residuals<f32> for Decay {
    fn variables(&self) -> usize {
        3
    }
    fn count(&self) -> usize {
        READINGS.len()
    }
    fn residuals(&mut self, x: &[f32], residuals: &mut [f32]) {
        let &[a, b, c] = x else { return };
        for (i, (r, y)) in residuals.iter_mut().zip(READINGS).enumerate() {
            *r = a * libm::expf(-b * i as f32) + c - y;
        }
    }
}

const MEMORY: usize = LevenbergMarquardt::<f32>::memory_len(3, READINGS.len());
static MEMORY_CELL: ConstStaticCell<[f32; MEMORY]> = ConstStaticCell::new([0.0; MEMORY]);

#[entry]
fn main() -> ! {
    secant_firmware::exit(fit().is_some())
}

fn fit() -> Option<()> {
    let config = LevenbergMarquardtConfig {
        robust: Robust::Cauchy { scale: 0.1 },
        ..LevenbergMarquardtConfig::default()
    };
    let memory = MEMORY_CELL.try_take()?;
    let mut method = LevenbergMarquardt::new(config, 3, READINGS.len(), memory)
        .and_then(|method| method.with_bounds(&[0.0, 0.0, 0.0], &[20.0, 2.0, 1.5]))
        .ok()?;
    let (mut x, mut matrix) = ([5.0, 0.1, 1.0], [0.0; 9]);
    let report = method.fit(&mut Decay, &mut x).ok()?;
    method.covariance(&mut Decay, &x, &mut matrix).ok()?;
    // The asymptote is at its bound.
    (report.is_converged() && x[2] == 1.5 && matrix[8] == 0.0).then_some(())
}
