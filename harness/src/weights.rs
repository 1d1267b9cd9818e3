//! Weights as files: written after training, read before fine-tuning.

use std::collections::HashMap;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use secant::Affine;
use secant::network::Layer;
use serde::{Deserialize, Serialize, Serializer};

use crate::data::files;
use crate::digest::sha256;
use crate::error::Error;
use crate::import::sizes;
use crate::model::{Model, Net, same_layers};

/// Name, shape and place in the flat slice of each tensor of a network.
pub(crate) fn names(network: &Net) -> Vec<(String, Vec<usize>, Range<usize>)> {
    let mut names = Vec::new();
    for (i, layer) in network.layers().iter().enumerate() {
        let input = network.shape(i);
        let (weights, _) = layer.parameters(input);
        let shape = match *layer {
            _ if weights == 0 => continue,
            Layer::Conv2d(conv) => {
                vec![conv.outputs, input.channels, conv.kernel[0], conv.kernel[1]]
            }
            Layer::DepthwiseConv2d(conv) => {
                vec![input.channels, 1, conv.kernel[0], conv.kernel[1]]
            }
            Layer::Linear(linear) => vec![linear.outputs, input.len()],
            // A layer that is not known here keeps its weights as they lie.
            _ => vec![weights],
        };
        let (weights, biases) = network.parameter_ranges(i);
        let bias_shape = vec![biases.len()];
        names.push((format!("{i}.weight"), shape, weights));
        names.push((format!("{i}.bias"), bias_shape, biases));
    }
    names
}

/// The metadata `secant` of a file of weights.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct About {
    input: Inputs,
    /// The description of the network.
    pub model: String,
    /// How targets are made of numbers to predict, if they are: `number = (output - offset) /
    /// scale`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<Inputs>,
}

impl About {
    /// That of a file's metadata, if it is there.
    pub fn of(metadata: Option<&HashMap<String, String>>) -> Option<About> {
        let text = metadata?.get("secant")?;
        serde_json::from_str(text).ok()
    }

    /// How the network wants its inputs.
    pub fn scalings(&self) -> Vec<Affine> {
        self.input.scalings()
    }

    /// What its outputs are of numbers to predict: a map for each output, or none.
    ///
    /// # Errors
    /// A phrase that says that there are units of other outputs.
    pub fn target_scalings(&self, outputs: usize) -> Result<Vec<Affine>, String> {
        let targets = self.target.as_ref().map(Inputs::scalings);
        match targets.as_deref() {
            None => Ok(Vec::new()),
            Some([one]) => Ok(vec![*one; outputs]),
            Some(targets) if targets.len() == outputs => Ok(targets.to_vec()),
            Some(targets) => Err(format!(
                "holds the units of {} outputs, and the network has {outputs}",
                targets.len()
            )),
        }
    }
}

/// A normalisation: one for all channels or outputs, or a list with one for each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Inputs {
    Same(Input),
    PerChannel(Vec<Input>),
}

impl Inputs {
    fn new(scalings: &[Affine]) -> Inputs {
        let input = |scaling: &Affine| Input {
            offset: scaling.offset,
            scale: scaling.scale,
        };
        match scalings {
            [scaling] => Inputs::Same(input(scaling)),
            scalings => Inputs::PerChannel(scalings.iter().map(input).collect()),
        }
    }

