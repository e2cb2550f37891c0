//! Settings as the program shows and checks them.

use super::{bad, good, json, pitt, text};

#[test]
fn shows_where_each_setting_came_from() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("pitt.toml"),
        "archive = \"mine\"\n[commit]\nevery_s = 3\n",
    )
    .unwrap();
    let output = pitt(folder.path())
        .args(["config", "show", "--json", "--archive", "other"])
        .env("PITT_PIPELINE_WORKERS", "2")
        .output();
    let shown: serde_json::Value = serde_json::from_str(&text(&output.unwrap().stdout)).unwrap();
    assert_eq!(shown["archive"]["value"], "other");
    assert_eq!(shown["archive"]["origin"], "flag --archive");
    assert_eq!(shown["commit.every_s"]["value"], 3.0);
    assert_eq!(shown["commit.every_s"]["origin"], "pitt.toml, line 3");
    assert_eq!(
        shown["pipeline.workers"]["origin"],
        "environment PITT_PIPELINE_WORKERS"
    );
    assert_eq!(shown["query.max_rows"]["origin"], "default");
}

#[test]
fn the_default_file_is_a_settings_file_that_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let default = good(folder.path(), &["config", "show", "--default"]);
    let before = json(folder.path(), &["config", "show", "--json"]);
    std::fs::write(folder.path().join("pitt.toml"), default).unwrap();
    let after = json(folder.path(), &["config", "show", "--json"]);
    for (key, entry) in before.as_object().unwrap() {
        assert_eq!(entry["value"], after[key]["value"], "{key}");
    }
    good(folder.path(), &["config", "check"]);
}

#[test]
fn a_wrong_file_is_misuse() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("pitt.toml"),
        "[pipeline]\nbatch_alert = 5\n",
    )
    .unwrap();
    let (code, error) = bad(folder.path(), &["config", "check"]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(error, @"error: pitt.toml, line 2: unknown setting `pipeline.batch_alert` (did you mean `pipeline.batch_alerts`?)");
}
