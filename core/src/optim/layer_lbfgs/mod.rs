//! Layer-wise stochastic L-BFGS: each layer's gradient times an inverse of the second moment of the layer's inputs.
//!
//! # The method
//!
//! A layer with weight matrix W (outputs x n; the bias is the last column, its input 1) multiplies rows f of inputs: W f. Let G
//! be the gradient of W on a batch, and A = E[f f'] the second moment of the rows. A is the input half of the layer's Hessian
//! in the Gauss-Newton approximation, so `G A^-1` is a Newton-like direction; the mean of the inputs alone, which A contains,
//! makes plain gradients badly conditioned.
//!
//! A is modelled by its m dominant directions V (rows v_j, orthonormal) with eigenvalues l_j, and `rest` across all others:
//!
//! ```text
//! tau = trace A / n;    rest = max(0, (trace A - sum l) / (n - m))
//! H = tau (A + lambda tau I)^-1
//! ```
//!
//! H is an **L-BFGS matrix**: m curvature pairs `s_j = v_j`, `y_j = (l_j / tau + lambda) v_j` over
//! `H0 = I / (rest / tau + lambda)`, applied by the [two-loop recursion](crate::optim::two_loop). `s . y > 0` holds for every
//! pair by construction, so nothing has to be damped or skipped and there is no line search; and the curvature comes from the
//! inputs, not from differences of noisy gradients. Its root P, `P P = H`, is the same recursion with pairs
//! `y_j = v_j / phi(l_j)` over `H0 = phi(rest) I`, where `phi(x) = sqrt(tau / (x + lambda tau))`. A step is
//!
//! ```text
//! G~ = G P                                     row by row, two loops each
//! M  = b1 M + (1 - b1) G~                      momentum, in the metric
//! D  = b1 M / (1 - b1^t) + (1 - b1) G~         looking one step ahead (Nesterov)
//! W  = W - r s (D / (sqrt(S / (1 - b2^t)) + e)) P
//! ```
//!
//! with learning rate r, schedule factor s, and a running second moment S of G~, decay b2, in one of three forms:
//!
//! | [`Form`] | S | memory of S |
//! |---|---|---|
//! | `Row` | one number a row, `mean over k of G~_ik^2`: the pure quasi-Newton direction `D H`, rows scaled to move alike | outputs |
//! | `Element` | every element, `G~_ik^2`: Adam in the metric | outputs x n |
//! | `Factored` | `R_i C_k / mean R` of the row and column means of `G~^2` | outputs + n |
//!
//! With m = 0, P = I, and `Element` is [`Adam`] with Nesterov's momentum, bit for bit.
//!
//! # Where the pairs come from
//!
//! In the first steps and then every [`refresh_every`](LayerLbfgsConfig::refresh_every), the rows that a forward pass leaves
//! in its workspace go through one step of subspace iteration (about `2 m n` multiply-adds a row, no other pass over data).
//! The momentum moves along to the new metric. S cannot, since it was gathered in the old one; but a mean of squares is at least
//! the square of the mean, so `Element` raises S to `(1 - b2^t) / (1 - b1^t)^2 M^2` where it is below. Without that, elements
//! whose inputs are rarely other than zero take steps thousands of times too long after a refresh.
//!
//! # Sources
//!
//! J. Nocedal, *Updating quasi-Newton matrices with limited storage*, Math. Comp. 35 (1980), for the recursion. R. Grosse and
//! J. Martens, *A Kronecker-factored approximate Fisher matrix for convolution layers*, ICML 2016, for the inputs' half of the
//! curvature. N. Halko, P. Martinsson, J. Tropp, *Finding structure with randomness*, SIAM Review 53 (2011), for the subspace
//! iteration. D. Kingma and J. Ba, *Adam*, ICLR 2015; N. Shazeer and M. Stern, *Adafactor*, ICML 2018, for the factored moment;
//! N. Vyas and others, *SOAP*, ICLR 2025, for moments in an eigenbasis.

mod eigen;
mod layout;
mod metric;
mod row;
mod sketch;

use heapless::Vec;

use super::adam::{Adam, AdamConfig, AdamStep, Decay};
use super::termination::Misuse;
use super::two_loop::{two_loop, two_loops};
use crate::checkpoint;
use crate::math;
use crate::network::Network;
use crate::pass::LayerInputs;
use crate::plan::stage::Stage;
use crate::random::Random;
use crate::vector;
use layout::{Block, State};
use metric::{MOST, Metric};

