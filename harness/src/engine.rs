//! Gradients and evaluations of a whole batch, on several threads and ranks, with the same bits for
//! any number of them.
//!
//! A batch is cut into at most [`CHUNKS`] chunks of whole lane blocks; how depends on its length
//! alone. Each chunk's gradient is summed on its own, and the chunks are added in order. Threads and
//! ranks only decide who works on which chunk. Where there are twice as many threads as chunks, or
//! more, a team of them computes each chunk's gradient together, with the same bits.
//!
//! The workers stay for the engine's life. Between steps they spin for a short while, since the
//! next step is usually microseconds away, and then sleep.

mod job;
mod shared;
mod team;

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use secant::network::Network;
use secant::{Affine, Curvature, DropoutKey, LayerInputs, Metrics};
use serde::{Deserialize, Serialize};

use crate::data::dataset::Part;
use crate::model::{MAX_LAYERS, Net};
use crate::ranks::{COUNTS, Ranks};
use crate::workspace::Workspace;
use job::{JobPlan, Kind, Sum};
use shared::Shared;
use team::MOST;

/// Samples that go through a kernel side by side: part of what the bits depend on.
pub const LANES: usize = 16;

/// Most chunks of a batch: part of what the bits depend on.
pub const CHUNKS: usize = 8;

