//! Errors as users see them.

use crate::fixture::check;

/// Reports of a list of refused filters, one after the other; an accepted one is shown as such.
fn reports(texts: &[&str]) -> String {
    let report = |text: &&str| match check(&format!("-- survey: ztf\n{text}")) {
        Ok(_) => format!("ACCEPTED: {text}"),
        Err(error) => error.report(),
    };
    texts.iter().map(report).collect::<Vec<_>>().join("\n\n")
}

#[test]
fn names_that_are_not_known() {
    insta::assert_snapshot!(reports(&[
        "SELECT objectId FROM alerts\nWHERE candidate.magpfs < 18",
        "magpsf < 18",
        "diaSource.psfFlux > 5",
        "detections.psf_flux > 5",
        "detections[1].psfflux > 5",
        "SELECT altitude FROM alerts WHERE ra > 5",
        "detectoins('r') > 2",
        "regexp_like(object_id, 'x')",
        "random() < 0.1",
        "now() > 5",
        "match('gcvs', 1.5)",
    ]));
}

#[test]
fn values_of_the_wrong_type() {
    insta::assert_snapshot!(reports(&[
        "object_id > 5",
        "candidate.magpsf < '18'",
        "candidate.magpsf",
        "psf_flux + band > 3",
        "NOT psf_flux",
        "band AND ra > 5",
        "detections > 3",
        "candidate = 3",
        "band IN ('g', 5)",
        "ra BETWEEN 5 AND 'x'",
        "ra LIKE 'x%'",
        "sqrt(band) > 2",
        "CASE WHEN ra > 5 THEN 'a' ELSE 3 END = 'a'",
        "mag('r') < 20",
        "CAST(ra AS DATE) = 3",
    ]));
}

#[test]
fn arguments_that_do_not_fit() {
    insta::assert_snapshot!(reports(&[
        "rise_rate() > 0.1",
        "rise_rate('x') > 0.1",
        "rise_rate(band) > 0.1",
        "detections('r', -3) > 1",
        "detections('r', psf_flux) > 1",
        "detections('r', 3, 4) > 1",
        "color('g', 'g') > 1",
        "cone(ra, dec, 10) ",
        "galactic_latitude(ra) > 3",
        "round(ra, 1, 2) > 3",
    ]));
}

#[test]
fn statements_that_do_more_than_choose_alerts() {
    insta::assert_snapshot!(reports(&[
        "count(*) > 5",
        "SELECT avg(psf_flux) FROM alerts WHERE ra > 5",
        "rank() OVER (ORDER BY ra) = 1",
        "SELECT * FROM alerts WHERE ra > 5 GROUP BY band",
        "SELECT * FROM alerts WHERE ra > 5 ORDER BY ra",
        "SELECT * FROM alerts WHERE ra > 5 LIMIT 3",
        "SELECT DISTINCT band FROM alerts WHERE ra > 5",
        "SELECT * FROM alerts JOIN packets ON 1 = 1 WHERE ra > 5",
        "SELECT * FROM packets WHERE ra > 5",
        "SELECT * FROM alerts",
        "SELECT *, ra FROM alerts WHERE ra > 5",
        "ra > (SELECT max(ra) FROM alerts)",
        "WITH a AS (SELECT 1) SELECT * FROM alerts WHERE ra > 5",
        "SELECT * FROM alerts WHERE ra > 5 UNION SELECT * FROM alerts WHERE ra < 5",
        "DROP TABLE alerts",
        "CREATE TABLE x (a INT)",
        "INSERT INTO alerts VALUES (1)",
        "DELETE FROM alerts",
        "COPY alerts TO 'file'",
        "SET a = 1",
        "ra > 5; dec > 5",
        "SELECT * FROM alerts WHERE ra > 5; DROP TABLE alerts",
    ]));
}

#[test]
fn texts_that_are_no_sql() {
    insta::assert_snapshot!(reports(&[
        "",
        "candidate.magpsf <",
        "candidate.magpsf < 18 dec > 5",
        "SELECT FROM WHERE",
        "(ra > 5",
        "band = 'g",
        "ra ~ 'x'",
        "ra = $1",
        "candidate.ndethist / 0 > 3",
        "ra % (2 - 2) = 1",
    ]));
}

#[test]
fn expressions_beyond_the_bounds() {
    let nested = format!("{}ra{} > 1", "(".repeat(60), ")".repeat(60));
    let chain = vec!["ra > 1"; 200].join(" OR ");
    let longer_chain = vec!["ra > 1"; 5_000].join(" OR ");
    let list = format!("objectId IN ({})", vec!["'ZTF18abcdefg'"; 8_200].join(","));
    let long = format!("objectId = '{}'", "x".repeat(70_000));
    let calls = format!("{}ra{} > 1", "abs(".repeat(60), ")".repeat(60));
    insta::assert_snapshot!(reports(&[
        &nested,
        &chain,
        &longer_chain,
        &list,
        &long,
        &calls
    ]));
    assert!(
        check(&format!(
            "object_id IN ({})",
            vec!["'ZTF18abcdefg'"; 4_000].join(",")
        ))
        .is_ok()
    );
}

#[test]
fn headers() {
    let report = |text: &str| {
        check(text).map_or_else(|error| error.report(), |f| format!("{:?}", f.header()))
    };
    insta::assert_snapshot!([
        "-- title: Bright\n-- owner: me\n-- survey: any\n-- output: topic\n\n-- by its magnitude\nmag(psf_flux) < 18",
        "-- tilte: Bright\nra > 5",
        "-- survey: ztff\nra > 5",
        "-- survey: ZTF\nra > 5",
        "-- title: a\n-- title: b\nra > 5",
        "-- survey: any\ncandidate.magpsf < 18",
    ]
    .map(report)
    .join("\n\n"));
}
