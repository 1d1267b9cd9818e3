//! Normalisations of a graph, and constants added and multiplied: factors and biases of the layer
//! before, the normalisation of the inputs, or the way from outputs to numbers.

use super::{Chain, Open, attribute, shape_error, sizes_of};
use crate::formats::onnx_messages::Node;
use secant::network::{Layer, group_norm};

impl Chain<'_> {
    /// A normalisation with a factor and a bias for each channel.
    pub(super) fn norm(&mut self, node: &Node, layer: Layer) -> Result<(), String> {
        usual_epsilon(node)?;
        let channels = self.shape.channels;
        let (shape, factors) = self.constant(node, 1)?;
        if factors.len() != channels {
            return Err(shape_error(node, 1, &channels.to_string(), &shape));
        }
        self.parameters.extend(factors);
        self.biases(node, channels)?;
        self.layer(layer)
    }

    /// `InstanceNormalization`, of channels or of groups that a reshape has made of them: then a
    /// `Mul` and an `Add` for each channel follow.
    pub(super) fn instance_norm(&mut self, node: &Node) -> Result<(), String> {
        usual_epsilon(node)?;
        let channels = self.shape.channels;
        let groups = self.groups.unwrap_or(channels);
        let start = self.parameters.len();
        for place in [1, 2] {
            let (shape, values) = self.constant(node, place)?;
            if values.len() != groups {
                return Err(shape_error(node, place, &groups.to_string(), &shape));
            }
            let of_channel = (0..channels).map(|c| values[c / (channels / groups)]);
            self.parameters.extend(of_channel);
        }
        let dims = self.dims.clone();
        self.layer(group_norm(groups))?;
        self.dims = dims;
        self.open = Open::Norm(start);
        Ok(())
    }

    /// `BatchNormalization` of trained statistics, folded into the layer in front of it:
    /// `(y - mean) factor / sqrt(variance + epsilon) + bias`.
    pub(super) fn batch_norm(&mut self, node: &Node, before: &Open) -> Result<(), String> {
        let Open::Weights { start, biases, .. } = *before else {
            return Err(
                "only one right behind a Conv or Gemm can be read: it is folded into that layer"
                    .to_owned(),
            );
        };
        if attribute(node, "training_mode").is_some_and(|flag| flag.int != 0) {
            return Err("is one of training: export the network in eval mode".to_owned());
        }
        let epsilon = attribute(node, "epsilon").map_or(1e-5, |epsilon| epsilon.float);
        let outputs = self.parameters.len() - biases;
        let mut values = Vec::new();
        for place in 1..=4 {
            let (shape, value) = self.constant(node, place)?;
            if value.len() != outputs {
                return Err(shape_error(node, place, &outputs.to_string(), &shape));
            }
            values.push(value);
        }
        let each = (biases - start) / outputs;
        for o in 0..outputs {
            let [factor, bias, mean, variance] = [0, 1, 2, 3].map(|k| f64::from(values[k][o]));
            let scale = factor / (variance + f64::from(epsilon)).sqrt();
            if !scale.is_finite() {
                return Err(format!("a variance of {variance} is none"));
            }
            for w in &mut self.parameters[start + o * each..start + (o + 1) * each] {
                *w = (f64::from(*w) * scale) as f32;
            }
            let b = &mut self.parameters[biases + o];
            *b = ((f64::from(*b) - mean) * scale + bias) as f32;
        }
        self.notes
            .push("Batch normalisation is folded into the layer before it.".to_owned());
        Ok(())
    }

    /// A constant added, subtracted, multiplied or divided by.
    pub(super) fn constant_operation(
        &mut self,
        node: &Node,
        place: usize,
        before: Open,
    ) -> Result<(), String> {
        let operator = node.operator.as_str();
        if place > 0 && matches!(operator, "Sub" | "Div") || node.inputs.len() != 2 {
            return Err("expected a constant behind what it is applied to".to_owned());
        }
        let other = 1 - place.min(1);
        if !self.tensors.contains(&node.inputs[other]) {
            return Err("joins two branches; only chains of layers can be read".to_owned());
        }
        let (shape, values) = self.constant(node, other)?;
        if self.belongs_to(&before, operator, (&shape, &values)) {
            return Ok(());
        }
        let at_the_front = self.words.is_empty();
        let (count, maps) = match at_the_front {
            true => (self.shape.channels, &mut self.scalings),
            false => (self.shape.len(), &mut self.targets),
        };
        // A number for each channel: the sizes behind it are 1, as far as there are any.
        let behind: usize = match at_the_front && self.shape.len() > self.shape.channels {
            true => shape.iter().rev().take(self.dims.len() - 1).product(),
            false => 1,
        };
        if values.len() != 1 && (values.len() != count || behind != 1) {
            let what = match at_the_front {
                true => "one number, or one for each channel",
                false => "one number, or one for each output",
            };
            return Err(format!("expected {what}, found {}", sizes_of(&shape)));
        }
        // One map for all, until there are several.
        let maps = maps.get_or_insert_with(|| vec![[1.0, 0.0]]);
        if let ([one], [_, _, ..]) = (&maps[..], &values[..]) {
            *maps = vec![*one; count];
        }
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

    /// Whether constants are the biases of the `MatMul` before, or factors or biases of the
    /// normalisation before: then they go there.
    fn belongs_to(
        &mut self,
        before: &Open,
        operator: &str,
        (shape, values): (&[usize], &[f32]),
    ) -> bool {
        match (*before, operator) {
            (
                Open::Weights {
                    biases, add: true, ..
                },
                "Add",
            ) if values.len() == self.parameters.len() - biases => {
                self.parameters[biases..].copy_from_slice(values);
                true
            }
            (Open::Norm(start), "Mul" | "Add") => {
                let channels = self.shape.channels;
                let behind = shape.iter().rev().take(self.dims.len() - 1);
                if values.len() != channels || behind.product::<usize>() != 1 {
                    return false;
                }
                let (factors, biases) = self.parameters[start..].split_at_mut(channels);
                for (c, value) in values.iter().enumerate() {
                    match operator {
                        "Mul" => (factors[c], biases[c]) = (factors[c] * value, biases[c] * value),
                        // A zero has a sign, which a sum may lose.
                        _ if biases[c] == 0.0 => biases[c] = *value,
                        _ => biases[c] += value,
                    }
                }
                self.open = *before;
                true
            }
            _ => false,
        }
    }
}

fn usual_epsilon(node: &Node) -> Result<(), String> {
    match attribute(node, "epsilon") {
        Some(epsilon) if epsilon.float != 1e-5 => Err("expected an epsilon of 1e-5".to_owned()),
        _ => Ok(()),
    }
}
