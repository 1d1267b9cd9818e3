//! Instruction sets: finding them at run time, and the few vector operations that every kernel is
//! written in.
//!
//! This folder is the only place with `unsafe`. A kernel is written once, generic over a [`Simd`]
//! token, and compiled for each instruction set; [`dispatch`] runs the version for
//! [`Isa::current`]. Every operation here is either exact (loads, comparisons, selections) or
//! rounds once as IEEE 754 demands, so the choice of instruction set never changes a bit.

#[doc(hidden)]
pub mod integer;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg_attr(
    all(
        target_arch = "arm",
        target_abi = "eabihf",
        not(target_has_atomic = "64")
    ),
    allow(dead_code, reason = "the one core has the instruction")
)]
mod portable;
#[doc(hidden)]
pub mod round_to_odd;
#[doc(hidden)]
pub mod single;
#[cfg(all(
    target_arch = "arm",
    target_abi = "eabihf",
    not(target_has_atomic = "64")
))]
mod thumb;
#[cfg(target_arch = "x86_64")]
mod x86;

use core::sync::atomic::{AtomicU8, Ordering};

use single::{Rows, Windows, Winners};

/// An instruction set that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Isa {
    /// What the target always has. The fused multiply-add is the instruction where the compiler may
    /// rely on one (Cortex-M with a floating-point unit), else exact software.
    Baseline = 1,
    /// x86-64 with AVX2 and FMA: 8 floats a vector.
    Avx2 = 2,
    /// x86-64 with AVX-512 F, BW, DQ and VL: 16 floats a vector.
    Avx512 = 3,
    /// AArch64 Advanced SIMD: 4 floats a vector.
    Neon = 4,
}

/// The instruction set in use; 0 until first asked for. A relaxed load is enough: every thread that
/// finds 0 detects the same value.
static CURRENT: AtomicU8 = AtomicU8::new(0);

/// The instruction set asked for is not available on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct IsaUnavailable(
    /// The one that was asked for.
    pub Isa,
);

impl core::fmt::Display for IsaUnavailable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "this machine has no {}", self.0.name())
    }
}

impl core::error::Error for IsaUnavailable {}

impl Isa {
    /// Every instruction set, the slowest first.
    pub const ALL: [Isa; 4] = [Isa::Baseline, Isa::Neon, Isa::Avx2, Isa::Avx512];

    /// The fastest instruction set of this machine.
    pub fn detect() -> Isa {
        let mut best = Isa::Baseline;
        for isa in Isa::ALL {
            if isa.is_available() {
                best = isa;
            }
        }
        best
    }

    /// The instruction set that kernels run on: the fastest, unless [`Isa::force`] chose another.
    #[inline]
    pub fn current() -> Isa {
        if const { cfg!(not(any(target_arch = "x86_64", target_arch = "aarch64"))) } {
            // There is no other: the choice costs nothing.
            return Isa::Baseline;
        }
        match CURRENT.load(Ordering::Relaxed) {
            1 => Isa::Baseline,
            2 => Isa::Avx2,
            3 => Isa::Avx512,
            4 => Isa::Neon,
            _ => {
                let isa = Isa::detect();
                CURRENT.store(isa as u8, Ordering::Relaxed);
                isa
            }
        }
    }

    /// Makes all kernels of this process run on `isa`. Changes their speed and not one bit of their
    /// results.
    ///
    /// # Errors
    /// [`IsaUnavailable`] when the machine does not have it; the choice then stays as it was.
    pub fn force(isa: Isa) -> Result<(), IsaUnavailable> {
        if !isa.is_available() {
            return Err(IsaUnavailable(isa));
        }
        CURRENT.store(isa as u8, Ordering::Relaxed);
        Ok(())
    }

    /// Whether this machine can run it.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Baseline => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => x86::has_avx2(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => x86::has_avx512(),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => true,
            _ => false,
        }
    }

    /// The name that `SECANT_ISA` and reports use.
    pub const fn name(self) -> &'static str {
        match self {
            Isa::Baseline => "baseline",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Neon => "neon",
        }
    }

    /// The instruction set of that name.
    pub fn from_name(name: &str) -> Option<Isa> {
        Isa::ALL.into_iter().find(|isa| isa.name() == name)
    }
}

/// [`Simd::sum`] of each vector, by [`Simd::sum4`] as far as that goes.
#[inline(always)]
fn fours_and_ones<S: Simd>(simd: S, v: &[S::V], sums: &mut [f32]) {
    let (v4, v1) = v.as_chunks::<4>();
    let (sums4, sums1) = sums.as_chunks_mut::<4>();
    for (v, sums) in v4.iter().zip(sums4) {
        *sums = simd.sum4(*v);
    }
    for (v, sum) in v1.iter().zip(sums1) {
        *sum = simd.sum(*v);
    }
}

