//! Transposing.

use crate::arch::Simd;

/// Side of the squares that are transposed in registers.
const SIDE: usize = 8;

/// Transposes `source`, with rows of `columns` floats: its element (r, c) goes to
/// `target[c target_row + r]`.
#[inline(always)]
pub(crate) fn turn<S: Simd>(
    simd: S,
    source: &[f32],
    columns: usize,
    target: &mut [f32],
    target_row: usize,
) {
    let rows = source.len() / columns;
    for r in (0..rows).step_by(SIDE) {
        for c in (0..columns).step_by(SIDE) {
            let source = &source[r * columns + c..];
            let target = &mut target[c * target_row + r..];
            if r + SIDE <= rows && c + SIDE <= columns {
                simd.turn(source, columns, target, target_row);
                continue;
            }
            for r in 0..SIDE.min(rows - r) {
                for c in 0..SIDE.min(columns - c) {
                    target[c * target_row + r] = source[r * columns + c];
                }
            }
        }
    }
}
