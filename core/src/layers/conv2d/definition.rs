//! The kernels of a convolution of one sample in plain Rust: the definitions, and what runs where
//! there is no faster way.
//!
//! [`Simd`] has a hook of the same name for each, which may do it in assembly, and is tested
//! against the definition here bit for bit. None panics: `None` means that a slice is too short,
//! and then the targets hold anything.

use crate::arch::Simd;
use crate::arch::single::{Rows, Windows, Winners, piece, piece_from, piece_mut};
use crate::layers::max_pool2d::definition::read_code;

/// Some output rows of four channels (or the last one to three): `y[b][r][c] = bias[b] + sum over
/// i, u, v of w[b][i][u][v] x[i][r step + u][c s + v]`.
///
/// `w` begins with the weights of the first of the `bias.len()` channels, `x` with the first
/// window's first pixel, `y` with the first value; its channels are `plane` floats apart.
#[inline(always)]
pub fn conv_rows<S: Simd>(
    simd: S,
    windows: Windows,
    stride: usize,
    rows: Rows,
    x: &[f32],
    w: &[f32],
    bias: &[f32],
    plane: usize,
    y: &mut [f32],
) -> Option<()> {
    let terms = windows.terms()?;
    for (b, bias) in bias.iter().enumerate() {
        let w = piece(w, b, terms)?;
        for r in 0..rows.count {
            let x = x.get(r * rows.step..)?;
            let y = y.get_mut(b * plane + r * rows.pitch..)?;
            for (c, y) in y.get_mut(..rows.columns)?.iter_mut().enumerate() {
                let mut sum = *bias;
                for i in 0..windows.inputs {
                    for u in 0..windows.rows {
                        let from = i * windows.plane + u * windows.row + c * stride;
                        let x = piece_from(x, from, windows.columns)?;
                        let w = piece(w, i * windows.rows + u, windows.columns)?;
                        for (x, w) in x.iter().zip(w) {
                            sum = simd.fma_f32(*x, *w, sum);
                        }
                    }
                }
                *y = sum;
            }
        }
    }
    Some(())
}

/// Adds to one output channel's weight gradient: `dw[i][u][v] += sum over the pixels of g
/// x[i][place + u, v]`, pixel by pixel.
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

/// Adds one output channel's part to the input gradient: `dx[i][place + u, v] += g w[i][u][v]`,
/// pixel by pixel.
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

/// Writes the pixels of a row of windows that have a gradient into `list`: place, as a bit pattern,
/// and gradient, row by row of the windows and from left to right. Returns how many; `None` if
/// there was no room for one.
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
