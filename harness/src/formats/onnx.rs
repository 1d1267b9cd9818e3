//! A network as an ONNX graph, operator set 13.
//!
//! The input `input` (samples x channels x rows x columns) takes the elements as the files have
//! them: the graph begins with the normalisation. Its output `logits`, or `numbers` in the units of
//! the files where numbers are predicted, has a row for each sample.
//!
//! A group normalisation is written as PyTorch writes it, as `InstanceNormalization` of groups that
//! are made channels by a `Reshape`: every runtime has that. For the operator `GroupNormalization`
//! onnxruntime errs as if it took the variance as the difference of two means, which loses four
//! digits where the variance is small beside them.

use prost::Message;
use secant::network::{Layer, Shape};

use super::onnx_messages::{
    Attribute, Dimension, FLOAT, Graph, INT64, Kind, Model, Node, OperatorSet, Size, Tensor,
    TensorKind, TensorShape, Value,
};
use super::{LayerParts, layers};
use crate::data::dataset::Predicted;
use crate::trained::Trained;
use crate::weights::bare;

/// The operator set that the graph needs, and the version of the format that came with it.
const OPERATORS: i64 = 13;
const IR_VERSION: i64 = 7;

/// The network as the bytes of a file.
///
/// # Errors
/// One phrase that names a layer which ONNX has no operator for.
pub fn bytes(trained: &Trained) -> Result<Vec<u8>, String> {
    let mut graph = Builder::new();
    let input = trained.task.input;
    let scales: Vec<f32> = trained.scalings.iter().map(|map| map.scale).collect();
    let offsets: Vec<f32> = trained.scalings.iter().map(|map| map.offset).collect();
    let per_channel = [1, scales.len(), 1, 1];
    graph.tensor("scale", &per_channel, &scales);
    graph.tensor("offset", &per_channel, &offsets);
    graph.node("Mul", &["scale"], Vec::new());
    graph.node("Add", &["offset"], Vec::new());
    for parts in layers(trained) {
        graph.layer(&parts)?;
    }
    let outputs = trained.task.outputs;
    let layers = trained.model.network.layers();
    // Only a linear layer makes rows of samples; a map of one pixel has its four dimensions.
    if !layers.iter().any(|layer| matches!(layer, Layer::Linear(_))) {
        graph.node("Flatten", &[], vec![integer("axis", 1)]);
    }
    if !trained.target_scalings.is_empty() {
        let scales: Vec<f32> = trained.target_scalings.iter().map(|m| m.scale).collect();
        let offsets: Vec<f32> = trained.target_scalings.iter().map(|m| m.offset).collect();
        graph.tensor("target.offset", &[1, outputs], &offsets);
        graph.tensor("target.scale", &[1, outputs], &scales);
        graph.node("Sub", &["target.offset"], Vec::new());
        graph.node("Div", &["target.scale"], Vec::new());
    }
    let name = match trained.task.predicted {
        Predicted::Classes => "logits",
        Predicted::Numbers => "numbers",
    };
    let (nodes, tensors) = graph.finish(name);
    let model = Model {
        ir_version: IR_VERSION,
        producer_name: "secant".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        operators: vec![OperatorSet {
            domain: String::new(),
            version: OPERATORS,
        }],
        graph: Some(Graph {
            nodes,
            name: trained.model.name.clone(),
            tensors,
            inputs: vec![value(INPUT, &[input.channels, input.rows, input.columns])],
            outputs: vec![value(name, &[outputs])],
        }),
    };
    Ok(model.encode_to_vec())
}

const INPUT: &str = "input";

/// A value with a row for each sample.
fn value(name: &str, sizes: &[usize]) -> Value {
    let number = |size: &usize| Some(Size::Number(*size as i64));
    let samples = Some(Size::Name("samples".to_owned()));
    let sizes = std::iter::once(samples).chain(sizes.iter().map(number));
    Value {
        name: name.to_owned(),
        kind: Some(Kind {
            tensor: Some(TensorKind {
                element: FLOAT,
                shape: Some(TensorShape {
                    dimensions: sizes.map(|size| Dimension { size }).collect(),
                }),
            }),
        }),
    }
}

fn integer(name: &str, int: i64) -> Attribute {
    Attribute {
        name: name.to_owned(),
        int,
        kind: 2,
        ..Attribute::default()
    }
}

fn integers(name: &str, ints: &[usize]) -> Attribute {
    Attribute {
        name: name.to_owned(),
        ints: ints.iter().map(|int| *int as i64).collect(),
        kind: 7,
        ..Attribute::default()
    }
}

/// A chain of nodes, each taking what the last one has given.
struct Builder {
    nodes: Vec<Node>,
    tensors: Vec<Tensor>,
    last: String,
    /// Whether a linear layer has made a row of each sample.
    rows: bool,
}

impl Builder {
    fn new() -> Builder {
        Builder {
            nodes: Vec::new(),
            tensors: Vec::new(),
            last: INPUT.to_owned(),
            rows: false,
        }
    }

    fn tensor(&mut self, name: &str, sizes: &[usize], values: &[f32]) {
        self.tensors.push(Tensor {
            dimensions: sizes.iter().map(|size| *size as i64).collect(),
            kind: FLOAT,
            name: name.to_owned(),
            bytes: bare(values),
            ..Tensor::default()
        });
    }

    fn integers(&mut self, name: &str, values: &[i64]) {
        self.tensors.push(Tensor {
            dimensions: vec![values.len() as i64],
            kind: INT64,
            name: name.to_owned(),
            bytes: values.iter().flat_map(|n| n.to_le_bytes()).collect(),
            ..Tensor::default()
        });
    }