/// One instruction set's vector of `WIDTH` floats and the operations on it. A value of the type is
/// a permission: it exists only where [`dispatch`] has made sure that the machine has the
/// instructions.
///
/// All methods are inlined into the kernel, whose compiled version has the instruction set switched
/// on.
#[doc(hidden)]
pub trait Simd: Copy {
    /// One vector.
    type V: Copy;
    /// Floats in a vector.
    const WIDTH: usize;
    /// Output channels in a register block of convolution: with 3 vectors of pixels a block's sums
    /// fill the registers.
    const BLOCK: usize;

    /// All elements `x`.
    fn splat(self, x: f32) -> Self::V;
    /// The `WIDTH` floats at `source[at..]`. Panics when they are not there.
    fn load(self, source: &[f32], at: usize) -> Self::V;
    /// Writes the vector to `target[at..]`. Panics when it does not fit.
    fn store(self, target: &mut [f32], at: usize, v: Self::V);
    /// `x` in element 0, zeros elsewhere.
    fn first(self, x: f32) -> Self::V;
    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Per element: `0` where `x < 0`, else `x`; a NaN stays.
    fn relu(self, x: Self::V) -> Self::V;
    /// Per element: `v` where `y > 0`, else 0.
    fn where_positive(self, y: Self::V, v: Self::V) -> Self::V;
    /// Per element, bit 0 for element 0: `v` where the bit is 0, else 0; and `v` where it is 1,
    /// else 0.
    fn split(self, bits: u32, v: Self::V) -> (Self::V, Self::V);
    /// The larger of `best` and `v`, and a 1 bit where that is `v`: where `v > best` or `v` is a
    /// NaN. On a tie `best` stays.
    fn first_max(self, best: Self::V, v: Self::V) -> (Self::V, u32);
    /// The sum of the elements by halving: element i is added to element i + h, h = WIDTH/2,
    /// WIDTH/4, ... 1.
    fn sum(self, v: Self::V) -> f32;
    /// [`Simd::sum`] of four vectors, which take less time together.
    #[inline(always)]
    fn sum4(self, v: [Self::V; 4]) -> [f32; 4] {
        [
            self.sum(v[0]),
            self.sum(v[1]),
            self.sum(v[2]),
            self.sum(v[3]),
        ]
    }
    /// [`Simd::sum`] of each vector.
    #[inline(always)]
    fn sums(self, v: &[Self::V], sums: &mut [f32]) {
        fours_and_ones(self, v, sums);
    }
    /// `a[0], b[0], a[1], b[1], ...`
    #[inline(always)]
    fn interleave(self, a: [u8; 16], b: [u8; 16]) -> [[u8; 16]; 2] {
        let mut pairs = [[0; 2]; 16];
        for (i, pair) in pairs.iter_mut().enumerate() {
            *pair = [a[i], b[i]];
        }
        let mut halves = [[0; 16]; 2];
        halves
            .as_flattened_mut()
            .copy_from_slice(pairs.as_flattened());
        halves
    }
    /// Transposes a square of 8 x 8 floats: element (i, k), at `source[i source_row + k]`, goes to
    /// `target[k target_row + i]`. Panics when a row of 8 is not there.
    #[inline(always)]
    fn turn(self, source: &[f32], source_row: usize, target: &mut [f32], target_row: usize) {
        for k in 0..8 {
            let target = &mut target[k * target_row..][..8];
            for (i, target) in target.iter_mut().enumerate() {
                *target = source[i * source_row + k];
            }
        }
    }
    /// Runs a part of a kernel as a function of its own, so that the compiler has all registers for
    /// it.
    fn apart<K: Kernel>(self, kernel: K) -> K::Output;

    /// Scalar square root, correctly rounded.
    fn sqrt_f32(self, x: f32) -> f32;
    /// Scalar `a * b + c`, rounded once. Inside a kernel the compiler vectorises loops of it.
    fn fma_f32(self, a: f32, b: f32, c: f32) -> f32;
    /// Scalar `a * b + c` in double precision, rounded once.
    fn fma_f64(self, a: f64, b: f64, c: f64) -> f64;

