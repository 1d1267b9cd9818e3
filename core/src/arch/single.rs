//! The kernels of one sample at a time, in plain Rust: the definitions, and what runs where there is no faster way.
//!
//! [`Simd`] has a method of the same name for each, which may do it in assembly, and is tested against the definition here bit
//! for bit. None panics: `None` means that a slice is too short, and then the targets hold anything.
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

/// Where the windows of some output rows begin, and where their results go. Lengths are in floats.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    /// Output rows.
    pub count: usize,
    /// Pixels of an output row.
    pub columns: usize,
    /// From the windows of a row to those of the next, in the map.
    pub step: usize,
    /// From an output row to the next.
    pub pitch: usize,
}

/// Where the gradients of a row of windows, side by side, go: to the pixels of the windows that won. A code says which pixel of
/// its window did, or that none gets the gradient.
#[derive(Debug, Clone, Copy)]
pub struct Winners {
    /// Bits of a code: 0 (there is no code, and the one pixel always wins), 1, 2, 4, 8 or 16.
    pub width: usize,
    /// Number of the first window's code.
    pub first: usize,
    /// The code of a window's first pixel; the next pixels, row by row, have the next codes.
    pub base: usize,
    /// Rows of a window.
    pub rows: usize,
    /// Columns of a window.
    pub columns: usize,
    /// Place of the first window's first pixel.
    pub place: usize,
    /// From a row of a window to the next.
    pub row: usize,
    /// From a window to the next.
    pub step: usize,
    /// From a pixel to the next.
    pub pixel: usize,
}

/// Stores a code of `width` bits, a power of two; there was 0.
#[inline(always)]
pub fn write_code(codes: &mut [f32], width: usize, index: usize, code: usize) {
    let bit = index * width;
    if let Some(word) = codes.get_mut(bit / 32) {
        *word = f32::from_bits(word.to_bits() | (code as u32) << (bit % 32));
    }
}

/// Reads it again.
#[inline(always)]
pub fn read_code(codes: &[f32], width: usize, index: usize) -> usize {
    if width == 0 {
        return 0;
    }
    let bit = index * width;
    match codes.get(bit / 32) {
        Some(word) => (word.to_bits() >> (bit % 32)) as usize & ((1 << width) - 1),
        None => 0,
    }
}

/// The `i`-th of pieces of `length` floats. (`chunks_exact` panics for a length of zero.)
#[inline(always)]
pub fn piece(x: &[f32], i: usize, length: usize) -> Option<&[f32]> {
    x.get(i * length..)?.get(..length)
}

/// `length` floats from `from` on.
#[inline(always)]
pub fn piece_from(x: &[f32], from: usize, length: usize) -> Option<&[f32]> {
    x.get(from..)?.get(..length)
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
    let terms = windows.terms()?;
    for (b, bias) in bias.iter().enumerate() {
        let w = piece(w, b, terms)?;
        for (c, y) in piece_mut(y, b, columns)?.iter_mut().enumerate() {
            let mut sum = *bias;
            for i in 0..windows.inputs {
                for u in 0..windows.rows {
                    let x = x
                        .get(i * windows.plane + u * windows.row + c * stride..)?
                        .get(..windows.columns)?;
                    for (x, w) in x
                        .iter()
                        .zip(piece(w, i * windows.rows + u, windows.columns)?)
                    {
                        sum = simd.fma_f32(*x, *w, sum);
                    }
                }
            }
            *y = sum;
        }
    }
    Some(())
}

/// One channel of a depthwise convolution: `y[r][c] = bias + sum over u, v of w[u][v] x[r step + u row + c stride + v]`.
#[inline(always)]
pub fn depthwise<S: Simd>(
    simd: S,
    windows: Windows,
    stride: usize,
    rows: Rows,
    x: &[f32],
    w: &[f32],
    bias: f32,
    y: &mut [f32],
) -> Option<()> {
    for r in 0..rows.count {
        let y = y.get_mut(r * rows.pitch..)?.get_mut(..rows.columns)?;
        let x = x.get(r * rows.step..)?;
        conv_row(simd, windows, stride, x, w, &[bias], rows.columns, y)?;
    }
    Some(())
}