    /// A node on what the last one has given and these tensors.
    fn node(&mut self, operator: &str, tensors: &[&str], attributes: Vec<Attribute>) {
        let name = format!("{}.{}", self.nodes.len(), operator.to_lowercase());
        let mut inputs = vec![self.last.clone()];
        inputs.extend(tensors.iter().map(|&tensor| tensor.to_owned()));
        self.last.clone_from(&name);
        self.nodes.push(Node {
            inputs,
            outputs: vec![name.clone()],
            name,
            operator: operator.to_owned(),
            attributes,
            ..Node::default()
        });
    }

    /// Weights and biases under the names of the safetensors file.
    fn weights(&mut self, parts: &LayerParts<'_>, sizes: &[usize]) -> [String; 2] {
        let names = ["weight", "bias"].map(|what| format!("{}.{what}", parts.index));
        self.tensor(&names[0], sizes, parts.weights);
        self.tensor(&names[1], &[parts.biases.len()], parts.biases);
        names
    }

    fn layer(&mut self, parts: &LayerParts<'_>) -> Result<(), String> {
        let channels = parts.input.channels;
        let window = |size: [usize; 2], stride: [usize; 2]| {
            vec![
                integers("kernel_shape", &size),
                integers("strides", &stride),
            ]
        };
        let convolution = |kernel, stride, [rows, columns]: [usize; 2], group: usize| {
            let mut attributes = window(kernel, stride);
            attributes.push(integers("pads", &[rows, columns, rows, columns]));
            attributes.push(integer("group", group as i64));
            attributes
        };
        match parts.layer {
            Layer::Conv2d(conv) => {
                let [rows, columns] = conv.kernel;
                let [w, b] = self.weights(parts, &[conv.outputs, channels, rows, columns]);
                let attributes = convolution(conv.kernel, conv.stride, conv.padding, 1);
                self.node("Conv", &[&w, &b], attributes);
            }
            Layer::DepthwiseConv2d(conv) => {
                let [rows, columns] = conv.kernel;
                let [w, b] = self.weights(parts, &[channels, 1, rows, columns]);
                let attributes = convolution(conv.kernel, conv.stride, conv.padding, channels);
                self.node("Conv", &[&w, &b], attributes);
            }
            Layer::Linear(linear) => {
                let [w, b] = self.weights(parts, &[linear.outputs, parts.input.len()]);
                self.node("Flatten", &[], vec![integer("axis", 1)]);
                self.rows = true;
                self.node("Gemm", &[&w, &b], vec![integer("transB", 1)]);
            }
            Layer::Relu => self.node("Relu", &[], Vec::new()),
            Layer::LeakyRelu(slope) => {
                let alpha = Attribute {
                    name: "alpha".to_owned(),
                    float: slope,
                    kind: 1,
                    ..Attribute::default()
                };
                self.node("LeakyRelu", &[], vec![alpha]);
            }
            Layer::Tanh => self.node("Tanh", &[], Vec::new()),
            Layer::Sigmoid => self.node("Sigmoid", &[], Vec::new()),
            Layer::MaxPool2d(pool) => {
                self.node("MaxPool", &[], window(pool.size, pool.stride));
            }
            Layer::AvgPool2d(pool) => {
                self.node("AveragePool", &[], window(pool.size, pool.stride));
            }
            Layer::GlobalAvgPool2d => self.node("GlobalAveragePool", &[], Vec::new()),
            Layer::GroupNorm(norm) => self.group_norm(parts, norm.groups),
            // It does something in training alone.
            Layer::Dropout(_) => {}
            layer => return Err(format!("ONNX has no operator for layer {}", layer.name())),
        }
        Ok(())
    }

    fn group_norm(&mut self, parts: &LayerParts<'_>, groups: usize) {
        let Shape {
            channels,
            rows,
            columns,
        } = parts.input;
        let name = |what: &str| format!("{}.{what}", parts.index);
        // Behind a linear layer values have no rows and columns.
        let (map, factors) = match self.rows {
            true => (vec![0, channels as i64], vec![channels]),
            false => {
                let map = [0, channels as i64, rows as i64, columns as i64];
                (map.to_vec(), vec![channels, 1, 1])
            }
        };
        self.integers(&name("groups"), &[0, groups as i64, -1]);
        self.integers(&name("map"), &map);
        self.tensor(&name("one"), &[groups], &vec![1.0; groups]);
        self.tensor(&name("zero"), &[groups], &vec![0.0; groups]);
        let [w, b] = ["weight", "bias"].map(name);
        self.tensor(&w, &factors, parts.weights);
        self.tensor(&b, &factors, parts.biases);
        let epsilon = Attribute {
            name: "epsilon".to_owned(),
            float: 1e-5,
            kind: 1,
            ..Attribute::default()
        };
        self.node("Reshape", &[&name("groups")], Vec::new());
        self.node(
            "InstanceNormalization",
            &[&name("one"), &name("zero")],
            vec![epsilon],
        );
        self.node("Reshape", &[&name("map")], Vec::new());
        self.node("Mul", &[&w], Vec::new());
        self.node("Add", &[&b], Vec::new());
    }

    /// Nodes and tensors; the last node gives `output`.
    fn finish(mut self, output: &str) -> (Vec<Node>, Vec<Tensor>) {
        if let Some(node) = self.nodes.last_mut() {
            node.outputs = vec![output.to_owned()];
        }
        (self.nodes, self.tensors)
    }
}
