//! Why a list of layers is not a network, or cannot be frozen.

use crate::message::Message;
use crate::shape::LayerError;

/// Why a list of layers is not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ShapeError {
    /// There is no layer.
    NoLayers,
    /// More layers than the network's capacity `N`.
    TooManyLayers {
        /// Layers in the list.
        layers: usize,
        /// The capacity.
        capacity: usize,
    },
    /// The input has no values, or more than 2^28.
    Input,
    /// The layers have more than 2^28 parameters together.
    Parameters,
    /// A layer does not fit.
    Layer {
        /// The layer, counted from 0.
        index: usize,
        /// Its name.
        name: &'static str,
        /// What is wrong.
        error: LayerError,
    },
}

impl ShapeError {
    pub(super) const fn message(&self) -> Message {
        let message = Message::new();
        match self {
            ShapeError::NoLayers => message.text("a network needs at least one layer"),
            ShapeError::TooManyLayers { layers, capacity } => message
                .number(*layers)
                .text(" layers are more than the network's capacity of ")
                .number(*capacity),
            ShapeError::Input => {
                message.text("the input shape has a zero, or more than 2^28 values")
            }
            ShapeError::Parameters => {
                message.text("the layers have more than 2^28 parameters together")
            }
            ShapeError::Layer { index, name, error } => {
                let message = message.text("layer ").number(*index + 1);
                error.describe(message.text(" (").text(name).text("): "))
            }
        }
    }
}

impl core::fmt::Display for ShapeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.message().as_str())
    }
}

impl core::error::Error for ShapeError {}

/// Why the first layers of a network cannot be frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FreezeError {
    /// The network has fewer layers.
    Layers {
        /// Layers to freeze.
        frozen: usize,
        /// Layers there are.
        layers: usize,
    },
    /// The weights are not those of the frozen layers.
    Weights {
        /// Their number: [`Network::parameter_offset`](crate::network::Network::parameter_offset)
        /// of the first layer that is not frozen.
        expected: usize,
        /// How many there were.
        found: usize,
    },
}

impl FreezeError {
    pub(super) const fn message(&self) -> Message {
        let message = Message::new();
        match self {
            FreezeError::Layers { frozen, layers } => message
                .text("cannot freeze ")
                .number(*frozen)
                .text(" layers of ")
                .number(*layers),
            FreezeError::Weights { expected, found } => message
                .text("the frozen layers have ")
                .number(*expected)
                .text(" weights, not ")
                .number(*found),
        }
    }
}

impl core::fmt::Display for FreezeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.message().as_str())
    }
}

impl core::error::Error for FreezeError {}
