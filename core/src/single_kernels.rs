//! The definitions of the kernels of one sample, for tests of the assembly.

pub use crate::layers::conv2d::definition::{
    conv_input_gradient, conv_rows, conv_weight_gradient, pixels,
};
pub use crate::layers::depthwise_conv2d::definition::{
    depthwise, depthwise_input_gradient, depthwise_weight_gradient,
};
pub use crate::layers::linear::definition::{add_scaled, linear_rows};
pub use crate::layers::max_pool2d::definition::{
    may_have_nan, pool_pairs_positive, pool_positive, relu_gradient, relu_row, write_code,
};
