//! The one numeric trait: what an optimiser needs from `f32` and `f64`.
//!
//! Every optimiser, line search and vector verb of this crate is written once over [`Real`]. The
//! trait is sealed: it is implemented for `f32` and `f64`, and promises only correctly rounded
//! operations (`+ - * /`, square root, fused multiply-add), so generic code is as reproducible as
//! code written for either type.

use core::fmt::{Debug, Display};
use core::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

/// `f32` or `f64`.
///
/// ```
/// use secant::Real;
///
/// fn hypotenuse<R: Real>(a: R, b: R) -> R {
///     a.fma(a, b * b).sqrt()
/// }
/// assert_eq!(hypotenuse(3.0f32, 4.0), 5.0);
/// assert_eq!(hypotenuse(3.0f64, 4.0), 5.0);
/// ```
pub trait Real:
    sealed::Fused
    + Copy
    + PartialOrd
    + PartialEq
    + Default
    + Debug
    + Display
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
{
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// One half.
    const HALF: Self;
    /// The distance from 1 to the next larger number.
    const EPSILON: Self;
    /// The smallest positive normal number.
    const MIN_POSITIVE: Self;
    /// The largest finite number.
    const MAX: Self;
    /// Positive infinity.
    const INFINITY: Self;
    /// Not a number.
    const NAN: Self;

    /// The nearest value to a literal. Rounds once for `f32`.
    fn of(value: f64) -> Self;
    /// The value as `f64`, exactly.
    fn to_f64(self) -> f64;
    /// `self * b + c`, rounded once. For scalars: the vector verbs use the hardware's instruction
    /// where there is one.
    fn fma(self, b: Self, c: Self) -> Self;
    /// The square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// The magnitude.
    fn abs(self) -> Self;
    /// Whether the value is neither infinite nor a NaN.
    fn is_finite(self) -> bool;
    /// Whether the value is a NaN.
    fn is_nan(self) -> bool;

    /// The larger of the two; `other` when `self` is a NaN, `self` when the two are equal.
    #[must_use]
    #[inline]
    fn larger(self, other: Self) -> Self {
        if self >= other { self } else { other }
    }

    /// The smaller of the two; `other` when `self` is a NaN, `self` when the two are equal.
    #[must_use]
    #[inline]
    fn smaller(self, other: Self) -> Self {
        if self <= other { self } else { other }
    }
}

mod sealed {
    use crate::arch::Simd;

    /// Closes [`Real`](super::Real), and carries the fused operation of an instruction set.
    pub trait Fused: Sized {
        /// `a * b + c`, rounded once, by the instruction set of `simd`.
        fn fma_in<S: Simd>(simd: S, a: Self, b: Self, c: Self) -> Self;
    }

    impl Fused for f32 {
        #[inline(always)]
        fn fma_in<S: Simd>(simd: S, a: Self, b: Self, c: Self) -> Self {
            simd.fma_f32(a, b, c)
        }
    }

    impl Fused for f64 {
        #[inline(always)]
        fn fma_in<S: Simd>(simd: S, a: Self, b: Self, c: Self) -> Self {
            simd.fma_f64(a, b, c)
        }
    }
}

macro_rules! real {
    ($type:ident, $fma:path, $sqrt:path) => {
        impl Real for $type {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const HALF: Self = 0.5;
            const EPSILON: Self = $type::EPSILON;
            const MIN_POSITIVE: Self = $type::MIN_POSITIVE;
            const MAX: Self = $type::MAX;
            const INFINITY: Self = $type::INFINITY;
            const NAN: Self = $type::NAN;

            #[inline]
            fn of(value: f64) -> Self {
                value as $type
            }
            #[inline]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline]
            fn fma(self, b: Self, c: Self) -> Self {
                $fma(self, b, c)
            }
            #[inline]
            fn sqrt(self) -> Self {
                $sqrt(self)
            }
            #[inline]
            fn abs(self) -> Self {
                $type::abs(self)
            }
            #[inline]
            fn is_finite(self) -> bool {
                $type::is_finite(self)
            }
            #[inline]
            fn is_nan(self) -> bool {
                $type::is_nan(self)
            }
        }
    };
}

real!(f32, crate::math::fma, crate::math::sqrt);
real!(f64, libm::fma, libm::sqrt);
