//! `pitt`: parses the command line, runs the command, prints the error.

use std::process::ExitCode;

use clap::Parser;
use pitt::cli::Cli;

/// Batches are made by one thread and freed by another; see docs/decisions/0011-jemalloc.md.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    pitt::log_to_stderr(cli.global.verbose);
    match pitt::command::run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", pitt::command::told(&error));
            pitt::command::exit_code(&error)
        }
    }
}
