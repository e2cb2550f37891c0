//! Nights of ZTF's public archive into ours: planned, checked, fetched. Behind `pitt download` and Python's
//! `download_data`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, bail};
use pitt_nights::{Choice, Client, Listing, Patience, Release, Shelf, Shelved};

use crate::broker::Broker;
use crate::config::Settings;
use crate::pipeline::{Counters, Stop};
use crate::screen::{bytes, counted};
use crate::source::SourceReport;
use crate::source::public_nights::{Display, PublicNights};
use crate::telemetry::process;

/// Disk that stays free for everything else, bytes.
const SPARE: u64 = 1 << 30;

/// Where an archive keeps what it knows of public nights.
pub fn shelf(settings: &Settings) -> Shelf {
    Shelf::new(Path::new(&settings.archive).join("nights"))
}

/// Which nights to fetch, from where, into which archive.
pub struct Plan {
    /// Address of the public archive.
    pub url: String,
    /// Nights to fetch, with exact sizes.
    pub wanted: Vec<Release>,
    /// Nights chosen that are here already.
    pub here: Vec<Release>,
    client: Client,
    shelf: Shelf,
    archive: PathBuf,
}

/// What came of it.
pub struct Fetched {
    /// What the archive took.
    pub counters: Arc<Counters>,
    /// What the source has to say.
    pub report: SourceReport,
    /// One note a night, also of those that are not complete.
    pub nights: Vec<Shelved>,
    /// Time it took, s.
    pub seconds: f64,
}

/// A client, and what the archive of the settings has.
///
/// # Errors
/// The archive cannot be reached or is none.
pub fn listing(settings: &Settings) -> Result<(Client, Listing)> {
    let client = Client::new(Patience::default());
    let listing = Listing::fetch(&client, &settings.archive_url)?;
    Ok((client, listing))
}

impl Plan {
    /// Chooses among what the archive has and we do not.
    ///
    /// # Errors
    /// A night named that the archive does not have; a note of an earlier run that cannot be read.
    pub fn make(
        settings: &Settings,
        client: Client,
        listing: &Listing,
        choice: &Choice,
    ) -> Result<Self> {
        let shelf = shelf(settings);
        // The newest night that is here counts as fetched: running a script again must not bring another 10 GB each time.
        let (mut wanted, mut here) = (vec![], vec![]);
        for release in choice.among(listing)? {
            match shelf.get(release.night)? {
                Some(note) if is_same(&note, &release) => here.push(release),
                _ => wanted.push(release.measured(&client)),
            }
        }
        Ok(Self {
            url: listing.url.clone(),
            wanted,
            here,
            client,
            shelf,
            archive: settings.archive.clone().into(),
        })
    }

    /// What will be fetched, in sentences.
    pub fn announce(&self) -> String {
        let (url, wanted) = (&self.url, &self.wanted);
        let mut text = String::new();
        if !self.here.is_empty() {
            let nights = counted(self.here.len() as u64, "night");
            text.push_str(&format!("{nights} from {url} here already.\n"));
        }
        if wanted.is_empty() {
            text.push_str("Nothing to fetch.\n");
            return text;
        }
        let total: u64 = wanted.iter().filter_map(|release| release.size).sum();
        let begun: u64 = wanted.iter().map(|release| self.shelf.begun(release)).sum();
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
    ///
    /// # Errors
    /// There is not enough room, and `force` is not set.
    pub fn check_room(&self, keep: Option<&Path>, force: bool) -> Result<()> {
        let sizes = || self.wanted.iter().filter_map(|release| release.size);
        let on_the_way = match keep {
            Some(_) => sizes().sum(),
            None => sizes().max().unwrap_or(0),
        };
        let begun: u64 = self
            .wanted
            .iter()
            .map(|release| self.shelf.begun(release))
            .sum();
        let needed = (sizes().sum::<u64>() + on_the_way).saturating_sub(begun);
        let Some(free) = free_space(&self.archive) else {
            return Ok(());
        };
        if needed + SPARE > free && !force {
            bail!(
                "{} are needed at {} (the tarball on its way and the archive's packets) and {} to spare; {} are free \
                 (make room, choose fewer nights, name another --archive, or --force)",
                bytes(needed),
                self.archive.display(),
                bytes(SPARE),
                bytes(free)
            );
        }
        Ok(())
    }

    /// Fetches. `observe` is called ten times a second on the calling thread.
    ///
    /// # Errors
    /// Disk or archive cannot be written. A night that fails is in the report.
    pub fn fetch(
        self,
        settings: &Settings,
        keep: Option<PathBuf>,
        stop: &Stop,
        mut observe: impl FnMut(&Display, &Counters),
    ) -> Result<Fetched> {
        self.shelf.create()?;
        let mut broker = Broker::open(settings, vec![])?;
        let positions = broker.positions();
        let nights = PublicNights::open(
            self.client,
            self.shelf.clone(),
            self.wanted.clone(),
            &positions,
        )?;
        let nights = nights
            .keeping(keep)
            .with_largest(settings.source.max_file_mb << 20);
        let counters = Arc::new(Counters::default());
        let display = nights.display();
        let begin = Instant::now();
        let source = |outlet: &mut dyn crate::source::Outlet| Ok(nights.run(outlet)?);
        let report = broker.run(source, &counters, stop, |counters| {
            if stop.asked() {
                display.stop();
            }
            observe(&display, counters);
        })?;
        let notes = self
            .wanted
            .iter()
            .map(|release| self.shelf.get(release.night));
        Ok(Fetched {
            nights: notes
                .filter_map(Result::transpose)
                .collect::<Result<_, _>>()?,
            counters,
            report,
            seconds: begin.elapsed().as_secs_f64(),
        })
    }
}

/// Whether what is here is what the server has.
pub fn is_same(note: &Shelved, release: &Release) -> bool {
    note.complete && (release.md5.is_none() || note.md5 == release.md5)
}

/// Bytes free for us where a folder is or will be.
fn free_space(folder: &Path) -> Option<u64> {
    let absolute = std::path::absolute(folder).ok()?;
    let there = absolute.ancestors().find(|folder| folder.exists())?;
    Some(process::disk(there)?.0)
}
