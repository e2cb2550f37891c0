//! Whether the output's cursor is of this archive's history.
//!
//! An archive that was restored from a backup stands behind the output's cursor, and gives the numbers between to other matches.
//! Going on from the cursor would leave these out. So the cursor says which match it stands on, and that is compared when
//! a publisher opens. Numbers that are claimed count: matches are published before they are committed. The same goes for the relay
//! and its place in the journal.

use pitt_alert::Position;
use pitt_alert::message::rfc3339;
use pitt_archive::{ArchiveError, LoggedMatch, Match, Numbered, ReplayPlace};
use pitt_kafka::publish::{Cursor, ResumeError};

use super::Desk;

/// What a cursor says of the match it stands on: `<matched_us> <survey>/<alert> <filter>/<version>`.
pub(super) fn mark(matched_us: i64, taken: &Match) -> String {
    let Match {
        survey,
        alert_id,
        filter,
        version,
    } = taken;
    format!("{matched_us} {survey}/{alert_id} {filter}/{version}")
}

fn mark_of(found: &LoggedMatch) -> String {
    mark(found.matched_us, &found.taken())
}

/// What a cursor says of the packet it stands on: `<received_us> <partition>@<offset>`.
pub(super) fn mark_of_packet(received_us: i64, position: &Position) -> String {
    format!("{received_us} {}@{}", position.partition, position.offset)
}

/// Time in a mark, microseconds since 1970, UTC.
fn time_of(mark: &str) -> Option<i64> {
    mark.split(' ').next()?.parse().ok()
}

/// A mark for people.
fn shown(mark: &str) -> String {
    match (time_of(mark), mark.split_once(' ')) {
        (Some(us), Some((_, rest))) => format!("{rest} of {}", rfc3339(us)),
        _ => mark.to_owned(),
    }
}

fn silent(error: ArchiveError) -> ResumeError {
    ResumeError::Silent(error.to_string())
}

/// The cursor of a lane to go on from instead of one of another history; `None` if it is of this one.
pub(super) fn resume(
    desk: &Desk,
    lane: u32,
    cursor: &Cursor,
) -> Result<Option<Cursor>, ResumeError> {
    let Some(seq) = cursor.place.parse().ok().filter(|seq| *seq > 0) else {
        return Ok(None);
    };
    let mark = cursor.mark.as_deref();
    let here = match (desk.archive.numbered(lane, seq).map_err(silent)?, mark) {
        (Numbered::Never, _) => {
            let last = desk.archive.last_number(lane).map_err(silent)?;
            format!("here the last match has number {last}")
        }
        (Numbered::Match(found), Some(mark)) if mark_of(&found) != mark => {
            format!("here that is {}", shown(&mark_of(&found)))
        }
        _ => return Ok(None),
    };
    let there = mark.map_or_else(String::new, |mark| format!(" ({})", shown(mark)));
    let found = format!("the output has matches up to {seq} of lane {lane}{there}, {here}");
    refuse_unless_again(desk, &found)?;
    again(desk, lane, mark, &found).map(Some).map_err(silent)
}

/// The relay's cursor to go on from instead of one of another history; `None` if it is of this one.
pub(super) fn resume_relay(
    desk: &Desk,
    place: ReplayPlace,
    cursor: &Cursor,
) -> Result<Option<Cursor>, ResumeError> {
    desk.archive.follow().map_err(silent)?;
    let mark = cursor.mark.as_deref();
    let here = match (desk.archive.received_at(place).map_err(silent)?, mark) {
        (None, _) => "the journal here has no such place".to_owned(),
        (Some((position, received_us)), Some(mark))
            if mark_of_packet(received_us, &position) != mark =>
        {
            let mark = mark_of_packet(received_us, &position);
            format!("here that is {}", shown(&mark))
        }
        _ => return Ok(None),
    };
    let there = mark.map_or_else(String::new, |mark| format!(" ({})", shown(mark)));
    let found = format!("the output has the stream up to {place} of the journal{there}, {here}");
    refuse_unless_again(desk, &found)?;
    let from = match mark.and_then(time_of) {
        Some(time_us) => desk.archive.place_before(time_us).map_err(silent)?,
        None => None,
    };
    let from = from.map_or_else(String::new, |from| from.to_string());
    tracing::warn!(
        "{found}: going on after `{from}` (`output.restored = \"again\"`); some of what follows may have been published before"
    );
    Ok(Some(Cursor {
        place: from,
        ..Cursor::default()
    }))
}

fn refuse_unless_again(desk: &Desk, found: &str) -> Result<(), ResumeError> {
    if desk.settings.restored == "again" {
        return Ok(());
    }
    Err(ResumeError::Foreign(format!(
        "{found}: this archive was restored from a backup (`output.restored = \"again\"` goes on after the last that is in both: \
         some may come twice, none is left out)"
    )))
}

/// The cursor on the last match that is not later than the one of the mark; without a mark, before the first.
fn again(desk: &Desk, lane: u32, mark: Option<&str>, found: &str) -> Result<Cursor, ArchiveError> {
    let archive = &desk.archive;
    let last = match mark.and_then(time_of) {
        Some(time_us) => archive.number_before(lane, time_us)?,
        None => 0,
    };
    let settled = archive.count_matches(lane, last)?;
    let follow = archive.count_matches(lane, u64::MAX)? - settled;
    tracing::warn!(
        "{found}: going on after match {last} (`output.restored = \"again\"`); of the {follow} matches that follow by now, some may \
         have been published before"
    );
    Ok(Cursor {
        place: last.to_string(),
        // What is counted is this archive's.
        published: settled,
        ..Cursor::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_names_the_match_and_gives_its_time_back() {
        let taken = Match {
            survey: "ztf".into(),
            alert_id: 7,
            filter: "blue and bright".into(),
            version: "1a2b3c4d".into(),
        };
        let mark = mark(1_795_316_400_000_001, &taken);
        assert_eq!(mark, "1795316400000001 ztf/7 blue and bright/1a2b3c4d");
        assert_eq!(time_of(&mark), Some(1_795_316_400_000_001));
        assert_eq!(
            shown(&mark),
            "ztf/7 blue and bright/1a2b3c4d of 2026-11-22T03:00:00.000001Z"
        );
        assert_eq!(shown("something else"), "something else");
    }
}
