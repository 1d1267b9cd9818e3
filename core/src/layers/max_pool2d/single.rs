//! Max-pool, then relu, of one sample.
//!
//! Beside the value of a window its *code* is kept, of a few bits: which pixel has won, or that no
//! gradient goes through. So the gradient may take the place of the values.

use super::definition::{self, read_code, write_code};
use crate::arch::Simd;
use crate::arch::single::{done_or, piece, piece_from};
use crate::layers::memory::{Forward, SingleBackward};
use crate::map::{Frame, Map};
use crate::shape::Window;
use core::ops::Range;

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

/// The number of the first code of row `r` of a channel; `None` if nobody reads it.
#[inline(always)]
pub(crate) fn first_code(map: &Map, keep_codes: bool, channel: usize, r: usize) -> Option<usize> {
    keep_codes.then_some((channel * map.live_rows + r) * map.live_columns)
}

/// Whether there may be a NaN among the values.
#[inline(always)]
pub(crate) fn may_have_nan<S: Simd>(simd: S, x: &[f32]) -> bool {
    match simd.may_have_nan(x) {
        Some(nan) => nan,
        None => definition::may_have_nan(x),
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
    let frame = &frame.flat();
    let (input, step) = (frame.input, frame.window().stride[0]);
    let [rows, _] = frame.window().cover([frame.output.live_rows, 1]);
    let mut target = Target {
        frame,
        keep_codes,
        nan: false,
        y,
        codes,
    };
    for channel in 0..frame.output.channels {
        let x = x.get(input.at(channel, 0, 0)..)?;
        let read = x.get(..rows * input.columns).unwrap_or(x);
        target.nan = may_have_nan(simd, read);
        for r in 0..frame.output.live_rows {
            let rows = x.get(r * step * input.columns..)?;
            target.finish_row(simd, rows, input.columns, channel, r)?;
        }
    }
    Some(())
}

/// Where rows go to be pooled and activated.
pub(crate) struct Target<'a> {
    pub frame: &'a Frame,
    pub keep_codes: bool,
    /// Whether there may be a NaN.
    pub nan: bool,
    pub y: &'a mut [f32],
    pub codes: &'a mut [f32],
}

impl Target<'_> {
    /// Pools and activates row `r` of a channel's output: `rows` begins with the first window's
    /// first pixel and goes on after `pitch` floats with the next row of the windows.
    #[inline(never)]
    pub(crate) fn finish_row<S: Simd>(
        &mut self,
        simd: S,
        rows: &[f32],
        pitch: usize,
        channel: usize,
        r: usize,
    ) -> Option<()> {
        let Target {
            frame,
            keep_codes,
            nan,
            ..
        } = *self;
        let (map, relu, codes) = (&frame.output, frame.relu, &mut *self.codes);
        let pool = frame.window();
        let first = first_code(map, keep_codes, channel, r);
        let y = self.y.get_mut(map.at(channel, r, 0)..)?;
        let y = y.get_mut(..map.live_columns)?;
        // Rows of positive values in integer arithmetic: by assembly or as it is defined.
        match (pool.size, pool.stride[1]) {
            ([1, 1], 1) if relu => relu_row(simd, nan, Some(rows.get(..y.len())?), y, codes, first),
            ([2, 2], 2) if relu && !nan => {
                let upper = piece(rows, 0, 2 * y.len())?;
                let lower = piece_from(rows, pitch, 2 * y.len())?;
                done_or(simd.pool_positive(upper, lower, y, codes, first), || {
                    definition::pool_positive(upper, lower, y, codes, first);
                    Some(())
                })
            }
            ([1, 2], 2) if relu && !nan => {
                let pairs = piece(rows, 0, 2 * y.len())?;
                done_or(simd.pool_pairs_positive(pairs, y, codes, first), || {
                    definition::pool_pairs_positive(pairs, y, codes, first);
                    Some(())
                })
            }
            _ => any_row(frame, rows, pitch, y, codes, first),
        }
    }
}

/// Pools and activates a row with windows of any size, whatever the values.
#[inline(never)]
fn any_row(
    frame: &Frame,
    rows: &[f32],
    pitch: usize,
    y: &mut [f32],
    codes: &mut [f32],
    first: Option<usize>,
) -> Option<()> {
    let pool = frame.window();
    let [height, width] = pool.size;
    let step = pool.stride[1];
    let bits = code_width(frame);
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
        *y = if frame.relu && best < 0.0 { 0.0 } else { best };
        let code = match frame.relu {
            true if *y > 0.0 => winner + 1,
            true => 0,
            false => winner,
        };
        if let Some(first) = first {
            write_code(codes, bits, first + c, code);
        }
    }
    Some(())
}

