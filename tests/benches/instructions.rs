//! Instructions of a training step of `micro` with 16 images, counted by valgrind's callgrind: the
//! one measure of speed that is the same on a busy machine and on an idle one. Compared with the
//! table that a run before has written beside this file.
//!
//! ```text
//! cargo bench -p secant-tests --bench instructions                         # compare
//! SECANT_COUNTS=write cargo bench -p secant-tests --bench instructions     # write the table anew
//! ```
//!
//! A count is the difference between two runs, one a few steps longer, divided by those steps, so
//! starting and ending the program do not count. It is exact for one compiler and one instruction
//! set. More instructions than [`TOLERANCE`] allows fail; with another compiler or processor than
//! the table's, differences are shown and nothing fails. Instructions are not cycles: a count says
//! that the work has changed, `secant bench` what that means.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use secant::arch::Isa;
use secant::network::presets::MICRO;
use secant::network::{Convolution, Init, Network};
use secant::optim::{Adam, AdamConfig, LayerLbfgs, LayerLbfgsConfig};
use secant::{Batch, DropoutKey, Normalisation, Random, Samples};

/// Share of the table's count by which a step may grow.
const TOLERANCE: f64 = 0.02;

/// Samples side by side.
const LANES: usize = 16;

/// Pairs of a layer.
const PAIRS: usize = 8;

/// What makes a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    /// No step: gradients alone.
    Gradient,
    Adam,
    /// The layer-wise L-BFGS between two refreshes.
    LayerLbfgs,
}

/// A line of the table.
struct Case {
    name: &'static str,
    method: Method,
    convolution: Convolution,
    /// Steps of the shorter run, after which an ordinary step follows.
    warm_up: usize,
    /// Further steps of the longer run.
    steps: usize,
}

const CASES: [Case; 4] = [
    Case {
        name: "gradient",
        method: Method::Gradient,
        convolution: Convolution::Direct,
        warm_up: 1,
        steps: 1,
    },
    Case {
        name: "gradient by Winograd",
        method: Method::Gradient,
        convolution: Convolution::Winograd,
        warm_up: 1,
        steps: 1,
    },
    Case {
        name: "adam",
        method: Method::Adam,
        convolution: Convolution::Direct,
        warm_up: 1,
        steps: 1,
    },
    Case {
        name: "layer-wise l-bfgs",
        method: Method::LayerLbfgs,
        convolution: Convolution::Direct,
        warm_up: 2,
        steps: 1,
    },
];

