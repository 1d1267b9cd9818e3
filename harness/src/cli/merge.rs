//! `secant merge`: puts the shards of a comparison together.

use std::path::PathBuf;

use clap::{Args, Parser};

use super::{Cli, Command};
use crate::compare::shards;
use crate::error::Error;
use crate::report::note;

/// Options of `secant merge`.
#[derive(Debug, Args)]
#[command(args_override_self = true, after_help = HELP)]
pub struct MergeArgs {
    /// Folders of shards, or folders that hold several
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,

    /// Folder for the result; the finished runs are copied there
    #[arg(long, value_name = "DIR", required = true)]
    out: PathBuf,

    /// Where the data is, if it is elsewhere than the shards found it
    #[arg(long, value_name = "DIR|synthetic")]
    data: Option<PathBuf>,

    /// Replace the result of another comparison that --out already holds
    #[arg(long)]
    force: bool,

    /// Print one JSON object instead of the table; progress goes to standard error
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Example, two shards that may as well run on two machines:
  secant compare --seeds 12 --tune 8 --shard 1/2 --out sweep
  secant compare --seeds 12 --tune 8 --shard 2/2 --out sweep
  secant compare --seeds 12 --tune 8 --shard 1/2 --out sweep   with --tune, each once more:
  secant compare --seeds 12 --tune 8 --shard 2/2 --out sweep   now all settings are known
  secant merge sweep --out result

Result, figures and page are those of the same comparison without --shard; seconds aside. Shards of
other data, other settings or another build of secant are refused.

Exit status: 0 done, 1 runs are missing, 2 the shards do not belong together; else as for
'secant compare'.";

impl MergeArgs {
    pub(super) fn run(&self) -> Result<u8, Error> {
        let shards = shards::find(&self.folders)?;
        let cli = Cli::try_parse_from(&shards.command);
        let mut args = match cli.map(|cli| cli.command) {
            Ok(Command::Compare(args)) => args,
            _ => {
                return Err(Error::Usage(format!(
                    "{}: this secant does not know the options that its shard was made with",
                    shards.folders[0].display()
                )));
            }
        };
        if shards.machines > 1 {
            note(&format!(
                "secant: these shards ran on {} kinds of machine: the seconds in the result are \
                 not comparable",
                shards.machines
            ));
        }
        args.shard = None;
        args.out = Some(self.out.clone());
        args.force = self.force;
        args.json = self.json;
        args.events = None;
        if self.data.is_some() {
            args.data.clone_from(&self.data);
        }
        args.merge(shards)
    }
}
