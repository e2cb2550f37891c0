//! `pitt replay`

use std::process::ExitCode;

use anyhow::{Result, bail};
use pitt_archive::Archive;
use pitt_kafka::{Access, SignIn};
use serde_json::json;

use super::sent::{self, Told};
use super::{Misused, query, settings, stop_on_ctrl_c};
use crate::broker::{self, open_archive};
use crate::cli::{Global, Replay};
use crate::config::{Settings, kafka};
use crate::feed::cluster::Cluster;
use crate::feed::history::History;
use crate::feed::{Feed, Pace};
use crate::source::Outlet;

pub(super) fn run(global: &Global, args: &Replay) -> Result<ExitCode> {
    let settings = settings(global, vec![])?.settings;
    let pace = Pace::of(args.rate, args.speedup).map_err(Misused)?;
    let access = access(&settings, args)?;
    let archive = open_archive(&settings, false)?;
    let chosen = match &args.filter {
        Some(filter) => Some(matched(&archive, &settings, filter, args.night)?),
        None => None,
    };
    let largest = settings.output.max_message_bytes();
    let sink = Cluster::new(&access, &args.topic, largest)?;
    let schemas = broker::schemas(&settings, None)?;
    let stop = stop_on_ctrl_c()?;
    let mut feed = Feed::new(sink, pace, schemas, largest, stop.clone());
    match chosen {
        Some(chosen) => send_matched(&archive, &chosen, &mut feed)?,
        None => {
            let from_the_first = |_: &str| 0;
            History::open(archive, args.night, &from_the_first)?.run(&mut feed)?;
        }
    }
    let (sink, tally) = feed.finish()?;
    sink.finish()?;
    let told = Told {
        topic: &args.topic,
        tail: format!(" at {}", access.servers),
        more: json!({}),
        good: !stop.asked(),
    };
    sent::tell(&tally, told, args.json)
}

/// The cluster that `[output]` names, or another one without signing in.
fn access(settings: &Settings, args: &Replay) -> Result<Access> {
    let Some(servers) = &args.servers else {
        let output = &settings.output;
        if !output.is_on() {
            bail!(Misused(
                "no cluster to send to (give --servers HOST:PORT, or `output.servers` in pitt.toml)".into()
            ));
        }
        let mut access = output.access()?;
        if access.sign_in != SignIn::None {
            let environment = |name: &str| std::env::var(name).ok();
            access.password =
                kafka::password("OUTPUT", "output", &output.password_file, environment)?;
        }
        return Ok(access);
    };
    Ok(Access {
        servers: servers.clone(),
        ..Access::default()
    })
}

/// Survey and id of each alert that a filter matched, in the order in which they were matched.
fn matched(
    archive: &Archive,
    settings: &Settings,
    filter: &str,
    night: Option<i32>,
) -> Result<Vec<(String, i64)>> {
    let engine = query::engine(archive, settings)?;
    let name = filter.replace('\'', "''");
    let night = night.map_or_else(String::new, |n| format!(" AND a.night = {n}"));
    let sql = format!(
        "SELECT m.survey, m.alert_id FROM matches m \
         JOIN alerts a ON a.alert_id = m.alert_id AND a.survey = m.survey \
         WHERE m.filter = '{name}'{night} \
         GROUP BY m.survey, m.alert_id ORDER BY min(a.mjd_tai), m.alert_id"
    );
    let rows = query::texts(&engine, &sql)?;
    if rows.is_empty() {
        bail!(
            "filter `{filter}` has no matches there (`pitt query \"SELECT filter, count(*) FROM matches GROUP BY filter\"` lists those that have)"
        );
    }
    let of = |row: Vec<String>| {
        let [survey, id] = <[String; 2]>::try_from(row).ok()?;
        Some((survey, id.parse().ok()?))
    };
    Ok(rows.into_iter().filter_map(of).collect())
}

fn send_matched(
    archive: &Archive,
    chosen: &[(String, i64)],
    outlet: &mut dyn Outlet,
) -> Result<()> {
    for (survey, id) in chosen {
        let Some(stored) = archive.packet(survey, *id)? else {
            bail!("alert {id} of {survey} is matched and not stored (run `pitt verify`)");
        };
        if outlet.packet(stored.into_packet()).is_break() {
            break;
        }
    }
    Ok(())
}
