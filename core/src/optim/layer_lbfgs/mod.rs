//! Layer-wise stochastic L-BFGS.

mod compact;
mod eigen;
mod layout;
mod metric;
mod row;
mod settings;
mod sketch;
mod step;

pub use settings::{LayerLbfgsConfig, Refresh, SecondMoment};
pub use step::{LayerPart, LayerParts};

use super::adam::Clock;
use super::freshness::Freshness;
use crate::batch::{Batch, Metrics};
use crate::checkpoint;
use crate::error::{ConfigError, check_length, check_memory};
use crate::math;
use crate::network::Network;
use crate::pass::LayerInputs;
use crate::plan::stage::Stage;
use crate::random::Random;
use crate::train_error::TrainError;
use compact::MOST;
use layout::{Block, State};

/// Layer-wise stochastic L-BFGS with at most `M` pairs per layer, 0 to 16: each layer's gradient
/// times an inverse of the second moment of the layer's inputs. Layers of at most 16 inputs keep a
/// pair for each.
///
/// ```
/// use secant::network::{Init, Network, Shape, linear, relu};
/// use secant::optim::{LayerLbfgs, LayerLbfgsConfig};
/// use secant::{Batch, Normalisation, Random, Samples};
///
/// const NET: Network<3> = Network::new(Shape::vector(2), [linear(4), relu(), linear(2)]);
/// const CONFIG: LayerLbfgsConfig =
///     LayerLbfgsConfig { learning_rate: 0.1, ..LayerLbfgsConfig::DEFAULT };
/// const N: usize = NET.parameter_count();
/// let mut memory = [0.0; LayerLbfgs::<4>::memory_len(&NET, CONFIG.second_moment)];
/// let mut workspace = [0.0; LayerLbfgs::<4>::workspace_len(&NET, 4)];
/// let (mut w, mut g) = ([0.0; N], [0.0; N]);
/// NET.initialise(Init::He, &mut Random::new(1, 0), &mut w);
///
/// // Four points of the exclusive or.
/// let pixels = [0, 0, 0, 255, 255, 0, 255, 255];
/// let samples = Samples::bytes(&pixels, &[0, 1, 1, 0], Normalisation::UNIT);
/// let batch = Batch::new(samples, &[0, 1, 2, 3]);
/// let mut lbfgs = LayerLbfgs::<4>::new(CONFIG, &NET, &mut memory)?;
/// for _ in 0..100 {
///     lbfgs.train_step::<4, _>(&NET, 1.0, &mut w, batch, &mut g, &mut workspace)?;
/// }
/// assert_eq!(NET.evaluate::<4>(&w, batch, &mut workspace)?.correct, 4);
/// # Ok::<(), secant::TrainError>(())
/// ```
///
/// # The method
///
/// A layer with weight matrix W (outputs x n; the bias is the last column, its input 1) multiplies
/// rows f of inputs: W f. Let G be the gradient of W on a batch, and A = E[f f'] the second moment
/// of the rows. A is the input half of the layer's Hessian in the Gauss-Newton approximation, so
/// `G A^-1` is a Newton-like direction. The mean of the inputs alone, which A contains, makes plain
/// gradients badly conditioned.
///
/// A is modelled by its m dominant directions V (rows v_j, orthonormal) with eigenvalues l_j, and
/// `rest` across all others:
///
/// ```text
/// tau = trace A / n;    rest = max(0, (trace A - sum l) / (n - m))
/// H = tau (A + lambda tau I)^-1
/// ```
///
/// H is an **L-BFGS matrix**: m curvature pairs `s_j = v_j`, `y_j = (l_j / tau + lambda) v_j` over
/// `H0 = I / (rest / tau + lambda)`. `s . y > 0` holds for every pair by construction, so nothing
/// has to be damped or skipped and there is no line search; and the curvature comes from the
/// inputs, not from differences of noisy gradients. Its root P, `P P = H`, is one as well, with
/// pairs `y_j = v_j / phi(l_j)` over `H0 = phi(rest) I`, where
/// `phi(x) = sqrt(tau / (x + lambda tau))`. Since the v_j are orthonormal, the [two-loop
/// recursion](fn@super::two_loop) with these pairs comes down to
///
/// ```text
/// P g = c0 g + sum over j of (phi(l_j) - c0) (v_j . g) v_j,    c0 = phi(rest)
/// ```
///
/// half its multiply-adds, and for all rows of G two matrix products. A test holds both against
/// each other. A step is
///
/// ```text
/// G~ = G P
/// M  = b1 M + (1 - b1) G~                      momentum, in the metric
/// D  = b1 M / (1 - b1^t) + (1 - b1) G~         looking one step ahead (Nesterov)
/// W  = W - r s (D / (sqrt(S / (1 - b2^t)) + e)) P
/// ```
///
/// with learning rate r, schedule factor s, and a running second moment S of G~ with decay b2:
///
/// | [`SecondMoment`] | S | floats of S |
/// |---|---|---|
/// | `Row` | per row, `mean over k of G~_ik^2` | outputs |
/// | `Element` | per element, `G~_ik^2` | outputs x n |
/// | `Factored` | `R_i C_k / mean R` of the row and column means of `G~^2` | outputs + n |
///
/// `Row` is the pure quasi-Newton direction `D H`, with rows scaled to move alike; `Element` is
/// Adam in the metric. With m = 0, P = I, and `Element` is [`Adam`](super::Adam) with Nesterov's
/// momentum, bit for bit.
///
/// # Where the pairs come from
///
/// In the first steps, and then every [`refresh_every`](LayerLbfgsConfig::refresh_every), the rows
/// that a forward pass leaves in its workspace go through one step of subspace iteration (about
/// `2 m n` multiply-adds per row, no other pass over data). [`train_step`](Self::train_step) does
/// that by itself. A program with its own way to compute gradients asks
/// [`wants_inputs`](Self::wants_inputs), and hands the layers' inputs to [`observe`](Self::observe)
/// before the [`step`](Self::step).
///
/// The momentum moves along to the new metric. S cannot, since it was gathered in the old one; but
/// a mean of squares is at least the square of the mean, so `Element` raises S to `(1 - b2^t) /
/// (1 - b1^t)^2 M^2` where it is below. Without that, elements whose inputs are rarely other than zero
/// take steps thousands of times too long after a refresh.
///
/// # Sources
///
/// J. Nocedal, *Updating quasi-Newton matrices with limited storage*, Math. Comp. 35 (1980), and
/// R. Byrd, J. Nocedal and R. Schnabel, *Representations of quasi-Newton matrices and their use in
/// limited memory methods*, Math. Programming 63 (1994), for the recursion and compact forms. The
/// inputs' half of the curvature is that of K-FAC: J. Martens and R. Grosse, *Optimizing neural
/// networks with Kronecker-factored approximate curvature*, ICML 2015; R. Grosse and J. Martens, *A
/// Kronecker-factored approximate Fisher matrix for convolution layers*, ICML 2016. Next of kin
/// are K-BFGS, which also takes an inverse of the inputs' second moment layer by layer, beside BFGS
/// pairs of the outputs (D. Goldfarb, Y. Ren and A. Bahamou, *Practical quasi-Newton methods for
/// training deep neural networks*, NeurIPS 2020), and FOOF, which has the inputs' factor alone
/// (F. Benzing, *Gradient descent on neurons and its link to approximate second-order
/// optimization*, ICML 2022). N. Halko, P. Martinsson and J. Tropp, *Finding structure with
/// randomness*, SIAM Review 53 (2011), for the subspace iteration. D. Kingma and J. Ba, *Adam*,
/// ICLR 2015; N. Shazeer and M. Stern, *Adafactor*, ICML 2018, for the factored moment; N. Vyas
/// and others, *SOAP*, ICLR 2025, for moments in an eigenbasis.
#[derive(Debug)]
pub struct LayerLbfgs<'m, const M: usize> {
    progress: SteppedGradient,
    /// The trained stages of the network, and its number of parameters.
    stages: &'m [Stage],
    parameters: usize,
    /// The layers' state.
    state: &'m mut [f32],
    /// For refreshes, where the gradient's memory would be too short; empty otherwise.
    scratch: &'m mut [f32],
}

