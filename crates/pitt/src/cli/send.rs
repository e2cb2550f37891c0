//! The words of the commands that send packets: to a folder, a stream of our own, a topic.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::run::{USUAL_ALERTS, USUAL_SEED};

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

/// A survey that can be simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SurveyName {
    /// Zwicky Transient Facility, schema 4.02
    Ztf,
    /// Rubin Observatory's LSST, schema 11
    Lsst,
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
