//! What a step does to one row of a layer's gradient.

use super::settings::SecondMoment;
use crate::arch::single::piece_mut;
use crate::arch::{Kernel, Simd, dispatch};
use crate::math;
use crate::optim::adam::{AdamStep, LEAST, flush};
use crate::vector;

/// Calls `work` with some rows of a layer's gradient and their biases, each as one slice of length
/// n, in place. `None` if there is no such row, or two are the same or next to each other.
///
/// The rows lie one after the other without their biases, which follow the last row; so the bias
/// changes places with the element behind its row and goes back afterwards.
pub(super) fn with_biases<const V: usize>(
    gradient: &mut [f32],
    begin: usize,
    biases: usize,
    n: usize,
    rows: [usize; V],
    work: impl FnOnce([&mut [f32]; V]),
) -> Option<()> {
    let exchange = |gradient: &mut [f32], i: usize| {
        let (bias, behind) = (biases + i, begin + i * (n - 1) + n - 1);
        let (x, y) = (*gradient.get(bias)?, *gradient.get(behind)?);
        *gradient.get_mut(bias)? = y;
        *gradient.get_mut(behind)? = x;
        Some(())
    };
    for i in rows {
        exchange(gradient, i)?;
    }
    let ranges = rows.map(|i| begin + i * (n - 1)..begin + i * (n - 1) + n);
    work(gradient.get_disjoint_mut(ranges).ok()?);
    // In the opposite order: the element behind the last row is the first row's bias.
    for i in rows.into_iter().rev() {
        exchange(gradient, i)?;
    }
    Some(())
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
            for (moment, m) in self.second.iter_mut().zip(momentum) {
                let least = flush(factor * *m * *m);
                if *moment < least {
                    *moment = least;
                }
            }
        }
    }

    /// Before the first row.
    pub fn begin(&mut self, step: &AdamStep) {
        vector::scale(step.beta2, self.columns);
    }

    /// Takes in row `i`.
    pub fn learn(&mut self, step: &AdamStep, i: usize, row: &[f32]) {
        if self.kind == SecondMoment::Element {
            return; // with the division, in one pass
        }
        let mean = vector::dot(row, row) / row.len() as f32;
        if let Some(moment) = self.second.get_mut(i) {
            *moment = flush(math::fma(step.beta2, *moment, step.new2 * mean));
        }
        if self.kind == SecondMoment::Factored {
            let factor = step.new2 / self.outputs as f32;
            dispatch(AddSquares {
                factor,
                row,
                sums: self.columns,
            });
        }
    }

    /// After the last row.
    pub fn finish(&mut self, _step: &AdamStep) {
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

    /// Overwrites row `i` of the preconditioned gradient with `D / (sqrt(S) + e)`, and takes it
    /// into the momentum.
    pub fn divide(&mut self, step: &AdamStep, i: usize, row: &mut [f32], momentum: &mut [f32]) {
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
        dispatch(Divide {
            step,
            row,
            momentum,
            second,
        });
    }
}

struct AddSquares<'a> {
    factor: f32,
    row: &'a [f32],
    sums: &'a mut [f32],
}

impl Kernel for AddSquares<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (sum, x) in self.sums.iter_mut().zip(self.row) {
            *sum = simd.fma_f32(self.factor * *x, *x, *sum);
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

/// `w = w - r s d w - r s u`: weight decay apart from the gradient, and the step along `u`.
pub(super) fn advance(step: &AdamStep, parameters: &mut [f32], direction: &[f32]) {
    dispatch(Advance {
        step,
        parameters,
        direction,
    });
}

struct Advance<'a> {
    step: &'a AdamStep,
    parameters: &'a mut [f32],
    direction: &'a [f32],
}

impl Kernel for Advance<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (w, u) in self.parameters.iter_mut().zip(self.direction) {
            let decayed = simd.fma_f32(-self.step.decoupled, *w, *w);
            *w = simd.fma_f32(-self.step.rate, *u, decayed);
        }
    }
}
