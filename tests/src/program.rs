//! The program under test.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

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
