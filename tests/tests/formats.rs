//! Exported networks, run by others: C by a compiler of this machine, Rust by this very program,
//! ONNX by onnxruntime where Python has it. C and Rust give the bits that a device computes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use secant::network::Shape;
use secant::{Affine, Batch, Normalisation, Random, Samples, Values};
use secant_harness::data::dataset::{Part, Predicted};
use secant_harness::data::elements::{Elements, Targets};
use secant_harness::formats::{c, npz, onnx, rust};
use secant_harness::trained::Trained;

#[path = "../data/exported.rs"]
mod exported;
#[path = "../data/networks.rs"]
mod exported_networks;

use exported_networks::{expected, networks, samples, trained};

/// Samples that each network is asked about.
const SAMPLES: usize = 5;

fn bits(outputs: &[f32]) -> Vec<u32> {
    outputs.iter().map(|output| output.to_bits()).collect()
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

/// Compiles the network as C, and asks it about every sample of a part.
fn outputs_of_c(trained: &Trained, part: &Part, folder: &Path) -> Vec<u32> {
    let spec = &trained.model.spec;
    let (header, source) = c::sources(trained, "net").unwrap();
    fs::write(folder.join("net.h"), header).unwrap();
    fs::write(folder.join("net.c"), source).unwrap();
    let main = "#include \"net.h\"\n#include <stdio.h>\n\
                int main(void)\n{\n    static float x[NET_INPUTS], y[NET_OUTPUTS];\n    \
                while (fread(x, sizeof x, 1, stdin) == 1) {\n        net_predict(x, y);\n        \
                fwrite(y, sizeof y, 1, stdout);\n    }\n    return 0;\n}\n";
    fs::write(folder.join("main.c"), main).unwrap();
    let compiled = Command::new("cc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
        .args(["-O2", "-o", "net", "main.c", "net.c", "-lm"])
        .current_dir(folder)
        .output()
        .expect("a C compiler, which Rust's linker is as well");
    let said = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{spec}: {said}");
    fs::write(folder.join("input"), floats_of(part)).unwrap();
    let ran = Command::new(folder.join("net"))
        .stdin(fs::File::open(folder.join("input")).unwrap())
        .output()
        .unwrap();
    let floats = ran.stdout.as_chunks::<4>().0;
    floats
        .iter()
        .map(|four| u32::from_le_bytes(*four))
        .collect()
}

#[test]
fn c_computes_the_bits_of_a_device() {
    let folder = folder("c");
    for trained in networks() {
        let part = samples(trained.task.input, 40);
        let found = outputs_of_c(&trained, &part, &folder);
        let spec = &trained.model.spec;
        assert_eq!(found, bits(&expected(&trained, &part)), "{spec}");
    }
    fs::remove_dir_all(folder).unwrap();
}

/// The functions that C's library would round otherwise, on floats of every size.
#[test]
fn c_has_the_bits_of_the_elementary_functions() {
    const COUNT: usize = 4_000;
    let folder = folder("c-functions");
    let mut random = Random::new(11, 0);
    let mut floats = vec![
        0.0,
        -0.0,
        0.625,
        -0.625,
        9.02,
        104.0,
        -104.0,
        1e-40,
        f32::MAX,
    ];
    while floats.len() < 10 * COUNT {
        // Of every exponent, and among those where something happens.
        let any = f32::from_bits(random.next_u32());
        let near = 40.0 * (random.uniform() - 0.5);
        floats.extend([any, near].into_iter().filter(|x| x.is_finite()));
    }
    floats.truncate(10 * COUNT);
    let part = Part {
        elements: Elements::F32(floats),
        targets: Targets::Classes(vec![0; 10]),
    };
    for spec in ["tanh", "sigmoid"] {
        let mut trained = trained(spec, Shape::new(1, 1, COUNT), COUNT, Predicted::Numbers);
        assert_eq!(trained.model.spec, spec);
        trained.scalings = vec![Affine::NONE];
        trained.target_scalings.clear();
        let found = outputs_of_c(&trained, &part, &folder);
        assert_eq!(found.len(), 10 * COUNT);
        for (i, wanted) in expected(&trained, &part).iter().enumerate() {
            assert_eq!(
                f32::from_bits(found[i]).to_bits(),
                wanted.to_bits(),
                "{spec} {i}"
            );
        }
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

    let part = samples(trained.task.input, SAMPLES);
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
    for trained in networks() {
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
    for trained in networks() {
        let spec = &trained.model.spec;
        let part = samples(trained.task.input, SAMPLES);
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
