//! The program under test.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// A command that runs `program` with `words` in `folder`, with nothing in its environment that
/// changes what it does, and nothing to read. (Only a test itself knows where its program is:
/// `env!("CARGO_BIN_EXE_secant-under-test")`.)
pub fn command(
    program: impl AsRef<OsStr>,
    folder: impl AsRef<Path>,
    words: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Command {
    let mut command = Command::new(program);
    command
        .args(words)
        .current_dir(folder)
        .env_remove("SECANT_DATA")
        .env_remove("SECANT_ISA")
        .stdin(Stdio::null());
    command
}

/// What a command says that must end with `status`, without a panic.
///
/// # Panics
/// Where it does not.
pub fn ends(output: &Output, status: i32) -> String {
    let said = String::from_utf8(output.stderr.clone()).expect("text");
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// The one line of a refusal of `words`.
///
/// # Panics
/// Where it is none, or more than a line.
pub fn refusal(output: &Output, words: &str) -> String {
    let said = ends(output, 2);
    assert_eq!(said.lines().count(), 1, "{words}: {said}");
    said
}

/// Sends a signal to a program, which may be gone already.
pub fn signal(child: &Child, name: &str) {
    let _ = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(child.id().to_string())
        .stderr(Stdio::null())
        .status();
}
