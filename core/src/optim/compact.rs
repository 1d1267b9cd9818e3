//! The matrix B of L-BFGS in compact form, and the step that minimises its quadratic model on a
//! piece where every variable has two ends.
//!
//! With the pairs as columns of S and Y, oldest first, `D` the diagonal and `L` the part below the
//! diagonal of `S' Y`, and a diagonal B0,
//!
//! ```text
//! B = B0 - W K^-1 W'      W = [Y  B0 S]      K = [ -D   L'      ]
//!                                                [  L   S' B0 S ]
//! ```
//!
//! is the BFGS matrix of the pairs. The step takes two stages, both with `q(z) = g . z + z . B z /
//! 2`:
//!
//! 1. *Cauchy point*: along the projection of `x - t H0 g`, from break point to break point, to the
//!    first minimum of q. The variables that stand at an end there are held.
//! 2. *Subspace*: q is minimised over the others, which solves `B_FF d = -(g + B z)_F` by the
//!    formula of Sherman, Morrison and Woodbury with `K - W_F' H0 W_F`; the result is projected. If
//!    that is no descent, the step is cut where the first variable meets its end instead.
//!
//! Sources: R. Byrd, P. Lu, J. Nocedal, C. Zhu, *A limited memory algorithm for bound constrained
//! optimization*, SIAM J. Sci. Comput. 16 (1995), here with a diagonal B0; J. Morales, J. Nocedal,
//! *Remark on Algorithm 778*, ACM Trans. Math. Softw. 38 (2011), for the projection.

use heapless::Vec;

use super::descent::Metric;
use super::history::History;
use super::pair::{Moments, Verdict};
use super::region::Region;
use super::two_loop::{Initial, Pair};
use crate::error::split;
use crate::real::Real;
use crate::vector;

/// The pairs of a [`History`], used as B on a piece.
#[derive(Debug)]
pub(crate) struct Compact<'m, const M: usize, R> {
    history: History<'m, M, R>,
    /// Stage 1: where each variable meets its end; stage 2: 1 for variables that are free, else 0.
    ends: &'m mut [R],
    /// Stage 1: a heap of the variables by their break points; stage 2: the residual.
    queue: &'m mut [R],
    /// Stage 1: the direction of the path; stage 2: the step on the free variables.
    path: &'m mut [R],
    /// A product of one vector with B0 or H0.
    product: &'m mut [R],
    system: System<'m, R>,
}

/// Two numbers for each pair: one of Y, one of `B0 S`.
type Twice<R, const M: usize> = [[R; M]; 2];

impl<'m, const M: usize, R: Real> Compact<'m, M, R> {
    /// Numbers of memory for n variables, with a diagonal H0 or without. Variables are numbered in
    /// numbers of type R, so in `f32` there may be 2^24 of them.
    pub const fn memory_len(n: usize, diagonal: bool) -> usize {
        let vectors = n.saturating_mul(4).saturating_add(4 * M * M);
        vectors.saturating_add(History::<M, R>::memory_len(n, diagonal))
    }

