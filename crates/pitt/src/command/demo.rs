//! `pitt demo`

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use pitt_archive::Archive;
use pitt_simulate::SimulationConfig;

use super::night::{self, Outcome};
use super::watched::Watched;
use super::{Misused, browser, query, settings, stop_on_ctrl_c};
use crate::broker::Broker;
use crate::cli::{Demo, Global, USUAL_ALERTS, USUAL_SEED};
use crate::config::Config;
use crate::filters;
use crate::pipeline::Stop;
use crate::screen;
use crate::source::simulated::Simulated;

/// Visits of each survey in a demo night.
const VISITS: u32 = 30;
/// Nights that can follow one another when the demo is run again.
const NIGHTS: u32 = 365;
/// Packets of a million that are damaged, or sent twice, so that there is something to see.
const FAULTS_PER_MILLION: u32 = 1000;
/// A pace that one can watch `[alerts/s]`.
const WATCHED_SPEED: f64 = 200.0;
/// How often it is looked whether somebody wants the end.
const NAP: Duration = Duration::from_millis(100);

pub(super) fn run(global: &Global, args: &Demo) -> Result<ExitCode> {
    let config = settings(global, vec![])?;
    let archive = config.settings.archive.clone();
    let stop = stop_on_ctrl_c()?;
    let (simulation, speed) = (simulation(args)?, speed(args)?);
    let per_night = u64::from(VISITS) * 2 * u64::from(simulation.alerts_per_visit);
    let mut broker = Broker::open(&config.settings, filters::examples()?)?;
    let sources = broker.sources();
    let source = Simulated::open(simulation, &sources, &broker.positions(), speed)?;
    let done = source.done_of_night();
    let look = broker.archive().clone();
    let title = format!("Pitt Broker: a simulated night of ZTF and LSST, into {archive}");
    let expected = if done < per_night {
        per_night - done
    } else {
        per_night
    };
    let watched = Watched::begin(&config, &broker)?;
    watched.watch_input("simulator", "simulator");
    let _sign = watched
        .pages()
        .filter(|_| is_watched() && !args.no_open)
        .and_then(|url| browser::open(&Path::new(&archive).join("status"), &url));
    let shown = (title, Some(expected));
    let outcome = night::pass_on(broker, shown, &stop, &watched, move |outlet| {
        Ok(source.run(outlet)?)
    });
    let outcome = outcome.and_then(|outcome| {
        let mut text = format!("\n{}", outcome.text(&archive));
        text.push_str(&next_steps(global, args, &config, &outcome, &look)?);
        screen::print(&text)?;
        if !outcome.stopped && is_watched() && !args.once {
            stay(&watched, &stop);
        }
        Ok(())
    });
    watched.settle(outcome)?;
    Ok(ExitCode::SUCCESS)
}

/// Whether a person sees what is printed.
fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

/// Keeps the pages there until Ctrl-C.
fn stay(watched: &Watched, stop: &Stop) {
    let Some(url) = watched.pages() else {
        return;
    };
    eprintln!(
        "\nThe night is over and in the archive. Its pages stay at {url}\nuntil Ctrl-C ends them (`--once` ends with the night)."
    );
    while !stop.asked() {
        std::thread::sleep(NAP);
    }
}

/// Alerts a second, 0 for no limit.
fn speed(args: &Demo) -> Result<f64> {
    let usual = if is_watched() { WATCHED_SPEED } else { 0.0 };
    let speed = args.speed.unwrap_or(usual);
    if !(speed >= 0.0 && speed.is_finite()) {
        bail!(Misused(format!(
            "--speed is {speed}, expected alerts per second, 0 for no limit"
        )));
    }
    Ok(speed)
}

fn simulation(args: &Demo) -> Result<SimulationConfig> {
    let visits = u64::from(VISITS) * 2;
    let alerts_per_visit = u32::try_from(args.alerts.div_ceil(visits))?;
    if alerts_per_visit == 0 {
        bail!(Misused("--alerts is 0, expected at least 1".into()));
    }
    let usual = SimulationConfig::default();
    Ok(SimulationConfig {
        seed: args.seed,
        first_night: first_night(args, usual.first_night),
        nights: NIGHTS,
        visits_per_night: VISITS,
        alerts_per_visit,
        bad_packets_per_million: FAULTS_PER_MILLION,
        duplicates_per_million: FAULTS_PER_MILLION,
        ..usual
    })
}

