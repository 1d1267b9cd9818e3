//! Ten steps of both optimisers against the golden table, to the bit, on every instruction set of this machine.
//!
//! Where a change is meant to change results, write the table anew and say so in the commit and the changelog:
//!
//! ```text
//! SECANT_GOLDEN=write cargo test --release -p secant-tests --test golden
//! ```

use secant::arch::Isa;
use secant::optim::{Adam, Lbfgs};
use secant::{Batch, Init, Network, Random, presets};
use secant_tests::contract_bits;
use secant_tests::golden::{self, HISTORY, IMAGES, Memory, PIXELS, SEED};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::Path;

const HEADER: &str = "\
# Golden values: what every target must compute, to the bit. The runs stand in tests/src/golden.rs.
# A sum is the SHA-256 of little-endian f32 (-0 counted as 0), a loss the bits of an f64.
# To write anew: SECANT_GOLDEN=write cargo test --release -p secant-tests --test golden
";

/// The SHA-256 of numbers.
#[derive(Default)]
struct Sum(Sha256);

impl Sum {
    fn add(&mut self, numbers: &[f32]) {
        for x in numbers {
            self.0.update(contract_bits(*x).to_le_bytes());
        }
    }

    fn of(numbers: &[f32]) -> String {
        let mut sum = Sum::default();
        sum.add(numbers);
        sum.hex()
    }

    fn hex(self) -> String {
        self.0
            .finalize()
            .iter()
            .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    }
}

/// The golden data.
struct Data {
    pixels: Box<[u8; IMAGES * PIXELS]>,
    labels: [u8; IMAGES],
}

/// Which optimiser.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Optimizer {
    Adam,
    Lbfgs,
}

/// One run as lines of the table.
fn run<const LANES: usize, const N: usize>(
    name: &str,
    network: &Network<N>,
    init: Init,
    optimizer: Optimizer,
    data: &Data,
) -> String {
    let samples = golden::samples(&data.pixels, &data.labels);
    let n = network.parameter_count();
    let length = match optimizer {
        Optimizer::Adam => Adam::memory_len(n),
        Optimizer::Lbfgs => Lbfgs::<HISTORY>::memory_len(n),
    };
    let [mut parameters, mut gradient, mut memory] =
        [n, n, length].map(|length| vec![f32::NAN; length]);
    let mut workspace = vec![f32::NAN; network.workspace_len(LANES)];
    let mut random = Random::new(SEED, 0);
    network.initialise(init, &mut random, &mut parameters);

    let mut text = format!(
        "\n{name} {optimizer:?} init={} lanes={LANES}\n",
        init.name()
    );
    let _ = writeln!(text, "initial {}", Sum::of(&parameters));
    let lent = Memory {
        parameters: &mut parameters,
        gradient: &mut gradient,
        memory: &mut memory,
        workspace: &mut workspace,
    };
    let mut losses = Vec::new();
    let mut state = Sum::default();
    match optimizer {
        Optimizer::Adam => {
            golden::adam::<LANES, N>(network, samples, lent, |loss| losses.push(loss));
            state.add(&memory);
        }
        Optimizer::Lbfgs => {
            golden::lbfgs::<LANES, N>(
                network,
                samples,
                lent,
                |loss| losses.push(loss),
                |x| state.add(x),
            );
        }
    }
    for (step, loss) in losses.iter().enumerate() {
        let _ = writeln!(text, "loss {step} {:016x} {loss:.6}", loss.to_bits());
    }
    let indices: Vec<u32> = (0..IMAGES as u32).collect();
    let batch = Batch {
        samples,
        indices: &indices,
        weight: 1.0,
        dropout: None,
    };
    let mut logits = vec![f32::NAN; IMAGES * network.output_len()];
    network
        .predict::<LANES>(&parameters, batch, &mut logits, &mut workspace)
        .expect("it fits");
    let _ = writeln!(text, "trained {}", Sum::of(&parameters));
    let _ = writeln!(text, "state {}", state.hex());
    let _ = writeln!(text, "logits {}", Sum::of(&logits));

    // A table of a run that learns nothing, or has gone to NaN, would be of little use.
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    assert!(
        last < first,
        "{name} {optimizer:?}: the loss went from {first} to {last}"
    );
    assert_eq!(losses.len(), golden::STEPS);
    text
}

/// Initial weights by every initialisation.
fn initial<const N: usize>(name: &str, network: &Network<N>) -> String {
    let mut text = format!(
        "\n{name} initial weights, {} parameters\n",
        network.parameter_count()
    );
    for init in Init::ALL {
        let mut parameters = vec![f32::NAN; network.parameter_count()];
        network.initialise(init, &mut Random::new(SEED, 0), &mut parameters);
        let _ = writeln!(text, "{} {}", init.name(), Sum::of(&parameters));
    }
    text
}

fn table() -> String {
    let mut data = Data {
        pixels: vec![0; IMAGES * PIXELS].try_into().expect("the length"),
        labels: [0; IMAGES],
    };
    golden::images(&mut data.pixels, &mut data.labels);
    let mut text = String::from(HEADER);
    let mut sha = Sha256::new();
    sha.update(&data.pixels[..]);
    sha.update(data.labels);
    let _ = writeln!(text, "\nimages {}", Sum(sha).hex());
    for part in [
        initial("micro", &presets::MICRO),
        initial("lenet", &presets::LENET),
        initial("seed", &presets::SEED),
        run::<1, 7>("micro", &presets::MICRO, Init::He, Optimizer::Adam, &data),
        run::<4, 7>("micro", &presets::MICRO, Init::He, Optimizer::Adam, &data),
        run::<16, 7>("micro", &presets::MICRO, Init::He, Optimizer::Adam, &data),
        run::<1, 7>("micro", &presets::MICRO, Init::He, Optimizer::Lbfgs, &data),
        run::<4, 7>("micro", &presets::MICRO, Init::He, Optimizer::Lbfgs, &data),
        run::<16, 7>("micro", &presets::MICRO, Init::He, Optimizer::Lbfgs, &data),
        run::<16, 11>(
            "lenet",
            &presets::LENET,
            Init::LeCun,
            Optimizer::Lbfgs,
            &data,
        ),
        run::<16, 19>(
            "seed",
            &presets::SEED,
            Init::PyTorch,
            Optimizer::Adam,
            &data,
        ),
    ] {
        text += &part;
    }
    text
}

#[test]
fn the_table_is_what_every_instruction_set_computes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/training.txt");
    let write = std::env::var_os("SECANT_GOLDEN").is_some_and(|value| value == "write");
    if write {
        std::fs::write(&path, table()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
    let golden =
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        Isa::force(isa).expect("it is available");
        let found = table();
        let mut block = "";
        for (golden, found) in golden.lines().zip(found.lines()) {
            if golden.contains("lanes=") {
                block = golden;
            }
            assert_eq!(
                golden,
                found,
                "{} ({block}): left the table, right what was computed",
                isa.name()
            );
        }
        assert_eq!(
            golden.lines().count(),
            found.lines().count(),
            "{}: number of lines",
            isa.name()
        );
    }
}