/// What the step is scaled by; see the [module](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Form {
    /// One second moment a row: the least memory, less than Adam's.
    Row,
    /// One second moment an element.
    #[default]
    Element,
    /// Second moments of rows and columns.
    Factored,
}

impl Form {
    /// Every form.
    pub const ALL: [Form; 3] = [Form::Row, Form::Element, Form::Factored];

    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Form::Row => "row",
            Form::Element => "element",
            Form::Factored => "factored",
        }
    }
}

/// Settings of [`LayerLbfgs`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LayerLbfgsConfig {
    /// What the step is scaled by. Default [`Form::Element`].
    pub form: Form,
    /// Learning rate `r`. Default 0.01, right for some thousand parameters at 32 samples a batch; larger networks need less:
    /// see [`LayerLbfgs::learning_rate`].
    pub learning_rate: f32,
    /// Decay `b1` of the momentum, in [0, 1). Default 0.9.
    pub beta1: f32,
    /// Decay `b2` of the second moment, in [0, 1). Default 0.98.
    pub beta2: f32,
    /// Added to the root `e`, above 0. Default 1e-8.
    pub epsilon: f32,
    /// Damping `lambda` of the second moment of the inputs, in units of its mean eigenvalue, above 0. Default 0.3; flat from
    /// 0.1 to 1. Large values make the metric the identity.
    pub damping: f32,
    /// Share of the past in a refreshed second moment, at most, in [0, 1). Default 0.9.
    pub keep: f32,
    /// Steps between refreshes, at least 1. Default 20.
    pub refresh_every: u32,
    /// Refresh at every one of the first steps, too: this many. Default 10.
    pub refresh_first: u32,
    /// Weight decay `d`, at least 0. Default 0.
    pub weight_decay: f32,
    /// Where weight decay enters.
    pub decay: Decay,
    /// Seed of the directions that the sketch starts from.
    pub seed: u64,
}

impl LayerLbfgsConfig {
    /// The default settings, for constants.
    pub const DEFAULT: LayerLbfgsConfig = LayerLbfgsConfig {
        form: Form::Element,
        learning_rate: 0.01,
        beta1: 0.9,
        beta2: 0.98,
        epsilon: 1e-8,
        damping: 0.3,
        keep: 0.9,
        refresh_every: 20,
        refresh_first: 10,
        weight_decay: 0.0,
        decay: Decay::Coupled,
        seed: 0,
    };
}

impl Default for LayerLbfgsConfig {
    fn default() -> LayerLbfgsConfig {
        LayerLbfgsConfig::DEFAULT
    }
}

/// What became of one layer's refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Refresh {
    /// The pairs are new.
    Updated,
    /// There are no pairs to refresh: m = 0.
    NoPairs,
    /// An input, or a sum over inputs, is not finite; the old pairs stay.
    NotFinite,
    /// Memory or scratch is too short; the old pairs stay. See [`LayerLbfgs::memory_len`] and [`LayerLbfgs::workspace_len`].
    TooShort,
}

