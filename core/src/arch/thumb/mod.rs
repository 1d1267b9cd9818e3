//! Cortex-M with a floating-point unit (M4F, M7, M33 and their like).
//!
//! The compiler does not offer `vfma.f32` on these cores: it has no intrinsic, and inline assembly
//! may not take a float in a register. So a scalar multiply-add goes through integer registers, and
//! each inner loop of a training step is one block of assembly that takes pointers. Each has its
//! definition in a layer's file `definition.rs`, which names the sums and their order.
//!
//! Every block checks the extent of its slices first; inside, addresses depend on nothing but that.
#![allow(unsafe_code)] // inline assembly; the checks are in front of each block

mod conv;
mod depthwise;
mod gradient;
mod linear;
mod pointwise;
mod pool;
mod relu;
mod tile;

use super::single::{Rows, Windows, Winners};
use super::{Kernel, Simd};
use core::arch::asm;

/// The target has a floating-point unit of the M profile.
#[derive(Clone, Copy)]
pub(super) struct Thumb;

impl Simd for Thumb {
    type V = f32;
    const WIDTH: usize = 1;
    const BLOCK: usize = 4;

    #[inline(always)]
    fn splat(self, x: f32) -> f32 {
        x
    }

    #[inline(always)]
    fn load(self, source: &[f32], at: usize) -> f32 {
        source[at]
    }

    #[inline(always)]
    fn store(self, target: &mut [f32], at: usize, v: f32) {
        target[at] = v;
    }

    #[inline(always)]
    fn first(self, x: f32) -> f32 {
        x
    }

    #[inline(always)]
    fn add(self, a: f32, b: f32) -> f32 {
        a + b
    }

    #[inline(always)]
    fn sub(self, a: f32, b: f32) -> f32 {
        a - b
    }

    #[inline(always)]
    fn mul(self, a: f32, b: f32) -> f32 {
        a * b
    }

    #[inline(always)]
    fn fma(self, a: f32, b: f32, c: f32) -> f32 {
        self.fma_f32(a, b, c)
    }

    #[inline(always)]
    fn relu(self, x: f32) -> f32 {
        if x < 0.0 { 0.0 } else { x }
    }

    #[inline(always)]
    fn where_positive(self, y: f32, v: f32) -> f32 {
        if y > 0.0 { v } else { 0.0 }
    }

    #[inline(always)]
    fn split(self, bits: u32, v: f32) -> (f32, f32) {
        if bits & 1 == 1 { (0.0, v) } else { (v, 0.0) }
    }

    #[inline(always)]
    fn first_max(self, best: f32, v: f32) -> (f32, u32) {
        if v > best || v.is_nan() {
            (v, 1)
        } else {
            (best, 0)
        }
    }

    #[inline(always)]
    fn sum(self, v: f32) -> f32 {
        v
    }

