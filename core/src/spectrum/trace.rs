//! Hutchinson's estimate of a trace.

use super::{Known, signs};
use crate::error::{ConfigError, check_length, check_range};
use crate::random::Random;
use crate::real::Real;
use crate::vector;

/// An estimate of a trace.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Trace<R> {
    /// The mean over the probes.
    pub value: R,
    /// Its standard error: the probes' deviation over the root of their number. Not a number with
    /// one probe.
    pub error: R,
}

/// Estimates the trace of a symmetric matrix A from one product for each probe:
///
/// ```text
/// trace A = sum of the known eigenvalues + mean of z' A z      z = n signs, off the known vectors
/// ```
///
/// Unbiased. With random signs, z' A z has the variance `2 sum of A_ij^2, i != j`, of what is not
/// known: the large eigenvalues of a Hessian make up nearly all of it, so knowing them ([`Known`])
/// pays more than any number of probes. `scratch` has `2 n` numbers.
///
/// Source: M. Hutchinson, *A stochastic estimator of the trace of the influence matrix for Laplacian
/// smoothing splines*, Comm. Stat. 19 (1990).
///
/// ```
/// use secant::spectrum::{Known, trace};
/// use secant::Random;
///
/// let product = |x: &[f64], y: &mut [f64]| (y[0], y[1]) = (3.0 * x[0], 5.0 * x[1]);
/// let mut random = Random::new(1, 0);
/// let found = trace(Known::NOTHING, 4, &mut random, &mut [0.0; 4], product)?;
/// assert!((found.value - 8.0).abs() < 1e-12 && found.error < 1e-12); // exact for a diagonal
/// # Ok::<(), secant::ConfigError>(())
/// ```
///
/// # Errors
/// [`ConfigError`] when a length is wrong, or there is no probe.
pub fn trace<R: Real>(
    known: Known<'_, R>,
    probes: u32,
    random: &mut Random,
    scratch: &mut [R],
    mut product: impl FnMut(&[R], &mut [R]),
) -> Result<Trace<R>, ConfigError> {
    let n = scratch.len() / 2;
    known.check(n)?;
    check_length("scratch", 2 * n, scratch.len())?;
    check_range("probes", probes, "at least 1", probes > 0)?;
    let (z, image) = crate::error::split(scratch, n);
    // Welford's recursion: mean, and sum of squares around it.
    let (mut mean, mut squares, mut count) = (R::ZERO, R::ZERO, R::ZERO);
    for _ in 0..probes {
        signs(random, z);
        known.project(z);
        product(z, image);
        let found = vector::dot(z, image);
        count += R::ONE;
        let apart = found - mean;
        mean += apart / count;
        squares = apart.fma(found - mean, squares);
    }
    let variance = squares / (count - R::ONE);
    let mut sum = R::ZERO;
    for value in known.values {
        sum += *value;
    }
    Ok(Trace {
        value: sum + mean,
        error: (variance / count).sqrt(),
    })
}
