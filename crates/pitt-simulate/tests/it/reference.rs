//! fastavro and astropy read every packet and find in it what the truth table says.

use std::path::{Path, PathBuf};
use std::process::Command;

use pitt_simulate::{SimulationConfig, Simulator, write_folder};

fn python() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python");
    std::env::var_os("PITT_PYTHON")
        .map(PathBuf::from)
        .or_else(|| default.is_file().then_some(default))
}

#[test]
fn fastavro_and_astropy_agree_with_the_truth_and_histories_repeat_earlier_alerts() {
    let Some(python) = python() else {
        println!("skipped: no Python with fastavro (run ./dev test)");
        return;
    };
    let config = SimulationConfig {
        nights: 3,
        visits_per_night: 3,
        alerts_per_visit: 60,
        bad_packets_per_million: 20_000,
        duplicates_per_million: 20_000,
        ..SimulationConfig::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let mut calls = 0;
    let written = write_folder(folder.path(), config, |done, total| {
        calls += 1;
        assert_eq!((done, total), (calls, 18));
    })
    .unwrap();
    assert_eq!(written.nights.len(), 6);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/check_packets.py");
    let output = Command::new(python)
        .arg(script)
        .arg(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        said.contains(&format!("{} packets", written.packets)),
        "{said}"
    );
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let inside = file.path().join("night");
    let error = write_folder(&inside, SimulationConfig::default(), |_, _| ()).unwrap_err();
    assert!(
        error.to_string().contains(&inside.display().to_string()),
        "{error}"
    );
}

#[test]
fn nights_without_ids_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("night");
    let usual = SimulationConfig::default;
    let refused = [
        SimulationConfig {
            nights: 6_000,
            ..usual()
        },
        SimulationConfig {
            nights: u32::MAX,
            ..usual()
        },
        SimulationConfig {
            history_nights: 4_000,
            ..usual()
        },
        SimulationConfig {
            visits_per_night: u32::MAX,
            ..usual()
        },
        SimulationConfig {
            visits_per_night: 16_385,
            ..usual()
        },
        SimulationConfig {
            alerts_per_visit: 1_048_577,
            ..usual()
        },
        SimulationConfig {
            first_night: 20_420_402,
            ..usual()
        },
        SimulationConfig {
            first_night: 20_261_301,
            ..usual()
        },
        SimulationConfig {
            first_night: i32::MAX,
            ..usual()
        },
        SimulationConfig {
            cadence_s: f64::INFINITY,
            ..usual()
        },
    ];
    for config in refused {
        let error = write_folder(&inside, config.clone(), |_, _| ()).unwrap_err();
        assert!(
            error.to_string().contains("expected a date")
                || error.to_string().contains("20170101 to 20420401")
                || error.to_string().contains("ids of LSST tell"),
            "{error}"
        );
        assert_eq!(
            Simulator::new(config).next_visit().map(|visit| visit.night),
            None
        );
    }
    assert!(!inside.exists());
}

#[test]
fn the_last_night_has_ids() {
    let config = SimulationConfig {
        first_night: 20_420_331,
        nights: 2,
        visits_per_night: 2_000,
        alerts_per_visit: 1,
        ..SimulationConfig::default()
    };
    assert!(config.check().is_ok(), "{:?}", config.check());
    let mut simulator = Simulator::new(config);
    simulator.seek(simulator.total_visits() - 4);
    let last: Vec<_> = simulator
        .map(|visit| (visit.night, visit.packets[0].truth.alert_id))
        .collect();
    assert!(
        last.iter()
            .all(|(night, id)| *night == 20_420_401 && *id > 0),
        "{last:?}"
    );
}
