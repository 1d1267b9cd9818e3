//! Secant trains small convolutional networks with first- and second-order optimisers, without
//! `std` and without a heap, and gives the same bits on every target, instruction set and number of
//! threads.
//!
//! # Tour
//!
//! A network is a plain value, checked when it is made ([`network`]); [`network::presets`] holds
//! some with a name. All memory comes from the caller, as slices whose lengths are `const fn`s of
//! that value, so on a microcontroller they are statics:
//!
//! ```
//! use secant::network::{Init, Network, Shape, conv2d, linear, max_pool2d, relu};
//! use secant::optim::{Adam, AdamConfig};
//! use secant::{Batch, Normalisation, Random, Samples};
//!
//! const NET: Network<4> = Network::new(Shape::new(1, 6, 6), [conv2d(4, 3), relu(), max_pool2d(2), linear(2)]);
//! const N: usize = NET.parameter_count();
//! const LANES: usize = 1; // samples that go through a layer side by side: 1 to 4 on a small core, 16 on a desktop
//! let mut parameters = [0.0; N];
//! let mut gradient = [0.0; N];
//! let mut moments = [0.0; Adam::memory_len(N)];
//! let mut workspace = [0.0; NET.workspace_len(LANES)];
//!
//! // Two images of 6 x 6 bytes, one dark and one light, and their classes.
//! let (mut pixels, labels) = ([0; 72], [0, 1]);
//! pixels[36..].fill(255);
//! let samples = Samples::bytes(&pixels, &labels, Normalisation::UNIT);
//! let batch = Batch::new(samples, &[0, 1]).weight(0.5);
//!
//! NET.initialise(Init::He, &mut Random::new(1, 0), &mut parameters);
//! let config = AdamConfig { learning_rate: 0.02, ..AdamConfig::DEFAULT };
//! let mut adam = Adam::new(config, N, &mut moments)?;
//! let before = NET.evaluate::<LANES>(&parameters, batch, &mut workspace)?.mean_loss();
//! for _ in 0..20 {
//!     gradient.fill(0.0);
//!     NET.accumulate_gradient::<LANES>(&parameters, batch, &mut gradient, &mut workspace)?;
//!     adam.step(1.0, &mut parameters, &gradient)?;
//! }
//! let after = NET.evaluate::<LANES>(&parameters, batch, &mut workspace)?;
//! assert!(after.mean_loss() < 0.5 * before && after.correct == 2);
//! # Ok::<(), secant::TrainError>(())
//! ```
//!
//! The optimisers of [`optim`] need no network: the deterministic ones minimise any [`objective`],
//! in `f32` or `f64`; [`least_squares`] fits models to measurements; [`spectrum`] finds the
//! eigenvalues of a Hessian from its products with vectors.
//!
//! # The determinism contract
//!
//! Every multiply-accumulate of a sum of products is one fused multiply-add, in a documented order
//! of terms; otherwise there are only `+ - * /` and square roots, functions made of these, and
//! functions from `libm`; ties are written out. So the bits of every result depend on the network,
//! the data, the seed, the optimiser and the number of lanes, and on nothing else. A zero's sign
//! and a NaN's bits are outside the contract, and so is the feature `fast-math`.
//!
//! # Features
//!
//! * `network` (on): networks and what trains them. Without it there are the optimisers, the line
//!   searches, least squares and derivatives alone: `default-features = false`.
//! * `alloc`: [`optim`]`::minimize`, a minimum in one call with memory from the heap.
//! * `defmt`: `defmt::Format` on public types.
//! * `fast-math`: `micromath` for exponentials and logarithms, faster on small cores, outside the
//!   contract.
#![no_std]
#![deny(unsafe_code, missing_docs)]
// A few helpers serve the network alone; with it, code that nothing uses is found.
#![cfg_attr(not(feature = "network"), allow(dead_code))]

pub mod arch;
pub mod checkpoint;
pub mod derivatives;
mod error;
pub mod least_squares;
pub mod line_search;
#[doc(hidden)]
pub mod math;
pub mod objective;
pub mod optim;
pub mod random;
mod real;
pub mod spectrum;
pub mod vector;

#[cfg(feature = "network")]
mod batch;
#[cfg(feature = "network")]
mod layers;
#[cfg(feature = "network")]
mod loss;
#[cfg(feature = "network")]
mod map;
#[cfg(feature = "network")]
mod message;
#[cfg(feature = "network")]
pub mod network;
#[cfg(feature = "network")]
mod outputs;
#[cfg(feature = "network")]
mod pass;
#[cfg(feature = "network")]
mod plan;
#[cfg(feature = "network")]
mod samples;
#[cfg(feature = "network")]
mod shape;
#[cfg(feature = "network")]
#[doc(hidden)]
pub mod single_kernels;
#[cfg(feature = "network")]
mod train_error;

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub use error::ConfigError;
pub use random::Random;
pub use real::Real;

#[cfg(feature = "network")]
#[doc(hidden)]
pub use pass::{StageInfo, StagePass};
#[cfg(feature = "network")]
#[doc(inline)]
pub use {
    batch::{Batch, Metrics, PassError},
    layers::draw::DropoutKey,
    loss::Loss,
    outputs::{argmax, softmax},
    pass::{Curvature, LayerInputs, MapParts, Share, SharedMap, SteppedGradient},
    samples::{Affine, Normalisation, Samples, Targets, Values},
    train_error::TrainError,
};
