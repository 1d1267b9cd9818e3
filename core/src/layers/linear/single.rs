//! Fully connected layer of one sample, with the relu that follows. Outputs whose gradient is zero
//! are left out of the backward pass.

use super::definition;
use crate::arch::Simd;
use crate::arch::single::{done_or, piece, piece_mut};
use crate::layers::max_pool2d::definition::{read_code, write_code};
use crate::layers::max_pool2d::single::code_width;
use crate::layers::memory::{Forward, SingleBackward};
use crate::map::Frame;

/// `y += a x`.
#[inline(always)]
fn add_scaled<S: Simd>(simd: S, a: f32, x: &[f32], y: &mut [f32]) -> Option<()> {
    done_or(simd.add_scaled(a, x, y), || {
        definition::add_scaled(simd, a, x, y);
        Some(())
    })
}

/// The forward pass.
#[inline(always)]
pub(crate) fn forward<S: Simd>(simd: S, frame: &Frame, memory: Forward<'_>) -> Option<()> {
    let Forward {
        w,
        bias,
        x,
        y,
        codes,
        ..
    } = memory;
    let map = frame.output;
    let outputs = y.get_mut(..map.channels)?;
    done_or(simd.linear_rows(w, bias, x, outputs), || {
        definition::linear_rows(simd, w, bias, x, outputs);
        Some(())
    })?;
    if frame.relu {
        for (i, y) in outputs.iter_mut().enumerate() {
            *y = if *y < 0.0 { 0.0 } else { *y };
            write_code(codes, code_width(frame), i, usize::from(*y > 0.0));
        }
    }
    if map.has_zeros() {
        // Makes room for the zeros around each value, from the last one on: no value moves down.
        for o in (0..map.channels).rev() {
            let value = core::mem::take(y.get_mut(o)?);
            *y.get_mut(map.at(o, 0, 0))? = value;
        }
    }
    Some(())
}

/// The backward pass.
#[inline(always)]
pub(crate) fn backward<S: Simd>(simd: S, frame: &Frame, memory: SingleBackward<'_>) -> Option<()> {
    let SingleBackward {
        w,
        dw,
        db,
        x,
        codes,
        dy,
        input_gradient,
        ..
    } = memory;
    let inputs = x.len();
    let map = frame.output;
    if map.has_zeros() {
        for o in 0..map.channels {
            *dy.get_mut(o)? = *dy.get(map.at(o, 0, 0))?;
        }
    }
    let dy = dy.get_mut(..map.channels)?;
    if frame.relu {
        for (i, dy) in dy.iter_mut().enumerate() {
            if read_code(codes, code_width(frame), i) == 0 {
                *dy = 0.0;
            }
        }
    }
    for (o, (db, dy)) in db.iter_mut().zip(dy.iter()).enumerate() {
        if *dy != 0.0 {
            *db += dy;
            add_scaled(simd, *dy, x, piece_mut(dw, o, inputs)?)?;
        }
    }
    if input_gradient {
        x.fill(0.0);
        for (o, dy) in dy.iter().enumerate() {
            if *dy != 0.0 {
                add_scaled(simd, *dy, piece(w, o, inputs)?, x)?;
            }
        }
    }
    Some(())
}
