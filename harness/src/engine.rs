//! Gradients and evaluations of a whole batch, on several threads and ranks, with the same bits for
//! any number of them.
//!
//! A batch is cut into at most [`CHUNKS`] chunks of whole lane blocks; how depends on its length
//! alone. Each chunk's gradient is summed on its own, and the chunks are added in order. Threads
//! and ranks only decide who works on which chunk. Where there are twice as many threads as chunks,
//! or more, a team of them computes each chunk's gradient together, with the same bits.
//!
//! The same threads serve what an optimiser does between gradients: [`Engine::share`].

mod chunks;
mod team;
mod threads;

use std::ops::Range;
use std::sync::Arc;

use secant::network::Network;
use secant::{Affine, Curvature, DropoutKey, LayerInputs, Metrics};
use serde::{Deserialize, Serialize};

use crate::data::dataset::Part;
use crate::model::{MAX_LAYERS, Net};
use crate::ranks::{COUNTS, Ranks};
use crate::workspace::Workspace;
use chunks::{Chunks, Job, Kind, Plan, Sum};
use team::MOST;
use threads::{Threads, wait};

/// Samples that go through a kernel side by side: part of what the bits depend on.
pub const LANES: usize = 16;

/// Most chunks of a batch: part of what the bits depend on.
pub const CHUNKS: usize = 8;

/// Is shown the inputs of layers; see [`Network::accumulate_gradient_observed`].
pub type Observe<'o> = &'o mut dyn FnMut(LayerInputs<'_>, &mut [f32]);

/// Floats of the gradient that are added up in about the time that it takes threads to meet.
const LEAST: usize = 8 * 1024;

/// Computes on one network and one set of samples.
pub struct Engine {
    chunks: Chunks,
    threads: Threads,
    ranks: Ranks,
}

/// How far outputs are from targets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// Of each output the sum of squared differences over the samples; empty where the targets are
    /// classes.
    pub squares: Vec<f64>,
    /// Outputs above 0 whose target is 0.5 or more, and others whose target is less.
    pub right: u64,
    /// Of each sample the class of the largest output; empty where the targets are numbers.
    pub classes: Vec<u32>,
}

impl Errors {
    /// Adds a sample whose targets are numbers.
    fn add(&mut self, outputs: &[f32], targets: &[f32]) {
        for ((sum, z), t) in self.squares.iter_mut().zip(outputs).zip(targets) {
            let error = f64::from(*z) - f64::from(*t);
            *sum += error * error;
            self.right += u64::from((*z > 0.0) == (*t >= 0.5));
        }
    }
}

/// The chunks of a batch of `count` samples: whole lane blocks, as equal as they can be.
fn chunk_count(count: usize) -> usize {
    count.div_ceil(LANES).min(CHUNKS)
}

/// Threads that work on each of so many chunks.
fn team_size(threads: usize, chunks: usize) -> usize {
    (threads / chunks.max(1)).clamp(1, MOST)
}

/// Threads of use.
fn useful(threads: usize) -> usize {
    threads.clamp(1, CHUNKS * MOST)
}

/// Floats of a thread's workspace: a team of two needs most.
fn workspace_len(network: &Net, threads: usize) -> usize {
    network.shared_workspace_len(LANES, threads.min(2))
}

/// Floats that an engine holds, at most: a workspace for each thread, the chunks' gradients, and
/// what threads exchange.
pub fn floats(network: &Net, threads: usize) -> u64 {
    let threads = useful(threads);
    let workspaces = (workspace_len(network, threads) as u64).saturating_mul(threads as u64);
    // Twice half a map or less each, of a workspace that has it and two gradients of it.
    let exchanged = if threads > 1 { workspaces / 2 } else { 0 };
    let own = CHUNKS.max(threads) as u64 * network.parameter_count() as u64;
    workspaces.saturating_add(exchanged).saturating_add(own)
}

/// The same for an engine that computes products with curvature matrices.
pub fn product_floats(network: &Net, threads: usize) -> u64 {
    let workspace = network.curvature_workspace_len(LANES) as u64;
    let workspaces = workspace.saturating_mul(useful(threads) as u64);
    workspaces.saturating_add(floats(network, threads))
}

impl Engine {
    /// An engine on `threads` threads, the caller's among them. `scalings` is one for all channels,
    /// or one for each; `class_weights` has a factor for each class, or nothing.
    pub fn new(
        network: Network<'static, MAX_LAYERS>,
        samples: Arc<Part>,
        scalings: Vec<Affine>,
        class_weights: Vec<f32>,
        threads: usize,
    ) -> Engine {
        let threads = useful(threads);
        let room = workspace_len(&network, threads);
        Engine {
            chunks: Chunks::new(network, samples, scalings, class_weights, threads),
            threads: Threads::new(threads, room),
            ranks: Ranks::alone(),
        }
    }

