//! The few vector verbs that every optimiser is written in.
//!
//! **Order of sums.** Every reduction keeps 16 partial sums: element j goes into partial sum j mod
//! 16, in ascending order of j, each by one fused multiply-add; then the upper half of the partial
//! sums is added to the lower half, 16 to 8 to 4 to 2 to 1. The order depends on nothing else, so a
//! result has the same bits on every instruction set. The rounding error of a dot product is at
//! most about `(n / 16 + 4) * EPSILON * sum |a_j b_j|`.
//!
//! Verbs that combine two steps, such as [`axpy_dot`], make one pass over memory where two verbs
//! would make two, and give the same bits as those two.
//!
//! All slices of a call must have the same length. Where they do not, the verb runs over the
//! shortest and leaves the rest alone; the optimisers check lengths once at each public call.

use crate::arch::{Kernel, Simd, dispatch};
use crate::real::Real;

/// Number of partial sums of a reduction.
const LANES: usize = 16;

/// The halving tree over the partial sums: 16 to 8 to 4 to 2 to 1, with bounds that the compiler
/// sees.
#[inline(always)]
fn halve<R: Real>(mut partial: [R; LANES]) -> R {
    for lane in 0..8 {
        partial[lane] += partial[lane + 8];
    }
    for lane in 0..4 {
        partial[lane] += partial[lane + 4];
    }
    for lane in 0..2 {
        partial[lane] += partial[lane + 2];
    }
    partial[0] + partial[1]
}

