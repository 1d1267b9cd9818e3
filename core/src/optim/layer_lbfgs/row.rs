//! What a step does to one row of a layer's gradient.

use core::mem;

use super::settings::SecondMoment;
use crate::arch::single::piece_mut;
use crate::arch::{Kernel, Simd, dispatch};
use crate::math;
use crate::optim::adam::{AdamStep, LEAST, flush};
use crate::vector::{self, Dot};

/// Rows of a layer in a vector that lies as the parameters do: one after the other without their
/// biases, which lie apart.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    /// With the bias where it is the layer's only row, which then has none apart.
    weights: &'a mut [f32],
    biases: &'a mut [f32],
    /// Length of a row with its bias.
    n: usize,
}

impl<'a> Rows<'a> {
    /// The `outputs` rows of a layer's part of a vector. `None` if it is shorter.
    pub fn new(outputs: usize, n: usize, layer: &'a mut [f32]) -> Option<Rows<'a>> {
        let len = if outputs == 1 { n } else { outputs * (n - 1) };
        let (weights, biases) = layer.split_at_mut_checked(len)?;
        Some(Rows { weights, biases, n })
    }

    /// Takes the first `count` rows, at least 2, and leaves at least 2: a row alone has no place for
    /// its bias.
    pub fn cut(&mut self, count: usize) -> Option<Rows<'a>> {
        Some(Rows {
            weights: take(&mut self.weights, 0, count * (self.n - 1))?,
            biases: take(&mut self.biases, 0, count)?,
            n: self.n,
        })
    }

    /// Some rows with their biases, each as one slice of length n, until
    /// [`close`](Rows::close). `None` if there is no such row, or if two reach into each other, as
    /// rows next to each other do; their biases are anywhere then.
    #[inline(always)]
    pub fn open<const R: usize>(&mut self, rows: [usize; R]) -> Option<[&mut [f32]; R]> {
        let mut ranges = [const { 0..0 }; R];
        for (range, i) in ranges.iter_mut().zip(rows) {
            let from = self.exchange(i, true)?;
            *range = from..from + self.n;
        }
        self.weights.get_disjoint_mut(ranges).ok()
    }

    /// Takes the biases of the rows that were opened last back to their places.
    #[inline(always)]
    pub fn close<const R: usize>(&mut self, rows: [usize; R]) -> Option<()> {
        for i in rows {
            self.exchange(i, false)?;
        }
        Some(())
    }

    /// Brings the bias of row `i` behind it, or back; returns where the row begins.
    #[inline(always)]
    fn exchange(&mut self, i: usize, open: bool) -> Option<usize> {
        let from = i * (self.n - 1);
        let behind = from + self.n - 1;
        let Some(bias) = self.biases.get_mut(i) else {
            return Some(from); // The layer's only row.
        };
        if let Some(other) = self.weights.get_mut(behind) {
            mem::swap(bias, other);
            return Some(from);
        }
        // Nothing is behind the last row: it moves forward by a place, and what was there takes the
        // place of the bias.
        let from = from.checked_sub(1)?;
        let row = self.weights.get_mut(from..)?.iter_mut();
        if open {
            row.rev().for_each(|x| mem::swap(x, bias));
        } else {
            row.for_each(|x| mem::swap(x, bias));
        }
        Some(from)
    }

    /// `w = w - r s d w - r s u` for row `i` of the parameters: weight decay apart from the
    /// gradient, and the step along `u`, of length n.
    #[inline(always)]
    pub fn advance<S: Simd>(
        &mut self,
        simd: S,
        step: &AdamStep,
        i: usize,
        u: &[f32],
    ) -> Option<()> {
        let (last, u) = u.split_last()?;
        let weights = self.weights.get_mut(i * (self.n - 1)..)?;
        let (weights, behind) = weights.split_at_mut_checked(self.n - 1)?;
        for (w, u) in weights.iter_mut().zip(u) {
            *w = moved(simd, step, *w, *u);
        }
        let bias = match self.biases.get_mut(i) {
            Some(bias) => bias,
            None => behind.first_mut()?,
        };
        *bias = moved(simd, step, *bias, *last);
        Some(())
    }

    /// Adds `a` times other rows of the same shape.
    pub fn add(&mut self, a: f32, others: &Rows<'_>) {
        vector::axpy(a, others.weights, self.weights);
        vector::axpy(a, others.biases, self.biases);
    }
}

/// Skips `before` elements and takes the next `len`.
pub(super) fn take<'a>(
    slice: &mut &'a mut [f32],
    before: usize,
    len: usize,
) -> Option<&'a mut [f32]> {
    let (own, rest) = mem::take(slice)
        .get_mut(before..)?
        .split_at_mut_checked(len)?;
    *slice = rest;
    Some(own)
}

#[inline(always)]
fn moved<S: Simd>(simd: S, step: &AdamStep, w: f32, u: f32) -> f32 {
    let decayed = simd.fma_f32(-step.decoupled, w, w);
    simd.fma_f32(-step.rate, u, decayed)
}

/// The second moments of a layer's preconditioned gradient.
pub(super) struct Divisor<'a> {
    kind: SecondMoment,
    /// One a row or one an element.
    second: &'a mut [f32],
    /// Of the columns, for the factored form.
    columns: &'a mut [f32],
    outputs: usize,
    /// `1 / mean of the rows' moments`, for the factored form.
    inverse_mean: f32,
}

