//! Gradients and evaluations of a whole batch, on several threads and ranks, with the same bits for
//! any number of them.
//!
//! A batch is cut into at most [`CHUNKS`] chunks of whole lane blocks; how depends on its length
//! alone. Each chunk's gradient is summed on its own, and the chunks are added in order. Threads and
//! ranks only decide who works on which chunk. Where there are twice as many threads as chunks, or
//! more, a [team](team) of them computes each chunk's gradient together, with the same bits.
//!
//! The workers stay for the engine's life. Between steps they spin for a short while, since the
//! next step is usually microseconds away, and then sleep.

mod team;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, mpsc};
use std::thread::{self, JoinHandle};

use secant::network::Network;
use secant::{
    Affine, Batch, Curvature, DropoutKey, LayerInputs, Metrics, PassError, Share, SharedMap,
    Targets, argmax,
};
use serde::{Deserialize, Serialize};

use crate::data::dataset::Part;
use crate::model::{MAX_LAYERS, Net};
use crate::ranks::{COUNTS, Ranks};
use crate::workspace::Workspace;
use team::{MOST, Patience, Team, wait};

/// Samples that go through a kernel side by side: part of what the bits depend on.
pub const LANES: usize = 16;

/// Most chunks of a batch: part of what the bits depend on.
pub const CHUNKS: usize = 8;

