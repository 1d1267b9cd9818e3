//! The forward pass of one sample that keeps no map: chains of stages, row by row.
//!
//! What is wanted is the last stage's next row. A stage whose window holds the rows for its next
//! row computes it; where one is missing, the stage before is asked for that row, or the sample.
//! Then the window slides down: rows that are needed again move up, so a kernel finds the rows of
//! a window one after the other, as in a whole map. It sees a frame with one row of output, and
//! the sums are those of the whole map.

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
    /// The row of the input, as stored, that the window gets next.
    next: usize,
    /// Where the window begins in the windows' memory.
    begin: usize,
}

impl Turn {
    /// Before the first row.
    pub const FIRST: Turn = Turn {
        row: 0,
        next: 0,
        begin: 0,
    };
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
            let windows = place(stages, turns, first == 0);
            let (windows, rest) = memory.split_at_mut_checked(windows)?;
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

/// Gives the windows their places, one after the other, and returns their length. The first stage
/// has one if it reads the sample; else it reads a map that is there.
fn place(stages: &[Stage], turns: &mut [Turn], reads_sample: bool) -> usize {
    let mut begin = 0;
    for (s, (turn, stage)) in turns.iter_mut().zip(stages).enumerate() {
        *turn = Turn {
            begin,
            ..Turn::FIRST
        };
        if s > 0 || reads_sample {
            begin += stage.window_len();
        } else {
            turn.next = stage.frame.input.rows;
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
        // What no row is written to stays zero.
        self.windows.fill(0.0);
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
            let (stage, strip, turn) = self.at(s)?;
            let missing = (turn.row * strip.step + strip.height).saturating_sub(turn.next);
            let input = stage.frame.input;
            // Rows of the margin are none.
            let live = turn.next.wrapping_sub(input.margin[0]);
            if missing > 0 && live < input.live_rows && s > 0 {
                s -= 1;
                self.slide(s, live)?;
            } else if missing > 0 {
                self.fill(s, live, missing)?;
            } else {
                self.row(s)?;
                if s < last {
                    s += 1;
                    self.turns.get_mut(s)?.next += 1;
                } else if turn.row + 1 < stage.frame.output.live_rows {
                    self.slide(s, turn.row + 1)?;
                } else {
                    return Some(());
                }
            }
        }
    }

    /// A stage and how far it has come.
    fn at(&self, s: usize) -> Option<(&'a Stage, Strip, Turn)> {
        let stage = self.stages.get(s)?;
        Some((stage, stage.strip()?, *self.turns.get(s)?))
    }

    /// The window of a stage as a map whose live rows are `rows` that come next.
    fn window(&self, s: usize, rows: usize) -> Option<Map> {
        let (stage, strip, turn) = self.at(s)?;
        let input = stage.frame.input;
        Some(Map {
            rows: strip.height,
            margin: [
                turn.next.checked_sub(turn.row * strip.step)?,
                input.margin[1],
            ],
            live_rows: rows,
            ..input
        })
    }

    /// Gets the next row of a window that no stage computes: from the sample, where up to `missing`
    /// come at once, or zeros. `live` is its number among the live rows.
    fn fill(&mut self, s: usize, live: usize, missing: usize) -> Option<()> {
        let (stage, _, turn) = self.at(s)?;
        let rows = match stage.frame.input.live_rows.checked_sub(live) {
            None | Some(0) => 1,
            Some(left) => missing.min(left),
        };
        let map = self.window(s, rows)?;
        let windows = self.windows.get_mut(turn.begin..)?;
        if live < stage.frame.input.live_rows {
            self.sample.load(map, live, windows)?;
        } else {
            for channel in 0..map.channels {
                let row = (channel * map.rows + map.margin[0]) * map.columns;
                windows.get_mut(row..)?.get_mut(..map.columns)?.fill(0.0);
            }
        }
        self.turns.get_mut(s)?.next += rows;
        Some(())
    }

    /// Moves the window of a stage down to the rows for row `row` of its output.
    fn slide(&mut self, s: usize, row: usize) -> Option<()> {
        let (stage, strip, turn) = self.at(s)?;
        let top = row * strip.step;
        let next = turn.next.max(top);
        *self.turns.get_mut(s)? = Turn { row, next, ..turn };
        if s == 0 && self.first > 0 {
            // The whole map is there.
            return Some(());
        }
        let columns = stage.frame.input.columns;
        let down = (row - turn.row) * strip.step * columns;
        let kept = (next - top) * columns;
        let window = self.windows.get_mut(turn.begin..)?;
        let window = window.get_mut(..stage.window_len())?;
        for plane in window.chunks_exact_mut((strip.height * columns).max(1)) {
            let mut moved = 0;
            while moved < kept {
                let (to, from) = plane.split_at_mut_checked(moved + down)?;
                let to = to.get_mut(moved..)?;
                for (to, from) in to.iter_mut().zip(from.iter().take(kept - moved)) {
                    *to = *from;
                }
                moved += down;
            }
        }
        Some(())
    }

    /// Computes the row that is due, into the window of the stage behind or what the chain leaves.
    fn row(&mut self, s: usize) -> Option<()> {
        let (stage, strip, turn) = self.at(s)?;
        let last = s + 1 == self.stages.len();
        let output = if last {
            let output = stage.frame.output;
            Map {
                margin: [output.margin[0] + turn.row, output.margin[1]],
                live_rows: 1,
                ..output
            }
        } else {
            self.window(s + 1, 1)?
        };
        let mut input = stage.frame.input;
        let (x, behind): (&[f32], _) = if s == 0 && self.first > 0 {
            let top = turn.row * strip.step * input.columns;
            (self.x.get(top..)?, &mut *self.windows)
        } else {
            input.rows = strip.height;
            let window = self.windows.get_mut(turn.begin..)?;
            window
                .split_at_mut_checked(stage.window_len())
                .map(|(x, behind)| (&*x, behind))?
        };
        let y = if last { &mut *self.y } else { behind };
        let frame = Frame {
            input,
            rows: stage.frame.window().size[0],
            output,
            ..stage.frame
        };
        let codes = row_codes_len(&stage.frame);
        let (codes, scratch) = self.rest.split_at_mut_checked(codes)?;
        self.sample
            .compute(self.first + s, &frame, x, y, codes, false, scratch)
    }
}
