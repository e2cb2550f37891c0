//! Folders of packets and tarballs, however deep.
//!
//! A run that follows takes a file when it is whole: as it was at the look before, or not touched for
//! [`SETTLED`](super::look::SETTLED). A tarball that grows while it is followed is read on from where it ended. A run that does not
//! follow takes what is there, and says of a file that changed meanwhile that it did.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pitt_alert::{Packet, Position};

use super::finished::Finished;
use super::look::{FileState, Look, Settling};
use super::manifest::Manifest;
use super::{Outlet, Positions, SourceError, SourceReport, now_us, tarball};

/// How files are read.
#[derive(Clone, Debug)]
pub struct FilesOptions {
    /// Folders, packet files, tarballs.
    pub paths: Vec<PathBuf>,
    /// Where the lists of discovered files are kept: `<archive>/sources`.
    pub sources: PathBuf,
    /// Stay for new files, looking every so often.
    pub follow: Option<Duration>,
    /// Larger files are not packets.
    pub max_file_bytes: u64,
}

/// Packets from files.
pub struct Files {
    options: FilesOptions,
    positions: Box<dyn Positions + Send>,
    /// Manifest and next number of each folder with loose files.
    folders: BTreeMap<PathBuf, (Manifest, usize)>,
    tarballs: BTreeMap<PathBuf, Tarball>,
    finished: Finished,
    settling: Settling,
    too_large: Vec<PathBuf>,
    report: SourceReport,
}

/// A tarball that was seen.
struct Tarball {
    /// Number of the next packet.
    next: i64,
    /// How it is now, when it waits to be read.
    due: Option<FileState>,
    /// How it was when it was last read.
    read: Option<FileState>,
    /// Why it could not be read to its end.
    damage: Option<String>,
}

impl Files {
    /// Looks through the paths once, so that a wrong one is an error at once.
    ///
    /// `positions` tells where the archive stands in what is found, now and while the source runs.
    ///
    /// # Errors
    /// A path does not exist, or the list of files cannot be kept.
    pub fn open(
        options: FilesOptions,
        positions: impl Positions + Send + 'static,
    ) -> Result<Self, SourceError> {
        let mut files = Self {
            finished: Finished::open(&options.sources),
            options,
            positions: Box::new(positions),
            folders: BTreeMap::new(),
            tarballs: BTreeMap::new(),
            settling: Settling::default(),
            too_large: vec![],
            report: SourceReport::default(),
        };
        let mut look = Look::default();
        for path in &files.options.paths {
            look.path(path, files.options.max_file_bytes)?;
        }
        files.take(look)?;
        Ok(files)
    }

    /// Loose files still to be read; tarballs do not say how many packets they hold.
    pub fn waiting(&self) -> u64 {
        self.folders
            .values()
            .map(|(manifest, next)| (manifest.names().len() - next) as u64)
            .sum()
    }

    /// Hands out every packet, then ends, or stays if it follows.
    ///
    /// # Errors
    /// The list of files cannot be kept, or the archive does not say where it stands.
    pub fn run(mut self, outlet: &mut dyn Outlet) -> Result<SourceReport, SourceError> {
        while self.loose(outlet).is_continue() && self.packed(outlet).is_continue() {
            let Some(wait) = self.options.follow else {
                break;
            };
            if outlet.pause(wait).is_break() {
                break;
            }
            self.look_again()?;
        }
        Ok(self.reported())
    }

    fn reported(mut self) -> SourceReport {
        let damage = self.tarballs.into_values();
        let damage = damage.filter_map(|tarball| tarball.damage);
        self.report.damaged.extend(damage);
        let limit = self.options.max_file_bytes >> 20;
        let told = |path: &PathBuf| {
            let path = path.display();
            format!("{path}: larger than {limit} MB (raise `source.max_file_mb`)")
        };
        self.report.damaged.extend(self.too_large.iter().map(told));
        self.report
    }

    fn packed(&mut self, outlet: &mut dyn Outlet) -> ControlFlow<()> {
        for (path, tarball) in &mut self.tarballs {
            let Some(state) = tarball.due.take() else {
                continue;
            };
            let bytes = self.options.max_file_bytes;
            let read = tarball::read(path, tarball.next, bytes, outlet, &mut self.report)?;
            (tarball.next, tarball.damage) = (read.next, read.damage);
            let steady = FileState::at(path).is_ok_and(|after| after == state);
            // One that changed is read on when it is whole; or by the next run, and then is told of here.
            tarball.read = steady.then_some(state);
            if tarball.damage.is_some() {
                continue;
            }
            if steady {
                self.finished.add(path, state, tarball.next);
            } else {
                tarball.damage = Some(changed(path));
            }
        }
        ControlFlow::Continue(())
    }

