//! Weights that PyTorch has saved with `safetensors.torch.save_file(net.state_dict(), ...)`.
//!
//! The file says nothing of layers, so the model comes from elsewhere, and tensors are found for its
//! layers: a tensor `PREFIX.weight` of a layer's shape, with `PREFIX.bias` beside it. Layers of equal
//! shapes take theirs in the order of the numbers in their names; names that differ otherwise say no
//! order, and then `map` has to tell.

use std::collections::BTreeMap;
use std::ops::Range;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::floats::{Width, decode};
use super::{Imported, finite, one_line, sizes};
use crate::data::dataset::Task;
use crate::model::{Model, same_layers};
use crate::weights::{About, names};

/// A layer that wants weights.
struct Wanted {
    layer: usize,
    word: String,
    shape: Vec<usize>,
    weights: Range<usize>,
    biases: Range<usize>,
}

/// Weights for `model` from the bytes of a file. `map` names the prefix of a layer's tensors by the
/// layer's number, where no rule finds it.
///
/// # Errors
/// A phrase to go after the file's name: which tensor, what was expected, what was found.
pub fn read(
    bytes: &[u8],
    (model, task): (Model, Task),
    map: &[(usize, String)],
) -> Result<Imported, String> {
    named(bytes, (model, task), map).map_err(one_line)
}

fn named(
    bytes: &[u8],
    (model, task): (Model, Task),
    map: &[(usize, String)],
) -> Result<Imported, String> {
    let wrong = |error| format!("not a file of safetensors: {error}");
    let tensors = SafeTensors::deserialize(bytes).map_err(wrong)?;
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(wrong)?;
    let about = About::of(metadata.metadata().as_ref());
    if let Some(about) = &about
        && !same_layers(&about.model, &model.spec)
    {
        return Err(format!(
            "holds the weights of '{}', not of '{}'; choose that network with --model",
            about.model, model.spec
        ));
    }
    let mut prefixes = prefixes(&tensors)?;
    let wanted = wanted(&model);
    let chosen = choose(&wanted, &mut prefixes, map)?;
    let mut parameters = vec![0.0; model.network.parameter_count()];
    let mut notes = Vec::new();
    for (layer, prefix) in wanted.iter().zip(&chosen) {
        let name = join(prefix, "weight");
        parameters[layer.weights.clone()].copy_from_slice(&floats(&tensors, &name)?);
        let name = join(prefix, "bias");
        if tensors.tensor(&name).is_err() {
            notes.push(format!("There is no {name}: these biases are 0."));
            continue;
        }
        let found = floats(&tensors, &name)?;
        if found.len() != layer.biases.len() {
            return Err(format!(
                "tensor {name}: expected {} numbers for layer {} ({}), found {}",
                layer.biases.len(),
                layer.layer,
                layer.word,
                found.len()
            ));
        }
        parameters[layer.biases.clone()].copy_from_slice(&found);
    }
    let moved = wanted
        .iter()
        .zip(&chosen)
        .filter(|(layer, prefix)| layer.layer.to_string() != **prefix);
    let moved: Vec<_> = moved
        .map(|(layer, prefix)| format!("{prefix} is layer {} ({})", layer.layer, layer.word))
        .collect();
    if !moved.is_empty() {
        notes.push(format!("Names: {}.", moved.join(", ")));
    }
    let outputs = task.outputs;
    Ok(Imported {
        model,
        task,
        parameters,
        scalings: about.as_ref().map(About::scalings),
        target_scalings: match &about {
            Some(about) => about.target_scalings(outputs)?,
            None => Vec::new(),
        },
        notes,
    })
}

/// The layers with parameters.
fn wanted(model: &Model) -> Vec<Wanted> {
    let words: Vec<_> = model.spec.split(' ').collect();
    let tensors = names(&model.network);
    tensors
        .chunks_exact(2)
        .map(|pair| {
            let (name, shape, weights) = pair[0].clone();
            let number = name.split('.').next().and_then(|text| text.parse().ok());
            let layer: usize = number.unwrap_or_default();
            Wanted {
                layer,
                word: words.get(layer).copied().unwrap_or("?").to_owned(),
                shape,
                weights,
                biases: pair[1].2.clone(),
            }
        })
        .collect()
}

/// The prefixes of the file's weights in their natural order, each with its shape.
fn prefixes(tensors: &SafeTensors<'_>) -> Result<Vec<(String, Vec<usize>)>, String> {
    let mut found = BTreeMap::new();
    for (name, tensor) in tensors.iter() {
        let (prefix, what) = name.rsplit_once('.').unwrap_or(("", name));
        match what {
            "weight" => drop(found.insert(natural(prefix), (prefix.to_owned(), shape(&tensor)))),
            "bias" if tensors.tensor(&join(prefix, "weight")).is_ok() => {}
            "bias" => return Err(format!("tensor {name} has no {}", join(prefix, "weight"))),
            _ => {
                return Err(format!(
                    "tensor {name}: expected NAME.weight and NAME.bias alone, since no layer here \
                     has more (batch normalisation can be folded into the layer before it)"
                ));
            }
        }
    }
    Ok(found.into_values().collect())
}

/// A tensor's shape; a kernel of one dimension gets its one row.
fn shape(tensor: &TensorView<'_>) -> Vec<usize> {
    match *tensor.shape() {
        [outputs, inputs, columns] => vec![outputs, inputs, 1, columns],
        ref shape => shape.to_vec(),
    }
}

