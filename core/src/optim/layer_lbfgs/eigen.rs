//! Small dense linear algebra of the sketch: symmetric eigenvalues and orthonormal rows. Only
//! `+ - * /`, square root and fused multiply-add, in a fixed order.

use crate::math;
use crate::random::Random;
use crate::vector;

/// Most sweeps of Jacobi's method: it converges quadratically, 16 x 16 matrices take 5 to 7.
const SWEEPS: usize = 10;

/// A square matrix of `m` rows in someone's memory, row-major. A place outside reads as 0 and is
/// not written: the callers keep within, but the compiler cannot see that, and there must be no
/// panic.
pub(super) struct Square<'a> {
    pub m: usize,
    pub elements: &'a mut [f32],
}

impl Square<'_> {
    pub fn get(&self, i: usize, j: usize) -> f32 {
        self.elements.get(i * self.m + j).copied().unwrap_or(0.0)
    }

    pub fn set(&mut self, i: usize, j: usize, value: f32) {
        if let Some(element) = self.elements.get_mut(i * self.m + j) {
            *element = value;
        }
    }

    fn swap(&mut self, (i, j): (usize, usize), (k, l): (usize, usize)) {
        let (a, b) = (self.get(i, j), self.get(k, l));
        self.set(i, j, b);
        self.set(k, l, a);
    }

    /// Turns rows p and q in column k by the angle of cosine c and sine s.
    fn turn(&mut self, (c, s): (f32, f32), p: usize, q: usize, k: usize) {
        let (x, y) = (self.get(p, k), self.get(q, k));
        self.set(p, k, math::fma(c, x, -(s * y)));
        self.set(q, k, math::fma(s, x, c * y));
    }
}

/// Eigenvalues and eigenvectors of the symmetric matrix `a` by cyclic Jacobi rotations.
///
/// Overwrites `a` with a matrix whose diagonal holds the eigenvalues, largest first, and `u`, of
/// the same size, with the eigenvectors: row i of `u` is that of eigenvalue i, length 1. Cost:
/// about `6 m^3` multiply-adds a sweep.
///
/// A rotation by the angle with `t = tan`, `theta = (a_qq - a_pp) / 2 a_pq`, `t = sign(theta) /
/// (|theta| + sqrt(theta^2 + 1))` zeroes `a_pq`. Source: C. Jacobi 1846; Golub and Van Loan,
/// *Matrix Computations*, 8.5.
pub(super) fn jacobi(a: &mut Square<'_>, u: &mut Square<'_>) {
    let m = a.m;
    for i in 0..m {
        for j in 0..m {
            u.set(i, j, if i == j { 1.0 } else { 0.0 });
        }
    }
    for _ in 0..SWEEPS {
        let mut rotated = false;
        for p in 0..m {
            for q in p + 1..m {
                rotated |= rotate(p, q, a, u);
            }
        }
        if !rotated {
            break;
        }
    }
    // Selection sort, largest first.
    for i in 0..m {
        let mut best = i;
        for j in i + 1..m {
            if a.get(j, j) > a.get(best, best) {
                best = j;
            }
        }
        if best != i {
            a.swap((i, i), (best, best));
            for k in 0..m {
                u.swap((i, k), (best, k));
            }
        }
    }
}

/// Zeroes `a[p][q]`; false when it is as good as zero already.
fn rotate(p: usize, q: usize, a: &mut Square<'_>, u: &mut Square<'_>) -> bool {
    let (app, aqq, apq) = (a.get(p, p), a.get(q, q), a.get(p, q));
    let (size_p, size_q) = (app.abs(), aqq.abs());
    let small = if size_p < size_q { size_p } else { size_q };
    if apq.abs() <= 0.25 * f32::EPSILON * small || apq == 0.0 {
        return false;
    }
    let theta = (aqq - app) / (2.0 * apq);
    let size = theta.abs();
    // For a large theta its square overflows, and the tangent is 1 / 2 theta to all digits.
    let t = if size > 1e9 {
        0.5 / size
    } else {
        1.0 / (size + math::sqrt(math::fma(theta, theta, 1.0)))
    };
    let t = if theta < 0.0 { -t } else { t };
    let c = 1.0 / math::sqrt(math::fma(t, t, 1.0));
    let angle = (c, t * c);
    for k in 0..a.m {
        if k != p && k != q {
            a.turn(angle, p, q, k);
            a.set(k, p, a.get(p, k));
            a.set(k, q, a.get(q, k));
        }
        u.turn(angle, p, q, k);
    }
    a.set(p, p, math::fma(-t, apq, app));
    a.set(q, q, math::fma(t, apq, aqq));
    a.set(p, q, 0.0);
    a.set(q, p, 0.0);
    true
}

