//! `pitt run`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use pitt_query::Filter;

use super::night::{self, Outcome};
use super::watched::Watched;
use super::{Misused, settings, stop_on_ctrl_c, streams};
use crate::broker::Broker;
use crate::cli::{Global, Run};
use crate::config::Config;
use crate::filters;
use crate::screen;
use crate::source::files::{Files, FilesOptions};

pub(super) fn run(global: &Global, args: &Run) -> Result<ExitCode> {
    let config = settings(global, flags(args))?;
    let paths = config.settings.source.paths.clone();
    match (paths.is_empty(), config.settings.kafka.is_empty()) {
        (true, true) => bail!(Misused(
            "nothing to read (give a folder with --from, a stream with --kafka, or either in pitt.toml; `pitt demo` makes alerts up)"
                .into()
        )),
        (false, false) => bail!(Misused(
            "both `source.paths` and [[kafka]] are set (one run reads files or streams: name the files with --from, or leave `source.paths` out)"
                .into()
        )),
        (true, false) => return streams::run(&config, args),
        (false, true) => {}
    }
    let stop = stop_on_ctrl_c()?;
    let mut broker = Broker::open(&config.settings, filters_of(&config)?)?;
    let files = open_files(&config, paths, &mut broker)?;
    let expected = Some(files.waiting()).filter(|waiting| *waiting > 0);
    let title = format!("Pitt Broker, into {}", config.settings.archive);
    let watched = Watched::begin(&config, &broker)?;
    watched.watch_input("files", "files");
    let outcome = night::pass_on(broker, (title, expected), &stop, &watched, move |outlet| {
        Ok(files.run(outlet)?)
    });
    let outcome = watched.settle(outcome)?;
    tell(&outcome, &config.settings.archive, args.json)
}

pub(super) fn tell(outcome: &Outcome, archive: &str, json: bool) -> Result<ExitCode> {
    if json {
        screen::print_json(&outcome.json())?;
    } else {
        let mut text = outcome.text(archive);
        text.push_str(&outcome.matches());
        if outcome.stopped {
            text.push_str("Stopped; the same command goes on from here.\n");
        }
        screen::print(&text)?;
    }
    Ok(if outcome.report.damaged.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn flags(args: &Run) -> Vec<(&'static str, toml::Value)> {
    let text = |path: &PathBuf| toml::Value::from(path.to_string_lossy().into_owned());
    let mut flags = vec![];
    if let Some(servers) = &args.kafka {
        let mut input = toml::Table::new();
        input.insert("servers".into(), servers.as_str().into());
        input.insert("topics".into(), args.topic.clone().into());
        if let Some(start) = &args.start {
            input.insert("start".into(), start.as_str().into());
        }
        flags.push(("kafka", toml::Value::Array(vec![input.into()])));
        flags.push(("source.paths", toml::Value::Array(vec![])));
    }
    if !args.from.is_empty() {
        flags.push(("kafka", toml::Value::Array(vec![])));
        flags.push((
            "source.paths",
            args.from.iter().map(text).collect::<Vec<_>>().into(),
        ));
    }
    if let Some(folder) = &args.filters {
        flags.push(("filters", text(folder)));
    }
    if args.follow {
        flags.push(("source.follow", true.into()));
    }
    flags
}

/// The filters that the settings name. The default folder need not exist.
pub(super) fn filters_of(config: &Config) -> Result<Vec<Filter>> {
    let folder = config.settings.filters.as_str();
    if folder.is_empty() || (config.is_default("filters") && !Path::new(folder).exists()) {
        return Ok(vec![]);
    }
    filters::load_all(Path::new(folder))
}

fn open_files(config: &Config, paths: Vec<PathBuf>, broker: &mut Broker) -> Result<Files> {
    let source = &config.settings.source;
    let options = FilesOptions {
        paths,
        sources: broker.sources(),
        follow: source
            .follow
            .then(|| Duration::from_secs_f64(source.rescan_s)),
        max_file_bytes: source.max_file_mb << 20,
    };
    Ok(Files::open(options, broker.committed())?)
}
