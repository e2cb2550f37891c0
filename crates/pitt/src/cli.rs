//! The words of the command line.
//!
//! Only what can be typed is here; what it does is in [`crate::command`].

mod ask;
mod care;
mod catalog;
mod config;
mod filter;
mod run;
mod send;
mod token;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use ask::{Cone, Format, Lightcurve, Ls, Query, Show, Stamps};
pub use care::{
    Claims, ClaimsList, ClaimsRelease, Quarantine, QuarantineList, QuarantineRetry, Verify,
};
pub use catalog::{Catalog, CatalogImport, CatalogList};
pub use config::{ConfigCheck, ConfigCommand, ConfigShow};
pub use filter::{
    Filter, FilterAdd, FilterCheck, FilterList, FilterName, FilterOff, FilterOn, FilterPause,
    FilterRun, FilterTest, FilterVersions,
};
pub use run::{Demo, Download, Run, Serve, Status, USUAL_ALERTS, USUAL_SEED};
pub use send::{Replay, Simulate, Stream, SurveyName};
pub use token::{TokenCommand, TokenCreate, TokenList, TokenRevoke};

/// Pitt Broker: alerts in, filtered matches and a searchable archive out.
#[derive(Debug, Parser)]
#[command(
    name = "pitt",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    after_help = "Start with `pitt demo`: a simulated night through the whole broker.\n\
                  Exit codes: 0 done, 1 failed, 2 misused."
)]
pub struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What applies to every command.
#[derive(Clone, Debug, Default, Args)]
pub struct Global {
    /// Folder of the archive [default: ./pitt-data]
    #[arg(long, global = true, value_name = "DIR")]
    pub archive: Option<String>,
    /// Settings file [default: ./pitt.toml if there is one]
    #[arg(long, short, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Say more on stderr; twice for everything
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send a simulated night of ZTF and LSST alerts through the whole broker
    Demo(Demo),
    /// Run the broker: read alerts, filter them, archive them
    Run(Run),
    /// Serve an archive over HTTP: API, SQL, Virtual Observatory
    Serve(Serve),
    /// Fetch nights of ZTF's public archive
    Download(Download),
    /// Show how running brokers are: inputs, rates, lag, what is wrong
    Status(Status),
    /// List the nights in the archive
    Ls(Ls),
    /// Show every value of one alert, with units
    Show(Show),
    /// Draw the image stamps of one alert
    Stamps(Stamps),
    /// Print or draw the light curve of one object
    Lightcurve(Lightcurve),
    /// Find objects around a position
    Cone(Cone),
    /// Check, test and run filters
    #[command(subcommand)]
    Filter(Filter),
    /// Ask the archive in SQL
    Query(Query),
    /// Prove from the files that no alert is lost, doubled or altered
    Verify(Verify),
    /// What could not be read, and reading it again
    #[command(subcommand)]
    Quarantine(Quarantine),
    /// What processes that died have claimed and nobody stores
    #[command(subcommand)]
    Claims(Claims),
    /// Write made-up ZTF and LSST packets to a folder
    Simulate(Simulate),
    /// Serve alerts as a Kafka-compatible stream, with nothing to install
    Stream(Box<Stream>),
    /// Send an archive's alerts into a Kafka topic again
    Replay(Replay),
    /// Catalogs that filters match against
    #[command(subcommand)]
    Catalog(Catalog),
    /// Who may ask a running broker: make, list and revoke tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Effective settings, and where each came from
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Measure this machine
    Bench(Bench),
}

/// `pitt bench`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    pitt bench\n  \
    pitt bench --alerts 200000 --filters 100 --json\n  \
    pitt bench --alerts 1000000 --reclaim --scratch /data    in 20 GB of room instead of 60")]
pub struct Bench {
    /// Alerts to send from files through the broker
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    pub alerts: u64,
    /// Different filters at work
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub filters: usize,
    /// Folder for the files and archive of the measurement, emptied after it [default: the system's]
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    /// Delete packets from the archive of the measurement as it grows, all but the newest
    #[arg(long)]
    pub reclaim: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Be the process that is measured, in this folder
    #[arg(long, value_name = "DIR", hide = true)]
    pub inside: Option<PathBuf>,
}
