//! The forward pass of one sample that keeps no map: chains of stages, row by row.
//!
//! What is wanted is the last stage's next row. A stage whose window holds the rows for its next
//! row computes it; where one is missing, the stage before is asked for that row, or the sample.
//! Then the window slides down: rows that are needed again move up, so a kernel finds the rows of
//! a window one after the other, as in a whole map. It sees a frame with one row of output, and
//! the sums are those of the whole map.

use core::cell::Cell;

use super::sample::Sample;
use crate::layers::max_pool2d::single::row_codes_len;
use crate::map::{Frame, Map};
use crate::plan::chain::Strip;
use crate::plan::stage::Stage;

/// How far a stage of a chain has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    /// The live row of the output to be computed next.
    row: usize,
    /// How many are computed at once now, and at most.
    rows: usize,
    most: usize,
    /// The row of the input, as stored, that lies at the top of the window.
    top: usize,
    /// The row of the input that the window gets next.
    next: usize,
    /// Where the window begins in the windows' memory, in floats.
    begin: usize,
    /// Rows that the window holds.
    height: usize,
    /// The rows that one row of the output is computed from.
    strip: Strip,
}

impl Turn {
    /// Of a stage that has no window.
    pub const NONE: Turn = Turn {
        row: 0,
        rows: 1,
        most: 1,
        top: 0,
        next: 0,
        begin: 0,
        height: 0,
        strip: Strip { height: 0, step: 0 },
    };
}

impl Turn {
    /// The window as a map that begins with the row that comes next.
    #[inline(always)]
    fn window(&self, input: Map) -> Map {
        Map {
            rows: self.height,
            margin: [self.next - self.top, input.margin[1]],
            ..input
        }
    }
}

impl Sample<'_> {
    /// All stages forward; returns the network's output. `turns` has an item for each stage.
    pub fn stream<'w>(
        &self,
        turns: &mut [Turn],
        workspace: &'w mut [f32],
    ) -> Option<&'w mut [f32]> {
        let stages = self.plan.stages;
        let mut first = 0;
        // Chains read from one end of the memory and write to the other.
        let mut writes_low = true;
        let mut output = 0;
        for (s, last) in stages.iter().enumerate() {
            if last.streams {
                continue;
            }
            let input = match stages.get(first)? {
                stage if first > 0 => stage.frame.input.len(),
                _ => 0,
            };
            output = last.frame.output.len();
            let (low, high) = if writes_low {
                (output, input)
            } else {
                (input, output)
            };
            let (low, rest) = workspace.split_at_mut_checked(low)?;
            let (memory, high) = rest.split_at_mut_checked(rest.len().checked_sub(high)?)?;
            let (x, y) = if writes_low { (high, low) } else { (low, high) };
            if last.frame.output.has_zeros() {
                y.fill(0.0);
            }
            let stages = stages.get(first..=s)?;
            let length = windows(stages, turns, first == 0);
            let (windows, rest) = memory.split_at_mut_checked(length)?;
            let chain = Chain {
                sample: self,
                first,
                stages,
                turns: turns.get_mut(..stages.len())?,
                x,
                windows,
                rest,
                y,
            };
            chain.run()?;
            (first, writes_low) = (s + 1, !writes_low);
        }
        if writes_low {
            let end = workspace.len().checked_sub(output)?;
            workspace.get_mut(end..)
        } else {
            workspace.get_mut(..output)
        }
    }
}

/// Makes the windows, one after the other, and returns their length. The first stage has one if it
/// reads the sample; else it reads a map that is there.
fn windows(stages: &[Stage], turns: &mut [Turn], reads_sample: bool) -> usize {
    let mut begin = 0;
    for (s, (turn, stage)) in turns.iter_mut().zip(stages).enumerate() {
        let input = &stage.frame.input;
        let behind = stages.get(s + 1);
        let height = stage.window_rows(behind);
        *turn = Turn {
            // All rows of a window are zero now, so those of the margin are there.
            next: input.margin[0],
            most: stage.rows_at_once(behind),
            begin,
            height,
            strip: stage.strip().unwrap_or(Turn::NONE.strip),
            ..Turn::NONE
        };
        if s > 0 || reads_sample {
            begin += input.channels * height * input.columns;
        } else {
            turn.next = input.rows;
        }
    }
    begin
}

/// Stages that work row by row, and their memory.
struct Chain<'a, 'w> {
    sample: &'a Sample<'a>,
    /// Number of the first of them.
    first: usize,
    stages: &'a [Stage],
    turns: &'a mut [Turn],
    /// What the first stage reads, if that is not the sample.
    x: &'w mut [f32],
    windows: &'w mut [f32],
    /// Codes and scratch.
    rest: &'w mut [f32],
    /// What the last stage writes.
    y: &'w mut [f32],
}

