//! Opening a partition's log: what was written before, minus what was torn.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::log::producers::Producers;
use crate::log::segment::Segment;
use crate::log::{Log, LogSettings, State, seal};

impl Log {
    /// Opens or creates the log in `folder`. Only the segment that was being written is read and, if torn, cut.
    pub(crate) fn open(folder: PathBuf, settings: LogSettings) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut producers = Producers::default();
        let mut found = segment_files(&folder)?;
        let last = found.pop();
        let mut segments = Vec::with_capacity(found.len() + 1);
        for (base, path) in found {
            segments.push(open_closed(path, base, &mut producers)?);
        }
        let base = last.map_or(0, |(base, _)| base);
        segments.push(open_active(&folder, base, &mut producers)?);
        let state = State {
            segments,
            producers,
            unsynced: false,
            closed: false,
        };
        Ok(Self {
            folder,
            settings,
            state: Mutex::new(state),
            waiting: Mutex::default(),
        })
    }
}

/// The log files of a folder with their first offsets, ascending.
fn segment_files(folder: &Path) -> io::Result<Vec<(i64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let base = path
            .file_stem()
            .and_then(|s| s.to_str())
            .and_then(|s| s.parse().ok());
        if let Some(base) = base.filter(|_| path.extension().is_some_and(|e| e == "log")) {
            found.push((base, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn open_closed(path: PathBuf, base: i64, producers: &mut Producers) -> io::Result<Segment> {
    let mut segment = Segment::closed(path, base);
    if let Some(known) = seal::read(&mut segment) {
        *producers = known;
        return Ok(segment);
    }
    let mut segment = Segment::closed(segment.path, base);
    segment.appended = fs::metadata(&segment.path)?.modified()?;
    if segment.scan(producers)? {
        // It was forced to the disk when it was closed, so this is damage, not a torn end. The rest of the file is
        // left where it is; readers go on with the next segment.
        let (path, good) = (segment.path.display(), segment.size);
        tracing::error!(
            "`{path}` is damaged from byte {good}: records from offset {} on are lost",
            segment.next
        );
    }
    seal::write(&segment, producers)?;
    Ok(segment)
}

fn open_active(folder: &Path, base: i64, producers: &mut Producers) -> io::Result<Segment> {
    let mut segment = Segment::create(folder, base)?;
    if let Some(file) = segment.file.clone() {
        // After an orderly end all of it was forced to the disk and described.
        if let Some(known) = seal::read(&mut segment) {
            *producers = known;
            return Ok(segment);
        }
        segment = Segment::create(folder, base)?;
        segment.appended = file.metadata()?.modified()?;
        if segment.scan(producers)? {
            let (path, good, next) = (segment.path.display(), segment.size, segment.next);
            tracing::warn!("`{path}` ends in a torn batch: cut at byte {good}, next offset {next}");
            file.set_len(good)?;
            file.sync_data()?;
        }
    }
    Ok(segment)
}
