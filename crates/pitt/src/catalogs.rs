//! Catalogs at hand for `match('name', arcsec)`: files under `<archive>/catalogs`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use pitt_query::Catalogs;

/// Where an archive keeps its catalogs.
pub fn folder(archive: &Path) -> PathBuf {
    archive.join("catalogs")
}

/// The catalogs imported into an archive.
///
/// # Errors
/// One cannot be read.
pub fn load(archive: &Path) -> Result<Catalogs> {
    Ok(Catalogs::load(&folder(archive))?)
}
