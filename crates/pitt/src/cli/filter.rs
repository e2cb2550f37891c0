//! The words of `pitt filter`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `pitt filter`
#[derive(Debug, Subcommand)]
pub enum Filter {
    /// Check a filter without data: columns, types, functions
    Check(FilterCheck),
    /// Count what a filter would have matched, and its cost
    Test(FilterTest),
    /// Print the alerts a filter matches
    Run(FilterRun),
    /// List filters that failed while running, and were switched off
    Off(FilterOff),
    /// Let filters that were switched off run again
    On(FilterOn),
    /// List all filters: files of the folder, and those kept in the archive
    List(FilterList),
    /// Keep a filter in the archive and set it to work, also in a broker that runs
    Add(FilterAdd),
    /// Let a filter of the archive rest
    Pause(FilterPause),
    /// Set a filter of the archive to work again
    Resume(FilterName),
    /// List the versions of a filter of the archive
    Versions(FilterVersions),
}

/// `pitt filter check`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pitt filter check filters/young_supernova.sql")]
pub struct FilterCheck {
    /// Filters: SQL files, or folders of them
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `pitt filter test`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    pitt filter test young_supernova.sql --from archive\n  \
    pitt filter test young_supernova.sql --from nights/")]
pub struct FilterTest {
    /// The filter: an SQL file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// `archive`, or a folder of packets
    #[arg(long, value_name = "WHERE", default_value = "archive")]
    pub from: PathBuf,
    /// Stop after so many alerts
    #[arg(long, value_name = "N")]
    pub alerts: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `pitt filter run`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pitt filter run young_supernova.sql --from archive --json")]
pub struct FilterRun {
    /// The filter: an SQL file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// `archive`, or a folder of packets
    #[arg(long, value_name = "WHERE", default_value = "archive")]
    pub from: PathBuf,
    /// Stop after so many matches
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// `pitt filter off`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pitt filter off --json")]
pub struct FilterOff {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `pitt filter on`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pitt filter on young_supernova")]
pub struct FilterOn {
    /// Names of filters
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
}

/// `pitt filter list`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pitt filter list --json")]
pub struct FilterList {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `pitt filter add`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    pitt filter add bright.sql --note \"deeper by one magnitude\"\n  \
    pitt filter add bright.sql --draft               keep it without setting it to work")]
pub struct FilterAdd {
    /// A SQL file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Name of the filter [default: the file's]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// What is new in this version
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Only keep it
    #[arg(long)]
    pub draft: bool,
}

/// `pitt filter pause`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pitt filter pause bright")]
pub struct FilterPause {
    /// Name of the filter
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// `pitt filter resume`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  pitt filter resume bright --version 1c0ffee5",
    disable_version_flag = true
)]
pub struct FilterName {
    /// Name of the filter
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Version to set to work [default: the one that was active]
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
}

/// `pitt filter versions`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pitt filter versions bright")]
pub struct FilterVersions {
    /// Name of the filter
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
