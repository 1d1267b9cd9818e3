//! Drives the `secant` library on a desktop.

pub mod dataset;
pub mod error;
pub mod idx;
pub mod model;
pub mod synthetic;
