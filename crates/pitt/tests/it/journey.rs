//! From packets in a folder to everything that can be asked.

use std::path::Path;

use serde_json::Value;

use super::{bad, examples, good, json, pitt, real_data, simulate};

#[test]
fn a_simulated_night_comes_in_and_every_command_answers() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let faults = "--bad-per-million 20000 --duplicates-per-million 20000";
    let shape = format!("--visits 3 --alerts-per-visit 60 --json {faults}");
    let made: Value = serde_json::from_str(&simulate(dir, "night", &shape)).unwrap();
    let run = json(
        dir,
        &["run", "--from", "night", "--filters", &examples(), "--json"],
    );
    assert_eq!(run["received"], made["packets"]);
    let sum: u64 = ["stored", "duplicates", "quarantined"]
        .iter()
        .map(|key| run[key].as_u64().unwrap())
        .sum();
    assert_eq!(sum, run["received"].as_u64().unwrap());
    assert!(
        run["duplicates"].as_u64() > Some(0) && run["quarantined"].as_u64() > Some(0),
        "{run}"
    );

    let nights = json(dir, &["ls", "--json"]);
    let column = |name: &str| {
        nights
            .as_array()
            .unwrap()
            .iter()
            .map(|night| night[name].as_u64().unwrap())
            .sum::<u64>()
    };
    for (shown, counted) in [
        ("alerts", "stored"),
        ("duplicates", "duplicates"),
        ("quarantined", "quarantined"),
    ] {
        assert_eq!(Some(column(shown)), run[counted].as_u64(), "{shown}");
    }
    let matches: u64 = run["matches"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(serde_json::Value::as_u64)
        .sum();
    assert!(matches > 0);
    assert_eq!(column("matches"), matches);
    looks_at_alerts(dir);
    let verified = json(dir, &["verify", "--json"]);
    assert_eq!(verified["ok"], true, "{verified}");
    let again = json(
        dir,
        &["run", "--from", "night", "--filters", &examples(), "--json"],
    );
    assert_eq!(
        (again["received"].as_u64(), &again["passed_over"]),
        (Some(0), &made["packets"])
    );
}

/// As table, CSV and JSON the light curve of an object has this alert.
fn assert_light_curve(dir: &Path, object: &str, id: &str) {
    let csv = good(dir, &["lightcurve", object, "--csv"]);
    let last = format!(",{id}");
    assert!(csv.lines().any(|line| line.ends_with(&last)), "{csv}");
    let table = good(dir, &["lightcurve", object]);
    let mut lines = table.lines().map(str::trim_end);
    assert!(lines.any(|line| line.ends_with(id)), "{table}");
    let curve = json(dir, &["lightcurve", object, "--json"]);
    let mut points = curve["points"].as_array().unwrap().iter();
    assert!(points.any(|point| point["alert_id"] == id), "{curve}");
}

fn looks_at_alerts(dir: &Path) {
    for survey in ["ztf", "lsst"] {
        let sql = format!(
            "SELECT alert_id, object_id, ra, dec FROM {survey} WHERE object_id IS NOT NULL LIMIT 1"
        );
        let alert = json(dir, &["query", &sql, "--json"]);
        let (id, object) = (
            alert["alert_id"].as_str().unwrap(),
            alert["object_id"].as_str().unwrap(),
        );
        let shown = json(dir, &["show", id, "--json"]);
        assert_eq!(
            (&shown["survey"], &shown["alert_id"]),
            (&survey.into(), &id.into())
        );
        assert_eq!(shown["values"]["object_id"], object);
        assert!(good(dir, &["show", id]).contains("deg     right ascension, ICRS"));
        good(dir, &["show", id, "--raw", "packet.avro"]);
        assert_eq!(
            std::fs::metadata(dir.join("packet.avro")).unwrap().len(),
            shown["packet"]["bytes"].as_u64().unwrap()
        );
        good(dir, &["stamps", id, "--png", "stamps.png"]);
        good(dir, &["lightcurve", object, "--png", "curve.png"]);
        good(dir, &["lightcurve", object, "--flux", "--png", "flux.png"]);
        for picture in ["stamps.png", "curve.png", "flux.png"] {
            assert!(
                std::fs::read(dir.join(picture))
                    .unwrap()
                    .starts_with(b"\x89PNG"),
                "{picture}"
            );
        }
        assert_light_curve(dir, object, id);
        let (ra, dec) = (alert["ra"].to_string(), alert["dec"].to_string());
        let near = json(dir, &["cone", &ra, &dec, "5", "--json"]);
        assert!(
            near.as_array()
                .unwrap()
                .iter()
                .any(|hit| hit["object_id"] == object),
            "{near}"
        );
    }
    good(
        dir,
        &["query", "SELECT * FROM ztf", "--output", "ztf.parquet"],
    );
    assert!(
        std::fs::read(dir.join("ztf.parquet"))
            .unwrap()
            .starts_with(b"PAR1")
    );
    let (code, error) = bad(dir, &["show", "5"]);
    assert!(
        code == 1 && error.starts_with("error: no alert 5 in "),
        "{error}"
    );
    for (given, way_out) in [
        ("ZTF18abcdefg", "pitt lightcurve ZTF18abcdefg"),
        ("ä", "candid of ZTF, diaSourceId of LSST"),
    ] {
        let (code, error) = bad(dir, &["show", given]);
        assert!(code == 2 && error.contains(way_out), "{error}");
    }
    let (code, error) = bad(dir, &["lightcurve", "ZTF00nosuch"]);
    assert!(
        code == 1 && error.starts_with("error: no object `ZTF00nosuch` in "),
        "{error}"
    );
}

