//! The working memory of a pass: how long it is, and where each stage's maps lie in it.
//!
//! First comes what the first kept stage reads, then for each kept stage the winners of its pool
//! and its output. Then, over blocks of lanes, two gradients (of a stage's output and of its
//! input), and scratch. One sample needs neither: the gradient of a map takes the place of the map,
//! and the scratch of a stage lies where the stages behind it hold nothing yet, or nothing any
//! more.
//!
//! The stages that are not kept use the same memory before, one at a time.
//!
//! Each map has at most 2^28 values, so their sum over stages and lanes may be more than 32 bits
//! hold. Then all of these lengths are `usize::MAX`, which no slice has.

use super::Plan;
use super::stage::Stage;
use crate::layers::max_pool2d::{lanes, single};

/// Where the parts begin, in floats.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// First of the two gradients.
    pub gradients: usize,
    /// Length of each of the two gradients.
    pub gradient_len: usize,
    /// Scratch of the kernels.
    pub scratch: usize,
    /// Length of the whole.
    pub total: usize,
}

/// Words of 32 bits for the winners of a stage's pool. Those of one sample that no backward pass
/// reads overwrite each other row by row.
pub(crate) const fn codes_len(stage: &Stage, lanes: usize, kept: bool) -> usize {
    match (lanes, kept) {
        (1, true) => single::codes_len(&stage.frame),
        (1, false) => single::row_codes_len(&stage.frame),
        _ => lanes::codes_len(&stage.frame, lanes),
    }
}

/// Pixels of what the first kept stage reads; of the network's output if there is none.
const fn first_len(plan: &Plan<'_>) -> usize {
    if plan.first_kept < plan.stages.len() {
        plan.stages[plan.first_kept].frame.input.len()
    } else if let Some(last) = plan.stages.last() {
        last.frame.output.len()
    } else {
        0
    }
}

/// The layout for blocks of `lanes` samples.
pub(crate) const fn layout(plan: &Plan<'_>, lanes: usize) -> Layout {
    let mut maps = first_len(plan).saturating_mul(lanes);
    let (mut gradient, mut before, mut scratch, mut s) = (0, 0, 0, 0);
    while s < plan.stages.len() {
        let stage = &plan.stages[s];
        let kept = s >= plan.first_kept;
        if !products_fit(stage, lanes) {
            return Layout::UNREACHABLE;
        }
        let (forward, backward) = stage.op.scratch_len(&stage.frame, lanes);
        let behind = stage.frame.output.len() * lanes + codes_len(stage, lanes, kept);
        scratch = max(scratch, forward);
        if kept {
            maps = maps.saturating_add(behind);
            gradient = max(gradient, stage.frame.output.live_len() * lanes);
            scratch = max(scratch, backward);
        } else {
            before = max(before, stage.frame.input.len() * lanes + behind);
        }
        s += 1;
    }
    let begin = max(maps.saturating_add(2 * gradient), before);
    Layout {
        gradients: maps,
        gradient_len: gradient,
        scratch: begin,
        total: begin.saturating_add(scratch),
    }
}

impl Layout {
    /// Of what no target of this size of addresses can hold.
    const UNREACHABLE: Layout = Layout {
        gradients: usize::MAX,
        gradient_len: usize::MAX,
        scratch: usize::MAX,
        total: usize::MAX,
    };
}

/// Whether no product in the lengths of a stage overflows. The largest that one has is
///
/// * a whole map of all lanes, and two of them as gradients;
/// * 8 planes of a convolution's spread gradient, each at most 4 planes of its padded input
///   (`conv2d::lanes`);
/// * 16 transformed kernels, and 16 transformed tiles of all channels (`conv2d::winograd`), with
///   inputs rounded up to a multiple of 16.
const fn products_fit(stage: &Stage, lanes: usize) -> bool {
    let (input, output) = (&stage.frame.input, &stage.frame.output);
    let plane = max(input.plane(), stage.frame.rows * stage.frame.columns);
    let maps = max(input.len(), output.len());
    let kernels = (input.channels + 16).checked_mul(output.channels + 16);
    let channels = input.channels + output.channels + 32;
    let largest = max(max(2 * maps, 32 * plane), 32 * channels);
    match (largest.checked_mul(lanes), kernels) {
        (Some(values), Some(kernels)) => values < usize::MAX / 4 && kernels < usize::MAX / 64,
        _ => false,
    }
}

/// Floats of working memory, with any number of lanes.
pub(crate) const fn len(plan: &Plan<'_>, lanes: usize) -> usize {
    if lanes == 1 {
        single_len(plan)
    } else {
        layout(plan, lanes).total
    }
}

/// Floats of working memory for one sample at a time.
const fn single_len(plan: &Plan<'_>) -> usize {
    let mut end = first_len(plan);
    let (mut total, mut s) = (end, 0);
    while s < plan.stages.len() {
        let stage = &plan.stages[s];
        let kept = s >= plan.first_kept;
        let behind = stage.frame.output.len() + codes_len(stage, 1, kept);
        let needed = if kept {
            end = usize::saturating_add(end, behind);
            end
        } else {
            stage.frame.input.len() + behind
        };
        let (forward, backward) = stage.op.scratch_len(&stage.frame, 1);
        total = max(total, needed.saturating_add(max(forward, backward)));
        s += 1;
    }
    total
}

