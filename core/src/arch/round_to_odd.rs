//! Fused multiply-add through `f64`, for machines that have fast doubles but no fused instruction
//! (x86-64 before 2013, WebAssembly).
//!
//! # Derivation
//!
//! 1. The product of two `f32` has 48 significant bits and lies between `2^-298` and `2^256`: it is
//!    exact in `f64`.
//! 2. Adding `c` in `f64` rounds. Knuth's TwoSum returns what the rounding lost: `s + error` is
//!    exactly `a * b + c`. (No step can overflow or underflow in `f64`.)
//! 3. Converting `s` to `f32` would round a second time, and wrongly wherever the first rounding
//!    ended on the midpoint of two `f32`. So the first rounding is changed to *round to odd*: an
//!    exact sum stays; of the two `f64` around an inexact one, the one with an odd significand is
//!    taken. It is never a midpoint (those are even in `f64`) and lies on the same side of each
//!    midpoint as the exact sum. With at least two more bits than the target (53 against 24, more
//!    against a subnormal), rounding it to `f32` gives what rounding the exact sum gives.
//!
//! To round to odd after the fact: where the error points towards zero, the magnitude of `s` is too
//! large, and one less as an integer is the next `f64` towards zero; then the lowest bit is set.
//! Both are left out where the error is zero, or not a number since something was infinite or not a
//! number.
//!
//! There is no branch, so a loop over lanes becomes vector code of the baseline instruction set: 50
//! instructions for 4 lanes with SSE2, ten times the time of a separate multiply and add, a fifth
//! of the integer version's.
//!
//! # Reference
//!
//! Boldo and Melquiond, *Emulation of FMA and correctly rounded sums: proved algorithms using
//! rounding to odd*, IEEE Transactions on Computers 57 (2008); Knuth, *The Art of Computer
//! Programming*, volume 2, 4.2.2.

/// `a * b + c`, rounded once to the nearest number, ties to even.
///
/// Never panics; the same bits as the hardware instruction, except for a NaN's.
#[inline(always)]
pub fn fma(a: f32, b: f32, c: f32) -> f32 {
    let (a, b, c) = (f64::from(a), f64::from(b), f64::from(c));
    let product = a * b;
    let s = product + c;
    let c_part = s - product;
    let error = (product - (s - c_part)) + (c - c_part);

    // False for a NaN, which `error != 0.0` is not.
    let inexact = u64::from(error.abs() > 0.0);
    let towards_zero = (s.to_bits() ^ error.to_bits()) >> 63;
    let odd = (s.to_bits() - (towards_zero & inexact)) | inexact;
    f64::from_bits(odd) as f32
}
