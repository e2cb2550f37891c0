//! The words of the commands that bring alerts in, and of those that look after a running broker.

use std::path::PathBuf;

use clap::Args;

/// Alerts in a demo night.
pub const USUAL_ALERTS: u64 = 24_000;
/// The sky of a demo.
pub const USUAL_SEED: u64 = 1;

/// `pitt demo`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    pitt demo                          two minutes to watch, into ./pitt-data\n  \
    pitt demo --alerts 200000 --speed 0   as fast as this machine can\n\n\
    Ctrl-C stops cleanly; running it again goes on from there.")]
pub struct Demo {
    /// Alerts in the night
    #[arg(long, default_value_t = USUAL_ALERTS, value_name = "N")]
    pub alerts: u64,
    /// Which sky: the same seed gives the same night, byte for byte
    #[arg(long, default_value_t = USUAL_SEED)]
    pub seed: u64,
    /// Alerts per second, 0 for as fast as possible [default: 200 on a terminal, else 0]
    #[arg(long, value_name = "RATE")]
    pub speed: Option<f64>,
    /// End when the night is over, also on a terminal
    #[arg(long)]
    pub once: bool,
    /// Do not open the pages in a browser
    #[arg(long)]
    pub no_open: bool,
}

/// `pitt run`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    pitt run --from nights/                  packets, .tar and .tar.gz, folders in folders\n  \
    pitt run --from nights/ --follow         keep looking for new files\n  \
    pitt run --kafka localhost:9092 --topic ztf-stream   a stream, from its beginning\n  \
    pitt run -c pitt.toml                    sources and filters from a settings file\n\n\
    A run goes on where the archive stands. Ctrl-C stops cleanly.")]
pub struct Run {
    /// Folder, packet file or tarball to read (may be given more than once)
    #[arg(long, value_name = "PATH")]
    pub from: Vec<PathBuf>,
    /// Addresses of a Kafka cluster to read from, HOST:PORT,HOST:PORT; for more settings, `[[kafka]]` in pitt.toml
    #[arg(
        long,
        value_name = "SERVERS",
        requires = "topic",
        conflicts_with = "from"
    )]
    pub kafka: Option<String>,
    /// Topic to read, or pattern such as ztf_{night}_programid1 (may be given more than once)
    #[arg(long, value_name = "TOPIC", requires = "kafka")]
    pub topic: Vec<String>,
    /// Where to begin in a stream new to the archive: earliest, latest, group or a time [default: earliest]
    #[arg(long, value_name = "WHERE", requires = "kafka")]
    pub start: Option<String>,
    /// Folder of filters, one SQL file each
    #[arg(long, value_name = "DIR")]
    pub filters: Option<PathBuf>,
    /// Stay, and take new files as they appear
    #[arg(long)]
    pub follow: bool,
    /// Print the counts as JSON at the end
    #[arg(long)]
    pub json: bool,
}

/// `pitt serve`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    pitt serve                             ./pitt-data at http://127.0.0.1:8080\n  \
    pitt serve --listen 127.0.0.1:9000     elsewhere\n  \
    curl http://127.0.0.1:8080/api/v1/     what there is\n\n\
    For an archive that no broker writes; `pitt run` serves the same by itself. What other processes commit is\n\
    seen within a second or two. Ctrl-C ends it.")]
pub struct Serve {
    /// Address and port [default: `http.listen` of the settings]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
}

/// `pitt download`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    pitt download                              the newest night with alerts\n  \
    pitt download --night 20181129             that night\n  \
    pitt download --night 20181101..20181107   all nights of a week\n  \
    pitt download --list                       what there is, and what is here\n\n\
    A night is 5 to 70 GB. Ctrl-C stops cleanly; the same command goes on at the byte where it stood.\n\
    Packets go straight into the archive; the tarball is removed once they are in it, unless --keep names a folder.")]
pub struct Download {
    /// So many nights, the newest first
    #[arg(long, default_value_t = 1, value_name = "N", conflicts_with = "night")]
    pub nights: usize,
    /// Night YYYYMMDD, or range YYYYMMDD..YYYYMMDD (may be given more than once)
    #[arg(long, value_name = "NIGHT")]
    pub night: Vec<String>,
    /// Only list the nights
    #[arg(long)]
    pub list: bool,
    /// Only say what would be fetched
    #[arg(long)]
    pub dry_run: bool,
    /// Folder in which to keep the tarballs
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Begin even if the disk seems too small
    #[arg(long)]
    pub force: bool,
    /// Address of the archive [default: `archive_url` of the settings, or PITT_ARCHIVE_URL]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `pitt status`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    pitt status\n  \
    pitt status --watch            again each second\n  \
    pitt status > /dev/null || mail -s 'Pitt Broker' me@example.org\n\n\
    Exit code 1 when something is wrong: an input or the output is down, a broker died, the disk is full.")]
pub struct Status {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Look again each second, until Ctrl-C
    #[arg(long)]
    pub watch: bool,
}
