//! Where an output begins that is set for the first time.

use anyhow::{Context, Result};
use pitt_archive::Archive;
use pitt_kafka::publish::Cursor;

use super::{Desk, noted, orphans};

/// With `output.start = "now"`: notes for each lane, and for the relay, that what the archive has by now is not to be
/// published to an output of which nothing is noted yet. To be called before anything new comes.
///
/// A note and no decision for each run: what comes while the output is away is published by the next run.
pub(super) fn note(desk: &Desk, own: u32) -> Result<()> {
    if desk.settings.start != "now" {
        return Ok(());
    }
    for lane in desk.archive.lanes() {
        // A living process has begun by itself.
        let held = (lane != own).then(|| orphans::hold(desk, lane));
        if held.as_ref().is_some_and(Option::is_none) {
            continue;
        }
        once(desk, &lane.to_string(), |archive| {
            let last = archive.last_number(lane)?;
            Ok(Cursor {
                place: last.to_string(),
                kept_back: archive.count_matches(lane, last)?,
                ..Cursor::default()
            })
        })?;
    }
    if desk.settings.relay.is_empty() {
        return Ok(());
    }
    once(desk, "relay", |archive| {
        let end = archive.place_before(i64::MAX)?;
        Ok(Cursor {
            place: end.map_or_else(String::new, |end| end.to_string()),
            ..Cursor::default()
        })
    })
}

/// Notes where a publisher begins, unless something is noted of it and this output.
fn once(
    desk: &Desk,
    name: &str,
    end: impl FnOnce(&Archive) -> Result<Cursor, pitt_archive::ArchiveError>,
) -> Result<()> {
    let servers = &desk.settings.servers;
    if noted::read(&desk.archive, name, servers).is_some() {
        return Ok(());
    }
    let cursor = end(&desk.archive).context("where the output is to begin cannot be told")?;
    tracing::info!(
        publisher = name,
        after = cursor.place,
        "begins with what comes from now on (`output.start = \"now\"`)"
    );
    noted::write(&desk.archive, name, servers, &cursor);
    Ok(())
}