/// Is shown the inputs of layers; see [`Network::accumulate_gradient_observed`].
pub type Observe<'o> = &'o mut dyn FnMut(LayerInputs<'_>, &mut [f32]);

/// Floats from which on all threads add up the gradient: fewer are added in less time than threads
/// take to meet.
const LARGE: usize = 16 * 1024;

/// Computes on one network and one set of samples.
pub struct Engine {
    shared: Arc<Shared>,
    workspace: Workspace,
    workers: Vec<JoinHandle<()>>,
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

/// Pieces of a sum of `count` elements that `threads` add up.
fn piece_count(count: usize, threads: usize) -> usize {
    if count < LARGE { 0 } else { threads }
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

/// Floats that an engine holds, at most: a workspace for each thread, the chunks' gradients, their
/// sum, the parameters, and what threads exchange.
pub fn floats(network: &Net, threads: usize) -> u64 {
    let threads = useful(threads);
    let workspaces = (workspace_len(network, threads) as u64).saturating_mul(threads as u64);
    // Twice half a map or less each, of a workspace that has it and two gradients of it.
    let exchanged = if threads > 1 { workspaces / 2 } else { 0 };
    let gradients = CHUNKS.max(threads) as u64 + 2;
    let own = gradients * network.parameter_count() as u64;
    workspaces.saturating_add(exchanged).saturating_add(own)
}

/// The same for an engine that computes products with curvature matrices.
pub fn product_floats(network: &Net, threads: usize) -> u64 {
    let workspace = network.curvature_workspace_len(LANES) as u64;
    let workspaces = workspace.saturating_mul(useful(threads) as u64);
    let own = workspaces.saturating_add(network.parameter_count() as u64);
    own.saturating_add(floats(network, threads))
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
        let shared = Shared::new(network, samples, scalings, class_weights, threads);
        let shared = Arc::new(shared);
        // A thread that starts late on a busy machine would allocate its workspace in the midst of
        // training.
        let (ready, started) = mpsc::channel();
        let spawn = |index| {
            let (shared, ready) = (Arc::clone(&shared), ready.clone());
            // The system may allow fewer threads: those that there are do all the work.
            let work = move || shared.serve(index, room, &ready);
            thread::Builder::new().spawn(work).ok()
        };
        let workers: Vec<_> = (1..threads).map_while(spawn).collect();
        drop(ready);
        started.iter().take(workers.len()).for_each(drop);
        Engine {
            shared,
            workspace: Workspace::new(room),
            workers,
            ranks: Ranks::alone(),
        }
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
        if self.workspace.len() < workspace_len {
            self.workspace = Workspace::new(workspace_len);
        }
        let sum = Sum::Gradient(dropout);
        self.add_up(sum, parameters, indices, gradient, Some(observe))
    }

    /// Overwrites `target` with what the chunks add up to.
    fn add_up(
        &mut self,
        sum: Sum,
        parameters: &[f32],
        indices: &[u32],
        target: &mut [f32],
        mut observe: Option<Observe<'_>>,
    ) -> Metrics {
        if self.ranks.count() > 1 {
            let own = self.ranks.own(chunk_count(indices.len()));
            let kind = Kind::Sum(sum);
            let team = self.run(kind, parameters, indices, own.clone(), None, observe);
            return self.join(own, team, target);
        }
        if !self.workers.is_empty() {
            let all = 0..chunk_count(indices.len());
            let kind = Kind::Sum(sum);
            let target = Some(target);
            let team = self.run(kind, parameters, indices, all.clone(), target, observe);
            return self.tally(all, team, Metrics::NONE);
        }
        // One thread adds each chunk's part while it lies in the cache, and needs memory for one
        // alone.
        let shared = &self.shared;
        let mut chunk = shared.chunk(0);
        chunk.sum.resize(target.len(), 0.0);
        let mut total = Metrics::default();
        for c in 0..chunk_count(indices.len()) {
            let part = if c == 0 {
                &mut *target
            } else {
                &mut chunk.sum[..]
            };
            let batch = shared.batch(indices, c);
            let workspace = self.workspace.floats();
            total += shared.overwrite(sum, parameters, batch, part, workspace, observe.take());
            if c > 0 {
                for (sum, part) in target.iter_mut().zip(&chunk.sum) {
                    *sum += part;
                }
            }
        }
        total
    }

    /// Overwrites `product` with the curvature matrix of the mean loss of the samples `indices`,
    /// without dropout, times `vector`: see [`Network::curvature_product`]. The same bits for any
    /// number of threads. The first call makes the workspaces longer.
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
        {
            let own = self.shared.vector.write();
            let mut own = own.unwrap_or_else(PoisonError::into_inner);
            own.clear();
            own.extend_from_slice(vector);
        }
        let sum = Sum::Product(curvature);
        self.shared.make_room(sum, &mut self.workspace);
        self.add_up(sum, parameters, indices, product, None)
    }

    /// Adds the tallies of the chunks `own` to those before.
    fn tally(&self, own: Range<usize>, team: usize, mut total: Metrics) -> Metrics {
        for c in own {
            total += self.shared.chunk(c * team).tally;
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
            self.shared.collect(own.clone(), team, piece.start, sums);
        };
        unpack(self.ranks.fold(target, &mut count, &mut add))
    }

    /// Losses and right answers of the samples `indices`, without dropout, and how far their outputs
    /// are from their targets: all from one forward pass.
    ///
    /// # Panics
    /// When `indices` names a sample that is not there, or `parameters` has not the network's
    /// parameter count.
    pub fn evaluate(&mut self, parameters: &[f32], indices: &[u32]) -> (Metrics, Errors) {
        let own = self.ranks.own(chunk_count(indices.len()));
        let kind = Kind::Evaluation;
        self.run(kind, parameters, indices, own.clone(), None, None);
        let take = |c| {
            let mut chunk = self.shared.chunk(c);
            let Metrics {
                loss,
                correct,
                count,
            } = chunk.tally;
            ((loss, correct, count), std::mem::take(&mut chunk.errors))
        };
        let own: Vec<_> = own.map(take).collect();
        let (mut total, mut errors) = (Metrics::NONE, self.shared.no_errors());
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

    /// Computes the chunks `own`; returns how many threads have worked on each. With a `target`,
    /// which takes all chunks and other threads than this, it is overwritten with their sum. What is
    /// observed, of the first chunk of all, falls to the caller's thread; a rank that has not this
    /// chunk computes the part that is seen beside its own.
    fn run(
        &mut self,
        kind: Kind,
        parameters: &[f32],
        indices: &[u32],
        own: Range<usize>,
        target: Option<&mut [f32]>,
        mut observe: Option<Observe<'_>>,
    ) -> usize {
        let shared = &self.shared;
        let team = match kind {
            Kind::Sum(Sum::Gradient(_)) => team_size(self.workers.len() + 1, own.len()),
            _ => 1,
        };
        if own.start > 0
            && let Some(observe) = observe.take()
        {
            let workspace = self.workspace.floats();
            shared.look(kind, parameters, indices, workspace, observe);
        }
        if self.workers.is_empty() {
            let workspace = self.workspace.floats();
            for c in own {
                let observe = observe.take();
                shared.work(c, kind, parameters, indices, workspace, observe);
            }
            return team;
        }
        // Alone with a chunk, the caller's thread shows it before it takes others.
        let shown = usize::from(observe.is_some() && team == 1);
        let parts = own.len() * team;
        let helpers = parts.saturating_sub(1).min(self.workers.len());
        let count = target.as_ref().map_or(0, |target| target.len());
        let plan = JobPlan {
            chunks: own.start + shown..own.end,
            team,
            parts,
            pieces: piece_count(count, helpers + 1),
        };
        shared.post(kind, parameters, indices, plan.clone());
        for worker in self.workers.iter().take(helpers) {
            worker.thread().unpark();
        }
        if shown > 0 {
            let (workspace, observe) = (self.workspace.floats(), observe.take());
            shared.work(0, kind, parameters, indices, workspace, observe);
            shared.done.fetch_add(1, Ordering::AcqRel);
        }
        shared.take_chunks(0, &mut self.workspace, observe);
        shared.wait_for_chunks(&plan);
        if let Some(target) = target {
            shared.sum_up(&plan, target);
        }
        team
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if thread::panicking() {
            // Others of its team would wait for this thread.
            self.shared.failed.store(true, Ordering::Release);
        }
        self.shared.post(Kind::Stop, &[], &[], JobPlan::default());
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // A worker that has panicked has told so already.
            let _ = worker.join();
        }
    }
}
