//! `pitt download`

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use pitt_nights::{Choice, Client, Listing, Patience, Release, Shelf, Shelved};
use serde_json::json;

use super::night::Outcome;
use super::{Misused, settings, stop_on_ctrl_c};
use crate::broker::Broker;
use crate::cli::{Download, Global};
use crate::config::Settings;
use crate::pipeline::{Counters, Stop};
use crate::screen::{self, Align, Table, bytes, count, counted};
use crate::source::public_nights::{Display, PublicNights};

/// Disk that stays free for everything else, bytes.
const SPARE: u64 = 1 << 30;

pub(super) fn run(global: &Global, args: &Download) -> Result<ExitCode> {
    let url = args
        .url
        .as_ref()
        .map(|url| ("archive_url", url.as_str().into()));
    let config = settings(global, url.into_iter().collect())?;
    let settings = &config.settings;
    let choice = choice(args)?;
    let client = Client::new(Patience::default());
    let listing = Listing::fetch(&client, &settings.archive_url)?;
    let shelf = shelf(settings);
    if args.list {
        return list(&listing, &shelf, args.json);
    }
    let (wanted, here) = plan(&listing, &choice, &shelf, &client)?;
    if !args.json {
        screen::print(&announce(&wanted, &here, &shelf, &listing.url))?;
    }
    check_room(&wanted, &shelf, args, Path::new(&settings.archive))?;
    if wanted.is_empty() || args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    shelf.create()?;
    let stop = stop_on_ctrl_c()?;
    let mut broker = Broker::open(settings, vec![])?;
    let nights = PublicNights::open(client, shelf.clone(), wanted.clone(), &broker.positions())?
        .keeping(args.keep.clone())
        .with_largest(settings.source.max_file_mb << 20);
    let outcome = fetch(broker, nights, wanted.len(), &stop)?;
    tell(&outcome, &wanted, &shelf, settings, args.json)
}

/// Where an archive keeps what it knows of public nights.
pub(super) fn shelf(settings: &Settings) -> Shelf {
    Shelf::new(Path::new(&settings.archive).join("nights"))
}

fn choice(args: &Download) -> Result<Choice> {
    if args.night.is_empty() {
        return Ok(Choice::Newest(args.nights));
    }
    Choice::parse(&args.night).map_err(|error| Misused(error.to_string()).into())
}

/// The nights to fetch, with exact sizes, and those that are here.
fn plan(
    listing: &Listing,
    choice: &Choice,
    shelf: &Shelf,
    client: &Client,
) -> Result<(Vec<Release>, Vec<Release>)> {
    // The newest night that is here counts as fetched: running a script again must not bring another 10 GB each time.
    let (mut wanted, mut here) = (vec![], vec![]);
    for release in choice.among(listing)? {
        match shelf.get(release.night)? {
            Some(note) if is_same(&note, &release) => here.push(release),
            _ => wanted.push(release.measured(client)),
        }
    }
    Ok((wanted, here))
}

/// Whether what is here is what the server has.
fn is_same(note: &Shelved, release: &Release) -> bool {
    note.complete && (release.md5.is_none() || note.md5 == release.md5)
}

fn announce(wanted: &[Release], here: &[Release], shelf: &Shelf, url: &str) -> String {
    let mut text = String::new();
    if !here.is_empty() {
        let nights = counted(here.len() as u64, "night");
        text.push_str(&format!("{nights} from {url} here already.\n"));
    }
    if wanted.is_empty() {
        text.push_str("Nothing to fetch.\n");
        return text;
    }
    let total: u64 = wanted.iter().filter_map(|release| release.size).sum();
    let begun: u64 = wanted.iter().map(|release| shelf.begun(release)).sum();
    let nights: Vec<String> = wanted.iter().take(8).map(|r| r.night.to_string()).collect();
    let more = match wanted.len() {
        0..=8 => String::new(),
        all => format!(" and {} more", all - 8),
    };
    text.push_str(&format!(
        "To fetch from {url}: {}, {}{}: {}{more}.\n",
        counted(wanted.len() as u64, "night"),
        bytes(total),
        if begun > 0 {
            format!(" ({} of it here)", bytes(begun))
        } else {
            String::new()
        },
        nights.join(", ")
    ));
    text
}

/// Refuses to begin what the disk cannot take: a tarball on its way, and the archive's copy of all packets.
fn check_room(wanted: &[Release], shelf: &Shelf, args: &Download, archive: &Path) -> Result<()> {
    let sizes = || wanted.iter().filter_map(|release| release.size);
    let on_the_way = match args.keep {
        Some(_) => sizes().sum(),
        None => sizes().max().unwrap_or(0),
    };
    let begun: u64 = wanted.iter().map(|release| shelf.begun(release)).sum();
    let needed = (sizes().sum::<u64>() + on_the_way).saturating_sub(begun);
    let Some(free) = free_space(archive) else {
        return Ok(());
    };
    if needed + SPARE > free && !args.force {
        bail!(
            "{} are needed at {} (the tarball on its way and the archive's packets) and {} to spare; {} are free \
             (make room, choose fewer nights, name another --archive, or --force)",
            bytes(needed),
            archive.display(),
            bytes(SPARE),
            bytes(free)
        );
    }
    Ok(())
}

/// Bytes free for us where a folder is or will be.
pub(super) fn free_space(folder: &Path) -> Option<u64> {
    let absolute = std::path::absolute(folder).ok()?;
    let there = absolute.ancestors().find(|folder| folder.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    Some(disk.f_bavail * disk.f_frsize)
}

fn fetch(broker: Broker, nights: PublicNights, number: usize, stop: &Stop) -> Result<Outcome> {
    let counters = Arc::new(Counters::new(0));
    let display = nights.display();
    let view = View::new(number);
    let begin = std::time::Instant::now();
    let report = broker.run(
        |outlet| Ok(nights.run(outlet)?),
        &counters,
        stop,
        |counters| {
            if stop.asked() {
                display.stop();
            }
            view.show(&display, counters);
        },
    )?;
    view.bar.finish_and_clear();
    Ok(Outcome {
        counters,
        report,
        filters: vec![],
        seconds: begin.elapsed().as_secs_f64(),
        stopped: stop.asked(),
        disabled: vec![],
    })
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

fn tell(
    outcome: &Outcome,
    wanted: &[Release],
    shelf: &Shelf,
    settings: &Settings,
    as_json: bool,
) -> Result<ExitCode> {
    let notes: Vec<Shelved> = wanted
        .iter()
        .filter_map(|release| shelf.get(release.night).transpose())
        .collect::<Result<_, _>>()?;
    if as_json {
        let mut told = outcome.json();
        told["nights"] = serde_json::to_value(&notes).context("cannot write JSON")?;
        screen::print_json(&told)?;
    } else {
        let mut text = String::new();
        for note in notes.iter().filter(|note| note.complete) {
            text.push_str(&format!(
                "{}: {}, {}, checksum {}.\n",
                note.night,
                counted(note.packets, "packet"),
                bytes(note.size),
                if note.md5.is_some() {
                    "right"
                } else {
                    "not listed"
                }
            ));
        }
        text.push_str(&outcome.text(&settings.archive));
        if outcome.stopped {
            text.push_str("Stopped; the same command goes on from here.\n");
        } else {
            text.push_str("Next: `pitt ls`, `pitt query \"SELECT alert_id, object_id, mag(psf_flux) FROM alerts LIMIT 5\"`.\n");
        }
        screen::print(&text)?;
    }
    Ok(match outcome.report.damaged.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
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