    /// `memory` has `memory_len(n, ...)` numbers, or more; `history` makes a history of what
    /// remains.
    pub fn new(
        n: usize,
        memory: &'m mut [R],
        history: impl FnOnce(&'m mut [R]) -> History<'m, M, R>,
    ) -> Self {
        let (ends, memory) = split(memory, n);
        let (queue, memory) = split(memory, n);
        let (path, memory) = split(memory, n);
        let (product, memory) = split(memory, n);
        let (changes, memory) = split(memory, M * M);
        let (upper, memory) = split(memory, M * M);
        let (mixed, memory) = split(memory, M * M);
        let (lower, memory) = split(memory, M * M);
        Self {
            history: history(memory),
            ends,
            queue,
            path,
            product,
            system: System {
                width: M,
                order: 0,
                changes,
                upper,
                mixed,
                lower,
            },
        }
    }

    /// The step of both stages, or `None` where a sum is not finite.
    fn step<G: Region<R>>(
        &mut self,
        x: &[R],
        region: &G,
        gradient: &[R],
        step: &mut [R],
    ) -> Option<()> {
        let Self {
            history,
            ends,
            queue,
            path,
            product,
            system,
        } = self;
        let pairs = history.pairs();
        let b = Model {
            pairs: &pairs,
            initial: history.initial(),
        };
        system.whole(&b, product)?;
        let moved = b.cauchy_point(
            system,
            [x, gradient],
            region,
            step,
            [ends, queue, path, product],
        )?;

        // Which variables are free at the Cauchy point; what remains of the gradient there.
        let held = system.solve(&moved);
        b.rows(&held, product, path);
        for j in 0..x.len() {
            let at = x[j] + step[j];
            let (lower, upper) = region.ends(j, x[j]);
            let free = ends[j] != R::ZERO && at > lower && at < upper;
            let residual = -gradient[j] - b.curvature(j) * step[j] + path[j];
            (ends[j], queue[j]) = if free {
                (R::ONE, residual)
            } else {
                (R::ZERO, R::ZERO)
            };
        }
        system.on_face(&b, ends, product)?;
        for j in 0..x.len() {
            path[j] = queue[j] * b.inverse(j);
        }
        let wanted = b.columns(path, product);
        let correction = system.solve(&wanted);
        b.rows(&correction, product, queue);
        for j in 0..x.len() {
            path[j] += b.inverse(j) * queue[j];
            if ends[j] == R::ZERO {
                path[j] = R::ZERO;
            }
        }

        // Projected, if that goes down.
        for j in 0..x.len() {
            let (lower, upper) = region.ends(j, x[j]);
            let wanted = x[j] + step[j] + path[j];
            let projected = wanted.larger(lower).smaller(upper) - x[j];
            queue[j] = projected;
        }
        let slope = vector::dot(gradient, queue);
        if slope < R::ZERO {
            vector::copy(queue, step);
            return Some(());
        }
        let mut share = R::ONE;
        for j in 0..x.len() {
            let (lower, upper) = region.ends(j, x[j]);
            let end = if path[j] > R::ZERO { upper } else { lower };
            if path[j] != R::ZERO && end.is_finite() {
                share = share.smaller((end - x[j] - step[j]) / path[j]);
            }
        }
        vector::axpy(share.larger(R::ZERO), path, step);
        Some(())
    }
}

/// B of some pairs.
struct Model<'a, const M: usize, R> {
    pairs: &'a Vec<Pair<'a, R>, M>,
    initial: Initial<'a, R>,
}

