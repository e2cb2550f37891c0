//! Claims that nobody will make good: finding them, and letting them go.
//!
//! A process claims, dies, and what it read is never read again: its input was taken out of the settings, or the topic has
//! expired. Letting go of such claims must not break what claims are for. So:
//!
//! - Only claims of the dead are let go. A process has its lane's lock for as long as it lives, the lock's file names its
//!   session, and so does every claim.
//! - Numbers of their matches become empty (`pitt:void:..` in the log of `packets`), and the feed of matches steps over them.
//! - A match may have been published before its process died. Whoever lets go says how far each lane is published; such a match
//!   keeps its number, and has it again if its alert comes another way, so that it is not published twice.
//!
//! | after a crash | what is left | mended by |
//! |---|---|---|
//! | before the log of claims is written anew | the claims | letting them go again |
//! | before the numbers are recorded as empty | records that say which are to be | [`complete`], at the next writer's start |
//! | before these records are dropped | the same, recorded already | the same |

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::log::{self, ClaimLog, News, Turn};
use super::record::{ClaimedAlert, ClaimedMatch, LET_GO, Record, VOID};
use crate::archive::folder_of;
use crate::crash;
use crate::delta::{Addition, DeltaLog, Site};
use crate::error::ArchiveError;
use crate::feed::void_txn;
use crate::tables::{PACKETS, VOIDS, lane_txn};
use crate::turns::{self, Holder, Writers};

/// What of a partition is claimed and not committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedPartition {
    /// Partition of the source.
    pub partition: String,
    /// Offset at which what is committed ends.
    pub from: i64,
    /// Offset at which the claims end.
    pub to: i64,
    /// Alerts that are stored from there, once it is read again.
    pub alerts: u64,
    /// Matches that have a number already.
    pub matches: u64,
    /// Lanes whose numbers these are.
    pub lanes: BTreeSet<u32>,
    /// Lanes of the living processes that claimed; none when all who did are gone.
    pub held: BTreeSet<u32>,
}

/// What letting go of claims came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReleasedClaims {
    /// Alerts that may be stored from elsewhere now.
    pub alerts: u64,
    /// Numbers of matches that stay empty.
    pub void: u64,
    /// Matches that were published, and keep their numbers for when their alerts come again.
    pub published: u64,
}

/// The claims of an archive, seen from outside: also while others write it.
pub struct ClaimBook {
    root: PathBuf,
    packets: DeltaLog,
}

impl ClaimBook {
    /// That of the archive in a folder, by path or `file://` URL.
    ///
    /// # Errors
    /// There is no archive, or its log cannot be read.
    pub fn open(location: &str) -> Result<Self, ArchiveError> {
        let root = folder_of(location, false)?;
        let site = Site::new(&root, None)?;
        let packets = DeltaLog::open(&site, PACKETS)?.ok_or_else(|| ArchiveError::Format {
            table: PACKETS.to_owned(),
            detail: format!("{} holds no archive", root.display()),
        })?;
        Ok(Self { root, packets })
    }

    /// Identity of the archive, as [`crate::Archive::id`] gives it.
    pub fn id(&self) -> &str {
        self.packets.id()
    }

    /// The last match number of a lane that is committed or claimed; 0 when there is none.
    pub fn last_number(&self, lane: u32) -> Result<u64, ArchiveError> {
        let committed = self.packets.txn(&lane_txn(lane))?.unwrap_or(0);
        let claimed = log::peek(&self.root);
        let of_lane = claimed.iter().filter(|record| record.lane == lane);
        let claimed = of_lane.filter_map(|record| record.numbers().last());
        let claimed = claimed.map(|(_, seq)| seq).max().unwrap_or(0);
        Ok(claimed.max(committed.unsigned_abs()))
    }

    /// The partitions of which something is claimed and not committed.
    ///
    /// # Errors
    /// The log or a lock cannot be read.
    pub fn partitions(&self) -> Result<Vec<ClaimedPartition>, ArchiveError> {
        let records = log::peek(&self.root);
        let spans = records.iter().flat_map(|record| &record.spans);
        let names: BTreeSet<&str> = spans.map(|span| &*span.partition).collect();
        let mut found = Vec::new();
        for name in names {
            found.extend(self.partition(name, &records)?);
        }
        Ok(found)
    }

    fn committed(&self, partition: &str) -> Result<i64, ArchiveError> {
        Ok(self.packets.txn(partition)?.unwrap_or(0))
    }

