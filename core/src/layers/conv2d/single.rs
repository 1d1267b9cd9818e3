//! Convolution of one sample.
//!
//! In the backward pass only pixels of the output whose gradient is not zero take part: behind a
//! max-pool and a relu those are few. They come as lists, two floats each: the place of the
//! pixel's window in a plane of the input, as a bit pattern, and the gradient. (Behind a relu alone
//! half of the pixels are left, and a kernel of 1 x 1 does least with each: assembly for it takes
//! all.)

use super::Conv2d;
use super::definition;
use crate::arch::Simd;
use crate::arch::single::{Rows, Windows, Winners, done_or, piece, piece_from, piece_mut};
use crate::layers::max_pool2d::single::{
    Target, code_width, may_have_nan, relu_gradient, relu_in_place, winner,
};
use crate::layers::memory::{Forward, SingleBackward};
use crate::map::Frame;
use crate::shape::Window;
use core::ops::Range;

/// Output channels that the forward pass works on together.
const GROUP: usize = 4;

/// Floats of scratch, for either pass.
pub(crate) const fn scratch_len(frame: &Frame) -> (usize, usize) {
    let length = GROUP * frame.window().size[0] * frame.columns;
    if frame.pool.is_some() {
        (length, length)
    } else {
        (0, length)
    }
}

/// The windows of the convolution over the stage's input.
fn windows(layer: &Conv2d, frame: &Frame) -> Windows {
    Windows {
        inputs: frame.input.channels,
        rows: layer.kernel[0],
        columns: layer.kernel[1],
        plane: frame.input.plane(),
        row: frame.input.columns,
    }
}

/// The forward pass with the relu and the max-pool that follow, four channels at a time: all rows
/// of the output at once, or, before a pool, the rows of its windows.
#[inline(always)]
pub(crate) fn forward<S: Simd>(
    layer: &Conv2d,
    simd: S,
    frame: &Frame,
    memory: Forward<'_>,
) -> Option<()> {
    let Forward {
        w,
        bias,
        x,
        y,
        codes,
        keep_codes,
        scratch,
        ..
    } = memory;
    let (windows, stride) = (windows(layer, frame), layer.stride[1]);
    let terms = windows.terms()?;
    let (map, pool, columns) = (frame.output, frame.window(), frame.columns);
    // Without a pool all rows go straight into the map.
    let direct = frame.pool.is_none();
    let step = layer.stride[0] * windows.row;
    let rows = Rows {
        count: if direct { frame.rows } else { pool.size[0] },
        columns,
        step,
        pitch: if direct { map.columns } else { columns },
    };
    let (plane, times) = match direct {
        true => (map.plane(), 1),
        false => (rows.count * columns, map.live_rows),
    };
    for (group, bias) in bias.chunks(GROUP).enumerate() {
        let w = w.get(GROUP * group * terms..)?;
        let channel = GROUP * group;
        for r in 0..times {
            let x = x.get(r * pool.stride[0] * step..)?;
            let values = match direct {
                true => y.get_mut(map.at(channel, 0, 0)..)?,
                false => scratch.get_mut(..bias.len() * plane)?,
            };
            let done = simd.conv_rows(windows, stride, rows, x, w, bias, plane, values);
            done_or(done, || {
                definition::conv_rows(simd, windows, stride, rows, x, w, bias, plane, values)
            })?;
            if direct {
                continue;
            }
            let mut target = Target {
                frame,
                keep_codes,
                nan: may_have_nan(simd, values),
                y,
                codes,
            };
            for b in 0..bias.len() {
                let values = scratch.get(b * plane..)?;
                target.finish_row(simd, values, columns, channel + b, r)?;
            }
        }
        if direct && frame.relu {
            let channels = channel..channel + bias.len();
            relu_in_place(simd, &map, channels, y, codes, keep_codes)?;
        }
    }
    Some(())
}

/// The backward pass, one output channel at a time, or all at once where the convolution is but a
/// product of matrices.
#[inline(always)]
pub(crate) fn backward<S: Simd>(
    layer: &Conv2d,
    simd: S,
    frame: &Frame,
    memory: SingleBackward<'_>,
) -> Option<()> {
    let SingleBackward {
        w,
        dw,
        db,
        x,
        codes,
        dy,
        input_gradient,
        scratch,
        ..
    } = memory;
    let windows = windows(layer, frame);
    let terms = windows.terms()?;
    let map = frame.output;
    let pointwise = layer.kernel == [1; 2] && layer.stride == [1; 2];
    let dense = pointwise && frame.window() == Window::PIXEL;
    if dense && frame.relu {
        relu_gradient(simd, (&map, &map), None, dy, codes)?;
    }
    let pixels = Pixels {
        frame,
        stride: layer.stride,
        dy,
        codes,
    };
    let rows = Rows {
        count: frame.rows,
        columns: frame.columns,
        step: windows.row,
        pitch: map.columns,
    };
    let plane = map.plane();
    let values = dy.get(map.at(0, 0, 0)..)?;
    let done = match dense {
        true => simd.pointwise_weight_gradient(windows, rows, plane, x, values, dw),
        false => None,
    };
    if done == Some(true) {
        for (o, db) in db.iter_mut().enumerate() {
            for r in 0..rows.count {
                let row = piece_from(values, o * plane + r * rows.pitch, rows.columns)?;
                *db = simd.add_up(*db, row);
            }
        }
    } else {
        for (o, db) in db.iter_mut().enumerate() {
            let dw = piece_mut(dw, o, terms)?;
            pixels.visit(simd, o, scratch, |pixels| {
                for pixel in pixels.as_chunks::<2>().0 {
                    *db += pixel[1];
                }
                done_or(simd.conv_weight_gradient(windows, pixels, x, dw), || {
                    definition::conv_weight_gradient(simd, windows, pixels, x, dw)
                })
            })?;
        }
    }
    if !input_gradient {
        return Some(());
    }
    let done = match dense {
        true => simd.pointwise_input_gradient(windows, rows, plane, w, values, x),
        false => None,
    };
    if done != Some(true) {
        x.fill(0.0);
        for o in 0..map.channels {
            let w = piece(w, o, terms)?;
            pixels.visit(simd, o, scratch, |pixels| {
                done_or(simd.conv_input_gradient(windows, pixels, w, x), || {
                    definition::conv_input_gradient(simd, windows, pixels, w, x)
                })
            })?;
        }
    }
    Some(())
}

