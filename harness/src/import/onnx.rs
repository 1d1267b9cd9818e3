//! A network from an ONNX graph that is a chain of the layers that there are here.
//!
//! `Mul`, `Add`, `Sub` and `Div` by constants are the normalisation in front of the first layer, and
//! behind the last one the way from outputs to numbers. `Flatten`, `Reshape` to rows and `Identity`
//! are nothing here, dropout and a final softmax are left out. What PyTorch writes for one of its
//! layers by several nodes is read as that layer: group normalisation, global averages, sizes that
//! are computed only to make rows of maps.

mod layers;
mod norms;
mod sizes;
mod tensors;

use std::collections::HashMap;
use std::path::Path;

use prost::Message;
use secant::Affine;
use secant::network::{
    Layer, Shape, avg_pool2d, global_avg_pool2d, group_norm, layer_norm, leaky_relu, max_pool2d,
    relu, sigmoid, tanh,
};

use self::sizes::Number;
use self::tensors::Tensors;
use super::{Imported, one_line, sizes as sizes_of};
use crate::data::dataset::{Predicted, Task};
use crate::formats::onnx_messages::{Attribute, Graph, Model, Node, Size};
use crate::model::{Description, word};

/// The network in the bytes of a file. `shape` is that of its samples, where the graph leaves it
/// open; `folder` is where files lie that hold some of its weights.
///
/// # Errors
/// A phrase to go after the file's name: which node or tensor, what was expected, what was found.
pub fn read(bytes: &[u8], shape: Option<Shape>, folder: Option<&Path>) -> Result<Imported, String> {
    chain(bytes, shape, folder).map_err(one_line)
}

fn chain(bytes: &[u8], shape: Option<Shape>, folder: Option<&Path>) -> Result<Imported, String> {
    let model = Model::decode(bytes).map_err(|error| format!("not an ONNX file: {error}"))?;
    let graph = model.graph.ok_or("not an ONNX file: it has no graph")?;
    let mut chain = Chain::new(&graph, shape, folder)?;
    for node in &graph.nodes {
        chain.node(node).map_err(|why| {
            let name = Some(&node.name).filter(|name| !name.is_empty());
            let name = name.or(node.outputs.first()).map_or("", String::as_str);
            format!("node {name} ({}): {why}", node.operator)
        })?;
    }
    let ends = graph.outputs.first().map(|output| output.name.as_str());
    if ends != Some(chain.last.as_str()) {
        return Err("the graph's output is not what its last node gives".to_owned());
    }
    chain.finish(ends == Some("numbers"))
}

/// Layers as they are read, one after another.
struct Chain<'a> {
    tensors: Tensors<'a>,
    /// The value that the next node takes.
    last: String,
    input: Shape,
    shape: Shape,
    /// How many samples the file says that there are, if it does.
    samples: Option<i64>,
    /// Sizes of the value behind those of the samples, as the graph has them.
    dims: Vec<usize>,
    /// Those of the values before.
    seen: HashMap<&'a str, Vec<usize>>,
    /// What nodes have computed of such sizes.
    sizes: HashMap<&'a str, Vec<Number>>,
    /// Groups of channels that a reshape has made for a normalisation.
    groups: Option<usize>,
    words: Vec<String>,
    parameters: Vec<f32>,
    /// From elements to inputs, and from outputs to numbers: `(output - offset) / scale`.
    scalings: Option<Vec<[f64; 2]>>,
    targets: Option<Vec<[f64; 2]>>,
    /// What the node before has left to be changed.
    open: Open,
    /// Whether a softmax is behind.
    softmax: bool,
    notes: Vec<String>,
}

/// What a layer's parameters may still become by the next node; the numbers say where they begin.
#[derive(Debug, Clone, Copy)]
enum Open {
    Nothing,
    /// Those of a convolution or a linear layer, and whether an `Add` may bring the biases.
    Weights {
        start: usize,
        biases: usize,
        add: bool,
    },
    /// Those of a normalisation: factors, then biases.
    Norm(usize),
}

/// Most values of a sample.
const MOST_VALUES: usize = 1 << 21;