impl<const M: usize, R: Real> Model<'_, M, R> {
    /// Element j of the diagonal of H0.
    fn inverse(&self, j: usize) -> R {
        match self.initial {
            Initial::Scalar(h) => h,
            Initial::Diagonal(h) => h.get(j).copied().unwrap_or(R::ONE),
        }
    }

    /// Element j of the diagonal of B0.
    fn curvature(&self, j: usize) -> R {
        R::ONE / self.inverse(j)
    }

    /// `out = B0 v`.
    fn multiply(&self, v: &[R], out: &mut [R]) {
        for (j, (out, v)) in out.iter_mut().zip(v).enumerate() {
            *out = *v / self.inverse(j);
        }
    }

    /// `W' v`; overwrites `product`.
    fn columns(&self, v: &[R], product: &mut [R]) -> Twice<R, M> {
        let mut sums = [[R::ZERO; M]; 2];
        self.multiply(v, product);
        let [of_y, of_s] = &mut sums;
        for ((pair, y), s) in self.pairs.iter().zip(of_y).zip(of_s) {
            *y = vector::dot(pair.y, v);
            *s = vector::dot(pair.s, product);
        }
        sums
    }

    /// `out = W v`; overwrites `product`.
    fn rows(&self, v: &Twice<R, M>, product: &mut [R], out: &mut [R]) {
        product.fill(R::ZERO);
        for (pair, &factor) in self.pairs.iter().zip(&v[1]) {
            vector::axpy(factor, pair.s, product);
        }
        self.multiply(product, out);
        for (pair, &factor) in self.pairs.iter().zip(&v[0]) {
            vector::axpy(factor, pair.y, out);
        }
    }

    /// Row j of W.
    fn row(&self, j: usize) -> Twice<R, M> {
        let mut row = [[R::ZERO; M]; 2];
        let curvature = self.curvature(j);
        let [of_y, of_s] = &mut row;
        for ((pair, y), s) in self.pairs.iter().zip(of_y).zip(of_s) {
            *y = pair.y.get(j).copied().unwrap_or(R::ZERO);
            *s = curvature * pair.s.get(j).copied().unwrap_or(R::ZERO);
        }
        row
    }

    /// Writes the way from x to the Cauchy point into `z`, and returns `W' z`. `ends[j]` is zero
    /// for the variables that met an end.
    fn cauchy_point<G: Region<R>>(
        &self,
        system: &System<'_, R>,
        [x, gradient]: [&[R]; 2],
        region: &G,
        z: &mut [R],
        [ends, queue, path, product]: [&mut [R]; 4],
    ) -> Option<Twice<R, M>> {
        let mut length = 0;
        for j in 0..x.len() {
            let d = -self.inverse(j) * gradient[j];
            let (lower, upper) = region.ends(j, x[j]);
            let end = if d > R::ZERO { upper } else { lower };
            let meets = (end - x[j]) / d;
            (z[j], path[j], ends[j]) = (R::ZERO, d, R::INFINITY);
            if d != R::ZERO && meets < R::INFINITY {
                ends[j] = meets.larger(R::ZERO);
                queue[length] = R::of(j as f64);
                length += 1;
            }
        }
        let mut heap = Heap {
            queue: queue.get_mut(..length).unwrap_or_default(),
            keys: ends,
        };
        heap.build();

        let mut p = self.columns(path, product);
        let mut c = [[R::ZERO; M]; 2];
        let mut slope = vector::dot(gradient, path);
        let first = -slope;
        let mut curvature = first - inner(&p, &system.solve(&p));
        let least = R::EPSILON * first;
        let mut now = R::ZERO;
        let mut advance;
        loop {
            if !(slope.is_finite() && curvature.is_finite()) {
                return None;
            }
            advance = if slope < R::ZERO {
                -slope / curvature.larger(least)
            } else {
                R::ZERO
            };
            let Some((j, next)) = heap.first() else { break };
            let stretch = next - now;
            if advance < stretch || slope >= R::ZERO {
                break;
            }
            heap.remove_first();
            let (lower, upper) = region.ends(j, x[j]);
            let d = path[j];
            z[j] = if d > R::ZERO { upper } else { lower } - x[j];
            add(stretch, &p, &mut c);
            let row = self.row(j);
            let solved = system.solve(&row);
            let b = self.curvature(j);
            let bent = b * z[j] - inner(&solved, &c);
            slope += stretch * curvature - d * (gradient[j] + bent);
            curvature +=
                R::of(2.0) * d * inner(&solved, &p) - d * d * inner(&solved, &row) - b * d * d;
            add(-d, &row, &mut p);
            path[j] = R::ZERO;
            heap.keys[j] = R::ZERO;
            now = next;
        }
        now += advance;
        add(advance, &p, &mut c);
        for (z, &d) in z.iter_mut().zip(&*path) {
            if d != R::ZERO {
                *z = now * d;
            }
        }
        now.is_finite().then_some(c)
    }
}

fn inner<R: Real, const M: usize>(a: &Twice<R, M>, b: &Twice<R, M>) -> R {
    vector::dot(a.as_flattened(), b.as_flattened())
}

fn add<R: Real, const M: usize>(factor: R, a: &Twice<R, M>, to: &mut Twice<R, M>) {
    vector::axpy(factor, a.as_flattened(), to.as_flattened_mut());
}

