//! `ponos completions`.

use crate::{Cli, exit::Exit, output, trouble::Trouble};
use clap::CommandFactory;

/// Prints a shell's completion script.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Whose, as in: ponos completions bash > /etc/bash_completion.d/ponos
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: Args) -> Result<Exit, Trouble> {
    // Into memory first: clap_complete panics when a write fails.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ponos", &mut script);
    output::print_styled(|out| out.write_all(&script))?;
    Ok(Exit::Done)
}
