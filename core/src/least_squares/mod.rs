//! Nonlinear least squares: fitting a model to measurements.

mod bounds;
mod damped;
mod differences;
mod levenberg_marquardt;
mod matrix;
mod qr;
mod residuals;
mod robust;

#[doc(inline)]
pub use {
    differences::Differences,
    levenberg_marquardt::{FitReport, FitStatus, LevenbergMarquardt, LevenbergMarquardtConfig},
    matrix::Matrix,
    residuals::{FromFn, FromFnWithJacobian, Residuals, from_fn},
    robust::Robust,
};
