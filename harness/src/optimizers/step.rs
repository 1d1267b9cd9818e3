//! One step on one batch: what an optimiser does, and the loss that it is given.

use std::borrow::Cow;
use std::slice::Iter;
use std::time::{Duration, Instant};

use secant::ConfigError;
use secant::checkpoint::State;
use secant::objective::{HessianProduct, Objective};
use secant::optim::{Schedule, Termination};
use secant::{Curvature, DropoutKey, Metrics};
use serde::{Deserialize, Serialize};

use crate::engine::{Engine, Observe};

/// An optimiser at work.
pub trait Stepper {
    /// One step on one batch: moves `parameters`. `progress` is the number of this step, from 0,
    /// and of all steps.
    ///
    /// # Errors
    /// [`ConfigError`] when lengths do not fit.
    fn step(
        &mut self,
        loss: &mut BatchLoss<'_>,
        progress: (u32, u32),
        parameters: &mut [f32],
    ) -> Result<Stepped, ConfigError>;

    /// Checks where the run stands, `loss` being the mean loss of training samples at `parameters`,
    /// or a NaN where they are of no use; takes them back to a good point, if the optimiser has
    /// kept one that is better, and returns whether it did.
    ///
    /// # Errors
    /// [`ConfigError`] when lengths do not fit.
    fn recover(&mut self, loss: f64, parameters: &mut [f32]) -> Result<bool, ConfigError> {
        let _ = (loss, parameters);
        Ok(false)
    }

    /// Times that the guard took the run back to an earlier point.
    fn rollbacks(&self) -> u32 {
        0
    }

    /// All that it has become, between two steps; `None` where it cannot tell, and its runs cannot
    /// be resumed.
    fn snapshot(&self) -> Option<Snapshot<'_>> {
        None
    }

    /// Takes on the [`snapshot`](Stepper::snapshot) of one with the same settings and network:
    /// every later step has the bits that it would have had there.
    ///
    /// # Errors
    /// [`ConfigError`] when it is none of these; the optimiser is of no use then.
    fn restore(&mut self, snapshot: &Snapshot<'_>) -> Result<(), ConfigError> {
        let _ = snapshot;
        Err(ConfigError::NotAState)
    }

    /// Multiplies `vector` by the symmetric positive definite matrix M through which the optimiser
    /// sees the gradient, its rate left out, as the last step left it. False where it has none that
    /// can be said; the vector is as it was then.
    fn precondition(&mut self, vector: &mut [f32]) -> bool {
        let _ = vector;
        false
    }

    /// The largest eigenvalue of M times the Hessian at which steps on a quadratic function do not
    /// yet grow, at the rate of step `progress`. None where the method searches along lines, so
    /// that there is no such limit, or none is known.
    fn stability_limit(&self, progress: (u32, u32)) -> Option<f64> {
        let _ = progress;
        None
    }
}

/// The largest eigenvalue L at which a step of rate `r` along a momentum still contracts a
/// quadratic function (largest `r L`, the rate left out).
///
/// ```text
/// m <- b m + a g;   x <- x - r m               stable while  r a L < 2 (1 + b)
/// m <- b m + a g;   x <- x - r (b m + a g)     (Nesterov)    r a L < 2 (1 + b) / (1 + 2 b)
/// ```
///
/// with `a = 1 - b` for a running mean (Adam), 1 for a sum (gradient descent). From the
/// characteristic polynomial of the two recursions along an eigenvector, whose roots have magnitude
/// 1 there. With b = 0 it is 2; with a = 1 - b and b = 0.9 it is 38, the "38 / rate" of Adam (J.
/// Cohen and others, *Adaptive gradient methods at the edge of stability*, 2022); of Nesterov's
/// form, which looks a step ahead, 13.6.
pub fn momentum_limit(b: f64, running_mean: bool, nesterov: bool) -> f64 {
    let a = if running_mean { 1.0 - b } else { 1.0 };
    let plain = 2.0 * (1.0 + b) / a;
    if nesterov {
        plain / (1.0 + 2.0 * b)
    } else {
        plain
    }
}

