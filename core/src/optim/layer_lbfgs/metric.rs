//! The metric of a layer: the root of H, which is an L-BFGS matrix, and the root's inverse.

use heapless::Vec;

use super::compact::{Basis, MOST, TAILS, tails};
use crate::arch::{Kernel, Simd, dispatch};
use crate::math;

/// A matrix with eigenvalue `values[j]` along row j of V and `rest` across all other directions.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Metric {
    rest: f32,
    values: Vec<f32, MOST>,
}

impl Metric {
    /// `P = root of tau (A + lambda tau I)^-1` for the modelled second moment `A` with eigenvalues
    /// `l` along m directions and `(trace - sum l) / (n - m)` along the others, `tau = trace / n`.
    /// `None` stands for the identity: nothing is known yet.
    pub fn root(n: usize, l: &[f32], trace: f32, lambda: f32) -> Option<Metric> {
        let known = trace > 0.0;
        if l.is_empty() || !known {
            return None;
        }
        let tau = trace / n as f32;
        let floor = lambda * tau;
        let phi = |x: f32| math::sqrt(tau / (x + floor));
        let mut left = trace;
        for l in l {
            left -= l;
        }
        let rest = if l.len() < n && left > 0.0 {
            left / (n - l.len()) as f32
        } else {
            0.0
        };
        Some(Metric {
            rest: phi(rest),
            values: collect(l.iter().map(|l| phi(*l))),
        })
    }

    /// The inverse matrix.
    pub fn inverse(&self) -> Metric {
        Metric {
            rest: 1.0 / self.rest,
            values: collect(self.values.iter().map(|value| 1.0 / value)),
        }
    }

    /// The eigenvalue across the directions that V has not.
    #[cfg(test)]
    pub fn rest(&self) -> f32 {
        self.rest
    }

    /// The eigenvalues along the rows of V.
    #[cfg(test)]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Multiplies rows of length n by the matrix; `v` has the directions as its rows.
    #[inline(always)]
    pub fn apply<S: Simd, const R: usize>(
        &self,
        simd: S,
        v: &Basis<'_>,
        rows: &mut [&mut [f32]; R],
    ) {
        let mut shared = [&[][..]; R];
        for (shared, row) in shared.iter_mut().zip(&*rows) {
            *shared = &**row;
        }
        let mut tails = tails(simd, shared);
        let mut factors = v.products(simd, shared, &tails);
        for factors in &mut factors {
            for (factor, value) in factors.iter_mut().zip(&self.values) {
                *factor *= value - self.rest;
            }
        }
        v.combine(simd, self.rest, &factors, rows, &mut tails);
    }

    /// Multiplies every row of `matrix` (rows of length n) by the matrix; `v` as in
    /// [`apply`](Metric::apply).
    #[inline(never)] // So the tails are on the stack once, and not for each call.
    pub fn apply_to_all(&self, n: usize, v: &[f32], matrix: &mut [f32]) {
        dispatch(ApplyToAll {
            metric: self,
            n,
            v,
            matrix,
        });
    }
}

/// [`Metric::apply_to_all`].
pub(super) struct ApplyToAll<'a> {
    pub metric: &'a Metric,
    pub n: usize,
    pub v: &'a [f32],
    pub matrix: &'a mut [f32],
}

impl Kernel for ApplyToAll<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let ApplyToAll {
            metric,
            n,
            v,
            matrix,
        } = self;
        let n = n.max(1);
        let mut tails = TAILS;
        let v = Basis::new(simd, n, v, &mut tails);
        let mut rows = matrix.chunks_exact_mut(n);
        if S::WIDTH > 1 {
            while rows.len() > 1
                && let (Some(a), Some(b)) = (rows.next(), rows.next())
            {
                metric.apply(simd, &v, &mut [a, b]);
            }
        }
        for row in rows {
            metric.apply(simd, &v, &mut [row]);
        }
    }
}

fn collect(values: impl Iterator<Item = f32>) -> Vec<f32, MOST> {
    let mut vec = Vec::new();
    for value in values {
        // There is room: a layer has at most `MOST`.
        let _ = vec.push(value);
    }
    vec
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::layer_lbfgs::eigen::orthonormalise;
    use crate::random::Random;

    /// `P P (A + lambda tau I) / tau x = x` for the modelled A, applied densely in f64: the
    /// recursion is the inverse of the matrix that it stands for.
    #[test]
    fn root_squared_is_the_inverse_of_the_modelled_moment() {
        const N: usize = 23;
        for m in [1, 2, 5, 8, 16] {
            let mut random = Random::new(7, m as u64);
            let mut v = [0.0f32; 16 * N];
            let v = &mut v[..m * N];
            for x in v.iter_mut() {
                *x = random.uniform() - 0.5;
            }
            orthonormalise(N, v, &mut random);
            let mut l = [0.0f32; 16];
            for (j, l) in l[..m].iter_mut().enumerate() {
                *l = 8.0 / (1.0 + j as f32);
            }
            let l = &l[..m];
            let (lambda, extra) = (0.3, 5.0);
            let trace = l.iter().sum::<f32>() + extra;
            let tau = f64::from(trace) / N as f64;
            let rest = f64::from(extra) / (N - m) as f64;
            let metric = Metric::root(N, l, trace, lambda).expect("the trace is known");
            let mut x = [0.0f32; N];
            for x in x.iter_mut() {
                *x = random.uniform() - 0.5;
            }
            let mut y = x;
            metric.apply_to_all(N, v, &mut y);
            metric.apply_to_all(N, v, &mut y);
            for i in 0..N {
                let mut product = 0.0;
                for k in 0..N {
                    let same = f64::from(u8::from(i == k));
                    let mut a = rest * same;
                    for j in 0..m {
                        let (vi, vk) = (f64::from(v[j * N + i]), f64::from(v[j * N + k]));
                        a += (f64::from(l[j]) - rest) * vi * vk;
                    }
                    product += (a / tau + f64::from(lambda) * same) * f64::from(y[k]);
                }
                let error = (product - f64::from(x[i])).abs();
                assert!(error < 1e-5, "m {m}: {product} is not {}", x[i]);
            }
            let mut z = y;
            metric.inverse().apply_to_all(N, v, &mut z);
            metric.apply_to_all(N, v, &mut z);
            for (z, y) in z.iter().zip(&y) {
                assert!((z - y).abs() < 1e-5, "the inverse undoes the matrix");
            }
        }
    }
}
