//! The words of `pitt config`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `pitt config`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the effective settings and where each came from
    Show(ConfigShow),
    /// Check a settings file
    Check(ConfigCheck),
}

/// `pitt config show`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    pitt config show\n  \
    pitt config show --default > pitt.toml   the commented reference, ready to edit")]
pub struct ConfigShow {
    /// The embedded default file, with its comments
    #[arg(long, conflicts_with = "json")]
    pub default: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `pitt config check`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pitt config check pitt.toml")]
pub struct ConfigCheck {
    /// Settings file [default: what -c names, or ./pitt.toml]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}
