//! A gradient that several callers compute together: each its share of every large layer.
//!
//! In the forward pass a caller computes some output channels of a layer; in the backward pass the
//! gradient of these channels' weights, and of some channels of the layer's input. Each is the same
//! work on fewer channels, so every sum has the terms and the order that it has in a whole pass, and
//! no bit changes. After each of these the callers exchange their shares of the map, so that each has
//! all of it. Layers that are small or have no weights every caller computes whole.
//!
//! It is the division of a layer's weights among devices of M. Shoeybi and others, *Megatron-LM*,
//! 2019, here also of one block of samples among threads, which then have no memory in common.

use core::ops::Range;

use crate::layers::Layer;
use crate::layers::max_pool2d::lanes as max_pool2d;
use crate::map::Frame;
use crate::network::Network;
use crate::plan::Plan;
use crate::plan::stage::Stage;

/// Multiply-accumulates of one sample from which on a layer is shared: with fewer the callers would
/// wait for each other about as long as they compute.
const WORTH: usize = 8192;

/// Channels that stay together: register blocks are full then.
const TOGETHER: usize = 4;

/// One of several callers that compute a gradient together; see [`Network::shared_gradient`].
pub struct Share<'a> {
    index: usize,
    count: usize,
    exchange: &'a mut dyn FnMut(&mut [SharedMap<'_>]),
}

/// A map of which each caller has computed its own ranges.
pub struct SharedMap<'a> {
    /// All of the map.
    pub values: &'a mut [f32],
    /// Whose its parts are.
    pub parts: MapParts,
}

/// Which ranges of a map each caller computes.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MapParts {
    channels: Channels,
    /// What a channel has in each plane, and how much of that a float holds: bits, or floats.
    channel: usize,
    held: usize,
    /// Floats from one plane to the next, and how many there are.
    plane: usize,
    planes: usize,
}

/// How channels are divided.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Channels {
    channels: usize,
    together: usize,
    count: usize,
}

impl Channels {
    /// Among `count` callers, whole words of a pool's winners each.
    const fn new(channels: usize, count: usize, lanes: usize) -> Channels {
        let word = 32 / lanes;
        Channels {
            channels,
            together: if word > TOGETHER { word } else { TOGETHER },
            count,
        }
    }

    /// Those of caller `index`.
    const fn of(&self, index: usize) -> Range<usize> {
        self.bound(index)..self.bound(index + 1)
    }

    const fn bound(&self, index: usize) -> usize {
        let blocks = self.channels.div_ceil(self.together);
        let bound = index * blocks / self.count * self.together;
        if bound < self.channels {
            bound
        } else {
            self.channels
        }
    }

    /// A map of so many floats a channel.
    fn of_floats(self, channel: usize, values: &mut [f32]) -> SharedMap<'_> {
        let parts = MapParts {
            channels: self,
            channel,
            held: 1,
            plane: 0,
            planes: 1,
        };
        SharedMap { values, parts }
    }

    /// Most channels of a caller.
    const fn most(&self) -> usize {
        let blocks = self.channels.div_ceil(self.together);
        let most = blocks.div_ceil(self.count) * self.together;
        if most < self.channels {
            most
        } else {
            self.channels
        }
    }
}

impl MapParts {
    /// The ranges of caller `index`.
    pub fn of(&self, index: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let MapParts {
            channels,
            channel,
            held,
            plane,
            planes,
        } = *self;
        let own = channels.of(index);
        let from = own.start * channel / held;
        let to = (own.end * channel).div_ceil(held);
        (0..planes).map(move |p| p * plane + from..p * plane + to)
    }
}

impl<'a> Share<'a> {
    /// Caller `index` of `count`. `exchange` makes maps whole: it overwrites the ranges of every
    /// other caller with what that caller has in its exchange of the same number. All callers
    /// exchange equally often, and maps of the same lengths.
    pub fn new(
        index: usize,
        count: usize,
        exchange: &'a mut dyn FnMut(&mut [SharedMap<'_>]),
    ) -> Share<'a> {
        Share {
            index,
            count: if count == 0 { 1 } else { count },
            exchange,
        }
    }

    /// Number of callers.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Whether this one computes what is not shared for all.
    pub(super) const fn is_first(&self) -> bool {
        self.index == 0
    }

    /// The caller's share of so many channels, and how they are divided.
    pub(super) const fn own(&self, channels: usize, lanes: usize) -> (Range<usize>, Channels) {
        let channels = Channels::new(channels, self.count, lanes);
        (channels.of(self.index), channels)
    }

    /// Makes the output of a stage whole, and the winners of its pool.
    pub(super) fn output(
        &mut self,
        frame: &Frame,
        lanes: usize,
        channels: Channels,
        codes: &mut [f32],
        y: &mut [f32],
    ) {
        let codes = SharedMap {
            values: codes,
            parts: MapParts {
                channels,
                channel: code_bits(frame, lanes),
                held: 32,
                plane: max_pool2d::code_plane(frame, lanes),
                planes: max_pool2d::planes(frame),
            },
        };
        let y = channels.of_floats(frame.output.plane() * lanes, y);
        (self.exchange)(&mut [codes, y]);
    }

    /// Makes the gradient of a stage's input whole.
    pub(super) fn input(
        &mut self,
        frame: &Frame,
        lanes: usize,
        channels: Channels,
        dx: &mut [f32],
    ) {
        let dx = channels.of_floats(frame.input.dense().plane() * lanes, dx);
        (self.exchange)(&mut [dx]);
    }
}