/// A heap of variables, written as numbers, whose first has the smallest key.
struct Heap<'a, R> {
    queue: &'a mut [R],
    keys: &'a mut [R],
}

impl<R: Real> Heap<'_, R> {
    fn variable(&self, place: usize) -> usize {
        self.queue.get(place).map_or(0, |j| j.to_f64() as usize)
    }

    fn key(&self, place: usize) -> R {
        let key = self.keys.get(self.variable(place));
        key.copied().unwrap_or(R::INFINITY)
    }

    fn build(&mut self) {
        for place in (0..self.queue.len() / 2).rev() {
            self.sink(place);
        }
    }

    fn first(&self) -> Option<(usize, R)> {
        (!self.queue.is_empty()).then(|| (self.variable(0), self.key(0)))
    }

    fn remove_first(&mut self) {
        let last = self.queue.len().saturating_sub(1);
        if last > 0 {
            self.queue.swap(0, last);
        }
        self.queue = core::mem::take(&mut self.queue)
            .get_mut(..last)
            .unwrap_or_default();
        self.sink(0);
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let mut least = place;
            for child in [2 * place + 1, 2 * place + 2] {
                if child < self.queue.len() && self.key(child) < self.key(least) {
                    least = child;
                }
            }
            if least == place {
                return;
            }
            self.queue.swap(place, least);
            place = least;
        }
    }
}

/// `[-E R'; R C]` with positive definite E and `C + R E^-1 R'`, factored: square blocks of as many
/// rows as there are pairs, in rows of `width`.
#[derive(Debug)]
struct System<'m, R> {
    width: usize,
    order: usize,
    /// `S' Y`.
    changes: &'m mut [R],
    /// The Cholesky factor of E.
    upper: &'m mut [R],
    /// `R`, then `R` times the inverse of that factor's transpose.
    mixed: &'m mut [R],
    /// C, then the Cholesky factor of `C + R E^-1 R'`.
    lower: &'m mut [R],
}

impl<R: Real> System<'_, R> {
    /// Factors K.
    fn whole<const M: usize>(&mut self, b: &Model<'_, M, R>, product: &mut [R]) -> Option<()> {
        self.order = b.pairs.len();
        let w = self.width;
        for (i, row) in b.pairs.iter().enumerate() {
            b.multiply(row.s, product);
            for (j, column) in b.pairs.iter().enumerate() {
                let (at, sy) = (i * w + j, vector::dot(row.s, column.y));
                self.changes[at] = sy;
                self.upper[at] = if i == j { sy } else { R::ZERO };
                self.mixed[at] = if i > j { sy } else { R::ZERO };
                if j <= i {
                    self.lower[at] = vector::dot(product, column.s);
                }
            }
        }
        self.factor()
    }

    /// Factors `K - W_F' H0 W_F`, F being the variables whose `free` is 1. `whole` came before.
    fn on_face<const M: usize>(
        &mut self,
        b: &Model<'_, M, R>,
        free: &[R],
        product: &mut [R],
    ) -> Option<()> {
        let w = self.width;
        for (i, row) in b.pairs.iter().enumerate() {
            for (j, (out, y)) in product.iter_mut().zip(row.y).enumerate() {
                *out = b.inverse(j) * *y;
            }
            for (j, column) in b.pairs.iter().enumerate().take(i + 1) {
                self.upper[i * w + j] = vector::dot_where(free, product, column.y);
            }
            self.upper[i * w + i] += self.changes[i * w + i];
            for (j, column) in b.pairs.iter().enumerate() {
                let sy = vector::dot_where(free, row.s, column.y);
                let below = if i > j {
                    self.changes[i * w + j]
                } else {
                    R::ZERO
                };
                self.mixed[i * w + j] = below - sy;
            }
            b.multiply(row.s, product);
            for (product, &free) in product.iter_mut().zip(free) {
                if free != R::ZERO {
                    *product = R::ZERO;
                }
            }
            for (j, column) in b.pairs.iter().enumerate().take(i + 1) {
                self.lower[i * w + j] = vector::dot(product, column.s);
            }
        }
        self.factor()
    }

    fn factor(&mut self) -> Option<()> {
        let (w, m) = (self.width, self.order);
        cholesky(self.upper, w, m)?;
        for i in 0..m {
            forwards(self.upper, w, &mut self.mixed[i * w..i * w + m]);
        }
        for i in 0..m {
            for j in 0..=i {
                let product = vector::dot(row(self.mixed, w, i, m), row(self.mixed, w, j, m));
                self.lower[i * w + j] += product;
            }
        }
        cholesky(self.lower, w, m)
    }

    /// The solution of `[-E R'; R C] v = r`.
    fn solve<const M: usize>(&self, r: &Twice<R, M>) -> Twice<R, M> {
        let (w, m) = (self.width, self.order);
        let [mut all_top, mut all_bottom] = *r;
        let (top, bottom) = (&mut all_top[..m], &mut all_bottom[..m]);
        // With the factor E = J J' and V = R J'^-1: u = J^-1 r_top, (C + V V') v_bottom =
        // r_bottom + V u.
        forwards(self.upper, w, top);
        for i in 0..m {
            bottom[i] += vector::dot(row(self.mixed, w, i, m), top);
        }
        forwards(self.lower, w, bottom);
        backwards(self.lower, w, bottom);
        // v_top = J'^-1 (V' v_bottom - u).
        vector::scale(-R::ONE, top);
        for i in 0..m {
            vector::axpy(bottom[i], row(self.mixed, w, i, m), top);
        }
        backwards(self.upper, w, top);
        [all_top, all_bottom]
    }
}

