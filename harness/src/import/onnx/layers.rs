//! Convolutions, linear layers and pools of a graph.

use secant::network::{Layer, conv2d, depthwise_conv2d, linear};

use super::{Chain, Open, attribute, ints, shape_error, sizes_of};
use crate::formats::onnx_messages::Node;

impl Chain<'_> {
    pub(super) fn convolution(&mut self, node: &Node) -> Result<(), String> {
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
        self.spatial(node, sizes.len() - 2)?;
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
        self.weights(node, weights, outputs)?;
        self.layer(layer)
    }

    /// The weights and the biases of a convolution or a linear layer.
    fn weights(&mut self, node: &Node, weights: Vec<f32>, outputs: usize) -> Result<(), String> {
        let start = self.parameters.len();
        self.parameters.extend(weights);
        self.open = Open::Weights {
            start,
            biases: self.parameters.len(),
            add: node.operator == "MatMul",
        };
        self.biases(node, outputs)
    }

    /// The biases of a layer, as input 2; 0 where there are none.
    pub(super) fn biases(&mut self, node: &Node, outputs: usize) -> Result<(), String> {
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

    pub(super) fn linear(&mut self, node: &Node, place: usize) -> Result<(), String> {
        let flag = |name| attribute(node, name).map_or(0, |flag| flag.int);
        let factor = |name| attribute(node, name).map_or(1.0, |factor| factor.float);
        if place != 0 || flag("transA") != 0 || factor("alpha") != 1.0 || factor("beta") != 1.0 {
            return Err("expected the samples as rows, and no factors".to_owned());
        }
        let (shape, mut weights) = self.constant(node, 1)?;
        let inputs = self.shape.len();
        if self.dims.last() != Some(&inputs) {
            return Err(format!(
                "expected a row for each sample (a Flatten in front), found {} values",
                sizes_of(&self.dims)
            ));
        }
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
        self.weights(node, weights, outputs)?;
        self.layer(linear(outputs))
    }

    pub(super) fn pool(&mut self, node: &Node, pool: Layer) -> Result<(), String> {
        let sizes = Self::window_sizes(node);
        let size = two(&sizes).ok_or("expected windows of rows x columns")?;
        self.spatial(node, sizes.len())?;
        let (strides, paddings) = window(node)?;
        if paddings != [0, 0] || attribute(node, "ceil_mode").is_some_and(|mode| mode.int != 0) {
            return Err("expected windows without padding, rounded down".to_owned());
        }
        let pool = pool.kernel(size[0], size[1]);
        self.layer(pool.strides(strides[0], strides[1]))
    }
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
