//! `pitt run` with streams from Kafka.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pitt_archive::ArchiveError;
use pitt_kafka::consume::InputSettings;

use super::night::{self, Outcome};
use super::run::{filters_of, tell};
use super::stop_on_ctrl_c;
use super::watched::Watched;
use crate::broker::Broker;
use crate::cli::Run;
use crate::config::{Config, kafka};
use crate::pipeline::Stop;
use crate::source::kafka::Kafka;

/// Longest wait between two passes.
const LONGEST: Duration = Duration::from_secs(30);

/// Reads streams until somebody asks to stop.
///
/// A pass ends when another program has taken over partitions and written to the archive before this one noticed. Nothing of such a
/// pass is written twice: the next one begins where the archive then stands.
pub(super) fn run(config: &Config, args: &Run) -> Result<ExitCode> {
    let stop = stop_on_ctrl_c()?;
    let begin = Instant::now();
    let mut watched = None;
    let mut wait = Duration::from_secs(1);
    loop {
        let begun = Instant::now();
        let passed = pass(config, &stop, &mut watched);
        match passed {
            Err(error) if is_overtaken(&error) && !stop.asked() => {
                tracing::warn!(
                    "{error:#}: another program has gone on there; reading again from where the archive stands"
                );
            }
            passed => {
                let settled = match watched.take() {
                    Some(watched) => watched.settle(passed),
                    None => passed,
                };
                let mut outcome = settled?;
                outcome.seconds = begin.elapsed().as_secs_f64();
                return tell(&outcome, &config.settings.archive, args.json);
            }
        }
        if begun.elapsed() > 2 * LONGEST {
            wait = Duration::from_secs(1);
        }
        let until = Instant::now() + wait;
        while Instant::now() < until && !stop.asked() {
            std::thread::sleep(Duration::from_millis(20));
        }
        wait = (2 * wait).min(LONGEST);
    }
}

fn pass(config: &Config, stop: &Stop, watched: &mut Option<Watched>) -> Result<Outcome> {
    let settings = &config.settings;
    let broker = Broker::open(settings, filters_of(config)?)?;
    let watched = match watched {
        Some(watched) => &*watched,
        none => &*none.insert(Watched::begin(config, &broker)?),
    };
    let kafka = Kafka::open(inputs(config, &broker)?, broker.schemas())?;
    let kafka = kafka.timed(watched.counters());
    watched.watch_streams(kafka.healths());
    let positions = broker.committed();
    let title = format!("Pitt Broker, into {}", settings.archive);
    night::pass_on(broker, (title, None), stop, watched, move |outlet| {
        Ok(kafka.run(&positions, outlet))
    })
}

/// What the consumers are told, with passwords, and with a group of this archive's own where none is set.
fn inputs(config: &Config, broker: &Broker) -> Result<Vec<InputSettings>> {
    let folder = broker.archive().folder().to_string_lossy();
    let mark = xxhash_rust::xxh3::xxh3_64(folder.as_bytes()) >> 32;
    let input = |input: &kafka::KafkaInput| {
        let name = &input.name;
        let mut settings = input
            .input(&format!("pitt-{name}-{mark:08x}"))
            .with_context(|| format!("kafka input `{name}`"))?;
        if settings.access.sign_in != pitt_kafka::SignIn::None {
            let environment = |name: &str| std::env::var(name).ok();
            settings.access.password =
                kafka::password("KAFKA", name, &input.password_file, environment)?;
        }
        Ok(settings)
    };
    config.settings.kafka.iter().map(input).collect()
}

/// Whether a pass ended because another program has gone on in its partitions.
fn is_overtaken(error: &anyhow::Error) -> bool {
    let overtaken = |cause: &ArchiveError| {
        matches!(
            cause,
            ArchiveError::Fenced { .. } | ArchiveError::Gap { .. }
        )
    };
    error
        .chain()
        .any(|cause| cause.downcast_ref().is_some_and(overtaken))
}
