//! The chunks of a batch: what is computed of each, and by whom.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use secant::network::Network;
use secant::{
    Affine, Batch, Curvature, DropoutKey, Metrics, PassError, Share, SharedMap, Targets, argmax,
};

use super::team::{MOST, Team};
use super::{CHUNKS, Errors, LANES, Observe, chunk_count};
use crate::data::dataset::Part;
use crate::model::MAX_LAYERS;
use crate::workspace::Workspace;

/// Floats of the gradient that are added up at a time: 8 KiB.
const PIECE: usize = 2048;

/// What the chunks add up to, a number for each parameter.
#[derive(Clone, Copy)]
pub(super) enum Sum<'v> {
    Gradient(Option<DropoutKey>),
    /// With a vector.
    Product(Curvature, &'v [f32]),
}

/// What is to be computed of each chunk.
#[derive(Clone, Copy)]
pub(super) enum Kind<'v> {
    Sum(Sum<'v>),
    Evaluation,
}

/// A pass over a batch.
#[derive(Clone, Copy)]
pub(super) struct Job<'j> {
    pub kind: Kind<'j>,
    pub parameters: &'j [f32],
    pub indices: &'j [u32],
}

/// Who does what of a job.
pub(super) struct Plan {
    /// This rank's chunks, and the first that nobody has taken. Teams need not take theirs.
    chunks: Range<usize>,
    next: AtomicUsize,
    /// Threads that work on a chunk. Teams of more than one have a chunk each.
    pub team: usize,
    /// Members' shares of chunks that are done.
    done: AtomicUsize,
}

impl Plan {
    pub fn new(chunks: Range<usize>, team: usize) -> Plan {
        Plan {
            next: AtomicUsize::new(chunks.start),
            chunks,
            team,
            done: AtomicUsize::new(0),
        }
    }
}

/// One chunk's result.
#[derive(Default)]
pub(super) struct Chunk {
    /// Or its product with a curvature matrix.
    pub sum: Vec<f32>,
    pub tally: Metrics,
    pub errors: Errors,
}

/// A network, samples, and what has been computed of a batch of them.
pub(super) struct Chunks {
    network: Network<'static, MAX_LAYERS>,
    samples: Arc<Part>,
    scalings: Vec<Affine>,
    class_weights: Vec<f32>,
    /// Of each chunk what each member of its team has.
    chunks: Vec<RwLock<Chunk>>,
    teams: [Team; CHUNKS],
    /// Which elements of the gradient each member computes, for teams of one, two and so on.
    shares: Vec<Vec<(usize, Range<usize>)>>,
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

impl Chunks {
    pub fn new(
        network: Network<'static, MAX_LAYERS>,
        samples: Arc<Part>,
        scalings: Vec<Affine>,
        class_weights: Vec<f32>,
        threads: usize,
    ) -> Chunks {
        let shares = |count| {
            let mut shares = Vec::new();
            network.gradient_shares::<LANES>(count, |member, range| shares.push((member, range)));
            shares
        };
        Chunks {
            network,
            samples,
            scalings,
            class_weights,
            chunks: (0..CHUNKS * MOST).map(|_| RwLock::default()).collect(),
            teams: Default::default(),
            shares: (1..=threads.min(MOST)).map(shares).collect(),
        }
    }

    pub fn chunk(&self, c: usize) -> RwLockWriteGuard<'_, Chunk> {
        let chunk = self.chunks[c].write();
        chunk.unwrap_or_else(PoisonError::into_inner)
    }

    /// To be read by many at once.
    pub fn computed(&self, c: usize) -> RwLockReadGuard<'_, Chunk> {
        let chunk = self.chunks[c].read();
        chunk.unwrap_or_else(PoisonError::into_inner)
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
                let chunk = self.computed(c * team + member);
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

    /// Makes a workspace as long as such a sum needs.
    pub fn make_room(&self, sum: Sum<'_>, workspace: &mut Workspace) {
        if let Sum::Product(..) = sum {
            let needed = self.network.curvature_workspace_len(LANES);
            if workspace.len() < needed {
                *workspace = Workspace::new(needed);
            }
        }
    }

