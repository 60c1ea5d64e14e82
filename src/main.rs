//! The `vestibule` command: maps how a run ended to an exit code, and nothing else.

use std::process::ExitCode;

/// Where memory comes from: less work per allocation than the system's, and less of it spread about.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    vestibule::cli::main()
}
