//! What the threads of an engine have in common, and what each of them does with it.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, mpsc};
use std::thread;

use secant::network::Network;
use secant::{Affine, Batch, Metrics, PassError, Share, SharedMap, Targets, argmax};

use super::job::{Chunk, Job, JobPlan, Kind, Sum};
use super::team::{MOST, Patience, Team, wait};
use super::{CHUNKS, Errors, LANES, Observe, chunk_count};
use crate::data::dataset::Part;
use crate::model::MAX_LAYERS;
use crate::workspace::Workspace;

/// Floats of the gradient that are added up at a time: 8 KiB.
const PIECE: usize = 2048;

/// What the threads share.
pub(super) struct Shared {
    network: Network<'static, MAX_LAYERS>,
    samples: Arc<Part>,
    scalings: Vec<Affine>,
    class_weights: Vec<f32>,
    job: RwLock<Job>,
    /// What a curvature matrix is multiplied with.
    pub vector: RwLock<Vec<f32>>,
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
    pub done: AtomicUsize,
    /// A worker has panicked: its chunk will never be done.
    pub failed: AtomicBool,
}

/// The sums of a pass whose arguments belong to the engine's network.
fn belongs(sums: Result<Metrics, PassError>) -> Metrics {
    sums.expect("the parameters and the samples belong to the network")
}

/// The samples of chunk `chunk`.
fn chunk_range(count: usize, chunk: usize) -> Range<usize> {
    let (blocks, chunks) = (count.div_ceil(LANES), chunk_count(count));
    let bound = |chunk: usize| (chunk * blocks / chunks * LANES).min(count);
    bound(chunk)..bound(chunk + 1)
}

impl Shared {
    pub fn new(
        network: Network<'static, MAX_LAYERS>,
        samples: Arc<Part>,
        scalings: Vec<Affine>,
        class_weights: Vec<f32>,
        threads: usize,
    ) -> Shared {
        let shares = |count| {
            let mut shares = Vec::new();
            network.gradient_shares::<LANES>(count, |member, range| shares.push((member, range)));
            shares
        };
        Shared {
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
        }
    }

    pub fn chunk(&self, c: usize) -> MutexGuard<'_, Chunk> {
        self.chunks[c]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the parts of the chunks `own`, which teams of `team` have computed, from element
    /// `start` on, to what `target` has of those before; the first chunk of all overwrites it.
    pub fn collect(&self, own: Range<usize>, team: usize, start: usize, target: &mut [f32]) {
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
    pub fn post(&self, kind: Kind, parameters: &[f32], indices: &[u32], plan: JobPlan) {
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
    pub fn make_room(&self, sum: Sum, workspace: &mut Workspace) {
        if let Sum::Product(_) = sum {
            let needed = self.network.curvature_workspace_len(LANES);
            if workspace.len() < needed {
                *workspace = Workspace::new(needed);
            }
        }
    }

    /// Works on chunks of the job until all are taken, or on the share that thread `thread` has of
    /// its team's chunk; returns the job's number, or `None` if there will be no other job.
    pub fn take_chunks(
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

    pub fn wait_for_chunks(&self, plan: &JobPlan) {
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
    pub fn sum_up(&self, plan: &JobPlan, target: &mut [f32]) {
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
    pub fn serve(&self, thread: usize, room: usize, ready: &mpsc::Sender<()>) {
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
    pub fn work(
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
    pub fn look(
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
    pub fn batch<'a>(&'a self, indices: &'a [u32], c: usize) -> Batch<'a> {
        let samples = self.samples.samples(&self.scalings);
        Batch::new(samples, &indices[chunk_range(indices.len(), c)])
            .weight(1.0 / indices.len() as f32)
            .class_weights(&self.class_weights)
    }

    /// Overwrites `target` with a chunk's part of a sum.
    pub fn overwrite(
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
    pub fn no_errors(&self) -> Errors {
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
