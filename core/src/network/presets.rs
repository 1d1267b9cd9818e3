//! Networks with a name.

use super::value::Network;
use crate::layers::{conv2d, dropout, linear, max_pool2d, relu};
use crate::shape::Shape;

/// One grey image of 28 x 28 pixels, as in MNIST and Fashion-MNIST.
const IMAGE: Shape = Shape::new(1, 28, 28);

/// Two small convolutions and a linear layer, 5,258 parameters: small enough to train on a
/// microcontroller.
pub const MICRO: Network<7> = Network::new(
    IMAGE,
    [
        conv2d(8, 3),
        relu(),
        max_pool2d(2),
        conv2d(16, 3),
        relu(),
        max_pool2d(2),
        linear(10),
    ],
);

/// LeNet-5 (LeCun, Bottou, Bengio, Haffner, 1998) with relu and max-pooling, 61,706 parameters.
pub const LENET: Network<11> = Network::new(
    IMAGE,
    [
        conv2d(6, 5).padding(2),
        relu(),
        max_pool2d(2),
        conv2d(16, 5),
        relu(),
        max_pool2d(2),
        linear(120),
        relu(),
        linear(84),
        relu(),
        linear(10),
    ],
);

/// Three convolutions and four linear layers with dropout, 159,539 parameters: the size of network
/// that the experiment behind this project used.
pub const SEED: Network<19> = Network::new(
    IMAGE,
    [
        conv2d(32, 3),
        relu(),
        max_pool2d(2),
        conv2d(64, 3),
        relu(),
        max_pool2d(2),
        conv2d(64, 3).padding(1),
        relu(),
        max_pool2d(2),
        linear(250),
        relu(),
        dropout(0.2),
        linear(125),
        relu(),
        dropout(0.2),
        linear(60),
        relu(),
        dropout(0.2),
        linear(10),
    ],
);

/// The network "2c2d" that the DeepOBS benchmark (Schneider, Balles, Hennig, 2019) trains on
/// Fashion-MNIST: padding keeps the size of the maps; 3,274,634 parameters.
pub const TWO_C_TWO_D: Network<9> = Network::new(
    IMAGE,
    [
        conv2d(32, 5).padding(2),
        relu(),
        max_pool2d(2),
        conv2d(64, 5).padding(2),
        relu(),
        max_pool2d(2),
        linear(1024),
        relu(),
        linear(10),
    ],
);
