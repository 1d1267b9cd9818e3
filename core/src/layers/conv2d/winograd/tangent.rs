//! Both passes together with their tangents (see [`curvature`](crate::Curvature)), over the same
//! tiles: the transforms are linear, so sums are taken of transformed maps.
//!
//! ```text
//! m  = sum over inputs of u o v                     tm  = sum over inputs of tu o v + u o tv
//! dv = sum over outputs of u o dm                   tdv = sum over outputs of u o tdm + tu o dm
//! tdu = sum over tiles of tdm o v + dm o tv
//! ```
//! Each map is transformed once for all of its products. `tm` and `tdv` are products like any
//! other, of twice as many terms: transformed kernels and maps lie side by side. The bands are those
//! of the passes alone; with half as many tiles in each, transformed kernels would be fetched twice
//! as often.

use super::end::End;
use super::gradient::{self, Biases, Gradient};
use super::product::{Product, Start};
use super::transform::{
    InputGradient, InputTransform, OutputGradient, OutputTransform, StageOutput,
};
use super::{ELEMENTS, Planes, Tiles, most, one_input, row_len, weights};
use crate::arch::Simd;
use crate::layers::memory::{BackwardWithTangent, Forward, ForwardWithTangent};
use crate::map::Frame;

/// Floats of scratch: the larger of what the two passes need.
pub(crate) const fn scratch_len(frame: &Frame, lanes: usize) -> usize {
    let (inputs, outputs) = (frame.input.channels, frame.output.channels);
    let tiles = Tiles::new(frame, lanes);
    let band = tiles.band();
    let u = most(
        weights::matrix_len(outputs, 2 * inputs),
        weights::matrix_len(inputs, 2 * outputs),
    );
    let v = Planes::new(2 * inputs, band, lanes).len();
    let m = Planes::new(2 * outputs, band, lanes).len();
    let gradient = gradient::scratch_len(inputs, outputs, band, lanes);
    let rows = frame.input.columns * lanes + row_len(&tiles, lanes);
    // Of twice the kernels, which a plan's lengths do not allow for.
    (rows + v + m + gradient).saturating_add(ELEMENTS * u)
}

/// The forward pass.
#[inline(always)]
pub(crate) fn forward<S: Simd, const L: usize>(
    simd: S,
    frame: &Frame,
    memory: ForwardWithTangent<'_>,
) {
    let ForwardWithTangent {
        values,
        tw,
        tb,
        tx,
        ty,
    } = memory;
    let Forward {
        w,
        bias,
        x,
        y,
        codes,
        scratch,
        ..
    } = values;
    let (inputs, outputs) = (frame.input.channels, frame.output.channels);
    let tiles = Tiles::new(frame, L);
    // A row of kernels: the tangents, to be multiplied with the inputs, then the kernels, with the
    // inputs' tangents.
    let across = 2 * inputs;
    let terms = if tx.is_some() { across } else { inputs };
    let matrix = weights::matrix_len(outputs, across);
    let (zeros, rest) = scratch.split_at_mut(frame.input.columns * L);
    let (row, rest) = rest.split_at_mut(row_len(&tiles, L));
    let (u, rest) = rest.split_at_mut(ELEMENTS * matrix);
    zeros.fill(0.0);
    for (w, at) in [(tw, 0), (w, inputs)] {
        simd.apart(weights::Transform {
            w,
            rows: outputs,
            row: inputs,
            terms: inputs,
            term: 1,
            u: &mut u[at..],
            across,
        });
    }
    for band in tiles.bands() {
        let v_planes = Planes::new(terms, band.len(), L);
        let m_planes = Planes::new(outputs, band.len(), L);
        let (v, rest) = rest.split_at_mut(v_planes.len());
        let m = &mut rest[..m_planes.len()];
        let columns = v_planes.channel;
        for (i, x) in [Some(x), tx].into_iter().flatten().enumerate() {
            simd.apart(InputTransform::<L> {
                frame,
                band,
                x,
                zeros,
                planes: v_planes,
                v: &mut v[i * inputs * columns..],
            });
        }
        // Of the values, then of their tangents, whose kernels are those from `first` on.
        for (first, terms, bias) in [(inputs, inputs, bias), (0, terms, tb)] {
            let end = if first > 0 {
                let (y, codes) = (&mut *y, &mut *codes);
                End::Values { y, codes }
            } else {
                let (y, codes, ty) = (&*y, &*codes, &mut *ty);
                End::Tangents { y, codes, ty }
            };
            if terms == 1 {
                simd.apart(one_input::Output::<L> {
                    frame,
                    band,
                    u: &u[first..],
                    across,
                    bias,
                    planes: v_planes,
                    v,
                    end,
                    row,
                });
                continue;
            }
            for e in 0..ELEMENTS {
                let product = Product {
                    a: &u[e * matrix + first..],
                    row: across,
                    terms,
                    // What is added to this element comes out in every pixel of the tile.
                    start: match e {
                        5 => Start::Rows(bias),
                        _ => Start::Zero,
                    },
                    x: &v[e * v_planes.element..][..terms * columns],
                    y: &mut m[e * m_planes.element..][..outputs * columns],
                    columns,
                };
                product.run::<S>(simd);
            }
            simd.apart(OutputTransform::<L> {
                frame,
                band,
                planes: m_planes,
                m,
                end,
                row,
            });
        }
    }
}

