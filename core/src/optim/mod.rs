//! Optimisers.
//!
//! The deterministic ones take an [`Objective`](crate::objective::Objective) and run to the end (`minimize`) or an iteration
//! at a time (`step`). All memory is lent by the caller, and its length is a `const fn` of the dimension.

pub mod adam;
mod bfgs;
mod descent;
pub mod flat_lbfgs;
mod gradient_descent;
pub mod guard;
mod history;
pub mod layer_lbfgs;
mod lbfgs;
mod lbfgs_b;
mod newton_cg;
mod owl_qn;
mod pair;
mod region;
pub mod schedule;
mod termination;
pub mod two_loop;

pub use adam::{Adam, AdamConfig, Decay};
pub use bfgs::{Bfgs, BfgsConfig};
pub use descent::{FirstStep, Step};
pub use flat_lbfgs::{FlatLbfgs, FlatLbfgsConfig};
pub use gradient_descent::{GradientDescent, GradientDescentConfig, StepRule};
pub use guard::{Guard, GuardConfig, Trouble, Watch};
pub use history::Scaling;
pub use layer_lbfgs::{Form, LayerLbfgs, LayerLbfgsConfig, Refresh};
pub use lbfgs::{Lbfgs, LbfgsConfig};
pub use lbfgs_b::LbfgsB;
pub use newton_cg::{CurvatureMatrix, NewtonCg, NewtonCgConfig, Safeguard};
pub use owl_qn::OwlQn;
pub use pair::{Curvature, Secant, Skip, Verdict};
pub use schedule::{Decline, Schedule};
pub use termination::{Misuse, Report, Stopping, Termination};
