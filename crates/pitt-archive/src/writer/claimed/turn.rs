//! The turn to commit: what others have committed is learnt, and whether this writer may.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::DataType;

use super::{Beside, fenced};
use crate::claims::Place;
use crate::error::ArchiveError;
use crate::tables::PACKETS;
use crate::turns::{self, Held};
use crate::writer::{Open, Span, Writer, table};
use crate::{crash, recover};

/// Commits of others up to which their positions are read one by one.
const NEAR: u64 = 64;

impl Writer {
    /// Reads what others have committed.
    pub(super) fn refresh(&mut self, beside: &mut Beside) -> Result<(), ArchiveError> {
        self.inner.update_tables()?;
        self.learn(beside)?;
        for partition in beside.claims.partitions() {
            self.committed_next(&partition)?;
        }
        // After the positions: what they say is committed must be in the index before its claims are forgotten.
        self.inner.catch_up()?;
        // Others may have committed matches that this lane had numbered before.
        self.last_seq = self.last_seq.max(self.inner.last_seq(self.lane)?);
        if let Some(open) = &self.open {
            let positions = open.positions.clone();
            self.check_positions(&positions)?;
        }
        self.forget(beside);
        Ok(())
    }

    /// Learns where the commits of others have brought the partitions; returns the number of the last commit.
    fn learn(&mut self, beside: &mut Beside) -> Result<u64, ArchiveError> {
        let (last, files) = self.inner.last_commit()?;
        if last > beside.seen + NEAR {
            self.next.clear();
        } else {
            for commit in beside.seen + 1..=last {
                let Some(spans) = recover::manifest(&files, commit)?.spans else {
                    self.next.clear();
                    break;
                };
                let next = spans.into_iter().map(|(p, span)| (p, span.next));
                self.next.extend(next);
            }
        }
        beside.seen = beside.seen.max(last);
        Ok(last)
    }

    /// Whether what is open still goes on where the commits end.
    fn check_positions(&mut self, open: &BTreeMap<String, Span>) -> Result<(), ArchiveError> {
        for (partition, span) in open {
            if self.committed_next(partition)? != span.from {
                return Err(fenced(partition));
            }
        }
        Ok(())
    }

    /// Forgets claims that are committed and in the index.
    fn forget(&self, beside: &mut Beside) {
        let known = |p: Arc<str>| self.next.get(&*p).map(|next| (p.clone(), *next));
        let next = beside.claims.partitions().into_iter().filter_map(known);
        beside.claims.forget(&next.collect());
    }

    /// Waits for the turn to commit, and makes sure that this writer may.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Fenced`] when another writer has claimed or committed of a partition that is open here.
    pub(in crate::writer) fn take_turn(
        &mut self,
        beside: &mut Beside,
        open: &mut Open,
    ) -> Result<Held, ArchiveError> {
        // Most of what others committed is read before others have to wait.
        self.refresh(beside)?;
        let turn = turns::turn(&self.inner.site.root)?;
        crash::point("turn-taken");
        self.inner.update_tables()?;
        let last = self.inner.last_commit()?.0;
        if last > self.complete_to {
            recover::complete(&self.inner)?;
            self.complete_to = last;
        }
        self.learn(beside)?;
        self.check_positions(&open.positions)?;
        self.check_claims(beside, open)?;
        self.check_columns(open)?;
        self.commit = last + 1;
        open.renumber(self.commit)?;
        crash::point("renumbered");
        Ok(turn)
    }

    fn check_claims(&self, beside: &mut Beside, open: &mut Open) -> Result<(), ArchiveError> {
        let turn = beside.claims.lock()?;
        if !beside.claims.read(&turn)? {
            // All that was committed is known here: in this turn nobody else commits.
            beside.claims.read(&turn)?;
        }
        drop(turn);
        for (partition, span) in &open.positions {
            if beside.claims.is_others(partition, span.from) {
                return Err(fenced(partition));
            }
        }
        let covers = |place: &Place| {
            let span = open.positions.get(&*place.partition);
            span.is_some_and(|span| (span.from..span.next).contains(&place.offset))
        };
        open.void = beside.claims.void(covers, &open.redone);
        if !open.void.is_empty() {
            tracing::warn!(
                matches = open.void.len(),
                "the source has lost packets whose matches had numbers: these numbers stay empty"
            );
        }
        Ok(())
    }

    /// Whether the files still fit their tables, which others may have made or let grow since they were begun.
    fn check_columns(&self, open: &Open) -> Result<(), ArchiveError> {
        let tables = self.inner.tables();
        for (name, stream) in &open.derived.streams {
            let Some(log) = tables.get(name) else {
                continue;
            };
            let now = log.schema()?;
            let fit = stream.schema().fields().iter().all(|field| {
                let there = now.field_with_name(field.name());
                there.map_or(true, |there| fits(field.data_type(), there.data_type()))
            });
            if !fit {
                return Err(ArchiveError::Fenced {
                    place: format!("table `{name}`"),
                });
            }
        }
        Ok(())
    }

    /// After a commit: the index follows it and those of others, and claims that it made good are dropped.
    pub(in crate::writer) fn settle(&mut self, beside: &mut Beside) -> Result<(), ArchiveError> {
        self.inner.catch_up()?;
        self.forget(beside);
        let inner = self.inner.clone();
        let known = &self.next;
        beside
            .claims
            .shorten(|partition| match known.get(partition) {
                Some(next) => Ok(*next),
                None => Ok(table(&inner.tables(), PACKETS)?
                    .txn(partition)?
                    .unwrap_or(0)),
            })
    }
}

/// Whether a file's column can be read as a table's of the same name.
fn fits(file: &DataType, table: &DataType) -> bool {
    match (file, table) {
        (DataType::Struct(file), DataType::Struct(table)) => file.iter().all(|field| {
            let there = table.find(field.name());
            there.is_none_or(|(_, there)| fits(field.data_type(), there.data_type()))
        }),
        (DataType::List(file), DataType::List(table)) => fits(file.data_type(), table.data_type()),
        (DataType::Map(file, _), DataType::Map(table, _)) => {
            fits(file.data_type(), table.data_type())
        }
        (file, table) => file == table,
    }
}
