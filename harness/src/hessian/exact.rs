//! Every eigenvalue of a small network's Hessian.

use nalgebra::DMatrix;

use super::spectrum::{Place, not_finite};
use super::{Curvature, Subject};
use crate::error::Error;

/// Most parameters: 300 MB of matrix, and some minutes.
pub const MOST: usize = 6000;

/// The dense Hessian by n products, made symmetric, and the largest `|H_ij - H_ji|` before that.
fn dense(subject: &mut Subject<'_>) -> (DMatrix<f64>, f64) {
    let n = subject.parameters.len();
    let mut unit = vec![0.0; n];
    let mut matrix = DMatrix::zeros(n, n);
    for (j, column) in matrix.as_mut_slice().chunks_exact_mut(n).enumerate() {
        unit[j] = 1.0;
        subject.multiply(Curvature::Hessian, &unit, column);
        unit[j] = 0.0;
    }
    let mut asymmetry = 0.0;
    for j in 0..n {
        for i in 0..j {
            let (a, b) = (matrix[(i, j)], matrix[(j, i)]);
            asymmetry = f64::max(asymmetry, (a - b).abs());
            matrix[(i, j)] = 0.5 * (a + b);
            matrix[(j, i)] = matrix[(i, j)];
        }
    }
    (matrix, asymmetry)
}

/// All eigenvalues in ascending order, and below which magnitude they are noise: the largest
/// difference between the two halves of the matrix, times the root of n, which bounds what random
/// errors of that size do to an eigenvalue.
///
/// # Errors
/// [`Error::Run`] when an element is not finite.
pub fn eigenvalues(subject: &mut Subject<'_>, place: &Place) -> Result<(Vec<f64>, f64), Error> {
    let (matrix, asymmetry) = dense(subject);
    let n = matrix.nrows();
    if !matrix.iter().all(|x| x.is_finite()) {
        return Err(not_finite(place));
    }
    let mut values: Vec<f64> = matrix.symmetric_eigenvalues().iter().copied().collect();
    values.sort_by(f64::total_cmp);
    Ok((values, asymmetry * (n as f64).sqrt()))
}
