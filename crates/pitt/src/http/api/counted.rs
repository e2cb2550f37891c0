//! What takes long to find out, kept until the archive has changed: counts, the SQL engine, the catalogs.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use arrow_schema::SchemaRef;
use pitt_archive::{Archive, PartName, Tally, tables};
use pitt_query::{Budget, Catalogs, Engine, InMemory};

use super::Api;
use super::problem::Problem;
use crate::catalogs;
use crate::queried::source;

/// Order of the cells that are counted: 0.46 deg.
pub const MOST_ORDER: u32 = 7;
/// Nights whose sky is kept.
const SKIES: usize = 8;

/// Something, and the names and states of what it was made of.
type Kept<State, Made> = Option<(Vec<(String, State)>, Made)>;

/// What is kept.
pub struct Counted {
    /// What queries may hold, of this engine and of those before, which may still be asked.
    budget: Budget,
    /// Of tables at these versions, with room for columns that only rows in memory have.
    engine: Mutex<Kept<(u64, SchemaRef), Arc<Engine>>>,
    catalogs: Mutex<Kept<SystemTime, Catalogs>>,
    skies: Mutex<Vec<(i32, Sky)>>,
}

impl Counted {
    /// Nothing yet; queries may hold so much memory `[bytes]`.
    pub fn new(query_bytes: usize) -> Self {
        Self {
            budget: Budget::of(query_bytes),
            engine: Mutex::default(),
            catalogs: Mutex::default(),
            skies: Mutex::default(),
        }
    }
}

/// Alerts of a night by cell, counted file by file.
#[derive(Default)]
struct Sky {
    cells: HashMap<i64, u64>,
    seen: Vec<(String, PartName)>,
}

impl Api {
    /// Looks at the counts as of now.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub fn tally<T>(&self, look: impl FnOnce(&Tally) -> T) -> Result<T, Problem> {
        // What was counted before would stand, but as of when nobody knows.
        self.stock.archive().map(drop)?;
        Ok(self.live.figures.look(look)?)
    }

    /// SQL over what is committed.
    ///
    /// # Errors
    /// The archive or a catalog cannot be read.
    pub fn engine(&self) -> Result<Arc<Engine>, Problem> {
        Ok(self.engine_and_fresh()?.0)
    }

    /// SQL over everything received: the engine, and the rows that no file has yet ([`Engine::query_with`]).
    ///
    /// # Errors
    /// The archive or a catalog cannot be read.
    pub fn engine_and_fresh(&self) -> Result<(Arc<Engine>, InMemory), Problem> {
        let archive = self.stock.archive()?;
        let mut tables = vec![];
        let mut states = vec![];
        let mut fresh = InMemory::default();
        for latest in archive.latest(|_| true)? {
            let table = latest.table;
            fresh.add(&table.name, latest.fresh);
            states.push((table.name.clone(), (table.version, table.schema.clone())));
            tables.push(source(table));
        }
        let mut kept = self
            .counted
            .engine
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((_, engine)) = kept.as_ref().filter(|(of, _)| *of == states) {
            return Ok((engine.clone(), fresh));
        }
        let catalogs = self.catalogs(archive.folder())?;
        drop(archive);
        let engine = Arc::new(Engine::open(&tables, &catalogs, &self.counted.budget)?);
        *kept = Some((states, engine.clone()));
        Ok((engine, fresh))
    }

    /// The catalogs, read again when their files have changed.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn catalogs(&self, archive: &Path) -> Result<Catalogs, Problem> {
        let mut files = vec![];
        for entry in std::fs::read_dir(catalogs::folder(archive))
            .into_iter()
            .flatten()
            .flatten()
        {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push((name, modified.unwrap_or(SystemTime::UNIX_EPOCH)));
        }
        files.sort();
        let mut kept = self
            .counted
            .catalogs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((_, catalogs)) = kept.as_ref().filter(|(of, _)| *of == files) {
            return Ok(catalogs.clone());
        }
        let catalogs = catalogs::load(archive)?;
        *kept = Some((files, catalogs.clone()));
        Ok(catalogs)
    }

    /// Alerts of a night by nested cell of [`MOST_ORDER`]; of one filter, if one is named.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub fn sky(&self, night: i32, filter: Option<&str>) -> Result<HashMap<i64, u64>, Problem> {
        let archive = self.stock.archive()?;
        let Some(filter) = filter else {
            return self.whole_sky(&archive, night);
        };
        let taken = self.matches(
            &archive,
            |bounds| bounds.has_night(night),
            |name, _, _, _| name == filter,
        )?;
        let mut only: HashMap<String, BTreeSet<i64>> = HashMap::new();
        for taken in taken {
            only.entry(taken.survey).or_default().insert(taken.alert_id);
        }
        let mut cells = HashMap::new();
        for survey in archive.surveys() {
            let Some(ids) = only.get(&survey) else {
                continue;
            };
            let table = tables::alerts(&survey);
            for (file, _) in self
                .shelf
                .files(&archive, &table, |bounds| bounds.has_night(night))?
            {
                for rows in file.read(&SKY)? {
                    count(&rows?, night, Some(ids), &mut cells)?;
                }
            }
        }
        Ok(cells)
    }

    fn whole_sky(&self, archive: &Archive, night: i32) -> Result<HashMap<i64, u64>, Problem> {
        let mut skies = self
            .counted
            .skies
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let at = skies.iter().position(|(of, _)| *of == night);
        let mut sky = at.map(|at| skies.remove(at).1).unwrap_or_default();
        for survey in archive.surveys() {
            let table = tables::alerts(&survey);
            for (file, _) in self
                .shelf
                .files(archive, &table, |bounds| bounds.has_night(night))?
            {
                let name = (survey.clone(), file.name);
                if sky.seen.contains(&name) {
                    continue;
                }
                for rows in file.read(&SKY)? {
                    count(&rows?, night, None, &mut sky.cells)?;
                }
                sky.seen.push(name);
            }
        }
        let cells = sky.cells.clone();
        skies.push((night, sky));
        if skies.len() > SKIES {
            skies.remove(0);
        }
        Ok(cells)
    }
}

const SKY: [&str; 3] = ["night", "_healpix_29", "alert_id"];

fn count(
    rows: &RecordBatch,
    night: i32,
    only: Option<&BTreeSet<i64>>,
    cells: &mut HashMap<i64, u64>,
) -> Result<(), Problem> {
    let cast = |at: usize| {
        arrow_cast::cast(rows.column(at), &arrow_schema::DataType::Int64)
            .map_err(|error| Problem::fault("the alerts cannot be read", &error))
    };
    let columns = [cast(0)?, cast(1)?, cast(2)?];
    let [nights, all, ids] = columns
        .each_ref()
        .map(|column| column.as_primitive::<Int64Type>());
    for row in 0..rows.num_rows() {
        let wanted = nights.is_valid(row)
            && nights.value(row) == i64::from(night)
            && all.is_valid(row)
            && only.is_none_or(|only| only.contains(&ids.value(row)));
        if wanted {
            *cells
                .entry(all.value(row) >> (2 * (29 - MOST_ORDER)))
                .or_default() += 1;
        }
    }
    Ok(())
}
