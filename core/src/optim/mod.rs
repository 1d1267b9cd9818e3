//! Optimisers.
//!
//! The deterministic ones take an [`Objective`](crate::objective::Objective) and run to the end (`minimize`) or an iteration
//! at a time (`step`). All memory is lent by the caller, and its length is a `const fn` of the dimension.

pub mod adam;
mod descent;
mod history;
mod lbfgs;
mod pair;
pub mod schedule;
mod termination;
pub mod two_loop;

pub use adam::{Adam, AdamConfig, Decay};
pub use descent::Step;
pub use lbfgs::{Lbfgs, LbfgsConfig};
pub use pair::{Curvature, Skip, Verdict};
pub use schedule::{Decline, Schedule};
pub use termination::{Misuse, Report, Stopping, Termination};
