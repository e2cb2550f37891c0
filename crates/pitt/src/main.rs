//! `pitt`: parses the command line, runs the command, prints the error.

use std::process::ExitCode;

use clap::Parser;
use pitt::cli::Cli;

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
