//! `pitt stream`

mod options;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use pitt_simulate::{SimSurvey, SimulationConfig};
use pitt_stream::{Handle, Record, Server, StreamConfig, StreamError, Writers};
use serde_json::json;

use super::sent::{self, Told};
use super::{Misused, settings, stop_on_ctrl_c};
use crate::broker::{self, open_archive};
use crate::cli::{Global, Stream, SurveyName};
use crate::config::Settings;
use crate::feed::history::History;
use crate::feed::places::{self, Places};
use crate::feed::{Feed, Message, Pace, Sink, Tally};
use crate::pipeline::Stop;
use crate::screen::line::Line;
use crate::screen::{self, count, counted};
use crate::source::files::{Files, FilesOptions};
use crate::source::simulated::Simulated;
use crate::source::{Outlet, SourceReport};

/// Room of a message's head and the batch around it `[bytes]`.
const OVERHEAD: usize = 64 << 10;
/// How often it is noted where the source stands.
const NOTE_EVERY: Duration = Duration::from_secs(5);
/// Visits of a simulated night, and nights that follow one another when it is run again.
const VISITS: u32 = 60;
const NIGHTS: u32 = 365;

pub(super) fn run(global: &Global, args: &Stream) -> Result<ExitCode> {
    let settings = settings(global, vec![])?.settings;
    let config = options::config(args)?;
    let pace = Pace::of(args.rate, args.speedup).map_err(Misused)?;
    let largest = config.limits.message_bytes - OVERHEAD;
    let server = bind(config.clone())?;
    let handle = server.handle();
    let partitions = topic(&handle, args)?;
    let sources = args.folder.join("sources");
    std::fs::create_dir_all(&sources)
        .with_context(|| format!("cannot make `{}`", sources.display()))?;
    let places = Places::find(&handle, &args.topic, partitions, &sources)?;
    let source = open_source(args, &settings, &sources, &places)?;
    let stop = stop_on_ctrl_c()?;
    if !args.json {
        screen::print(&welcome(&handle, &config, args)?)?;
    }
    let sink = TopicSink {
        handle,
        topic: args.topic.clone(),
        partitions,
        places,
        noted: Instant::now(),
        line: Line::new(args.topic.clone()),
    };
    let schemas = broker::schemas(&settings, None)?;
    let mut feed = Feed::new(sink, pace, schemas, largest, stop.clone());
    let report = source.map_or(Ok(SourceReport::default()), |source| source(&mut feed))?;
    let (mut sink, tally) = feed.finish()?;
    sink.note()?;
    sink.serve_on(&tally, args, &stop);
    server.shutdown();
    let told = Told {
        topic: &args.topic,
        tail: format!(", {} before", count(report.passed_over)),
        more: json!({"sent_before": report.passed_over, "damaged": report.damaged}),
        good: report.damaged.is_empty(),
    };
    sent::tell(&tally, told, args.json)
}

fn bind(config: StreamConfig) -> Result<Server> {
    let (address, folder) = (config.address, config.folder.clone());
    Server::bind(config).map_err(|error| {
        let hint = match &error {
            StreamError::Listen { .. } => {
                format!("is a Kafka or another `pitt stream` at {address}? choose a free one with --listen")
            }
            StreamError::FolderInUse(_) => {
                format!("another `pitt stream` keeps `{}`; choose another with --folder", folder.display())
            }
            _ => return error.into(),
        };
        anyhow::Error::from(error).context(hint)
    })
}

/// Creates the topic, or takes it as it is: its number of partitions.
fn topic(handle: &Handle, args: &Stream) -> Result<usize> {
    let known = handle
        .topics()
        .into_iter()
        .find(|(name, _)| *name == args.topic);
    let asked = args.partitions.map(|n| n as usize);
    if let Some((_, partitions)) = known {
        if let Some(asked) = asked.filter(|n| *n != partitions) {
            bail!(Misused(format!(
                "--partitions is {asked}, but topic `{}` has {partitions} already (leave the option out, or choose another topic or --folder)",
                args.topic
            )));
        }
        return Ok(partitions);
    }
    let partitions = asked.unwrap_or(1);
    handle.create_topic(&args.topic, partitions)?;
    Ok(partitions)
}

type Source = Box<dyn FnOnce(&mut dyn Outlet) -> Result<SourceReport>>;