    #[inline(never)]
    fn apart<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn sqrt_f32(self, x: f32) -> f32 {
        let mut bits = x.to_bits();
        // SAFETY: reads and writes only the declared registers.
        unsafe {
            asm!(
                "vmov s0, {x}",
                "vsqrt.f32 s0, s0",
                "vmov {x}, s0",
                x = inout(reg) bits,
                out("s0") _,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        f32::from_bits(bits)
    }

    #[inline(always)]
    fn fma_f32(self, a: f32, b: f32, c: f32) -> f32 {
        let mut bits = c.to_bits();
        // SAFETY: reads and writes only the declared registers.
        unsafe {
            asm!(
                "vmov s0, s1, {a}, {b}",
                "vmov s2, {c}",
                "vfma.f32 s2, s0, s1",
                "vmov {c}, s2",
                a = in(reg) a.to_bits(),
                b = in(reg) b.to_bits(),
                c = inout(reg) bits,
                out("s0") _, out("s1") _, out("s2") _,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        f32::from_bits(bits)
    }

    #[inline(always)]
    fn fma_f64(self, a: f64, b: f64, c: f64) -> f64 {
        super::integer::fma64(a, b, c)
    }

    #[inline]
    fn conv_rows(
        self,
        windows: Windows,
        stride: usize,
        rows: Rows,
        x: &[f32],
        w: &[f32],
        bias: &[f32],
        plane: usize,
        y: &mut [f32],
    ) -> Option<bool> {
        Some(conv::rows(windows, stride, rows, x, w, bias, plane, y))
    }

    #[inline]
    fn depthwise(
        self,
        windows: Windows,
        stride: usize,
        rows: Rows,
        x: &[f32],
        w: &[f32],
        bias: f32,
        y: &mut [f32],
    ) -> Option<bool> {
        Some(depthwise::map(windows, stride, rows, x, w, bias, y))
    }

    #[inline]
    fn depthwise_weight_gradient(
        self,
        windows: Windows,
        stride: usize,
        rows: Rows,
        x: &[f32],
        dy: &[f32],
        dw: &mut [f32],
    ) -> Option<bool> {
        Some(depthwise::weights(windows, stride, rows, x, dy, dw))
    }

    #[inline]
    fn depthwise_input_gradient(
        self,
        windows: Windows,
        stride: usize,
        rows: Rows,
        w: &[f32],
        dy: &[f32],
        dx: &mut [f32],
    ) -> Option<bool> {
        Some(depthwise::inputs(windows, stride, rows, w, dy, dx))
    }

    #[inline]
    fn conv_weight_gradient(
        self,
        windows: Windows,
        pixels: &[f32],
        x: &[f32],
        dw: &mut [f32],
    ) -> Option<bool> {
        Some(gradient::weights(windows, pixels, x, dw))
    }

    #[inline]
    fn conv_input_gradient(
        self,
        windows: Windows,
        pixels: &[f32],
        w: &[f32],
        dx: &mut [f32],
    ) -> Option<bool> {
        Some(gradient::inputs(windows, pixels, w, dx))
    }

    #[inline]
    fn pointwise_weight_gradient(
        self,
        windows: Windows,
        rows: Rows,
        plane: usize,
        x: &[f32],
        dy: &[f32],
        dw: &mut [f32],
    ) -> Option<bool> {
        Some(pointwise::weights(windows, rows, plane, x, dy, dw))
    }

    #[inline]
    fn pointwise_input_gradient(
        self,
        windows: Windows,
        rows: Rows,
        plane: usize,
        w: &[f32],
        dy: &[f32],
        dx: &mut [f32],
    ) -> Option<bool> {
        pointwise::inputs(windows, rows, plane, w, dy, dx)
    }

    #[inline]
    fn load_row(self, bytes: &[u8], scale: f32, offset: f32, x: &mut [f32]) -> Option<bool> {
        Some(linear::load_row(bytes, scale, offset, x))
    }

    #[inline]
    fn may_have_nan(self, x: &[f32]) -> Option<bool> {
        Some(relu::may_have_nan(x))
    }

    #[inline]
    fn pool_positive(
        self,
        upper: &[f32],
        lower: &[f32],
        y: &mut [f32],
        codes: &mut [f32],
        first: Option<usize>,
    ) -> Option<bool> {
        Some(pool::positive(upper, lower, y, codes, first))
    }

    #[inline]
    fn pool_pairs_positive(
        self,
        x: &[f32],
        y: &mut [f32],
        codes: &mut [f32],
        first: Option<usize>,
    ) -> Option<bool> {
        Some(pool::pairs_positive(x, y, codes, first))
    }

    #[inline]
    fn relu_row(
        self,
        x: Option<&[f32]>,
        y: &mut [f32],
        codes: &mut [f32],
        first: Option<usize>,
    ) -> Option<bool> {
        Some(relu::row(x, y, codes, first))
    }

    #[inline]
    fn relu_gradient(
        self,
        dy: Option<&[f32]>,
        dx: &mut [f32],
        codes: &[f32],
        first: usize,
    ) -> Option<bool> {
        Some(relu::gradient(dy, dx, codes, first))
    }

    #[inline]
    fn pixels(
        self,
        winners: Winners,
        dy: &[f32],
        codes: &[f32],
        list: &mut [[f32; 2]],
    ) -> Option<usize> {
        pool::pixels(winners, dy, codes, list)
    }

    #[inline]
    fn add_up(self, start: f32, x: &[f32]) -> f32 {
        linear::add_up(start, x)
    }

    #[inline]
    fn linear_rows(self, w: &[f32], bias: &[f32], x: &[f32], y: &mut [f32]) -> Option<bool> {
        Some(linear::rows(w, bias, x, y))
    }

    #[inline]
    fn add_scaled(self, a: f32, x: &[f32], y: &mut [f32]) -> Option<bool> {
        Some(linear::add_scaled(a, x, y))
    }
}