impl<'a> Divisor<'a> {
    pub fn new(kind: SecondMoment, outputs: usize, second: &'a mut [f32]) -> Divisor<'a> {
        let rows = match kind {
            SecondMoment::Row | SecondMoment::Factored => outputs,
            SecondMoment::Element => second.len(),
        };
        let (second, columns) = second.split_at_mut_checked(rows).unwrap_or_default();
        Divisor {
            kind,
            second,
            columns,
            outputs,
            inverse_mean: 0.0,
        }
    }

    /// Raises the S of elements where it is below the square of the momentum, `factor M^2`: a mean
    /// of squares is at least the square of the mean.
    ///
    /// A refresh carries the momentum over to a new metric, in which S was not gathered. Where
    /// inputs are rarely other than zero, an element's S may be next to nothing while the momentum,
    /// turned, has something there; their quotient would be a step thousands of times too long. The
    /// means of rows and columns in the other forms do not get as small.
    pub fn cover(&mut self, factor: f32, momentum: &[f32]) {
        if self.kind == SecondMoment::Element {
            dispatch(Cover {
                factor,
                momentum,
                moments: self.second,
            });
        }
    }

    /// Before the first row.
    pub fn begin(&mut self, step: &AdamStep) {
        vector::scale(step.beta2, self.columns);
    }

    /// Takes in row `i`.
    #[inline(always)]
    pub fn learn<S: Simd>(&mut self, simd: S, step: &AdamStep, i: usize, row: &[f32]) {
        if self.kind == SecondMoment::Element {
            return; // with the division, in one pass
        }
        let mean = Dot { a: row, b: row }.run(simd) / row.len() as f32;
        if let Some(moment) = self.second.get_mut(i) {
            *moment = flush(math::fma(step.beta2, *moment, step.new2 * mean));
        }
        if self.kind == SecondMoment::Factored {
            let factor = step.new2 / self.outputs as f32;
            for (sum, x) in self.columns.iter_mut().zip(row) {
                *sum = simd.fma_f32(factor * *x, *x, *sum);
            }
        }
    }

    /// After the last row.
    pub fn finish(&mut self) {
        if self.kind == SecondMoment::Factored {
            let mut sum = 0.0;
            for row in &*self.second {
                sum += row;
            }
            self.inverse_mean = if sum > 0.0 {
                self.outputs as f32 / sum
            } else {
                0.0
            };
            for column in self.columns.iter_mut() {
                *column = flush(*column);
            }
        }
    }

    /// The S of element k of row i, of n; [`finish`](Divisor::finish) was called before.
    pub fn moment(&self, i: usize, k: usize, n: usize) -> f32 {
        let at = |x: &[f32], i: usize| x.get(i).copied().unwrap_or(0.0);
        match self.kind {
            SecondMoment::Row => at(self.second, i),
            SecondMoment::Element => at(self.second, i * n + k),
            SecondMoment::Factored => at(self.second, i) * self.inverse_mean * at(self.columns, k),
        }
    }

    /// Overwrites row `i` of the preconditioned gradient with `D / (sqrt(S) + e)`, and takes it
    /// into the momentum.
    #[inline(always)]
    pub fn divide<S: Simd>(
        &mut self,
        simd: S,
        step: &AdamStep,
        i: usize,
        row: &mut [f32],
        momentum: &mut [f32],
    ) {
        let moment = self.second.get(i).copied().unwrap_or(0.0);
        let second = match self.kind {
            SecondMoment::Row => Second::Row(step.second * moment),
            SecondMoment::Element => {
                Second::Element(piece_mut(self.second, i, row.len()).unwrap_or_default())
            }
            SecondMoment::Factored => {
                Second::Factored(step.second * moment * self.inverse_mean, &*self.columns)
            }
        };
        let divide = Divide {
            step,
            row,
            momentum,
            second,
        };
        divide.run(simd);
    }
}

struct Cover<'a> {
    factor: f32,
    momentum: &'a [f32],
    moments: &'a mut [f32],
}

impl Kernel for Cover<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        for (moment, m) in self.moments.iter_mut().zip(self.momentum) {
            let least = flush(self.factor * *m * *m);
            *moment = if *moment < least { least } else { *moment };
        }
    }
}

enum Second<'a> {
    Row(f32),
    Element(&'a mut [f32]),
    Factored(f32, &'a [f32]),
}

/// Momentum, look-ahead and division, in the operations and the order of
/// [`Adam`](crate::optim::Adam).
struct Divide<'a> {
    step: &'a AdamStep,
    row: &'a mut [f32],
    momentum: &'a mut [f32],
    second: Second<'a>,
}

impl Kernel for Divide<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Divide {
            step,
            row,
            momentum,
            second,
        } = self;
        let ahead = |g: f32, m: &mut f32| {
            *m = flush(simd.fma_f32(step.beta1, *m, step.new1 * g));
            simd.fma_f32(step.fresh, g, step.first * *m)
        };
        let rows = row.iter_mut().zip(momentum);
        match second {
            Second::Row(moment) => {
                let root = simd.sqrt_f32(moment) + step.epsilon;
                for (g, m) in rows {
                    *g = ahead(*g, m) / root;
                }
            }
            Second::Element(moments) => {
                for ((g, m), v) in rows.zip(moments) {
                    let new = simd.fma_f32(step.beta2, *v, step.new2 * *g * *g);
                    *v = if new < LEAST { 0.0 } else { new };
                    *g = ahead(*g, m) / (simd.sqrt_f32(step.second * *v) + step.epsilon);
                }
            }
            Second::Factored(factor, columns) => {
                for ((g, m), column) in rows.zip(columns) {
                    *g = ahead(*g, m) / (simd.sqrt_f32(factor * *column) + step.epsilon);
                }
            }
        }
    }
}
