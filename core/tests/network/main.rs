//! Tests of whole networks that need only the library: one program, so that their kernels are compiled
//! once.

mod common;
mod edges;
mod freeze;
mod one_lane;
mod parts;
mod shares;