/// All that an optimiser has become: numbers, and floats in parts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Snapshot<'s> {
    /// The numbers of each [`State`], one after the other, and others.
    pub numbers: Vec<u64>,
    /// Its memory.
    pub floats: Vec<Cow<'s, [f32]>>,
}

impl<'s> Snapshot<'s> {
    /// Adds what `state` knows and the memory that belongs to it.
    pub fn with<S: State>(
        mut self,
        state: &S,
        memory: impl IntoIterator<Item = &'s [f32]>,
    ) -> Self {
        let from = self.numbers.len();
        self.numbers.resize(from + S::NUMBERS, 0);
        let written = state.numbers(&mut self.numbers[from..]);
        written.expect("it has the room that it asks for");
        self.floats.extend(memory.into_iter().map(Cow::Borrowed));
        self
    }

    /// To be read from its beginning.
    pub fn reader(&self) -> Reader<'_> {
        Reader {
            numbers: &self.numbers,
            floats: self.floats.iter(),
        }
    }
}

/// Reads a [`Snapshot`] in the order in which it was made.
pub struct Reader<'r> {
    numbers: &'r [u64],
    floats: Iter<'r, Cow<'r, [f32]>>,
}

impl<'r> Reader<'r> {
    /// The numbers of a state.
    ///
    /// # Errors
    /// [`ConfigError`] when they are none of it.
    pub fn state<S: State>(&mut self, state: &mut S) -> Result<(), ConfigError> {
        state.restore(self.numbers)?;
        self.numbers = self.numbers.get(S::NUMBERS..).unwrap_or_default();
        Ok(())
    }

    /// The next `N` numbers.
    ///
    /// # Errors
    /// [`ConfigError::NotAState`] when there are fewer.
    pub fn numbers<const N: usize>(&mut self) -> Result<&'r [u64; N], ConfigError> {
        let (first, rest) = self
            .numbers
            .split_first_chunk()
            .ok_or(ConfigError::NotAState)?;
        self.numbers = rest;
        Ok(first)
    }

    /// The next part of the memory.
    ///
    /// # Errors
    /// [`ConfigError::NotAState`] when it is not as long as `target`.
    pub fn memory(&mut self, target: &mut [f32]) -> Result<(), ConfigError> {
        match self.floats.next() {
            Some(floats) if floats.len() == target.len() => {
                target.copy_from_slice(floats);
                Ok(())
            }
            _ => Err(ConfigError::NotAState),
        }
    }

    /// Refuses what is left over.
    ///
    /// # Errors
    /// [`ConfigError::NotAState`] when something is.
    pub fn end(mut self) -> Result<(), ConfigError> {
        match self.numbers.is_empty() && self.floats.next().is_none() {
            true => Ok(()),
            false => Err(ConfigError::NotAState),
        }
    }
}

/// An optimiser that takes one gradient a step.
pub trait Update {
    /// Moves the parameters, `factor` being that of the learning rate. The threads of `engine` have
    /// nothing to do meanwhile.
    ///
    /// # Errors
    /// [`ConfigError`] when lengths do not fit.
    fn update(
        &mut self,
        engine: &mut Engine,
        factor: f32,
        parameters: &mut [f32],
        gradient: &[f32],
    ) -> Result<(), ConfigError>;

    /// [`Stepper::snapshot`].
    fn snapshot(&self) -> Option<Snapshot<'_>> {
        None
    }

    /// [`Stepper::restore`].
    ///
    /// # Errors
    /// [`ConfigError`] when it is no snapshot of this one.
    fn restore(&mut self, snapshot: &Snapshot<'_>) -> Result<(), ConfigError> {
        let _ = snapshot;
        Err(ConfigError::NotAState)
    }

    /// [`Stepper::precondition`].
    fn precondition(&self, vector: &mut [f32]) -> bool {
        let _ = vector;
        false
    }

    /// [`Stepper::stability_limit`], at the factor 1.
    fn stability_limit(&self) -> Option<f64> {
        None
    }
}

/// An [`Update`] that is a closure of factor, parameters and gradient, and nothing else.
pub struct By<F>(pub F);

impl<F> Update for By<F>
where
    F: FnMut(f32, &mut [f32], &[f32]) -> Result<(), ConfigError>,
{
    fn update(
        &mut self,
        _engine: &mut Engine,
        factor: f32,
        parameters: &mut [f32],
        gradient: &[f32],
    ) -> Result<(), ConfigError> {
        self.0(factor, parameters, gradient)
    }
}