/// Stochastic L-BFGS with at most `M` pairs a layer, 0 to 16. Layers of at most 16 inputs keep a pair for each.
///
/// The caller keeps the memory, [`LayerLbfgs::memory_len`] floats that are zero before the first step, and hands the same
/// memory to every call.
///
/// ```
/// use secant::network::{Init, Network, Shape, linear, relu};
/// use secant::optim::{LayerLbfgs, LayerLbfgsConfig};
/// use secant::{Batch, Normalisation, Random, Samples};
///
/// const NET: Network<3> = Network::new(Shape::vector(2), [linear(4), relu(), linear(2)]);
/// const CONFIG: LayerLbfgsConfig = LayerLbfgsConfig { learning_rate: 0.1, ..LayerLbfgsConfig::DEFAULT };
/// let mut memory = [0.0; LayerLbfgs::<4>::memory_len(&NET, CONFIG.form)];
/// let mut workspace = [0.0; LayerLbfgs::<4>::workspace_len(&NET, 4)];
/// let (mut w, mut g) = ([0.0; NET.parameter_count()], [0.0; NET.parameter_count()]);
/// NET.initialise(Init::He, &mut Random::new(1, 0), &mut w);
///
/// // Four points of the exclusive or.
/// let samples = Samples::bytes(&[0, 0, 0, 255, 255, 0, 255, 255], &[0, 1, 1, 0], Normalisation::UNIT);
/// let batch = Batch::new(samples, &[0, 1, 2, 3]).weight(0.25);
/// let mut lbfgs = LayerLbfgs::<4>::new(CONFIG);
/// for _ in 0..100 {
///     g.fill(0.0);
///     if lbfgs.wants_inputs() {
///         NET.accumulate_gradient_observed::<4>(&w, batch, &mut g, &mut workspace, &mut |inputs, scratch| {
///             lbfgs.observe(&inputs, &mut memory, scratch);
///         })?;
///     } else {
///         NET.accumulate_gradient::<4>(&w, batch, &mut g, &mut workspace)?;
///     }
///     lbfgs.step(&NET, 1.0, &mut w, &mut g, &mut memory)?;
/// }
/// assert_eq!(NET.evaluate::<4>(&w, batch, &mut workspace)?.correct, 4);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LayerLbfgs<const M: usize> {
    config: LayerLbfgsConfig,
    /// Counts the steps and keeps the powers of the decays.
    adam: Adam,
    /// Refreshes so far, and whether the one of the next step has begun.
    refreshes: u32,
    refreshing: bool,
    /// Layers whose refresh was not finite.
    skipped: u32,
}

impl<const M: usize> LayerLbfgs<M> {
    /// The optimiser before its first step; its memory must be zero.
    pub const fn new(config: LayerLbfgsConfig) -> LayerLbfgs<M> {
        const { assert!(M <= MOST, "at most 16 pairs") };
        LayerLbfgs {
            config,
            adam: Adam::new(AdamConfig {
                learning_rate: config.learning_rate,
                beta1: config.beta1,
                beta2: config.beta2,
                epsilon: config.epsilon,
                weight_decay: config.weight_decay,
                decay: config.decay,
                nesterov: true,
            }),
            refreshes: 0,
            refreshing: false,
            skipped: 0,
        }
    }

    /// Floats of memory. A layer of o outputs and row length n, if it is not frozen, takes `m n + m + 1 + o n` and its second moments: o for
    /// [`Form::Row`], o n for [`Form::Element`], o + n for [`Form::Factored`].
    pub const fn memory_len<const N: usize>(network: &Network<'_, N>, form: Form) -> usize {
        layout::memory_len(&network.plan(), form, M)
    }

    /// Pairs of a layer of row length `n`: `M`, but all `n` directions of a short row.
    pub const fn pairs(n: usize) -> usize {
        Block::pairs(n, M)
    }

    /// Floats of workspace for passes of `lanes` samples that the pairs are gathered from: mostly just
    /// [`Network::workspace_len`], since a refresh works where the backward pass will.
    pub const fn workspace_len<const N: usize>(network: &Network<'_, N>, lanes: usize) -> usize {
        let (usual, idle) = (network.workspace_len(lanes), network.idle_len(lanes));
        let needed = layout::scratch_len(&network.plan(), M);
        if needed > idle {
            usual + needed - idle
        } else {
            usual
        }
    }

    /// A learning rate for any network, without tuning: `0.32 / (sum over trained layers of sqrt n) * sqrt(batch / 32)`, `n` being a
    /// layer's row length, its inputs and 1; 0.010 for `MICRO` and 0.0034 for `SEED` at 32 samples a batch.
    ///
    /// A preconditioned and rescaled row has elements of size 1, so a step changes a layer's output by about
    /// `r sqrt(n tau)`, while weights of variance about `1 / n` make outputs of size `sqrt(tau)`: the relative change is
    /// proportional to `r sqrt n`, and those of the layers add up along the network. The rule keeps their sum the same.
    pub fn learning_rate<const N: usize>(network: &Network<'_, N>, batch: usize) -> f32 {
        let mut sum = 0.0;
        for stage in network.plan().trained() {
            if stage.outputs() > 0 {
                sum += math::sqrt(stage.row_len() as f32);
            }
        }
        0.32 / sum * math::sqrt(batch as f32 / 32.0)
    }

    /// Forgets everything but the settings, as after [`Guard`](crate::optim::Guard) has taken a run back.
    pub fn restart(&mut self, memory: &mut [f32]) {
        *self = LayerLbfgs::new(self.config);
        memory.fill(0.0);
    }

