//! A trained network in the words of other programs: ONNX, Rust, C, NumPy.

pub mod c;
pub mod firmware;
pub mod npz;
pub mod onnx;
pub(crate) mod onnx_messages;
pub mod rust;

use secant::network::{Layer, Shape};

use crate::trained::Trained;

/// A layer on its way into another format.
pub struct LayerParts<'a> {
    /// Its number in the model, from 0.
    pub index: usize,
    /// What it is.
    pub layer: Layer,
    /// Shape of what it takes.
    pub input: Shape,
    /// Shape of what it gives.
    pub output: Shape,
    /// Its weights, as they lie in the flat slice.
    pub weights: &'a [f32],
    /// Its biases.
    pub biases: &'a [f32],
}

/// The layers of a network in order.
pub fn layers(trained: &Trained) -> impl Iterator<Item = LayerParts<'_>> {
    let network = &trained.model.network;
    network.layers().iter().enumerate().map(|(index, layer)| {
        let (weights, biases) = network.parameter_ranges(index);
        LayerParts {
            index,
            layer: *layer,
            input: network.shape(index),
            output: network.shape(index + 1),
            weights: &trained.parameters[weights],
            biases: &trained.parameters[biases],
        }
    })
}

/// Rows of a source file with these numbers, each written with the fewest digits that are read back
/// as the same float, as many a row as 96 columns hold.
fn rows_of_floats(values: &[f32], suffix: &str) -> String {
    let mut text = String::new();
    let mut row = String::from("   ");
    for value in values {
        let word = format!(" {value:?}{suffix},");
        if row.len() + word.len() > 96 {
            text.push_str(&row);
            text.push('\n');
            row = String::from("   ");
        }
        row.push_str(&word);
    }
    if row.len() > 3 {
        text.push_str(&row);
        text.push('\n');
    }
    text
}
