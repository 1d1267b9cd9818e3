//! Secant trains small convolutional networks with first- and second-order optimisers, without `std` and without a heap.
#![no_std]
#![deny(unsafe_code, missing_docs)]

pub mod arch;
mod initialise;
mod layers;
pub mod line_search;
mod loss;
mod math;
pub mod network;
pub mod objective;
pub mod optim;
mod plan;
pub mod presets;
mod propagation;
pub mod random;
mod real;
mod samples;
pub mod vector;

pub use initialise::Init;
pub use layers::dropout::DropoutKey;
pub use network::{Layer, Network, Shape};
pub use propagation::{Batch, PassError, Tally};
pub use random::Random;
pub use real::Real;
pub use samples::{Normalisation, Samples};
