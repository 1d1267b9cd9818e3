//! All eigenvalues and eigenvectors of a symmetric tridiagonal matrix.

use crate::real::Real;

/// Most sweeps for one eigenvalue; two are usual.
const SWEEPS: u32 = 60;

/// Element i; 0 outside.
fn at<R: Real>(x: &[R], i: usize) -> R {
    x.get(i).copied().unwrap_or(R::ZERO)
}

fn put<R: Real>(x: &mut [R], i: usize, value: R) {
    if let Some(x) = x.get_mut(i) {
        *x = value;
    }
}

/// `sqrt(a^2 + b^2)`, safe from overflow and underflow of the squares.
fn hypotenuse<R: Real>(a: R, b: R) -> R {
    let (a, b) = (a.abs(), b.abs());
    let (large, small) = if a >= b { (a, b) } else { (b, a) };
    if large == R::ZERO || !large.is_finite() {
        return large;
    }
    let share = small / large;
    large * share.fma(share, R::ONE).sqrt()
}

/// Turns rows i and i + 1 of `vectors`, each k long, by the angle of cosine c and sine s.
fn turn<R: Real>(vectors: &mut [R], k: usize, i: usize, c: R, s: R) {
    let rows = vectors.get_mut(i * k..(i + 2) * k).unwrap_or_default();
    let (first, second) = rows.split_at_mut_checked(k).unwrap_or_default();
    for (x, y) in first.iter_mut().zip(second) {
        let (a, b) = (*x, *y);
        *x = c.fma(a, -(s * b));
        *y = s.fma(a, c * b);
    }
}

/// Overwrites `diagonal`, of length k, with the eigenvalues in ascending order, and `vectors`, `k x
/// k`, with the eigenvectors: row i is that of eigenvalue i, of length 1. Element i of `off`, of
/// length k, couples i and i + 1 (the last is not read); it is overwritten with nothing of use.
///
/// Returns whether it came to an end: false for lengths that do not fit, numbers that are not
/// finite, and eigenvalues that do not settle in 60 sweeps, of which no case is known.
///
/// ```text
/// until |e_m| <= EPSILON (|d_m| + |d_m+1|) for each m:
///     one QL sweep T <- Q' T Q, implicitly shifted by Wilkinson's eigenvalue of the leading 2 x 2
/// ```
///
/// Cost: about `3 k^3` multiply-adds, nearly all of it for the vectors. Errors of eigenvalues are a
/// few `EPSILON` times the largest.
///
/// Source: H. Bowdler, R. Martin, C. Reinsch and J. Wilkinson, *The QR and QL algorithms for
/// symmetric matrices*, Numer. Math. 11 (1968); Golub and Van Loan, *Matrix Computations*, 8.3.
///
/// ```
/// let (mut diagonal, mut off, mut vectors) = ([2.0, 2.0], [1.0, 0.0], [0.0; 4]);
/// assert!(secant::spectrum::tridiagonal(&mut diagonal, &mut off, &mut vectors));
/// assert!((diagonal[0] - 1.0f64).abs() < 1e-15 && (diagonal[1] - 3.0).abs() < 1e-15);
/// ```
#[must_use]
pub fn tridiagonal<R: Real>(diagonal: &mut [R], off: &mut [R], vectors: &mut [R]) -> bool {
    let k = diagonal.len();
    if off.len() != k || vectors.len() != k.saturating_mul(k) {
        return false;
    }
    let (d, e) = (diagonal, off);
    put(e, k.wrapping_sub(1), R::ZERO);
    if !d.iter().chain(&*e).all(|x| x.is_finite()) {
        return false;
    }
    vectors.fill(R::ZERO);
    for one in vectors.iter_mut().step_by(k + 1) {
        *one = R::ONE;
    }
    for l in 0..k {
        let mut sweeps = 0;
        loop {
            let mut m = l;
            while m + 1 < k {
                let size = at(d, m).abs() + at(d, m + 1).abs();
                if at(e, m).abs() <= R::EPSILON * size {
                    break;
                }
                m += 1;
            }
            if m == l {
                break;
            }
            sweeps += 1;
            if sweeps > SWEEPS {
                return false;
            }
            sweep(d, e, vectors, (l, m));
        }
    }
    sort(d, vectors);
    d.iter().all(|x| x.is_finite())
}

/// One QL sweep over rows l to m.
fn sweep<R: Real>(d: &mut [R], e: &mut [R], vectors: &mut [R], (l, m): (usize, usize)) {
    let (k, two) = (d.len(), R::of(2.0));
    let el = at(e, l);
    let mut g = (at(d, l + 1) - at(d, l)) / (two * el);
    let r = hypotenuse(g, R::ONE);
    g = at(d, m) - at(d, l) + el / (g + if g < R::ZERO { -r } else { r });
    let (mut s, mut c, mut p) = (R::ONE, R::ONE, R::ZERO);
    for i in (l..m).rev() {
        let (f, b) = (s * at(e, i), c * at(e, i));
        let r = hypotenuse(f, g);
        put(e, i + 1, r);
        if r == R::ZERO {
            // The matrix splits here.
            put(d, i + 1, at(d, i + 1) - p);
            put(e, m, R::ZERO);
            return;
        }
        s = f / r;
        c = g / r;
        g = at(d, i + 1) - p;
        let turned = (at(d, i) - g).fma(s, two * c * b);
        p = s * turned;
        put(d, i + 1, g + p);
        g = c.fma(turned, -b);
        turn(vectors, k, i, c, s);
    }
    put(d, l, at(d, l) - p);
    put(e, l, g);
    put(e, m, R::ZERO);
}

/// Brings the eigenvalues, and the rows of `vectors`, into ascending order.
fn sort<R: Real>(d: &mut [R], vectors: &mut [R]) {
    let k = d.len();
    for i in 0..k {
        let mut least = i;
        for j in i + 1..k {
            if at(d, j) < at(d, least) {
                least = j;
            }
        }
        if least != i {
            d.swap(i, least);
            let (before, rest) = vectors.split_at_mut_checked(least * k).unwrap_or_default();
            let rows = before.get_mut(i * k..(i + 1) * k).unwrap_or_default();
            for (a, b) in rows.iter_mut().zip(rest) {
                core::mem::swap(a, b);
            }
        }
    }
}
