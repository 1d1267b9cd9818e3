//! Exported networks, run by others: C by a compiler of this machine, Rust by this very program,
//! ONNX by onnxruntime where Python has it. C and Rust give the bits that a device computes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use secant::network::{Init, Shape};
use secant::{Affine, Batch, Normalisation, Random, Samples, Values};
use secant_harness::data::dataset::{Part, Predicted, Task};
use secant_harness::data::elements::{Elements, Targets};
use secant_harness::data::predict::Predict;
use secant_harness::formats::{c, npz, onnx, rust};
use secant_harness::model::Description;
use secant_harness::trained::Trained;

#[path = "../data/exported.rs"]
mod exported;

/// Samples that each network is asked about.
const SAMPLES: usize = 5;

/// A network with drawn weights, and scalings that are no one's.
fn trained(spec: &str, input: Shape, outputs: usize, predicted: Predicted) -> Trained {
    let description: Description = spec.parse().unwrap();
    let task = Task {
        input,
        outputs,
        predicted,
    };
    let model = description.fit(task).unwrap();
    let mut parameters = vec![0.0; model.parameter_count()];
    let mut random = Random::new(9, 0);
    model
        .network
        .initialise(Init::PyTorch, &mut random, &mut parameters);
    // Biases and factors are not what initialisation leaves.
    for parameter in &mut parameters {
        *parameter += 0.1 * (random.uniform() - 0.5);
    }
    let map = |channel: usize| Affine::standard(90.0 + 10.0 * channel as f32, 70.0);
    Trained {
        folder: PathBuf::new(),
        model,
        parameters,
        scalings: (0..input.channels).map(map).collect(),
        target_scalings: match predicted {
            Predicted::Classes => Vec::new(),
            Predicted::Numbers => vec![Affine::standard(3.0, 2.0); outputs],
        },
        task,
        names: match predicted {
            Predicted::Classes => (0..outputs).map(|c| format!("class \"{c}\"")).collect(),
            Predicted::Numbers => Vec::new(),
        },
        source: String::new(),
        predict: Predict::Labels,
        limit: None,
        digest: String::new(),
        drawn: None,
    }
}

fn samples(input: Shape) -> Part {
    let mut random = Random::new(10, 0);
    let bytes = (0..SAMPLES * input.len()).map(|_| random.below(256) as u8);
    Part {
        elements: Elements::U8(bytes.collect()),
        targets: Targets::Classes(vec![0; SAMPLES]),
    }
}

/// Networks that hold every layer between them; with the C source or, for the last two, without.
fn networks() -> Vec<(Trained, bool)> {
    let classes = Predicted::Classes;
    let square = Shape::new(1, 12, 12);
    vec![
        (
            trained(
                "conv4k3 relu pool2 conv6k3p1 relu pool2 linear10",
                square,
                10,
                classes,
            ),
            true,
        ),
        (
            trained(
                "conv5k3s2p1 leakyrelu0.1 depthwise3p1 relu avgpool2 conv3k1 globalavgpool",
                Shape::new(3, 13, 10),
                3,
                classes,
            ),
            true,
        ),
        (
            trained(
                "conv1d6k5p2s2 relu pool1d3 linear20 dropout0.3 relu",
                Shape::new(2, 1, 40),
                4,
                classes,
            ),
            true,
        ),
        (
            trained("linear8 relu", Shape::new(1, 1, 7), 2, Predicted::Numbers),
            true,
        ),
        (
            trained(
                "conv6k3 groupnorm3 tanh pool3s2 linear9 layernorm sigmoid",
                square,
                4,
                classes,
            ),
            false,
        ),
    ]
}

fn bits(outputs: &[f32]) -> Vec<u32> {
    outputs.iter().map(|output| output.to_bits()).collect()
}

