//! The forward pass of one sample that keeps no map for a backward pass: which maps it holds whole.
//!
//! A *chain* of stages works row by row. Each of its stages holds just the rows of its input that
//! next rows of its output are computed from, its *window*, and gets the next rows from the stage
//! before it (the first of all from the sample) when it needs them. Only what a chain leaves is a
//! whole map. A layer that needs its whole input before it knows anything (linear, normalisation,
//! global average, dropout) is a chain by itself.
//!
//! Row by row takes a little longer: rows that are needed again move up in their window, and each
//! row is a call of its own. So it is done only as far as it takes to get along with half of the
//! memory of training; where that is out of reach, as far as it saves memory. All windows of a
//! chain are held at once, so on maps of few rows (a signal has one) a chain of its own for each
//! stage is best.

use super::stage::Stage;
use crate::layers::max_pool2d::single::row_codes_len;

/// The rows of a stage's input, as they are stored, that one row of its output is computed from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strip {
    /// How many.
    pub height: usize,
    /// From there to those of the next row.
    pub step: usize,
}

impl Stage {
    /// The rows that one row of the output is computed from. `None` where that is the whole map.
    pub const fn strip(&self) -> Option<Strip> {
        let Some([size, stride]) = self.op.rows() else {
            return None;
        };
        let pool = self.frame.window();
        Some(Strip {
            height: (pool.size[0] - 1) * stride + size,
            // Of a single row, for which it does not matter, it may be anything.
            step: pool.stride[0].saturating_mul(stride),
        })
    }

    /// Rows of the output that the stage computes at once, at most: at least as many as the stage
    /// behind it in its chain needs for each of its own rows.
    pub const fn rows_at_once(&self, behind: Option<&Stage>) -> usize {
        let mut rows = self.at_once;
        if let Some(behind) = behind
            && let Some(Strip { height, step }) = behind.strip()
        {
            rows = max(rows, min(height, step));
        }
        min(rows, self.frame.output.live_rows)
    }

    /// Rows of the input that the stage's window holds.
    pub const fn window_rows(&self, behind: Option<&Stage>) -> usize {
        match self.strip() {
            Some(Strip { height, step }) => height + (self.rows_at_once(behind) - 1) * step,
            None => self.frame.input.rows,
        }
    }
}

/// Floats that the chain of stages `first..end` needs.
const fn chain_len(stages: &[Stage], first: usize, end: usize) -> usize {
    // What it reads lies there whole, but for the sample.
    let mut total = stages[end - 1].frame.output.len();
    let (mut codes, mut scratch, mut s) = (0, 0, first);
    while s < end {
        let stage = &stages[s];
        let input = if s == first && s > 0 {
            stage.frame.input.len()
        } else {
            let behind = if s + 1 < end {
                Some(&stages[s + 1])
            } else {
                None
            };
            stage.frame.input.channels * stage.window_rows(behind) * stage.frame.input.columns
        };
        total = usize::saturating_add(total, input);
        codes = max(codes, row_codes_len(&stage.frame));
        scratch = max(scratch, stage.op.scratch_len(&stage.frame, 1).0);
        s += 1;
    }
    total.saturating_add(codes).saturating_add(scratch)
}

/// Floats of working memory of the forward pass.
pub(crate) const fn len(stages: &[Stage]) -> usize {
    let (mut total, mut first, mut s) = (0, 0, 0);
    while s < stages.len() {
        s += 1;
        if !stages[s - 1].streams {
            total = max(total, chain_len(stages, first, s));
            first = s;
        }
    }
    total
}

/// Chooses where the chains of the first `count` stages end, and how many rows their stages compute
/// at once. `training` is the memory that training needs.
pub(crate) const fn join<const N: usize>(stages: &mut [Stage; N], count: usize, training: usize) {
    let least = cut(stages, count, 0);
    let limit = max(least, training / 2);
    cut(stages, count, limit);
    let mut rows = MOST_ROWS;
    while rows > 1 {
        set_rows(stages, rows);
        if len(stages.split_at(count).0) <= limit {
            return;
        }
        rows /= 2;
    }
    set_rows(stages, 1);
}

/// Most rows at once that memory is spent on.
const MOST_ROWS: usize = 64;

const fn set_rows<const N: usize>(stages: &mut [Stage; N], rows: usize) {
    let mut s = 0;
    while s < N {
        stages[s].at_once = rows;
        s += 1;
    }
}

/// Cuts the first `count` stages into chains that need as little memory as can be, one row at a
/// time, and returns how much. Less than `limit` is no better than `limit`. Of choices with the
/// same memory it is the one with the shorter last chains.
const fn cut<const N: usize>(stages: &mut [Stage; N], count: usize, limit: usize) -> usize {
    // `needed[s]`: floats that the stages up to `s` need at least, where a chain ends with `s`;
    // `begins[s]`: where that chain begins.
    let (mut needed, mut begins) = ([0; N], [0; N]);
    let mut s = 0;
    while s < count {
        let mut best = usize::MAX;
        let mut first = s + 1;
        while first > 0 {
            first -= 1;
            if first < s && (stages[first].strip().is_none() || stages[s].strip().is_none()) {
                break;
            }
            let before = if first == 0 { limit } else { needed[first - 1] };
            let all = max(before, chain_len(stages, first, s + 1));
            if all < best {
                (best, begins[s]) = (all, first);
            }
        }
        needed[s] = best;
        s += 1;
    }
    while s > 0 {
        s -= 1;
        stages[s].streams = false;
        let first = begins[s];
        while s > first {
            s -= 1;
            stages[s].streams = true;
        }
    }
    needed[count - 1]
}

const fn min(a: usize, b: usize) -> usize {
    if a < b { a } else { b }
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}
