use super::text::{WIDTH, webhooks};
use super::*;
use crate::telemetry::WebhooksStatus;

#[test]
fn webhooks_fit_eighty_columns_too() {
    let of = WebhooksStatus {
        delivering: true,
        hooks: 3,
        paused: 1,
        delivered: 123_456,
        waiting: 12,
        ..WebhooksStatus::default()
    };
    let text = webhooks(&of);
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
    insta::assert_snapshot!(text.trim(), @r"
    3 webhooks, 0 failing, 1 paused: 123,456 matches delivered, 12 waiting, 0
      batches given up
    ");
}

/// A document as another process has written it, with changes.
fn run(changes: serde_json::Value) -> Status {
    let mut document = json!({
        "format": 1, "version": "0.1.0", "pid": 4711, "host": "summit", "lane": 0, "state": "running", "error": null,
        "started_us": 1_000_000_000_000_000i64, "written_us": 1_000_000_300_000_000i64, "url": "http://127.0.0.1:8080",
        "counts": {"received": 1_234_567, "bytes": 0, "stored": 1_230_000, "duplicates": 4_000, "quarantined": 567,
            "reasons": {"bad_data": 500, "unknown_schema": 67}},
        "rate": {"alerts_per_s": 412.3, "bytes_per_s": 24.5e6, "alerts_per_s_1m": 398.0},
        "stages": {"match": {"count": 1, "p50_ms": 38.0, "p99_ms": 210.0, "p999_ms": 1234.0}},
        "filters": [
            {"name": "young_supernova_candidates", "version": "1", "matches": 12, "delivered": 11, "switched_off": null},
            {"name": "bright", "version": "1", "matches": 3456, "delivered": 3456, "switched_off": null},
        ],
        "inputs": [
            {"name": "ztf", "kind": "kafka", "state": "reading", "since_us": 1_000_000_000_000_000i64, "troubles": [],
                "last_error": {"text": "no broker answers", "since_us": 1_000_000_100_000_000i64},
                "messages": 1_234_567, "expired": 3,
                "partitions": [{"topic": "ztf_20260101_programid1", "partition": 0, "next": 9, "lag": 1500},
                    {"topic": "ztf_20260101_programid1", "partition": 1, "next": 9, "lag": null}]},
        ],
        "output": {"servers": "kafka.example.org:9092", "state": "publishing", "since_us": 1_000_000_000_000_000i64,
            "troubles": [], "last_error": null, "behind": 7},
        "archive": {"records": 0, "alerts": 5_000_000, "matches": 12_345, "quarantined": 678, "bytes": 120_300_000_000u64, "counted_us": 0},
        "disk": [45_200_000_000u64, 100_000_000_000u64],
        "memory": {"now_bytes": 512_000_000, "most_bytes": 640_000_000},
    });
    for (key, value) in changes.as_object().unwrap() {
        document[key] = value.clone();
    }
    serde_json::from_value(document).unwrap()
}

const NOW: i64 = 1_000_000_301_000_000;

#[test]
fn everything_fits_eighty_columns() {
    let text = View::of("pitt-data", vec![run(json!({}))], NOW).text();
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
    insta::assert_snapshot!(text, @r"
    Pitt Broker, archive pitt-data

    Process 4711 on summit, lane 0
      running for 5 min
      http://127.0.0.1:8080
          1,234,567 received         1,230,000 stored
              4,000 duplicates             567 quarantined
                    500 bad_data, 67 unknown_schema
                412 alerts/s               398 over a minute, 24.5 MB/s
           512.0 MB memory            640.0 MB at most
              38 ms receipt to match, p50; p99 210 ms, p99.9 1.2 s

      input  state    since    packets  waiting
      ztf    reading  5 min  1,234,567    1,500
        ztf: last error 2001-09-09 01:48:20: no broker answers
        ztf: 3 messages expired unread

      filter                      matches  delivered
      bright                        3,456      3,456
      young_supernova_candidates       12         11

      output                  state       since  to publish
      kafka.example.org:9092  publishing  5 min           7

    Archive: 5,000,000 alerts, 12,345 matches, 678 quarantined, 120.3 GB
    Disk:    45.2 GB free of 100.0 GB

    Nothing is wrong.
    ");
}

#[test]
fn what_is_wrong_stands_last_and_is_wrapped() {
    let trouble = "no broker answers at kafka.example.org:9092: connection refused (check `servers`, and that the cluster runs)";
    let down = json!({"inputs": [{"name": "lsst", "kind": "kafka", "state": "waiting", "since_us": 1_000_000_181_000_000i64,
        "troubles": [{"text": trouble, "since_us": 1_000_000_181_000_000i64}], "last_error": null, "messages": 0,
        "expired": 0, "partitions": []}],
        "output": null, "filters": [], "disk": [900_000_000u64, 100_000_000_000u64]});
    let view = View::of("pitt-data", vec![run(down)], NOW);
    assert_eq!(view.troubles.len(), 2);
    let text = view.text();
    assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
    insta::assert_snapshot!(text, @r"
    Pitt Broker, archive pitt-data

    Process 4711 on summit, lane 0
      running for 5 min
      http://127.0.0.1:8080
          1,234,567 received         1,230,000 stored
              4,000 duplicates             567 quarantined
                    500 bad_data, 67 unknown_schema
                412 alerts/s               398 over a minute, 24.5 MB/s
           512.0 MB memory            640.0 MB at most
              38 ms receipt to match, p50; p99 210 ms, p99.9 1.2 s

      input  state    since  packets  waiting
      lsst   waiting  2 min        0        –

    Archive: 5,000,000 alerts, 12,345 matches, 678 quarantined, 120.3 GB
    Disk:    900.0 MB free of 100.0 GB

    ! input lsst: no broker answers at kafka.example.org:9092: connection refused
      (check `servers`, and that the cluster runs)
    ! the archive's disk has 900.0 MB left
    ");
}

#[test]
fn claims_of_the_dead_are_a_trouble_unless_somebody_reads_their_partition() {
    let mut claimed = ClaimedPartition {
        partition: "kafka:ztf/gone/0".into(),
        from: 10,
        to: 20,
        alerts: 9,
        matches: 4,
        lanes: [0].into(),
        held: [].into(),
    };
    let told = left_open(std::slice::from_ref(&claimed), &[run(json!({}))]);
    assert!(told[0].contains("`pitt claims release kafka:ztf/gone/0`"));
    let mut read = claimed.clone();
    read.partition = "kafka:ztf/ztf_20260101_programid1/1".into();
    assert!(left_open(&[read], &[run(json!({}))]).is_empty());
    claimed.held.insert(1);
    assert!(left_open(&[claimed], &[]).is_empty());
}

#[test]
fn the_dead_are_told_of_until_a_later_process_runs() {
    let dead = || run(json!({"lane": 1, "pid": 1, "written_us": 1_000_000_100_000_000i64}));
    let elder = run(json!({}));
    let view = View::of("a", vec![elder, dead()], NOW);
    assert_eq!(
        view.troubles,
        ["process 1 of lane 1 died, hangs or was paused at 2001-09-09 01:48:20"]
    );
    let younger = run(json!({"started_us": 1_000_000_200_000_000i64}));
    let view = View::of("a", vec![younger, dead()], NOW);
    assert_eq!((view.troubles.len(), view.runs.len()), (0, 1));
    let ended = run(json!({"state": "ended"}));
    assert!(View::of("a", vec![ended], NOW).troubles.is_empty());
    let failed = run(json!({"state": "failed", "error": "disk full"}));
    assert_eq!(View::of("a", vec![failed], NOW).troubles, ["disk full"]);
    assert_eq!(
        View::of("a", vec![], NOW).troubles,
        ["no broker has run into this archive yet"]
    );
}
