//! What a run's seconds, and its bits, come from: the machine, and the program itself.

use std::fs;
use std::io::{self, Read};
use std::sync::OnceLock;

use secant::arch::Isa;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::data::dataset::hex;
use crate::error::Error;

/// The machine that a run was made on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// Name of the processor, as the system tells it; else its architecture.
    pub cpu: String,
    /// Processors that the program may use.
    pub processors: usize,
    /// The operating system.
    pub os: &'static str,
    /// Instruction set of the kernels.
    pub isa: &'static str,
}

impl Machine {
    /// This one.
    pub fn this() -> Machine {
        let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processors = std::thread::available_parallelism();
        Machine {
            cpu: processor(&text)
                .unwrap_or(std::env::consts::ARCH)
                .to_owned(),
            processors: processors.map_or(1, usize::from),
            os: std::env::consts::OS,
            isa: Isa::current().name(),
        }
    }
}

/// The processor's name in Linux's `/proc/cpuinfo`; on machines without a name, its part number.
fn processor(cpuinfo: &str) -> Option<&str> {
    ["model name", "Model", "CPU part"].iter().find_map(|key| {
        cpuinfo.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == *key).then(|| value.trim())
        })
    })
}

/// SHA-256 of the running program: two builds of one version, with other code, features or
/// dependencies, differ in it. It is what "the same bits" rests on where results are kept.
///
/// # Errors
/// When the program's file cannot be read.
pub fn build() -> io::Result<&'static str> {
    static BUILD: OnceLock<String> = OnceLock::new();
    if let Some(build) = BUILD.get() {
        return Ok(build);
    }
    // Piece by piece: as a whole it would be a third of the memory that training takes.
    let mut program = fs::File::open(std::env::current_exe()?)?;
    let (mut hash, mut piece) = (Sha256::new(), [0; 1 << 14]);
    loop {
        match program.read(&mut piece)? {
            0 => break,
            length => hash.update(&piece[..length]),
        }
    }
    Ok(BUILD.get_or_init(|| hex(&hash.finalize())))
}

/// [`build`], for those that cannot do without it.
///
/// # Errors
/// [`Error::Run`] when the program's file cannot be read.
pub fn known_build() -> Result<&'static str, Error> {
    build().map_err(|error| Error::Run(format!("cannot read the program's own file: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_found_by_name() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel\t\t: 85\n";
        assert_eq!(processor(text), Some("Some CPU @ 2 GHz"));
        assert_eq!(
            processor("processor : 0\nCPU part\t: 0xd0c\n"),
            Some("0xd0c")
        );
        assert_eq!(processor(""), None);
    }

    #[test]
    fn a_build_has_one_digest() {
        let first = build().unwrap();
        assert_eq!((first.len(), first), (64, build().unwrap()));
    }
}