/// Where the parts of the working memory of products with a curvature matrix begin, in floats.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct CurvatureLayout {
    /// Length of the maps of the kept stages, from the beginning of either pass's memory on.
    pub maps: usize,
    /// Room for what an operation computes before relu and pool, and for a part of a gradient.
    pub temporary: usize,
    /// Room for a number for each output of a layer.
    pub outputs: usize,
    /// Length of the whole.
    pub total: usize,
}

impl CurvatureLayout {
    pub const EMPTY: CurvatureLayout = CurvatureLayout {
        maps: 0,
        temporary: 0,
        outputs: 0,
        total: 0,
    };
}

/// Floats of working memory of products with a curvature matrix for blocks of `lanes` samples: the
/// tangents' maps, two gradients, and the memory of the passes themselves, in which scratch comes
/// last.
pub(crate) const fn curvature_len(plan: &Plan<'_>, lanes: usize) -> usize {
    let passes = layout(plan, lanes);
    let (mut scratch, mut s) = (0, plan.first_kept);
    while s < plan.stages.len() && passes.total < usize::MAX {
        let stage = &plan.stages[s];
        scratch = max(scratch, stage.op.tangent_scratch_len(&stage.frame, lanes));
        s += 1;
    }
    let tangents = passes.gradient_len.saturating_mul(2);
    let tangents = tangents.saturating_add(passes.gradients);
    let own = max(passes.total, passes.scratch.saturating_add(scratch));
    tangents.saturating_add(own)
}

/// That of one sample at a time: the maps, the tangents' maps, what is temporary, the outputs, and
/// scratch.
pub(crate) const fn single_curvature_layout(plan: &Plan<'_>) -> CurvatureLayout {
    let mut maps = first_len(plan);
    let (mut temporary, mut outputs, mut scratch, mut s) = (0, 0, 0, plan.first_kept);
    while s < plan.stages.len() {
        let stage = &plan.stages[s];
        let (input, output) = (stage.frame.input.len(), stage.frame.output.len());
        maps = usize::saturating_add(maps, output + codes_len(stage, 1, true));
        let own = if stage.op.is_linear() {
            let own = stage.bare(stage.rows_of_own()).frame.output.len();
            max(own, input.saturating_add(output))
        } else {
            input.saturating_mul(2)
        };
        temporary = max(temporary, own);
        outputs = max(outputs, stage.outputs());
        let (forward, backward) = stage.op.scratch_len(&stage.frame, 1);
        scratch = max(scratch, max(forward, backward));
        s += 1;
    }
    let total = maps.saturating_mul(2).saturating_add(temporary);
    let total = total.saturating_add(outputs).saturating_add(scratch);
    CurvatureLayout {
        maps,
        temporary,
        outputs,
        // The stages that are not kept, and the Gauss-Newton matrix's backward pass, take the
        // memory of a gradient.
        total: max(total, single_len(plan)),
    }
}

/// The memory of a stage.
pub(crate) struct Parts<'w> {
    /// What it reads; in the backward pass of a single sample, afterwards, the gradient of that.
    pub x: &'w mut [f32],
    /// What became of the pool's windows.
    pub codes: &'w mut [f32],
    /// What it writes; in the backward pass of a single sample the gradient of that.
    pub y: &'w mut [f32],
    /// What is left.
    pub rest: &'w mut [f32],
}

impl<'w> Parts<'w> {
    /// The memory of stage `s`. `None` where `memory` is too short.
    pub fn of(plan: &Plan<'_>, s: usize, lanes: usize, memory: &'w mut [f32]) -> Option<Parts<'w>> {
        let stage = plan.stages.get(s)?;
        let kept = s >= plan.first_kept;
        let frame = &stage.frame;
        let (x, y) = (frame.input.len() * lanes, frame.output.len() * lanes);
        let codes = codes_len(stage, lanes, kept);
        if !kept {
            return Parts::alternating(plan.first_kept - 1 - s, (x, codes, y), memory);
        }
        let mut rest = memory;
        for before in plan.stages.get(plan.first_kept..s)? {
            let length = before.frame.input.len() * lanes + codes_len(before, lanes, true);
            rest = rest.get_mut(length..)?;
        }
        let (x, rest) = rest.split_at_mut_checked(x)?;
        let (codes, rest) = rest.split_at_mut_checked(codes)?;
        let (y, rest) = rest.split_at_mut_checked(y)?;
        Some(Parts { x, codes, y, rest })
    }

    /// The memory of a stage that is not kept and has `after` more such stages behind it: maps
    /// alternate between the two ends of `memory`, each taking the place of the last but one, so
    /// that the one that is kept comes to lie at the beginning. The lengths are those of `x`,
    /// `codes` and `y`.
    fn alternating(
        after: usize,
        (x, codes, y): (usize, usize, usize),
        memory: &'w mut [f32],
    ) -> Option<Parts<'w>> {
        let y_is_low = after.is_multiple_of(2);
        let (low, high) = if y_is_low { (y, x) } else { (x, y) };
        let (low, rest) = memory.split_at_mut_checked(low)?;
        let (rest, high) = rest.split_at_mut_checked(rest.len().checked_sub(high)?)?;
        let (codes, rest) = rest.split_at_mut_checked(codes)?;
        let (x, y) = if y_is_low { (high, low) } else { (low, high) };
        Some(Parts { x, codes, y, rest })
    }
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}