/// Relu of some channels in place.
#[inline(always)]
pub(crate) fn relu_in_place<S: Simd>(
    simd: S,
    map: &Map,
    channels: Range<usize>,
    y: &mut [f32],
    codes: &mut [f32],
    keep_codes: bool,
) -> Option<()> {
    if !map.has_zeros() {
        // All rows are one.
        let first = first_code(map, keep_codes, channels.start, 0);
        let range = map.at(channels.start, 0, 0)..map.at(channels.end, 0, 0);
        let y = y.get_mut(range)?;
        let nan = may_have_nan(simd, y);
        return relu_row(simd, nan, None, y, codes, first);
    }
    for channel in channels {
        let y = y.get_mut(map.at(channel, 0, 0)..)?;
        let written = y.get(..map.live_rows * map.columns).unwrap_or(y);
        let nan = may_have_nan(simd, written);
        for r in 0..map.live_rows {
            let first = first_code(map, keep_codes, channel, r);
            let y = y.get_mut(r * map.columns..)?.get_mut(..map.live_columns)?;
            relu_row(simd, nan, None, y, codes, first)?;
        }
    }
    Some(())
}

/// Relu of a row, of `x` or in place. `nan` says whether there may be a NaN.
#[inline(always)]
fn relu_row<S: Simd>(
    simd: S,
    nan: bool,
    x: Option<&[f32]>,
    y: &mut [f32],
    codes: &mut [f32],
    first: Option<usize>,
) -> Option<()> {
    if !nan {
        return done_or(simd.relu_row(x, y, codes, first), || {
            definition::relu_row(x, y, codes, first);
            Some(())
        });
    }
    for (c, y) in y.iter_mut().enumerate() {
        let value = *x.and_then(|x| x.get(c)).unwrap_or(y);
        *y = if value < 0.0 { 0.0 } else { value };
        if let Some(first) = first {
            write_code(codes, 1, first + c, usize::from(*y > 0.0));
        }
    }
    Some(())
}

/// The gradient of a relu's input from that of its output, `dy` or in place; `from` and `to` say
/// where they lie.
#[inline(always)]
pub(crate) fn relu_gradient<S: Simd>(
    simd: S,
    (from, to): (&Map, &Map),
    dy: Option<&[f32]>,
    dx: &mut [f32],
    codes: &[f32],
) -> Option<()> {
    let (from, to) = if from.has_zeros() || to.has_zeros() {
        (*from, *to)
    } else {
        (from.flat(), to.flat())
    };
    for channel in 0..to.channels {
        for r in 0..to.live_rows {
            let first = (channel * to.live_rows + r) * to.live_columns;
            let dy = match dy {
                Some(dy) => Some(dy.get(from.at(channel, r, 0)..)?.get(..to.live_columns)?),
                None => None,
            };
            let dx = dx.get_mut(to.at(channel, r, 0)..)?;
            let dx = dx.get_mut(..to.live_columns)?;
            done_or(simd.relu_gradient(dy, dx, codes, first), || {
                definition::relu_gradient(dy, dx, codes, first);
                Some(())
            })?;
        }
    }
    Some(())
}

/// The column, in row `u` of its window, of the pixel that output `place` has its value from;
/// `None` if that is in another row or the relu is off.
#[inline(always)]
pub(crate) fn winner(frame: &Frame, codes: &[f32], u: usize, place: usize) -> Option<usize> {
    let bits = code_width(frame);
    let code = read_code(codes, bits, place);
    let width = frame.window().size[1];
    let column = code.wrapping_sub(usize::from(frame.relu) + u * width);
    (column < width).then_some(column)
}

/// The input gradient of a pool, a relu or both that stand alone.
#[inline(always)]
pub(crate) fn backward<S: Simd>(simd: S, frame: &Frame, memory: SingleBackward<'_>) -> Option<()> {
    let SingleBackward { x, codes, dy, .. } = memory;
    let frame = &frame.flat();
    let (map, input, pool) = (frame.output, frame.input, frame.window());
    if pool == Window::PIXEL && frame.relu {
        // No gradient meets another.
        return relu_gradient(simd, (&map, &input), Some(dy), x, codes);
    }
    x.fill(0.0);
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

/// The tangent of pool and relu, row `r` of all channels: of the windows whose rows begin in
/// `source`, `plane` floats from channel to channel and `pitch` from row to row, the pixels that
/// have won, 0 where the relu is off. Overwrites the row of `target` or adds to it.
#[inline(always)]
pub(crate) fn select_row(
    frame: &Frame,
    r: usize,
    (source, plane, pitch): (&[f32], usize, usize),
    codes: &[f32],
    target: &mut [f32],
    add: bool,
) -> Option<()> {
    let (map, pool) = (frame.output, frame.window());
    for channel in 0..map.channels {
        let source = source.get(channel * plane..)?;
        let target = target.get_mut(map.at(channel, r, 0)..)?;
        let first = (channel * map.live_rows + r) * map.live_columns;
        for (c, target) in target.iter_mut().enumerate().take(map.live_columns) {
            let mut chosen = 0.0;
            for u in 0..pool.size[0] {
                if let Some(v) = winner(frame, codes, u, first + c) {
                    chosen = *source.get(u * pitch + c * pool.stride[1] + v)?;
                }
            }
            *target = if add { *target + chosen } else { chosen };
        }
    }
    Some(())
}
