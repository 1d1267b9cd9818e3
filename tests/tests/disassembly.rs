//! What the compiler has made of the kernels for AVX-512 and AVX2, whether this machine has them or
//! not. A closure around an intrinsic is not compiled with the instruction set of the function that
//! it stands in, and may stay a call: once it made the linear layers run at a sixth of the peak.

#![cfg(target_arch = "x86_64")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use secant::network::Convolution;
use secant::network::presets::SEED;
use secant::{Batch, Normalisation, Samples};

/// What is looked for in the functions of an instruction set.
#[derive(Default)]
struct Found {
    /// Functions with a fused multiply-add of whole vectors.
    kernels: usize,
    /// These multiply-adds.
    multiply_adds: usize,
    /// Calls of closures.
    closures: Vec<String>,
}

impl Found {
    /// Takes a function's lines, its header excepted.
    fn add(&mut self, lines: &[String], vectors: &str) {
        let fused = |line: &&String| line.contains("vfmadd") && line.contains(vectors);
        let multiply_adds = lines.iter().filter(fused).count();
        self.kernels += usize::from(multiply_adds > 0);
        self.multiply_adds += multiply_adds;
        let closure = |line: &&String| line.contains("call ") && line.contains("closure");
        self.closures.extend(lines.iter().filter(closure).cloned());
    }
}

#[test]
fn no_kernel_calls_a_closure() {
    // So that all kernels of blocks are in this program.
    for algorithm in [Convolution::Direct, Convolution::Winograd] {
        let network = SEED.with_convolution(algorithm);
        let samples = Samples::bytes(&[7; 784], &[3], Normalisation::NONE);
        let parameters = vec![0.01; network.parameter_count()];
        let mut gradient = vec![0.0; parameters.len()];
        let mut workspace = vec![0.0; network.workspace_len(16)];
        network
            .accumulate_gradient::<16>(
                &parameters,
                Batch::new(samples, &[0]),
                &mut gradient,
                &mut workspace,
            )
            .unwrap();
    }

    let program = std::env::current_exe().unwrap();
    let mut objdump = match Command::new("objdump")
        .args(["--disassemble", "--no-show-raw-insn", "--demangle"])
        .arg(program)
        .stdout(Stdio::piped())
        .spawn()
    {
        Ok(objdump) => objdump,
        Err(error) => {
            println!("SKIPPED: objdump (binutils) cannot be run: {error}");
            return;
        }
    };
    let sets = [("Avx512", "run_avx512", "zmm"), ("Avx2", "run_avx2", "ymm")];
    let mut found: [Found; 2] = Default::default();
    let (mut name, mut lines) = (String::new(), Vec::new());
    let text = BufReader::new(objdump.stdout.take().unwrap());
    for line in text.split(b'\n') {
        let line = String::from_utf8_lossy(&line.unwrap()).into_owned();
        if line.ends_with(">:") {
            for (found, (token, entry, vectors)) in found.iter_mut().zip(sets) {
                if name.contains(token) || name.contains(entry) {
                    found.add(&lines, vectors);
                }
            }
            (name, lines) = (line, Vec::new());
        } else {
            lines.push(line);
        }
    }
    assert!(objdump.wait().unwrap().success());
    for (found, (token, ..)) in found.iter().zip(sets) {
        println!(
            "{token}: {} multiply-adds in {} functions",
            found.multiply_adds, found.kernels
        );
        // Register blocks of several sizes for each kind of kernel: they were looked at.
        assert!(found.kernels >= 10, "{token}: {} kernels", found.kernels);
        assert!(
            found.multiply_adds >= 400,
            "{token}: {}",
            found.multiply_adds
        );
        assert!(found.closures.is_empty(), "{token}: {:?}", found.closures);
    }
}
