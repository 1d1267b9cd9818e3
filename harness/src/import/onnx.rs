//! A network from an ONNX graph that is a chain of the layers that there are here.
//!
//! `Mul`, `Add`, `Sub` and `Div` by constants are the normalisation in front of the first layer, and
//! behind the last one the way from outputs to numbers. `Flatten`, `Reshape` to rows and `Identity`
//! are nothing here, dropout and a final softmax are left out.

use std::collections::HashMap;

use prost::Message;
use secant::Affine;
use secant::network::{
    Layer, Shape, avg_pool2d, conv2d, depthwise_conv2d, global_avg_pool2d, group_norm, layer_norm,
    leaky_relu, linear, max_pool2d, relu, sigmoid, tanh,
};

use super::floats::{Width, decode};
use super::{Imported, finite, sizes};
use crate::data::dataset::{Predicted, Task};
use crate::formats::onnx_messages::{
    BFLOAT16, DOUBLE, FLOAT, FLOAT16, Graph, INT64, Model, Node, Size, Tensor,
};
use crate::model::{Description, word};

/// The network in the bytes of a file. `shape` is that of its samples, where the graph leaves it
/// open.
///
/// # Errors
/// A phrase to go after the file's name: which node or tensor, what was expected, what was found.
pub fn read(bytes: &[u8], shape: Option<Shape>) -> Result<Imported, String> {
    let model = Model::decode(bytes).map_err(|error| format!("not an ONNX file: {error}"))?;
    let graph = model.graph.ok_or("not an ONNX file: it has no graph")?;
    let mut chain = Chain::new(&graph, shape)?;
    for node in &graph.nodes {
        chain.node(node)?;
    }
    let ends = graph.outputs.first().map(|output| output.name.as_str());
    if ends != Some(chain.last.as_str()) {
        return Err("the graph's output is not what its last node gives".to_owned());
    }
    chain.finish(ends == Some("numbers"))
}

/// Layers as they are read, one after another.
struct Chain<'a> {
    constants: HashMap<&'a str, &'a Tensor>,
    /// The value that the next node takes.
    last: String,
    input: Shape,
    shape: Shape,
    words: Vec<String>,
    parameters: Vec<f32>,
    /// From elements to inputs, and from outputs to numbers: `(output - offset) / scale`.
    scalings: Option<Vec<[f64; 2]>>,
    targets: Option<Vec<[f64; 2]>>,
    /// Where the biases of a `MatMul` lie that an `Add` may follow.
    open_biases: Option<usize>,
    notes: Vec<String>,
}

