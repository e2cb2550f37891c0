//! Words: help and errors.

use super::{bad, good};

#[test]
fn every_command_has_help_with_an_example() {
    let folder = tempfile::tempdir().unwrap();
    let commands: &[&[&str]] = &[
        &["demo"],
        &["run"],
        &["serve"],
        &["download"],
        &["status"],
        &["ls"],
        &["show"],
        &["stamps"],
        &["lightcurve"],
        &["cone"],
        &["filter", "check"],
        &["filter", "test"],
        &["filter", "run"],
        &["filter", "list"],
        &["filter", "add"],
        &["filter", "pause"],
        &["filter", "resume"],
        &["filter", "versions"],
        &["query"],
        &["verify"],
        &["quarantine", "list"],
        &["quarantine", "retry"],
        &["claims", "list"],
        &["claims", "release"],
        &["simulate"],
        &["stream"],
        &["replay"],
        &["catalog", "import"],
        &["catalog", "list"],
        &["token", "create"],
        &["token", "list"],
        &["token", "revoke"],
        &["config", "show"],
        &["config", "check"],
        &["bench"],
    ];
    for command in commands {
        let help = good(folder.path(), &[*command, &["--help"]].concat());
        let words = format!("pitt {}", command.join(" "));
        assert!(
            help.contains("Example") && help.matches(&words).count() >= 2,
            "{help}"
        );
    }
}

#[test]
fn the_first_page_names_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let help = good(folder.path(), &["--help"]);
    let commands = help
        .split("Commands:\n")
        .nth(1)
        .and_then(|rest| rest.split("\n\n").next())
        .unwrap();
    insta::assert_snapshot!(commands, @r"
    demo        Send a simulated night of ZTF and LSST alerts through the whole broker
    run         Run the broker: read alerts, filter them, archive them
    serve       Serve an archive over HTTP: API, SQL, Virtual Observatory
    download    Fetch nights of ZTF's public archive
    status      Show how running brokers are: inputs, rates, lag, what is wrong
    ls          List the nights in the archive
    show        Show every value of one alert, with units
    stamps      Draw the image stamps of one alert
    lightcurve  Print or draw the light curve of one object
    cone        Find objects around a position
    filter      Check, test and run filters
    query       Ask the archive in SQL
    verify      Prove from the files that no alert is lost, doubled or altered
    quarantine  What could not be read, and reading it again
    claims      What processes that died have claimed and nobody stores
    simulate    Write made-up ZTF and LSST packets to a folder
    stream      Serve alerts as a Kafka-compatible stream, with nothing to install
    replay      Send an archive's alerts into a Kafka topic again
    catalog     Catalogs that filters match against
    token       Who may ask a running broker: make, list and revoke tokens
    config      Effective settings, and where each came from
    bench       Measure this machine
    ");
}

#[test]
fn misuse_is_exit_code_2_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _) = bad(folder.path(), &["demmo"]);
    assert_eq!(code, 2);
    let (code, error) = bad(folder.path(), &["run"]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(error, @"error: nothing to read (give a folder with --from, a stream with --kafka, or either in pitt.toml; `pitt demo` makes alerts up)");
    let (code, error) = bad(folder.path(), &["cone", "400", "-4", "10"]);
    assert_eq!(code, 2, "{error}");
    let (code, error) = bad(folder.path(), &["cone", "40", "-4", "-10"]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(error, @"error: radius is -10, expected more than 0 and at most 36000 arcsec");
    let (code, error) = bad(folder.path(), &["demo", "--speed=-1"]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(error, @"error: --speed is -1, expected alerts per second, 0 for no limit");
    let (code, error) = bad(
        folder.path(),
        &["simulate", "--into", "x", "--nights", "6000"],
    );
    assert_eq!(code, 2);
    insta::assert_snapshot!(error, @"error: 6000 nights of 10 visits from 20260224, and 75 nights before them, do not fit in 20170101 to 20420401, for which ids have 64 bits (choose fewer nights or visits, or another first night)");
}

#[test]
fn a_missing_archive_says_how_to_fill_one() {
    let folder = tempfile::tempdir().unwrap();
    let (code, error) = bad(folder.path(), &["ls"]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(error, @"error: there is no archive at `pitt-data` (fill one with `pitt demo` or `pitt run --from FOLDER`, or name another with --archive)");
}

#[test]
fn a_refused_filter_shows_line_and_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("bad.sql"),
        "-- survey: ztf\nSELECT alert_id FROM alerts\nWHERE psf_flx > 1\n",
    )
    .unwrap();
    let (code, error) = bad(folder.path(), &["filter", "check", "bad.sql"]);
    assert_eq!(code, 1);
    insta::assert_snapshot!(error, @r"
    error: filter `bad`, line 3, column 7: no column `psf_flx` (did you mean `psf_flux`?)
       |
     3 | WHERE psf_flx > 1
       |       ^^^^^^^
    ");
}
