//! The memory that training needs, before anything runs: `secant size`.
//!
//! Every figure is one of the library's constants, the same that firmware declares its statics with. A test of the firmware
//! compares them with the linker's map.

use std::io::Write;

use clap::{Args, ValueEnum};
use secant::optim::{Adam, Form, LayerLbfgs, Lbfgs};
use serde::Serialize;

use crate::error::Error;
use crate::model::Model;

/// What the stack of a training step takes, as measured on an emulated Cortex-M7 and rounded up.
const STACK: usize = 4_096;

/// Options of `secant size`.
#[derive(Debug, Args)]
#[command(args_override_self = true, after_long_help = HELP)]
pub struct SizeArgs {
    /// Network: micro, lenet, seed, or layers such as 'conv8k3 relu pool2 linear10'
    #[arg(long, value_name = "MODEL", default_value = "micro")]
    pub model: Model,

    /// How the weights are updated
    #[arg(long, value_name = "NAME", default_value = "adam")]
    pub optimizer: SizedOptimizer,

    /// Pairs kept, 1, 2, 4, 6, 8, 10, 12 or 16 [default: a layer 8; lbfgs-armijo 4]
    #[arg(long, value_name = "M")]
    pub history: Option<usize>,

    /// Samples that go through the network side by side: 1, 2, 4, 8 or 16
    #[arg(long, value_name = "L", default_value_t = 1)]
    pub lanes: usize,

    /// Layers at the beginning that stay as they are; their weights lie in flash
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub freeze: usize,

    /// Show this board only: a word of its name
    #[arg(long, value_name = "NAME")]
    pub board: Option<String>,

    /// Print one JSON object instead of the table
    #[arg(long)]
    pub json: bool,
}

const HELP: &str = "\
With one lane the backward pass needs the least memory: gradients take the place of activations.
Statics are exact. The stack is an estimate (4 KB, more than was measured on an emulated Cortex-M7);
what the rest of a program needs comes on top.";

/// Names for `--optimizer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SizedOptimizer {
    /// Adaptive moments (first order)
    Adam,
    /// Stochastic L-BFGS, layer by layer, a second moment an element
    Lbfgs,
    /// The same with one second moment a row
    LbfgsRow,
    /// The same with second moments of rows and columns
    LbfgsFactored,
    /// Limited-memory BFGS with a line search
    LbfgsArmijo,
}

impl SizedOptimizer {
    const fn name(self) -> &'static str {
        match self {
            SizedOptimizer::Adam => "adam",
            SizedOptimizer::Lbfgs => "lbfgs",
            SizedOptimizer::LbfgsRow => "lbfgs-row",
            SizedOptimizer::LbfgsFactored => "lbfgs-factored",
            SizedOptimizer::LbfgsArmijo => "lbfgs-armijo",
        }
    }

    const fn form(self) -> Option<Form> {
        match self {
            SizedOptimizer::Lbfgs => Some(Form::Element),
            SizedOptimizer::LbfgsRow => Some(Form::Row),
            SizedOptimizer::LbfgsFactored => Some(Form::Factored),
            _ => None,
        }
    }
}

/// A board, and the bytes of its memory that one block of statics can use.
struct Board {
    name: &'static str,
    core: &'static str,
    ram: usize,
}