    fn loose(&mut self, outlet: &mut dyn Outlet) -> ControlFlow<()> {
        for (root, (manifest, next)) in &mut self.folders {
            let partition: Arc<str> = partition(root).into();
            for name in &manifest.names()[*next..] {
                let packet = Packet {
                    position: Position {
                        partition: partition.clone(),
                        offset: *next as i64,
                    },
                    name: name.to_string_lossy().into(),
                    received_us: now_us(),
                    bytes: content(&root.join(name), &mut self.report),
                };
                *next += 1;
                self.report.packets += 1;
                outlet.packet(packet)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Looks for what is new. A path that is gone is told of, and may come back.
    fn look_again(&mut self) -> Result<(), SourceError> {
        let mut look = Look::default();
        for path in &self.options.paths {
            if let Err(error) = look.path(path, self.options.max_file_bytes) {
                tracing::error!("{error} (looked for again)");
            }
        }
        self.take(look)
    }

    fn take(&mut self, look: Look) -> Result<(), SourceError> {
        for (root, found) in look.loose {
            self.take_loose(root, found)?;
        }
        for (path, state) in look.tarballs {
            self.take_tarball(path, state)?;
        }
        self.settling.turn();
        self.report.left_out = look.left_out;
        self.too_large = look.too_large;
        Ok(())
    }

    fn take_loose(
        &mut self,
        root: PathBuf,
        found: Vec<(PathBuf, FileState)>,
    ) -> Result<(), SourceError> {
        if !self.folders.contains_key(&root) {
            let manifest = Manifest::open(&self.options.sources, &root)?;
            let stands = self.positions.next_offset(&partition(&root))?.max(0);
            let next = usize::try_from(stands).unwrap_or(usize::MAX);
            manifest.check(next)?;
            self.report.passed_over += next as u64;
            self.folders.insert(root.clone(), (manifest, next));
        }
        let (follow, settling) = (self.options.follow.is_some(), &mut self.settling);
        if let Some((manifest, _)) = self.folders.get_mut(&root) {
            let mut is_ready = |name: &Path, state| {
                !manifest.knows(name) && (!follow || settling.is_whole(&root.join(name), state))
            };
            let new = found
                .into_iter()
                .filter(|(name, state)| is_ready(name, *state));
            let new = new.map(|(name, _)| name).collect();
            manifest.add(new)?;
        }
        Ok(())
    }

    fn take_tarball(&mut self, path: PathBuf, state: FileState) -> Result<(), SourceError> {
        if !self.tarballs.contains_key(&path) {
            let next = self.positions.next_offset(&tarball::partition(&path))?;
            let packets = self.finished.packets(&path, state);
            let read = packets.filter(|packets| *packets <= next).map(|_| state);
            if read.is_some() {
                self.report.passed_over += next.unsigned_abs();
            }
            let tarball = Tarball {
                next,
                due: None,
                read,
                damage: None,
            };
            self.tarballs.insert(path.clone(), tarball);
        }
        let follow = self.options.follow.is_some();
        if let Some(tarball) = self.tarballs.get_mut(&path)
            && tarball.read != Some(state)
            && (!follow || self.settling.is_whole(&path, state))
        {
            tarball.due = Some(state);
        }
        Ok(())
    }
}

fn partition(root: &Path) -> String {
    format!("dir:{}", root.display())
}

/// A file's bytes. One that cannot be read comes out empty, and so is counted, in quarantine.
fn content(path: &Path, report: &mut SourceReport) -> Bytes {
    match read(path) {
        Ok((bytes, steady)) => {
            if !steady {
                report.damaged.push(changed(path));
            }
            bytes.into()
        }
        Err(error) => {
            tracing::error!("cannot read packet `{}`: {error}", path.display());
            report.damaged.push(format!("{}: {error}", path.display()));
            Bytes::new()
        }
    }
}

/// The bytes, and whether the file stayed as it was meanwhile.
fn read(path: &Path) -> std::io::Result<(Vec<u8>, bool)> {
    let mut file = File::open(path)?;
    let before = FileState::of(&file.metadata()?);
    let mut bytes = vec![];
    file.read_to_end(&mut bytes)?;
    let after = FileState::of(&file.metadata()?);
    Ok((bytes, before == after))
}

fn changed(path: &Path) -> String {
    let told = format!(
        "{}: changed while it was being read (let it be written to the end first, or use --follow)",
        path.display()
    );
    tracing::error!("{told}");
    told
}

#[cfg(test)]
mod tests;
