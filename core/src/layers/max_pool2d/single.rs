//! Max-pool, then relu, of one sample.
//!
//! Beside the value of a window its *code* is kept, of a few bits: which pixel has won, or that no
//! gradient goes through. So the gradient may take the place of the values.

use crate::arch::Simd;
use crate::layers::memory::{Forward, SingleBackward};
use crate::map::Frame;

/// Bits of the code that says which pixel of a window won, or that no gradient goes through: 0
/// where there is no choice.
pub(crate) const fn code_width(frame: &Frame) -> usize {
    match frame.window().len() + frame.relu as usize {
        ..=1 => 0,
        2 => 1,
        3..=4 => 2,
        5..=16 => 4,
        17..=256 => 8,
        _ => 16,
    }
}

/// Words of 32 bits for the codes of the stage's output.
pub(crate) const fn codes_len(frame: &Frame) -> usize {
    (frame.output.live_len() * code_width(frame)).div_ceil(32)
}

/// The same for one row of it: where no backward pass comes, nothing reads the codes, and each row
/// overwrites the last.
pub(crate) const fn row_codes_len(frame: &Frame) -> usize {
    (frame.output.live_columns * code_width(frame)).div_ceil(32)
}

/// Stores a code of `width` bits, a power of two; there was 0.
#[inline(always)]
pub(crate) fn write_code(codes: &mut [f32], width: usize, index: usize, code: usize) {
    let bit = index * width;
    if let Some(word) = codes.get_mut(bit / 32) {
        *word = f32::from_bits(word.to_bits() | (code as u32) << (bit % 32));
    }
}

/// Sets a code to 0 again.
fn clear_code(codes: &mut [f32], width: usize, index: usize) {
    let bit = index * width;
    if let Some(word) = codes.get_mut(bit / 32) {
        *word = f32::from_bits(word.to_bits() & !(((1 << width) - 1) << (bit % 32)));
    }
}

/// Reads a code again.
#[inline(always)]
pub(crate) fn read_code(codes: &[f32], width: usize, index: usize) -> usize {
    let bit = index * width;
    match codes.get(bit / 32) {
        Some(word) => (word.to_bits() >> (bit % 32)) as usize & ((1 << width) - 1),
        None => 0,
    }
}

/// The number of the first code of row `r` of a channel.
#[inline(always)]
pub(crate) fn first_code(frame: &Frame, keep_codes: bool, channel: usize, r: usize) -> usize {
    if keep_codes {
        (channel * frame.output.live_rows + r) * frame.output.live_columns
    } else {
        0
    }
}

/// A pool, a relu or both that stand alone.
#[inline(always)]
pub(crate) fn forward<S: Simd>(simd: S, frame: &Frame, memory: Forward<'_>) -> Option<()> {
    let Forward {
        x,
        y,
        codes,
        keep_codes,
        ..
    } = memory;
    let (input, step) = (frame.input, frame.window().stride[0]);
    for channel in 0..frame.output.channels {
        for r in 0..frame.output.live_rows {
            let rows = x.get(input.at(channel, r * step, 0)..)?;
            let first = first_code(frame, keep_codes, channel, r);
            finish_row(
                simd,
                frame,
                rows,
                input.columns,
                channel,
                r,
                y,
                codes,
                first,
            )?;
        }
    }
    Some(())
}

/// Pools and activates row `r` of a channel's output: `rows` begins with the first window's first
/// pixel and goes on after `pitch` floats with the next row of the windows. Its codes begin with
/// number `first`.
#[inline(always)]
pub(crate) fn finish_row<S: Simd>(
    simd: S,
    frame: &Frame,
    rows: &[f32],
    pitch: usize,
    channel: usize,
    r: usize,
    y: &mut [f32],
    codes: &mut [f32],
    first: usize,
) -> Option<()> {
    let map = frame.output;
    let pool = frame.window();
    let [height, width] = pool.size;
    let step = pool.stride[1];
    let y = y
        .get_mut(map.at(channel, r, 0)..)?
        .get_mut(..map.live_columns)?;
    if height == 2 && width == 2 && step == 2 && frame.relu {
        let lower = rows.get(pitch..)?;
        if simd.pool_positive(rows, lower, y, codes, first) {
            return Some(());
        }
        // A NaN: once more, and let it win.
        for c in 0..y.len() {
            clear_code(codes, code_width(frame), first + c);
        }
    }
    let bits = code_width(frame);
    let mut finish = |c: usize, y: &mut f32, best: f32, winner: usize| {
        *y = if frame.relu && best < 0.0 { 0.0 } else { best };
        if !frame.relu {
            write_code(codes, bits, first + c, winner);
        } else if *y > 0.0 {
            write_code(codes, bits, first + c, winner + 1);
        }
    };
    if height == 1 && width == 1 {
        let pixels = rows.iter().step_by(step.max(1));
        for (c, (y, value)) in y.iter_mut().zip(pixels).enumerate() {
            finish(c, y, *value, 0);
        }
    } else {
        for (c, y) in y.iter_mut().enumerate() {
            let (mut best, mut winner) = (*rows.get(c * step)?, 0);
            for u in 0..height {
                let row = rows.get(u * pitch + c * step..)?.get(..width)?;
                for (v, value) in row.iter().enumerate() {
                    if u + v > 0 && (*value > best || value.is_nan()) {
                        (best, winner) = (*value, u * width + v);
                    }
                }
            }
            finish(c, y, best, winner);
        }
    }
    Some(())
}

/// The column, in row `u` of its window, of the pixel that output `place` has its value from;
/// `None` if that is in another row or the relu is off.
#[inline(always)]
pub(crate) fn winner(frame: &Frame, codes: &[f32], u: usize, place: usize) -> Option<usize> {
    let bits = code_width(frame);
    let code = if bits > 0 {
        read_code(codes, bits, place)
    } else {
        0
    };
    let width = frame.window().size[1];
    let column = code.wrapping_sub(usize::from(frame.relu) + u * width);
    (column < width).then_some(column)
}

/// The input gradient of a pool, a relu or both that stand alone.
#[inline(always)]
pub(crate) fn backward(frame: &Frame, memory: SingleBackward<'_>) -> Option<()> {
    let SingleBackward { x, codes, dy, .. } = memory;
    x.fill(0.0);
    let (map, input, pool) = (frame.output, frame.input, frame.window());
    for channel in 0..map.channels {
        for r in 0..map.live_rows {
            for c in 0..map.live_columns {
                let place = (channel * map.live_rows + r) * map.live_columns + c;
                let g = *dy.get(map.at(channel, r, c))?;
                for u in 0..pool.size[0] {
                    if let Some(v) = winner(frame, codes, u, place) {
                        let (row, column) = (r * pool.stride[0] + u, c * pool.stride[1] + v);
                        *x.get_mut(input.at(channel, row, column))? += g;
                    }
                }
            }
        }
    }
    Some(())
}
