//! Householder's factorisation with column pivoting.
//!
//! ```text
//! A P = Q [ R ]     Q'Q = I, R upper triangular, |r_00| >= |r_11| >= ...
//!         [ 0 ]
//! ```
//!
//! Step k takes the column with the largest norm below row k, and reflects it onto row k:
//! `H = I - v v' / v_k` with `v = a / s`, `v_k = 1 + a_k / s`, `s = sign(a_k) |a|`. Norms of the
//! other columns are updated, not computed anew, unless cancellation has eaten half their digits.
//! Cost: `2 n^2 (m - n / 3)` fused multiply-adds.
//!
//! Source: G. Golub, *Numerical methods for solving linear least squares problems*, Numer. Math. 7
//! (1965); the update as in LAPACK Working Note 176 (2006).

use super::matrix::Matrix;
use crate::real::Real;
use crate::vector;

/// The part of a vector from element `k` on.
fn tail<R>(x: &[R], k: usize) -> &[R] {
    x.get(k..).unwrap_or_default()
}

/// The part of a vector from element `k` on, to be written.
fn tail_mut<R>(x: &mut [R], k: usize) -> &mut [R] {
    x.get_mut(k..).unwrap_or_default()
}

/// Turns the vector into v, and returns what the reflection makes of it: the element of R. Zero
/// when the vector is zero, and then there is no reflection.
pub(super) fn make_reflection<R: Real>(a: &mut [R]) -> R {
    let norm = vector::norm2(a);
    let Some(&first) = a.first() else {
        return R::ZERO;
    };
    if norm == R::ZERO || norm.is_nan() {
        return R::ZERO;
    }
    let signed = if first < R::ZERO { -norm } else { norm };
    // A norm near the least number has no finite reciprocal.
    let inverse = R::ONE / signed;
    if inverse.is_finite() {
        vector::scale(inverse, a);
    } else {
        a.iter_mut().for_each(|a| *a /= signed);
    }
    if let Some(first) = a.first_mut() {
        *first += R::ONE;
    }
    -signed
}

/// `x <- H x`.
pub(super) fn reflect<R: Real>(v: &[R], x: &mut [R]) {
    let Some(&first) = v.first() else {
        return;
    };
    if first != R::ZERO {
        vector::axpy(-vector::dot(v, x) / first, v, x);
    }
}

/// Factors `a` in place: above the diagonal R, whose diagonal goes into `diagonal`; on and below it
/// the v of every step.
///
/// `order` begins as what the columns are called, and is permuted with them. `norms` and
/// `reference` are scratch with an element for each column.
pub(super) fn factor<R: Real>(
    a: &mut Matrix<R>,
    diagonal: &mut [R],
    order: &mut [R],
    norms: &mut [R],
    reference: &mut [R],
) {
    let (m, n) = (a.rows(), a.columns());
    for (j, (norm, reference)) in norms.iter_mut().zip(&mut *reference).enumerate() {
        *norm = vector::norm2(a.column(j));
        *reference = *norm;
    }
    diagonal.fill(R::ZERO);
    for (k, diagonal) in diagonal.iter_mut().enumerate().take(m.min(n)) {
        let (mut best, mut largest) = (k, -R::ONE);
        for (j, &norm) in norms.iter().enumerate().take(n).skip(k) {
            if norm > largest {
                (best, largest) = (j, norm);
            }
        }
        a.swap_columns(k, best);
        for list in [&mut *order, &mut *norms, &mut *reference] {
            if k < list.len() && best < list.len() {
                list.swap(k, best);
            }
        }
        *diagonal = make_reflection(tail_mut(a.column_mut(k), k));
        if *diagonal == R::ZERO {
            continue;
        }
        for j in k + 1..n {
            let (v, x) = a.two_columns(k, j);
            reflect(tail(v, k), tail_mut(x, k));
            let row = a.get(k, j);
            let (Some(norm), Some(reference)) = (norms.get_mut(j), reference.get_mut(j)) else {
                continue;
            };
            if *norm <= R::ZERO || norm.is_nan() {
                continue;
            }
            let part = row / *norm;
            let left = (R::ONE - part * part).larger(R::ZERO);
            let lost = *norm / *reference;
            if left * lost * lost <= R::EPSILON.sqrt() {
                *norm = vector::norm2(tail(a.column(j), k + 1));
                *reference = *norm;
            } else {
                *norm *= left.sqrt();
            }
        }
    }
}

/// `b <- Q'b`, with what [`factor`] has left.
pub(super) fn rotate<R: Real>(a: &Matrix<R>, diagonal: &[R], b: &mut [R]) {
    for (k, &diagonal) in diagonal.iter().enumerate() {
        if diagonal != R::ZERO {
            reflect(tail(a.column(k), k), tail_mut(b, k));
        }
    }
}