/// Well-known boards, the smallest memory first. The figures are the data sheets' totals.
const BOARDS: [Board; 10] = [
    Board {
        name: "BBC micro:bit v2 (nRF52833)",
        core: "Cortex-M4F",
        ram: 128 << 10,
    },
    Board {
        name: "Nucleo-L476RG (STM32L476)",
        core: "Cortex-M4F",
        ram: 128 << 10,
    },
    Board {
        name: "STM32F4 Discovery (STM32F407)",
        core: "Cortex-M4F",
        ram: 192 << 10,
    },
    Board {
        name: "nRF52840 DK",
        core: "Cortex-M4F",
        ram: 256 << 10,
    },
    Board {
        name: "Raspberry Pi Pico (RP2040)",
        core: "Cortex-M0+",
        ram: 264 << 10,
    },
    Board {
        name: "ESP32-C3",
        core: "RV32IMC",
        ram: 400 << 10,
    },
    Board {
        name: "Nucleo-F767ZI (STM32F767)",
        core: "Cortex-M7",
        ram: 512 << 10,
    },
    Board {
        name: "Raspberry Pi Pico 2 (RP2350)",
        core: "Cortex-M33",
        ram: 520 << 10,
    },
    Board {
        name: "Nucleo-H743ZI (STM32H743)",
        core: "Cortex-M7",
        ram: 1 << 20,
    },
    Board {
        name: "Teensy 4.1 (i.MX RT1062)",
        core: "Cortex-M7",
        ram: 1 << 20,
    },
];

/// The figures, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Weights and biases of frozen layers, in flash.
    pub frozen: usize,
    /// The other weights and biases.
    pub parameters: usize,
    /// Their gradient; 0 where the optimiser's memory holds it.
    pub gradient: usize,
    /// The optimiser's memory.
    pub optimizer: usize,
    /// Activations, and gradients of activations.
    pub workspace: usize,
}

impl Size {
    /// All statics in RAM.
    pub fn total(&self) -> usize {
        self.parameters + self.gradient + self.optimizer + self.workspace
    }

    /// The figures for a network whose first `freeze` layers are frozen.
    ///
    /// # Errors
    /// [`Error::Usage`] for a number of pairs, lanes or frozen layers that there is not.
    pub fn new(
        model: &Model,
        optimizer: SizedOptimizer,
        history: Option<usize>,
        lanes: usize,
        freeze: usize,
    ) -> Result<Size, Error> {
        if ![1, 2, 4, 8, 16].contains(&lanes) {
            return Err(Error::Usage(format!(
                "--lanes {lanes}: choose 1, 2, 4, 8 or 16"
            )));
        }
        let frozen = vec![0.0; model.network.parameter_offset(freeze)];
        let network = &model
            .network
            .try_freeze(freeze, &frozen)
            .map_err(|error| Error::Usage(format!("--freeze {freeze}: {error}")))?;
        let n = network.parameter_count();
        let mut workspace = network.workspace_len(lanes);
        let (gradient, memory) = match (optimizer, optimizer.form()) {
            (SizedOptimizer::Adam, _) if history.is_some() => {
                return Err(Error::Usage(
                    "--history belongs to lbfgs, not to adam".to_owned(),
                ));
            }
            (_, None) if optimizer == SizedOptimizer::Adam => (n, Adam::memory_len(n)),
            (_, Some(form)) => {
                macro_rules! pairs {
                    ($($m:literal)*) => {
                        match history.unwrap_or(8) {
                            $($m => (LayerLbfgs::<$m>::memory_len(network, form), LayerLbfgs::<$m>::workspace_len(network, lanes)),)*
                            other => return Err(no_history(other)),
                        }
                    };
                }
                let (memory, needed) = pairs!(1 2 4 6 8 10 12 16);
                // With one lane the gradient's memory serves as scratch: `Network::observe_inputs`.
                let scratch = needed - workspace;
                workspace += if lanes == 1 {
                    scratch.saturating_sub(n)
                } else {
                    scratch
                };
                (n, memory)
            }
            (_, None) => {
                macro_rules! pairs {
                    ($($m:literal)*) => {
                        match history.unwrap_or(4) {
                            $($m => Lbfgs::<$m>::memory_len(n),)*
                            other => return Err(no_history(other)),
                        }
                    };
                }
                (0, pairs!(1 2 4 6 8 10 12 16))
            }
        };
        Ok(Size {
            frozen: 4 * frozen.len(),
            parameters: 4 * n,
            gradient: 4 * gradient,
            optimizer: 4 * memory,
            workspace: 4 * workspace,
        })
    }
}

