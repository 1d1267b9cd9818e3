//! Networks of other programs, as the folder of a run: what PyTorch saves, and ONNX.

mod floats;
pub mod onnx;
pub mod safetensors;

use secant::Affine;

use crate::data::dataset::Task;
use crate::model::Model;

/// A network that was read.
#[derive(Debug)]
pub struct Imported {
    /// Its layers.
    pub model: Model,
    /// What it takes and gives.
    pub task: Task,
    /// Its weights, in the order of the flat slice.
    pub parameters: Vec<f32>,
    /// How it wants its inputs, one map for all channels or one for each, if the file says so.
    pub scalings: Option<Vec<Affine>>,
    /// What its outputs are of numbers to predict: one map for each, or none.
    pub target_scalings: Vec<Affine>,
    /// What a person should know, a line each.
    pub notes: Vec<String>,
}

/// Sizes as people write them: `8 x 1 x 3 x 3`.
pub(crate) fn sizes(shape: &[usize]) -> String {
    let words: Vec<_> = shape.iter().map(usize::to_string).collect();
    words.join(" x ")
}

/// A message as one line of a length that can be read: names in a file may hold anything.
fn one_line(message: String) -> String {
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    message.chars().map(shown).take(LONGEST_MESSAGE).collect()
}

/// Characters of a message, at most.
const LONGEST_MESSAGE: usize = 600;

/// The first weight that is not finite, as a phrase.
fn finite(name: &str, values: &[f32]) -> Result<(), String> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(place) => Err(format!(
            "tensor {name} holds {} as its element {place}, counted from 0",
            values[place]
        )),
    }
}