    fn partition(
        &self,
        name: &str,
        records: &[Record],
    ) -> Result<Option<ClaimedPartition>, ArchiveError> {
        let from = self.committed(name)?;
        let mut found = ClaimedPartition {
            partition: name.to_owned(),
            from,
            to: from,
            alerts: 0,
            matches: 0,
            lanes: BTreeSet::new(),
            held: BTreeSet::new(),
        };
        for record in records {
            let spans = record.spans.iter().filter(|s| &*s.partition == name);
            let Some(to) = spans.map(|span| span.next).max().filter(|to| *to > from) else {
                continue;
            };
            found.to = found.to.max(to);
            if self.is_alive(record)? {
                found.held.insert(record.lane);
            }
            let open = |alert: &ClaimedAlert| is_open(alert, name, from);
            found.alerts += record.alerts.iter().filter(|alert| open(alert)).count() as u64;
            for found_match in &record.matches {
                let alert = record.alerts.get(found_match.alert as usize);
                if alert.is_some_and(open) {
                    found.matches += 1;
                    found.lanes.insert(record.lane);
                }
            }
        }
        Ok((found.to > from).then_some(found))
    }

    /// Whether the process that claimed may still be there.
    fn is_alive(&self, record: &Record) -> Result<bool, ArchiveError> {
        Ok(match turns::holder(&self.root, record.lane)? {
            Holder::Nobody => false,
            Holder::Somebody => true,
            Holder::Session(session) => u128::from(session) == record.writer >> 64,
        })
    }

    /// Lets go of what dead processes have claimed of a partition and nobody has committed. Reading the partition
    /// later is no mistake: its alerts then count as any others.
    ///
    /// `published` tells the last number of each lane that has been published, by whichever publisher; numbers of lanes that
    /// are not in it have not been.
    ///
    /// # Errors
    /// [`ArchiveError::ClaimsHeld`] when a process that claimed still runs, [`ArchiveError::InUse`] while a writer without
    /// claims does, [`ArchiveError::NoClaims`] when there is nothing to let go.
    pub fn release(
        &mut self,
        partition: &str,
        published: &BTreeMap<u32, u64>,
    ) -> Result<ReleasedClaims, ArchiveError> {
        let in_use = || ArchiveError::InUse {
            path: self.root.join(turns::LANES),
        };
        let writers = Writers::together(&self.root)?.ok_or_else(in_use)?;
        let _writers = writers.share(&self.root)?;
        let _turn = turns::turn(&self.root)?;
        self.packets.update()?;
        let (mut log, turn, records) = all(&self.root)?;
        let found = self.partition(partition, &records)?;
        let found = found.ok_or_else(|| ArchiveError::NoClaims {
            partition: partition.to_owned(),
        })?;
        if !found.held.is_empty() {
            return Err(ArchiveError::ClaimsHeld {
                partition: found.partition,
                lanes: found.held.into_iter().collect(),
            });
        }
        let let_go = LetGo::of(records, &found, published);
        log.rewrite(&turn, &let_go.records)?;
        crash::point("claims-let-go");
        finish(&mut self.packets, &mut log, &turn, let_go.records)?;
        Ok(let_go.report)
    }
}

/// Whether an alert is claimed at a place of the partition that is not committed.
fn is_open(alert: &ClaimedAlert, partition: &str, committed: i64) -> bool {
    &*alert.place.partition == partition && alert.place.offset >= committed
}

/// All records, under the lock.
fn all(root: &Path) -> Result<(ClaimLog, Turn, Vec<Record>), ArchiveError> {
    let mut log = ClaimLog::new(root);
    let turn = log.lock()?;
    let records = match log.read(&turn)? {
        News::Records(records) => records,
        News::Another => Vec::new(),
    };
    Ok((log, turn, records))
}

/// The records of a log after claims were let go.
struct LetGo {
    records: Vec<Record>,
    report: ReleasedClaims,
}

impl LetGo {
    fn of(records: Vec<Record>, gone: &ClaimedPartition, published: &BTreeMap<u32, u64>) -> Self {
        let mut let_go = Self {
            records: Vec::new(),
            report: ReleasedClaims::default(),
        };
        let mut kept = Vec::new();
        for record in records {
            let published = published.get(&record.lane).copied().unwrap_or(0);
            kept.extend(let_go.published(&record, gone, published));
            let record = let_go.without(record, gone);
            let_go.records.push(record);
        }
        let_go.report.published = kept.len() as u64;
        let_go.report.void -= let_go.report.published;
        let_go.records.extend(kept);
        let_go
    }

