//! `pitt download` against a web server like the archive's.

use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use flate2::Compression;
use flate2::write::GzEncoder;
use pitt_nights::Md5;
use pitt_simulate::{SimSurvey, SimulationConfig, Simulator};

use crate::nights_server::{Files, Manners, Server};
use crate::{bad, good, json, pitt, real_data};

/// Members of a tarball, gzipped.
fn tarball(members: &[(String, Vec<u8>)], link: bool) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(vec![], Compression::fast()));
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // Written as it stands: the builder itself refuses names that leave the folder.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, &bytes[..]).unwrap();
    }
    if link {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, "1.avro", "/etc/passwd")
            .unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// Made-up packets of one night, named as the archive names them.
fn packets(seed: u64, count: usize) -> Vec<(String, Vec<u8>)> {
    let config = SimulationConfig {
        seed,
        alerts_per_visit: u32::try_from(count).unwrap(),
        surveys: vec![SimSurvey::Ztf],
        ..SimulationConfig::default()
    };
    let visit = Simulator::new(config).next_visit().unwrap();
    let named = visit.packets.into_iter().map(|packet| {
        let name = format!("{}.avro", packet.truth.alert_id);
        (name, packet.bytes.to_vec())
    });
    named.collect()
}

fn serve(nights: &[(&str, Vec<u8>)], wrong: Option<&str>) -> Files {
    let mut sums = "# md5sum of the public nights\n".to_owned();
    for (night, bytes) in nights {
        let sum = match wrong {
            Some(other) if other == *night => Md5::of(b"not this"),
            _ => Md5::of(bytes),
        };
        sums.push_str(&format!("{sum}  /epyc/ztf_public_{night}.tar.gz\n"));
    }
    let mut files: Files = nights
        .iter()
        .map(|(night, bytes)| (format!("ztf_public_{night}.tar.gz"), bytes.clone()))
        .collect();
    files.push(("MD5SUMS".into(), sums.into_bytes()));
    files
}

fn alerts(folder: &Path) -> u64 {
    let nights = json(folder, &["ls", "--json"]);
    let nights = nights["nights"]
        .as_array()
        .unwrap_or_else(|| nights.as_array().unwrap());
    nights
        .iter()
        .filter_map(|night| night["alerts"].as_u64())
        .sum()
}

#[test]
fn nights_come_once_and_the_tarball_goes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (first, second) = (packets(1, 30), packets(2, 40));
    let nights = [
        ("20180601", tarball(&first, false)),
        ("20180602", tarball(&second, false)),
        ("20180603", vec![0; 44]),
    ];
    let server = Server::start(serve(&nights, None), Manners::default());
    let listed = good(folder, &["download", "--list", "--url", &server.url]);
    assert!(
        listed.contains("no alerts") && listed.contains("3 nights"),
        "{listed}"
    );

    let said = good(folder, &["download", "--url", &server.url]);
    assert!(said.contains("20180602: 40 packets"), "{said}");
    assert_eq!(alerts(folder), 40);
    let listed = good(folder, &["ls"]);
    let public = listed.split("public night").nth(1).unwrap_or_default();
    let mut words = public.split_whitespace();
    assert!(words.any(|word| word == "2018-06-02"), "{listed}");
    assert_eq!(words.next(), Some("40"), "{listed}");
    assert!(words.any(|word| word == "complete"), "{listed}");
    let lines = json(folder, &["ls", "--json"]);
    let mut of_night = lines.as_array().unwrap().iter();
    let public = of_night.find(|line| line["night"] == 20_180_602).unwrap();
    assert_eq!(public["public"]["packets"], 40);
    let said = good(folder, &["download", "--url", &server.url]);
    assert!(said.contains("Nothing to fetch"), "{said}");

    let keep = [
        "download",
        "--night",
        "20180101..20181231",
        "--keep",
        "kept",
        "--url",
    ];
    good(folder, &[&keep[..], &[&server.url]].concat());
    assert_eq!(alerts(folder), 70);
    assert!(std::fs::read(folder.join("kept/ztf_public_20180601.tar.gz")).unwrap() == nights[0].1);
    let left: Vec<String> = std::fs::read_dir(folder.join("pitt-data/nights"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(left.iter().all(|name| name.ends_with(".json")), "{left:?}");

    let id = first[7].0.trim_end_matches(".avro");
    good(folder, &["show", id, "--raw", "one.avro"]);
    assert!(std::fs::read(folder.join("one.avro")).unwrap() == first[7].1);
    good(folder, &["verify"]);
}

#[test]
fn strange_members_are_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut members = packets(3, 5);
    members.insert(2, ("../../evil.avro".into(), vec![1, 2, 3]));
    members.insert(4, ("/etc/evil.avro".into(), vec![1, 2, 3]));
    members.push(("notes.txt".into(), b"hello".to_vec()));
    let server = Server::start(
        serve(&[("20180601", tarball(&members, true))], None),
        Manners::default(),
    );
    let (code, _) = bad(folder.path(), &["download", "--url", &server.url]);
    assert_eq!(code, 1);
    let note = folder
        .path()
        .join("pitt-data/nights/ztf_public_20180601.json");
    let note: serde_json::Value = serde_json::from_slice(&std::fs::read(note).unwrap()).unwrap();
    let refused = note["refused"].to_string();
    for what in [
        "evil.avro: its name leaves",
        "1.avro: a link",
        "notes.txt: no packet",
    ] {
        assert!(refused.contains(what), "{refused}");
    }
    assert_eq!(
        (note["packets"].as_u64(), alerts(folder.path())),
        (Some(5), 5)
    );
    good(folder.path(), &["verify"]);
}

