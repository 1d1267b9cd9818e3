//! L-BFGS, on mini-batches or on all images at once.
//!
//! On mini-batches each step evaluates its batch where it stands, searches along the quasi-Newton direction until Armijo's
//! condition holds on the *same* batch, and makes its pair of the two gradients there: differences between batches never
//! pass for curvature. The pairs of earlier batches stay.

use secant::line_search::{Backtracking, LineSearch, MoreThuente};
use secant::optim::{
    Curvature, FirstStep, Lbfgs, LbfgsConfig, Misuse, Scaling, Stopping, Termination,
};
use serde::Serialize;

use super::{BatchLoss, Stepped, Stepper};

/// Most pairs that can be chosen.
pub const LARGEST_HISTORY: usize = 32;

/// Settings of L-BFGS.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LbfgsSettings {
    /// Pairs kept, 1 to [`LARGEST_HISTORY`].
    pub history: usize,
    /// What ends a line search.
    pub line_search: LineSearchName,
    /// What becomes of a pair with too little curvature.
    pub curvature: CurvatureName,
    /// The matrix that the pairs start from.
    pub scaling: ScalingName,
    /// Length of the first step, before there are pairs.
    pub first_step: f32,
}

/// Names for `--line-search`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LineSearchName {
    /// Enough decrease: nearly always one evaluation a step
    Armijo,
    /// Enough decrease and a flatter slope: better pairs, for full batches
    Wolfe,
}

/// Names for `--curvature`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum CurvatureName {
    /// Leave it out
    Skip,
    /// Keep it, damped (Powell)
    Damp,
}

/// Names for `--scaling`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ScalingName {
    /// A multiple of the identity, from the newest pair
    Scalar,
    /// A diagonal that learns from every pair
    Diagonal,
}

/// Calls `$body` with the constant `$m` equal to the run-time number `$history`, which is 1 to 32.
macro_rules! with_history {
    ($history:expr, $m:ident => $body:expr) => {
        with_history!(@ $history, $m => $body; 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31)
    };
    (@ $history:expr, $m:ident => $body:expr; $($number:literal)*) => {
        match $history {
            $($number => { const $m: usize = $number; $body })*
            _ => { const $m: usize = LARGEST_HISTORY; $body }
        }
    };
}

impl LbfgsSettings {
    /// The name: the search tells mini-batches from full ones.
    pub(super) fn name(&self) -> &'static str {
        match self.line_search {
            LineSearchName::Armijo => "lbfgs-armijo",
            LineSearchName::Wolfe => "lbfgs",
        }
    }

    pub(super) fn memory_len(&self, n: usize) -> usize {
        with_history!(self.history, M => Lbfgs::<M>::memory_len(n))
    }

    pub(super) fn start<'m>(
        &self,
        n: usize,
        same_objective: bool,
        memory: &'m mut [f32],
    ) -> Result<Box<dyn Stepper + 'm>, Misuse> {
        let config = LbfgsConfig {
            line_search: match self.line_search {
                LineSearchName::Armijo => LineSearch::Backtracking(Backtracking::default()),
                LineSearchName::Wolfe => LineSearch::MoreThuente(MoreThuente::default()),
            },
            curvature: match self.curvature {
                CurvatureName::Skip => Curvature::skip(),
                CurvatureName::Damp => Curvature::damp(),
            },
            scaling: match self.scaling {
                ScalingName::Scalar => Scaling::Scalar,
                ScalingName::Diagonal => Scaling::Diagonal,
            },
            first_step: FirstStep::Length(self.first_step),
            stopping: Stopping::never(),
            ..LbfgsConfig::classic()
        };
        Ok(with_history!(self.history, M => Box::new(Running {
            lbfgs: Lbfgs::<M>::new(config, n, memory)?,
            same_objective,
            value: None,
        })))
    }
}

struct Running<'m, const M: usize> {
    lbfgs: Lbfgs<'m, M>,
    same_objective: bool,
    /// The loss where the last step ended.
    value: Option<f64>,
}

impl<const M: usize> Stepper for Running<'_, M> {
    fn step(
        &mut self,
        loss: &mut BatchLoss<'_>,
        _progress: (u32, u32),
        parameters: &mut [f32],
    ) -> Result<Stepped, Misuse> {
        if !self.same_objective {
            self.lbfgs.objective_changed();
            self.value = None;
        }
        let step = self.lbfgs.step(loss, parameters)?;
        let before = self
            .value
            .or(loss.first_loss())
            .unwrap_or(f64::from(step.value));
        self.value = Some(f64::from(step.value));
        let ended = match step.termination {
            // The next batch is another function, which may well have a way down from here.
            Some(Termination::LineSearchFailed | Termination::NoiseLevel)
                if !self.same_objective =>
            {
                None
            }
            ended => ended,
        };
        Ok(Stepped {
            loss: before,
            ended,
        })
    }
}