/// An optimiser that takes one gradient a step, at work: its rate follows a schedule.
pub struct Scheduled<'m, U> {
    /// The factor of the rate over the run.
    pub schedule: Schedule,
    /// Memory of the gradient.
    pub gradient: &'m mut [f32],
    /// Moves the parameters.
    pub update: U,
}

impl<U: Update> Stepper for Scheduled<'_, U> {
    fn step(
        &mut self,
        loss: &mut BatchLoss<'_>,
        (step, steps): (u32, u32),
        parameters: &mut [f32],
    ) -> Result<Stepped, ConfigError> {
        let tally = loss.gradient(parameters, self.gradient);
        let factor = self.schedule.factor(step, steps);
        let update = &mut self.update;
        update.update(loss.engine, factor, parameters, self.gradient)?;
        Ok(Stepped {
            loss: tally.mean_loss(),
            ended: None,
        })
    }

    fn snapshot(&self) -> Option<Snapshot<'_>> {
        self.update.snapshot()
    }

    fn restore(&mut self, snapshot: &Snapshot<'_>) -> Result<(), ConfigError> {
        self.update.restore(snapshot)
    }

    fn precondition(&mut self, vector: &mut [f32]) -> bool {
        self.update.precondition(vector)
    }

    fn stability_limit(&self, (step, steps): (u32, u32)) -> Option<f64> {
        let factor = f64::from(self.schedule.factor(step, steps));
        let limit = self.update.stability_limit()?;
        (factor > 0.0).then(|| limit / factor)
    }
}

/// What a step found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stepped {
    /// The batch's mean loss before the step. Not finite where the parameters were of no use; the
    /// run ends then, unless the guard has taken it back.
    pub loss: f64,
    /// Why no further step is of use, if so.
    pub ended: Option<Termination>,
}

/// The mean loss of one batch as a function of the parameters.
pub struct BatchLoss<'e> {
    engine: &'e mut Engine,
    indices: &'e [u32],
    /// The samples of the epoch, and where the batch begins: [`BatchLoss::among`].
    order: &'e [u32],
    position: usize,
    dropout: Option<DropoutKey>,
    dimension: usize,
    evaluations: u64,
    /// What values and products count for in gradients of single samples.
    others: u64,
    observed: bool,
    gradient_time: Duration,
    first_loss: Option<f64>,
}

impl<'e> BatchLoss<'e> {
    /// The loss of the samples `indices`, `dimension` being the number of parameters.
    pub fn new(
        engine: &'e mut Engine,
        indices: &'e [u32],
        dropout: Option<DropoutKey>,
        dimension: usize,
    ) -> Self {
        Self {
            engine,
            indices,
            order: indices,
            position: 0,
            dropout,
            dimension,
            evaluations: 0,
            others: 0,
            observed: false,
            gradient_time: Duration::ZERO,
            first_loss: None,
        }
    }

    /// The batch begins at `position` of `order`: lets a product take more samples than the batch
    /// has, those that come next.
    pub fn among(mut self, order: &'e [u32], position: usize) -> Self {
        (self.order, self.position) = (order, position);
        self
    }

    /// **Overwrites** `product` with a curvature matrix at `parameters` times `vector`: that of the
    /// mean loss, without dropout, of the batch's first samples and of those that come next,
    /// `count` in all; near the end of the order, of its last ones.
    pub fn curvature_product(
        &mut self,
        curvature: Curvature,
        count: usize,
        parameters: &[f32],
        vector: &[f32],
        product: &mut [f32],
    ) {
        let count = count.min(self.order.len());
        let from = self.position.min(self.order.len() - count);
        let samples = &self.order[from..from + count];
        let start = Instant::now();
        let engine = &mut self.engine;
        engine.curvature_product(curvature, parameters, samples, vector, product);
        self.gradient_time += start.elapsed();
        self.others += count as u64 * product_cost(curvature);
    }

