//! The command-line program `secant`.

use std::process::ExitCode;

fn main() -> ExitCode {
    secant_harness::cli::main()
}
