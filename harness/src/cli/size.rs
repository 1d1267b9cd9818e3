//! `secant size`: its options, and the table of the memory that a device needs.

use std::io::Write;

use clap::Args;
use serde::Serialize;

use super::values::{OptimizerParser, classes, shape};
use crate::boards::{BOARDS, Bank, Board};
use crate::data::dataset::{Predicted, Task};
use crate::error::{EXIT_OK, Error};
use crate::model::{Description, Model};
use crate::optimizers::Choice;
use crate::size::{STACK, Size};
use secant::network::Shape;

/// Options of `secant size`.
#[derive(Debug, Args)]
#[command(args_override_self = true, after_long_help = HELP)]
pub struct SizeArgs {
    /// Network: micro, lenet, seed, or layers such as 'conv8k3 relu pool2' [default: micro, or what
    /// suits the shape]
    #[arg(long, value_name = "MODEL")]
    model: Option<Description>,

    /// Channels, rows and columns of a sample; a signal has one row
    #[arg(long, value_name = "CxRxC", default_value = "1x28x28", value_parser = shape)]
    shape: Shape,

    /// Number of classes, or of numbers to predict
    #[arg(
        long,
        visible_alias = "outputs",
        value_name = "N",
        default_value_t = 10,
        value_parser = classes
    )]
    classes: usize,

    /// How the weights are updated
    #[arg(
        long,
        value_name = "NAME[:KEY=VALUE]...",
        value_parser = OptimizerParser,
        default_value = "adam"
    )]
    optimizer: Choice,

    /// Pairs kept: per layer 0 to 16 [default: 8]; lbfgs-armijo 1 to 32 [default: 10]
    #[arg(long, value_name = "M")]
    history: Option<String>,

    /// Samples that go through the network side by side: 1, 2, 4, 8 or 16
    #[arg(long, value_name = "L", default_value_t = 1)]
    lanes: usize,

    /// Layers at the beginning that stay as they are; their weights lie in flash
    #[arg(long, value_name = "K", default_value_t = 0)]
    freeze: usize,

    /// Show this board only: a word of its name
    #[arg(long, value_name = "NAME")]
    board: Option<String>,

    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
With one lane the backward pass needs the least memory: gradients take the place of activations.
Statics are exact. The stack is an estimate (4 KB, more than was measured on an emulated Cortex-M7);
what the rest of a program needs comes on top. The largest block of a board's memory decides, since
no array spans two banks; the other banks stand below it, and --json names the data sheets.";

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
    banks: &'static [Bank],
    source: &'static str,
    fits: bool,
}

impl SizeArgs {
    /// Prints the table, or the JSON object.
    pub(super) fn run(&self) -> Result<u8, Error> {
        print(self, &mut std::io::stdout().lock()).map(|()| EXIT_OK)
    }
}

fn print(args: &SizeArgs, out: &mut impl Write) -> Result<(), Error> {
    let mut choice = args.optimizer.clone();
    let history = args.history.iter();
    let history = history.map(|m| ("history".to_owned(), m.clone()));
    choice.settings.extend(history);
    let task = Task {
        input: args.shape,
        outputs: args.classes,
        predicted: Predicted::Classes,
    };
    let model = &Description::model(args.model.as_ref(), task)
        .map_err(|why| Error::Usage(format!("--model: {why}")))?;
    let size = Size::new(model, &choice, args.lanes, args.freeze)?;
    let total = size.total();
    let wanted = args.board.as_deref().unwrap_or("").to_lowercase();
    let boards: Vec<&Board> = BOARDS
        .iter()
        .filter(|board| board.name.to_lowercase().contains(&wanted))
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
            model: &model.name,
            optimizer: args.optimizer.name(),
            lanes: args.lanes,
            frozen_layers: args.freeze,
            size: &size,
            total,
            stack: STACK,
            boards: boards
                .iter()
                .map(|board| BoardRecord {
                    name: board.name,
                    core: board.core,
                    ram: board.block(),
                    banks: board.banks,
                    source: board.source,
                    fits: board.fits(size.with_stack()),
                })
                .collect(),
        };
        serde_json::to_writer_pretty(&mut *out, &record)
            .map_err(std::io::Error::from)
            .and_then(|()| writeln!(out))
    } else {
        table(args, model, &size, &boards, out)
    };
    written.map_err(Error::Stdout)
}

fn table(
    args: &SizeArgs,
    model: &Model,
    size: &Size,
    boards: &[&Board],
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
        model.name,
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
        ("in all", size.with_stack()),
    ] {
        writeln!(out, "  {name:<18}{bytes:>10} bytes")?;
    }
    writeln!(out)?;
    for board in boards {
        let left = board.block() as i64 - size.with_stack() as i64;
        let verdict = if board.fits(size.with_stack()) {
            format!("fits, {} KB left", left >> 10)
        } else {
            format!("{} KB short", (-left + 1023) >> 10)
        };
        writeln!(
            out,
            "  {:<32}{:<12}{:>5} KB  {verdict}",
            board.name,
            board.core,
            board.block() >> 10
        )?;
        if let [_, others @ ..] = board.banks
            && !others.is_empty()
        {
            let others: Vec<_> = others
                .iter()
                .map(|bank| format!("{} KB {}", bank.bytes >> 10, bank.name))
                .collect();
            writeln!(out, "    apart from it: {}", others.join("; "))?;
        }
    }
    Ok(())
}
