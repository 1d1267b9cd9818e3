//! Stochastic Lanczos quadrature: the density of a spectrum.

use super::lanczos::{Ending, Lanczos};
use super::{Known, signs};
use crate::error::{ConfigError, check_length};
use crate::random::Random;
use crate::real::Real;

/// A share of a spectrum, all of it at one place.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Node<R> {
    /// Where.
    pub value: R,
    /// What share of the n eigenvalues.
    pub weight: R,
}

/// Estimates how the eigenvalues of a symmetric matrix A are spread: **overwrites** `nodes` with
/// places and shares, which add up to 1, and returns how many there are: one for each eigenvalue of
/// `known`, and as many for each probe as Lanczos made steps. 0 says that a product was not finite.
///
/// ```text
/// for each probe:
///     z = n signs, off the known eigenvectors
///     k steps of Lanczos from z:  Ritz values theta_i, weights S_1i^2 = share of z along each
///     nodes: theta_i with weight (n - known) / n * S_1i^2 / probes
/// ```
///
/// The nodes of one probe are a Gauss quadrature: `sum_i w_i p(theta_i) = z' p(A) z / z.z` exactly,
/// for every polynomial p of degree below 2k; and the mean of that over z is `trace p(A) / n`. So the
/// moments of the nodes up to degree `2k - 1` are unbiased; what is left is the spread between
/// probes, which falls as one over the root of their number. Where few eigenvalues are much larger
/// than all others, it is theirs: take them out with [`Known`].
///
/// `nodes` needs `known.values.len() + probes * lanczos.limit()` places, `probe` n numbers of
/// scratch.
///
/// Source: Z. Bai, G. Fahey and G. Golub, *Some large-scale matrix computation problems*, J. Comp.
/// Appl. Math. 74 (1996); L. Lin, Y. Saad and C. Yang, *Approximating spectral densities of large
/// matrices*, SIAM Review 58 (2016); for Hessians of networks B. Ghorbani, S. Krishnan and Y. Xiao,
/// ICML 2019.
///
/// # Errors
/// [`ConfigError`] when a length is wrong.
pub fn density<R: Real>(
    lanczos: &mut Lanczos<'_, R>,
    known: Known<'_, R>,
    probes: usize,
    random: &mut Random,
    probe: &mut [R],
    mut product: impl FnMut(&[R], &mut [R]),
    nodes: &mut [Node<R>],
) -> Result<usize, ConfigError> {
    let n = probe.len();
    known.check(n)?;
    let needed = probes.saturating_mul(lanczos.limit());
    let needed = needed.saturating_add(known.values.len());
    check_length("nodes", needed, nodes.len())?;
    let one = R::ONE / R::of(n as f64);
    let mut places = nodes.iter_mut();
    let mut count = 0;
    let mut add = |value, weight| {
        if let Some(place) = places.next() {
            *place = Node { value, weight };
            count += 1;
        }
    };
    for value in known.values {
        add(*value, one);
    }
    let share = known.rest(n) * one / R::of(probes as f64);
    for _ in 0..probes {
        if share == R::ZERO {
            break;
        }
        signs(random, probe);
        known.project(probe);
        let ending = lanczos.run(probe, |x, y| {
            product(x, y);
            known.project(y);
        })?;
        if ending == Ending::Unusable {
            return Ok(0);
        }
        let mut sum = R::ZERO;
        for i in 0..lanczos.values().len() {
            sum += lanczos.weight(i);
        }
        for (i, value) in lanczos.values().iter().enumerate() {
            add(*value, share * lanczos.weight(i) / sum);
        }
    }
    Ok(count)
}
