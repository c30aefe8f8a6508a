//! The `consign` command: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    consign::cli::main()
}
