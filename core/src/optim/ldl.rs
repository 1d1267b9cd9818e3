//! The root-free Cholesky factorisation of a dense symmetric matrix, `A = L D L'`.

use crate::error::{ConfigError, check_length};
use crate::real::Real;
use crate::vector;

/// What a factorisation says of its matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Inertia {
    /// All eigenvalues are above 0.
    PositiveDefinite,
    /// As many are below 0, and none is 0 (Sylvester's law: they are as many as pivots below 0).
    Indefinite(usize),
    /// A pivot is as good as 0, or not a number: there is no such factorisation, or none to be
    /// trusted.
    Breakdown,
}

/// Factorises the matrix whose diagonal is `diagonal` and whose elements above it are those of
/// `matrix` (n x n, row-major): **overwrites** the elements below the diagonal with L, whose own
/// diagonal is all 1, and `pivots` with D. What stands on and above the diagonal of `matrix` is left
/// as it is, so another try with another diagonal needs no copy.
///
/// ```text
/// for each row j:   u_jk = a_kj - sum over i < k of u_ji l_ki      for k < j
///                   l_jk = u_jk / d_k;    d_j = a_jj - sum over k < j of u_jk l_jk
/// ```
///
/// There is no pivoting: backward stable where the matrix is positive definite; else elements of L
/// may grow, as the small pivots say, and a pivot below `n EPSILON` of the largest diagonal element
/// counts as 0. Cost: `n^3 / 6` multiply-adds.
///
/// Source: Golub and Van Loan, *Matrix Computations*, 4.1.
///
/// # Errors
/// [`ConfigError`] when a length is wrong.
pub fn ldl<R: Real>(
    matrix: &mut [R],
    diagonal: &[R],
    pivots: &mut [R],
) -> Result<Inertia, ConfigError> {
    let n = diagonal.len();
    check_length("pivots", n, pivots.len())?;
    check_length("matrix", n.saturating_mul(n), matrix.len())?;
    let least = R::of(n as f64) * R::EPSILON * vector::norm_max(diagonal);
    let mut negative = 0;
    for j in 0..n {
        let Some((done, rest)) = matrix.split_at_mut_checked(j * n) else {
            break;
        };
        let Some(row) = rest.get_mut(..j) else { break };
        for k in 0..j {
            // Element (k, j), above the diagonal.
            let above = done.get(k * n + j).copied().unwrap_or(R::NAN);
            let l = done.get(k * n..k * n + k).unwrap_or_default();
            let (u, target) = row.split_at_mut_checked(k).unwrap_or_default();
            if let Some(target) = target.first_mut() {
                *target = above - vector::dot(u, l);
            }
        }
        let mut pivot = diagonal.get(j).copied().unwrap_or(R::NAN);
        for (u, d) in row.iter_mut().zip(&*pivots) {
            let l = *u / *d;
            pivot = (-*u).fma(l, pivot);
            *u = l;
        }
        if !(pivot.abs() > least && pivot.is_finite()) {
            return Ok(Inertia::Breakdown);
        }
        negative += usize::from(pivot < R::ZERO);
        if let Some(d) = pivots.get_mut(j) {
            *d = pivot;
        }
    }
    Ok(match negative {
        0 => Inertia::PositiveDefinite,
        _ => Inertia::Indefinite(negative),
    })
}

/// **Overwrites** `x` with the solution of `L D L' y = x`, the factors being those of [`ldl`]. Cost:
/// `n^2` multiply-adds.
///
/// # Errors
/// [`ConfigError`] when a length is wrong.
pub fn ldl_solve<R: Real>(matrix: &[R], pivots: &[R], x: &mut [R]) -> Result<(), ConfigError> {
    let n = pivots.len();
    check_length("x", n, x.len())?;
    check_length("matrix", n.saturating_mul(n), matrix.len())?;
    let row = |j: usize| matrix.get(j * n..j * n + j).unwrap_or_default();
    for j in 0..n {
        let (done, rest) = x.split_at_mut_checked(j).unwrap_or_default();
        if let Some(target) = rest.first_mut() {
            *target -= vector::dot(row(j), done);
        }
    }
    for (x, d) in x.iter_mut().zip(pivots) {
        *x /= *d;
    }
    for j in (0..n).rev() {
        let (before, rest) = x.split_at_mut_checked(j).unwrap_or_default();
        if let Some(done) = rest.first() {
            vector::axpy(-*done, row(j), before);
        }
    }
    Ok(())
}
