//! The words of the commands that look after an archive: what was lost, what could not be read, what was left claimed.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `pitt verify`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pitt verify && echo nothing lost, nothing doubled")]
pub struct Verify {
    /// Show every partition of the sources, not only sums and what does not balance
    #[arg(long)]
    pub all: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `pitt quarantine`
#[derive(Debug, Subcommand)]
pub enum Quarantine {
    /// Count what could not be read, by reason
    List(QuarantineList),
    /// Try it again with the schemas at hand
    Retry(QuarantineRetry),
}

/// `pitt quarantine list`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pitt quarantine list")]
pub struct QuarantineList {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `pitt quarantine retry`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pitt quarantine retry --schemas avsc/ --reason unknown_schema")]
pub struct QuarantineRetry {
    /// Only packets with this reason
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,
    /// Folder of .avsc schemas [default: `schema_dir` of the settings]
    #[arg(long, value_name = "DIR")]
    pub schemas: Option<PathBuf>,
    /// Print the counts as JSON at the end
    #[arg(long)]
    pub json: bool,
}

/// `pitt claims`
#[derive(Debug, Subcommand)]
pub enum Claims {
    /// List partitions of which something is claimed and not stored
    List(ClaimsList),
    /// Let go of the claims of a partition that will not be read again
    Release(ClaimsRelease),
}

/// `pitt claims list`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pitt claims list\n\n\
    A broker says what it takes before it stores it. If it dies in between, whoever reads the same input again stores it,\n\
    so nothing is to be done as long as the input is still read. `pitt claims release` is for inputs that are gone.")]
pub struct ClaimsList {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `pitt claims release`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    pitt claims release kafka:ztf/ztf_20260101_programid1/0\n  \
    pitt claims release kafka:ztf/ztf_20260101_programid1/0 --json\n\n\
    For a partition whose input was removed, or whose topic has expired. The numbers of its matches stay empty, so that the\n\
    matches behind them are published; its alerts may be stored from elsewhere afterwards. The output is asked how far it has\n\
    published: a match that is out already is not published again when its alert comes another way.\n\
    Refused while a process that claimed still runs.")]
pub struct ClaimsRelease {
    /// Partition, as `pitt claims list` names it
    #[arg(value_name = "PARTITION")]
    pub partition: String,
    /// Do not ask the output how far it has published: go by the archive's own note, which may lack the last second
    #[arg(long)]
    pub offline: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
