//! Networks of other programs: what comes in is what went out, and what is wrong is named.

use std::fs;
use std::path::Path;
use std::process::Output;

use safetensors::tensor::{Dtype, TensorView};
use secant::network::Shape;
use secant::{Affine, Batch};
use secant_harness::data::dataset::{Part, Predicted, Task};
use secant_harness::data::elements::{Elements, Targets};
use secant_harness::formats::onnx;
use secant_harness::import;
use secant_harness::model::{Description, Model};
use secant_harness::trained::Trained;

#[path = "../data/networks.rs"]
mod exported_networks;

use exported_networks::{expected, networks, samples, trained};
use secant_tests::program::command;
use serde_json::Value;
use tempfile::TempDir;

/// Every layer goes out as ONNX and comes back with the same bits.
#[test]
fn onnx_comes_back() {
    for network in networks() {
        let bytes = onnx::bytes(&network).unwrap();
        let spec = &network.model.spec;
        let read =
            import::onnx::read(&bytes, None, None).unwrap_or_else(|why| panic!("{spec}: {why}"));
        let words = spec.split(' ').filter(|word| !word.starts_with("dropout"));
        let words: Vec<_> = words
            .map(|word| word.replace("layernorm", "groupnorm1"))
            .collect();
        let same = |a: &str, b: &str| secant_harness::model::same_layers(a, b);
        assert!(
            same(&read.model.spec, &words.join(" ")),
            "{}",
            read.model.spec
        );
        assert_eq!(read.parameters, network.parameters, "{spec}");
        assert_eq!(read.scalings.as_ref(), Some(&network.scalings), "{spec}");
        assert_eq!(read.target_scalings, network.target_scalings, "{spec}");
        assert_eq!(read.task, network.task, "{spec}");
        let part = samples(network.task.input, 3);
        let wanted = expected(&network, &part);
        let again = Trained {
            model: read.model,
            parameters: read.parameters,
            ..network
        };
        assert_eq!(expected(&again, &part), wanted);
    }
}

/// Networks that PyTorch exports itself, with its logits of the same samples beside them:
/// `tests/peers/torch_exports.py` has made the files.
#[test]
fn torch_exports_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/torch");
    for (name, shape, spec) in [
        ("view-older-open", Shape::new(1, 12, 12), MAPS),
        ("view-newer-open", Shape::new(1, 12, 12), MAPS),
        (
            "signal-newer",
            Shape::signal(3, 40),
            "conv8k1x5s1x1p0x2 relu pool1x2 conv8k1x3 relu globalavgpool linear4",
        ),
    ] {
        let bytes = fs::read(folder.join(format!("{name}.onnx"))).unwrap();
        let read = import::onnx::read(&bytes, None, Some(&folder));
        let read = read.unwrap_or_else(|why| panic!("{name}: {why}"));
        let same = secant_harness::model::same_layers(&read.model.spec, spec);
        assert!(same, "{name}: {}", read.model.spec);
        assert_eq!(read.task.input, shape);
        let (network, outputs) = (read.model.network, read.task.outputs);
        let count = SAMPLES * shape.len();
        let values = (0..count).map(|i| ((i * 37 % 128) as f32 - 64.0) / 64.0);
        let values: Vec<f32> = values.collect();
        let all: Vec<u32> = (0..SAMPLES as u32).collect();
        let mut found = vec![0.0; SAMPLES * outputs];
        let mut workspace = vec![0.0; network.inference_workspace_len(1)];
        let part = Part {
            elements: Elements::F32(values),
            targets: Targets::Classes(vec![0; SAMPLES]),
        };
        let samples = part.samples(&[Affine::NONE]);
        network
            .predict::<1>(
                &read.parameters,
                Batch::new(samples, &all),
                &mut found,
                &mut workspace,
            )
            .unwrap();
        let text = fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap();
        let wanted: Vec<f32> = text.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(found.len(), wanted.len());
        let largest = wanted.iter().fold(1.0, |most: f32, x| most.max(x.abs()));
        for (found, wanted) in found.iter().zip(&wanted) {
            let difference = (found - wanted).abs();
            assert!(
                difference <= 1e-5 * largest,
                "{name}: {found}, PyTorch {wanted}"
            );
        }
        // Without the file that has some of its weights, that is told.
        let apart = folder.join(format!("{name}.onnx.data")).exists();
        let alone = import::onnx::read(&bytes, None, None);
        assert_eq!(alone.is_err(), apart, "{name}");
        if let Err(why) = alone {
            assert!(why.contains(&format!("{name}.onnx.data")), "{why}");
        }
    }
}

