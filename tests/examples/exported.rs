//! Writes networks as `secant export` does, and what a desktop computes of drawn samples with
//! `--lanes 1`, for the firmware that compares a device's bits with it: `exported FOLDER`.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use secant_harness::data::elements::Elements;
use secant_harness::formats::{c, rust};

#[path = "../data/networks.rs"]
mod networks;

use networks::{expected, networks, samples};

/// Samples that each network is asked about.
const SAMPLES: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: exported FOLDER")?;
    let folder = fs::canonicalize(Path::new(&folder))?;
    let (mut modules, mut calls, mut lines) = (String::new(), String::new(), String::new());
    for (i, trained) in networks().iter().enumerate() {
        let name = format!("net{i}");
        let path = folder.join(format!("{name}.rs"));
        fs::write(&path, rust::source(trained)?)?;
        let (header, source) = c::sources(trained, &name)?;
        fs::write(folder.join(format!("{name}.h")), header)?;
        fs::write(folder.join(format!("{name}.c")), source)?;

        let part = samples(trained.task.input, SAMPLES);
        let Elements::U8(bytes) = &part.elements else {
            return Err("the samples are bytes".into());
        };
        let (inputs, outputs) = (trained.task.input.len(), trained.task.outputs);
        let numbers = match trained.target_scalings.len() {
            0 => "&[]".to_owned(),
            _ => format!("&{name}::NUMBERS"),
        };
        write!(
            modules,
            "#[path = {path:?}]\n#[allow(dead_code, missing_docs)]\nmod {name};\n\
             unsafe extern \"C\" {{ fn {name}_predict(input: *const f32, outputs: *mut f32); }}\n"
        )?;
        writeln!(
            calls,
            "    ask::<_, {{ {name}::NETWORK.inference_workspace_len(1) }}, \
             {inputs}, {outputs}>(\"{name}\", &{name}::NETWORK, &{name}::WEIGHTS, \
             (&{name}::NORMALISATION, {numbers}), &{bytes:?}, {name}_predict);"
        )?;
        let expected = expected(trained, &part);
        for language in ["rust", "c"] {
            for (sample, values) in expected.chunks_exact(outputs).enumerate() {
                write!(lines, "{name} {language} {sample}")?;
                for value in values {
                    write!(lines, " {:08x}", value.to_bits())?;
                }
                lines.push('\n');
            }
        }
    }
    fs::write(
        folder.join("networks.rs"),
        format!("{modules}\nfn all() {{\n{calls}}}\n"),
    )?;
    fs::write(folder.join("expected"), lines)?;
    Ok(())
}
