//! Convolution of one sample.
//!
//! In the backward pass only pixels of the output whose gradient is not zero take part: behind a
//! max-pool and a relu those are few. They come as lists, two floats each: the place of the
//! pixel's window in a plane of the input, as a bit pattern, and the gradient.

use super::Conv2d;
use crate::arch::Simd;
use crate::arch::single::{Windows, piece, piece_mut};
use crate::layers::max_pool2d::single::{finish_row, first_code, winner};
use crate::layers::memory::{Forward, SingleBackward};
use crate::map::Frame;

/// Output channels that the forward pass works on together.
const GROUP: usize = 4;

/// Floats of scratch, for either pass.
pub(crate) const fn scratch_len(frame: &Frame) -> (usize, usize) {
    let length = GROUP * frame.window().size[0] * frame.columns;
    (length, length)
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

/// The forward pass with the relu and the max-pool that follow, one row of the output of four
/// channels at a time.
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
    let windows = windows(layer, frame);
    let pool = frame.window();
    let columns = frame.columns;
    let row = GROUP * columns;
    let rows = scratch.get_mut(..pool.size[0] * row)?;
    let terms = windows.terms()?;
    for (group, bias) in bias.chunks(GROUP).enumerate() {
        let w = w.get(GROUP * group * terms..)?;
        for r in 0..frame.output.live_rows {
            for k in 0..pool.size[0] {
                let rows = piece_mut(rows, k, row)?;
                let x = x.get((r * pool.stride[0] + k) * layer.stride[0] * windows.row..)?;
                simd.conv_row(windows, layer.stride[1], x, w, bias, columns, rows)?;
            }
            for b in 0..bias.len() {
                let rows = rows.get(b * columns..)?;
                let channel = GROUP * group + b;
                let first = first_code(frame, keep_codes, channel, r);
                finish_row(simd, frame, rows, row, channel, r, y, codes, first)?;
            }
        }
    }
    Some(())
}

/// The backward pass, one output channel at a time.
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
    let pixels = Pixels {
        frame,
        stride: layer.stride,
        dy,
        codes,
    };
    for (o, db) in db.iter_mut().enumerate() {
        let dw = piece_mut(dw, o, terms)?;
        pixels.visit(o, scratch, |pixels| {
            for pixel in pixels.as_chunks::<2>().0 {
                *db += pixel[1];
            }
            simd.conv_weight_gradient(windows, pixels, x, dw)
        })?;
    }
    if input_gradient {
        x.fill(0.0);
        for o in 0..frame.output.channels {
            let w = piece(w, o, terms)?;
            pixels.visit(o, scratch, |pixels| {
                simd.conv_input_gradient(windows, pixels, w, x)
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
    /// Calls `work` with lists of the pixels of a channel, row-major: as many in a list as fit into
    /// `scratch`.
    #[inline(always)]
    fn visit(
        &self,
        channel: usize,
        scratch: &mut [f32],
        mut work: impl FnMut(&[f32]) -> Option<()>,
    ) -> Option<()> {
        let Pixels {
            frame,
            stride,
            dy,
            codes,
        } = *self;
        let map = frame.output;
        let pool = frame.window();
        // Windows that overlap: a pixel has the gradients of all that it won, added first.
        let overlap = pool.stride[0] < pool.size[0] || pool.stride[1] < pool.size[1];
        let (line, list) = scratch.split_at_mut_checked(if overlap { frame.columns } else { 0 })?;
        let list = list.as_chunks_mut::<2>().0;
        let mut count = 0;
        let mut push = |list: &mut [[f32; 2]], row: usize, column: usize, g: f32| -> Option<()> {
            let place = row * stride[0] * frame.input.columns + column * stride[1];
            if count == list.len() {
                work(list.as_flattened())?;
                count = 0;
            }
            *list.get_mut(count)? = [f32::from_bits(place as u32), g];
            count += 1;
            Some(())
        };
        if overlap {
            for row in 0..frame.rows {
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
                        if let Some(v) = winner(frame, codes, k, place) {
                            let column = c * pool.stride[1] + v;
                            *line.get_mut(column)? += dy.get(map.at(channel, r, c))?;
                        }
                    }
                }
                for (column, g) in line.iter().enumerate() {
                    if *g != 0.0 {
                        push(list, row, column, *g)?;
                    }
                }
            }
        } else {
            for r in 0..map.live_rows {
                let dy = dy.get(map.at(channel, r, 0)..)?.get(..map.live_columns)?;
                let first = (channel * map.live_rows + r) * map.live_columns;
                for k in 0..pool.size[0] {
                    for (c, g) in dy.iter().enumerate() {
                        if let Some(v) = winner(frame, codes, k, first + c)
                            && *g != 0.0
                        {
                            let (row, column) = (r * pool.stride[0] + k, c * pool.stride[1] + v);
                            push(list, row, column, *g)?;
                        }
                    }
                }
            }
        }
        if count > 0 {
            work(list.get(..count)?.as_flattened())?;
        }
        Some(())
    }
}