const SAMPLES: usize = 10;
const MAPS: &str = "conv4k3p1 groupnorm2 relu depthwise3 leakyrelu0.1 avgpool2 linear6 tanh \
                    groupnorm1 linear3";

/// What is no chain of layers, or is cut off or changed at any byte, is refused without a panic.
#[test]
fn damaged_onnx_is_refused() {
    let network = trained(
        "conv2k3 relu pool2 linear3",
        Shape::new(1, 6, 6),
        3,
        Predicted::Classes,
    );
    let bytes = onnx::bytes(&network).unwrap();
    let mut refused = 0;
    for cut in 0..bytes.len() {
        refused += usize::from(import::onnx::read(&bytes[..cut], None, None).is_err());
        let mut changed = bytes.clone();
        changed[cut] ^= 1 << (cut % 8);
        let _ = import::onnx::read(&changed, None, None);
    }
    assert!(refused + 2 > bytes.len(), "{refused} of {}", bytes.len());
}

const SPEC: &str = "conv2k3 relu pool2 conv3k2 tanh linear4";

fn model() -> (Model, Task) {
    let description: Description = SPEC.parse().unwrap();
    let task = Task {
        input: Shape::new(1, 8, 8),
        outputs: 4,
        predicted: Predicted::Classes,
    };
    (description.fit(task).unwrap(), task)
}

/// A tensor of the file: name, shape, first value; the others follow in steps of 1/64.
type Named<'a> = (&'a str, &'a [usize], f32);

const GOOD: [Named<'_>; 6] = [
    ("features.0.weight", &[2, 1, 3, 3], 0.0),
    ("features.0.bias", &[2], 1.0),
    ("features.10.weight", &[3, 2, 2, 2], 2.0),
    ("features.10.bias", &[3], 3.0),
    ("head.weight", &[4, 12], -4.0),
    ("head.bias", &[4], 5.0),
];

fn values(shape: &[usize], first: f32) -> Vec<f32> {
    let count: usize = shape.iter().product();
    (0..count).map(|i| first + i as f32 / 64.0).collect()
}

fn file(tensors: &[Named<'_>], dtype: Dtype, about: Option<&str>) -> Vec<u8> {
    let bytes = |value: f32| match dtype {
        Dtype::F64 => f64::from(value).to_le_bytes().to_vec(),
        Dtype::BF16 => value.to_le_bytes()[2..].to_vec(),
        // Normal numbers with ten bits.
        Dtype::F16 if value == 0.0 => vec![0, 0],
        Dtype::F16 => {
            let bits = value.to_bits();
            let half = (bits >> 16 & 0x8000) | ((bits >> 13 & 0x3ffff) - (112 << 10));
            (half as u16).to_le_bytes().to_vec()
        }
        _ => value.to_le_bytes().to_vec(),
    };
    let data: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, shape, first)| values(shape, *first).into_iter().flat_map(bytes).collect())
        .collect();
    let views = tensors.iter().zip(&data).map(|((name, shape, _), data)| {
        (
            name.to_string(),
            TensorView::new(dtype, shape.to_vec(), data).unwrap(),
        )
    });
    let about = about.map(|text| [("secant".to_owned(), text.to_owned())].into());
    safetensors::serialize(views, about).unwrap()
}