/// What is known beside the layers' state.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct SteppedGradient {
    config: LayerLbfgsConfig,
    /// Counts the steps and keeps the powers of the decays.
    clock: Clock,
    /// Refreshes so far, and whether the one of the next step has begun.
    refreshes: u32,
    refreshing: bool,
    /// Layers whose refresh was not finite.
    skipped: u32,
}

impl SteppedGradient {
    const fn new(config: LayerLbfgsConfig) -> SteppedGradient {
        SteppedGradient {
            config,
            clock: Clock::new(config.adam()),
            refreshes: 0,
            refreshing: false,
            skipped: 0,
        }
    }
}

impl<'m, const M: usize> LayerLbfgs<'m, M> {
    /// The optimiser of `network`, before its first step. `memory` needs
    /// [`memory_len`](Self::memory_len) floats; what they are does not matter.
    ///
    /// # Errors
    /// [`ConfigError`] when the memory is too short or a setting is out of range.
    pub fn new<const N: usize>(
        config: LayerLbfgsConfig,
        network: &'m Network<'_, N>,
        memory: &'m mut [f32],
    ) -> Result<LayerLbfgs<'m, M>, ConfigError> {
        const { assert!(M <= MOST, "at most 16 pairs") };
        config.check()?;
        let plan = network.plan();
        let needed = LayerLbfgs::<M>::memory_len(network, config.second_moment);
        let memory = check_memory(memory, needed)?;
        memory.fill(0.0);
        let state = layout::memory_len(&plan, config.second_moment, M);
        let (state, scratch) = memory.split_at_mut_checked(state).unwrap_or_default();
        Ok(LayerLbfgs {
            progress: SteppedGradient::new(config),
            stages: plan.stages.get(plan.first_trained..).unwrap_or_default(),
            parameters: network.parameter_count(),
            state,
            scratch,
        })
    }

    /// Floats of memory. A trained layer of o outputs and row length n takes `m n + m + 1 + o n`
    /// and its second moments: o for [`SecondMoment::Row`], o n for [`SecondMoment::Element`],
    /// o + n for [`SecondMoment::Factored`].
    ///
    /// A refresh needs scratch as well, at most `m n + 2 m^2 + n`. Where that is more than the
    /// network has parameters, so that the gradient's memory cannot lend it, it is part of this.
    pub const fn memory_len<const N: usize>(
        network: &Network<'_, N>,
        second_moment: SecondMoment,
    ) -> usize {
        let plan = network.plan();
        let scratch = layout::scratch_len(&plan, M);
        let own = if scratch > network.parameter_count() {
            scratch
        } else {
            0
        };
        layout::memory_len(&plan, second_moment, M).saturating_add(own)
    }

    /// Pairs of a layer of row length `n`: `M`, but all `n` directions of a short row.
    pub const fn pairs(n: usize) -> usize {
        Block::pairs(n, M)
    }

    /// Floats of scratch that [`observe`](Self::observe) needs: never more than the network has
    /// parameters, so the gradient's memory will always do.
    pub const fn scratch_len<const N: usize>(network: &Network<'_, N>) -> usize {
        let scratch = layout::scratch_len(&network.plan(), M);
        if scratch > network.parameter_count() {
            0 // The optimiser has its own.
        } else {
            scratch
        }
    }

    /// Floats of workspace for passes of `lanes` samples that the pairs are gathered from: mostly
    /// just [`Network::workspace_len`], since a refresh works where the backward pass will. With
    /// one lane, [`train_step`](Self::train_step) needs no more than that.
    pub const fn workspace_len<const N: usize>(network: &Network<'_, N>, lanes: usize) -> usize {
        let (usual, idle) = (network.workspace_len(lanes), network.idle_len(lanes));
        let needed = LayerLbfgs::<M>::scratch_len(network);
        if needed > idle {
            usual.saturating_add(needed - idle)
        } else {
            usual
        }
    }

    /// A learning rate for any network, without tuning:
    /// `0.32 / (sum over trained layers of sqrt n) * sqrt(batch / 32)`, n being a layer's row
    /// length, its inputs and 1. That is 0.010 for `MICRO` and 0.0034 for `SEED` at 32 samples per
    /// batch.
    ///
    /// A preconditioned and rescaled row has elements of size 1, so a step changes a layer's output
    /// by about `r sqrt(n tau)`, while weights of variance about `1 / n` make outputs of size
    /// `sqrt(tau)`: the relative change is proportional to `r sqrt n`, and the changes of the
    /// layers add up along the network. The rule keeps their sum the same.
    pub fn learning_rate<const N: usize>(network: &Network<'_, N>, batch: usize) -> f32 {
        let mut sum = 0.0;
        for stage in network.plan().trained() {
            if stage.outputs() > 0 {
                sum += math::sqrt(stage.row_len() as f32);
            }
        }
        0.32 / sum * math::sqrt(batch as f32 / 32.0)
    }

    /// Forgets everything but the settings, as is due after [`Guard`](super::Guard) has taken a run
    /// back.
    pub fn reset(&mut self) {
        self.progress = SteppedGradient::new(self.progress.config);
        self.state.fill(0.0);
    }

    /// The settings.
    pub const fn config(&self) -> &LayerLbfgsConfig {
        &self.progress.config
    }

    /// Steps taken.
    pub const fn steps(&self) -> u32 {
        self.progress.clock.steps
    }

    /// Steps before which at least one layer got new pairs, and how many refreshes of layers were
    /// skipped because something was not finite.
    pub const fn refreshes(&self) -> (u32, u32) {
        (self.progress.refreshes, self.progress.skipped)
    }

    /// Whether the pairs are to be refreshed before the next step. Only programs that do not use
    /// [`train_step`](Self::train_step) need to ask.
    pub const fn wants_inputs(&self) -> bool {
        let (step, config) = (self.progress.clock.steps, &self.progress.config);
        M > 0 && (step < config.refresh_first || step.is_multiple_of(config.refresh_every))
    }

    /// Refreshes a layer's pairs from its inputs, as [`Network::observe_inputs`] (one sample) and
    /// [`Network::accumulate_gradient_observed`] (several lanes) show them. `scratch` needs
    /// [`scratch_len`](Self::scratch_len) floats; with more, a refresh takes several rows at a time
    /// and less time, with the same bits.
    pub fn observe(&mut self, inputs: &LayerInputs<'_>, scratch: &mut [f32]) -> Refresh {
        let LayerLbfgs {
            progress,
            stages,
            state,
            scratch: own,
            ..
        } = self;
        let refresh = observe(M, progress, stages, inputs, state, [scratch, own]);
        match refresh {
            Refresh::Updated => progress.refreshing = true,
            Refresh::NotFinite => progress.skipped = progress.skipped.saturating_add(1),
            _ => {}
        }
        refresh
    }

    /// One step along `gradient`, which is **overwritten** by the direction taken. `factor` is the
    /// schedule's.
    ///
    /// Cost: `4 m` multiply-adds per parameter, beside Adam's.
    ///
    /// # Errors
    /// [`ConfigError`] when a length is wrong; nothing has changed then.
    pub fn step(
        &mut self,
        factor: f32,
        parameters: &mut [f32],
        gradient: &mut [f32],
    ) -> Result<Freshness, ConfigError> {
        let (freshness, parts) = self.parts(factor, parameters, gradient, usize::MAX)?;
        parts.for_each(LayerPart::apply);
        Ok(freshness)
    }

    /// One [`step`](Self::step) as parts of about `len` parameters each, that may be applied in any
    /// order and by several threads: some rows of a layer each, or a whole layer where second
    /// moments are [factored](SecondMoment::Factored). The step is done once all of them were
    /// applied, with the same bits.
    ///
    /// # Errors
    /// [`ConfigError`] when a length is wrong; nothing has changed then.
    pub fn parts<'a>(
        &'a mut self,
        factor: f32,
        parameters: &'a mut [f32],
        gradient: &'a mut [f32],
        len: usize,
    ) -> Result<(Freshness, LayerParts<'a>), ConfigError> {
        check_length("parameters", self.parameters, parameters.len())?;
        check_length("gradient", self.parameters, gradient.len())?;
        let due = self.wants_inputs();
        let progress = &mut self.progress;
        let freshness = if M == 0 || progress.refreshing {
            Freshness::Current
        } else if progress.refreshes == 0 {
            Freshness::Missing
        } else if due {
            Freshness::Stale
        } else {
            Freshness::Current
        };
        let step = progress.clock.begin_step(factor);
        if progress.refreshing {
            progress.refreshing = false;
            progress.refreshes = progress.refreshes.saturating_add(1);
        }
        let parts = LayerParts {
            m: M,
            config: progress.config,
            step,
            len,
            stages: self.stages.iter(),
            parameters,
            gradient,
            memory: self.state,
            begin: 0,
            layer: None,
        };
        Ok((freshness, parts))
    }

    /// Multiplies `vector`, which lies as the parameters do, by the symmetric positive definite matrix
    /// that stands before the momentum in a step, the rate left out: in each layer `P diag(1 /
    /// (sqrt(S / (1 - b2^t)) + e)) P`. A loss looks to the method as if its Hessian were multiplied
    /// by it. Changes nothing else.
    ///
    /// # Errors
    /// [`ConfigError`] when the length is wrong.
    pub fn precondition(&mut self, vector: &mut [f32]) -> Result<(), ConfigError> {
        check_length("vector", self.parameters, vector.len())?;
        let SteppedGradient { config, clock, .. } = &self.progress;
        let correction = clock.second_correction();
        step::precondition_layers(M, config, correction, self.stages, vector, self.state);
        Ok(())
    }

    /// A whole training step on one batch: refreshes the pairs if that is due, **overwrites**
    /// `gradient` with the gradient of `batch`, and makes a [`step`](Self::step), which overwrites
    /// `gradient` once more. Returns the metrics of the batch before the step.
    ///
    /// `network` is the one that the optimiser was made for. `workspace` needs
    /// [`Network::workspace_len`] floats with one lane, else
    /// [`LayerLbfgs::workspace_len`](Self::workspace_len).
    ///
    /// # Errors
    /// [`TrainError`] when a length, an index or a label does not fit. Parameters are as before
    /// then.
    pub fn train_step<const LANES: usize, const N: usize>(
        &mut self,
        network: &Network<'_, N>,
        factor: f32,
        parameters: &mut [f32],
        batch: Batch<'_>,
        gradient: &mut [f32],
        workspace: &mut [f32],
    ) -> Result<Metrics, TrainError> {
        check_length("parameters", self.parameters, parameters.len())?;
        check_length("gradient", self.parameters, gradient.len())?;
        let refresh = self.wants_inputs() && !batch.indices.is_empty();
        // That it was not finite is counted; and scratch there is enough.
        let mut observe = |inputs: LayerInputs<'_>, scratch: &mut [f32]| {
            let _ = self.observe(&inputs, scratch);
        };
        let metrics = if LANES > 1 && refresh {
            let (needed, found) = (
                LayerLbfgs::<M>::workspace_len(network, LANES),
                workspace.len(),
            );
            check_workspace(needed, found)?;
            gradient.fill(0.0);
            network.accumulate_gradient_observed::<LANES>(
                parameters,
                batch,
                gradient,
                workspace,
                &mut observe,
            )?
        } else {
            if refresh {
                // The gradient's memory holds nothing yet.
                network.observe_inputs(parameters, batch, workspace, gradient, &mut observe)?;
            }
            gradient.fill(0.0);
            network.accumulate_gradient::<LANES>(parameters, batch, gradient, workspace)?
        };
        // All that could be learnt was.
        let _ = self.step(factor, parameters, gradient)?;
        Ok(metrics)
    }

    /// The layers' state: what a checkpoint needs beside the numbers of
    /// [`State`](checkpoint::State).
    pub const fn memory(&self) -> &[f32] {
        self.state
    }

    /// The layers' state, to be loaded from a checkpoint.
    pub const fn memory_mut(&mut self) -> &mut [f32] {
        self.state
    }
}

