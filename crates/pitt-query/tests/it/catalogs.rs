//! Catalogs: in from files, kept, and matched against.

use std::path::Path;

use pitt_query::{Catalog, Catalogs, Filter, FilterSet};

use crate::fixture::{Alert, surveys, ztf};

const CSV: &str = "# a comment\nname,RA,Dec,period,kind\n\"RR, Lyr\",10.0,5.0,0.567,RRAB\nMira,10.001,5.0,332,\nlost,,,1,M\n";

fn catalog(folder: &Path) -> Catalog {
    let file = folder.join("in.csv");
    std::fs::write(&file, CSV).unwrap();
    Catalog::import("gcvs", &file, None).unwrap()
}

#[test]
fn matches_the_nearest_source_and_its_columns() {
    let folder = tempfile::tempdir().unwrap();
    let mut catalogs = Catalogs::new();
    catalogs.insert(catalog(folder.path()));
    let alerts: Vec<Alert> = [10.0, 10.0008, 10.1]
        .into_iter()
        .map(|ra| Alert {
            id: 1,
            ra,
            dec: 5.0,
            ..Alert::default()
        })
        .collect();
    let taken = |predicate: &str| {
        let set = FilterSet::compile(
            vec![Filter::parse("f", predicate).unwrap()],
            &surveys(),
            &catalogs,
        );
        let set = set.unwrap_or_else(|error| panic!("{}", error.report()));
        let rows: Vec<u32> = set
            .evaluate("ztf", &ztf(&alerts))
            .into_iter()
            .flat_map(|v| v.rows)
            .collect();
        assert!(set.disabled().is_empty(), "{:?}", set.disabled());
        rows
    };
    assert_eq!(taken("match('gcvs', 5)"), [0, 1]);
    assert_eq!(taken("NOT match('gcvs', 5)"), [2]);
    assert_eq!(taken("match_distance('gcvs', 5) < 0.5"), [0]);
    assert_eq!(taken("match_distance('gcvs', 3600) > 5"), [2]);
    assert_eq!(taken("match_column('gcvs', 'period', 5) > 1"), [1]);
    assert_eq!(taken("match_column('gcvs', 'name', 5) = 'RR, Lyr'"), [0]);
    assert_eq!(taken("match_column('gcvs', 'kind', 5) IS NULL"), [1, 2]);
    let refused = |text: &str| {
        Filter::parse("f", text)
            .unwrap()
            .check(&surveys(), &catalogs)
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(
        [
            "match('gcsv', 5)",
            "match_column('gcvs', 'perod', 5) > 1",
            "match_column('gcvs', 'name', 5) > 1",
            "match('gcvs', 5000)",
        ]
        .map(refused)
        .join("\n")
    );
}

#[test]
fn is_kept_and_loaded_again() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("catalogs");
    assert_eq!(Catalogs::load(&kept).unwrap().iter().count(), 0);
    let catalog = catalog(folder.path());
    catalog.save(&kept).unwrap();
    let loaded = Catalogs::load(&kept).unwrap();
    let again = loaded.get("gcvs").unwrap();
    assert_eq!(again.columns(), catalog.columns());
    assert_eq!((again.len(), again.columns().num_rows()), (2, 3));
    assert_eq!(again.position_columns(), ("RA", "Dec"));
    assert_eq!(again.nearest(10.0, 5.0, 1.0), Some((0, 0.0)));
}

#[test]
fn refuses_what_is_no_catalog() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, text: &str| {
        let file = folder.path().join("in.csv");
        std::fs::write(&file, text).unwrap();
        Catalog::import(name, &file, None).unwrap_err().to_string()
    };
    insta::assert_snapshot!(
        [
            refused("a", ""),
            refused("a", "x,y\n1,2\n"),
            refused("a", "ra,dec\n1,2,3\n"),
            refused("a", "ra,dec\nx,2\n"),
            refused("../a", "ra,dec\n1,2\n"),
        ]
        .join("\n")
    );
}