impl<'a> Chain<'a> {
    fn new(graph: &'a Graph, shape: Option<Shape>) -> Result<Chain<'a>, String> {
        let tensors = graph.tensors.iter();
        let constants: HashMap<_, _> = tensors.map(|t| (t.name.as_str(), t)).collect();
        let inputs = graph.inputs.iter();
        // Older files list the weights among the inputs.
        let mut inputs = inputs.filter(|value| !constants.contains_key(value.name.as_str()));
        let (Some(input), None) = (inputs.next(), inputs.next()) else {
            return Err("expected a graph with one input".to_owned());
        };
        let kind = input.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
        let sizes = kind.and_then(|kind| kind.shape.as_ref()).map(|shape| {
            let number = |size: &Option<Size>| match size {
                Some(Size::Number(n)) => usize::try_from(*n).ok(),
                _ => None,
            };
            let dimensions = shape.dimensions.iter().skip(1);
            dimensions.map(|d| number(&d.size)).collect::<Vec<_>>()
        });
        let own = match sizes.as_deref() {
            Some([Some(channels), Some(rows), Some(columns)]) => {
                Some(Shape::new(*channels, *rows, *columns))
            }
            Some([Some(channels), Some(length)]) => Some(Shape::signal(*channels, *length)),
            Some([Some(length)]) => Some(Shape::signal(1, *length)),
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
        Ok(Chain {
            constants,
            last: input.name.clone(),
            input: input_shape,
            shape: input_shape,
            words: Vec::new(),
            parameters: Vec::new(),
            scalings: None,
            targets: None,
            open_biases: None,
            notes: Vec::new(),
        })
    }

    fn node(&mut self, node: &'a Node) -> Result<(), String> {
        let output = node.outputs.first().map_or("", String::as_str);
        if node.operator == "Constant" {
            if let Some(tensor) = attribute(node, "value").and_then(|a| a.tensor.as_ref()) {
                self.constants.insert(output, tensor);
            }
            return Ok(());
        }
        let place = node.inputs.iter().position(|input| *input == self.last);
        let place = place.ok_or_else(|| {
            "takes what another node than the one before it has given; only chains of layers can \
             be read"
                .to_owned()
        });
        place
            .and_then(|place| self.operator(node, place))
            .map_err(|why| format!("node {} ({}): {why}", node.name, node.operator))?;
        output.clone_into(&mut self.last);
        Ok(())
    }

    fn operator(&mut self, node: &Node, place: usize) -> Result<(), String> {
        let biases = self.open_biases.take();
        match node.operator.as_str() {
            "Mul" | "Add" | "Sub" | "Div" => self.constant_operation(node, place, biases),
            "Conv" => self.convolution(node),
            "Gemm" | "MatMul" => self.linear(node, place),
            "Relu" => self.layer(relu()),
            "LeakyRelu" => {
                let slope = attribute(node, "alpha").map_or(0.01, |alpha| alpha.float);
                self.layer(leaky_relu(slope))
            }
            "Tanh" => self.layer(tanh()),
            "Sigmoid" => self.layer(sigmoid()),
            "MaxPool" => self.pool(node, max_pool2d(1)),
            "AveragePool" => self.pool(node, avg_pool2d(1)),
            "GlobalAveragePool" => self.layer(global_avg_pool2d()),
            "GroupNormalization" => {
                let groups = attribute(node, "num_groups").map_or(0, |a| a.int);
                self.norm(node, group_norm(usize::try_from(groups).unwrap_or(0)))
            }
            "LayerNormalization" if self.shape.rows * self.shape.columns == 1 => {
                self.norm(node, layer_norm())
            }
            "Dropout" => {
                self.notes.push("Dropout is left out.".to_owned());
                Ok(())
            }
            "Softmax" | "LogSoftmax" => {
                self.notes
                    .push("The softmax is left out: outputs are logits.".to_owned());
                Ok(())
            }
            "Identity" => Ok(()),
            "Flatten" if attribute(node, "axis").is_none_or(|axis| axis.int == 1) => Ok(()),
            "Reshape" if self.flattens(node) => Ok(()),
            _ => Err("no layer here computes this".to_owned()),
        }
    }

    /// Adds a layer, whose parameters are there already.
    fn layer(&mut self, layer: Layer) -> Result<(), String> {
        if self.targets.is_some() {
            return Err("follows a scaling that is neither at the beginning nor at the end".into());
        }
        let shape = layer.output(self.shape);
        self.shape = shape.map_err(|error| format!("{error}"))?;
        self.words.push(word(&layer));
        Ok(())
    }

    fn convolution(&mut self, node: &Node) -> Result<(), String> {
        let (sizes, weights) = self.constant(node, 1)?;
        let [outputs, inputs, kernel @ ..] = &sizes[..] else {
            return Err(shape_error(
                node,
                1,
                "outputs x inputs x rows x columns",
                &sizes,
            ));
        };
        let kernel = two(kernel)
            .ok_or_else(|| shape_error(node, 1, "outputs x inputs x rows x columns", &sizes))?;
        let (strides, paddings) = window(node)?;
        let channels = self.shape.channels;
        let group = attribute(node, "group").map_or(1, |group| group.int);
        let (layer, expected) = match usize::try_from(group) {
            Ok(1) => (conv2d(*outputs, 1), channels),
            Ok(group) if group == channels && *outputs == channels => (depthwise_conv2d(1), 1),
            _ => {
                return Err(format!(
                    "expected 1 group, or as many as its {channels} channels and outputs, found \
                     {group}"
                ));
            }
        };
        if *inputs != expected {
            let expected = format!("{outputs} x {expected} x rows x columns");
            return Err(shape_error(node, 1, &expected, &sizes));
        }
        let layer = layer
            .kernel(kernel[0], kernel[1])
            .strides(strides[0], strides[1])
            .paddings(paddings[0], paddings[1]);
        let outputs = *outputs;
        self.parameters.extend(weights);
        self.biases(node, outputs)?;
        self.layer(layer)
    }

    /// The biases of a layer, as input 2; 0 where there are none.
    fn biases(&mut self, node: &Node, outputs: usize) -> Result<(), String> {
        if node.inputs.get(2).is_none_or(String::is_empty) {
            self.parameters.extend(std::iter::repeat_n(0.0, outputs));
            return Ok(());
        }
        let (sizes, biases) = self.constant(node, 2)?;
        if biases.len() != outputs {
            return Err(shape_error(node, 2, &outputs.to_string(), &sizes));
        }
        self.parameters.extend(biases);
        Ok(())
    }

    fn linear(&mut self, node: &Node, place: usize) -> Result<(), String> {
        let flag = |name| attribute(node, name).map_or(0, |flag| flag.int);
        let factor = |name| attribute(node, name).map_or(1.0, |factor| factor.float);
        if place != 0 || flag("transA") != 0 || factor("alpha") != 1.0 || factor("beta") != 1.0 {
            return Err("expected the samples as rows, and no factors".to_owned());
        }
        let (shape, mut weights) = self.constant(node, 1)?;
        let inputs = self.shape.len();
        let transposed = flag("transB") == 0;
        let outputs = match (&shape[..], transposed) {
            ([rows, columns], true) if *rows == inputs => *columns,
            ([rows, columns], false) if *columns == inputs => *rows,
            _ => {
                let expected = match transposed {
                    true => format!("{inputs} x outputs"),
                    false => format!("outputs x {inputs}"),
                };
                return Err(shape_error(node, 1, &expected, &shape));
            }
        };
        if transposed {
            let turned = (0..outputs * inputs).map(|k| weights[k % inputs * outputs + k / inputs]);
            weights = turned.collect();
        }
        self.parameters.extend(weights);
        self.open_biases = (node.operator == "MatMul").then_some(self.parameters.len());
        self.biases(node, outputs)?;
        self.layer(linear(outputs))
    }

    fn pool(&mut self, node: &Node, pool: Layer) -> Result<(), String> {
        let size = ints(node, "kernel_shape").and_then(|size| two(&size));
        let size = size.ok_or("expected windows of rows x columns")?;
        let (strides, paddings) = window(node)?;
        if paddings != [0, 0] || attribute(node, "ceil_mode").is_some_and(|mode| mode.int != 0) {
            return Err("expected windows without padding, rounded down".to_owned());
        }
        let pool = pool.kernel(size[0], size[1]);
        self.layer(pool.strides(strides[0], strides[1]))
    }

    fn norm(&mut self, node: &Node, layer: Layer) -> Result<(), String> {
        if attribute(node, "epsilon").is_some_and(|epsilon| epsilon.float != 1e-5) {
            return Err("expected an epsilon of 1e-5".to_owned());
        }
        let channels = self.shape.channels;
        let (shape, factors) = self.constant(node, 1)?;
        if factors.len() != channels {
            return Err(shape_error(node, 1, &channels.to_string(), &shape));
        }
        self.parameters.extend(factors);
        self.biases(node, channels)?;
        self.layer(layer)
    }

    /// A constant added, subtracted, multiplied or divided by.
    fn constant_operation(
        &mut self,
        node: &Node,
        place: usize,
        biases: Option<usize>,
    ) -> Result<(), String> {
        let operator = node.operator.as_str();
        if place > 0 && matches!(operator, "Sub" | "Div") || node.inputs.len() != 2 {
            return Err("expected a constant behind what it is applied to".to_owned());
        }
        let (shape, values) = self.constant(node, 1 - place.min(1))?;
        if let (Some(start), "Add") = (biases, operator)
            && values.len() == self.parameters.len() - start
        {
            self.parameters[start..].copy_from_slice(&values);
            return Ok(());
        }
        let at_the_front = self.words.is_empty();
        let (count, maps) = match at_the_front {
            true => (self.shape.channels, &mut self.scalings),
            false => (self.shape.len(), &mut self.targets),
        };
        // A number for each channel: the sizes behind it are 1, as far as there are any.
        let behind: usize = match at_the_front && self.shape.len() > self.shape.channels {
            true => shape.iter().rev().take(2).product(),
            false => 1,
        };
        if values.len() != 1 && (values.len() != count || behind != 1) {
            let what = match at_the_front {
                true => "one number, or one for each channel",
                false => "one number, or one for each output",
            };
            return Err(format!("expected {what}, found {}", sizes(&shape)));
        }
        let maps = maps.get_or_insert_with(|| vec![[1.0, 0.0]; count]);
        for (i, [scale, offset]) in maps.iter_mut().enumerate() {
            let value = f64::from(values[i % values.len()]);
            match (operator, at_the_front) {
                ("Add", true) => *offset += value,
                ("Sub", true) => *offset -= value,
                ("Mul", true) => (*scale, *offset) = (*scale * value, *offset * value),
                ("Div", true) => (*scale, *offset) = (*scale / value, *offset / value),
                ("Add", false) => *offset -= value * *scale,
                ("Sub", false) => *offset += value * *scale,
                ("Mul", false) => *scale /= value,
                _ => *scale *= value,
            }
            if !(scale.is_finite() && offset.is_finite() && *scale != 0.0) {
                return Err(format!("{value} makes a scale that is none"));
            }
        }
        Ok(())
    }

    /// Whether a reshape makes a row of each sample.
    fn flattens(&self, node: &Node) -> bool {
        let shape = node.inputs.get(1);
        let shape = shape.and_then(|name| self.constants.get(name.as_str()));
        shape.is_some_and(|tensor| tensor.kind == INT64 && tensor.dimensions == [2])
    }

    /// A constant that a node takes: its sizes and its values.
    fn constant(&self, node: &Node, place: usize) -> Result<(Vec<usize>, Vec<f32>), String> {
        let name = node.inputs.get(place).map_or("", String::as_str);
        let tensor = self
            .constants
            .get(name)
            .ok_or_else(|| format!("expected a constant as its input {place}, found '{name}'"))?;
        let sizes = tensor.dimensions.iter();
        let sizes: Option<Vec<usize>> = sizes.map(|size| usize::try_from(*size).ok()).collect();
        let width = match tensor.kind {
            FLOAT16 => Width::F16,
            BFLOAT16 => Width::Bf16,
            FLOAT => Width::F32,
            DOUBLE => Width::F64,
            _ => return Err(format!("tensor {name}: expected floats")),
        };
        if tensor.location == 1 {
            return Err(format!(
                "tensor {name} lies in another file; save the network as one file"
            ));
        }
        let values = match (width, &tensor.floats[..], &tensor.doubles[..]) {
            (Width::F32, floats @ [_, ..], _) => floats.to_vec(),
            (Width::F64, _, doubles @ [_, ..]) => doubles.iter().map(|x| *x as f32).collect(),
            _ => decode(width, &tensor.bytes),
        };
        let wanted = sizes.as_ref().and_then(|sizes| {
            let mut sizes = sizes.iter();
            sizes.try_fold(1_usize, |product, size| product.checked_mul(*size))
        });
        match sizes {
            Some(sizes) if wanted == Some(values.len()) => {
                finite(name, &values)?;
                Ok((sizes, values))
            }
            _ => Err(format!(
                "tensor {name}: its sizes are not those of its data"
            )),
        }
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
        let affine = |[scale, offset]: &[f64; 2]| Affine {
            scale: *scale as f32,
            offset: *offset as f32,
        };
        let scalings = self.scalings.map(|maps| {
            let alike = maps.iter().all(|map| map == &maps[0]);
            let maps = if alike { &maps[..1] } else { &maps };
            maps.iter().map(affine).collect()
        });
        Ok(Imported {
            model,
            task,
            parameters: self.parameters,
            scalings,
            target_scalings: self.targets.iter().flatten().map(affine).collect(),
            notes: self.notes,
        })
    }
}

fn attribute<'n>(
    node: &'n Node,
    name: &str,
) -> Option<&'n crate::formats::onnx_messages::Attribute> {
    node.attributes.iter().find(|a| a.name == name)
}