/// The pixels of a convolution's own output that have a gradient.
struct Pixels<'a> {
    frame: &'a Frame,
    stride: [usize; 2],
    dy: &'a [f32],
    codes: &'a [f32],
}

impl Pixels<'_> {
    /// Calls `work` with lists of the pixels of a channel, row-major: of as many rows in a list as
    /// fit into `scratch`.
    #[inline(always)]
    fn visit<S: Simd>(
        &self,
        simd: S,
        channel: usize,
        scratch: &mut [f32],
        mut work: impl FnMut(&[f32]) -> Option<()>,
    ) -> Option<()> {
        let pool = self.frame.window();
        // Windows that overlap: a pixel has the gradients of all that it won, added first.
        let overlap = pool.stride[0] < pool.size[0] || pool.stride[1] < pool.size[1];
        // Rows of the convolution's own output, or of the pool's.
        let rows = match overlap {
            true => 0..self.frame.rows,
            false => 0..self.frame.output.live_rows,
        };
        let mut rest = rows;
        while rest.start < rest.end {
            let list = self.list(simd, channel, overlap, &mut rest, scratch)?;
            if !list.is_empty() {
                work(list)?;
            }
        }
        Some(())
    }

    /// The list of the first of some rows, at least one, that are taken off `rest`.
    #[inline(never)]
    fn list<'s, S: Simd>(
        &self,
        simd: S,
        channel: usize,
        overlap: bool,
        rest: &mut Range<usize>,
        scratch: &'s mut [f32],
    ) -> Option<&'s [f32]> {
        let Pixels {
            frame,
            stride,
            dy,
            codes,
        } = *self;
        let (map, pool, width) = (frame.output, frame.window(), code_width(frame));
        let (line, list) = scratch.split_at_mut_checked(if overlap { frame.columns } else { 0 })?;
        let list = list.as_chunks_mut::<2>().0;
        // Pixels of a row, at most.
        let most = match overlap {
            true => frame.columns,
            false => pool.size[0] * map.live_columns,
        };
        let place = stride[0] * frame.input.columns;
        let mut count = 0;
        loop {
            let row = rest.next()?;
            if overlap {
                self.add_up(channel, row, line)?;
                for (column, g) in line.iter().enumerate() {
                    if *g != 0.0 {
                        let place = row * place + column * stride[1];
                        *list.get_mut(count)? = [f32::from_bits(place as u32), *g];
                        count += 1;
                    }
                }
            } else {
                let dy = dy.get(map.at(channel, row, 0)..)?.get(..map.live_columns)?;
                let winners = Winners {
                    width,
                    first: (channel * map.live_rows + row) * map.live_columns,
                    base: usize::from(frame.relu),
                    rows: pool.size[0],
                    columns: pool.size[1],
                    place: row * pool.stride[0] * place,
                    row: place,
                    step: pool.stride[1] * stride[1],
                    pixel: stride[1],
                };
                let free = list.get_mut(count..)?;
                count += match simd.pixels(winners, dy, codes, free) {
                    Some(count) => count,
                    None => definition::pixels(winners, dy, codes, free)?,
                };
            }
            if rest.start == rest.end || list.len() - count < most {
                return Some(list.get(..count)?.as_flattened());
            }
        }
    }

    /// The gradients of a row of a channel of the convolution's own output, of all windows that it
    /// is in.
    fn add_up(&self, channel: usize, row: usize, line: &mut [f32]) -> Option<()> {
        let (map, pool) = (self.frame.output, self.frame.window());
        line.fill(0.0);
        for r in 0..map.live_rows {
            let Some(k) = row.checked_sub(r * pool.stride[0]) else {
                continue;
            };
            if k >= pool.size[0] {
                continue;
            }
            for c in 0..map.live_columns {
                let place = (channel * map.live_rows + r) * map.live_columns + c;
                if let Some(v) = winner(self.frame, self.codes, k, place) {
                    let column = c * pool.stride[1] + v;
                    *line.get_mut(column)? += self.dy.get(map.at(channel, r, c))?;
                }
            }
        }
        Some(())
    }
}
