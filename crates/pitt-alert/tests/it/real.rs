//! Where real packets and Python are.

use std::path::{Path, PathBuf};

use pitt_alert::SchemaStore;

/// The folder of real packets, if it is there.
pub fn data() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder =
        std::env::var_os("PITT_TEST_DATA").map_or_else(|| PathBuf::from(default), PathBuf::from);
    if !folder.join("ztf").is_dir() {
        println!(
            "skipped: no real packets in {} (set PITT_TEST_DATA)",
            folder.display()
        );
        return None;
    }
    Some(folder)
}

/// A Python with fastavro, if there is one.
pub fn python() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python");
    let python = std::env::var_os("PITT_PYTHON").map_or(default, PathBuf::from);
    if python.components().count() > 1 && !python.exists() {
        println!("skipped: no Python with fastavro (run ./dev test)");
        return None;
    }
    Some(python)
}

/// LSST's official schemas.
pub fn lsst_schemas(data: &Path) -> SchemaStore {
    SchemaStore::new()
        .with_folder(data.join("lsst/schemas"))
        .expect("the schemas are readable")
}