/// In the files' units where numbers are predicted, as all exported programs give them.
fn expected(trained: &Trained, part: &Part) -> Vec<f32> {
    let indices: Vec<u32> = (0..SAMPLES as u32).collect();
    let outputs = trained.outputs(part, &indices, true);
    let width = trained.task.outputs;
    let own = |(i, output): (usize, &f32)| match trained.target_scalings.get(i % width) {
        Some(map) => (output - map.offset) / map.scale,
        None => *output,
    };
    outputs.iter().enumerate().map(own).collect()
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("secant-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn floats_of(part: &Part) -> Vec<u8> {
    let floats = part.elements.to_floats();
    floats.iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[test]
fn c_computes_the_bits_of_a_device() {
    let folder = folder("c");
    let main = |inputs: usize, outputs: usize| {
        format!(
            "#include \"net.h\"\n#include <stdio.h>\n#include <string.h>\n\
             int main(void)\n{{\n    static float x[{inputs}], y[{outputs}];\n    \
             while (fread(x, sizeof x, 1, stdin) == 1) {{\n        net_predict(x, y);\n        \
             fwrite(y, sizeof y, 1, stdout);\n    }}\n    return 0;\n}}\n"
        )
    };
    for (trained, in_c) in networks() {
        let spec = &trained.model.spec;
        let sources = c::sources(&trained, "net");
        if !in_c {
            let why = sources.unwrap_err();
            assert!(why.contains("not written in C"), "{spec}: {why}");
            continue;
        }
        let (header, source) = sources.unwrap();
        fs::write(folder.join("net.h"), header).unwrap();
        fs::write(folder.join("net.c"), source).unwrap();
        let (inputs, outputs) = (trained.task.input.len(), trained.task.outputs);
        fs::write(folder.join("main.c"), main(inputs, outputs)).unwrap();
        let compiled = Command::new("cc")
            .args([
                "-std=c99",
                "-Wall",
                "-Wextra",
                "-Wpedantic",
                "-Werror",
                "-O2",
                "-o",
                "net",
            ])
            .args(["main.c", "net.c", "-lm"])
            .current_dir(&folder)
            .output()
            .expect("a C compiler, which Rust's linker is as well");
        let said = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{spec}: {said}");
        let part = samples(trained.task.input);
        fs::write(folder.join("input"), floats_of(&part)).unwrap();
        let ran = Command::new(folder.join("net"))
            .stdin(fs::File::open(folder.join("input")).unwrap())
            .output()
            .unwrap();
        let found: Vec<u32> = ran
            .stdout
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| u32::from_le_bytes(*bytes))
            .collect();
        assert_eq!(found, bits(&expected(&trained, &part)), "{spec}");
    }
    fs::remove_dir_all(folder).unwrap();
}

/// The network in `tests/data/exported.rs`.
fn small() -> Trained {
    trained(
        "conv2k3 relu pool2 linear3",
        Shape::new(1, 6, 6),
        3,
        Predicted::Classes,
    )
}

/// `SECANT_GOLDEN=write` writes the file anew.
#[test]
fn rust_is_written_so_and_computes_the_bits_of_a_device() {
    let trained = small();
    let source = rust::source(&trained).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/exported.rs");
    if std::env::var("SECANT_GOLDEN").is_ok_and(|word| word == "write") {
        fs::write(&path, &source).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), source);

    let part = samples(trained.task.input);
    let Elements::U8(bytes) = &part.elements else {
        unreachable!("they were drawn as bytes");
    };
    let normalisation = Normalisation::PerChannel(&exported::NORMALISATION);
    let unlabelled = Samples::unlabelled(Values::U8(bytes), normalisation);
    let mut workspace = [0.0; exported::NETWORK.inference_workspace_len(1)];
    let mut outputs = [0.0; 3 * SAMPLES];
    let batch = Batch::new(unlabelled, &[0, 1, 2, 3, 4]);
    exported::NETWORK
        .predict::<1>(&exported::WEIGHTS, batch, &mut outputs, &mut workspace)
        .unwrap();
    assert_eq!(bits(&outputs), bits(&expected(&trained, &part)));
    assert_eq!(exported::CLASSES[1], trained.names[1]);
}

/// Every layer has its call.
#[test]
fn rust_has_all_layers() {
    for (trained, _) in networks() {
        let source = rust::source(&trained).unwrap();
        let calls = source.matches("network::").count();
        // And the import.
        assert!(calls > trained.model.network.layers().len(), "{source}");
    }
}

/// Logits of onnxruntime within 1e-5 of the largest.
#[test]
fn onnxruntime_computes_the_same() {
    let python = std::env::var("SECANT_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let there = Command::new(&python)
        .args(["-c", "import onnxruntime"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !there {
        println!("SKIPPED: {python} has no onnxruntime; SECANT_PYTHON names one that has");
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/onnx_outputs.py");
    let folder = folder("onnx");
    for (trained, _) in networks() {
        let spec = &trained.model.spec;
        let part = samples(trained.task.input);
        fs::write(folder.join("network.onnx"), onnx::bytes(&trained).unwrap()).unwrap();
        fs::write(folder.join("input"), floats_of(&part)).unwrap();
        let ran = Command::new(&python)
            .arg(&script)
            .args(["network.onnx", "input"])
            .current_dir(&folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{spec}: {said}");
        let expected = expected(&trained, &part);
        let text = String::from_utf8(ran.stdout).unwrap();
        let found: Vec<f32> = text.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(found.len(), expected.len(), "{spec}");
        let largest = expected.iter().fold(1.0_f32, |size, x| size.max(x.abs()));
        for (found, expected) in found.iter().zip(&expected) {
            let error = (found - expected).abs();
            assert!(error <= 1e-5 * largest, "{spec}: {found} {expected}");
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

/// Arrays of the archive lie as NumPy says: magic, header to a multiple of 64, floats.
#[test]
fn numpy_archives_have_every_weight() {
    let trained = small();
    let bytes = npz::bytes(&trained).unwrap();
    assert_eq!(bytes, npz::bytes(&trained).unwrap());
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut found = Vec::new();
    for name in ["0.weight.npy", "0.bias.npy", "3.weight.npy", "3.bias.npy"] {
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut archive.by_name(name).unwrap(), &mut content).unwrap();
        assert_eq!(&content[..8], b"\x93NUMPY\x01\x00");
        let length = 10 + usize::from(u16::from_le_bytes([content[8], content[9]]));
        assert!(length.is_multiple_of(64));
        let floats = content[length..].as_chunks::<4>().0;
        found.extend(floats.iter().map(|bytes| f32::from_le_bytes(*bytes)));
    }
    assert_eq!(found, trained.parameters);
}
