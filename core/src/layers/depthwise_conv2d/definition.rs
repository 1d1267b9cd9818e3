//! The kernels of a depthwise convolution of one sample in plain Rust: the definitions, and what
//! runs where there is no faster way. As in [`conv2d`](crate::layers::conv2d::definition), [`Simd`]
//! has a hook for each.

use crate::arch::Simd;
use crate::arch::single::{Rows, Windows, piece, piece_from, piece_mut};
use crate::layers::conv2d::definition::conv_rows;

/// One channel of a depthwise convolution: `y[r][c] = bias + sum over u, v of w[u][v] x[r step + u
/// row + c stride + v]`.
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
    conv_rows(simd, windows, stride, rows, x, w, &[bias], 0, y)
}

/// Adds to one channel's weight gradient: `dw[u][v] += sum over r, c of dy[r][c] x[r step + u row +
/// c stride + v]`, in that order; `pitch` is that of `dy`.
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

/// Adds one channel's part to the input gradient: `dx[r step + u row + c stride + v] += w[u][v]
/// dy[r][c]`, output by output; `pitch` is that of `dy`.
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
