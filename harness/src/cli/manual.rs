//! `secant completions` and `secant man`: what shells and readers of manuals want.

use std::io;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use crate::error::{EXIT_OK, Error};

/// Options of `secant completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  secant completions bash > ~/.local/share/bash-completion/completions/secant
  secant completions zsh > ~/.zfunc/_secant
  secant completions fish > ~/.config/fish/completions/secant.fish")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl CompletionsArgs {
    /// Prints the script.
    pub(super) fn run(&self) -> Result<u8, Error> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "secant", &mut text);
        print(&text)
    }
}

/// Options of `secant man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  secant man | man -l -
  secant man train > ~/.local/share/man/man1/secant-train.1")]
pub struct ManArgs {
    /// Page of this command [default: that of the program]
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

impl ManArgs {
    /// Prints the page, in the language of `man`.
    pub(super) fn run(&self) -> Result<u8, Error> {
        let mut program = Cli::command();
        program.build();
        let page = match &self.command {
            None => clap_mangen::Man::new(program),
            Some(name) => {
                let found = program.find_subcommand(name).cloned();
                let found = found.ok_or_else(|| {
                    Error::Usage(format!(
                        "man {name}: there is no such command; 'secant --help' lists them"
                    ))
                })?;
                let title = format!("secant-{name}");
                let source = format!("secant {}", env!("CARGO_PKG_VERSION"));
                clap_mangen::Man::new(found).title(title).source(source)
            }
        };
        let mut text = Vec::new();
        page.render(&mut text).map_err(Error::Stdout)?;
        print(&text)
    }
}

/// Writes to standard output; a reader that went away is no error.
fn print(text: &[u8]) -> Result<u8, Error> {
    match io::Write::write_all(&mut io::stdout().lock(), text) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => Err(Error::Stdout(source)),
        _ => Ok(EXIT_OK),
    }
}
