//! The kernels of one sample at a time, in plain Rust: what every instruction set does unless it has a faster way.
//!
//! These are the bodies of the methods of the same names of [`Simd`]; the assembly of [`thumb`](super) is tested against
//! them bit for bit. None panics: `None` means that a slice is too short, and then the targets hold anything.
//!
//! A list of pixels is stored in floats, two a pixel: the place of its window in a plane, as a bit pattern, and its gradient.

use super::Simd;

/// The windows of a convolution over a map. Lengths are in floats.
#[derive(Debug, Clone, Copy)]
pub struct Windows {
    /// Input channels.
    pub inputs: usize,
    /// Rows of the kernel.
    pub rows: usize,
    /// Columns of the kernel.
    pub columns: usize,
    /// From a channel of the map to the next.
    pub plane: usize,
    /// From a row of the map to the next.
    pub row: usize,
}

impl Windows {
    /// Weights of one output channel; `None` when there are none.
    pub fn terms(&self) -> Option<usize> {
        let terms = self
            .rows
            .checked_mul(self.columns)?
            .checked_mul(self.inputs)?;
        (terms > 0).then_some(terms)
    }

    /// Floats of the map from the first pixel of a window to its last, both included; `None` when there are none.
    pub fn reach(&self) -> Option<usize> {
        let planes = self.inputs.checked_sub(1)?.checked_mul(self.plane)?;
        let rows = self.rows.checked_sub(1)?.checked_mul(self.row)?;
        planes
            .checked_add(rows)?
            .checked_add(self.columns.checked_sub(1)?)?
            .checked_add(1)
    }
}

/// The `i`-th of pieces of `length` floats. (`chunks_exact` panics for a length of zero.)
#[inline(always)]
pub fn piece(x: &[f32], i: usize, length: usize) -> Option<&[f32]> {
    x.get(i * length..)?.get(..length)
}

/// The same, to be written to.
#[inline(always)]
pub fn piece_mut(x: &mut [f32], i: usize, length: usize) -> Option<&mut [f32]> {
    x.get_mut(i * length..)?.get_mut(..length)
}

/// `x[i] = bytes[i] scale + offset`.
#[inline(always)]
pub fn load_row<S: Simd>(simd: S, bytes: &[u8], scale: f32, offset: f32, x: &mut [f32]) {
    for (x, byte) in x.iter_mut().zip(bytes) {
        *x = simd.fma_f32(f32::from(*byte), scale, offset);
    }
}

/// One output row of four channels (or the last one to three): `y[b][c] = bias[b] + sum over i, u, v of w[b][i][u][v] x[i][u][c s + v]`.
///
/// `w` begins with the weights of the first of the `bias.len()` channels, `x` with the first window's first pixel. `y` has
/// room for four rows of `columns`; those past `bias.len()` may hold anything afterwards.
#[inline(always)]
pub fn conv_row<S: Simd>(
    simd: S,
    windows: Windows,
    stride: usize,
    x: &[f32],
    w: &[f32],
    bias: &[f32],
    columns: usize,
    y: &mut [f32],
) -> Option<()> {
    let (terms, kernel) = (windows.terms()?, windows.columns);
    for (b, bias) in bias.iter().enumerate() {
        let w = piece(w, b, terms)?;
        for (c, y) in piece_mut(y, b, columns)?.iter_mut().enumerate() {
            let mut sum = *bias;
            for i in 0..windows.inputs {
                for u in 0..windows.rows {
                    let x = x
                        .get(i * windows.plane + u * windows.row + c * stride..)?
                        .get(..kernel)?;
                    for (x, w) in x.iter().zip(piece(w, i * windows.rows + u, kernel)?) {
                        sum = simd.fma_f32(*x, *w, sum);
                    }
                }
            }
            *y = sum;
        }
    }
    Some(())
}

