//! Text that a test prints, kept in the repository so that a change is read in review.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// A folder of kept files. The package with the tests of the library alone (`tests/library`) has
/// those of the package above it.
pub fn folder(name: &str) -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = package.join("src").is_dir();
    package.join(if own { "." } else { ".." }).join(name)
}

/// Compares `text` with the file of that name in `tests/snapshots`. With
/// `SECANT_UPDATE_SNAPSHOTS=1`, writes it instead.
///
/// # Panics
/// When they differ, with both of the first lines that do.
pub fn check(name: &str, text: &str) {
    let path = folder("snapshots").join(name);
    println!("{text}");
    if env::var_os("SECANT_UPDATE_SNAPSHOTS").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder of snapshots");
        fs::write(&path, text).expect("writing the snapshot");
        return;
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    for (line, (stored, found)) in stored.lines().zip(text.lines()).enumerate() {
        assert_eq!(
            stored,
            found,
            "{name}, line {}; SECANT_UPDATE_SNAPSHOTS=1 accepts it",
            line + 1
        );
    }
    assert_eq!(
        stored.lines().count(),
        text.lines().count(),
        "{name}: number of lines"
    );
}
