//! AArch64: Advanced SIMD, which every AArch64 target of the project has.
#![allow(unsafe_code)] // the intrinsics; Advanced SIMD is always there

use super::{Kernel, Simd};
use core::arch::aarch64::*;

#[inline]
pub(super) fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Neon)
}

/// `a * b + c`, rounded once: the scalar instruction.
#[inline(always)]
pub(super) fn fma(a: f32, b: f32, c: f32) -> f32 {
    unsafe { vgetq_lane_f32::<0>(vfmaq_f32(vdupq_n_f32(c), vdupq_n_f32(a), vdupq_n_f32(b))) }
}

/// Four floats a vector.
#[derive(Clone, Copy)]
pub(super) struct Neon;

impl Neon {
    /// All ones in the elements whose bit is 1.
    #[inline(always)]
    fn mask(bits: u32) -> uint32x4_t {
        const ELEMENT: [u32; 4] = [1, 2, 4, 8];
        // SAFETY: four words are there.
        unsafe { vtstq_u32(vdupq_n_u32(bits), vld1q_u32(ELEMENT.as_ptr())) }
    }

    /// Bit i from element i, whose bits are all ones or all zeros.
    #[inline(always)]
    fn bits(mask: uint32x4_t) -> u32 {
        const ELEMENT: [u32; 4] = [1, 2, 4, 8];
        // SAFETY: four words are there.
        unsafe { vaddvq_u32(vandq_u32(mask, vld1q_u32(ELEMENT.as_ptr()))) }
    }
}

impl Simd for Neon {
    type V = float32x4_t;
    const WIDTH: usize = 4;
    const BLOCK: usize = 8;

    #[inline(always)]
    fn splat(self, x: f32) -> float32x4_t {
        unsafe { vdupq_n_f32(x) }
    }

    #[inline(always)]
    fn load(self, source: &[f32], at: usize) -> float32x4_t {
        let source = &source[at..at + 4];
        // SAFETY: four floats are there.
        unsafe { vld1q_f32(source.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, target: &mut [f32], at: usize, v: float32x4_t) {
        let target = &mut target[at..at + 4];
        // SAFETY: four floats fit.
        unsafe { vst1q_f32(target.as_mut_ptr(), v) }
    }

    #[inline(always)]
    fn first(self, x: f32) -> float32x4_t {
        unsafe { vsetq_lane_f32::<0>(x, vdupq_n_f32(0.0)) }
    }

    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vsubq_f32(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        unsafe { vmulq_f32(a, b) }
    }

    #[inline(always)]
    fn fma(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        unsafe { vfmaq_f32(c, a, b) }
    }

    #[inline(always)]
    fn relu(self, x: float32x4_t) -> float32x4_t {
        unsafe {
            let zero = vdupq_n_f32(0.0);
            vbslq_f32(vcltq_f32(x, zero), zero, x)
        }
    }

    #[inline(always)]
    fn where_positive(self, y: float32x4_t, v: float32x4_t) -> float32x4_t {
        unsafe {
            let zero = vdupq_n_f32(0.0);
            vbslq_f32(vcgtq_f32(y, zero), v, zero)
        }
    }

    #[inline(always)]
    fn split(self, bits: u32, v: float32x4_t) -> (float32x4_t, float32x4_t) {
        unsafe {
            let (zero, mask) = (vdupq_n_f32(0.0), Neon::mask(bits));
            (vbslq_f32(mask, zero, v), vbslq_f32(mask, v, zero))
        }
    }

    #[inline(always)]
    fn first_max(self, best: float32x4_t, v: float32x4_t) -> (float32x4_t, u32) {
        unsafe {
            let take = vorrq_u32(vcgtq_f32(v, best), vmvnq_u32(vceqq_f32(v, v)));
            (vbslq_f32(take, v, best), Neon::bits(take))
        }
    }

    #[inline(always)]
    fn sum(self, v: float32x4_t) -> f32 {
        unsafe {
            let pair = vadd_f32(vget_low_f32(v), vget_high_f32(v));
            vget_lane_f32::<0>(pair) + vget_lane_f32::<1>(pair)
        }
    }

    #[inline(never)]
    fn apart<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn sqrt_f32(self, x: f32) -> f32 {
        libm::sqrtf(x)
    }

    #[inline(always)]
    fn fma_f32(self, a: f32, b: f32, c: f32) -> f32 {
        fma(a, b, c)
    }

    #[inline(always)]
    fn fma_f64(self, a: f64, b: f64, c: f64) -> f64 {
        unsafe { vget_lane_f64::<0>(vfma_f64(vdup_n_f64(c), vdup_n_f64(a), vdup_n_f64(b))) }
    }
}