fn open_source(
    args: &Stream,
    settings: &Settings,
    sources: &Path,
    places: &Places,
) -> Result<Option<Source>> {
    let Some(from) = &args.from else {
        return Ok(None);
    };
    if from == Path::new("archive") {
        let history = History::open(open_archive(settings, false)?, None, places)?;
        return Ok(Some(Box::new(move |outlet| history.run(outlet))));
    }
    if from == Path::new("simulator") {
        let source = Simulated::open(simulation(args)?, sources, places, 0.0)?;
        return Ok(Some(Box::new(move |outlet| Ok(source.run(outlet)?))));
    }
    let options = FilesOptions {
        paths: vec![PathBuf::from(from)],
        sources: sources.to_owned(),
        follow: None,
        max_file_bytes: settings.source.max_file_mb << 20,
    };
    let files = Files::open(options, places.clone())?;
    Ok(Some(Box::new(move |outlet| Ok(files.run(outlet)?))))
}

fn simulation(args: &Stream) -> Result<SimulationConfig> {
    let alerts_per_visit = u32::try_from(args.alerts.div_ceil(u64::from(VISITS)))?;
    if alerts_per_visit == 0 {
        bail!(Misused("--alerts is 0, expected at least 1".into()));
    }
    Ok(SimulationConfig {
        seed: args.seed,
        nights: NIGHTS,
        visits_per_night: VISITS,
        alerts_per_visit,
        surveys: vec![match args.survey {
            SurveyName::Ztf => SimSurvey::Ztf,
            SurveyName::Lsst => SimSurvey::Lsst,
        }],
        bad_packets_per_million: 0,
        duplicates_per_million: 0,
        ..SimulationConfig::default()
    })
}

fn welcome(handle: &Handle, config: &StreamConfig, args: &Stream) -> Result<String> {
    let address = handle.address();
    let topic = &args.topic;
    let host = match (&config.advertised_host, address.ip()) {
        (Some(host), _) => host.clone(),
        (None, ip) if ip.is_loopback() => "localhost".to_owned(),
        (None, ip) => ip.to_string(),
    };
    let port = config.advertised_port.unwrap_or(address.port());
    let kept = counted(kept(handle, topic)?, "message");
    let folder = args.folder.display();
    let who = match config.writers {
        Writers::Nobody => "Clients may only read.",
        Writers::Loopback => "Programs on this machine may write, others only read.",
        Writers::Anyone => "Every client may write.",
    };
    let open = if address.ip().is_loopback() || !config.users.is_empty() {
        ""
    } else {
        " Whoever reaches this address may connect (see --users and --tls-cert)."
    };
    Ok(format!(
        "Topic {topic} on {address}, kept in {folder}: {kept} so far.\n\
         Read it in Python (pip install kafka-python crc32c):\n\n  \
         from kafka import KafkaConsumer\n  \
         consumer = KafkaConsumer('{topic}', bootstrap_servers=['{host}:{port}'])\n\n\
         auto_offset_reset='earliest' begins with what is there already. {who}{open}\n\
         Ctrl-C ends it; the same command goes on where it stood.\n"
    ))
}

/// Messages of a topic that are kept.
fn kept(handle: &Handle, topic: &str) -> Result<u64> {
    let found = handle.topics().into_iter().find(|(name, _)| name == topic);
    let mut kept = 0;
    for partition in 0..found.map_or(0, |(_, n)| n) {
        let (start, next) = handle.offsets(topic, i32::try_from(partition)?)?;
        kept += u64::try_from(next - start).unwrap_or(0);
    }
    Ok(kept)
}

/// A topic of the stream in this process.
struct TopicSink {
    handle: Handle,
    topic: String,
    partitions: usize,
    places: Places,
    noted: Instant,
    line: Line,
}

impl Sink for TopicSink {
    fn send(&mut self, messages: Vec<Message>) -> Result<()> {
        let mut records = vec![Vec::new(); self.partitions];
        for Message { key, packet } in messages {
            let hash = key.as_deref().map_or(0, xxhash_rust::xxh3::xxh3_64);
            let partition = usize::try_from(hash % self.partitions as u64)?;
            let mut record = Record::new(packet.bytes)
                .with_header(places::HEADER, places::text(&packet.position));
            record.key = key;
            records[partition].push(record);
            self.places.sent(&packet.position);
        }
        for (partition, records) in (0..).zip(&records).filter(|(_, r)| !r.is_empty()) {
            self.handle.append(&self.topic, partition, records)?;
        }
        if self.noted.elapsed() >= NOTE_EVERY {
            self.note()?;
        }
        Ok(())
    }

    fn look(&mut self, tally: &Tally) {
        let connections = counted(self.handle.connections() as u64, "connection");
        self.line.show(tally, &connections);
    }
}

impl TopicSink {
    fn note(&mut self) -> Result<()> {
        self.noted = Instant::now();
        self.places.note(&self.handle, &self.topic)
    }

    /// Serves until somebody asks to stop.
    fn serve_on(&mut self, tally: &Tally, args: &Stream, stop: &Stop) {
        while !args.once && !stop.asked() {
            std::thread::sleep(Duration::from_millis(50));
            self.look(tally);
        }
        self.line.finish();
    }
}
