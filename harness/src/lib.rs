//! Drives the `secant` library on a desktop: data, training runs, reports, files.

pub mod batch;
pub mod bench;
pub mod chart;
pub mod cli;
pub mod compare;
pub mod config;
pub mod data;
pub mod digest;
pub mod engine;
pub mod error;
pub mod export;
pub mod formats;
pub mod lock;
pub mod loss;
pub mod machine;
pub mod memory;
pub mod model;
pub mod optimizers;
pub mod plot;
pub mod report;
pub mod score;
pub mod size;
pub mod train;
pub mod trained;
pub mod weights;
pub mod workspace;
