//! What the threads of an engine are to do, and who does what of it.

use std::ops::Range;

use secant::{Curvature, DropoutKey, Metrics};

use super::Errors;

/// What is to be computed.
#[derive(Default)]
pub(super) struct Job {
    pub kind: Kind,
    pub parameters: Vec<f32>,
    pub indices: Vec<u32>,
    pub number: u64,
    pub plan: JobPlan,
}

/// Who does what of a job.
#[derive(Clone, Default)]
pub(super) struct JobPlan {
    /// The chunks that are nobody's yet.
    pub chunks: Range<usize>,
    /// Threads that work on a chunk. Teams of more than one have a chunk each.
    pub team: usize,
    /// Members' parts of all chunks.
    pub parts: usize,
    /// Pieces in which all threads add up the chunks; 0 where the caller's does it alone.
    pub pieces: usize,
}

impl JobPlan {
    /// The elements of a piece, of `count` in all: whole lines of the cache.
    pub fn piece(&self, piece: usize, count: usize) -> Range<usize> {
        let bound = |piece: usize| (piece * count.div_ceil(16) / self.pieces * 16).min(count);
        bound(piece)..bound(piece + 1)
    }
}

/// What the chunks add up to, a number for each parameter.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Sum {
    Gradient(Option<DropoutKey>),
    Product(Curvature),
}

#[derive(Clone, Copy, Default, PartialEq)]
pub(super) enum Kind {
    Sum(Sum),
    Evaluation,
    #[default]
    Stop,
}

/// One chunk's result.
#[derive(Default)]
pub(super) struct Chunk {
    /// Or its product with a curvature matrix.
    pub sum: Vec<f32>,
    pub tally: Metrics,
    pub errors: Errors,
}