const ISAS: [Isa; 2] = [Isa::Baseline, Isa::Avx2];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [flag, case, isa, steps] if flag == "--run" => run(case, isa, steps),
        // Cargo passes `--bench`; `cargo test --all-targets` passes nothing, and must not wait for
        // valgrind.
        other if other.iter().any(|word| word == "--bench") => compare(),
        _ => Ok(()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("instructions: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The counted program: some steps of a case.
fn run(case: &str, isa: &str, steps: &str) -> Result<(), String> {
    let case = CASES
        .iter()
        .find(|c| c.name == case)
        .ok_or("there is no such case")?;
    let isa = Isa::from_name(isa).ok_or("there is no such instruction set")?;
    Isa::force(isa).map_err(|error| error.to_string())?;
    let steps = steps
        .parse()
        .map_err(|_| "the number of steps is not one")?;
    train(&MICRO.with_convolution(case.convolution), case, steps)
}

fn train<const N: usize>(network: &Network<N>, case: &Case, steps: usize) -> Result<(), String> {
    let mut random = Random::new(7, 0);
    let pixels: Vec<u8> = (0..LANES * network.input().len())
        .map(|_| random.below(256) as u8)
        .collect();
    let labels: Vec<u8> = (0..LANES).map(|i| (i % 10) as u8).collect();
    let indices: Vec<u32> = (0..LANES as u32).collect();
    let n = network.parameter_count();
    let (mut parameters, mut gradient) = (vec![0.0; n], vec![0.0; n]);
    network.initialise(Init::He, &mut random, &mut parameters);
    let config = LayerLbfgsConfig {
        refresh_first: 1,
        ..LayerLbfgsConfig::DEFAULT
    };
    let mut memory = vec![0.0; Adam::memory_len(n)];
    let mut adam = Adam::new(AdamConfig::DEFAULT, n, &mut memory).map_err(|e| e.to_string())?;
    let length = LayerLbfgs::<PAIRS>::memory_len(network, config.second_moment);
    let mut memory = vec![0.0; length];
    let layers = LayerLbfgs::<PAIRS>::new(config, network, &mut memory);
    let mut layers = layers.map_err(|error| error.to_string())?;
    let mut workspace = vec![0.0; LayerLbfgs::<PAIRS>::workspace_len(network, LANES)];
    for step in 0..steps {
        let batch = Batch::new(
            Samples::bytes(&pixels, &labels, Normalisation::standard(127.5, 76.5)),
            &indices,
        )
        .weight(1.0 / LANES as f32)
        .dropout(Some(DropoutKey {
            seed: 3,
            step: step as u32,
        }));
        gradient.fill(0.0);
        let tally = if case.method == Method::LayerLbfgs && layers.wants_inputs() {
            network.accumulate_gradient_observed::<LANES>(
                &parameters,
                batch,
                &mut gradient,
                &mut workspace,
                &mut |inputs, scratch| {
                    let _ = layers.observe(&inputs, scratch);
                },
            )
        } else {
            network.accumulate_gradient::<LANES>(&parameters, batch, &mut gradient, &mut workspace)
        };
        tally.map_err(|error| error.to_string())?;
        match case.method {
            Method::Gradient => Ok(()),
            Method::Adam => adam.step(1.0, &mut parameters, &gradient),
            Method::LayerLbfgs => layers.step(1.0, &mut parameters, &mut gradient).map(|_| ()),
        }
        .map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Instructions that `steps` steps of a case take, the program's start included.
fn count(case: &Case, isa: Isa, steps: usize) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--run", case.name, isa.name(), &steps.to_string()])
        .output()
        .map_err(|error| format!("valgrind cannot be started ({error}): install it, for example apt-get install valgrind"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text
        .lines()
        .find_map(|line| line.split("Collected :").nth(1)?.trim().parse().ok());
    match collected {
        Some(count) if output.status.success() => Ok(count),
        _ => Err(format!(
            "callgrind failed on {} with {}:\n{text}",
            case.name,
            isa.name()
        )),
    }
}

/// The compiler and the processor that it compiles for, as the table names them.
fn compiler() -> Result<String, String> {
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
        .arg("--version")
        .output();
    let output =
        output.map_err(|error| format!("rustc cannot be asked for its version: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split(' ').take(2).collect::<Vec<_>>().join(" ");
    Ok(format!("{version}, {}", std::env::consts::ARCH))
}

/// Counts every case and compares with the table, or writes it.
fn compare() -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt");
    let write = std::env::var_os("SECANT_COUNTS").is_some_and(|value| value == "write");
    let compiler = compiler()?;
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let same_compiler = old.lines().any(|line| line == format!("# {compiler}"));
    let mut table = format!(
        "# Instructions of a training step of micro with 16 images on one thread; see instructions.rs.\n\
         # To write anew: SECANT_COUNTS=write cargo bench -p secant-tests --bench instructions\n\
         # {compiler}\n"
    );
    let mut worse = Vec::new();
    for isa in ISAS {
        if !isa.is_available() {
            println!("{:<9}not on this machine: not compared", isa.name());
            continue;
        }
        for case in &CASES {
            let (short, long) = (
                count(case, isa, case.warm_up)?,
                count(case, isa, case.warm_up + case.steps)?,
            );
            let found = (long - short) / case.steps as u64;
            let key = format!("{:<9}{:<30}", isa.name(), case.name);
            let before: Option<u64> = old
                .lines()
                .find_map(|line| line.strip_prefix(&key)?.trim().parse().ok());
            let change = before.map(|before| found as f64 / before as f64 - 1.0);
            // Writing to a string never fails.
            let _ = writeln!(table, "{key}{found:>12}");
            let note = change.map_or("not in the table".into(), |change| {
                format!("{:+.2} %", 100.0 * change)
            });
            println!("{key}{found:>12}  {note}");
            if change.is_none_or(|change| change > TOLERANCE) {
                worse.push(format!("{} on {}", case.name, isa.name()));
            }
        }
    }
    if write {
        return std::fs::write(&path, table)
            .map_err(|error| format!("{}: {error}", path.display()));
    }
    if worse.is_empty() {
        return Ok(());
    }
    let message = format!(
        "more than {} % above the table: {}",
        100.0 * TOLERANCE,
        worse.join("; ")
    );
    if same_compiler {
        return Err(format!(
            "{message}. If that is meant, write the table anew and say why in docs/performance.md"
        ));
    }
    println!("{message}, but the table is not of {compiler}");
    Ok(())
}