#[test]
fn a_wrong_checksum_is_said_and_the_night_can_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let nights = [("20180601", tarball(&packets(4, 20), false))];
    let server = Server::start(serve(&nights, Some("20180601")), Manners::default());
    let (code, said) = bad(folder, &["download", "--url", &server.url]);
    assert!(code == 1 && said.contains("set aside"), "{said}");
    let aside = "pitt-data/nights/ztf_public_20180601.tar.gz.part.wrong-checksum";
    assert!(folder.join(aside).exists());
    *server.files.lock().unwrap() = serve(&nights, None);
    good(folder, &["download", "--url", &server.url]);
    assert_eq!(alerts(folder), 20);
    good(folder, &["verify"]);
}

#[test]
fn a_killed_download_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let night = tarball(&packets(5, 200), false);
    let manners = Manners {
        slow_ms: 2,
        ..Manners::default()
    };
    let server = Server::start(serve(&[("20180601", night.clone())], None), manners);
    let part = folder.join("pitt-data/nights/ztf_public_20180601.tar.gz.part");
    for share in [4, 3, 2] {
        let mut run = pitt(folder);
        let run = run.args(["download", "--url", &server.url]);
        let run = run.env("PITT_COMMIT_EVERY_S", "0.2");
        let mut run = run
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let here = || std::fs::metadata(&part).map_or(0, |file| file.len());
        while here() < night.len() as u64 / share {
            assert!(run.try_wait().unwrap().is_none(), "it ended too early");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        run.kill().unwrap();
        run.wait().unwrap();
    }
    server.manners.lock().unwrap().slow_ms = 0;
    let said = good(folder, &["download", "--url", &server.url]);
    assert!(said.contains("of it here"), "{said}");
    assert_eq!(alerts(folder), 200);
    assert!(!part.exists());
    good(folder, &["verify"]);
}

#[test]
fn the_real_nights() {
    let Some(data) = real_data() else {
        println!("skipped: no real alerts (set PITT_TEST_DATA)");
        return;
    };
    let mut files = Files::new();
    for entry in std::fs::read_dir(data.join("ztf/nightly")).unwrap() {
        let entry = entry.unwrap();
        let mut bytes = vec![];
        let mut file = std::fs::File::open(entry.path()).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        files.push((entry.file_name().into_string().unwrap(), bytes));
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(
        files,
        Manners {
            ranges: false,
            ..Manners::default()
        },
    );
    let all = [
        "download",
        "--night",
        "20180101..20301231",
        "--json",
        "--url",
        &server.url,
    ];
    let told = json(folder.path(), &all);
    let nights = told["nights"].as_array().unwrap();
    assert_eq!(nights.len(), 12, "all but the empty one");
    let busiest = nights
        .iter()
        .find(|night| night["night"] == 20181129)
        .unwrap();
    assert_eq!(busiest["packets"], 499);
    assert_eq!(told["quarantined"], 0);
    let packets: u64 = nights
        .iter()
        .filter_map(|night| night["packets"].as_u64())
        .sum();
    assert_eq!(
        told["stored"].as_u64().unwrap() + told["duplicates"].as_u64().unwrap(),
        packets
    );
    good(folder.path(), &["verify"]);
}

#[test]
fn nobody_there() {
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = bad(
        folder.path(),
        &["download", "--night", "soon", "--url", "http://127.0.0.1:9"],
    );
    assert!(code == 2 && said.contains("20181129"), "{said}");
}
