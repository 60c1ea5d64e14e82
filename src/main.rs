//! The `vestibule` command: maps how a run ended to an exit code, and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    vestibule::cli::main()
}
