//! The network as a value: [`Shape`], [`Layer`] and [`Network`].
//!
//! A network is a list of layers applied in turn. Shapes are checked when it is made, at compile
//! time for a constant:
//!
//! ```
//! use secant::network::{Network, Shape, conv2d, linear, max_pool2d, relu};
//!
//! const NET: Network<7> = Network::new(
//!     Shape::new(1, 28, 28),
//!     [conv2d(8, 3), relu(), max_pool2d(2), conv2d(16, 3), relu(), max_pool2d(2), linear(10)],
//! );
//! assert_eq!(NET.parameter_count(), 5_258);
//! ```
//!
//! # No batch normalisation
//!
//! It would couple all samples of a batch: no layer can begin before the one in front of it has
//! seen the last sample, so the activations of the whole batch must be kept, where here one block
//! of lanes (on a device one sample) goes through the whole network before the next, and a batch's
//! gradient is a sum over samples however it is cut. Its sums could be kept in a fixed order, so it
//! could be exact; it could not be static. A normalisation with fixed statistics is a scale and a
//! shift, which the weights and biases of the convolution in front of it can hold.

mod error;
mod initialise;
pub mod presets;
mod value;

pub use crate::layers::avg_pool2d::AvgPool2d;
pub use crate::layers::conv2d::{Conv2d, Convolution};
pub use crate::layers::depthwise_conv2d::DepthwiseConv2d;
pub use crate::layers::group_norm::GroupNorm;
pub use crate::layers::linear::Linear;
pub use crate::layers::max_pool2d::MaxPool2d;
pub use crate::layers::{
    Layer, avg_pool1d, avg_pool2d, conv1d, conv2d, depthwise_conv1d, depthwise_conv2d, dropout,
    global_avg_pool2d, group_norm, layer_norm, leaky_relu, linear, max_pool1d, max_pool2d, relu,
    sigmoid, tanh,
};
pub use crate::shape::{LayerError, Shape};
pub use error::{FreezeError, ShapeError};
pub use initialise::{Init, weights_from_bytes};
pub use value::Network;
