//! Check of the matches' numbers.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};

use super::Check;
use super::files::Listing;
use crate::archive::Archive;
use crate::claims;
use crate::error::ArchiveError;
use crate::read;
use crate::tables::MATCHES;

/// Numbers ascend by one in each lane: none twice, none missing but those that no match will have.
pub(super) fn check(archive: &Archive, listing: &Listing) -> Check {
    let mut check = Check::new("match numbers");
    let lanes = match numbers(listing) {
        Ok(lanes) => lanes,
        Err(error) => {
            check.wrong(|| error.to_string());
            return check;
        }
    };
    // Given by a process that died; their packets have not been read again yet.
    let claimed = claims::numbers_on_disk(archive.folder());
    for (lane, mut numbers) in lanes {
        numbers.sort_unstable();
        let mut next = 1;
        for seq in numbers {
            while next < seq {
                if claimed.contains(&(lane, next)) {
                    next += 1;
                    continue;
                }
                match archive.inner.void_until(lane, next) {
                    Ok(Some(last)) => next = last + 1,
                    other => {
                        check.wrong(|| format!("lane {lane}: {next} is missing ({other:?})"));
                        next = seq;
                    }
                }
            }
            check.expect(next == seq, || format!("lane {lane}: {seq} is there twice"));
            next = seq + 1;
        }
    }
    check
}

fn numbers(listing: &Listing) -> Result<BTreeMap<u32, Vec<u64>>, ArchiveError> {
    let mut lanes: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    // Files of older versions have no such column.
    for file in listing
        .files(MATCHES)
        .filter(|f| f.range_i64("seq").is_some())
    {
        for rows in read::columns(&file.path, &["lane", "seq"])? {
            let rows = rows?;
            let lane = rows.column(0).as_primitive::<Int32Type>();
            let seq = rows.column(1).as_primitive::<Int64Type>();
            for (lane, seq) in lane.iter().zip(seq.iter()) {
                if let (Some(lane), Some(seq)) = (lane, seq) {
                    let lane = lanes.entry(lane.unsigned_abs()).or_default();
                    lane.push(seq.unsigned_abs());
                }
            }
        }
    }
    Ok(lanes)
}