#[test]
fn new_files_are_taken_by_the_next_run_and_by_a_following_one() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let sound = "--bad-per-million 0 --duplicates-per-million 0";
    let shape = format!("--survey lsst --visits 1 --alerts-per-visit 10 {sound}");
    simulate(dir, "new", &shape);
    std::fs::create_dir(dir.join("in")).unwrap();
    let mut names: Vec<_> = walk(&dir.join("new"));
    names.sort();
    let mut move_some = |number: usize| {
        for path in names.drain(..number) {
            std::fs::rename(&path, dir.join("in").join(path.file_name().unwrap())).unwrap();
        }
    };
    move_some(4);
    assert_eq!(json(dir, &["run", "--from", "in", "--json"])["stored"], 4);
    move_some(3);
    assert_eq!(json(dir, &["run", "--from", "in", "--json"])["stored"], 3);
    let mut following = pitt(dir)
        .args(["run", "--from", "in", "--follow"])
        .env("PITT_SOURCE_RESCAN_S", "0.1")
        .env("PITT_COMMIT_EVERY_S", "0.2")
        .spawn()
        .unwrap();
    move_some(3);
    let mut alerts = serde_json::Value::Null;
    for _ in 0..100 {
        std::thread::sleep(std::time::Duration::from_millis(100));
        alerts = json(
            dir,
            &["query", "SELECT count(*) AS n FROM alerts", "--json"],
        )["n"]
            .clone();
        if alerts == 10 {
            break;
        }
    }
    let stopped = std::process::Command::new("kill")
        .args(["-INT", &following.id().to_string()])
        .status()
        .unwrap();
    assert!(stopped.success() && following.wait().unwrap().success());
    assert_eq!(alerts, 10);
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let packets = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "avro"));
    packets
        .chain(folders.iter().flat_map(|folder| walk(folder)))
        .collect()
}

#[test]
fn a_catalog_is_taken_in_and_matched() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    std::fs::write(
        dir.join("stars.csv"),
        "name,ra,dec\nA,10.5,-3.2\nB,20.0,4.0\n",
    )
    .unwrap();
    good(dir, &["catalog", "import", "stars", "stars.csv"]);
    assert_eq!(json(dir, &["catalog", "list", "--json"])[0]["sources"], 2);
    std::fs::write(dir.join("near.sql"), "match('stars', 1.5)").unwrap();
    good(dir, &["filter", "check", "near.sql"]);
    std::fs::write(dir.join("far.sql"), "match('starz', 1.5)").unwrap();
    assert!(
        bad(dir, &["filter", "check", "far.sql"])
            .1
            .contains("did you mean `stars`")
    );
}

#[test]
fn real_packets_come_in() {
    let Some(data) = real_data() else {
        eprintln!("skipped: no real alerts (set PITT_TEST_DATA)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let (ztf, wire) = (
        data.join("ztf/nightly/ztf_public_20181129.tar.gz"),
        data.join("lsst/wire"),
    );
    let schemas = data.join("lsst/schemas");
    let run = pitt(dir)
        .args(["run", "--json", "--filters", &examples(), "--from"])
        .arg(&ztf)
        .arg("--from")
        .arg(&wire)
        .arg("--from")
        .arg(data.join("ztf/bad"))
        .env("PITT_SCHEMA_DIR", &schemas)
        .output()
        .unwrap();
    let counts: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    eprintln!(
        "real packets: {} received, {} stored, {} duplicates, {} quarantined",
        counts["received"], counts["stored"], counts["duplicates"], counts["quarantined"]
    );
    assert!(counts["stored"].as_u64() > Some(499), "{counts}");
    assert!(counts["quarantined"].as_u64() > Some(10), "{counts}");
    assert_eq!(json(dir, &["verify", "--json"])["ok"], true);
    let alert = json(
        dir,
        &[
            "query",
            "SELECT alert_id, object_id FROM ztf LIMIT 1",
            "--json",
        ],
    );
    good(
        dir,
        &[
            "stamps",
            alert["alert_id"].as_str().unwrap(),
            "--png",
            "real.png",
        ],
    );
    good(
        dir,
        &[
            "lightcurve",
            alert["object_id"].as_str().unwrap(),
            "--png",
            "curve.png",
        ],
    );
}