#[cfg(feature = "defmt")]
impl<const M: usize> defmt::Format for LayerLbfgs<'_, M> {
    /// All but the layers' state.
    fn format(&self, f: defmt::Formatter<'_>) {
        self.progress.format(f);
    }
}

impl<const M: usize> checkpoint::State for LayerLbfgs<'_, M> {
    /// Adam's, the refreshes, whether the next one has begun, and how many layers' were skipped.
    const NUMBERS: usize = Clock::NUMBERS + 3;

    fn numbers(&self, numbers: &mut [u64]) -> Result<(), ConfigError> {
        let progress = &self.progress;
        let mut clock = [0; Clock::NUMBERS];
        progress.clock.numbers(&mut clock)?;
        let own = [
            u64::from(progress.refreshes),
            u64::from(progress.refreshing),
            u64::from(progress.skipped),
        ];
        checkpoint::put(Self::NUMBERS, clock.into_iter().chain(own), numbers)
    }

    fn restore(&mut self, numbers: &[u64]) -> Result<(), ConfigError> {
        let (clock, rest) = checkpoint::take::<{ Clock::NUMBERS }>(Self::NUMBERS, numbers)?;
        let ([refreshes, refreshing, skipped], _) = checkpoint::take::<3>(3, rest)?;
        let mut progress = SteppedGradient {
            refreshes: checkpoint::small(*refreshes)?,
            refreshing: *refreshing != 0,
            skipped: checkpoint::small(*skipped)?,
            ..self.progress
        };
        progress.clock.restore(clock)?;
        self.progress = progress;
        Ok(())
    }
}

