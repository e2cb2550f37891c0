//! The words of the command line.
//!
//! Only what can be typed is here; what it does is in [`crate::command`].

mod token;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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

/// `pitt ls`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pitt ls --json")]
pub struct Ls {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `pitt show`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    pitt show 3155240240015010000\n  \
    pitt show 3155240240015010000 --json\n  \
    pitt show 3155240240015010000 --raw alert.avro   the packet, byte for byte")]
pub struct Show {
    /// Alert id: ZTF candid or LSST diaSourceId
    #[arg(value_name = "ALERT")]
    pub alert: i64,
    /// Print JSON; ids are strings
    #[arg(long)]
    pub json: bool,
    /// Write the packet as it was received
    #[arg(long, value_name = "FILE")]
    pub raw: Option<PathBuf>,
    /// Every history entry too, not only how many there are
    #[arg(long)]
    pub history: bool,
}

/// `pitt stamps`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pitt stamps 3155240240015010000 --png stamps.png")]
pub struct Stamps {
    /// Alert id: ZTF candid or LSST diaSourceId
    #[arg(value_name = "ALERT")]
    pub alert: i64,
    /// Picture to write [default: stamps_ALERT.png]
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
}

/// `pitt lightcurve`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    pitt lightcurve ZTF18abcdefg                     a table\n  \
    pitt lightcurve ZTF18abcdefg --png curve.png     magnitudes, upper limits as triangles\n  \
    pitt lightcurve ZTF18abcdefg --flux --png curve.png")]
pub struct Lightcurve {
    /// Object id: ZTF objectId, LSST diaObjectId or ssObjectId
    #[arg(value_name = "OBJECT")]
    pub object: String,
    /// Picture to write
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// Comma-separated values to standard output
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Draw fluxes
    #[arg(long, conflicts_with = "mag")]
    pub flux: bool,
    /// Draw AB magnitudes, which is the default
    #[arg(long)]
    pub mag: bool,
}

/// `pitt cone`
#[derive(Debug, Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:\n  \
    pitt cone 155.1 -4.1 30\n  \
    pitt cone 10:20:24.0 -04:06:00 30"
)]
pub struct Cone {
    /// Right ascension: degrees, or hours as 10:20:24.0
    #[arg(value_name = "RA")]
    pub ra: String,
    /// Declination: degrees, or -04:06:00
    #[arg(value_name = "DEC", allow_hyphen_values = true)]
    pub dec: String,
    /// Radius, arcsec
    #[arg(value_name = "RADIUS")]
    pub radius: f64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

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

/// `pitt query`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    pitt query \"SELECT band, count(*) FROM alerts GROUP BY band\"\n  \
    pitt query \"SELECT * FROM matches\" --format csv\n  \
    pitt query \"SELECT * FROM ztf\" --output ztf.parquet\n\n\
    Tables: alerts (what all surveys share), ztf, lsst, forced, matches, packets, quarantine.")]
pub struct Query {
    /// One SELECT
    #[arg(value_name = "SQL")]
    pub sql: String,
    /// How to print the rows
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Print JSON, the same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// File to write; its ending (.csv .json .parquet) says the format
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Most rows to return
    #[arg(long, value_name = "N")]
    pub max_rows: Option<usize>,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns aligned for people
    Table,
    /// Comma-separated values with a header
    Csv,
    /// One object a line; ids are strings
    Json,
    /// Apache Parquet (needs --output)
    Parquet,
}

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

/// `pitt simulate`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    pitt simulate --into night/ --visits 4 --alerts-per-visit 250\n  \
    pitt simulate --into rubin/ --survey lsst --visits 3 --alerts-per-visit 10000")]
pub struct Simulate {
    /// Folder to write
    #[arg(long, value_name = "DIR")]
    pub into: PathBuf,
    /// Visits a night
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub visits: u32,
    /// Alerts in each visit
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub alerts_per_visit: u32,
    /// Nights
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub nights: u32,
    /// Which sky: the same seed gives the same bytes
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Only this survey [default: both]
    #[arg(long, value_enum)]
    pub survey: Option<SurveyName>,
    /// Damaged packets in a million
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub bad_per_million: u32,
    /// Packets in a million that are sent twice
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub duplicates_per_million: u32,
    /// Print what was written as JSON
    #[arg(long)]
    pub json: bool,
}

/// `pitt stream`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    pitt stream --topic ztf-stream                            an empty topic, ready to write to\n  \
    pitt stream --topic ztf-stream --from nights/ --rate 100  packets of a folder, 100 a second\n  \
    pitt stream --topic ztf-stream --from archive --speedup 60   an hour of the sky in a minute\n  \
    pitt stream --topic ztf-stream --from simulator           made-up alerts\n\n\
    Read it with KafkaConsumer('ztf-stream', bootstrap_servers=['localhost:9092']), or any client of Apache Kafka.\n\
    Ctrl-C ends it; the same command goes on where it stood. One node without replication: docs/stream.md.")]
