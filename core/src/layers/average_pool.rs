//! Average pool, over windows or over the whole map.
//!
//! ```text
//! forward          y[c][r][q]  = (sum over u, v of x[c][r s + u][q s + v]) / n
//! input gradient   dx[c][i][j] = sum over the windows that hold (i, j) of dy / n
//! ```
//! with stride `s` and `n` pixels in a window. Sums go row-major, over pixels and over windows; they begin with the first term
//! and with zero.

use crate::plan::Map;

/// The windows of an average pool.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct AveragePool {
    pub rows: usize,
    pub columns: usize,
    pub stride: usize,
}

/// Overwrites `y` from `x`, laid out as the maps say. `None` where lengths do not fit.
#[inline(always)]
pub(crate) fn forward<const L: usize>(
    pool: AveragePool,
    input: Map,
    output: Map,
    x: &[f32],
    y: &mut [f32],
) -> Option<()> {
    let (x, y) = (x.as_chunks::<L>().0, y.as_chunks_mut::<L>().0);
    let count = (pool.rows * pool.columns) as f32;
    for channel in 0..output.channels {
        for r in 0..output.alive_rows {
            for c in 0..output.alive_columns {
                let mut sum = [0.0; L];
                for u in 0..pool.rows {
                    let from = input.at(channel, r * pool.stride + u, c * pool.stride);
                    let row = x.get(from..)?.get(..pool.columns)?;
                    for (v, x) in row.iter().enumerate() {
                        for lane in 0..L {
                            sum[lane] = if u + v == 0 {
                                x[lane]
                            } else {
                                sum[lane] + x[lane]
                            };
                        }
                    }
                }
                let y = y.get_mut(output.at(channel, r, c))?;
                for lane in 0..L {
                    y[lane] = sum[lane] / count;
                }
            }
        }
    }
    Some(())
}

/// Overwrites `dx` from `dy`, laid out as the maps say; what no window holds becomes zero.
#[inline(always)]
pub(crate) fn backward<const L: usize>(
    pool: AveragePool,
    input: Map,
    output: Map,
    dy: &[f32],
    dx: &mut [f32],
) -> Option<()> {
    let (dy, dx) = (dy.as_chunks::<L>().0, dx.as_chunks_mut::<L>().0);
    let count = (pool.rows * pool.columns) as f32;
    dx.get_mut(..input.len())?.fill([0.0; L]);
    for channel in 0..output.channels {
        for r in 0..output.alive_rows {
            for c in 0..output.alive_columns {
                let mut share = *dy.get(output.at(channel, r, c))?;
                for lane in 0..L {
                    share[lane] /= count;
                }
                for u in 0..pool.rows {
                    let from = input.at(channel, r * pool.stride + u, c * pool.stride);
                    for dx in dx.get_mut(from..)?.get_mut(..pool.columns)? {
                        for lane in 0..L {
                            dx[lane] += share[lane];
                        }
                    }
                }
            }
        }
    }
    Some(())
}
