//! `consign config`: looks at the configuration without starting anything.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{CliError, Common};
use crate::config::{Config, settings};
use crate::server;

/// Check the configuration
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Read the file and the environment as `serve` would, and say what is wrong or what holds
    Check {
        #[command(flatten)]
        common: Common,
    },
    /// List every setting, its variable, and whether a change of it needs a restart
    Settings,
}

pub(super) fn run(args: &ConfigArgs) -> Result<ExitCode, CliError> {
    match &args.command {
        ConfigCommand::Check { common } => check(common),
        ConfigCommand::Settings => {
            for setting in settings() {
                let change = if setting.live { "reload" } else { "restart" };
                println!("{:<34}{:<42}{change}", setting.name, setting.variable);
            }
            println!("{:<34}{:<42}reload", "[[callback.…]]", "");
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(common: &Common) -> Result<ExitCode, CliError> {
    let sources = common.sources();
    let config = Config::load(&sources)?;
    server::check(&config)?;
    match sources.file() {
        Some(path) => println!("{} is valid.", path.display()),
        None => println!("No configuration file; the environment is valid."),
    }
    println!("  listen     {}", config.listen);
    println!("  data       {}", config.data_dir.display());
    println!("  region     {}", config.region);
    println!("  domains    {}", config.domains.join(", "));
    for url in &config.public_urls {
        println!("  public     {}", url.text());
    }
    let callback = &config.callback;
    println!(
        "  callbacks  {} endpoints, {} rules, {} checks",
        callback.endpoints.len(),
        callback.rules.len(),
        callback.checks.len()
    );
    Ok(ExitCode::SUCCESS)
}