/// Is shown the inputs of layers; see [`Network::accumulate_gradient_observed`].
pub type Observe<'o> = &'o mut dyn FnMut(LayerInputs<'_>, &mut [f32]);

/// Floats from which on all threads add up the gradient: fewer are added in less time than threads
/// take to meet.
const LARGE: usize = 16 * 1024;

/// Floats of the gradient that are added up at a time: 8 KiB.
const PIECE: usize = 2048;

/// Computes on one network and one set of samples.
pub struct Engine {
    shared: Arc<Shared>,
    workspace: Workspace,
    workers: Vec<JoinHandle<()>>,
    ranks: Ranks,
}

/// What the threads share.
struct Shared {
    network: Network<'static, MAX_LAYERS>,
    samples: Arc<Part>,
    scalings: Vec<Affine>,
    class_weights: Vec<f32>,
    job: RwLock<Job>,
    /// What a curvature matrix is multiplied with.
    vector: RwLock<Vec<f32>>,
    /// Of each chunk what each member of its team has.
    chunks: Vec<Mutex<Chunk>>,
    teams: [Team; CHUNKS],
    /// Which elements of the gradient each member computes, for teams of one, two and so on.
    shares: Vec<Vec<(usize, Range<usize>)>>,
    /// Pieces of the sum of all chunks that workers have added up, and which nobody has begun.
    pieces: Vec<Mutex<Vec<f32>>>,
    next_piece: AtomicUsize,
    added: AtomicUsize,
    /// Number of the job; changes when there is a new one.
    generation: AtomicU64,
    /// The next chunk that nobody has taken. Set back only while the job is locked for writing.
    next: AtomicUsize,
    /// Chunks, or members' shares of chunks, that are done.
    done: AtomicUsize,
    /// A worker has panicked: its chunk will never be done.
    failed: AtomicBool,
}

/// What is to be computed.
#[derive(Default)]
struct Job {
    kind: Kind,
    parameters: Vec<f32>,
    indices: Vec<u32>,
    number: u64,
    plan: JobPlan,
}

/// Who does what of a job.
#[derive(Clone, Default)]
struct JobPlan {
    /// The chunks that are nobody's yet.
    chunks: Range<usize>,
    /// Threads that work on a chunk. Teams of more than one have a chunk each.
    team: usize,
    /// Members' parts of all chunks.
    parts: usize,
    /// Pieces in which all threads add up the chunks; 0 where the caller's does it alone.
    pieces: usize,
}

impl JobPlan {
    /// The elements of a piece, of `count` in all: whole lines of the cache.
    fn piece(&self, piece: usize, count: usize) -> Range<usize> {
        let bound = |piece: usize| (piece * count.div_ceil(16) / self.pieces * 16).min(count);
        bound(piece)..bound(piece + 1)
    }
}

/// What the chunks add up to, a number for each parameter.
#[derive(Clone, Copy, PartialEq)]
enum Sum {
    Gradient(Option<DropoutKey>),
    Product(Curvature),
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Kind {
    Sum(Sum),
    Evaluation,
    #[default]
    Stop,
}

/// One chunk's result.
#[derive(Default)]
struct Chunk {
    /// Or its product with a curvature matrix.
    sum: Vec<f32>,
    tally: Metrics,
    errors: Errors,
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

/// The sums of a pass whose arguments belong to the engine's network.
fn belongs(sums: Result<Metrics, PassError>) -> Metrics {
    sums.expect("the parameters and the samples belong to the network")
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

/// Floats that an engine holds, at most: a workspace for each thread, the chunks' gradients, what
/// members exchange, at most two maps each, and the parameters.
pub fn floats(network: &Net, threads: usize) -> u64 {
    let threads = useful(threads);
    let workspaces = (workspace_len(network, threads) as u64).saturating_mul(threads as u64);
    let gradients = CHUNKS.max(threads) as u64 + 1;
    workspaces.saturating_add(gradients * network.parameter_count() as u64)
}

/// The same for an engine that computes products with curvature matrices.
pub fn product_floats(network: &Net, threads: usize) -> u64 {
    let workspace = network.curvature_workspace_len(LANES) as u64;
    let workspaces = workspace.saturating_mul(useful(threads) as u64);
    let own = workspaces.saturating_add(network.parameter_count() as u64);
    own.saturating_add(floats(network, threads))
}

/// The samples of chunk `chunk`.
fn chunk_range(count: usize, chunk: usize) -> Range<usize> {
    let (blocks, chunks) = (count.div_ceil(LANES), chunk_count(count));
    let bound = |chunk: usize| (chunk * blocks / chunks * LANES).min(count);
    bound(chunk)..bound(chunk + 1)
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
        let shares = |count| {
            let mut shares = Vec::new();
            network.gradient_shares::<LANES>(count, |member, range| shares.push((member, range)));
            shares
        };
        let shared = Arc::new(Shared {
            network,
            samples,
            scalings,
            class_weights,
            job: RwLock::default(),
            vector: RwLock::default(),
            chunks: (0..CHUNKS * MOST).map(|_| Mutex::default()).collect(),
            teams: Default::default(),
            shares: (1..=threads.min(MOST)).map(shares).collect(),
            pieces: (0..threads).map(|_| Mutex::default()).collect(),
            next_piece: AtomicUsize::new(0),
            added: AtomicUsize::new(0),
            generation: AtomicU64::new(0),
            next: AtomicUsize::new(CHUNKS),
            done: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
        });
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

impl Shared {
    fn chunk(&self, c: usize) -> MutexGuard<'_, Chunk> {
        self.chunks[c]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the parts of the chunks `own`, which teams of `team` have computed, from element
    /// `start` on, to what `target` has of those before; the first chunk of all overwrites it.
    fn collect(&self, own: Range<usize>, team: usize, start: usize, target: &mut [f32]) {
        let shares = &self.shares[team - 1];
        let mut share = shares.partition_point(|(_, range)| range.end <= start);
        let (mut rest, mut from) = (target, start);
        while let (false, Some((member, range))) = (rest.is_empty(), shares.get(share)) {
            // A piece that stays in the cache at a time: each chunk is read once, `target` written
            // once.
            let len = PIECE.min(range.end - from).min(rest.len());
            let (sums, behind) = rest.split_at_mut(len);
            for c in own.clone() {
                let chunk = self.chunk(c * team + member);
                let part = &chunk.sum[from..from + len];
                if c == 0 {
                    sums.copy_from_slice(part);
                } else {
                    for (sum, g) in sums.iter_mut().zip(part) {
                        *sum += g;
                    }
                }
            }
            (rest, from) = (behind, from + len);
            if from == range.end {
                share += 1;
            }
        }
    }

    fn piece(&self, p: usize) -> MutexGuard<'_, Vec<f32>> {
        let piece = self.pieces[p].lock();
        piece.unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts up a new job.
    fn post(&self, kind: Kind, parameters: &[f32], indices: &[u32], plan: JobPlan) {
        let mut job = self.job.write().unwrap_or_else(PoisonError::into_inner);
        job.kind = kind;
        job.parameters.clear();
        job.parameters.extend_from_slice(parameters);
        job.indices.clear();
        job.indices.extend_from_slice(indices);
        self.next.store(plan.chunks.start, Ordering::Release);
        for count in [&self.done, &self.next_piece, &self.added] {
            count.store(0, Ordering::Release);
        }
        self.teams.iter().for_each(Team::begin);
        job.plan = plan;
        job.number += 1;
        self.generation.store(job.number, Ordering::Release);
    }

    /// Makes a workspace as long as such a sum needs.
    fn make_room(&self, sum: Sum, workspace: &mut Workspace) {
        if let Sum::Product(_) = sum {
            let needed = self.network.curvature_workspace_len(LANES);
            if workspace.len() < needed {
                *workspace = Workspace::new(needed);
            }
        }
    }

    /// Works on chunks of the job until all are taken, or on the share that thread `thread` has of
    /// its team's chunk; returns the job's number, or `None` if there will be no other job.
    fn take_chunks(
        &self,
        thread: usize,
        workspace: &mut Workspace,
        observe: Option<Observe<'_>>,
    ) -> Option<u64> {
        let job = self.job.read().unwrap_or_else(PoisonError::into_inner);
        if job.kind == Kind::Stop {
            return None;
        }
        if let Kind::Sum(sum) = job.kind {
            self.make_room(sum, workspace);
        }
        let workspace = workspace.floats();
        let plan = &job.plan;
        if plan.team > 1 {
            self.work_together(&job, thread, workspace, observe);
        } else {
            loop {
                let c = self.next.fetch_add(1, Ordering::AcqRel);
                if c >= plan.chunks.end {
                    break;
                }
                self.work(c, job.kind, &job.parameters, &job.indices, workspace, None);
                self.done.fetch_add(1, Ordering::AcqRel);
            }
        }
        if plan.pieces > 0 && thread > 0 {
            self.wait_for_chunks(plan);
            self.add_pieces(plan, job.parameters.len());
        }
        Some(job.number)
    }

    fn wait_for_chunks(&self, plan: &JobPlan) {
        wait(&self.failed, || {
            self.done.load(Ordering::Acquire) >= plan.parts
        });
    }

    /// Adds up pieces of the chunks' sum that nobody has begun.
    fn add_pieces(&self, plan: &JobPlan, count: usize) {
        while let Some((p, range)) = self.take_piece(plan, count) {
            let mut piece = self.piece(p);
            piece.resize(range.len(), 0.0);
            self.collect(0..plan.chunks.end, plan.team, range.start, &mut piece);
            self.added.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// A piece of `count` elements that nobody has begun: its number, and its elements.
    fn take_piece(&self, plan: &JobPlan, count: usize) -> Option<(usize, Range<usize>)> {
        let p = self.next_piece.fetch_add(1, Ordering::AcqRel);
        (p < plan.pieces).then(|| (p, plan.piece(p, count)))
    }

    /// Overwrites `target` with the sum of all chunks, of which other threads add up pieces, too.
    fn sum_up(&self, plan: &JobPlan, target: &mut [f32]) {
        let all = 0..plan.chunks.end;
        if plan.pieces == 0 {
            self.collect(all, plan.team, 0, target);
            return;
        }
        while let Some((p, range)) = self.take_piece(plan, target.len()) {
            let piece = &mut target[range.clone()];
            self.collect(all.clone(), plan.team, range.start, piece);
            // Nothing to fetch.
            self.piece(p).clear();
            self.added.fetch_add(1, Ordering::AcqRel);
        }
        wait(&self.failed, || {
            self.added.load(Ordering::Acquire) >= plan.pieces
        });
        let count = target.len();
        for p in 0..plan.pieces {
            let piece = self.piece(p);
            target[plan.piece(p, count).start..][..piece.len()].copy_from_slice(&piece);
        }
    }

    /// Computes a thread's share of a chunk's gradient; nothing where there are more threads than
    /// teams need.
    fn work_together(
        &self,
        job: &Job,
        thread: usize,
        workspace: &mut [f32],
        observe: Option<Observe<'_>>,
    ) {
        let plan = &job.plan;
        let (team, member) = (thread / plan.team, thread % plan.team);
        let c = plan.chunks.start + team;
        let Kind::Sum(Sum::Gradient(dropout)) = job.kind else {
            return;
        };
        if c >= plan.chunks.end {
            return;
        }
        let mut chunk = self.chunk(c * plan.team + member);
        let batch = self.batch(&job.indices, c).dropout(dropout);
        let parameters = &job.parameters;
        chunk.sum.resize(parameters.len(), 0.0);
        let mut meeting = self.teams[team].member(&self.failed, member, plan.team);
        let mut exchange = |maps: &mut [SharedMap<'_>]| meeting.exchange(maps);
        let share = Share::new(member, plan.team, &mut exchange);
        let network = &self.network;
        let sum = &mut chunk.sum;
        let tally =
            network.shared_gradient::<LANES>(parameters, batch, sum, workspace, share, observe);
        chunk.tally = belongs(tally);
        self.done.fetch_add(1, Ordering::AcqRel);
    }

    /// The life of worker `thread`.
    fn serve(&self, thread: usize, room: usize, ready: &mpsc::Sender<()>) {
        /// Tells the engine when the worker ends by a panic.
        struct Alarm<'a>(&'a AtomicBool);
        impl Drop for Alarm<'_> {
            fn drop(&mut self) {
                self.0.fetch_or(thread::panicking(), Ordering::AcqRel);
            }
        }
        let _alarm = Alarm(&self.failed);
        let mut workspace = Workspace::new(room);
        // The engine waits for this one.
        let _ = ready.send(());
        let mut seen = 0;
        loop {
            let mut patience = Patience::default();
            while self.generation.load(Ordering::Acquire) == seen {
                if !patience.pass() {
                    thread::park();
                }
            }
            // It may be a later job by now.
            match self.take_chunks(thread, &mut workspace, None) {
                Some(number) => seen = number,
                None => return,
            }
        }
    }

    /// Computes chunk `c`.
    fn work(
        &self,
        c: usize,
        kind: Kind,
        parameters: &[f32],
        indices: &[u32],
        workspace: &mut [f32],
        observe: Option<Observe<'_>>,
    ) {
        let mut chunk = self.chunk(c);
        let batch = self.batch(indices, c);
        chunk.tally = match kind {
            Kind::Sum(sum) => {
                chunk.sum.resize(parameters.len(), 0.0);
                let target = &mut chunk.sum;
                self.overwrite(sum, parameters, batch, target, workspace, observe)
            }
            Kind::Evaluation => {
                chunk.errors = self.no_errors();
                let errors = &mut chunk.errors;
                belongs(self.evaluate_chunk(parameters, batch, errors, workspace))
            }
            Kind::Stop => Metrics::default(),
        };
    }

    /// Shows what is observed of the batch. The sum goes where that of the first chunk would, which
    /// is of another rank.
    fn look(
        &self,
        kind: Kind,
        parameters: &[f32],
        indices: &[u32],
        workspace: &mut [f32],
        observe: Observe<'_>,
    ) {
        let Kind::Sum(sum) = kind else { return };
        let mut batch = self.batch(indices, 0);
        batch.indices = &batch.indices[..batch.indices.len().min(LANES)];
        let mut chunk = self.chunk(0);
        chunk.sum.resize(parameters.len(), 0.0);
        let target = &mut chunk.sum;
        self.overwrite(sum, parameters, batch, target, workspace, Some(observe));
    }

    /// Chunk `c` of a batch.
    fn batch<'a>(&'a self, indices: &'a [u32], c: usize) -> Batch<'a> {
        let samples = self.samples.samples(&self.scalings);
        Batch::new(samples, &indices[chunk_range(indices.len(), c)])
            .weight(1.0 / indices.len() as f32)
            .class_weights(&self.class_weights)
    }

    /// Overwrites `target` with a chunk's part of a sum.
    fn overwrite(
        &self,
        sum: Sum,
        parameters: &[f32],
        batch: Batch<'_>,
        target: &mut [f32],
        workspace: &mut [f32],
        observe: Option<Observe<'_>>,
    ) -> Metrics {
        let network = &self.network;
        belongs(match (sum, observe) {
            (Sum::Gradient(dropout), None) => {
                let batch = batch.dropout(dropout);
                network.gradient::<LANES>(parameters, batch, target, workspace)
            }
            (Sum::Gradient(dropout), Some(observe)) => {
                target.fill(0.0);
                let batch = batch.dropout(dropout);
                network.accumulate_gradient_observed::<LANES>(
                    parameters, batch, target, workspace, observe,
                )
            }
            (Sum::Product(curvature), _) => {
                target.fill(0.0);
                let vector = self.vector.read().unwrap_or_else(PoisonError::into_inner);
                network.curvature_product::<LANES>(
                    curvature, parameters, &vector, batch, target, workspace,
                )
            }
        })
    }

    /// Of no samples.
    fn no_errors(&self) -> Errors {
        let numbers = match self.samples.targets {
            crate::data::elements::Targets::Values { .. } => self.network.output_len(),
            crate::data::elements::Targets::Classes(_) => 0,
        };
        Errors {
            squares: vec![0.0; numbers],
            ..Errors::default()
        }
    }

    /// The loss of a chunk, a block at a time; adds to `errors`.
    fn evaluate_chunk(
        &self,
        parameters: &[f32],
        batch: Batch<'_>,
        errors: &mut Errors,
        workspace: &mut [f32],
    ) -> Result<Metrics, PassError> {
        let width = self.network.output_len();
        let mut metrics = Metrics::default();
        let mut outputs = vec![0.0; LANES * width];
        for indices in batch.indices.chunks(LANES) {
            let outputs = &mut outputs[..indices.len() * width];
            let mut block = batch;
            block.indices = indices;
            let network = &self.network;
            metrics += network.evaluate_outputs::<LANES>(parameters, block, outputs, workspace)?;
            for (index, outputs) in indices.iter().zip(outputs.chunks_exact(width)) {
                match batch.samples.targets {
                    Targets::F32(targets) => {
                        errors.add(outputs, &targets[*index as usize * width..][..width]);
                    }
                    _ => errors.classes.push(argmax(outputs) as u32),
                }
            }
        }
        Ok(metrics)
    }
}