/// The first m numbers of row i, of a matrix in rows of `w`.
fn row<R>(a: &[R], w: usize, i: usize, m: usize) -> &[R] {
    &a[i * w..i * w + m]
}

/// Turns the lower half of `a`, m rows of `w`, into its Cholesky factor. `None` if it is not
/// positive definite.
fn cholesky<R: Real>(a: &mut [R], w: usize, m: usize) -> Option<()> {
    for i in 0..m {
        for j in 0..=i {
            let rest = a[i * w + j] - vector::dot(row(a, w, i, j), row(a, w, j, j));
            if i > j {
                a[i * w + j] = rest / a[j * w + j];
            } else if rest > R::ZERO && rest.is_finite() {
                a[i * w + i] = rest.sqrt();
            } else {
                return None;
            }
        }
    }
    Some(())
}

/// `v = J^-1 v` with a lower triangle J.
fn forwards<R: Real>(j: &[R], w: usize, v: &mut [R]) {
    for i in 0..v.len() {
        let known = vector::dot(row(j, w, i, i), &v[..i]);
        v[i] = (v[i] - known) / j[i * w + i];
    }
}

/// `v = J'^-1 v` with a lower triangle J.
fn backwards<R: Real>(j: &[R], w: usize, v: &mut [R]) {
    for i in (0..v.len()).rev() {
        v[i] /= j[i * w + i];
        let found = v[i];
        vector::axpy(-found, row(j, w, i, i), &mut v[..i]);
    }
}

impl<const M: usize, R: Real> Metric<R> for Compact<'_, M, R> {
    fn direction<G: Region<R>>(
        &mut self,
        x: &[R],
        region: &G,
        gradient: &[R],
        direction: &mut [R],
    ) {
        if self.step(x, region, gradient, direction).is_none() {
            // No direction of descent: the descent starts anew.
            direction.fill(R::ZERO);
        }
    }

    fn update(
        &mut self,
        s: &[R],
        y: &mut [R],
        moments: Moments<R>,
        gradient_norm: R,
    ) -> Option<Verdict<R>> {
        self.history.update(s, y, moments, gradient_norm)
    }

    fn is_empty(&self) -> bool {
        self.history.is_empty()
    }

    fn reset(&mut self, scale: R) {
        self.history.reset(scale);
    }
}