fn ints(node: &Node, name: &str) -> Option<Vec<usize>> {
    let ints = attribute(node, name)?.ints.iter();
    ints.map(|size| usize::try_from(*size).ok()).collect()
}

/// Rows and columns; one number is columns of the one row.
fn two(sizes: &[usize]) -> Option<[usize; 2]> {
    match *sizes {
        [columns] => Some([1, columns]),
        [rows, columns] => Some([rows, columns]),
        _ => None,
    }
}

/// Strides and paddings of a convolution or a pool.
fn window(node: &Node) -> Result<([usize; 2], [usize; 2]), String> {
    let strides = ints(node, "strides").unwrap_or(vec![1, 1]);
    let strides = two(&strides).ok_or("expected strides of rows and columns")?;
    if ints(node, "dilations").is_some_and(|sizes| sizes.iter().any(|size| *size != 1)) {
        return Err("expected kernels without gaps (dilations of 1)".to_owned());
    }
    let automatic = attribute(node, "auto_pad").map_or(&b""[..], |pad| &pad.text);
    if !matches!(automatic, b"" | b"NOTSET" | b"VALID") {
        return Err("expected paddings as numbers".to_owned());
    }
    let pads = ints(node, "pads").unwrap_or_default();
    let (before, after) = pads.split_at(pads.len() / 2);
    if before != after {
        return Err(format!(
            "expected the same padding on both sides, found {pads:?}"
        ));
    }
    let paddings = match before {
        [] => [0, 0],
        [columns] => [0, *columns],
        before => two(before).ok_or("expected paddings of rows and columns")?,
    };
    Ok((strides, paddings))
}

fn shape_error(node: &Node, place: usize, expected: &str, found: &[usize]) -> String {
    let name = node.inputs.get(place).map_or("", String::as_str);
    format!("tensor {name}: expected {expected}, found {}", sizes(found))
}