/// The prefix for each layer.
fn choose(
    wanted: &[Wanted],
    prefixes: &mut Vec<(String, Vec<usize>)>,
    map: &[(usize, String)],
) -> Result<Vec<String>, String> {
    let mut chosen = vec![None; wanted.len()];
    for (number, prefix) in map {
        let place = wanted.iter().position(|layer| layer.layer == *number);
        let place = place.ok_or_else(|| {
            let numbers: Vec<_> = wanted.iter().map(|w| w.layer.to_string()).collect();
            format!(
                "--map {number}={prefix}: the layers with weights are {}",
                numbers.join(", ")
            )
        })?;
        let found = prefixes.iter().position(|(name, _)| name == prefix);
        let found = found.ok_or_else(|| {
            format!(
                "--map {number}={prefix}: the file has no {}",
                join(prefix, "weight")
            )
        })?;
        let (prefix, shape) = prefixes.remove(found);
        fits(&wanted[place], &prefix, &shape)?;
        chosen[place] = Some(prefix);
    }
    let open: Vec<usize> = (0..wanted.len()).filter(|i| chosen[*i].is_none()).collect();
    for &i in &open {
        if chosen[i].is_some() {
            continue;
        }
        let alike = |shape: &[usize]| shape == wanted[i].shape;
        let layers: Vec<_> = open.iter().filter(|j| alike(&wanted[**j].shape)).collect();
        let names: Vec<_> = prefixes.iter().filter(|(_, shape)| alike(shape)).collect();
        if layers.len() != names.len() {
            return Err(mismatch(wanted, &open, prefixes));
        }
        let pattern = |name: &str| name.replace(|c: char| c.is_ascii_digit(), "");
        if let [(first, _), others @ ..] = &names[..]
            && let Some((other, _)) = others.iter().find(|(n, _)| pattern(n) != pattern(first))
        {
            return Err(format!(
                "{first} and {other} have the same shape {}, and their names say no order; tell it \
                 with --map {}={first},...",
                sizes(&wanted[i].shape),
                wanted[i].layer
            ));
        }
        for (layer, (name, _)) in layers.iter().zip(names) {
            chosen[**layer] = Some(name.clone());
        }
    }
    if prefixes.len() != open.len() {
        return Err(mismatch(wanted, &open, prefixes));
    }
    Ok(chosen.into_iter().flatten().collect())
}

/// Why tensors and layers do not go together: the first that does not fit, in the order of both.
fn mismatch(wanted: &[Wanted], open: &[usize], prefixes: &[(String, Vec<usize>)]) -> String {
    for (i, (prefix, shape)) in open.iter().zip(prefixes) {
        if open.len() == prefixes.len()
            && let Err(why) = fits(&wanted[*i], prefix, shape)
        {
            return why;
        }
    }
    let layers: Vec<_> = open.iter().map(|i| wanted[*i].word.as_str()).collect();
    let found: Vec<_> = prefixes
        .iter()
        .map(|(prefix, shape)| format!("{} ({})", join(prefix, "weight"), sizes(shape)))
        .collect();
    format!(
        "expected weights for {} layers ({}), found {}: {}",
        layers.len(),
        layers.join(", "),
        found.len(),
        found.join(", ")
    )
}

fn fits(layer: &Wanted, prefix: &str, shape: &[usize]) -> Result<(), String> {
    if shape == layer.shape {
        return Ok(());
    }
    Err(format!(
        "tensor {}: expected {} for layer {} ({}), found {}",
        join(prefix, "weight"),
        sizes(&layer.shape),
        layer.layer,
        layer.word,
        sizes(shape)
    ))
}

fn floats(tensors: &SafeTensors<'_>, name: &str) -> Result<Vec<f32>, String> {
    let tensor = tensors
        .tensor(name)
        .map_err(|error| format!("tensor {name}: {error}"))?;
    let width = match tensor.dtype() {
        Dtype::F16 => Width::F16,
        Dtype::BF16 => Width::Bf16,
        Dtype::F32 => Width::F32,
        Dtype::F64 => Width::F64,
        other => {
            return Err(format!(
                "tensor {name}: expected floats of 16, 32 or 64 bits, found {other:?}"
            ));
        }
    };
    let values = decode(width, tensor.data());
    finite(name, &values)?;
    Ok(values)
}

fn join(prefix: &str, what: &str) -> String {
    match prefix {
        "" => what.to_owned(),
        prefix => format!("{prefix}.{what}"),
    }
}

/// A piece of a name: numbers are ordered by their value.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    Number(u64, usize),
    Text(String),
}

/// The pieces of a name.
fn natural(name: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest
            .find(|c: char| c.is_ascii_digit() != digits)
            .unwrap_or(rest.len());
        let (piece, other) = rest.split_at(end);
        pieces.push(match piece.parse() {
            Ok(number) if digits => Piece::Number(number, piece.len()),
            _ => Piece::Text(piece.to_owned()),
        });
        rest = other;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_their_numbers() {
        let mut names = ["conv10", "conv2", "a.10.b", "a.9.c", "2", "10", ""];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["", "2", "10", "a.9.c", "a.10.b", "conv2", "conv10"]);
        // No two names are one.
        assert!(natural("a01") != natural("a1"));
    }
}