/// Adds to one channel's weight gradient: `dw[u][v] += sum over r, c of dy[r][c] x[r step + u row + c stride + v]`, in that
/// order; `pitch` is that of `dy`.
#[inline(always)]
pub fn depthwise_weight_gradient<S: Simd>(
    simd: S,
    windows: Windows,
    stride: usize,
    rows: Rows,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
) -> Option<()> {
    for r in 0..rows.count {
        let dy = piece_from(dy, r * rows.pitch, rows.columns)?;
        for u in 0..windows.rows {
            let dw = piece_mut(dw, u, windows.columns)?;
            for (c, dy) in dy.iter().enumerate() {
                let from = r * rows.step + u * windows.row + c * stride;
                for (dw, x) in dw.iter_mut().zip(piece_from(x, from, windows.columns)?) {
                    *dw = simd.fma_f32(*dy, *x, *dw);
                }
            }
        }
    }
    Some(())
}

/// Adds one channel's part to the input gradient: `dx[r step + u row + c stride + v] += w[u][v] dy[r][c]`, output by output;
/// `pitch` is that of `dy`.
#[inline(always)]
pub fn depthwise_input_gradient<S: Simd>(
    simd: S,
    windows: Windows,
    stride: usize,
    rows: Rows,
    w: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> Option<()> {
    for r in 0..rows.count {
        let dy = piece_from(dy, r * rows.pitch, rows.columns)?;
        for (c, dy) in dy.iter().enumerate() {
            for u in 0..windows.rows {
                let from = r * rows.step + u * windows.row + c * stride;
                let dx = dx.get_mut(from..)?.get_mut(..windows.columns)?;
                for (dx, w) in dx.iter_mut().zip(piece(w, u, windows.columns)?) {
                    *dx = simd.fma_f32(*w, *dy, *dx);
                }
            }
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

/// The same for windows of 1 x 2, with codes of two bits.
#[inline(always)]
pub fn pool_pairs_positive(x: &[f32], y: &mut [f32], codes: &mut [f32], first: usize) -> bool {
    let mut magnitude = 0;
    for (c, (y, pair)) in y.iter_mut().zip(x.as_chunks::<2>().0).enumerate() {
        let (mut best, mut code) = (0, 0);
        for (k, v) in pair.iter().enumerate() {
            let bits = v.to_bits();
            if bits as i32 > best {
                (best, code) = (bits as i32, k + 1);
            }
            magnitude = magnitude.max(bits << 1);
        }
        *y = f32::from_bits(best as u32);
        write_code(codes, 2, first + c, code);
    }
    magnitude <= f32::INFINITY.to_bits() << 1
}

/// `y[c] = 0` where `x[c] < 0`, else `x[c]`; and the codes, of one bit, from number `first` on: 1 where `y[c] > 0`. They were 0
/// before. Integer arithmetic. False when there may have been a NaN, or a slice is too short; then the results hold anything.
#[inline(always)]
pub fn relu_row(x: &[f32], y: &mut [f32], codes: &mut [f32], first: usize) -> bool {
    const NEGATIVE_ZERO: u32 = 1 << 31;
    let mut magnitude = 0;
    for (c, (y, x)) in y.iter_mut().zip(x).enumerate() {
        let bits = x.to_bits();
        magnitude = magnitude.max(bits << 1);
        *y = if bits > NEGATIVE_ZERO { 0.0 } else { *x };
        write_code(codes, 1, first + c, usize::from(bits as i32 > 0));
    }
    magnitude <= f32::INFINITY.to_bits() << 1
}

/// Writes the pixels of a row of windows that have a gradient into `list`: place, as a bit pattern, and gradient, row by row of
/// the windows and from left to right. Returns how many; `None` if there was no room for one.
#[inline(always)]
pub fn pixels(winners: Winners, dy: &[f32], codes: &[f32], list: &mut [[f32; 2]]) -> Option<usize> {
    let mut count = 0;
    for u in 0..winners.rows {
        let base = winners.base + u * winners.columns;
        for (c, g) in dy.iter().enumerate() {
            let code = read_code(codes, winners.width, winners.first + c);
            let v = code.wrapping_sub(base);
            if v < winners.columns && *g != 0.0 {
                let place = winners.place + u * winners.row + c * winners.step + v * winners.pixel;
                *list.get_mut(count)? = [f32::from_bits(place as u32), *g];
                count += 1;
            }
        }
    }
    Some(count)
}