    /// The mean loss alone. With dropout it takes a gradient, which overwrites `scratch`.
    pub fn value(&mut self, parameters: &[f32], scratch: &mut [f32]) -> f64 {
        if self.dropout.is_some() {
            return self.gradient(parameters, scratch).mean_loss();
        }
        let start = Instant::now();
        let (tally, _) = self.engine.evaluate(parameters, self.indices);
        self.gradient_time += start.elapsed();
        self.others += self.indices.len() as u64;
        tally.mean_loss()
    }

    /// Overwrites `gradient` with the gradient of the mean loss.
    pub fn gradient(&mut self, parameters: &[f32], gradient: &mut [f32]) -> Metrics {
        self.evaluations += 1;
        let start = Instant::now();
        let tally = self
            .engine
            .gradient(parameters, self.indices, self.dropout, gradient);
        self.gradient_time += start.elapsed();
        self.first_loss.get_or_insert(tally.mean_loss());
        tally
    }

    /// [`gradient`](BatchLoss::gradient) that shows the layers' inputs to `observe`, with at least
    /// `workspace_len` floats of workspace.
    pub fn gradient_observed(
        &mut self,
        parameters: &[f32],
        gradient: &mut [f32],
        workspace_len: usize,
        observe: Observe<'_>,
    ) -> Metrics {
        self.evaluations += 1;
        self.observed = true;
        let start = Instant::now();
        let tally = self.engine.gradient_observed(
            parameters,
            self.indices,
            self.dropout,
            gradient,
            workspace_len,
            observe,
        );
        self.gradient_time += start.elapsed();
        self.first_loss.get_or_insert(tally.mean_loss());
        tally
    }

    /// The threads, which have nothing to do between gradients.
    pub fn engine(&mut self) -> &mut Engine {
        self.engine
    }

    /// The mean loss of the first evaluation.
    pub fn first_loss(&self) -> Option<f64> {
        self.first_loss
    }

    /// Gradients of the batch that were computed so far, beside values and products, and whether
    /// the inputs of the layers were shown.
    pub fn evaluations(&self) -> (u64, bool) {
        (self.evaluations, self.observed)
    }

    /// The time that this took, on the caller's clock.
    pub fn gradient_time(&self) -> Duration {
        self.gradient_time
    }

    /// Gradients of single samples that were computed so far. A value alone counts as one, a
    /// product with the Gauss-Newton matrix as two, one with the Hessian as three: their
    /// multiply-adds, rounded up.
    pub fn sample_gradients(&self) -> u64 {
        self.evaluations * self.indices.len() as u64 + self.others
    }
}

/// Gradients that a product is worth: of the products of matrices that a gradient has 3 of, a
/// product with the Gauss-Newton matrix has 5, one with the Hessian 8.
fn product_cost(curvature: Curvature) -> u64 {
    match curvature {
        Curvature::GaussNewton => 2,
        _ => 3,
    }
}

/// A [`BatchLoss`] whose products are those of so many samples.
pub struct WithProducts<'l, 'e> {
    /// The batch's.
    pub loss: &'l mut BatchLoss<'e>,
    /// Samples of a product.
    pub samples: usize,
}

impl Objective<f32> for WithProducts<'_, '_> {
    fn dimension(&self) -> usize {
        self.loss.dimension
    }

    fn value_and_gradient(&mut self, x: &[f32], gradient: &mut [f32]) -> f32 {
        self.loss.value_and_gradient(x, gradient)
    }

    fn value(&mut self, x: &[f32], scratch: &mut [f32]) -> f32 {
        self.loss.value(x, scratch) as f32
    }
}

impl HessianProduct<f32> for WithProducts<'_, '_> {
    fn hessian_product(&mut self, x: &[f32], v: &[f32], product: &mut [f32]) {
        let curvature = Curvature::Hessian;
        self.loss
            .curvature_product(curvature, self.samples, x, v, product);
    }

    fn gauss_newton_product(&mut self, x: &[f32], v: &[f32], product: &mut [f32]) {
        let curvature = Curvature::GaussNewton;
        self.loss
            .curvature_product(curvature, self.samples, x, v, product);
    }
}

impl Objective<f32> for BatchLoss<'_> {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn value_and_gradient(&mut self, x: &[f32], gradient: &mut [f32]) -> f32 {
        self.gradient(x, gradient).mean_loss() as f32
    }
}