    /// Threads that there are, the caller's among them.
    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    /// The length of parts into which `count` elements are to be cut for [`share`](Engine::share),
    /// `least` being what takes as long as it takes threads to meet.
    pub fn part_len(&self, count: usize, least: usize) -> usize {
        let threads = self.threads();
        if threads == 1 || count < 2 * least {
            // A network may have no parameters.
            return count.max(1);
        }
        // Two for each thread, since some come late, and whole lines of the cache.
        let len = count.div_ceil(2 * threads).max(least);
        len.next_multiple_of(16)
    }

    /// Does `work` for all `tasks`, each on some thread, in no certain order. Takes a few
    /// microseconds beside what the tasks do, where there is more than one.
    ///
    /// # Panics
    /// When `work` does.
    pub fn share<T: Send>(&mut self, tasks: impl Iterator<Item = T>, work: impl Fn(T) + Sync) {
        self.threads.share(tasks, work);
    }

    /// The same, with each batch divided among `ranks`. All of them then make the same calls with
    /// the same arguments, and get the same answers.
    pub fn on(mut self, ranks: &Ranks) -> Engine {
        self.ranks = ranks.clone();
        self
    }

    /// Overwrites `gradient` with the gradient of the mean loss of the samples `indices`.
    ///
    /// # Panics
    /// When `indices` is empty or names a sample that is not there, or a slice has not the
    /// network's parameter count.
    pub fn gradient(
        &mut self,
        parameters: &[f32],
        indices: &[u32],
        dropout: Option<DropoutKey>,
        gradient: &mut [f32],
    ) -> Metrics {
        self.add_up(Sum::Gradient(dropout), parameters, indices, gradient, None)
    }

    /// [`gradient`](Engine::gradient), with the same bits, that shows the inputs of the layers,
    /// from the batch's first [`LANES`] samples, to `observe`. The workspace has at least
    /// `workspace_len` floats.
    ///
    /// # Panics
    /// As [`gradient`](Engine::gradient).
    pub fn gradient_observed(
        &mut self,
        parameters: &[f32],
        indices: &[u32],
        dropout: Option<DropoutKey>,
        gradient: &mut [f32],
        workspace_len: usize,
        observe: Observe<'_>,
    ) -> Metrics {
        let workspace = self.threads.workspace();
        if workspace.len() < workspace_len {
            *workspace = Workspace::new(workspace_len);
        }
        let sum = Sum::Gradient(dropout);
        self.add_up(sum, parameters, indices, gradient, Some(observe))
    }

    /// Overwrites `target` with what the chunks add up to.
    fn add_up(
        &mut self,
        sum: Sum<'_>,
        parameters: &[f32],
        indices: &[u32],
        target: &mut [f32],
        mut observe: Option<Observe<'_>>,
    ) -> Metrics {
        assert!(!indices.is_empty(), "a batch has samples");
        let job = Job {
            kind: Kind::Sum(sum),
            parameters,
            indices,
        };
        let all = 0..chunk_count(indices.len());
        if self.ranks.count() > 1 {
            let own = self.ranks.own(all.end);
            let team = self.run(job, own.clone(), observe);
            return self.join(own, team, target);
        }
        if self.threads() > 1 {
            let team = self.run(job, all.clone(), observe);
            self.collect(all.clone(), team, target);
            return self.tally(all, team, Metrics::NONE);
        }
        // One thread adds each chunk's part while it lies in the cache, and needs memory for one
        // alone.
        let chunks = &self.chunks;
        let mut chunk = chunks.chunk(0);
        chunk.sum.resize(target.len(), 0.0);
        let mut total = Metrics::default();
        for c in all {
            let part = if c == 0 {
                &mut *target
            } else {
                &mut chunk.sum[..]
            };
            let batch = chunks.batch(indices, c);
            let workspace = self.threads.workspace().floats();
            total += chunks.overwrite(sum, parameters, batch, part, workspace, observe.take());
            if c > 0 {
                for (sum, part) in target.iter_mut().zip(&chunk.sum) {
                    *sum += part;
                }
            }
        }
        total
    }

    /// Overwrites `target` with the sum of the chunks, of which all threads add up pieces where it
    /// is long.
    fn collect(&mut self, all: Range<usize>, team: usize, target: &mut [f32]) {
        let chunks = &self.chunks;
        let len = self.part_len(target.len(), LEAST);
        let pieces = target.chunks_mut(len).enumerate();
        self.threads.share(pieces, |(piece, target)| {
            chunks.collect(all.clone(), team, piece * len, target);
        });
    }