    // The hooks of one sample at a time: whole inner loops, for instruction sets where only
    // assembly makes them fast. `Some(true)` means done, with the bits of the definition of the
    // same name in the layer's file `definition.rs`. `Some(false)` means that a slice is too short:
    // then the targets hold anything that they held before or that the definition writes there.
    // `None` means that there is no assembly, or none for that shape, and the caller runs the
    // definition: see `single::done_or`.

    /// `x[i] = bytes[i] scale + offset`.
    #[inline(always)]
    fn load_row(self, bytes: &[u8], scale: f32, offset: f32, x: &mut [f32]) -> Option<bool> {
        let _ = (bytes, scale, offset, x);
        None
    }
    /// Some output rows of up to four channels of a convolution. `x` must reach to the end of the
    /// last row's last window, `w` hold the weights of `bias.len()` channels, one to four, and `y`
    /// reach to the end of the last channel's last row.
    #[inline(always)]
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
        let _ = (windows, stride, rows, x, w, bias, plane, y);
        None
    }
    /// One channel of a depthwise convolution. `x` must reach to the end of the last row's last
    /// window, `y` to the end of its last row, and `w` hold the kernel.
    #[inline(always)]
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
        let _ = (windows, stride, rows, x, w, bias, y);
        None
    }
    /// Adds to one channel's weight gradient; the slices as for [`Simd::depthwise`].
    #[inline(always)]
    fn depthwise_weight_gradient(
        self,
        windows: Windows,
        stride: usize,
        rows: Rows,
        x: &[f32],
        dy: &[f32],
        dw: &mut [f32],
    ) -> Option<bool> {
        let _ = (windows, stride, rows, x, dy, dw);
        None
    }
    /// Adds one channel's part to the input gradient; the slices as for [`Simd::depthwise`]. No two
    /// rows of a window may overlap.
    #[inline(always)]
    fn depthwise_input_gradient(
        self,
        windows: Windows,
        stride: usize,
        rows: Rows,
        w: &[f32],
        dy: &[f32],
        dx: &mut [f32],
    ) -> Option<bool> {
        let _ = (windows, stride, rows, w, dy, dx);
        None
    }
    /// Adds to one output channel's weight gradient. `x` must hold all windows of the pixels, of
    /// which there must be one, and `dw` all weights of an output channel.
    #[inline(always)]
    fn conv_weight_gradient(
        self,
        windows: Windows,
        pixels: &[f32],
        x: &[f32],
        dw: &mut [f32],
    ) -> Option<bool> {
        let _ = (windows, pixels, x, dw);
        None
    }
    /// Adds one output channel's part to the input gradient. `dx` must hold all windows of the
    /// pixels, of which there must be one, and `w` all weights of an output channel. No two
    /// channels of the map may overlap.
    #[inline(always)]
    fn conv_input_gradient(
        self,
        windows: Windows,
        pixels: &[f32],
        w: &[f32],
        dx: &mut [f32],
    ) -> Option<bool> {
        let _ = (windows, pixels, w, dx);
        None
    }
    /// Adds to the weight gradient of a convolution with a kernel of 1 x 1 and stride 1: what
    /// [`Simd::conv_weight_gradient`] does with a list of all pixels of each output channel, whose
    /// gradients are `plane` floats apart; `pitch` is that of `dy`. `x` and `dy` must reach to the
    /// end of the last channel's last row. The definition is that of lists.
    #[inline(always)]
    fn pointwise_weight_gradient(
        self,
        windows: Windows,
        rows: Rows,
        plane: usize,
        x: &[f32],
        dy: &[f32],
        dw: &mut [f32],
    ) -> Option<bool> {
        let _ = (windows, rows, plane, x, dy, dw);
        None
    }
    /// The same for the input gradient, which is not added to but overwritten.
    #[inline(always)]
    fn pointwise_input_gradient(
        self,
        windows: Windows,
        rows: Rows,
        plane: usize,
        w: &[f32],
        dy: &[f32],
        dx: &mut [f32],
    ) -> Option<bool> {
        let _ = (windows, rows, plane, w, dy, dx);
        None
    }
    /// Whether there may be a NaN among the values; `None` where there is no assembly.
    #[inline(always)]
    fn may_have_nan(self, x: &[f32]) -> Option<bool> {
        let _ = x;
        None
    }
    /// One output row of max-pooling 2 x 2, then relu, without a NaN. The rows must hold all
    /// windows.
    #[inline(always)]
    fn pool_positive(
        self,
        upper: &[f32],
        lower: &[f32],
        y: &mut [f32],
        codes: &mut [f32],
        first: Option<usize>,
    ) -> Option<bool> {
        let _ = (upper, lower, y, codes, first);
        None
    }
    /// One output row of max-pooling 1 x 2, then relu, without a NaN. `x` must hold all windows.
    #[inline(always)]
    fn pool_pairs_positive(
        self,
        x: &[f32],
        y: &mut [f32],
        codes: &mut [f32],
        first: Option<usize>,
    ) -> Option<bool> {
        let _ = (x, y, codes, first);
        None
    }
    /// Relu of a row without a NaN, of `x` or in place. `x` must be as long as `y`, `codes` hold
    /// all codes.
    #[inline(always)]
    fn relu_row(
        self,
        x: Option<&[f32]>,
        y: &mut [f32],
        codes: &mut [f32],
        first: Option<usize>,
    ) -> Option<bool> {
        let _ = (x, y, codes, first);
        None
    }
    /// The gradient of a relu's input from that of its output, `dy` or in place. `dy` must be as
    /// long as `dx`, `codes` hold all codes.
    #[inline(always)]
    fn relu_gradient(
        self,
        dy: Option<&[f32]>,
        dx: &mut [f32],
        codes: &[f32],
        first: usize,
    ) -> Option<bool> {
        let _ = (dy, dx, codes, first);
        None
    }
    /// The list of a row's pixels that have a gradient. The list must have room for a pixel of each
    /// row of each window, even of those that have none; `None` stands for false.
    #[inline(always)]
    fn pixels(
        self,
        winners: Winners,
        dy: &[f32],
        codes: &[f32],
        list: &mut [[f32; 2]],
    ) -> Option<usize> {
        let _ = (winners, dy, codes, list);
        None
    }
    /// `start + x[0] + x[1] + ...`, added in that order.
    #[inline(always)]
    fn add_up(self, start: f32, x: &[f32]) -> f32 {
        x.iter().fold(start, |sum, x| sum + x)
    }
    /// `y[o] = bias[o] + sum over i of w[o][i] x[i]`. `w` must hold the weights of all outputs.
    #[inline(always)]
    fn linear_rows(self, w: &[f32], bias: &[f32], x: &[f32], y: &mut [f32]) -> Option<bool> {
        let _ = (w, bias, x, y);
        None
    }
    /// `y[i] += a x[i]`.
    #[inline(always)]
    fn add_scaled(self, a: f32, x: &[f32], y: &mut [f32]) -> Option<bool> {
        let _ = (a, x, y);
        None
    }
}

