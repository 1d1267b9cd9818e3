//! Secant trains small convolutional networks with first- and second-order optimisers, without `std` and without a heap.
#![no_std]
#![deny(unsafe_code, missing_docs)]

pub mod arch;
pub mod line_search;
pub mod objective;
pub mod optim;
mod real;
pub mod vector;

pub use real::Real;
