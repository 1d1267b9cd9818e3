//! Runs the scenario on the host and prints the lines that every device must print.

use secant_firmware::{Console, scenario};

fn main() {
    scenario::run(&mut Box::default(), &mut Console);
}