impl<'a> Chain<'a, '_> {
    /// All rows of the last stage's output.
    fn run(mut self) -> Option<()> {
        if self.stages.iter().any(|s| s.frame.input.has_zeros()) {
            // What no row is written to stays zero.
            self.windows.fill(0.0);
        }
        match self.stages {
            [stage] if self.first > 0 || stage.strip().is_none() => self.whole(stage),
            _ => self.rows(),
        }
    }

    /// A stage alone, from a whole map.
    fn whole(self, stage: &Stage) -> Option<()> {
        let mut x = self.x;
        if self.first == 0 {
            self.sample.load(stage.frame.input, 0, self.windows)?;
            x = self.windows;
        }
        let codes = row_codes_len(&stage.frame);
        let (codes, scratch) = self.rest.split_at_mut_checked(codes)?;
        self.sample
            .compute(self.first, &stage.frame, x, self.y, codes, false, scratch)
    }

    /// Row by row.
    fn rows(&mut self) -> Option<()> {
        let last = self.stages.len().checked_sub(1)?;
        let mut s = last;
        loop {
            let (stage, turn) = self.at(s)?;
            let input = &stage.frame.input;
            let bottom = turn.top + (turn.rows - 1) * turn.strip.step + turn.strip.height;
            let missing = bottom.saturating_sub(turn.next);
            let live = turn.next.wrapping_sub(input.margin[0]);
            if missing > 0 && (s == 0 || live >= input.live_rows) {
                self.fill(s, live, missing)?;
            } else if missing > 0 {
                s -= 1;
                self.slide(s, live, missing.min(input.live_rows - live))?;
            } else {
                self.row(s)?;
                let rows = stage.frame.output.live_rows;
                let left = rows.saturating_sub(turn.row + turn.rows);
                if s < last {
                    s += 1;
                    self.turns.get_mut(s)?.next += turn.rows;
                } else if left > 0 {
                    self.slide(s, turn.row + turn.rows, left)?;
                } else {
                    return Some(());
                }
            }
        }
    }

    /// A stage and how far it has come.
    #[inline(always)]
    fn at(&self, s: usize) -> Option<(&'a Stage, Turn)> {
        Some((self.stages.get(s)?, *self.turns.get(s)?))
    }

    /// Gets the next row of a window that no stage computes: from the sample, where up to `missing`
    /// come at once, or zeros below the map. `live` is its number among the live rows.
    fn fill(&mut self, s: usize, live: usize, missing: usize) -> Option<()> {
        let (stage, turn) = self.at(s)?;
        let mut map = turn.window(stage.frame.input);
        let window = self.windows.get_mut(turn.begin..)?;
        let mut rows = 1;
        if live < map.live_rows {
            rows = missing.min(map.live_rows - live);
            map.live_rows = rows;
            self.sample.load(map, live, window)?;
        } else {
            for channel in 0..map.channels {
                let row = (channel * map.rows + map.margin[0]) * map.columns;
                window.get_mut(row..)?.get_mut(..map.columns)?.fill(0.0);
            }
        }
        self.turns.get_mut(s)?.next += rows;
        Some(())
    }

    /// Moves the window of a stage down to what it needs for row `row` of its output, and for more
    /// if that many are wanted and it holds their rows.
    fn slide(&mut self, s: usize, row: usize, wanted: usize) -> Option<()> {
        let (stage, turn) = self.at(s)?;
        let rows = wanted.min(turn.most);
        let top = row * turn.strip.step;
        let next = turn.next.max(top);
        *self.turns.get_mut(s)? = Turn {
            row,
            rows,
            top,
            next,
            ..turn
        };
        if next == top || top == turn.top || s == 0 && self.first > 0 {
            // Nothing is needed again, or all of the map is there.
            return Some(());
        }
        // All channels at once, from the first pixel on: a pixel is read before another takes its
        // place. The rows at the bottom of a channel get those of the next channel, until others
        // come.
        let input = turn.window(stage.frame.input);
        let window = self.windows.get_mut(turn.begin..)?.get_mut(..input.len())?;
        let to = Cell::from_mut(window).as_slice_of_cells();
        let from = to.get((top - turn.top) * input.columns..)?;
        let (fours, rest) = from.as_chunks::<4>();
        for (to, [a, b, c, d]) in to.as_chunks::<4>().0.iter().zip(fours) {
            let values = [a.get(), b.get(), c.get(), d.get()];
            for (to, value) in to.iter().zip(values) {
                to.set(value);
            }
        }
        for (to, from) in to.get(4 * fours.len()..)?.iter().zip(rest) {
            to.set(from.get());
        }
        Some(())
    }

    /// Computes the rows that are due, into the window of the stage behind or into what the chain
    /// leaves.
    fn row(&mut self, s: usize) -> Option<()> {
        let (stage, turn) = self.at(s)?;
        let mut frame = Frame {
            rows: stage.frame.window().cover([turn.rows, 1])[0],
            ..stage.frame
        };
        let (x, behind): (&[f32], _) = if s == 0 && self.first > 0 {
            let top = turn.top * frame.input.columns;
            (self.x.get(top..)?, &mut *self.windows)
        } else {
            frame.input.rows = turn.height;
            let window = self.windows.get_mut(turn.begin..)?;
            let (x, behind) = window.split_at_mut_checked(frame.input.len())?;
            (x, behind)
        };
        let y = match self.turns.get(s + 1) {
            Some(next) => {
                frame.output = next.window(frame.output);
                behind
            }
            None => {
                frame.output.margin[0] += turn.row;
                &mut *self.y
            }
        };
        frame.output.live_rows = turn.rows;
        let codes = row_codes_len(&frame);
        let (codes, scratch) = self.rest.split_at_mut_checked(codes)?;
        self.sample
            .compute(self.first + s, &frame, x, y, codes, false, scratch)
    }
}