/// Ids carry the date, so another sky gets other nights: its alerts must not be taken for those of the first.
fn first_night(args: &Demo, usual: i32) -> i32 {
    if (args.seed, args.alerts) == (USUAL_SEED, USUAL_ALERTS) {
        return usual;
    }
    let choice = format!("{} {}", args.seed, args.alerts);
    let hash = xxhash_rust::xxh3::xxh3_64(choice.as_bytes()) % 90;
    let day = pitt_sky::time::MjdUtc::from_yyyymmdd(usual).map_or(61_095.0, |mjd| mjd.0);
    pitt_sky::time::MjdUtc(day + 30.5 + hash as f64 * 20.0).yyyymmdd()
}

/// Commands to try, with ids of this archive.
fn next_steps(
    global: &Global,
    args: &Demo,
    config: &Config,
    outcome: &Outcome,
    archive: &Archive,
) -> Result<String> {
    let here = global
        .archive
        .as_ref()
        .map_or_else(String::new, |folder| format!(" --archive {folder}"));
    let again = again(args);
    let mut text = String::new();
    if outcome.stopped {
        text.push_str(&format!(
            "Stopped; `pitt{here} demo{again}` goes on from here.\n"
        ));
    }
    text.push('\n');
    text.push_str(&outcome.matches());
    text.push_str(&format!("\nTry next:\n  pitt{here} ls\n"));
    if let Some((alert, object, place)) = favourite(config, archive)? {
        text.push_str(&format!("  pitt{here} show {alert}\n"));
        text.push_str(&format!("  pitt{here} stamps {alert} --png stamps.png\n"));
        text.push_str(&format!(
            "  pitt{here} lightcurve {object} --png lightcurve.png\n"
        ));
        text.push_str(&format!("  pitt{here} cone {place} 60\n"));
    }
    text.push_str(&format!(
        "  pitt{here} query \"SELECT filter, survey, count(*) AS n FROM matches GROUP BY filter, survey ORDER BY n DESC\"\n"
    ));
    text.push_str(&format!("  pitt{here} verify\n"));
    if !outcome.stopped {
        text.push_str(&format!(
            "  pitt{here} demo{again}        the next night, on top of this one\n"
        ));
    }
    Ok(text)
}

/// The flags that choose this sky, where they are not the usual ones.
fn again(args: &Demo) -> String {
    let mut flags = String::new();
    if args.alerts != USUAL_ALERTS {
        flags.push_str(&format!(" --alerts {}", args.alerts));
    }
    if args.seed != USUAL_SEED {
        flags.push_str(&format!(" --seed {}", args.seed));
    }
    flags
}

/// Alert, object and position of a match worth looking at: a supernova candidate if there is one.
fn favourite(config: &Config, archive: &Archive) -> Result<Option<(String, String, String)>> {
    if archive.surveys().is_empty() {
        return Ok(None);
    }
    let engine = query::engine(archive, &config.settings)?;
    let sql = "SELECT a.alert_id, a.object_id, a.ra, a.dec FROM matches m \
               JOIN alerts a ON a.alert_id = m.alert_id AND a.survey = m.survey \
               WHERE a.object_id IS NOT NULL \
               ORDER BY m.filter LIKE '%supernova%' DESC, a.survey DESC, a.reliability DESC, a.alert_id LIMIT 1";
    let found = query::texts(&engine, sql)?.into_iter().next();
    Ok(found.and_then(|row| {
        let [alert, object, ra, dec] = <[String; 4]>::try_from(row).ok()?;
        let (ra, dec): (f64, f64) = (ra.parse().ok()?, dec.parse().ok()?);
        Some((alert, object, format!("{ra:.5} {dec:.5}")))
    }))
}
