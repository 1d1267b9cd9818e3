//! Nonlinear least squares: fitting a model to measurements.
//!
//! Residuals are what a model says less what was measured ([`Residuals`], or a closure by
//! [`from_fn`]); [`LevenbergMarquardt`] makes the sum of their squares least, within bounds if
//! there are any, or the sum of a robust loss ([`Robust`]), and tells how well each variable is
//! known ([`LevenbergMarquardt::covariance`]). It takes tens of evaluations where a minimiser of
//! [`optim`](crate::optim), which sees the sum alone, takes hundreds.
//!
//! The conventions are those of [`optim`](crate::optim): configuration apart from state, memory
//! lent at `new`, a status that is not an error. Derivatives are the caller's or differences
//! ([`Differences`]). Everything works in `f32` and `f64`, and keeps the determinism contract:
//! norms and dot products go through [`vector`](crate::vector), in its order.
//!
//! In `f32` the data have seven digits, and sums of squares less: a fit to noisy data ends at the
//! noise level as often as by convergence, both with what can be had.

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
#[cfg(test)]
mod tests;

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