#[test]
fn tensors_of_every_width_find_their_layers() {
    let wanted: Vec<f32> = GOOD
        .iter()
        .flat_map(|(_, s, first)| values(s, *first))
        .collect();
    for dtype in [Dtype::F32, Dtype::F64, Dtype::F16, Dtype::BF16] {
        let read = import::safetensors::read(&file(&GOOD, dtype, None), model(), &[]).unwrap();
        match dtype {
            // Seven bits behind the first.
            Dtype::BF16 => {
                for (found, wanted) in read.parameters.iter().zip(&wanted) {
                    assert!((found - wanted).abs() <= wanted.abs() / 128.0);
                }
            }
            _ => assert_eq!(read.parameters, wanted, "{dtype:?}"),
        }
    }
    // Signals have kernels of one dimension, and biases may be missing.
    let description: Description = "conv1d2k3 linear1".parse().unwrap();
    let task = Task {
        input: Shape::signal(1, 4),
        outputs: 1,
        predicted: Predicted::Classes,
    };
    let model = description.fit(task).unwrap();
    let tensors: [Named<'_>; 3] = [
        ("c.weight", &[2, 1, 3], 1.0),
        ("l.weight", &[1, 4], 2.0),
        ("l.bias", &[1], 3.0),
    ];
    let bytes = file(&tensors, Dtype::F32, None);
    let read = import::safetensors::read(&bytes, (model, task), &[]).unwrap();
    assert_eq!(read.parameters[6..8], [0.0, 0.0]);
    assert!(read.notes[0].contains("no c.bias"), "{:?}", read.notes);
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let change = |i: usize, name, shape| {
        let mut tensors = GOOD.to_vec();
        tensors[i] = (name, shape, 0.0);
        file(&tensors, Dtype::F32, None)
    };
    let good = file(&GOOD, Dtype::F32, None);
    let other = |spec: &str| {
        let about =
            format!("{{\"model\": \"{spec}\", \"input\": {{\"offset\": 0, \"scale\": 1}}}}");
        file(&GOOD, Dtype::F32, Some(&about))
    };
    /// A file, the names it is asked to have, and what is said of it.
    type Case = (Vec<u8>, &'static [(usize, &'static str)], &'static str);
    let mut cases: Vec<Case> = vec![
        (
            change(2, "features.10.weight", &[3, 2, 3, 3]),
            &[],
            "tensor features.10.weight: expected 3 x 2 x 2 x 2 for layer 3 (conv3k2), found 3 x 2 x 3 x 3",
        ),
        (
            change(3, "features.10.bias", &[2]),
            &[],
            "tensor features.10.bias: expected 3 numbers for layer 3 (conv3k2), found 2",
        ),
        (
            change(3, "features.9.bias", &[3]),
            &[],
            "features.9.bias has no features.9.weight",
        ),
        (
            change(3, "features.10.running_mean", &[3]),
            &[],
            "features.10.running_mean: expected",
        ),
        (
            file(&GOOD[..4], Dtype::F32, None),
            &[],
            "expected weights for 3 layers",
        ),
        (file(&GOOD, Dtype::I32, None), &[], "found I32"),
        (good[1..].to_vec(), &[], "not a file of safetensors"),
        (Vec::new(), &[], "not a file of safetensors"),
        (
            good.clone(),
            &[(1, "head")],
            "--map 1=head: the layers with weights are 0, 3, 5",
        ),
        (
            good.clone(),
            &[(5, "tail")],
            "--map 5=tail: the file has no tail.weight",
        ),
        (
            good.clone(),
            &[(3, "head")],
            "tensor head.weight: expected 3 x 2 x 2 x 2",
        ),
        // The same shapes, another function: 77.7 % became 41.3 %.
        (
            other("conv2k3 tanh pool2 conv3k2 tanh linear4"),
            &[],
            "holds the weights of 'conv2k3 tanh pool2 conv3k2 tanh linear4'",
        ),
    ];
    let mut tensors = GOOD.to_vec();
    tensors[5].2 = f32::INFINITY;
    let bytes = file(&tensors, Dtype::F32, None);
    cases.push((bytes, &[], "tensor head.bias holds inf as its element 0"));
    for (bytes, map, why) in cases {
        let map: Vec<_> = map
            .iter()
            .map(|(i, name)| (*i, (*name).to_owned()))
            .collect();
        let said = import::safetensors::read(&bytes, model(), &map).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
    assert!(import::safetensors::read(&other(SPEC), model(), &[]).is_ok());
}

