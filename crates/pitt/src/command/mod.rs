//! What each command does.

mod bench;
mod browser;
mod catalog;
mod claims;
mod cone;
mod config;
mod demo;
mod download;
mod filter;
mod light_curve;
mod ls;
mod night;
mod quarantine;
mod query;
mod replay;
mod run;
mod sent;
mod serve;
mod show;
mod simulate;
mod stamps;
mod status;
mod stream;
mod streams;
mod token;
mod verify;
mod watched;

pub use query::engine;

use std::process::ExitCode;

use anyhow::Result;
use pitt_simulate::SimulateError;

use crate::cli::{
    Catalog, Claims, Cli, Command, ConfigCommand, Filter, Global, Quarantine, TokenCommand,
};
use crate::config::{Config, ConfigError};
use crate::pipeline::Stop;
use crate::source::SourceError;

/// Runs one command.
///
/// # Errors
/// What went wrong, with what to do about it.
pub fn run(cli: Cli) -> Result<ExitCode> {
    let global = cli.global;
    match cli.command {
        Command::Demo(args) => demo::run(&global, &args),
        Command::Run(args) => run::run(&global, &args),
        Command::Serve(args) => serve::run(&global, &args),
        Command::Show(args) => show::run(&global, &args),
        Command::Stamps(args) => stamps::run(&global, &args),
        Command::Lightcurve(args) => light_curve::run(&global, &args),
        Command::Cone(args) => cone::run(&global, &args),
        Command::Download(args) => download::run(&global, &args),
        Command::Status(args) => status::run(&global, &args),
        Command::Ls(args) => ls::run(&global, &args),
        Command::Filter(Filter::Check(args)) => filter::check(&global, &args),
        Command::Filter(Filter::Test(args)) => filter::test(&global, &args),
        Command::Filter(Filter::Run(args)) => filter::run(&global, &args),
        Command::Filter(Filter::Off(args)) => filter::off(&global, &args),
        Command::Filter(Filter::On(args)) => filter::on(&global, &args),
        Command::Filter(Filter::List(args)) => filter::book::list(&global, &args),
        Command::Filter(Filter::Add(args)) => filter::book::add(&global, &args),
        Command::Filter(Filter::Pause(args)) => filter::book::pause(&global, &args),
        Command::Filter(Filter::Resume(args)) => filter::book::resume(&global, &args),
        Command::Filter(Filter::Versions(args)) => filter::book::versions(&global, &args),
        Command::Query(args) => query::run(&global, &args),
        Command::Verify(args) => verify::run(&global, &args),
        Command::Catalog(Catalog::Import(args)) => catalog::import(&global, &args),
        Command::Catalog(Catalog::List(args)) => catalog::list(&global, &args),
        Command::Quarantine(Quarantine::List(args)) => quarantine::list(&global, &args),
        Command::Quarantine(Quarantine::Retry(args)) => quarantine::retry(&global, &args),
        Command::Claims(Claims::List(args)) => claims::list(&global, &args),
        Command::Claims(Claims::Release(args)) => claims::release(&global, &args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Stream(args) => stream::run(&global, &args),
        Command::Replay(args) => replay::run(&global, &args),
        Command::Token(TokenCommand::Create(args)) => token::create(&global, &args),
        Command::Token(TokenCommand::List(args)) => token::list(&global, &args),
        Command::Token(TokenCommand::Revoke(args)) => token::revoke(&global, &args),
        Command::Config(ConfigCommand::Show(args)) => config::show(&global, &args),
        Command::Config(ConfigCommand::Check(args)) => config::check(&global, &args),
        Command::Bench(args) => bench::run(&args),
    }
}

/// A mistake in what was typed, as against a failure: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misused(pub String);

/// 2 when the command line or the settings are wrong, 1 for everything else.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    let misused = error.is::<Misused>()
        || error.is::<ConfigError>()
        || matches!(error.downcast_ref(), Some(SourceError::Path { .. }))
        || matches!(
            error.downcast_ref(),
            Some(SimulateError::FirstNight(_) | SimulateError::Nights { .. })
        );
    if misused {
        ExitCode::from(2)
    } else {
        ExitCode::FAILURE
    }
}

/// An error and its causes in one line, each said once.
pub fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

/// Settings of a command: the layers of [`Config`] with `--archive` on top.
fn settings(global: &Global, flags: Vec<(&'static str, toml::Value)>) -> Result<Config> {
    let archive = global
        .archive
        .iter()
        .map(|folder| ("archive", folder.as_str().into()));
    let flags = archive.chain(flags).collect();
    Ok(Config::load(
        global.config.as_deref(),
        |name| std::env::var(name).ok(),
        flags,
    )?)
}

/// Ctrl-C asks to stop; a second one ends the program at once.
fn stop_on_ctrl_c() -> Result<Stop> {
    let stop = Stop::default();
    let asked = stop.clone();
    ctrlc::set_handler(move || {
        if asked.asked() {
            std::process::exit(130);
        }
        asked.ask();
    })?;
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn causes_are_said_once() {
        let error = Err::<(), _>(anyhow!("disk full"))
            .context("cannot write")
            .unwrap_err();
        assert_eq!(told(&error), "cannot write: disk full");
        let error = Err::<(), _>(anyhow!("disk full"))
            .context("cannot write: disk full")
            .unwrap_err();
        assert_eq!(told(&error), "cannot write: disk full");
        let error = Err::<(), _>(anyhow!("disk full"))
            .context("cannot write: disk full (make room)")
            .unwrap_err();
        assert_eq!(told(&error), "cannot write: disk full (make room)");
    }
}
