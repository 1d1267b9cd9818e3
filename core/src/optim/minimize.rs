//! A minimum in one call, with memory from the heap.

use alloc::vec;
use core::ops::ControlFlow;

use super::lbfgs::{Lbfgs, LbfgsConfig};
use super::termination::Report;
use crate::objective;
use crate::real::Real;

/// Pairs.
const M: usize = 10;

/// Minimises a function from `x`, which ends as the best point seen: [`Lbfgs`] with ten pairs and
/// the default settings, in memory from the heap.
///
/// `function` **overwrites** its second argument with the gradient and returns the value. For other
/// settings, for bounds, and for a step at a time, take an optimiser itself.
///
/// ```
/// use secant::optim::minimize;
///
/// let rosenbrock = |x: &[f64], g: &mut [f64]| {
///     let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
///     g[0] = -2.0 * a - 400.0 * x[0] * b;
///     g[1] = 200.0 * b;
///     a * a + 100.0 * b * b
/// };
/// let mut x = [-1.2, 1.0];
/// let report = minimize(rosenbrock, &mut x);
/// assert!(report.termination.is_converged() && (x[0] - 1.0).abs() < 1e-4);
/// ```
///
/// A history is a closure that pushes; a budget of time is one that breaks:
///
/// ```
/// use std::ops::ControlFlow;
/// use std::time::{Duration, Instant};
///
/// use secant::objective;
/// use secant::optim::{Lbfgs, LbfgsConfig};
///
/// let mut quartic = objective::from_fn(1, |x: &[f64], g: &mut [f64]| {
///     g[0] = 4.0 * x[0].powi(3);
///     x[0].powi(4)
/// });
/// let mut memory = vec![0.0; Lbfgs::<5, f64>::memory_len(1)];
/// let mut lbfgs = Lbfgs::<5, f64>::new(LbfgsConfig::default(), 1, &mut memory)?;
/// let (mut history, end) = (Vec::new(), Instant::now() + Duration::from_secs(60));
/// let report = lbfgs.minimize_with(&mut quartic, &mut [3.0], |step, _x| {
///     history.push(*step);
///     if Instant::now() < end { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
/// })?;
/// assert_eq!(history.len() as u32, report.iterations);
/// assert!(history.windows(2).all(|pair| pair[1].value <= pair[0].value));
/// # Ok::<(), secant::ConfigError>(())
/// ```
pub fn minimize<R: Real>(function: impl FnMut(&[R], &mut [R]) -> R, x: &mut [R]) -> Report<R> {
    let n = x.len();
    let mut memory = vec![R::ZERO; Lbfgs::<M, R>::memory_len(n)];
    let mut objective = objective::from_fn(n, function);
    let mut lbfgs = Lbfgs::<M, R>::assemble(LbfgsConfig::default(), n, &mut memory);
    lbfgs.run(&mut objective, x, |_, _| ControlFlow::Continue(()))
}
