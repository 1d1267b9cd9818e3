//! What the tests share: the oracle, the tolerances, the golden runs, and test problems. Nothing
//! here makes the compiler build kernels, since every test waits for this crate.

pub mod dense;
pub mod draw;
pub mod golden;
pub mod golden_products;
pub mod hyperdual;
pub mod motions;
pub mod oracle;
pub mod problems;
pub mod program;
pub mod small_set;
pub mod snapshot;
pub mod softmax_regression;
pub mod tolerance;

pub use golden::contract_bits;

/// The examples of README.md, compiled and run as they stand there.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
