//! Files of data and of weights.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use secant_harness::data::{idx as format, open, png as images};
use secant_harness::memory;
use secant_harness::model::Model;
use secant_harness::weights;

/// A folder of this process, in memory where the system has such a place; with what stands beside
/// the inputs.
fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        // What a file promises is not believed beyond this.
        memory::set_limit(16_000_000);
        let shared = PathBuf::from("/dev/shm");
        let at = if shared.is_dir() {
            shared
        } else {
            std::env::temp_dir()
        };
        let folder = at.join(format!("secant-fuzz-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        for (name, bytes) in BESIDE {
            let path = folder.join(name);
            let own = path.parent().expect("a folder");
            fs::create_dir_all(own).expect("a folder for the inputs");
            fs::write(&path, bytes).expect("room for the seeds");
        }
        folder
    })
}

/// Whole files that do not change: the labels of an array of samples, the image of another class.
const BESIDE: [(&str, &[u8]); 2] = [
    ("npy/y_train.npy", include_bytes!("../corpus/npy/labels")),
    ("png/b/0.png", include_bytes!("../corpus/png/grey")),
];

/// Writes the bytes to a file of this name.
pub(super) fn write(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder().join(name);
    if fs::write(&path, bytes).is_err() {
        // The first in a folder of its own.
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, bytes).expect("room for the input");
    }
    path
}

/// As data, if the file is one.
fn opens(name: &str, bytes: &[u8]) -> bool {
    let opened = open::open(&write(name, bytes), None);
    if let Err(error) = &opened {
        let said = error.to_string();
        assert!(!said.contains('\n'), "{said}");
    }
    opened.is_ok()
}

/// Plain and gzipped: as samples and as labels.
pub fn idx(bytes: &[u8]) -> bool {
    let path = write("file", bytes);
    let Ok(array) = format::read(&path) else {
        return false;
    };
    let samples = array.clone().into_samples(&path).is_ok();
    array.into_labels(&path).is_ok() || samples
}

/// Samples; their labels fit the seed's.
pub fn npy(bytes: &[u8]) -> bool {
    let path = write("npy/x_train.npy", bytes);
    path.parent()
        .is_some_and(|folder| open::open(folder, None).is_ok())
}

pub fn npz(bytes: &[u8]) -> bool {
    opens("archive.npz", bytes)
}

pub fn csv(bytes: &[u8]) -> bool {
    opens("table.csv", bytes)
}

pub fn ts(bytes: &[u8]) -> bool {
    opens("Set_TRAIN.ts", bytes)
}

/// The first image of a folder with two classes.
pub fn png(bytes: &[u8]) -> bool {
    let path = write("png/a/0.png", bytes);
    let folder = path.parent().and_then(|class| class.parent());
    let files = folder.and_then(images::find);
    files.is_some_and(|files| images::read_set(&files).is_ok())
}

/// Weights of a small network, some of its layers frozen. What is accepted is finite.
pub fn safetensors(bytes: &[u8]) -> bool {
    let path = write("model.safetensors", bytes);
    let mut model: Model = "pool7 conv2k3 relu linear10".parse().expect("a model");
    match weights::start(&path, 0, &mut model) {
        Ok(start) => {
            assert!(start.parameters.iter().all(|w| w.is_finite()));
            assert_eq!(start.parameters.len(), model.network.parameter_count());
            true
        }
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains("--weights") && !said.contains('\n'), "{said}");
            false
        }
    }
}
