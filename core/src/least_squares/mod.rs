//! Nonlinear least squares: fitting a model to measurements.

mod bounds;
mod covariance;
mod damped;
mod differences;
mod levenberg_marquardt;
mod local_model;
mod matrix;
mod qr;
mod residuals;
mod robust;
mod status;

#[doc(inline)]
pub use {
    covariance::Covariance,
    differences::Differences,
    levenberg_marquardt::{LevenbergMarquardt, LevenbergMarquardtConfig},
    matrix::Matrix,
    residuals::{FromFn, FromFnWithJacobian, Residuals, from_fn},
    robust::Robust,
    status::{FitReport, FitStatus},
};