    /// The settings.
    pub const fn config(&self) -> &LayerLbfgsConfig {
        &self.config
    }

    /// Steps taken.
    pub const fn steps(&self) -> u32 {
        self.adam.steps()
    }

    /// Refreshes made, and how many layers' were skipped because something was not finite.
    pub const fn refreshes(&self) -> (u32, u32) {
        (self.refreshes, self.skipped)
    }

    /// Whether the next step is one of those before which the pairs are refreshed: compute its gradient with
    /// [`Network::accumulate_gradient_observed`] and hand what that shows to [`observe`](LayerLbfgs::observe).
    pub const fn wants_inputs(&self) -> bool {
        let step = self.adam.steps();
        let every = if self.config.refresh_every == 0 {
            1
        } else {
            self.config.refresh_every
        };
        M > 0 && (step < self.config.refresh_first || step.is_multiple_of(every))
    }

    /// Refreshes a layer's pairs from its inputs. `scratch` is what [`Network::accumulate_gradient_observed`] gives along.
    pub fn observe(
        &mut self,
        inputs: &LayerInputs<'_>,
        memory: &mut [f32],
        scratch: &mut [f32],
    ) -> Refresh {
        if M == 0 {
            return Refresh::NoPairs;
        }
        self.refreshing = true;
        let past = Past {
            refreshes: self.refreshes,
            squared_mean_factor: self.adam.squared_mean_factor(),
        };
        let verdict = observe(M, &self.config, past, inputs, memory, scratch);
        if verdict == Refresh::NotFinite {
            self.skipped += 1;
        }
        verdict
    }

    /// One step along `gradient`, which is **overwritten** by the direction that was taken. `factor` is the schedule's.
    ///
    /// Cost: `8 m` multiply-adds a parameter, beside Adam's.
    ///
    /// # Errors
    /// [`Misuse`] when a slice has not the length that the network asks for; nothing has changed then.
    pub fn step<const N: usize>(
        &mut self,
        network: &Network<'_, N>,
        factor: f32,
        parameters: &mut [f32],
        gradient: &mut [f32],
        memory: &mut [f32],
    ) -> Result<(), Misuse> {
        let expected = network.parameter_count();
        for found in [parameters.len(), gradient.len()] {
            if found != expected {
                return Err(Misuse::WrongDimension { expected, found });
            }
        }
        let (needed, given) = (
            LayerLbfgs::<M>::memory_len(network, self.config.form),
            memory.len(),
        );
        if given < needed {
            return Err(Misuse::MemoryTooShort { needed, given });
        }
        let step = self.adam.begin_step(factor);
        let stages = network.plan();
        let stages = stages.trained();
        step_layers(M, &self.config, &step, stages, parameters, gradient, memory);
        if self.refreshing {
            self.refreshing = false;
            self.refreshes += 1;
        }
        Ok(())
    }
}

impl<const M: usize> checkpoint::State for LayerLbfgs<M> {
    /// Adam's, the refreshes, whether the next one has begun, and how many layers' were skipped.
    const NUMBERS: usize = Adam::NUMBERS + 3;

    fn numbers(&self, numbers: &mut [u64]) -> Result<(), Misuse> {
        let mut adam = [0; Adam::NUMBERS];
        self.adam.numbers(&mut adam)?;
        let own = [
            u64::from(self.refreshes),
            u64::from(self.refreshing),
            u64::from(self.skipped),
        ];
        checkpoint::put(Self::NUMBERS, adam.into_iter().chain(own), numbers)
    }

    fn restore(&mut self, numbers: &[u64]) -> Result<(), Misuse> {
        let (adam, rest) = checkpoint::take::<{ Adam::NUMBERS }>(Self::NUMBERS, numbers)?;
        let ([refreshes, refreshing, skipped], _) = checkpoint::take::<3>(3, rest)?;
        let number = |value: u64| u32::try_from(value).map_err(|_| checkpoint::NO_STATE);
        let (refreshes, skipped) = (number(*refreshes)?, number(*skipped)?);
        self.adam.restore(adam)?;
        (self.refreshes, self.refreshing, self.skipped) = (refreshes, *refreshing != 0, skipped);
        Ok(())
    }
}

/// What a refresh must know of the steps before.
struct Past {
    refreshes: u32,
    squared_mean_factor: f32,
}

