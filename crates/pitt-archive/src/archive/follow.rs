//! Following what others commit: the tables anew, then the index and what is kept in memory.

use std::collections::BTreeMap;
use std::sync::MutexGuard;

use super::open::{open_tables, survey_tables};
use super::{Archive, Inner, lock};
use crate::delta::{DeltaLog, TableFile};
use crate::error::ArchiveError;
use crate::index::Index;
use crate::tables::{self, PACKETS, SCHEMAS};

impl Archive {
    /// Reads what other processes have committed since.
    pub fn refresh(&self) -> Result<(), ArchiveError> {
        {
            let mut tables = lock(&self.inner.tables);
            let newer = open_tables(&self.inner.site, false)?;
            *tables = newer;
        }
        self.inner.catch_up()
    }

    /// Takes in what other processes have committed since, from where this one stood; says whether that was anything.
    ///
    /// Cheaper than [`Archive::refresh`]: for a process that looks again and again.
    pub fn follow(&self) -> Result<bool, ArchiveError> {
        let versions = |tables: &BTreeMap<String, DeltaLog>| {
            let versions = tables
                .iter()
                .map(|(name, log)| (name.clone(), log.version()));
            versions.collect::<BTreeMap<_, _>>()
        };
        let before = versions(&self.inner.tables());
        self.inner.update_tables()?;
        if versions(&self.inner.tables()) == before {
            return Ok(false);
        }
        self.inner.catch_up()?;
        Ok(true)
    }

    /// Deletes the index and makes it again from the tables; returns the rows read.
    pub fn rebuild_index(&self) -> Result<u64, ArchiveError> {
        let _following = self.inner.following();
        self.inner.rebuild_index()
    }
}

impl Inner {
    /// Waits until no other thread lets the index follow.
    pub(crate) fn following(&self) -> MutexGuard<'_, ()> {
        lock(&self.following)
    }

    /// Brings everything derived in memory and the index up to the tables.
    pub(crate) fn catch_up(&self) -> Result<(), ArchiveError> {
        let _following = self.following();
        let listed = self.list_indexed()?;
        {
            let tables = self.tables();
            if let Some(schemas) = tables.get(SCHEMAS) {
                self.book().read(&schemas.files()?)?;
            }
            let mut stale = false;
            if let Some(index) = &*self.index() {
                for (table, files) in &listed {
                    stale |= !index.fits(&tables[table], files)?;
                }
            }
            if stale {
                tracing::warn!("the index does not belong to the tables: it is made again");
                drop(tables);
                self.rebuild_index()?;
                return Ok(());
            }
        }
        self.follow(&listed).map(drop)
    }

    /// The tables the index follows, with their files; also notes where the files of `packets` are.
    fn list_indexed(&self) -> Result<Vec<(String, Vec<TableFile>)>, ArchiveError> {
        let tables = self.tables();
        let mut listed = Vec::new();
        for (name, log) in tables.iter() {
            if name == PACKETS || name == tables::FORCED || name.starts_with("alerts/") {
                listed.push((name.clone(), log.files()?));
            }
        }
        for (name, files) in &listed {
            if name == PACKETS {
                self.note_packet_files(files);
            }
        }
        Ok(listed)
    }

    /// Reads what others have committed, also tables that are new.
    pub(crate) fn update_tables(&self) -> Result<(), ArchiveError> {
        let mut tables = self.tables();
        for log in tables.values_mut() {
            log.update()?;
        }
        for name in survey_tables(&self.site)? {
            if !tables.contains_key(&name) {
                tables.extend(DeltaLog::open(&self.site, &name)?.map(|log| (name, log)));
            }
        }
        Ok(())
    }

    fn follow(&self, listed: &[(String, Vec<TableFile>)]) -> Result<u64, ArchiveError> {
        let mut rows = 0;
        for (table, files) in listed {
            rows += self.follow_table(table, files)?;
        }
        Ok(rows)
    }

    /// Lets the index take in a table's files.
    pub(crate) fn follow_table(
        &self,
        table: &str,
        files: &[TableFile],
    ) -> Result<u64, ArchiveError> {
        let tables = self.tables();
        match (&*self.index(), tables.get(table)) {
            (Some(index), Some(log)) => index.follow(log, files),
            _ => Ok(0),
        }
    }

    fn rebuild_index(&self) -> Result<u64, ArchiveError> {
        {
            let mut index = self.index_mut();
            let Some(open) = index.take() else {
                return Err(ArchiveError::InUse {
                    path: self.site.root.join("index"),
                });
            };
            let folder = open.folder().to_owned();
            drop(open);
            std::fs::remove_dir_all(&folder).map_err(ArchiveError::io(&folder))?;
            *index = Index::open(&folder, self.options.index_cache_bytes)?;
        }
        self.follow(&self.list_indexed()?)
    }
}
