//! Filters: from files and from the archive's book, the schemas they are held against, and those at work.

mod book;
mod desk;
mod roster;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use pitt_alert::{Decoder, Packet, SchemaStore, Selection};
use pitt_kafka::publish::check_topic;
use pitt_query::{Catalogs, Filter, FilterError, Surveys};
use pitt_simulate::{SimulationConfig, Simulator};

pub use book::{
    Book, BookError, Contents, Draft, Entry, MayChange, NotYours, VersionNote, anybodys, check_name,
};
pub use desk::{FilterDesk, FilterOrigin, FilterState, FromFile, Known};
pub use roster::{AtWork, Cost, Member, Roster};

/// A filter refused, shown with the line and a mark under the place.
#[derive(Debug)]
pub struct Refused(pub FilterError);

impl std::fmt::Display for Refused {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(&self.0.report())
    }
}

impl std::error::Error for Refused {}

/// Holds a filter against schemas and catalogs, and the names of its topic and stream against what Kafka takes.
///
/// # Errors
/// It does not fit, and where.
pub fn check(filter: &Filter, surveys: &Surveys, catalogs: &Catalogs) -> Result<(), FilterError> {
    filter.check(surveys, catalogs)?;
    let header = filter.header();
    for (key, name) in [("topic", &header.topic), ("output", &header.output)] {
        let named = name.as_deref().map(check_topic);
        if let Some(Err(error)) = named {
            return Err(filter.refuse_header(key, error.to_string()));
        }
    }
    Ok(())
}

/// The version of a filter: eight hexadecimal digits that change with its text.
pub fn version(filter: &Filter) -> Arc<str> {
    let hash = xxhash_rust::xxh3::xxh3_64(filter.text().as_bytes());
    format!("{:08x}", hash >> 32).into()
}

/// The filter files among the paths: files as they are, of folders those that end in `.sql`, sorted by name.
///
/// # Errors
/// A path cannot be read.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = vec![];
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path)
            .with_context(|| format!("cannot read the filters in `{}`", path.display()))?;
        let mut found = vec![];
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "sql") {
                found.push(path);
            }
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

/// Reads one filter; its name is the file's.
///
/// # Errors
/// It cannot be read, or is refused.
pub fn load(file: &Path) -> Result<Filter> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read filter `{}`", file.display()))?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    Ok(Filter::parse(&name, &text).map_err(Refused)?)
}

/// Reads a folder of filters.
///
/// # Errors
/// One cannot be read or is refused, or two have the same name.
pub fn load_all(folder: &Path) -> Result<Vec<Filter>> {
    let filters: Vec<Filter> = files(&[folder.to_owned()])?
        .iter()
        .map(|file| load(file))
        .collect::<Result<_>>()?;
    for (index, filter) in filters.iter().enumerate() {
        if filters[..index]
            .iter()
            .any(|other| other.name() == filter.name())
        {
            bail!(
                "two filters are called `{}` (rename one file)",
                filter.name()
            );
        }
    }
    Ok(filters)
}

/// The filters under `examples/filters`, which the demo runs.
///
/// # Errors
/// None that a user can cause.
pub fn examples() -> Result<Vec<Filter>> {
    EXAMPLES
        .iter()
        .map(|(name, text)| Ok(Filter::parse(name, text).map_err(Refused)?))
        .collect()
}

macro_rules! example {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../../../examples/filters/", $name, ".sql")),
        )
    };
}

/// Name and text of each example.
pub const EXAMPLES: &[(&str, &str)] = &[
    example!("asteroids"),
    example!("asteroids_lsst"),
    example!("bright_transients"),
    example!("bright_transients_lsst"),
    example!("fast_risers"),
    example!("hostless"),
    example!("hostless_lsst"),
    example!("kilonova_like"),
    example!("young_supernova_candidates"),
];

/// The schemas known without any data: those of the simulator's packets, which follow the published ones.
///
/// # Errors
/// None that a user can cause.
pub fn known_surveys() -> Result<Surveys> {
    let mut decoder = Decoder::new(built_in_schemas()?);
    decoder.select(Selection::everything());
    let config = SimulationConfig {
        visits_per_night: 1,
        alerts_per_visit: 1,
        bad_packets_per_million: 0,
        duplicates_per_million: 0,
        history_nights: 0,
        ..SimulationConfig::default()
    };
    let visits = Simulator::new(config);
    let packets: Vec<Packet> = visits
        .flat_map(|visit| visit.packets.into_iter().take(1))
        .map(|packet| Packet::unplaced(packet.survey.as_str(), packet.bytes))
        .collect();
    let mut surveys = Surveys::new();
    for batch in decoder.decode(&packets).batches {
        surveys.insert(&batch.survey, batch.records.schema_ref());
    }
    Ok(surveys)
}

/// The schema store every decoder starts from: LSST's current schema is built in.
///
/// # Errors
/// None that a user can cause.
pub fn built_in_schemas() -> Result<SchemaStore> {
    let store = SchemaStore::new();
    let (id, json) = pitt_simulate::lsst_schema();
    store
        .insert(id, json)
        .context("the built-in schema of LSST")?;
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_surveys_are_known_without_data() {
        let surveys = known_surveys().unwrap();
        assert_eq!(surveys.names().collect::<Vec<_>>(), ["lsst", "ztf"]);
        assert!(
            surveys
                .get("ztf")
                .unwrap()
                .column_with_name("candidate")
                .is_some()
        );
    }

    #[test]
    fn a_version_changes_with_the_text() {
        let filter = |text| Filter::parse("bright", text).unwrap();
        assert_eq!(
            version(&filter("psf_flux > 1e5")),
            version(&filter("psf_flux > 1e5"))
        );
        assert_ne!(
            version(&filter("psf_flux > 1e5")),
            version(&filter("psf_flux > 2e5"))
        );
    }
}
