//! `pitt download`

use std::process::ExitCode;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use pitt_nights::{Choice, Listing, Release, Shelf, Shelved};
use serde_json::json;

use super::night::Outcome;
use super::{Misused, settings, stop_on_ctrl_c};
use crate::cli::{Download, Global};
use crate::download::{self, Fetched, Plan, is_same};
use crate::pipeline::{Counters, Stop};
use crate::screen::{self, Align, Table, bytes, count, counted};
use crate::source::public_nights::Display;

pub(super) fn run(global: &Global, args: &Download) -> Result<ExitCode> {
    let url = args.url.as_deref();
    let url = url.map(|url| ("archive_url", url.into()));
    let config = settings(global, url.into_iter().collect())?;
    let settings = &config.settings;
    let choice = choice(args)?;
    let (client, listing) = download::listing(settings)?;
    if args.list {
        return list(&listing, &download::shelf(settings), args.json);
    }
    let plan = Plan::make(settings, client, &listing, &choice)?;
    if !args.json {
        screen::print(&plan.announce())?;
    }
    plan.check_room(args.keep.as_deref(), args.force)?;
    if plan.wanted.is_empty() || args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    let stop = stop_on_ctrl_c()?;
    let view = View::new(plan.wanted.len());
    let fetched = plan.fetch(settings, args.keep.clone(), &stop, |display, counters| {
        view.show(display, counters);
    })?;
    view.bar.finish_and_clear();
    tell(fetched, &stop, &settings.archive, args.json)
}

fn choice(args: &Download) -> Result<Choice> {
    if args.night.is_empty() {
        return Ok(Choice::Newest(args.nights));
    }
    Choice::parse(&args.night).map_err(|error| Misused(error.to_string()).into())
}

/// The progress bar; hidden when stderr is no terminal.
struct View {
    bar: ProgressBar,
    nights: usize,
}

impl View {
    fn new(nights: usize) -> Self {
        let style = "{prefix} {wide_bar} {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left  {msg}";
        let style = ProgressStyle::with_template(style);
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        Self {
            bar: ProgressBar::new(0).with_style(style),
            nights,
        }
    }

    fn show(&self, display: &Display, counters: &Counters) {
        let Some(now) = display.now() else {
            return;
        };
        let progress = now.progress;
        self.bar
            .set_prefix(format!("{} ({} of {})", now.night, now.number, self.nights));
        self.bar.set_length(progress.total.unwrap_or(0));
        self.bar.set_position(progress.here);
        let packets = counted(counters.received.get(), "alert");
        self.bar.set_message(progress.trouble.unwrap_or(packets));
    }
}

fn tell(fetched: Fetched, stop: &Stop, archive: &str, as_json: bool) -> Result<ExitCode> {
    let nights = fetched.nights;
    let outcome = Outcome {
        counters: fetched.counters,
        report: fetched.report,
        seconds: fetched.seconds,
        stopped: stop.asked(),
        disabled: vec![],
    };
    if as_json {
        let mut told = outcome.json();
        told["nights"] = serde_json::to_value(&nights).context("cannot write JSON")?;
        screen::print_json(&told)?;
    } else {
        let mut text: String = nights
            .iter()
            .filter(|note| note.complete)
            .map(line)
            .collect();
        text.push_str(&outcome.text(archive));
        text.push_str(match outcome.stopped {
            true => "Stopped; the same command goes on from here.\n",
            false => "Next: `pitt ls`, `pitt query \"SELECT alert_id, object_id, mag(psf_flux) FROM alerts LIMIT 5\"`.\n",
        });
        screen::print(&text)?;
    }
    Ok(match outcome.report.damaged.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// One night in words.
fn line(note: &Shelved) -> String {
    let checked = match note.md5 {
        Some(_) => "checksum right",
        None => "no checksum listed",
    };
    let packets = counted(note.packets, "packet");
    format!(
        "{}: {packets}, {}, {checked}.\n",
        note.night,
        bytes(note.size)
    )
}

fn list(listing: &Listing, shelf: &Shelf, as_json: bool) -> Result<ExitCode> {
    let state = |release: &Release| -> Result<&'static str> {
        Ok(match shelf.get(release.night)? {
            Some(note) if is_same(&note, release) => "here",
            Some(note) if note.complete => "changed since",
            Some(_) => "begun",
            None if release.is_empty() => "no alerts",
            None => "",
        })
    };
    let states = listing.releases.iter().map(state);
    let states = states.collect::<Result<Vec<_>>>()?;
    if as_json {
        let rows = listing.releases.iter().zip(&states).map(|(release, state)| {
            json!({"night": release.night, "bytes": release.size, "md5": release.md5, "url": release.url, "state": state})
        });
        screen::print_json(&rows.collect())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new([
        ("night", Align::Left),
        ("size", Align::Right),
        ("", Align::Left),
    ]);
    for (release, state) in listing.releases.iter().zip(states) {
        let size = release.size.map_or_else(|| "–".to_owned(), bytes);
        table.row([release.night.to_string(), size, state.to_owned()]);
    }
    let total = count(listing.releases.len() as u64);
    screen::print(&format!(
        "{}{total} nights at {}\n",
        table.render(),
        listing.url
    ))?;
    Ok(ExitCode::SUCCESS)
}
