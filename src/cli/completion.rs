//! `consign completion`: a script that teaches a shell our commands.

use std::process::ExitCode;

use clap::{Args, CommandFactory};

use super::{Cli, CliError};

/// Print a script that completes commands in your shell
#[derive(Debug, Args)]
#[command(after_help = "For bash:  source <(consign completion bash)")]
pub(super) struct CompletionArgs {
    /// The shell
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &CompletionArgs) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "consign", &mut script);
    std::io::Write::write_all(&mut std::io::stdout(), &script)?;
    Ok(ExitCode::SUCCESS)
}
