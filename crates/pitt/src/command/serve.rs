//! `pitt serve`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use pitt_alert::SchemaStore;
use pitt_archive::Archive;

use super::run::filters_of;
use super::watched::invite;
use super::{Misused, settings, stop_on_ctrl_c};
use crate::broker::{OffList, open_archive, schemas};
use crate::cli::{Global, Serve};
use crate::config::Config;
use crate::filters::FilterDesk;
use crate::http::api::Api;
use crate::http::registry::{Catalogue, Topics};
use crate::http::{Port, Site};
use crate::screen;
use crate::telemetry::Telemetry;

/// Time between two looks at what others have committed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time between two looks at Ctrl-C.
const BREATH: Duration = Duration::from_millis(100);

pub(super) fn run(global: &Global, args: &Serve) -> Result<ExitCode> {
    let listen = args.listen.iter();
    let flags = listen.map(|listen| ("http.listen", listen.as_str().into()));
    let config = settings(global, flags.collect())?;
    let archive = open_archive(&config.settings, false)?;
    let filters = Arc::new(filter_desk(&config, &archive)?);
    let telemetry = Arc::new(Telemetry::new(&archive, &filters, &Arc::default()));
    telemetry.count_archive();
    let stored = archive.clone();
    let site = Site {
        telemetry: telemetry.clone(),
        schemas: Arc::new(Catalogue::new(
            move || stored.schemas(),
            SchemaStore::new(),
            Topics::new,
        )),
        api: Api::new(telemetry.clone(), &config.settings)?,
    };
    let stop = stop_on_ctrl_c()?;
    let chosen = !config.is_default("http.listen");
    let Some(port) = Port::open(&config.settings.http, chosen, site)? else {
        bail!(Misused(
            "`http.listen` is \"\": there is no port to serve (give one with --listen 127.0.0.1:8080)".into()
        ));
    };
    telemetry.set_url(port.url());
    let url = port.url();
    let pages = port.session_url().unwrap_or_else(|| url.clone());
    screen::print(&format!(
        "Serving {} at {pages}\n  {url}/api/v1/             what there is\n  {url}/api/v1/openapi.json  the same for programs\n\
         Ctrl-C ends it.\n",
        archive.folder().display()
    ))?;
    invite(&port);
    if !archive.has_index() {
        tracing::warn!(
            "another process has the index of this archive: look-ups scan the tables, which is slower"
        );
    }
    let mut looked = Instant::now();
    while !stop.asked() {
        std::thread::sleep(BREATH);
        if looked.elapsed() >= LOOK_EVERY {
            // A log that cannot be read now is read at the next look; what was read before still stands.
            match archive.follow() {
                Ok(true) => telemetry.count_archive(),
                Ok(false) => {}
                Err(error) => tracing::warn!("cannot read what was committed since: {error}"),
            }
            looked = Instant::now();
        }
    }
    drop(port);
    Ok(ExitCode::SUCCESS)
}

/// The filters that the settings name and those of the archive's book: nothing is judged here, but they can be read and tried.
fn filter_desk(config: &Config, archive: &Archive) -> Result<FilterDesk> {
    let failed = OffList::of(archive.folder())
        .committed(|partition| Ok(archive.committed_offset(partition)?))?;
    let schemas = schemas(&config.settings, Some(archive.folder()))?;
    FilterDesk::open(archive.folder(), filters_of(config)?, schemas, &failed)
}