/// Names that say no order are not guessed at.
#[test]
fn equal_shapes_want_a_map() {
    let description: Description = "linear4 relu linear4".parse().unwrap();
    let task = Task {
        input: Shape::new(1, 1, 4),
        outputs: 4,
        predicted: Predicted::Classes,
    };
    let model = || (description.fit(task).unwrap(), task);
    let named = |first, second| {
        let tensors: [Named<'_>; 2] = [(first, &[4, 4], 0.0), (second, &[4, 4], 1.0)];
        file(&tensors, Dtype::F32, None)
    };
    let read = |bytes: &[u8], map: &[(usize, String)]| {
        import::safetensors::read(bytes, model(), map).map(|read| read.parameters[0])
    };
    assert_eq!(read(&named("fc2.weight", "fc10.weight"), &[]), Ok(0.0));
    assert_eq!(read(&named("fc10.weight", "fc2.weight"), &[]), Ok(1.0));
    let said = read(&named("encoder.weight", "decoder.weight"), &[]).unwrap_err();
    assert!(said.contains("--map 0=decoder"), "{said}");
    let map = [(0, "encoder".to_owned())];
    assert_eq!(
        read(&named("encoder.weight", "decoder.weight"), &map),
        Ok(0.0)
    );
}

fn secant(folder: &Path, words: &str) -> Output {
    let words = words.split_whitespace();
    let output = command(env!("CARGO_BIN_EXE_secant-under-test"), folder, words).output();
    output.unwrap()
}

fn succeeds(folder: &Path, words: &str) -> String {
    let output = secant(folder, words);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// A run goes out and comes in again, and says the same to the bit; then it is trained further.
#[test]
fn a_run_comes_back_through_the_program() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    let quick = "--data synthetic --limit 500 --epochs 1 --model conv2k5s3,relu,linear10";
    succeeds(at, &format!("train {quick} --out run"));
    succeeds(at, "export run --format onnx --out net.onnx");
    succeeds(at, "import net.onnx --out from-onnx --data synthetic");
    let model = "--model conv2k5s3,relu,linear10";
    succeeds(
        at,
        &format!("import run/model.safetensors --out from-tensors {model} --data synthetic"),
    );
    let outputs = |run: &str| {
        let text = succeeds(at, &format!("predict {run} --index 3 --json"));
        let record: Value = serde_json::from_str(&text).unwrap();
        record["outputs"].clone()
    };
    assert_eq!(outputs("from-onnx"), outputs("run"));
    assert_eq!(outputs("from-tensors"), outputs("run"));
    let weights = fs::read(at.join("run/weights.bin")).unwrap();
    assert_eq!(fs::read(at.join("from-onnx/weights.bin")).unwrap(), weights);
    succeeds(
        at,
        &format!("train {quick} --weights from-onnx/model.safetensors --freeze 2 --out further"),
    );
    // Without data it knows no classes, and says so where it needs them.
    succeeds(at, "import net.onnx --out bare");
    let refused = |words: &str, why: &str| {
        let output = secant(at, words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words}: {said}");
        assert!(said.contains(why), "{words}: {said}");
    };
    refused("evaluate bare", "imported without data");
    succeeds(at, "evaluate bare --data synthetic");
    refused("import net.onnx --out bare", "already holds a run");
    refused("import nowhere.onnx --out other", "cannot be opened");
    refused("import net.onnx --out other --model micro", "leave --model");
    refused("import net.onnx --out other --shape 1x5x5", "784 values");
    refused("import run/model.safetensors --out other", "--model");
    refused(
        &format!("import run/config.json --out other {model}"),
        "--data or --shape",
    );
    refused(
        "import run/model.safetensors --out other --model conv2k5s3,tanh,linear10 --data synthetic",
        "holds the weights of 'conv2k5s3 relu linear10'",
    );
    refused(
        "import net.onnx --out other --mean 1,2 --data synthetic",
        "--mean",
    );
    refused(
        "import net.onnx --out other --deviation 0 --data synthetic",
        "--deviation",
    );
    assert!(!at.join("other").exists(), "nothing is written");
}
