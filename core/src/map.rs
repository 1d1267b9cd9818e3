//! Maps in memory, and the frame of a stage: what its operation reads, computes and leaves.

use crate::shape::Window;

/// A stored map: `channels` x `rows` x `columns` pixels of `lanes` floats, with a margin of zeros
/// above and to the left for the padding of the convolution that reads it. `live_rows` x
/// `live_columns` pixels from there on hold values; what lies below and to the right is zero, too.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Map {
    pub channels: usize,
    pub rows: usize,
    pub columns: usize,
    /// Rows above and columns to the left that are zero.
    pub margin: [usize; 2],
    pub live_rows: usize,
    pub live_columns: usize,
}

impl Map {
    pub const EMPTY: Map = Map {
        channels: 0,
        rows: 0,
        columns: 0,
        margin: [0; 2],
        live_rows: 0,
        live_columns: 0,
    };

    /// Pixels in all channels.
    pub const fn len(&self) -> usize {
        self.channels * self.rows * self.columns
    }

    /// Pixels of a channel.
    pub const fn plane(&self) -> usize {
        self.rows * self.columns
    }

    /// Live pixels in all channels.
    pub const fn live_len(&self) -> usize {
        self.channels * self.live_rows * self.live_columns
    }

    /// Whether there are pixels without a value, which must be zero.
    pub const fn has_zeros(&self) -> bool {
        self.len() > self.live_len()
    }

    /// The same pixels as one row of one channel, if all are live.
    pub const fn flat(&self) -> Map {
        if self.has_zeros() {
            return *self;
        }
        Map {
            channels: 1,
            rows: 1,
            columns: self.len(),
            margin: [0; 2],
            live_rows: 1,
            live_columns: self.len(),
        }
    }

    /// Where live pixel (row, column) of a channel lies, in pixels.
    pub const fn at(&self, channel: usize, row: usize, column: usize) -> usize {
        (channel * self.rows + row + self.margin[0]) * self.columns + column + self.margin[1]
    }

    /// The live pixels alone, as gradients are stored.
    pub const fn dense(&self) -> Map {
        Map {
            rows: self.live_rows,
            columns: self.live_columns,
            margin: [0; 2],
            ..*self
        }
    }
}

/// The geometry of a stage: an operation, and the relu and the max-pool that follow it.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Frame {
    /// What the operation reads.
    pub input: Map,
    /// Live rows of the operation's own output, before the pool.
    pub rows: usize,
    /// Live columns of the operation's own output, before the pool.
    pub columns: usize,
    /// Whether a relu follows.
    pub relu: bool,
    /// The windows of the max-pool that follows.
    pub pool: Option<Window>,
    /// What the stage writes.
    pub output: Map,
    /// Channels of the whole stage's input and output, where this one has some of them.
    pub whole: [usize; 2],
}

impl Frame {
    pub const EMPTY: Frame = Frame {
        input: Map::EMPTY,
        rows: 0,
        columns: 0,
        relu: false,
        pool: None,
        output: Map::EMPTY,
        whole: [0; 2],
    };

    /// The same work on one row, where it goes pixel by pixel from one dense map to another.
    pub const fn flat(&self) -> Frame {
        let dense = !self.input.has_zeros() && !self.output.has_zeros();
        if self.pool.is_some() || !dense || self.input.len() != self.output.len() {
            return *self;
        }
        Frame {
            input: self.input.flat(),
            rows: 1,
            columns: self.input.len(),
            output: self.output.flat(),
            ..*self
        }
    }

    /// The windows of the max-pool; single pixels if there is none.
    pub const fn window(&self) -> Window {
        match self.pool {
            Some(pool) => pool,
            None => Window::PIXEL,
        }
    }
}
