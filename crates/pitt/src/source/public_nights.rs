//! ZTF's public nights, from the network straight into the archive.
//!
//! A tarball is fetched into a file under `<archive>/nights` and unpacked behind the transfer; the file goes once all of
//! its packets are committed. So an interrupted night goes on at the byte, and at the packet, where it stood.
//!
//! Partition `ztf-public:<night>/<first 12 digits of the listed checksum>`, with `/2` and so on after a transfer whose
//! checksum was wrong; number of the packet among the tarball's packets. A night that was run again by the survey has
//! another checksum, and so a partition of its own: what did not change in it counts as duplicate.

use std::io::{self, BufReader};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use flate2::read::MultiGzDecoder;
use pitt_nights::{Client, NightsError, Progress, Release, Shelf, Shelved, Transfer};

use super::tarball::Reader;
use super::{Outlet, Positions, SourceError, SourceReport};

/// Begins of one night before it is given up because it keeps changing on the server.
const MOST_CHANGES: u32 = 3;
/// Buffer between the file and the decompressor, bytes.
const BUFFER: usize = 1 << 20;

/// What is fetched at the moment, for the screen.
#[derive(Clone, Debug, Default)]
pub struct NowFetching {
    /// YYYYMMDD.
    pub night: i32,
    /// Which of the nights chosen, from 1.
    pub number: usize,
    /// How far it is.
    pub progress: Progress,
}

/// Where the source tells what it does.
#[derive(Clone, Debug, Default)]
pub struct Display(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    night: i32,
    number: usize,
    transfer: Option<Arc<Transfer>>,
}

impl Display {
    /// What is fetched now; `None` between two nights.
    pub fn now(&self) -> Option<NowFetching> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(NowFetching {
            night: inner.night,
            number: inner.number,
            progress: inner.transfer.as_ref()?.progress(),
        })
    }

    /// Asks the transfer under way to stop, so that nobody waits for the network.
    pub fn stop(&self) {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(transfer) = &inner.transfer {
            transfer.stop();
        }
    }

    fn set(&self, night: i32, number: usize, transfer: Option<Arc<Transfer>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Inner {
            night,
            number,
            transfer,
        };
    }
}

/// Nights to fetch.
pub struct PublicNights {
    client: Client,
    shelf: Shelf,
    keep: Option<PathBuf>,
    max_bytes: u64,
    nights: Vec<Planned>,
    display: Display,
}

/// One night, and where the archive stands in it.
struct Planned {
    release: Release,
    note: Shelved,
    start: i64,
}

impl PublicNights {
    /// Plans nights; asks the archive where it stands in each.
    ///
    /// # Errors
    /// The archive cannot say, or a note of an earlier run cannot be read.
    pub fn open(
        client: Client,
        shelf: Shelf,
        releases: Vec<Release>,
        positions: &dyn Positions,
    ) -> Result<Self, PublicNightsError> {
        let plan = |release: Release| {
            let note = note(&shelf, &release)?;
            let start = positions.next_offset(&note.partition)?;
            Ok(Planned {
                release,
                note,
                start,
            })
        };
        let nights = releases.into_iter().map(plan);
        let nights = nights.collect::<Result<_, PublicNightsError>>()?;
        Ok(Self {
            client,
            shelf,
            keep: None,
            max_bytes: 256 << 20,
            nights,
            display: Display::default(),
        })
    }

    /// Keeps the tarballs in a folder.
    pub fn keeping(mut self, keep: Option<PathBuf>) -> Self {
        self.keep = keep;
        self
    }

    /// Takes members of up to so many bytes for packets.
    pub fn with_largest(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Where it will tell what it does.
    pub fn display(&self) -> Display {
        self.display.clone()
    }

    /// Fetches night after night. One that fails is named in the report, and the next one follows.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn run(mut self, outlet: &mut dyn Outlet) -> Result<SourceReport, PublicNightsError> {
        let mut report = SourceReport::default();
        let nights = std::mem::take(&mut self.nights);
        for (index, mut night) in nights.into_iter().enumerate() {
            let mut changes = 0;
            loop {
                match self.night(index + 1, &mut night, outlet, &mut report) {
                    Ok(ControlFlow::Continue(())) => break,
                    Ok(ControlFlow::Break(())) | Err(NightsError::Stopped) => return Ok(report),
                    Err(NightsError::Changed { .. }) if changes < MOST_CHANGES => changes += 1,
                    Err(error @ (NightsError::Disk { .. } | NightsError::Note { .. })) => {
                        return Err(error.into());
                    }
                    Err(error) => {
                        tracing::error!("{error}");
                        report.damaged.push(error.to_string());
                        break;
                    }
                }
            }
        }
        Ok(report)
    }

