//! Gradients and evaluations of a whole batch, on several threads and ranks, with the same bits for
//! any number of them.
//!
//! A batch is cut into at most [`CHUNKS`] chunks of whole lane blocks; how depends on its length
//! alone. Each chunk's gradient is summed on its own, and the chunks are added in order. Threads and
//! ranks only decide who works on which chunk.
//!
//! The workers stay for the engine's life. Between steps they spin for a short while, since the
//! next step is usually microseconds away, and then sleep.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, mpsc};
use std::thread::{self, JoinHandle};

use secant::network::Network;
use secant::{
    Affine, Batch, Curvature, DropoutKey, LayerInputs, Metrics, PassError, Targets, argmax,
};
use serde::{Deserialize, Serialize};

use crate::data::dataset::Part;
use crate::model::{MAX_LAYERS, Net};
use crate::ranks::{COUNTS, Ranks};
use crate::workspace::Workspace;

/// Samples that go through a kernel side by side: part of what the bits depend on.
pub const LANES: usize = 16;

/// Most chunks of a batch: part of what the bits depend on.
pub const CHUNKS: usize = 8;

/// Times that an idle worker looks for work before it sleeps: some hundred microseconds.
const SPINS: u32 = 20_000;

/// Is shown the inputs of layers; see [`Network::accumulate_gradient_observed`].
pub type Observe<'o> = &'o mut dyn FnMut(LayerInputs<'_>, &mut [f32]);

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
    chunks: Vec<Mutex<Chunk>>,
    /// Number of the job; changes when there is a new one.
    generation: AtomicU64,
    /// The next chunk that nobody has taken. Set back only while the job is locked for writing.
    next: AtomicUsize,
    /// Chunks that are done.
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
    /// The first chunk that somebody else works on.
    end: usize,
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

/// Floats that an engine holds, at most: a workspace for each thread, the chunks' gradients, and the
/// parameters.
pub fn floats(network: &Net, threads: usize) -> u64 {
    let workspace = network.workspace_len(LANES) as u64;
    let workspaces = workspace.saturating_mul(threads.clamp(1, CHUNKS) as u64);
    workspaces.saturating_add((CHUNKS as u64 + 1) * network.parameter_count() as u64)
}

/// The same for an engine that computes products with curvature matrices.
pub fn product_floats(network: &Net, threads: usize) -> u64 {
    let workspace = network.curvature_workspace_len(LANES) as u64;
    let workspaces = workspace.saturating_mul(threads.clamp(1, CHUNKS) as u64);
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
        let shared = Arc::new(Shared {
            network,
            samples,
            scalings,
            class_weights,
            job: RwLock::default(),
            vector: RwLock::default(),
            chunks: (0..CHUNKS).map(|_| Mutex::default()).collect(),
            generation: AtomicU64::new(0),
            next: AtomicUsize::new(CHUNKS),
            done: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
        });
        // A thread that starts late on a busy machine would allocate its workspace in the midst of
        // training.
        let others = threads.clamp(1, CHUNKS) - 1;
        let (ready, started) = mpsc::channel();
        let spawn = |_| {
            let (shared, ready) = (Arc::clone(&shared), ready.clone());
            // The system may allow fewer threads: those that there are do all the work.
            let thread = thread::Builder::new().spawn(move || shared.serve(&ready));
            thread.ok()
        };
        let workers: Vec<_> = (0..others).map_while(spawn).collect();
        drop(ready);
        started.iter().take(workers.len()).for_each(drop);
        Engine {
            shared,
            workspace: Workspace::new(network.workspace_len(LANES)),
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
            self.run(Kind::Sum(sum), parameters, indices, own.clone(), observe);
            return self.join(own, target);
        }
        if !self.workers.is_empty() {
            let all = 0..chunk_count(indices.len());
            self.run(Kind::Sum(sum), parameters, indices, all.clone(), observe);
            self.collect(all.clone(), 0, target);
            return self.tally(all, Metrics::NONE);
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

    /// Adds the parts of the chunks `own`, from element `start` on, to what `target` has of those
    /// before; the first chunk of all overwrites it.
    fn collect(&self, own: Range<usize>, start: usize, target: &mut [f32]) {
        // A piece that stays in the cache at a time: each chunk is read once, `target` written
        // once.
        for (p, sums) in target.chunks_mut(PIECE).enumerate() {
            let first = start + p * PIECE;
            for c in own.clone() {
                let chunk = self.shared.chunk(c);
                let part = &chunk.sum[first..first + sums.len()];
                if c == 0 {
                    sums.copy_from_slice(part);
                } else {
                    for (sum, g) in sums.iter_mut().zip(part) {
                        *sum += g;
                    }
                }
            }
        }
    }

    /// Adds the tallies of the chunks `own` to those before.
    fn tally(&self, own: Range<usize>, mut total: Metrics) -> Metrics {
        for c in own {
            total += self.shared.chunk(c).tally;
        }
        total
    }

    /// Overwrites `target` with the sum of all ranks' chunks; this one has the chunks `own`.
    fn join(&self, own: Range<usize>, target: &mut [f32]) -> Metrics {
        let pack =
            |m: Metrics| -> [u64; COUNTS] { [m.loss.to_bits(), m.correct.into(), m.count.into()] };
        let unpack = |[loss, correct, count]: [u64; COUNTS]| Metrics {
            loss: f64::from_bits(loss),
            correct: correct as u32,
            count: count as u32,
        };
        let mut count = |counts: &mut [u64; COUNTS]| {
            *counts = pack(self.tally(own.clone(), unpack(*counts)));
        };
        let mut add = |piece: Range<usize>, sums: &mut [f32]| {
            self.collect(own.clone(), piece.start, sums);
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
        self.run(Kind::Evaluation, parameters, indices, own.clone(), None);
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

    /// Computes the chunks `own`. What is observed, of the first chunk of all, falls to the caller's
    /// thread; a rank that has not this chunk computes the part that is seen beside its own.
    fn run(
        &mut self,
        kind: Kind,
        parameters: &[f32],
        indices: &[u32],
        own: Range<usize>,
        observe: Option<Observe<'_>>,
    ) {
        let shared = &self.shared;
        let first = own.start + usize::from(observe.is_some() && own.start == 0);
        if !self.workers.is_empty() {
            shared.post(kind, parameters, indices, first..own.end);
            for worker in &self.workers {
                worker.thread().unpark();
            }
        }
        let workspace = self.workspace.floats();
        match observe {
            Some(observe) if own.start == 0 => {
                shared.work(0, kind, parameters, indices, workspace, Some(observe));
            }
            Some(observe) => shared.look(kind, parameters, indices, workspace, observe),
            None => {}
        }
        if self.workers.is_empty() {
            for c in first..own.end {
                shared.work(c, kind, parameters, indices, workspace, None);
            }
            return;
        }
        self.shared.take_chunks(&mut self.workspace);
        let mut spins = 0;
        while self.shared.done.load(Ordering::Acquire) < own.end {
            assert!(
                !self.shared.failed.load(Ordering::Acquire),
                "a worker thread has panicked"
            );
            if spins < SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else {
                // On a busy machine the missing chunk may belong to a thread that waits for this
                // processor.
                thread::yield_now();
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shared.post(Kind::Stop, &[], &[], 0..0);
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

    /// Puts up a new job, of these chunks.
    fn post(&self, kind: Kind, parameters: &[f32], indices: &[u32], chunks: Range<usize>) {
        let mut job = self.job.write().unwrap_or_else(PoisonError::into_inner);
        job.kind = kind;
        job.parameters.clear();
        job.parameters.extend_from_slice(parameters);
        job.indices.clear();
        job.indices.extend_from_slice(indices);
        job.end = chunks.end;
        self.done.store(chunks.start, Ordering::Release);
        self.next.store(chunks.start, Ordering::Release);
        self.generation.fetch_add(1, Ordering::Release);
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

    /// Works on chunks of the job until all are taken; tells whether there will be another job.
    fn take_chunks(&self, workspace: &mut Workspace) -> bool {
        let job = self.job.read().unwrap_or_else(PoisonError::into_inner);
        if job.kind == Kind::Stop {
            return false;
        }
        if let Kind::Sum(sum) = job.kind {
            self.make_room(sum, workspace);
        }
        let workspace = workspace.floats();
        loop {
            let c = self.next.fetch_add(1, Ordering::AcqRel);
            if c >= job.end {
                return true;
            }
            self.work(c, job.kind, &job.parameters, &job.indices, workspace, None);
            self.done.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// A worker's life.
    fn serve(&self, ready: &mpsc::Sender<()>) {
        /// Tells the engine when the worker ends by a panic.
        struct Alarm<'a>(&'a AtomicBool);
        impl Drop for Alarm<'_> {
            fn drop(&mut self) {
                self.0.store(thread::panicking(), Ordering::Release);
            }
        }
        let _alarm = Alarm(&self.failed);
        let mut workspace = Workspace::new(self.network.workspace_len(LANES));
        // The engine waits for this one.
        let _ = ready.send(());
        let mut seen = 0;
        loop {
            let mut spins = 0;
            while self.generation.load(Ordering::Acquire) == seen {
                if spins < SPINS {
                    spins += 1;
                    std::hint::spin_loop();
                } else {
                    thread::park();
                }
            }
            seen = self.generation.load(Ordering::Acquire);
            if !self.take_chunks(&mut workspace) {
                return;
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