    /// Before all threads [`work`](Chunks::work).
    pub fn begin(&self) {
        self.teams.iter().for_each(Team::begin);
    }

    /// Works on chunks until all are taken, or on the share that thread `thread` has of its team's
    /// chunk, which alone is observed.
    ///
    /// # Panics
    /// When a thread of its team has `failed`.
    pub fn work(
        &self,
        job: Job<'_>,
        plan: &Plan,
        thread: usize,
        workspace: &mut Workspace,
        observe: Option<Observe<'_>>,
        failed: &AtomicBool,
    ) {
        if let Kind::Sum(sum) = job.kind {
            self.make_room(sum, workspace);
        }
        let workspace = workspace.floats();
        if plan.team > 1 {
            self.work_together(job, plan, thread, workspace, observe, failed);
            return;
        }
        loop {
            let c = plan.next.fetch_add(1, Ordering::AcqRel);
            if c >= plan.chunks.end {
                break;
            }
            self.compute(c, job, workspace, None);
        }
    }

    /// Computes a thread's share of a chunk's gradient; nothing where there are more threads than
    /// teams need.
    fn work_together(
        &self,
        job: Job<'_>,
        plan: &Plan,
        thread: usize,
        workspace: &mut [f32],
        observe: Option<Observe<'_>>,
        failed: &AtomicBool,
    ) {
        let (team, member) = (thread / plan.team, thread % plan.team);
        let c = plan.chunks.start + team;
        let Kind::Sum(Sum::Gradient(dropout)) = job.kind else {
            return;
        };
        if c >= plan.chunks.end {
            return;
        }
        let mut chunk = self.chunk(c * plan.team + member);
        let batch = self.batch(job.indices, c).dropout(dropout);
        let parameters = job.parameters;
        chunk.sum.resize(parameters.len(), 0.0);
        let mut meeting = self.teams[team].member(failed, member, plan.team);
        let mut exchange = |maps: &mut [SharedMap<'_>]| meeting.exchange(maps);
        let share = Share::new(member, plan.team, &mut exchange);
        let network = &self.network;
        let sum = &mut chunk.sum;
        let tally =
            network.shared_gradient::<LANES>(parameters, batch, sum, workspace, share, observe);
        chunk.tally = belongs(tally);
        plan.done.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether all members of all teams have done their share; true where each chunk has one thread.
    pub fn all_have_come(&self, plan: &Plan) -> bool {
        plan.team == 1 || plan.done.load(Ordering::Acquire) >= plan.chunks.len() * plan.team
    }

    /// Computes chunk `c`.
    pub fn compute(
        &self,
        c: usize,
        job: Job<'_>,
        workspace: &mut [f32],
        observe: Option<Observe<'_>>,
    ) {
        let mut chunk = self.chunk(c);
        let batch = self.batch(job.indices, c);
        let parameters = job.parameters;
        chunk.tally = match job.kind {
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
        };
    }

    /// Shows what is observed of the batch. The sum goes where that of the first chunk would, which
    /// is of another rank.
    pub fn look(&self, job: Job<'_>, workspace: &mut [f32], observe: Observe<'_>) {
        let Kind::Sum(sum) = job.kind else { return };
        let mut batch = self.batch(job.indices, 0);
        batch.indices = &batch.indices[..batch.indices.len().min(LANES)];
        let mut chunk = self.chunk(0);
        chunk.sum.resize(job.parameters.len(), 0.0);
        let target = &mut chunk.sum;
        let observe = Some(observe);
        self.overwrite(sum, job.parameters, batch, target, workspace, observe);
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
        sum: Sum<'_>,
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
            (Sum::Product(curvature, vector), _) => {
                target.fill(0.0);
                network.curvature_product::<LANES>(
                    curvature, parameters, vector, batch, target, workspace,
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