/// Declares a verb from what it does to one element.
///
/// `name(scalars) (inputs) (outputs) -> (sums), |fma| body`: the body sees the scalars and the
/// inputs' elements as values, the outputs' elements and the partial sums of the element's lane as
/// `&mut`, and `fma(a, b, c)`, the fused operation of the instruction set that it is being compiled
/// for. Blocks of [`LANES`] elements come first, then the tail, so that each element meets its own
/// lane.
macro_rules! verb {
    ($(#[$doc:meta])* $name:ident / $kernel:ident ($($scalar:ident),*) ($($input:ident),*) ($($output:ident),*)
        -> ($($sum:ident),*) $result:ty, |$fma:ident| $body:block => $finish:expr) => {
        #[doc = concat!("[`", stringify!($name), "`] within another kernel.")]
        pub(crate) struct $kernel<'a, R> {
            $(pub(crate) $scalar: R,)*
            $(pub(crate) $input: &'a [R],)*
            $(pub(crate) $output: &'a mut [R],)*
        }

        impl<R: Real> Kernel for $kernel<'_, R> {
            type Output = $result;

            // On a device once, for its size; elsewhere within what uses it.
            #[cfg_attr(target_os = "none", inline(never))]
            #[cfg_attr(not(target_os = "none"), inline(always))]
            #[allow(unused_mut, unused_variables, clippy::unused_unit, reason = "not every verb has sums or outputs")]
            fn run<S: Simd>(mut self, simd: S) -> $result {
                let $fma = |a: R, b: R, c: R| R::fma_in(simd, a, b, c);
                $(let $scalar = self.$scalar;)*
                // Every access is a `get`, never an index, so that no panic can be reached; the
                // branches cost nothing beside a block's work.
                let n = usize::MAX $(.min(self.$input.len()))* $(.min(self.$output.len()))*;
                $(self.$input = self.$input.get(..n).unwrap_or_default();)*
                $(self.$output = core::mem::take(&mut self.$output).get_mut(..n).unwrap_or_default();)*
                $(let mut $sum = [R::ZERO; LANES];)*
                for block in 0..n / LANES {
                    // Copies, so that the compiler sees that no output overlaps an input, and
                    // vectorises.
                    $(let Some(&$input) = self.$input.as_chunks::<LANES>().0.get(block) else { break };)*
                    $(let Some(&mut mut $output) = self.$output.as_chunks_mut::<LANES>().0.get_mut(block) else { break };)*
                    for lane in 0..LANES {
                        $(let $input = $input[lane];)*
                        $(let $output = &mut $output[lane];)*
                        $(let $sum = &mut $sum[lane];)*
                        $body
                    }
                    $(if let Some(target) = self.$output.as_chunks_mut::<LANES>().0.get_mut(block) {
                        *target = $output;
                    })*
                }
                // The tail: fours, where there are vectors, then single elements.
                let fours = if S::WIDTH > 1 { n % LANES / 4 } else { 0 };
                for four in 0..fours {
                    $(let Some(&$input) = self.$input.as_chunks::<LANES>().1.as_chunks::<4>().0.get(four) else { break };)*
                    $(let Some(&mut mut $output) = self.$output.as_chunks_mut::<LANES>().1.as_chunks_mut::<4>().0.get_mut(four) else { break };)*
                    $(let Some($sum) = $sum.as_chunks_mut::<4>().0.get_mut(four) else { break };)*
                    for lane in 0..4 {
                        $(let $input = $input[lane];)*
                        $(let $output = &mut $output[lane];)*
                        $(let $sum = &mut $sum[lane];)*
                        $body
                    }
                    $(if let Some(target) = self.$output.as_chunks_mut::<LANES>().1.as_chunks_mut::<4>().0.get_mut(four) {
                        *target = $output;
                    })*
                }
                for lane in 4 * fours..n % LANES {
                    $(let Some(&$input) = self.$input.as_chunks::<LANES>().1.get(lane) else { break };)*
                    $(let Some($output) = self.$output.as_chunks_mut::<LANES>().1.get_mut(lane) else { break };)*
                    $(let Some($sum) = $sum.get_mut(lane) else { break };)*
                    $body
                }
                $(let $sum = halve($sum);)*
                $finish
            }
        }

        $(#[$doc])*
        #[inline(never)] // So its partial sums and copies are not on the stack of all that calls it.
        pub fn $name<R: Real>($($scalar: R,)* $($input: &[R],)* $($output: &mut [R],)*) -> $result {
            dispatch($kernel { $($scalar,)* $($input,)* $($output,)* })
        }
    };
}

verb! {
    /// `sum_j a_j b_j`.
    ///
    /// ```
    /// assert_eq!(secant::vector::dot(&[1.0f32, 2.0, 3.0], &[4.0, 5.0, 6.0]), 32.0);
    /// ```
    dot / Dot () (a, b) () -> (sum) R, |fma| { *sum = fma(a, b, *sum); } => sum
}

verb! {
    /// `y += a x`, fused.
    axpy / Axpy (a) (x) (y) -> () (), |fma| { *y = fma(a, x, *y); } => ()
}

verb! {
    /// `out = x + a d`, fused; **overwrites** `out`. The trial point of a line search.
    add_scaled / AddScaled (a) (x, d) (out) -> () (), |fma| { *out = fma(a, d, x); } => ()
}

verb! {
    /// `x *= a`.
    scale / Scale (a) () (x) -> () (), |_fma| { *x *= a; } => ()
}

verb! {
    /// `x *= d`, element by element: a diagonal matrix times a vector.
    multiply / Multiply () (d) (x) -> () (), |_fma| { *x *= d; } => ()
}

verb! {
    /// `out = -x`; **overwrites** `out`.
    negate / Negate () (x) (out) -> () (), |_fma| { *out = -x; } => ()
}

verb! {
    /// `out = x`; **overwrites** `out`.
    copy / Copy_ () (x) (out) -> () (), |_fma| { *out = x; } => ()
}

verb! {
    /// `y += a x`, and returns the new `y . z`: [`axpy`] and [`dot`] in one pass.
    axpy_dot / AxpyDot (a) (x, z) (y) -> (sum) R, |fma| {
        *y = fma(a, x, *y);
        *sum = fma(*y, z, *sum);
    } => sum
}

verb! {
    /// `y = b (y + a x)`, and returns the new `y . x`: the turning point of the two loops in one
    /// pass.
    axpy_scale_dot / AxpyScaleDot (a, b) (x) (y) -> (sum) R, |fma| {
        *y = b * fma(a, x, *y);
        *sum = fma(*y, x, *sum);
    } => sum
}

verb! {
    /// `y = d (y + a x)` with a diagonal `d`, and returns the new `y . x`.
    axpy_multiply_dot / AxpyMultiplyDot (a) (x, d) (y) -> (sum) R, |fma| {
        *y = d * fma(a, x, *y);
        *sum = fma(*y, x, *sum);
    } => sum
}

verb! {
    /// `sum_j a_j b_j` over the j where `mask_j` is not zero.
    dot_where / DotWhere () (mask, a, b) () -> (sum) R, |fma| {
        *sum = if mask == R::ZERO { *sum } else { fma(a, b, *sum) };
    } => sum
}

verb! {
    /// `y += a x`, fused, where `mask` is not zero.
    axpy_where / AxpyWhere (a) (mask, x) (y) -> () (), |fma| {
        *y = if mask == R::ZERO { *y } else { fma(a, x, *y) };
    } => ()
}

verb! {
    /// `(a . b, a . a)` in one pass: the slope and the squared norm of a gradient.
    dot_and_square / DotAndSquare () (a, b) () -> (product, square) (R, R), |fma| {
        *product = fma(a, b, *product);
        *square = fma(a, a, *square);
    } => (product, square)
}

verb! {
    /// Turns the old point in `s` and the old gradient in `y` into the steps `s = x - s` and `y =
    /// gradient - y`, and returns `(s . s, s . y, y . y)`, all in one pass.
    difference / Difference () (x, gradient) (s, y) -> (ss, sy, yy) (R, R, R), |fma| {
        *s = x - *s;
        *y = gradient - *y;
        *ss = fma(*s, *s, *ss);
        *sy = fma(*s, *y, *sy);
        *yy = fma(*y, *y, *yy);
    } => (ss, sy, yy)
}

verb! {
    /// `(sum_j d_j y_j^2, sum_j s_j^2 / d_j)`: what [`update_diagonal`] needs.
    diagonal_moments / DiagonalMoments () (d, s, y) () -> (dyy, ssd) (R, R), |fma| {
        *dyy = fma(d * y, y, *dyy);
        *ssd = fma(s / d, s, *ssd);
    } => (dyy, ssd)
}

verb! {
    /// `b = w / d;  d = 1 / (b + rho y^2 - (b s)^2 / sbs)`, the result within a factor of 1000 of
    /// `1 / b`: the diagonal of the BFGS update of the diagonal matrix with elements b.
    update_diagonal / UpdateDiagonal (w, rho, sbs) (s, y) (d) -> () (), |fma| {
        let b = w / *d;
        let bs = b * s;
        let updated = fma(rho * y, y, b) - bs * bs / sbs;
        let (least, most) = (R::of(1e-3) / b, R::of(1e3) / b);
        *d = (R::ONE / updated).larger(least).smaller(most);
    } => ()
}

/// The largest magnitude, 0 for an empty slice; a NaN anywhere makes it a NaN.
pub fn norm_max<R: Real>(x: &[R]) -> R {
    let mut largest = R::ZERO;
    for &element in x {
        let magnitude = element.abs();
        if magnitude > largest || magnitude.is_nan() {
            largest = magnitude;
        }
        if largest.is_nan() {
            return largest;
        }
    }
    largest
}

/// `sum_j |x_j|`.
pub fn norm1<R: Real>(x: &[R]) -> R {
    let mut partial = [R::ZERO; LANES];
    for (j, &element) in x.iter().enumerate() {
        partial[j % LANES] += element.abs();
    }
    halve(partial)
}

/// The Euclidean norm `sqrt(sum_j x_j^2)`, safe from overflow and underflow of the squares.
///
/// It is the square root of `dot(x, x)` where that is a normal number, and is computed from the
/// vector divided by its largest magnitude otherwise.
///
/// ```
/// assert_eq!(secant::vector::norm2(&[3.0e30f32, 4.0e30]), 5.0e30);
/// ```
pub fn norm2<R: Real>(x: &[R]) -> R {
    norm_from_square(dot(x, x), x)
}

/// [`norm2`] of `x` where `square = x . x` is known already.
pub(crate) fn norm_from_square<R: Real>(square: R, x: &[R]) -> R {
    if square.is_finite() && square >= R::MIN_POSITIVE / R::EPSILON {
        return square.sqrt();
    }
    let largest = norm_max(x);
    if !(largest > R::ZERO && largest.is_finite()) {
        return largest;
    }
    let mut partial = [R::ZERO; LANES];
    for (j, &element) in x.iter().enumerate() {
        let scaled = element / largest;
        partial[j % LANES] = scaled.fma(scaled, partial[j % LANES]);
    }
    largest * halve(partial).sqrt()
}