impl<'a> Chain<'a> {
    fn new(
        graph: &'a Graph,
        shape: Option<Shape>,
        folder: Option<&'a Path>,
    ) -> Result<Chain<'a>, String> {
        let tensors = Tensors::new(&graph.tensors, folder);
        let inputs = graph.inputs.iter();
        // Older files list the weights among the inputs.
        let mut inputs = inputs.filter(|value| !tensors.contains(&value.name));
        let (Some(input), None) = (inputs.next(), inputs.next()) else {
            return Err("expected a graph with one input".to_owned());
        };
        let kind = input.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
        let sizes = kind.and_then(|kind| kind.shape.as_ref());
        let sizes = sizes.map_or(&[][..], |shape| &shape.dimensions[..]);
        let number = |size: &Option<Size>| match size {
            Some(Size::Number(n)) => usize::try_from(*n).ok(),
            _ => None,
        };
        let samples = sizes.first().and_then(|d| number(&d.size));
        let sizes: Vec<_> = sizes.iter().skip(1).map(|d| number(&d.size)).collect();
        let mut values = sizes.iter().flatten();
        let values = values.try_fold(1_usize, |all, n| all.checked_mul(*n));
        if values.is_none_or(|values| !(1..=MOST_VALUES).contains(&values)) {
            return Err("its input has no values, or more than there can be here".to_owned());
        }
        let own = match sizes[..] {
            [Some(channels), Some(rows), Some(columns)] => {
                Some(Shape::new(channels, rows, columns))
            }
            [Some(channels), Some(length)] => Some(Shape::signal(channels, length)),
            [Some(length)] => Some(Shape::signal(1, length)),
            _ => None,
        };
        let input_shape = match (shape, own) {
            (Some(shape), Some(own)) if shape.len() != own.len() => {
                return Err(format!(
                    "its input has {} values a sample, the data or --shape {}",
                    own.len(),
                    shape.len()
                ));
            }
            (Some(shape), _) | (None, Some(shape)) => shape,
            (None, None) => {
                return Err("its input's sizes are open; say them with --shape CxRxC".to_owned());
            }
        };
        let dims: Vec<usize> = match sizes.iter().copied().collect::<Option<Vec<_>>>() {
            Some(sizes) if !sizes.is_empty() => sizes,
            _ => match sizes.len() {
                1 => vec![input_shape.len()],
                2 => vec![input_shape.channels, input_shape.rows * input_shape.columns],
                _ => vec![input_shape.channels, input_shape.rows, input_shape.columns],
            },
        };
        Ok(Chain {
            tensors,
            last: input.name.clone(),
            samples: samples.and_then(|n| i64::try_from(n).ok()),
            seen: HashMap::from([(input.name.as_str(), dims.clone())]),
            dims,
            sizes: HashMap::new(),
            groups: None,
            input: input_shape,
            shape: input_shape,
            words: Vec::new(),
            parameters: Vec::new(),
            scalings: None,
            targets: None,
            open: Open::Nothing,
            softmax: false,
            notes: Vec::new(),
        })
    }

    fn node(&mut self, node: &'a Node) -> Result<(), String> {
        let output = node.outputs.first().map_or("", String::as_str);
        if !matches!(node.domain.as_str(), "" | "ai.onnx") {
            return Err(format!(
                "is of {}, not of ONNX's own operators",
                node.domain
            ));
        }
        if node.operator == "Constant" {
            if let Some(tensor) = attribute(node, "value").and_then(|a| a.tensor.as_ref()) {
                self.tensors.insert(output, tensor);
            }
            return Ok(());
        }
        let first = node.inputs.first().map_or("", String::as_str);
        if node.operator == "Identity" && self.tensors.rename(first, output) {
            return Ok(());
        }
        if self.computes_sizes(node)? {
            return Ok(());
        }
        let place = node.inputs.iter().position(|input| *input == self.last);
        let place = place.ok_or(
            "takes what another node than the one before it has given; only chains of layers can \
             be read",
        )?;
        self.operator(node, place)?;
        output.clone_into(&mut self.last);
        self.seen.insert(output, self.dims.clone());
        Ok(())
    }

    fn operator(&mut self, node: &Node, place: usize) -> Result<(), String> {
        let before = std::mem::replace(&mut self.open, Open::Nothing);
        let operator = node.operator.as_str();
        if self.groups.is_some() && !matches!(operator, "InstanceNormalization" | "Reshape") {
            return Err(format!(
                "works on values of {} behind the samples; only a group normalisation can",
                sizes_of(&self.dims)
            ));
        }
        if self.softmax && !matches!(operator, "Identity" | "Flatten" | "Reshape") {
            return Err("follows a softmax, which can only stand at the end".to_owned());
        }
        match operator {
            "Mul" | "Add" | "Sub" | "Div" => self.constant_operation(node, place, before),
            "Conv" => self.convolution(node),
            "Gemm" | "MatMul" => self.linear(node, place),
            "BatchNormalization" => self.batch_norm(node, &before),
            "Relu" => self.layer(relu()),
            "LeakyRelu" => {
                let slope = attribute(node, "alpha").map_or(0.01, |alpha| alpha.float);
                self.layer(leaky_relu(slope))
            }
            "Tanh" => self.layer(tanh()),
            "Sigmoid" => self.layer(sigmoid()),
            "MaxPool" => self.pool(node, max_pool2d(1)),
            "AveragePool" => self.pool(node, avg_pool2d(1)),
            "GlobalAveragePool" => {
                self.spatial(node, self.dims.len() - 1)?;
                self.layer(global_avg_pool2d())
            }
            "ReduceMean" => self.averages_channels(node),
            "InstanceNormalization" => self.instance_norm(node),
            "GroupNormalization" => {
                let groups = attribute(node, "num_groups").map_or(0, |a| a.int);
                self.norm(node, group_norm(usize::try_from(groups).unwrap_or(0)))
            }
            "LayerNormalization" if self.shape.rows * self.shape.columns == 1 => {
                self.norm(node, layer_norm())
            }
            "LayerNormalization" => {
                Err("can only be read behind a Gemm: here a factor is one of a \
                                         channel, not of a pixel"
                    .to_owned())
            }
            "Dropout" => {
                self.notes.push("Dropout is left out.".to_owned());
                Ok(())
            }
            "Softmax" | "LogSoftmax" => {
                self.softmax = true;
                self.notes
                    .push("The softmax is left out: outputs are logits.".to_owned());
                Ok(())
            }
            "Identity" => {
                self.open = before;
                Ok(())
            }
            "Flatten" if attribute(node, "axis").is_none_or(|axis| axis.int == 1) => {
                self.dims = vec![self.dims.iter().product()];
                Ok(())
            }
            "Reshape" => {
                self.open = before;
                self.reshape(node)
            }
            "Unsqueeze" | "Squeeze" => self.squeeze(node),
            "Clip" => Err(
                "no layer here limits values (ReLU6, Hardtanh): put ReLU in its place and train \
                 the network once more"
                    .to_owned(),
            ),
            _ => Err(
                "no layer here computes this; 'secant train --help' lists the layers that \
                      there are"
                    .to_owned(),
            ),
        }
    }

    /// Adds a layer, whose parameters are there already.
    fn layer(&mut self, layer: Layer) -> Result<(), String> {
        if self.targets.is_some() {
            return Err("follows a scaling that is neither at the beginning nor at the end".into());
        }
        let shape = layer.output(self.shape);
        self.shape = shape.map_err(|error| format!("{error}"))?;
        let [channels, rows, columns] = self.map();
        self.dims = match (layer, self.dims.len()) {
            (Layer::Linear(_), _) | (_, 1) => vec![self.shape.len()],
            (_, 2) => vec![channels, rows * columns],
            _ => vec![channels, rows, columns],
        };
        self.words.push(word(&layer));
        Ok(())
    }

    /// A constant that a node takes: its sizes and its values.
    fn constant(&self, node: &Node, place: usize) -> Result<(Vec<usize>, Vec<f32>), String> {
        let name = node.inputs.get(place).map_or("", String::as_str);
        self.tensors.floats(name, place)
    }

    fn finish(self, numbers: bool) -> Result<Imported, String> {
        let spec = self.words.join(" ");
        let description: Description = spec.parse().map_err(|error| format!("{error}"))?;
        let task = Task {
            input: self.input,
            outputs: self.shape.len(),
            predicted: match numbers || self.targets.is_some() {
                true => Predicted::Numbers,
                false => Predicted::Classes,
            },
        };
        let model = description.fit(task).map_err(|error| format!("{error}"))?;
        if model.parameter_count() != self.parameters.len() {
            return Err("its weights are not as many as its layers have".to_owned());
        }
        // Several scalings in a row may be too large together.
        let affine = |[scale, offset]: &[f64; 2]| {
            let (scale, offset) = (*scale as f32, *offset as f32);
            if scale.is_finite() && offset.is_finite() {
                Ok(Affine { scale, offset })
            } else {
                Err("its scalings together have numbers that are not finite".to_owned())
            }
        };
        let scalings = self.scalings.map(|maps| {
            let alike = maps.iter().all(|map| map == &maps[0]);
            let maps = if alike { &maps[..1] } else { &maps };
            maps.iter().map(affine).collect()
        });
        let scalings = scalings.transpose()?;
        let targets = self.targets.unwrap_or_default();
        let outputs = match targets.len() {
            1 => task.outputs,
            several => several,
        };
        let targets = targets.iter().map(affine).cycle().take(outputs);
        let target_scalings = targets.collect::<Result<_, _>>()?;
        Ok(Imported {
            model,
            task,
            parameters: self.parameters,
            scalings,
            target_scalings,
            notes: self.notes,
        })
    }
}

fn attribute<'n>(node: &'n Node, name: &str) -> Option<&'n Attribute> {
    node.attributes.iter().find(|a| a.name == name)
}

fn ints(node: &Node, name: &str) -> Option<Vec<usize>> {
    let ints = attribute(node, name)?.ints.iter();
    ints.map(|size| usize::try_from(*size).ok()).collect()
}

fn shape_error(node: &Node, place: usize, expected: &str, found: &[usize]) -> String {
    let name = node.inputs.get(place).map_or("", String::as_str);
    format!(
        "tensor {name}: expected {expected}, found {}",
        sizes_of(found)
    )
}