/// Makes the rows of `v` (each of length n) orthonormal by Gram-Schmidt, each row projected twice
/// ("twice is enough", Giraud and others 2005). A row that depends on the ones before it is drawn
/// anew; should that fail too, there is no further direction, and it becomes zero.
pub(super) fn orthonormalise(n: usize, v: &mut [f32], random: &mut Random) {
    let mut begin = 0;
    while let Some((done, rest)) = v.split_at_mut_checked(begin)
        && let Some(row) = rest.get_mut(..n)
        && n > 0
    {
        begin += n;
        let mut drawn = 0;
        while !normalise_against(done, row) {
            drawn += 1;
            if drawn > 2 {
                row.fill(0.0);
                break;
            }
            for x in row.iter_mut() {
                *x = random.uniform() - 0.5;
            }
        }
    }
}

/// Projects `row` off the rows of `done` and scales it to length 1; false if next to nothing was
/// left of it.
fn normalise_against(done: &[f32], row: &mut [f32]) -> bool {
    let largest = vector::norm_max(row);
    if !(largest > 1e-30 && largest < 1e30) {
        return false;
    }
    vector::scale(1.0 / largest, row);
    let before = vector::dot(row, row);
    for _ in 0..2 {
        for other in done.chunks_exact(row.len().max(1)) {
            let product = vector::dot(other, row);
            vector::axpy(-product, other, row);
        }
    }
    let after = vector::dot(row, row);
    if after <= 1e-9 * before {
        return false;
    }
    vector::scale(1.0 / math::sqrt(after), row);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jacobi_gives_the_matrix_back() {
        for m in 1..=16 {
            let mut random = Random::new(3, m as u64);
            let (mut a, mut u) = ([0.0f32; 256], [0.0f32; 256]);
            for i in 0..m {
                for j in 0..=i {
                    let x = random.uniform() - 0.5;
                    (a[i * m + j], a[j * m + i]) = (x, x);
                }
            }
            let before = a;
            let square = |elements| Square { m, elements };
            jacobi(&mut square(&mut a[..m * m]), &mut square(&mut u[..m * m]));
            for i in 0..m {
                if i > 0 {
                    assert!(a[i * m + i] <= a[(i - 1) * m + i - 1], "largest first");
                }
                for j in 0..m {
                    let (mut back, mut unit) = (0.0, 0.0);
                    for k in 0..m {
                        back += a[k * m + k] * u[k * m + i] * u[k * m + j];
                        unit += u[i * m + k] * u[j * m + k];
                    }
                    assert!((back - before[i * m + j]).abs() < 1e-5, "m {m}");
                    assert!((unit - f32::from(u8::from(i == j))).abs() < 1e-5, "m {m}");
                }
            }
        }
    }

    #[test]
    fn dependent_rows_are_drawn_anew_and_surplus_ones_vanish() {
        let mut random = Random::new(1, 0);
        let mut v = [1.0, 2.0, 3.0, 2.0, 4.0, 6.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0];
        orthonormalise(3, &mut v, &mut random);
        for i in 0..4 {
            for j in 0..4 {
                let product = vector::dot(&v[3 * i..][..3], &v[3 * j..][..3]);
                let expected = if i == j && i < 3 { 1.0 } else { 0.0 };
                assert!((product - expected).abs() < 1e-5, "{i} {j}: {product}");
            }
        }
    }
}