/// Refuses a workspace that is too short for a refresh.
fn check_workspace(needed: usize, found: usize) -> Result<(), ConfigError> {
    if found >= needed {
        return Ok(());
    }
    Err(ConfigError::TooShort {
        slice: "workspace",
        needed,
        found,
    })
}

/// [`LayerLbfgs::observe`], compiled once for all `m`. Of the two scratches it takes the first that
/// is long enough.
fn observe(
    m: usize,
    progress: &SteppedGradient,
    stages: &[Stage],
    inputs: &LayerInputs<'_>,
    memory: &mut [f32],
    scratch: [&mut [f32]; 2],
) -> Refresh {
    if m == 0 {
        return Refresh::NoPairs;
    }
    let (config, refreshes) = (&progress.config, progress.refreshes);
    let kind = config.second_moment;
    let block = Block::of_stage(stages, inputs.before.len(), kind, m)
        .filter(|block| block.n == inputs.row_len());
    let Some(block) = block else {
        return Refresh::OtherNetwork;
    };
    let [first, second] = scratch;
    let (needed, found) = (block.scratch_len(), first.len());
    let scratch = if found < needed { second } else { first };
    let Some(state) = block.state(kind, memory) else {
        return Refresh::OtherNetwork;
    };
    let running = 1.0 - 1.0 / (refreshes as f32 + 1.0);
    let keep = if *state.trace == 0.0 {
        0.0
    } else if running < config.keep {
        running
    } else {
        config.keep
    };
    let stream = u64::from(refreshes) << 32 | inputs.index as u64;
    let mut random = Random::new(config.seed, stream);
    let refresh = sketch::refresh(inputs, keep, config.damping, &mut random, state, scratch);
    if refresh == Some(Refresh::Updated)
        && let Some(State {
            momentum, second, ..
        }) = block.state(kind, memory)
    {
        let factor = progress.clock.squared_mean_factor();
        row::Divisor::new(kind, block.outputs, second).cover(factor, momentum);
    }
    refresh.unwrap_or(Refresh::ScratchTooShort { needed, found })
}

#[cfg(test)]
mod tests;
