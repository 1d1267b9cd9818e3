//! What the tests share: the oracle, the tolerances, how to put a network before both, and test problems.

pub mod draw;
pub mod fixture;
pub mod oracle;
pub mod problems;
pub mod tolerance;
