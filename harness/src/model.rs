//! Networks by name or by a one-line description.
//!
//! ```text
//! SPEC   = LAYER { (" " | ",") LAYER }
//! LAYER  = "conv" outputs "k" kernel [ "s" stride ] [ "p" padding ]     conv16k3p1s2
//!        | "relu"
//!        | "pool" size [ "s" stride ]                                   pool2, pool3s2
//!        | "depthwise" kernel [ "s" stride ] [ "p" padding ]            depthwise3p1
//!        | "avgpool" size [ "s" stride ] | "globalavgpool"              avgpool2
//!        | "tanh" | "sigmoid" | "leakyrelu" slope                       leakyrelu0.1
//!        | "groupnorm" groups | "layernorm"                             groupnorm4
//!        | "linear" outputs                                             linear10
//!        | "dropout" probability                                        dropout0.2
//! ```
//! A kernel, size, stride or padding is a number, or rows and columns: `conv8k3x5p1x2`, `pool1x2`.
//! `conv1d8k5s2`, `depthwise1d3`, `pool1d2` and `avgpool1d2` are for signals, which have one row.
//! `s` and `p` may come in either order; without them a convolution has stride 1 and no padding,
//! and a pool's stride is its size. The network is built for the shape of the data's samples. Its
//! last layer follows the data's classes unless it is written: a preset's last layer is made as
//! wide, and to a description that ends otherwise a linear layer is appended.

mod language;

use secant::network::{Layer, Network, Shape, ShapeError};

use crate::data::dataset::{Predicted, Task, dimensions};
use language::{closest, parse_layer};

pub use language::word;

/// Most layers of a network.
pub const MAX_LAYERS: usize = 32;

/// A network of the harness.
pub type Net = Network<'static, MAX_LAYERS>;

/// Most parameters of a network: sixteen million floats, 64 MB for each copy that an optimiser
/// keeps.
pub const MAX_PARAMETERS: usize = 1 << 24;

/// Name, description and size of each preset.
pub const PRESETS: [(&str, &str); 4] = [
    ("micro", "conv8k3 relu pool2 conv16k3 relu pool2 linear10"),
    (
        "lenet",
        "conv6k5p2 relu pool2 conv16k5 relu pool2 linear120 relu linear84 relu linear10",
    ),
    (
        "seed",
        "conv32k3 relu pool2 conv64k3 relu pool2 conv64k3p1 relu pool2 linear250 relu dropout0.2 linear125 relu \
         dropout0.2 linear60 relu dropout0.2 linear10",
    ),
    (
        "2c2d",
        "conv32k5p2 relu pool2 conv64k5p2 relu pool2 linear1024 relu linear10",
    ),
];

/// A network with its name.
#[derive(Debug, Clone)]
pub struct Model {
    /// A preset's name, or the description itself.
    pub name: String,
    /// The description, also of a preset.
    pub spec: String,
    /// The network.
    pub network: Net,
    /// What was added to the description, for a person.
    pub note: Option<String>,
}

/// A description that is not a network, as one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ModelError(String);

/// A model before the data is known: every word is a layer, but nobody knows whether they fit.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// A preset's name, or the words.
    name: String,
    words: Vec<String>,
    layers: Vec<Layer>,
    preset: bool,
}

impl std::str::FromStr for Description {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let text = text.trim();
        if let Some((name, spec)) = PRESETS.iter().find(|(name, _)| *name == text) {
            return Description::read(name, spec, true);
        }
        let words: Vec<&str> = words(text).collect();
        if let [word] = words[..]
            && !word.contains(|c: char| c.is_ascii_digit())
            && !["relu", "tanh", "sigmoid", "globalavgpool", "layernorm"].contains(&word)
        {
            return Err(ModelError(unknown_preset(word)));
        }
        let spec = words.join(" ");
        Description::read(&spec, &spec, false)
    }
}

/// Built for Fashion-MNIST.
impl std::str::FromStr for Model {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        text.parse::<Description>()?.fit(Task::FASHION_MNIST)
    }
}

impl Description {
    fn read(name: &str, spec: &str, preset: bool) -> Result<Description, ModelError> {
        let mut layers = Vec::new();
        for word in words(spec) {
            layers.push(parse_layer(word).map_err(|why| {
                ModelError(format!(
                    "layer {} of the model, '{word}': {why}",
                    layers.len() + 1
                ))
            })?);
        }
        if layers.is_empty() {
            return Err(ModelError(
                "the model: a network needs at least one layer".to_owned(),
            ));
        }
        Ok(Description {
            name: name.to_owned(),
            words: words(spec).map(str::to_owned).collect(),
            layers,
            preset,
        })
    }

    /// The model of `chosen`, or else the one for such data: `micro` for images that it fits, a
    /// smaller network of its kind for other images, convolutions of one row for signals, and a
    /// hidden layer for a few values.
    ///
    /// # Errors
    /// [`ModelError`] says which layer does not fit.
    pub fn model(chosen: Option<&Description>, task: Task) -> Result<Model, ModelError> {
        match chosen {
            Some(description) => description.fit(task),
            None => suggestion(task.input).parse::<Description>()?.fit(task),
        }
    }

    /// Values of the output for samples of such a shape, if the layers fit it.
    pub fn output_len(&self, input: Shape) -> Option<usize> {
        output(input, &self.layers).map(|shape| shape.len())
    }