    /// Overwrites `product` with the curvature matrix of the mean loss of the samples `indices`,
    /// without dropout, times `vector`: see [`Network::curvature_product`]. The same bits for any
    /// number of threads. A thread's first chunk makes its workspace longer.
    ///
    /// # Panics
    /// As [`gradient`](Engine::gradient).
    pub fn curvature_product(
        &mut self,
        curvature: Curvature,
        parameters: &[f32],
        indices: &[u32],
        vector: &[f32],
        product: &mut [f32],
    ) -> Metrics {
        let sum = Sum::Product(curvature, vector);
        self.chunks.make_room(sum, self.threads.workspace());
        self.add_up(sum, parameters, indices, product, None)
    }

    /// Adds the tallies of the chunks `own` to those before.
    fn tally(&self, own: Range<usize>, team: usize, mut total: Metrics) -> Metrics {
        for c in own {
            total += self.chunks.computed(c * team).tally;
        }
        total
    }

    /// Overwrites `target` with the sum of all ranks' chunks; this one has the chunks `own`.
    fn join(&self, own: Range<usize>, team: usize, target: &mut [f32]) -> Metrics {
        let pack =
            |m: Metrics| -> [u64; COUNTS] { [m.loss.to_bits(), m.correct.into(), m.count.into()] };
        let unpack = |[loss, correct, count]: [u64; COUNTS]| Metrics {
            loss: f64::from_bits(loss),
            correct: correct as u32,
            count: count as u32,
        };
        let mut count = |counts: &mut [u64; COUNTS]| {
            *counts = pack(self.tally(own.clone(), team, unpack(*counts)));
        };
        let mut add = |piece: Range<usize>, sums: &mut [f32]| {
            self.chunks.collect(own.clone(), team, piece.start, sums);
        };
        unpack(self.ranks.fold(target, &mut count, &mut add))
    }

    /// Losses and right answers of the samples `indices`, without dropout, and how far their
    /// outputs are from their targets: all from one forward pass.
    ///
    /// # Panics
    /// When `indices` names a sample that is not there, or `parameters` has not the network's
    /// parameter count.
    pub fn evaluate(&mut self, parameters: &[f32], indices: &[u32]) -> (Metrics, Errors) {
        let own = self.ranks.own(chunk_count(indices.len()));
        let job = Job {
            kind: Kind::Evaluation,
            parameters,
            indices,
        };
        self.run(job, own.clone(), None);
        let take = |c| {
            let mut chunk = self.chunks.chunk(c);
            let Metrics {
                loss,
                correct,
                count,
            } = chunk.tally;
            ((loss, correct, count), std::mem::take(&mut chunk.errors))
        };
        let own: Vec<_> = own.map(take).collect();
        let (mut total, mut errors) = (Metrics::NONE, self.chunks.no_errors());
        for ((loss, correct, count), mut own) in self.ranks.all(own).into_iter().flatten() {
            total += Metrics {
                loss,
                correct,
                count,
            };
            for (sum, own) in errors.squares.iter_mut().zip(&own.squares) {
                *sum += own;
            }
            errors.right += own.right;
            errors.classes.append(&mut own.classes);
        }
        (total, errors)
    }

    /// Computes the chunks `own`; returns how many threads have worked on each. What is observed,
    /// of the first chunk of all, falls to the caller's thread; a rank that has not this chunk
    /// computes the part that is seen beside its own.
    fn run(&mut self, job: Job<'_>, own: Range<usize>, mut observe: Option<Observe<'_>>) -> usize {
        let chunks = &self.chunks;
        let team = match job.kind {
            Kind::Sum(Sum::Gradient(_)) => team_size(self.threads.count(), own.len()),
            _ => 1,
        };
        if own.start > 0
            && let Some(observe) = observe.take()
        {
            let workspace = self.threads.workspace().floats();
            chunks.look(job, workspace, observe);
        }
        // Alone with a chunk, the caller's thread shows it before it takes others.
        let shown = usize::from(observe.is_some() && team == 1);
        let helpers = (own.len() * team).saturating_sub(1);
        let plan = Plan::new(own.start + shown..own.end, team);
        let failed = Arc::clone(self.threads.failed());
        chunks.begin();
        let work = |thread: usize, workspace: &mut Workspace| {
            chunks.work(job, &plan, thread, workspace, None, &failed);
        };
        self.threads.run(helpers, &work, |workspace| {
            if shown > 0 {
                chunks.compute(0, job, workspace.floats(), observe.take());
            }
            chunks.work(job, &plan, 0, workspace, observe, &failed);
            // A team needs all of its members.
            wait(&failed, || chunks.all_have_come(&plan));
        });
        team
    }
}
