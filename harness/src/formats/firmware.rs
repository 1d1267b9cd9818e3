//! A whole program for a Cortex-M4F that asks the network about a few samples, as the folder of a
//! Rust package: `cargo run --release` there runs it in an emulator.

use super::rust;
use crate::data::dataset::{Part, Predicted};
use crate::data::elements::{Elements, Targets};
use crate::score::number;
use crate::trained::Trained;

/// Samples that go along, at most.
const SAMPLES: usize = 8;

const MANIFEST: &str = include_str!("../../templates/firmware/manifest.toml");
const CONFIG: &str = include_str!("../../templates/firmware/config.toml");
const BUILD: &str = include_str!("../../templates/firmware/build.rs");
const MEMORY: &str = include_str!("../../templates/firmware/memory.x");
const MAIN: &str = include_str!("../../templates/firmware/main.rs");

/// The test samples that go along: from the whole part, since it may be in the order of its classes.
pub fn chosen(samples: usize) -> Vec<u32> {
    let count = SAMPLES.min(samples);
    (0..count).map(|i| (i * samples / count) as u32).collect()
}

/// Path and text of each file. `part` holds the samples that go along, `numbers` says which they
/// are, and `names` are those of the classes.
///
/// # Errors
/// One phrase that names a layer which cannot be written so.
pub fn files(
    trained: &Trained,
    (numbers, part): (&[u32], &Part),
    names: &[String],
) -> Result<Vec<(&'static str, String)>, String> {
    let scaling = match trained.scalings.len() {
        1 => "Normalisation::Same(NORMALISATION[0])",
        _ => "Normalisation::PerChannel(&NORMALISATION)",
    };
    let saying = match (trained.task.predicted, trained.target_scalings.len()) {
        (Predicted::Classes, _) if !trained.names.is_empty() => {
            "let said = network::CLASSES[secant::argmax(&outputs)];\n        \
             println!(\"sample {number}: {said} (the data says {truth})\");"
        }
        (Predicted::Classes, _) => {
            "let said = secant::argmax(&outputs);\n        \
             println!(\"sample {number}: class {said} (the data says {truth})\");"
        }
        (Predicted::Numbers, 0) => {
            "println!(\"sample {number}: {outputs:?} (the data says {truth})\");"
        }
        (Predicted::Numbers, _) => {
            "for (output, map) in outputs.iter_mut().zip(&network::NUMBERS) {\n            \
             *output = (*output - map.offset) / map.scale;\n        }\n        \
             println!(\"sample {number}: {outputs:?} (the data says {truth})\");"
        }
    };
    let (kind, rust_type) = match &part.elements {
        Elements::U8(_) => ("U8", "u8"),
        Elements::I8(_) => ("I8", "i8"),
        Elements::I16(_) => ("I16", "i16"),
        Elements::F32(_) => ("F32", "f32"),
    };
    let main = MAIN
        .replace("KIND", kind)
        .replace("SCALING", scaling)
        .replace("SAYING", saying);
    Ok(vec![
        (
            "Cargo.toml",
            MANIFEST.replace("VERSION", env!("CARGO_PKG_VERSION")),
        ),
        (".cargo/config.toml", CONFIG.to_owned()),
        ("build.rs", BUILD.to_owned()),
        ("memory.x", MEMORY.to_owned()),
        ("src/main.rs", main),
        ("src/network.rs", allowed(&rust::source(trained)?)),
        ("src/samples.rs", samples((numbers, part), names, rust_type)),
    ])
}

/// The source with no warning for what the program does not use, such as the map of numbers.
fn allowed(source: &str) -> String {
    source.replacen("\n\nuse ", "\n#![allow(dead_code)]\n\nuse ", 1)
}

/// Elements and what the data says of them.
fn samples((numbers, part): (&[u32], &Part), names: &[String], kind: &str) -> String {
    let elements: Vec<String> = match &part.elements {
        Elements::U8(values) => values.iter().map(u8::to_string).collect(),
        Elements::I8(values) => values.iter().map(i8::to_string).collect(),
        Elements::I16(values) => values.iter().map(i16::to_string).collect(),
        Elements::F32(values) => values.iter().map(|x| format!("{x:?}")).collect(),
    };
    let truths: Vec<String> = match &part.targets {
        Targets::Classes(labels) => labels
            .iter()
            .map(|label| names[usize::from(*label)].clone())
            .collect(),
        Targets::Values { values, width } => values
            .chunks_exact(*width)
            .map(|row| {
                let row: Vec<_> = row.iter().take(4).map(|x| number(f64::from(*x))).collect();
                row.join(", ")
            })
            .collect(),
    };
    let rows: Vec<String> = elements
        .chunks(16)
        .map(|row| format!("    {},\n", row.join(", ")))
        .collect();
    let truths = numbers.iter().zip(&truths);
    let truths: Vec<String> = truths.map(|pair| format!("    {pair:?},\n")).collect();
    format!(
        "//! Test samples of the data. Written by 'secant export'.\n\n\
         /// Elements as the files have them, sample by sample.\n\
         #[rustfmt::skip]\n\
         pub static SAMPLES: [{kind}; {}] = [\n{}];\n\n\
         /// The number of each in the data's test part, and what the data says of it.\n\
         #[rustfmt::skip]\n\
         pub const TRUTHS: [(u32, &str); {}] = [\n{}];\n",
        elements.len(),
        rows.concat(),
        truths.len(),
        truths.concat()
    )
}