    /// The network for such data. The last layer follows the outputs unless it is written.
    ///
    /// # Errors
    /// [`ModelError`] says which layer does not fit.
    pub fn fit(&self, task: Task) -> Result<Model, ModelError> {
        let (mut words, mut layers) = (self.words.clone(), self.layers.clone());
        let last = format!("linear{}", task.outputs);
        let ends_linear = matches!(layers.last(), Some(Layer::Linear(_)));
        if self.preset {
            words.pop();
            layers.pop();
        }
        let mut note = None;
        let ends_as_wanted =
            !ends_linear && output(task.input, &layers).is_some_and(|s| s.len() == task.outputs);
        if self.preset || !ends_linear && !ends_as_wanted {
            layers.push(secant::network::linear(task.outputs));
            words.push(last.clone());
            if !self.preset {
                let what = match (task.predicted, task.outputs) {
                    (Predicted::Numbers, 1) => "the number to predict".to_owned(),
                    (Predicted::Numbers, many) => format!("each of the {many} numbers to predict"),
                    (Predicted::Classes, many) => format!("each of the {many} classes"),
                };
                note = Some(format!(
                    "The model gets a last layer {last}, an output for {what}."
                ));
            }
        }
        let network = network(task.input, &layers, &words).map_err(|why| {
            let other = suggestion(task.input);
            if self.preset && other != self.name {
                ModelError(format!(
                    "the model {} does not fit samples of {}: {why}; try --model '{other}'",
                    self.name,
                    dimensions(task.input)
                ))
            } else {
                why
            }
        })?;
        if network.output_len() != task.outputs {
            return Err(ModelError(format!(
                "the model ends with {} outputs, {} are needed: one {} (end it with {last}, or leave its last \
                 layer out)",
                network.output_len(),
                task.outputs,
                match task.predicted {
                    Predicted::Classes => "a class",
                    Predicted::Numbers => "for each number to predict",
                }
            )));
        }
        let spec = words.join(" ");
        Ok(Model {
            name: if self.preset {
                self.name.clone()
            } else {
                spec.clone()
            },
            spec,
            network,
            note,
        })
    }
}

/// A model that fits such samples.
fn suggestion(input: Shape) -> &'static str {
    let (short, long) = (input.rows.min(input.columns), input.rows.max(input.columns));
    match (short, long) {
        (1, 0..8) => "linear16 relu",
        (1, _) if input.columns == 1 => "linear16 relu",
        (1, 8..16) => "conv1d8k3p1 relu pool1d2",
        (1, _) => "conv1d8k5p2 relu pool1d2 conv1d16k5p2 relu pool1d2",
        (10.., _) => "micro",
        (4.., _) => "conv8k3p1 relu pool2 conv16k3p1 relu pool2",
        (2.., _) => "conv8k3p1 relu pool2",
        _ => "linear16 relu",
    }
}

impl Model {
    /// Number of weights and biases, those of frozen layers too.
    pub fn parameter_count(&self) -> usize {
        self.network.frozen_weights().len() + self.network.parameter_count()
    }

    /// That number in words, and how many of them are trained, if not all.
    pub fn describe_parameters(&self) -> String {
        let (all, trained) = (self.parameter_count(), self.network.parameter_count());
        if trained < all {
            format!("{all} parameters, {trained} of them trained")
        } else {
            format!("{all} parameters")
        }
    }

    /// The name as part of a file's name: a preset's own, or `custom`.
    pub fn file_name(&self) -> &str {
        if PRESETS.iter().any(|(name, _)| *name == self.name) {
            &self.name
        } else {
            "custom"
        }
    }
}

/// Whether both descriptions have the same layers, dropout aside, which does nothing after training.
pub fn same_layers(one: &str, other: &str) -> bool {
    let layers = |text: &str| -> Option<Vec<Layer>> {
        let layers = words(text).map(|word| parse_layer(word).ok());
        let layers = layers.filter(|layer| !matches!(layer, Some(Layer::Dropout(_))));
        layers.collect()
    };
    one == other || layers(one).is_some_and(|one| layers(other) == Some(one))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
}

fn unknown_preset(word: &str) -> String {
    let names = PRESETS.map(|(name, _)| name);
    let hint =
        closest(word, &names).map_or(String::new(), |name| format!(" (did you mean '{name}'?)"));
    format!(
        "'{word}' is neither a preset{hint} nor a description: the presets are {}, a description looks like \
         'conv8k3 relu pool2 linear10'",
        names.join(", ")
    )
}

/// The network of these layers, within the limits.
fn network(input: Shape, layers: &[Layer], words: &[String]) -> Result<Net, ModelError> {
    if layers.len() > MAX_LAYERS {
        return Err(ModelError(format!(
            "the model has {} layers, at most {MAX_LAYERS} are possible",
            layers.len()
        )));
    }
    let network = Network::try_from_slice(input, layers).map_err(|why| match why {
        ShapeError::Layer { index: i, .. } => {
            let shape = output(input, &layers[..i]).unwrap_or(input);
            ModelError(format!(
                "{why} ('{}', which gets {} values)",
                words[i],
                dimensions(shape)
            ))
        }
        _ => ModelError(format!("the model: {why}")),
    })?;
    if network.parameter_count() > MAX_PARAMETERS {
        return Err(ModelError(format!(
            "the model has {} parameters, at most {MAX_PARAMETERS} are possible",
            network.parameter_count()
        )));
    }
    Ok(network)
}

/// The shape behind these layers, if they fit.
fn output(input: Shape, layers: &[Layer]) -> Option<Shape> {
    layers
        .iter()
        .try_fold(input, |shape, layer| layer.output(shape).ok())
}

#[cfg(test)]
mod tests;
