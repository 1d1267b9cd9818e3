//! Optimisers.
//!
//! # Two kinds
//!
//! The *deterministic* ones take an [`Objective`](crate::objective::Objective). They evaluate it as
//! often as they need to, and run to the end (`minimize`) or one iteration at a time (`step`):
//! [`GradientDescent`], [`Bfgs`], [`Lbfgs`], [`LbfgsB`] (bounds), [`OwlQn`] (L1 penalty),
//! [`NewtonCg`] and [`Newton`] (dense, for a handful of variables).
//!
//! The *stochastic* ones take the gradient of a batch: [`Sgd`], [`Adam`], [`FlatLbfgs`] and
//! [`LayerLbfgs`]; or the batch itself as an objective with products: [`HessianFree`].
//! A [`Schedule`] anneals their learning rate, and a [`Guard`] takes diverging runs back.
//!
//! # Conventions
//!
//! * **Configuration apart from state.** `AdamConfig` is a plain struct with public fields, which
//!   constants can build on (`AdamConfig { learning_rate: 0.01, ..AdamConfig::DEFAULT }`); `Adam`
//!   is the state of a run. `new` refuses a setting that is out of range, and the
//!   [`ConfigError`](crate::ConfigError) names the field, its range and what was found.
//! * **Memory is lent at `new`**, for as long as the optimiser lives, so no later call can meet the
//!   wrong memory. How much is a `const fn`, `memory_len`. What the memory holds before does not
//!   matter. Later calls check nothing but the lengths of their slices.
//! * **A stochastic step is `step(factor, parameters, gradient)`**: the schedule's factor of the
//!   learning rate, what is moved, and along what. The optimiser does not compute the gradient,
//!   since only the caller knows the batch, the threads and the deadlines; it does not own the
//!   parameters, since evaluation, guard and checkpoint need them between steps. [`LayerLbfgs`]
//!   preconditions the gradient in place, so there it is `&mut`. What else a method learns from
//!   comes before, by `observe`, and the step returns how recent that is: [`Freshness`].
//!   [`LayerLbfgs::train_step`] does all of it in one call. `parts` is the same step for several
//!   threads.
//! * **Checkpoints** hold the numbers of [`State`](crate::checkpoint::State) and `memory()`.

mod adam;
mod averages;
mod bfgs;
mod compact;
mod descent;
mod flat_lbfgs;
mod freshness;
mod gradient_descent;
mod guard;
mod hessian_free;
mod history;
#[cfg(feature = "network")]
mod layer_lbfgs;
mod lbfgs;
mod lbfgs_b;
mod ldl;
#[cfg(feature = "alloc")]
mod minimize;
mod newton;
mod newton_cg;
mod owl_qn;
mod pair;
mod region;
mod schedule;
mod sgd;
mod termination;
mod two_loop;

#[doc(inline)]
pub use {
    adam::{Adam, AdamConfig, AdamPart, Decay},
    averages::IterateAverages,
    bfgs::{Bfgs, BfgsConfig},
    descent::{FirstStep, Step},
    flat_lbfgs::{FlatLbfgs, FlatLbfgsConfig},
    freshness::Freshness,
    gradient_descent::{GradientDescent, GradientDescentConfig, StepRule},
    guard::{Divergence, Guard, GuardAction, GuardConfig},
    hessian_free::{HessianFree, HessianFreeConfig, HessianFreeStep},
    history::Scaling,
    lbfgs::{Lbfgs, LbfgsConfig},
    lbfgs_b::LbfgsB,
    ldl::{Inertia, ldl, ldl_solve},
    newton::{Newton, NewtonConfig},
    newton_cg::{CurvatureMatrix, NewtonCg, NewtonCgConfig, Safeguard},
    owl_qn::OwlQn,
    pair::{Curvature, SecantCondition, Skip, Verdict},
    schedule::{Annealing, Schedule},
    sgd::{Sgd, SgdConfig, SgdPart},
    termination::{Report, Stopping, Termination},
    two_loop::{Initial, Pair, two_loop},
};

#[cfg(feature = "alloc")]
#[doc(inline)]
pub use minimize::minimize;

#[cfg(feature = "network")]
#[doc(inline)]
pub use layer_lbfgs::{LayerLbfgs, LayerLbfgsConfig, LayerPart, LayerParts, Refresh, SecondMoment};