    fn scalings(&self) -> Vec<Affine> {
        let scaling = |input: &Input| Affine {
            scale: input.scale,
            offset: input.offset,
        };
        match self {
            Inputs::Same(input) => vec![scaling(input)],
            Inputs::PerChannel(inputs) => inputs.iter().map(scaling).collect(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Input {
    offset: f32,
    scale: f32,
}

/// The weights as a safetensors file: for layer `i` of the model, counted from 0, a tensor
/// `i.weight` and a tensor `i.bias` of 32-bit floats, shaped as PyTorch has them (`conv2d`:
/// outputs, inputs, rows, columns; `depthwise_conv2d`: channels, 1, rows, columns; `linear`:
/// outputs, inputs). The metadata `secant` is a JSON object with the model's description and the
/// normalisation of its inputs, `input`: `{"offset", "scale"}`, or a list of these with one for
/// each channel. Where numbers were standardised to predict them, `target` says the same of these:
/// the number is `(output - offset) / scale`. The same weights always give the same bytes.
///
/// # Errors
/// An [`io::Error`] when the library refuses the tensors.
pub fn safetensors(
    model: &Model,
    (inputs, targets): (&[Affine], &[Affine]),
    parameters: &[f32],
) -> io::Result<Vec<u8>> {
    // The file holds the weights of frozen layers too.
    let network = model.network.try_freeze(0, &[]);
    let network = &network.map_err(|error| io::Error::other(error.to_string()))?;
    let bytes = bare(parameters);
    let mut tensors = Vec::new();
    for (name, shape, range) in names(network) {
        let data = &bytes[4 * range.start..4 * range.end];
        let view = TensorView::new(Dtype::F32, shape, data).map_err(io::Error::other)?;
        tensors.push((name, view));
    }
    let about = About {
        input: Inputs::new(inputs),
        model: model.spec.clone(),
        target: targets.first().map(|first| {
            let alike = targets.iter().all(|target| target == first);
            Inputs::new(if alike { &targets[..1] } else { targets })
        }),
    };
    // One entry only: the format keeps several in no fixed order.
    let metadata = HashMap::from([("secant".to_owned(), serde_json::to_string(&about)?)]);
    safetensors::serialize(tensors, Some(metadata)).map_err(io::Error::other)
}

/// The weights as bare little-endian floats, in the order of the flat slice: what
/// [`secant::network::weights_from_bytes`] reads.
pub fn bare(parameters: &[f32]) -> Vec<u8> {
    parameters.iter().flat_map(|w| w.to_le_bytes()).collect()
}

/// The weights that a run starts from, in place of random ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Start {
    /// Where they come from.
    #[serde(serialize_with = "lossy")]
    pub file: PathBuf,
    /// SHA-256 of all of them, as little-endian bytes in the order of the flat slice.
    pub sha256: String,
    /// Layers at the beginning that keep them.
    pub frozen_layers: usize,
    /// How the network that they belong to wants its inputs.
    #[serde(skip)]
    pub scalings: Vec<Affine>,
    /// What its outputs are of numbers to predict: a map for each output, or none.
    #[serde(skip)]
    pub target_scalings: Vec<Affine>,
    /// Those of the layers that are trained.
    #[serde(skip)]
    pub parameters: Vec<f32>,
}

/// Writes a path as text; a name need not be one.
fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// Refuses to freeze all layers that have parameters.
pub fn something_to_train(network: &Net, frozen_layers: usize) -> Result<(), Error> {
    if frozen_layers > 0 && network.parameter_count() == 0 {
        return Err(Error::Usage(format!(
            "--freeze {frozen_layers}: no layer with parameters would be left to train"
        )));
    }
    Ok(())
}

/// What a file of weights holds.
pub struct Saved {
    /// How the network wants its inputs.
    pub scalings: Vec<Affine>,
    /// What its outputs are of numbers to predict: a map for each output, or none.
    pub target_scalings: Vec<Affine>,
    /// All weights, in the order of the flat slice.
    pub parameters: Vec<f32>,
}

/// Reads the weights of `model` from a file that [`safetensors()`] has made.
///
/// # Errors
/// What is wrong, as a phrase to go after the file's name: it cannot be read or holds something
/// else.
pub fn load(path: &Path, model: &Model) -> Result<Saved, String> {
    let network = &model.network;
    let bytes = file(path, network.parameter_count())?;
    let (about, parameters) = read(&bytes, model)?;
    if let Some((name, place, value)) = not_finite(network, &parameters) {
        return Err(format!(
            "tensor {name} holds {value} as its element {place}, counted from 0: the weights are \
             damaged, or those of a run that diverged"
        ));
    }
    Ok(Saved {
        scalings: about.scalings(),
        target_scalings: about.target_scalings(network.output_len())?,
        parameters,
    })
}

/// [`load`], and freezes the first `frozen_layers` layers of the model with the weights.
///
/// # Errors
/// [`Error::Usage`] when the file cannot be read or holds something else, or nothing would be left
/// to train.
pub fn start(path: &Path, frozen_layers: usize, model: &mut Model) -> Result<Start, Error> {
    let Saved {
        scalings,
        target_scalings,
        parameters: mut weights,
    } = load(path, model)
        .map_err(|what| Error::Usage(format!("--weights {}: {what}", path.display())))?;
    let sha256 = sha256(&weights);
    let parameters = weights.split_off(model.network.parameter_offset(frozen_layers));
    // They stay for as long as the program runs: the network that reads them is copied to every
    // thread.
    let frozen: &'static [f32] = Box::leak(weights.into_boxed_slice());
    model.network = model
        .network
        .try_freeze(frozen_layers, frozen)
        .map_err(|error| Error::Usage(format!("--freeze {frozen_layers}: {error}")))?;
    something_to_train(&model.network, frozen_layers)?;
    Ok(Start {
        target_scalings,
        file: path.to_owned(),
        sha256,
        frozen_layers,
        scalings,
        parameters,
    })
}

/// The bytes of a file that may hold `count` weights. What is longer than any such file is not read
/// to its end.
fn file(path: &Path, count: usize) -> Result<Vec<u8>, String> {
    let file = files::open(path).map_err(|error| error.problem)?;
    let most = 4 * count as u64 + LARGEST_HEADER;
    let mut bytes = Vec::new();
    let read = file.take(most).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    Ok(bytes)
}

/// Bytes of a header, at most: far more than 32 layers need.
const LARGEST_HEADER: u64 = 1 << 20;

/// The first weight that is not finite: its tensor, its place in that, and its value.
fn not_finite(network: &Net, weights: &[f32]) -> Option<(String, usize, f32)> {
    let found = weights.iter().position(|w| !w.is_finite())?;
    let tensor = names(network)
        .into_iter()
        .find(|(_, _, range)| range.contains(&found));
    let (name, _, range) = tensor?;
    Some((name, found - range.start, weights[found]))
}

/// The weights of a model. One of other layers is refused even where its tensors are alike.
fn read(bytes: &[u8], model: &Model) -> Result<(About, Vec<f32>), String> {
    let foreign =
        "not a model.safetensors of 'secant train'; 'secant import' makes one of PyTorch's";
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|_| foreign)?;
    let about = About::of(metadata.metadata().as_ref()).ok_or(foreign)?;
    if !same_layers(&about.model, &model.spec) {
        return Err(format!(
            "holds the weights of '{}', not of '{}'; choose that network with --model",
            about.model, model.spec
        ));
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(|_| foreign)?;
    let network = &model.network;
    let names = names(network);
    let mut weights = vec![0.0; network.parameter_count()];
    for (name, shape, range) in &names {
        let expected = format!("tensor {name}: expected {} floats of 32 bits", sizes(shape));
        let tensor = tensors
            .tensor(name)
            .map_err(|_| format!("{expected}, and there is none"))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
            return Err(format!(
                "{expected}, found {} of {:?}",
                sizes(tensor.shape()),
                tensor.dtype()
            ));
        }
        let floats = tensor.data().as_chunks::<4>().0;
        for (w, four) in weights[range.clone()].iter_mut().zip(floats) {
            *w = f32::from_le_bytes(*four);
        }
    }
    if let Some(other) = tensors
        .names()
        .iter()
        .find(|found| !names.iter().any(|(name, _, _)| name == **found))
    {
        return Err(format!("tensor {other}: no layer of the model has it"));
    }
    Ok((about, weights))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_weights_give_the_same_bytes() {
        let model: Model = "conv2k3,relu,depthwise3,pool2,linear10".parse().unwrap();
        let parameters: Vec<f32> = (0..model.network.parameter_count())
            .map(|i| i as f32)
            .collect();
        let file = || safetensors(&model, (&[Affine::NONE], &[]), &parameters).unwrap();
        let bytes = file();
        assert!((0..20).all(|_| file() == bytes));
        // Every weight is in its place.
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let mut first = 0.0;
        for (name, shape) in [
            ("0.weight", vec![2, 1, 3, 3]),
            ("0.bias", vec![2]),
            ("2.weight", vec![2, 1, 3, 3]),
            ("2.bias", vec![2]),
            ("4.weight", vec![10, 288]),
            ("4.bias", vec![10]),
        ] {
            let tensor = tensors.tensor(name).unwrap();
            assert_eq!(tensor.shape(), shape, "{name}");
            for bytes in tensor.data().chunks_exact(4) {
                assert_eq!(
                    f32::from_le_bytes(bytes.try_into().unwrap()),
                    first,
                    "{name}"
                );
                first += 1.0;
            }
        }
        assert_eq!(first as usize, parameters.len());
    }

    #[test]
    fn what_was_written_is_read() {
        let model: Model = "conv2k3,relu,depthwise3,pool2,linear10".parse().unwrap();
        let weights: Vec<f32> = (0..model.network.parameter_count())
            .map(|i| 0.5 * i as f32)
            .collect();
        let bytes = safetensors(&model, (&[Affine::standard(0.3, 0.2)], &[]), &weights).unwrap();
        let (about, found) = read(&bytes, &model).unwrap();
        assert_eq!(found, weights);
        assert_eq!(about.model, model.spec);
        assert_eq!(about.input.scalings(), [Affine::standard(0.3, 0.2)]);
        // One for each channel.
        let scalings = [
            Affine::standard(0.3, 0.2),
            Affine::UNIT,
            Affine::standard(-1.0, 3.0),
        ];
        let targets = [Affine::standard(7.0, 2.0); 10];
        let bytes = safetensors(&model, (&scalings, &targets), &weights).unwrap();
        let (about, _) = read(&bytes, &model).unwrap();
        assert_eq!(about.input.scalings(), scalings);
        let found = about.target.map(|target| target.scalings());
        assert_eq!(found, Some(vec![targets[0]]), "one stands for all");
        // Another network, and another kind of file.
        let other: Model = "conv3k3,relu,depthwise3,pool2,linear10".parse().unwrap();
        let refused = |bytes: &[u8], model: &Model, why: &str| {
            let said = read(bytes, model).unwrap_err();
            assert!(said.contains(why), "{said}");
        };
        refused(&bytes, &other, &format!("the weights of '{}'", model.spec));
        // Tensors of the same shapes, and another function; dropout alone makes none.
        let other: Model = "conv2k3,tanh,depthwise3,pool2,linear10".parse().unwrap();
        refused(&bytes, &other, &format!("the weights of '{}'", model.spec));
        let other: Model = "conv2k3,relu,depthwise3,pool2,dropout0.5,linear10"
            .parse()
            .unwrap();
        refused(&bytes, &other, "tensor 5.weight: expected 10 x 288 floats");
        refused(&bytes[1..], &model, "not a model.safetensors");
        refused(&[], &model, "not a model.safetensors");
    }
}
