//! Matrices of another crate: ridge regression with `ndarray`. The optimiser sees slices, which
//! views wrap without a copy; `nalgebra`'s `DVectorView::from_slice` does the same.
//!
//! `cargo run -p secant-tests --example ndarray`

use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut1};
use secant::ConfigError;
use secant::objective;
use secant::optim::{Lbfgs, LbfgsConfig};

fn main() -> Result<(), ConfigError> {
    // Twenty readings of a cubic, and a small penalty on its coefficients.
    let at = Array1::<f64>::linspace(-1.0, 1.0, 20);
    let design = Array2::from_shape_fn((20, 4), |(i, j)| at[i].powi(j as i32));
    let truth = Array1::from(vec![0.5, -1.0, 0.25, 2.0]);
    let readings = design.dot(&truth);
    let penalty = 1e-6;

    // f(w) = |A w - b|^2 / 2 + penalty |w|^2 / 2
    let mut ridge = objective::from_fn(4, |w: &[f64], gradient: &mut [f64]| {
        let w = ArrayView1::from(w);
        let misfit = design.dot(&w) - &readings;
        ArrayViewMut1::from(gradient).assign(&(design.t().dot(&misfit) + penalty * &w));
        0.5 * (misfit.dot(&misfit) + penalty * w.dot(&w))
    });

    let mut memory = [0.0; Lbfgs::<5, f64>::memory_len(4)];
    let mut lbfgs = Lbfgs::<5, f64>::new(LbfgsConfig::default(), 4, &mut memory)?;
    let mut w = Array1::zeros(4);
    let report = lbfgs.minimize(&mut ridge, w.as_slice_mut().unwrap_or_default())?;
    println!("{report}\nw = {w:.4}");
    assert!((&w - &truth).iter().all(|error| error.abs() < 1e-4));
    Ok(())
}