/// Adds to one output channel's weight gradient: `dw[i][u][v] += sum over the pixels of g x[i][place + u, v]`, pixel by pixel.
#[inline(always)]
pub fn conv_weight_gradient<S: Simd>(
    simd: S,
    windows: Windows,
    pixels: &[f32],
    x: &[f32],
    dw: &mut [f32],
) -> Option<()> {
    for pixel in pixels.as_chunks::<2>().0 {
        for i in 0..windows.inputs {
            for u in 0..windows.rows {
                let from = pixel[0].to_bits() as usize + i * windows.plane + u * windows.row;
                let x = x.get(from..from + windows.columns)?;
                let dw = piece_mut(dw, i * windows.rows + u, windows.columns)?;
                for (dw, x) in dw.iter_mut().zip(x) {
                    *dw = simd.fma_f32(pixel[1], *x, *dw);
                }
            }
        }
    }
    Some(())
}

/// Adds one output channel's part to the input gradient: `dx[i][place + u, v] += g w[i][u][v]`, pixel by pixel.
#[inline(always)]
pub fn conv_input_gradient<S: Simd>(
    simd: S,
    windows: Windows,
    pixels: &[f32],
    w: &[f32],
    dx: &mut [f32],
) -> Option<()> {
    for pixel in pixels.as_chunks::<2>().0 {
        for i in 0..windows.inputs {
            for u in 0..windows.rows {
                let from = pixel[0].to_bits() as usize + i * windows.plane + u * windows.row;
                let dx = dx.get_mut(from..from + windows.columns)?;
                let w = piece(w, i * windows.rows + u, windows.columns)?;
                for (dx, w) in dx.iter_mut().zip(w) {
                    *dx = simd.fma_f32(pixel[1], *w, *dx);
                }
            }
        }
    }
    Some(())
}

/// `y[o] = bias[o] + sum over i of w[o][i] x[i]`.
#[inline(always)]
pub fn linear_rows<S: Simd>(simd: S, w: &[f32], bias: &[f32], x: &[f32], y: &mut [f32]) {
    for (o, (y, bias)) in y.iter_mut().zip(bias).enumerate() {
        let Some(w) = piece(w, o, x.len()) else {
            return;
        };
        let mut sum = *bias;
        for (x, w) in x.iter().zip(w) {
            sum = simd.fma_f32(*x, *w, sum);
        }
        *y = sum;
    }
}

/// `y[i] += a x[i]`.
#[inline(always)]
pub fn add_scaled<S: Simd>(simd: S, a: f32, x: &[f32], y: &mut [f32]) {
    for (x, y) in x.iter().zip(y) {
        *y = simd.fma_f32(a, *x, *y);
    }
}

/// One output row of max-pooling with windows of 2 x 2 side by side, then relu; and the codes of the winners, four bits each,
/// from code number `first` on: 0 where the activation is off, else 1 more than the winner's number. They were 0 before.
///
/// Of positive numbers the largest is the one with the largest bit pattern, so this is integer arithmetic, also where there is
/// no floating-point unit. False when there may have been a NaN, which that does not see, or a
/// slice is too short; then the results hold anything.
#[inline(always)]
pub fn pool_positive(
    upper: &[f32],
    lower: &[f32],
    y: &mut [f32],
    codes: &mut [f32],
    first: usize,
) -> bool {
    // The largest magnitude, doubled: the sign drops out.
    let mut magnitude = 0;
    let windows = upper
        .as_chunks::<2>()
        .0
        .iter()
        .zip(lower.as_chunks::<2>().0);
    for (c, (y, (upper, lower))) in y.iter_mut().zip(windows).enumerate() {
        let (mut best, mut code) = (0, 0);
        for (k, v) in [upper[0], upper[1], lower[0], lower[1]]
            .into_iter()
            .enumerate()
        {
            let bits = v.to_bits();
            if bits as i32 > best {
                (best, code) = (bits as i32, k as u32 + 1);
            }
            if bits << 1 > magnitude {
                magnitude = bits << 1;
            }
        }
        *y = f32::from_bits(best as u32);
        let bit = (first + c) * 4;
        if let Some(word) = codes.get_mut(bit / 32) {
            *word = f32::from_bits(word.to_bits() | code << (bit % 32));
        }
    }
    magnitude <= f32::INFINITY.to_bits() << 1
}