    fn night(
        &self,
        number: usize,
        night: &mut Planned,
        outlet: &mut dyn Outlet,
        report: &mut SourceReport,
    ) -> Result<ControlFlow<()>, NightsError> {
        self.shelf.put(&night.note)?;
        let part = self.shelf.part(&night.release);
        let transfer = Transfer::start(self.client.clone(), night.release.clone(), part)?;
        let transfer = Arc::new(transfer);
        self.display
            .set(night.note.night, number, Some(transfer.clone()));
        let mut reader = Reader {
            partition: night.note.partition.as_str().into(),
            name: night.release.name.clone(),
            number: 0,
            start: night.start,
            max_bytes: self.max_bytes,
            refused: Some(vec![]),
        };
        let unpacked = unpack(&transfer, &mut reader, outlet, report)?;
        self.display.set(night.note.night, number, None);
        if matches!(unpacked, Ok(ControlFlow::Break(()))) {
            return Ok(ControlFlow::Break(()));
        }
        // What the transfer says comes before what the unpacking says, which it may explain.
        let size = transfer.progress().here;
        self.verified(transfer, night)?;
        self.complete(night, size, reader, unpacked, outlet, report)
    }

    /// Waits for the checksum. After a wrong one the next transfer's packets stand in a partition of their own.
    fn verified(&self, transfer: Arc<Transfer>, night: &mut Planned) -> Result<(), NightsError> {
        let Some(transfer) = Arc::into_inner(transfer) else {
            return Err(NightsError::Stopped);
        };
        match transfer.finish() {
            Ok(md5) => {
                night.note.md5 = Some(md5);
                Ok(())
            }
            Err(error) => {
                if matches!(error, NightsError::WrongChecksum { .. }) {
                    night.note.attempt += 1;
                    night.note.partition = partition(&night.release, night.note.attempt);
                    self.shelf.put(&night.note)?;
                }
                Err(error)
            }
        }
    }

    fn complete(
        &self,
        night: &mut Planned,
        size: u64,
        reader: Reader,
        unpacked: io::Result<ControlFlow<()>>,
        outlet: &mut dyn Outlet,
        report: &mut SourceReport,
    ) -> Result<ControlFlow<()>, NightsError> {
        let name = &night.release.name;
        let mut refused = reader.refused.unwrap_or_default();
        if let Err(error) = unpacked {
            refused.push(format!("all after packet {}: {error}", reader.number));
        }
        let told = refused.iter().map(|what| format!("{name}: {what}"));
        report.damaged.extend(told);
        if outlet.flush().is_break() {
            return Ok(ControlFlow::Break(()));
        }
        night.note.size = size;
        night.note.packets = reader.number.unsigned_abs();
        night.note.refused = refused;
        night.note.complete = true;
        self.shelf.put(&night.note)?;
        self.shelf.clear(&night.release, self.keep.as_deref())?;
        Ok(ControlFlow::Continue(()))
    }
}

/// Unpacks to the end of the tarball and of the file, so that the transfer has its last word.
fn unpack(
    transfer: &Transfer,
    reader: &mut Reader,
    outlet: &mut dyn Outlet,
    report: &mut SourceReport,
) -> Result<io::Result<ControlFlow<()>>, NightsError> {
    let file = BufReader::with_capacity(BUFFER, transfer.reader()?);
    let mut bytes = MultiGzDecoder::new(file);
    let mut outcome = reader.members(&mut bytes, outlet, report);
    if matches!(outcome, Ok(ControlFlow::Continue(()))) {
        outcome = io::copy(&mut bytes, &mut io::sink()).map(|_| ControlFlow::Continue(()));
    }
    Ok(outcome)
}

/// What is known of a night; begun anew when the survey has another file by now.
fn note(shelf: &Shelf, release: &Release) -> Result<Shelved, NightsError> {
    let known = shelf.get(release.night)?;
    if let Some(known) = known.filter(|known| !known.complete && known.url == release.url)
        && known.partition == partition(release, known.attempt)
    {
        return Ok(known);
    }
    Ok(Shelved {
        night: release.night,
        url: release.url.clone(),
        partition: partition(release, 1),
        md5: release.md5,
        size: release.size.unwrap_or_default(),
        packets: 0,
        refused: vec![],
        attempt: 1,
        complete: false,
    })
}

fn partition(release: &Release, attempt: u32) -> String {
    let sum = match release.md5 {
        Some(md5) => md5.to_string()[..12].to_owned(),
        None => format!("unlisted-{}", release.size.unwrap_or_default()),
    };
    let again = match attempt {
        1 => String::new(),
        attempt => format!("/{attempt}"),
    };
    format!("ztf-public:{}/{sum}{again}", release.night)
}

/// What ends a download.
#[derive(Debug, thiserror::Error)]
pub enum PublicNightsError {
    /// The network, the server or the disk.
    #[error(transparent)]
    Nights(#[from] NightsError),
    /// The archive.
    #[error(transparent)]
    Source(#[from] SourceError),
}
