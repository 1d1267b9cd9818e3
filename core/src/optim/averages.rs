//! Averages of iterates, and the steps between them.

use crate::checkpoint::{self, State};
use crate::error::{ConfigError, check_length, check_memory, check_range, split};
use crate::vector;

/// Averages of iterates: the way between two of them is a step along which curvature is worth
/// measuring, since the noise of single steps has been averaged out.
///
/// ```text
/// a_t = mean of the iterates of window t, of `every` steps each;   s_t = a_t - a_{t-1}
/// ```
///
/// From the end of the second window on a pair is `s_t` and `y_t = H(a_t) s_t`, the Hessian being
/// that of some samples, which
/// [`FlatLbfgs::observe_product`](super::FlatLbfgs::observe_product) takes. Costs one fused
/// operation a parameter and step.
///
/// Source: R. Byrd, S. Hansen, J. Nocedal and Y. Singer, *A stochastic quasi-Newton method for
/// large-scale optimization*, SIAM J. Optim. 26 (2016).
///
/// ```
/// use secant::optim::IterateAverages;
///
/// let mut memory = [0.0; IterateAverages::memory_len(1)];
/// let mut averages = IterateAverages::new(2, 1, &mut memory)?;
/// let ended: Vec<bool> = [1.0, 3.0, 4.0, 8.0].map(|w| averages.add(&[w]).unwrap()).into();
/// assert_eq!(ended, [false, false, false, true]);
/// assert_eq!((averages.point(), averages.step()), (&[6.0][..], &[4.0][..]));
/// # Ok::<(), secant::ConfigError>(())
/// ```
#[derive(Debug, PartialEq)]
pub struct IterateAverages<'m> {
    every: u32,
    /// Iterates added.
    count: u32,
    /// The mean of the window at work, as far as it goes; the one before it; the step.
    memory: &'m mut [f32],
}

impl<'m> IterateAverages<'m> {
    /// Averages of `every` iterates each, at least 1, of `n` parameters. `memory` needs
    /// [`memory_len(n)`](Self::memory_len) floats; what they are does not matter.
    ///
    /// # Errors
    /// [`ConfigError`] when the memory is too short or a setting is out of range.
    pub fn new(every: u32, n: usize, memory: &'m mut [f32]) -> Result<Self, ConfigError> {
        check_range("every", every, "at least 1", every > 0)?;
        let memory = check_memory(memory, IterateAverages::memory_len(n))?;
        memory.fill(0.0);
        Ok(IterateAverages {
            every,
            count: 0,
            memory,
        })
    }

    /// Floats of memory for `n` parameters: `3 n`.
    pub const fn memory_len(n: usize) -> usize {
        n.saturating_mul(3)
    }

    const fn dimension(&self) -> usize {
        self.memory.len() / IterateAverages::memory_len(1)
    }

    /// Adds an iterate. True where a window has ended that is not the first: there is a
    /// [`step`](Self::step), and it ends at [`point`](Self::point).
    ///
    /// # Errors
    /// [`ConfigError`] when the length is wrong; nothing has changed then.
    pub fn add(&mut self, parameters: &[f32]) -> Result<bool, ConfigError> {
        let n = self.dimension();
        check_length("parameters", n, parameters.len())?;
        let (mean, memory) = split(self.memory, n);
        let (before, step) = split(memory, n);
        vector::axpy(1.0 / self.every as f32, parameters, mean);
        self.count = self.count.saturating_add(1);
        if !self.count.is_multiple_of(self.every) {
            return Ok(false);
        }
        vector::add_scaled(-1.0, mean, before, step);
        vector::copy(mean, before);
        mean.fill(0.0);
        Ok(self.count > self.every)
    }

    /// The average of the last window.
    pub fn point(&self) -> &[f32] {
        let n = self.dimension();
        self.memory.get(n..2 * n).unwrap_or_default()
    }

    /// The way to it from the average before.
    pub fn step(&self) -> &[f32] {
        let n = self.dimension();
        self.memory.get(2 * n..).unwrap_or_default()
    }

    /// What a checkpoint needs beside [`State::numbers`]; a step that has not been used is lost.
    pub fn memory(&self) -> &[f32] {
        self.memory.get(..2 * self.dimension()).unwrap_or_default()
    }

    /// The same, to be loaded from a checkpoint.
    pub fn memory_mut(&mut self) -> &mut [f32] {
        let n = self.dimension();
        self.memory.get_mut(..2 * n).unwrap_or_default()
    }
}

impl State for IterateAverages<'_> {
    /// Iterates added.
    const NUMBERS: usize = 1;

    fn numbers(&self, numbers: &mut [u64]) -> Result<(), ConfigError> {
        checkpoint::put(Self::NUMBERS, [u64::from(self.count)], numbers)
    }

    fn restore(&mut self, numbers: &[u64]) -> Result<(), ConfigError> {
        let ([count], _) = checkpoint::take::<1>(Self::NUMBERS, numbers)?;
        self.count = checkpoint::small(*count)?;
        Ok(())
    }
}