/// Bits of a channel in each plane of a pool's winners.
const fn code_bits(frame: &Frame, lanes: usize) -> usize {
    frame.output.dense().plane() * lanes
}

/// The winners of a pool's windows from a channel on, whose bits begin a word.
pub(super) fn codes_from<'c>(
    frame: &Frame,
    lanes: usize,
    channel: usize,
    codes: &'c mut [f32],
) -> &'c mut [f32] {
    match frame.pool {
        Some(_) => &mut codes[channel * code_bits(frame, lanes) / 32..],
        None => codes,
    }
}

/// Whether the work of stage `s` is shared.
pub(super) const fn is_shared(plan: &Plan<'_>, s: usize) -> bool {
    let stage = &plan.stages[s];
    let has_parts = matches!(stage.op, Layer::Conv2d(_) | Layer::Linear(_));
    has_parts && stage.multiply_accumulates() >= WORTH
}

impl Stage {
    /// The stage with those of its output channels alone.
    pub(super) const fn of_outputs(&self, own: &Range<usize>) -> Stage {
        let mut stage = *self;
        stage.frame.output.channels = own.end - own.start;
        stage
    }

    /// The stage with those of its input channels alone.
    pub(super) const fn of_inputs(&self, own: &Range<usize>) -> Stage {
        let mut stage = *self;
        stage.frame.input.channels = own.end - own.start;
        stage
    }

    /// Weights of one output for each channel of the input.
    pub(super) const fn channel_weights(&self) -> usize {
        self.weights.inputs / self.frame.input.channels
    }

    /// Floats of the weights of a caller's input channels.
    const fn gathered_len(&self, count: usize, lanes: usize) -> usize {
        let most = Channels::new(self.frame.input.channels, count, lanes).most();
        self.weights
            .outputs
            .saturating_mul(most * self.channel_weights())
    }
}

/// Copies the weights of some input channels out of those of all.
pub(super) fn gather<'t>(
    stage: &Stage,
    w: &[f32],
    own: &Range<usize>,
    target: &'t mut [f32],
) -> &'t [f32] {
    let channel = stage.channel_weights();
    let target = &mut target[..stage.outputs() * own.len() * channel];
    let rows = w.chunks_exact(stage.weights.inputs);
    for (row, target) in rows.zip(target.chunks_exact_mut(own.len() * channel)) {
        target.copy_from_slice(&row[own.start * channel..own.end * channel]);
    }
    target
}

/// Floats that a caller needs beside the workspace of a whole pass.
pub(super) const fn gathered_len(plan: &Plan<'_>, lanes: usize, count: usize) -> usize {
    let (mut most, mut s) = (0, plan.first_kept + 1);
    while s < plan.stages.len() {
        let len = plan.stages[s].gathered_len(count, lanes);
        if is_shared(plan, s) && len > most {
            most = len;
        }
        s += 1;
    }
    most
}

impl<const N: usize> Network<'_, N> {
    /// Which elements of the gradient each of `count` callers of
    /// [`shared_gradient`](Network::shared_gradient) computes: `visit(caller, elements)` in the
    /// order of the elements.
    pub fn gradient_shares<const LANES: usize>(
        &self,
        count: usize,
        mut visit: impl FnMut(usize, Range<usize>),
    ) {
        let plan = self.plan();
        for s in plan.first_trained..plan.stages.len() {
            let stage = &plan.stages[s];
            let (weights, biases) = stage.ranges();
            if count < 2 || !is_shared(&plan, s) {
                visit(0, weights.start..biases.end);
                continue;
            }
            let channels = Channels::new(stage.frame.output.channels, count, LANES);
            for (all, row) in [(weights, stage.weights.inputs), (biases, 1)] {
                for index in 0..count {
                    let own = channels.of(index);
                    visit(
                        index,
                        all.start + own.start * row..all.start + own.end * row,
                    );
                }
            }
        }
    }
}