pub struct Stream {
    /// Topic to serve and send to
    #[arg(long, value_name = "NAME")]
    pub topic: String,
    /// Folder of packets, packet file or tarball; `archive`; or `simulator` [default: nothing is sent]
    #[arg(long, value_name = "WHERE")]
    pub from: Option<PathBuf>,
    /// Alerts a second [default: as fast as possible]
    #[arg(long, value_name = "N", conflicts_with = "speedup")]
    pub rate: Option<f64>,
    /// So many times as fast as the telescope took them; days between nights are not waited for
    #[arg(long, value_name = "X")]
    pub speedup: Option<f64>,
    /// Address to serve on; loopback unless another is given
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9092")]
    pub listen: String,
    /// Host, or host:port, that clients are told to connect to [default: the address they came by]
    #[arg(long, value_name = "HOST")]
    pub advertise: Option<String>,
    /// Folder the stream is kept in
    #[arg(long, value_name = "DIR", default_value = "pitt-stream")]
    pub folder: PathBuf,
    /// Partitions of the topic, when it is created [default: 1]
    #[arg(long, value_name = "N")]
    pub partitions: Option<u32>,
    /// How much to keep of each partition: a time (36h, 7d), a size (50GB), or both [default: everything]
    #[arg(long, value_name = "HOW-MUCH", value_delimiter = ',')]
    pub retention: Vec<String>,
    /// Let clients on other machines write, not only read
    #[arg(long, conflicts_with = "read_only")]
    pub allow_writes: bool,
    /// Let no client write, not even on this machine
    #[arg(long)]
    pub read_only: bool,
    /// Who may connect: a file of lines NAME:PASSWORD, with :read behind those who may not write
    #[arg(long, value_name = "FILE")]
    pub users: Option<PathBuf>,
    /// Certificate chain, PEM, to serve TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Force each message to the disk before it is acknowledged, not once a second
    #[arg(long)]
    pub sync: bool,
    /// With --from simulator: alerts in a night
    #[arg(long, value_name = "N", default_value_t = USUAL_ALERTS)]
    pub alerts: u64,
    /// With --from simulator: which sky
    #[arg(long, default_value_t = USUAL_SEED)]
    pub seed: u64,
    /// With --from simulator: which survey's packets
    #[arg(long, value_enum, default_value_t = SurveyName::Ztf)]
    pub survey: SurveyName,
    /// End when the source has ended, instead of serving on until Ctrl-C
    #[arg(long, requires = "from")]
    pub once: bool,
    /// Print what was sent as JSON at the end
    #[arg(long)]
    pub json: bool,
}

/// `pitt replay`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    pitt replay --topic ztf-again --servers localhost:9092 --speedup 60\n  \
    pitt replay --topic candidates --servers localhost:9092 --filter young_supernova\n  \
    pitt replay --topic one-night --night 20260224           to the cluster of [output] in pitt.toml\n\n\
    The packets go out byte for byte, with the object's id as key. It always begins at the beginning; a stream that\n\
    goes on where it stood is `pitt stream --from archive`.")]
pub struct Replay {
    /// Topic to send to
    #[arg(long, value_name = "NAME")]
    pub topic: String,
    /// Kafka cluster or `pitt stream`, HOST:PORT [default: `output.servers` of the settings]
    #[arg(long, value_name = "SERVERS")]
    pub servers: Option<String>,
    /// Only alerts that this filter matched, in the order of the sky
    #[arg(long, value_name = "NAME")]
    pub filter: Option<String>,
    /// Only this night, YYYYMMDD
    #[arg(long, value_name = "NIGHT")]
    pub night: Option<i32>,
    /// Alerts a second [default: as fast as possible]
    #[arg(long, value_name = "N", conflicts_with = "speedup")]
    pub rate: Option<f64>,
    /// So many times as fast as the telescope took them; days between nights are not waited for
    #[arg(long, value_name = "X")]
    pub speedup: Option<f64>,
    /// Print what was sent as JSON
    #[arg(long)]
    pub json: bool,
}

/// A survey that can be simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SurveyName {
    /// Zwicky Transient Facility, schema 4.02
    Ztf,
    /// Rubin Observatory's LSST, schema 11
    Lsst,
}

/// `pitt catalog`
#[derive(Debug, Subcommand)]
pub enum Catalog {
    /// Take a catalog in, so that filters can say match('name', arcsec)
    Import(CatalogImport),
    /// List the catalogs at hand
    List(CatalogList),
}

/// `pitt catalog import`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pitt catalog import gcvs gcvs.csv --ra RAJ2000 --dec DEJ2000")]
pub struct CatalogImport {
    /// The name filters use
    #[arg(value_name = "NAME")]
    pub name: String,
    /// A .csv or .parquet file with a row a source
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Column of right ascension, deg [default: found by its usual names]
    #[arg(long, value_name = "COLUMN")]
    pub ra: Option<String>,
    /// Column of declination, deg [default: found by its usual names]
    #[arg(long, value_name = "COLUMN")]
    pub dec: Option<String>,
}

/// `pitt catalog list`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pitt catalog list --json")]
pub struct CatalogList {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

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
