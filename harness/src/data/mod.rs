//! Data sets of any shape: how they lie in memory, how they are read from files, how they are
//! split.
//!
//! | file | what it holds |
//! |---|---|
//! | [`dataset`] | [`Dataset`](dataset::Dataset): shape, elements, targets, a training part and a test part |
//! | [`elements`] | what samples and targets are made of |
//! | [`scaling`] | mean and deviation per channel |
//! | [`split`] | choosing samples at random, from each class in proportion |
//! | [`open`] | where the data is, and in which format |
//! | [`idx`], [`npy`], [`ts`], [`csv`], [`png`] | the readers, one format each |
//! | [`synthetic`] | the built-in set |
//! | [`array`](mod@array), [`labels`], [`predict`], [`pieces`] | what the readers share: arrays of numbers, labels as they lie in files and as they are wanted, checks |
//! | [`files`] | looking into folders |
//! | [`fetch`] | getting Fashion-MNIST |
//! | [`error`] | the one error: a file, what was expected, what was found |
//!
//! Readers trust nothing that a file says: memory grows with the bytes that were really there,
//! never with what a header promises, and a file that unpacks to more than [`array::MAX_ELEMENTS`]
//! numbers is refused.

pub mod array;
pub mod csv;
pub mod dataset;
pub mod elements;
pub mod error;
pub mod fetch;
pub mod files;
pub mod idx;
pub mod labels;
pub mod npy;
pub mod open;
pub mod pieces;
pub mod png;
pub mod predict;
pub mod scaling;
pub mod sheet;
pub mod split;
pub mod synthetic;
pub mod ts;