/// A piece of work written once and compiled for every instruction set. Implementations mark `run`
/// `#[inline(always)]`.
#[doc(hidden)]
pub trait Kernel {
    /// What it returns.
    type Output;
    /// Does the work with the instructions that `simd` stands for.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Runs a kernel whose vectors run over `L` adjacent floats, on [`Isa::current`]: the widest
/// vectors that divide `L`, else one float at a time (still with the hardware's fused multiply-add
/// where there is one). The kernel is compiled only for the vectors that `L` can make use of.
#[inline]
#[doc(hidden)]
pub fn dispatch_lanes<const L: usize, K: Kernel>(kernel: K) -> K::Output {
    match Isa::current() {
        #[cfg(target_arch = "x86_64")]
        isa @ (Isa::Avx512 | Isa::Avx2) => {
            if const { L.is_multiple_of(16) } && isa == Isa::Avx512 {
                x86::run_avx512(kernel)
            } else if const { L.is_multiple_of(8) } {
                x86::run_avx2(kernel)
            } else {
                x86::run_scalar(kernel)
            }
        }
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => {
            if const { L.is_multiple_of(4) } {
                neon::run(kernel)
            } else {
                kernel.run(portable::Portable::<1>)
            }
        }
        _ => run_baseline::<L, K>(kernel),
    }
}

#[cfg(all(
    target_arch = "arm",
    target_abi = "eabihf",
    not(target_has_atomic = "64")
))]
#[inline]
fn run_baseline<const L: usize, K: Kernel>(kernel: K) -> K::Output {
    kernel.run(thumb::Thumb)
}

#[cfg(not(all(
    target_arch = "arm",
    target_abi = "eabihf",
    not(target_has_atomic = "64")
)))]
#[inline]
fn run_baseline<const L: usize, K: Kernel>(kernel: K) -> K::Output {
    if const { L.is_multiple_of(4) } {
        kernel.run(portable::Portable::<4>)
    } else {
        kernel.run(portable::Portable::<1>)
    }
}

/// Runs a kernel that takes care of lengths itself on [`Isa::current`].
#[inline]
#[doc(hidden)]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    dispatch_lanes::<16, K>(kernel)
}
