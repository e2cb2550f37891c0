//! Other people's readers read the tables.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::night::{archive_of, night};

fn python() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python");
    let python = std::env::var_os("PITT_PYTHON").map_or(default, PathBuf::from);
    if python.components().count() > 1 && !python.exists() {
        println!("skipped: no Python with fastavro (run ./dev test)");
        return None;
    }
    Some(python)
}

const SCRIPT: &str = r#"
import glob, sys
import deltalake, polars, pyarrow.parquet as pq

root = sys.argv[1]
for name in sys.argv[2:]:
    table = deltalake.DeltaTable(f"{root}/{name}")
    a = table.to_pyarrow_table().num_rows
    b = sum(pq.read_table(path).num_rows for path in glob.glob(f"{root}/{name}/*.parquet"))
    c = polars.read_delta(f"{root}/{name}").height
    print(name, a, b, c)
"#;

#[test]
fn pyarrow_polars_and_deltalake_read_every_table() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let archive = archive_of(folder.path(), &night(160), 60);
    let tables = archive.tables();
    let output = Command::new(python)
        .args(["-c", SCRIPT])
        .arg(folder.path())
        .args(&tables)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said = String::from_utf8(output.stdout).unwrap();
    let expected: Vec<String> = tables
        .iter()
        .map(|table| {
            let rows = archive.snapshot(table).unwrap().unwrap().rows();
            format!("{table} {rows} {rows} {rows}")
        })
        .collect();
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}
