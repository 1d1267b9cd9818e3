//! The constants of an ONNX graph, those in another file too.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::super::finite;
use super::super::floats::{Width, decode};
use crate::data::files;
use crate::formats::onnx_messages::{BFLOAT16, DOUBLE, FLOAT, FLOAT16, INT64, Tensor};

/// Constants by name, and the folder in which files lie that hold some of them.
pub(super) struct Tensors<'a> {
    named: HashMap<&'a str, &'a Tensor>,
    folder: Option<&'a Path>,
}

impl<'a> Tensors<'a> {
    pub fn new(tensors: &'a [Tensor], folder: Option<&'a Path>) -> Self {
        Self {
            named: tensors.iter().map(|t| (t.name.as_str(), t)).collect(),
            folder,
        }
    }

    pub fn contains(&self, name: &str) -> bool {
        self.named.contains_key(name)
    }

    pub fn insert(&mut self, name: &'a str, tensor: &'a Tensor) {
        self.named.insert(name, tensor);
    }

    /// Gives a constant another name, if it is one.
    pub fn rename(&mut self, name: &str, other: &'a str) -> bool {
        match self.named.get(name) {
            Some(tensor) => {
                self.named.insert(other, tensor);
                true
            }
            None => false,
        }
    }

    /// The whole numbers of a constant; `None` where it holds no such, or is not there.
    pub fn integers(&self, name: &str) -> Option<Vec<i64>> {
        let tensor = self.named.get(name).filter(|tensor| tensor.kind == INT64)?;
        let bytes = tensor.bytes.as_chunks::<8>().0.iter();
        Some(match &tensor.integers[..] {
            [] => bytes.map(|eight| i64::from_le_bytes(*eight)).collect(),
            integers => integers.to_vec(),
        })
    }

    /// The sizes and the values of a constant that a node takes as its input `place`.
    ///
    /// # Errors
    /// What was expected and what was found.
    pub fn floats(&self, name: &str, place: usize) -> Result<(Vec<usize>, Vec<f32>), String> {
        let tensor = self
            .named
            .get(name)
            .ok_or_else(|| format!("expected a constant as its input {place}, found '{name}'"))?;
        let width = match tensor.kind {
            FLOAT16 => Width::F16,
            BFLOAT16 => Width::Bf16,
            FLOAT => Width::F32,
            DOUBLE => Width::F64,
            _ => return Err(format!("tensor {name}: expected floats")),
        };
        let sizes = tensor.dimensions.iter();
        let sizes: Option<Vec<usize>> = sizes.map(|size| usize::try_from(*size).ok()).collect();
        let wanted = sizes.as_ref().and_then(|sizes| {
            let mut sizes = sizes.iter();
            sizes.try_fold(1_usize, |product, size| product.checked_mul(*size))
        });
        let other = || format!("tensor {name}: its sizes are not those of its data");
        let (Some(sizes), Some(wanted)) = (sizes, wanted) else {
            return Err(other());
        };
        let values = match (width, &tensor.floats[..], &tensor.doubles[..]) {
            _ if tensor.location == 1 => {
                decode(width, &self.elsewhere(tensor, width.bytes(), wanted)?)
            }
            (Width::F32, floats @ [_, ..], _) => floats.to_vec(),
            (Width::F64, _, doubles @ [_, ..]) => doubles.iter().map(|x| *x as f32).collect(),
            _ => decode(width, &tensor.bytes),
        };
        if values.len() != wanted {
            return Err(other());
        }
        finite(name, &values)?;
        Ok((sizes, values))
    }

    /// The bytes of a tensor in a file beside the graph's.
    fn elsewhere(&self, tensor: &Tensor, width: usize, count: usize) -> Result<Vec<u8>, String> {
        let entry = |key: &str| tensor.external.iter().find(|entry| entry.key == key);
        let number = |key| match entry(key) {
            Some(entry) => entry.value.parse::<u64>().ok(),
            None => Some(0),
        };
        let file = entry("location").map_or("", |entry| entry.value.as_str());
        let wrong = |what: String| format!("tensor {} lies in {file:?}, {what}", tensor.name);
        // A name, not a way to somewhere else.
        let Some(folder) = self.folder.filter(|_| {
            Path::new(file).file_name() == Some(file.as_ref()) && !file.contains(['/', '\\'])
        }) else {
            return Err(wrong("which is no file beside this one".to_owned()));
        };
        let length = (width as u64).saturating_mul(count as u64);
        let (Some(offset), true) = (number("offset"), length <= LARGEST) else {
            return Err(wrong("at a place or of a size that cannot be".to_owned()));
        };
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file: File = files::open(&folder.join(file))
                .map_err(|error| std::io::Error::other(error.problem))?;
            file.seek(SeekFrom::Start(offset))?;
            let mut bytes = Vec::new();
            file.take(length).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|error| wrong(format!("which has to lie beside this one: {error}")))
    }
}

/// Bytes of a tensor, at most: the largest network in floats of 64 bits.
const LARGEST: u64 = 8 * crate::model::MAX_PARAMETERS as u64;