/// The backward pass to weights and input.
#[inline(always)]
pub(crate) fn backward<S: Simd, const L: usize>(
    simd: S,
    frame: &Frame,
    memory: BackwardWithTangent<'_>,
) {
    let BackwardWithTangent {
        w,
        tw,
        tdw,
        tdb,
        x,
        tx,
        y,
        codes,
        dy,
        tdy,
        dx,
        tdx,
        scratch,
    } = memory;
    let (inputs, outputs) = (frame.input.channels, frame.output.channels);
    let tiles = Tiles::new(frame, L);
    // A row of kernels: these, to be multiplied with the gradients' tangents, then their tangents,
    // with the gradients.
    let across = 2 * outputs;
    let matrix = weights::matrix_len(inputs, across);
    let (zeros, rest) = scratch.split_at_mut(frame.input.columns * L);
    let (row, rest) = rest.split_at_mut(row_len(&tiles, L));
    let (u, rest) = rest.split_at_mut(ELEMENTS * matrix);
    let (gradient_scratch, rest) =
        rest.split_at_mut(gradient::scratch_len(inputs, outputs, tiles.band(), L));
    zeros.fill(0.0);
    for (w, at) in [(w, 0), (tw, outputs)] {
        simd.apart(weights::Transform {
            w,
            rows: inputs,
            row: 1,
            terms: outputs,
            term: inputs,
            u: &mut u[at..],
            across,
        });
    }
    dx[..frame.input.live_len() * L].fill(0.0);
    tdx[..frame.input.live_len() * L].fill(0.0);
    let mut gradient = Gradient::new([outputs, inputs], gradient_scratch);
    for band in tiles.bands() {
        let v_planes = Planes::new(2 * inputs, band.len(), L);
        let m_planes = Planes::new(2 * outputs, band.len(), L);
        let (v, rest) = rest.split_at_mut(v_planes.len());
        let dm = &mut rest[..m_planes.len()];
        let columns = v_planes.channel;
        for (i, dy) in [&*tdy, &*dy].into_iter().enumerate() {
            simd.apart(OutputGradient::<L> {
                stage: StageOutput {
                    frame,
                    y,
                    codes,
                    dy,
                },
                band,
                planes: m_planes,
                dm: &mut dm[i * outputs * columns..],
                row,
            });
        }
        simd.apart(Biases::<L> {
            planes: m_planes,
            dm,
            band,
            db: tdb,
        });
        for (i, x) in [x, tx].into_iter().enumerate() {
            simd.apart(InputTransform::<L> {
                frame,
                band,
                x,
                zeros,
                planes: v_planes,
                v: &mut v[i * inputs * columns..],
            });
            // `tdy x'`, then `dy tx'`.
            let v = &v[i * inputs * columns..];
            let dm = &dm[i * outputs * columns..];
            gradient.add::<S, L>(simd, band, (v, v_planes), (dm, m_planes));
        }
        // In the place of the inputs, which are not needed any more: `tdx`, then `dx`.
        let dv = v;
        for (i, dx) in [&mut *tdx, &mut *dx].into_iter().enumerate() {
            let dv = &mut dv[i * inputs * columns..];
            let terms = (2 - i) * outputs;
            for e in 0..ELEMENTS {
                let product = Product {
                    a: &u[e * matrix..],
                    row: across,
                    terms,
                    start: Start::Zero,
                    x: &dm[e * m_planes.element + i * outputs * columns..][..terms * columns],
                    y: &mut dv[e * v_planes.element..][..inputs * columns],
                    columns,
                };
                product.run::<S>(simd);
            }
            simd.apart(InputGradient::<L> {
                frame,
                band,
                planes: v_planes,
                dv,
                dx,
                row,
            });
        }
    }
    gradient.finish(simd, tdw);
}
