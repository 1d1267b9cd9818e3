//! The baseline: plain Rust on every target, with the target's own fused multiply-add where the
//! compiler may rely on one.

use super::{Kernel, Simd};

/// `W` floats in an array. With `W` = 4 the compiler finds the 128-bit vectors that every x86-64
/// has.
#[derive(Clone, Copy)]
pub(super) struct Portable<const W: usize>;

/// `a * b + c`, rounded once.
#[inline(always)]
fn fma(a: f32, b: f32, c: f32) -> f32 {
    #[cfg(target_arch = "aarch64")]
    return super::neon::fma(a, b, c);
    #[cfg(any(target_arch = "x86_64", target_arch = "wasm32"))]
    return super::round_to_odd::fma(a, b, c);
    #[cfg(not(any(
        target_arch = "aarch64",
        target_arch = "x86_64",
        target_arch = "wasm32"
    )))]
    super::integer::fma(a, b, c)
}

impl<const W: usize> Simd for Portable<W> {
    type V = [f32; W];
    const WIDTH: usize = W;
    const BLOCK: usize = 4;

    #[inline(always)]
    fn splat(self, x: f32) -> [f32; W] {
        [x; W]
    }

    #[inline(always)]
    fn load(self, source: &[f32], at: usize) -> [f32; W] {
        let mut v = [0.0; W];
        v.copy_from_slice(&source[at..at + W]);
        v
    }

    #[inline(always)]
    fn store(self, target: &mut [f32], at: usize, v: [f32; W]) {
        target[at..at + W].copy_from_slice(&v);
    }

    #[inline(always)]
    fn first(self, x: f32) -> [f32; W] {
        let mut v = [0.0; W];
        v[0] = x;
        v
    }

    #[inline(always)]
    fn add(self, a: [f32; W], b: [f32; W]) -> [f32; W] {
        let mut v = a;
        for i in 0..W {
            v[i] += b[i];
        }
        v
    }

    #[inline(always)]
    fn sub(self, a: [f32; W], b: [f32; W]) -> [f32; W] {
        let mut v = a;
        for i in 0..W {
            v[i] -= b[i];
        }
        v
    }

    #[inline(always)]
    fn mul(self, a: [f32; W], b: [f32; W]) -> [f32; W] {
        let mut v = a;
        for i in 0..W {
            v[i] *= b[i];
        }
        v
    }

    #[inline(always)]
    fn fma(self, a: [f32; W], b: [f32; W], c: [f32; W]) -> [f32; W] {
        let mut v = c;
        for i in 0..W {
            v[i] = fma(a[i], b[i], c[i]);
        }
        v
    }

    #[inline(always)]
    fn relu(self, x: [f32; W]) -> [f32; W] {
        let mut v = x;
        for i in 0..W {
            v[i] = if x[i] < 0.0 { 0.0 } else { x[i] };
        }
        v
    }

    #[inline(always)]
    fn where_positive(self, y: [f32; W], v: [f32; W]) -> [f32; W] {
        let mut kept = v;
        for i in 0..W {
            kept[i] = if y[i] > 0.0 { v[i] } else { 0.0 };
        }
        kept
    }

    #[inline(always)]
    fn split(self, bits: u32, v: [f32; W]) -> ([f32; W], [f32; W]) {
        let (mut zeros, mut ones) = (v, v);
        for i in 0..W {
            let one = bits >> i & 1 == 1;
            zeros[i] = if one { 0.0 } else { v[i] };
            ones[i] = if one { v[i] } else { 0.0 };
        }
        (zeros, ones)
    }

    #[inline(always)]
    fn first_max(self, best: [f32; W], v: [f32; W]) -> ([f32; W], u32) {
        let (mut largest, mut bits) = (best, 0);
        for i in 0..W {
            let take = v[i] > best[i] || v[i].is_nan();
            bits |= u32::from(take) << i;
            largest[i] = if take { v[i] } else { best[i] };
        }
        (largest, bits)
    }

    #[inline(always)]
    fn sum(self, v: [f32; W]) -> f32 {
        let mut v = v;
        let mut half = W / 2;
        while half > 0 {
            for i in 0..half {
                v[i] += v[i + half];
            }
            half /= 2;
        }
        v[0]
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
        libm::fma(a, b, c)
    }
}
