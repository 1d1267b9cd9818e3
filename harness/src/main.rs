//! The command-line program `secant`.

fn main() {}
