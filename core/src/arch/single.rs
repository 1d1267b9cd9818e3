//! What the hooks of [`Simd`](super::Simd) for one sample at a time are given, and pieces of slices
//! without a panic.
//!
//! A list of pixels is stored in floats, two a pixel: the place of its window in a plane, as a bit
//! pattern, and its gradient.

/// The windows of a convolution over a map. Lengths are in floats.
#[derive(Debug, Clone, Copy)]
pub struct Windows {
    /// Input channels.
    pub inputs: usize,
    /// Rows of the kernel.
    pub rows: usize,
    /// Columns of the kernel.
    pub columns: usize,
    /// From a channel of the map to the next.
    pub plane: usize,
    /// From a row of the map to the next.
    pub row: usize,
}

impl Windows {
    /// Weights of one output channel; `None` when there are none.
    pub fn terms(&self) -> Option<usize> {
        let terms = self
            .rows
            .checked_mul(self.columns)?
            .checked_mul(self.inputs)?;
        (terms > 0).then_some(terms)
    }

    /// Floats of the map from the first pixel of a window to its last, both included; `None` when
    /// there are none.
    pub fn reach(&self) -> Option<usize> {
        let planes = self.inputs.checked_sub(1)?.checked_mul(self.plane)?;
        let rows = self.rows.checked_sub(1)?.checked_mul(self.row)?;
        planes
            .checked_add(rows)?
            .checked_add(self.columns.checked_sub(1)?)?
            .checked_add(1)
    }
}

/// Where the windows of some output rows begin, and where their results go. Lengths are in floats.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    /// Output rows.
    pub count: usize,
    /// Pixels of an output row.
    pub columns: usize,
    /// From the windows of a row to those of the next, in the map.
    pub step: usize,
    /// From an output row to the next.
    pub pitch: usize,
}

/// Where the gradients of a row of windows, side by side, go: to the pixels of the windows that
/// won. A code says which pixel of its window did, or that none gets the gradient.
#[derive(Debug, Clone, Copy)]
pub struct Winners {
    /// Bits of a code: 0 (there is no code, and the one pixel always wins), 1, 2, 4, 8 or 16.
    pub width: usize,
    /// Number of the first window's code.
    pub first: usize,
    /// The code of a window's first pixel; the next pixels, row by row, have the next codes.
    pub base: usize,
    /// Rows of a window.
    pub rows: usize,
    /// Columns of a window.
    pub columns: usize,
    /// Place of the first window's first pixel.
    pub place: usize,
    /// From a row of a window to the next.
    pub row: usize,
    /// From a window to the next.
    pub step: usize,
    /// From a pixel to the next.
    pub pixel: usize,
}

/// What a hook has done, or the definition if there is no assembly; `None` where lengths do not
/// fit.
#[inline(always)]
pub fn done_or(hook: Option<bool>, definition: impl FnOnce() -> Option<()>) -> Option<()> {
    match hook {
        Some(true) => Some(()),
        Some(false) => None,
        None => definition(),
    }
}

/// The `i`-th of pieces of `length` floats. (`chunks_exact` panics for a length of zero.)
#[inline(always)]
pub fn piece(x: &[f32], i: usize, length: usize) -> Option<&[f32]> {
    x.get(i * length..)?.get(..length)
}

/// `length` floats from `from` on.
#[inline(always)]
pub fn piece_from(x: &[f32], from: usize, length: usize) -> Option<&[f32]> {
    x.get(from..)?.get(..length)
}

/// The same, to be written to.
#[inline(always)]
pub fn piece_mut(x: &mut [f32], i: usize, length: usize) -> Option<&mut [f32]> {
    x.get_mut(i * length..)?.get_mut(..length)
}