/// [`LayerLbfgs::observe`], compiled once for all `m`.
fn observe(
    m: usize,
    config: &LayerLbfgsConfig,
    past: Past,
    inputs: &LayerInputs<'_>,
    memory: &mut [f32],
    scratch: &mut [f32],
) -> Refresh {
    let form = config.form;
    let block = Block::behind(inputs.before, inputs.stage, form, m);
    let Some(state) = block.state(form, memory) else {
        return Refresh::TooShort;
    };
    let count = past.refreshes as f32;
    let running = 1.0 - 1.0 / (count + 1.0);
    let keep = if *state.trace == 0.0 {
        0.0
    } else if running < config.keep {
        running
    } else {
        config.keep
    };
    let stream = u64::from(past.refreshes) << 32 | inputs.index as u64;
    let mut random = Random::new(config.seed, stream);
    let verdict = sketch::refresh(inputs, keep, config.damping, &mut random, state, scratch);
    if verdict == Refresh::Updated
        && let Some(State {
            momentum, second, ..
        }) = block.state(form, memory)
    {
        row::Divisor::new(form, block.outputs, second).cover(past.squared_mean_factor, momentum);
    }
    verdict
}

/// The step of all layers, compiled once for all `m`.
fn step_layers(
    m: usize,
    config: &LayerLbfgsConfig,
    step: &AdamStep,
    stages: &[Stage],
    parameters: &mut [f32],
    gradient: &mut [f32],
    memory: &mut [f32],
) {
    for block in Block::all(stages, config.form, m) {
        // Lengths were checked, so there is a state, and a row for each output.
        let _ = block
            .state(config.form, memory)
            .and_then(|state| step_layer(config, step, &block, state, parameters, gradient));
    }
}

fn step_layer(
    config: &LayerLbfgsConfig,
    step: &AdamStep,
    block: &Block,
    state: State<'_>,
    parameters: &mut [f32],
    gradient: &mut [f32],
) -> Option<()> {
    let (n, outputs, begin) = (block.n, block.outputs, block.parameters);
    let State {
        v,
        l,
        trace,
        momentum,
        second,
    } = state;
    let metric = Metric::root(n, l, *trace, config.damping);
    let mut pairs = Vec::new();
    if let Some(metric) = &metric {
        metric.pairs(n, v, &mut pairs);
    }
    let biases = begin + outputs * (n - 1);
    // All rows times P. Two at a time, which lie apart, so that their sums do not wait for each other; on a device, which
    // does one thing at a time, that would only take memory.
    let precondition = |gradient: &mut [f32]| {
        let Some(metric) = &metric else {
            return Some(());
        };
        let initial = metric.initial();
        let apart = if cfg!(target_os = "none") || outputs < 4 {
            0
        } else {
            outputs / 2
        };
        for i in 0..apart {
            row::with_biases(gradient, begin, biases, n, [i, i + apart], |rows| {
                let [mut a, mut b] = [[0.0; MOST]; 2];
                two_loops(&pairs, initial, rows, [&mut a, &mut b]);
            })?;
        }
        for i in 2 * apart..outputs {
            row::with_biases(gradient, begin, biases, n, [i], |[row]| {
                two_loop(&pairs, initial, row, &mut [0.0; MOST]);
            })?;
        }
        Some(())
    };
    if step.coupled != 0.0 {
        let range = begin..biases + outputs;
        vector::axpy(
            step.coupled,
            parameters.get(range.clone())?,
            gradient.get_mut(range)?,
        );
    }
    precondition(gradient)?;
    let mut divisor = row::Divisor::new(config.form, outputs, second);
    divisor.begin(step);
    for i in 0..outputs {
        row::with_biases(gradient, begin, biases, n, [i], |[row]| {
            divisor.learn(step, i, row);
        })?;
    }
    divisor.finish(step);
    for (i, momentum) in momentum.chunks_exact_mut(n.max(1)).enumerate() {
        row::with_biases(gradient, begin, biases, n, [i], |[row]| {
            divisor.divide(step, i, row, momentum);
        })?;
    }
    precondition(gradient)?;
    let range = begin..biases + outputs;
    row::advance(
        step,
        parameters.get_mut(range.clone())?,
        gradient.get(range)?,
    );
    Some(())
}

#[cfg(test)]
mod tests;