fn no_history(m: usize) -> Error {
    Error::Usage(format!("--history {m}: choose 1, 2, 4, 6, 8, 10, 12 or 16"))
}

#[derive(Serialize)]
struct Record<'a> {
    model: &'a str,
    optimizer: &'a str,
    lanes: usize,
    frozen_layers: usize,
    #[serde(flatten)]
    size: &'a Size,
    total: usize,
    stack: usize,
    boards: Vec<BoardRecord>,
}

#[derive(Serialize)]
struct BoardRecord {
    name: &'static str,
    core: &'static str,
    ram: usize,
    fits: bool,
}

/// Prints the table, or the JSON object.
///
/// # Errors
/// [`Error::Usage`] for options that do not go together, [`Error::Stdout`] when nobody listens.
pub fn run(args: &SizeArgs, out: &mut impl Write) -> Result<(), Error> {
    let size = Size::new(
        &args.model,
        args.optimizer,
        args.history,
        args.lanes,
        args.freeze,
    )?;
    let total = size.total();
    let wanted = args.board.as_deref().unwrap_or("").to_lowercase();
    let boards: Vec<BoardRecord> = BOARDS
        .iter()
        .filter(|board| board.name.to_lowercase().contains(&wanted))
        .map(|board| BoardRecord {
            name: board.name,
            core: board.core,
            ram: board.ram,
            fits: total + STACK <= board.ram,
        })
        .collect();
    if boards.is_empty() {
        let names: Vec<_> = BOARDS.iter().map(|board| board.name).collect();
        return Err(Error::Usage(format!(
            "--board {wanted}: none of {}",
            names.join(", ")
        )));
    }
    let written = if args.json {
        let record = Record {
            model: &args.model.name,
            optimizer: args.optimizer.name(),
            lanes: args.lanes,
            frozen_layers: args.freeze,
            size: &size,
            total,
            stack: STACK,
            boards,
        };
        serde_json::to_writer_pretty(&mut *out, &record)
            .map_err(std::io::Error::from)
            .and_then(|()| writeln!(out))
    } else {
        table(args, &size, &boards, out)
    };
    written.map_err(Error::Stdout)
}

fn table(
    args: &SizeArgs,
    size: &Size,
    boards: &[BoardRecord],
    out: &mut impl Write,
) -> std::io::Result<()> {
    let lanes = if args.lanes == 1 {
        "1 lane".to_owned()
    } else {
        format!("{} lanes", args.lanes)
    };
    let frozen = match args.freeze {
        0 => String::new(),
        1 => ", the first layer frozen".to_owned(),
        k => format!(", the first {k} layers frozen"),
    };
    writeln!(
        out,
        "{} with {}, {lanes}{frozen}",
        args.model.name,
        args.optimizer.name()
    )?;
    if size.frozen > 0 {
        writeln!(out, "  {:<18}{:>10} bytes", "flash (weights)", size.frozen)?;
    }
    for (name, bytes) in [
        ("parameters", size.parameters),
        ("gradient", size.gradient),
        ("optimizer", size.optimizer),
        ("workspace", size.workspace),
        ("statics", size.total()),
        ("stack (estimate)", STACK),
        ("in all", size.total() + STACK),
    ] {
        writeln!(out, "  {name:<18}{bytes:>10} bytes")?;
    }
    writeln!(out)?;
    for board in boards {
        let left = board.ram as i64 - (size.total() + STACK) as i64;
        let verdict = if board.fits {
            format!("fits, {} KB left", left >> 10)
        } else {
            format!("{} KB short", (-left + 1023) >> 10)
        };
        writeln!(
            out,
            "  {:<32}{:<12}{:>5} KB  {verdict}",
            board.name,
            board.core,
            board.ram >> 10
        )?;
    }
    Ok(())
}