    /// The matches among those let go that were published, each as a record at a place where nothing is read.
    fn published(&self, record: &Record, gone: &ClaimedPartition, published: u64) -> Vec<Record> {
        let numbers = record.numbers().filter(|(_, seq)| *seq <= published);
        let kept = numbers.filter_map(|(found, seq)| {
            let alert = record.alerts.get(found.alert as usize)?;
            let open = is_open(alert, &gone.partition, gone.from);
            open.then(|| Record {
                lane: record.lane,
                first_seq: seq,
                matched_us: record.matched_us,
                alerts: vec![ClaimedAlert {
                    place: alert.place.released(),
                    ..alert.clone()
                }],
                matches: vec![ClaimedMatch {
                    alert: 0,
                    ..found.clone()
                }],
                ..Record::default()
            })
        });
        kept.collect()
    }

    /// A record without what it claims of the partition; its numbers stay.
    fn without(&mut self, mut record: Record, gone: &ClaimedPartition) -> Record {
        let (mut left, mut numbers) = (Vec::new(), Vec::new());
        for alert in std::mem::take(&mut record.alerts) {
            if is_open(&alert, &gone.partition, gone.from) {
                self.report.alerts += 1;
                numbers.push(LET_GO);
            } else {
                numbers.push(left.len() as u32);
                left.push(alert);
            }
        }
        record.alerts = left;
        for found in &mut record.matches {
            if let Some(number) = numbers.get(found.alert as usize) {
                found.alert = *number;
                self.report.void += u64::from(*number == LET_GO);
            }
        }
        let open = |name: &str, next: i64| name == gone.partition && next > gone.from;
        record.spans.retain(|s| !open(&s.partition, s.next));
        record
    }
}

/// Whether claims were let go and a crash came before that was finished.
pub(crate) fn is_unfinished(root: &Path) -> bool {
    log::peek(root).iter().any(Record::lets_go)
}

/// Finishes what [`ClaimBook::release`] had begun when it was killed. To be called in the turn to commit, with `packets` up to date.
pub(crate) fn complete(packets: &mut DeltaLog, root: &Path) -> Result<(), ArchiveError> {
    let (mut log, turn, records) = all(root)?;
    finish(packets, &mut log, &turn, records)
}

/// Records as empty the numbers that were let go, and drops what says that they are to be.
fn finish(
    packets: &mut DeltaLog,
    log: &mut ClaimLog,
    turn: &Turn,
    mut records: Vec<Record>,
) -> Result<(), ArchiveError> {
    let mut txns = void_txns(packets, &records)?;
    if !txns.is_empty() {
        txns.push((VOIDS.to_owned(), packets.txn(VOIDS)?.unwrap_or(0) + 1));
        packets.commit(Addition {
            txns,
            ..Addition::default()
        })?;
    }
    crash::point("numbers-void");
    for found in records.iter_mut().flat_map(|record| &mut record.matches) {
        if found.alert == LET_GO {
            found.alert = VOID;
        }
    }
    records.retain(|record| !record.spans.is_empty() || !record.alerts.is_empty());
    log.rewrite(turn, &records)
}

/// What a commit says of numbers that no match has: runs of them, and each of those alone that was published and may be filled yet.
fn void_txns(packets: &DeltaLog, records: &[Record]) -> Result<Vec<(String, i64)>, ArchiveError> {
    let numbers = |lane_of: fn(&Record, &ClaimedMatch) -> bool| {
        let all = records.iter().flat_map(move |record| {
            let own = record
                .numbers()
                .filter(move |(found, _)| lane_of(record, found));
            own.map(|(_, seq)| (record.lane, seq))
        });
        all.collect::<BTreeSet<(u32, u64)>>()
    };
    let let_go: Vec<_> = numbers(|_, found| found.alert == LET_GO)
        .into_iter()
        .collect();
    let published = numbers(|record, _| record.is_released());
    let follows = |a: &(u32, u64), b: &(u32, u64)| {
        let alone = published.contains(a) || published.contains(b);
        !alone && a.0 == b.0 && a.1 + 1 == b.1
    };
    let (mut txns, mut last) = (Vec::new(), BTreeMap::new());
    for run in let_go.chunk_by(follows) {
        let ((lane, first), (_, end)) = (run[0], run[run.len() - 1]);
        txns.push((void_txn(lane, first), end as i64));
        last.insert(lane, end);
    }
    for (lane, end) in last {
        let committed = packets.txn(&lane_txn(lane))?.unwrap_or(0);
        txns.push((lane_txn(lane), committed.max(end as i64)));
    }
    Ok(txns)
}
