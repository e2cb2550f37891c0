//! What filters take, and what becomes of those that fail.

use pitt_query::{Catalogs, Filter, FilterSet};

use crate::fixture::{Alert, check, lsst, surveys, taken, ztf};

fn faint_and_bright() -> Vec<Alert> {
    vec![
        Alert {
            id: 1,
            magpsf: Some(17.5),
            flux: 300.0,
            ndethist: 4,
            ncovhist: 2,
            ra: 10.0,
            dec: 5.0,
            ..Alert::default()
        },
        Alert {
            id: 2,
            magpsf: Some(19.5),
            flux: 50.0,
            ndethist: 6,
            ncovhist: 3,
            ra: 200.0,
            dec: -5.0,
            ..Alert::default()
        },
        Alert {
            id: 3,
            magpsf: None,
            flux: -50.0,
            ndethist: 1,
            ncovhist: 0,
            ra: 10.0,
            dec: 5.001,
            ..Alert::default()
        },
    ]
}

#[test]
fn takes_rows_by_nested_and_common_columns_in_any_case() {
    let alerts = faint_and_bright();
    assert_eq!(taken("candidate.magpsf < 18", &alerts), [0]);
    assert_eq!(
        taken(
            "SELECT objectId FROM alerts WHERE CANDIDATE.MAGPSF > 18",
            &alerts
        ),
        [1]
    );
    assert_eq!(
        taken("alerts.candidate.magpsf IS NULL AND psf_flux < 0", &alerts),
        [2]
    );
    assert_eq!(
        taken("objectid IN ('ZTF261', 'ZTF263') OR band = 'g'", &alerts),
        [0, 2]
    );
    assert_eq!(taken("cone(ra, dec, 10.0, 5.0, 10)", &alerts), [0, 2]);
    assert_eq!(
        taken(
            "NOT (ndethist_of_nothing IS NULL) OR TRUE"
                .replace("ndethist_of_nothing", "night")
                .as_str(),
            &alerts
        ),
        [0, 1, 2]
    );
}

#[test]
fn guards_a_division_and_switches_off_an_unguarded_one() {
    let alerts = faint_and_bright();
    assert_eq!(
        taken(
            "candidate.ncovhist <> 0 AND candidate.ndethist / candidate.ncovhist = 2",
            &alerts
        ),
        [0, 1]
    );

    let unguarded = check("-- survey: ztf\ncandidate.ndethist / candidate.ncovhist = 2").unwrap();
    let other = check("-- survey: ztf\ncandidate.magpsf < 18").unwrap();
    let set = FilterSet::compile(vec![unguarded, other], &surveys(), &Catalogs::new()).unwrap();
    let verdicts = set.evaluate("ztf", &ztf(&alerts));
    assert_eq!(verdicts.len(), 2);
    assert_eq!(
        verdicts[0].rows,
        [0, 1],
        "rows before the failing one are kept"
    );
    let off = set.disabled();
    assert_eq!(off.len(), 1);
    assert_eq!((off[0].0, off[0].1.alert_id), (0, Some(3)));
    insta::assert_snapshot!(off[0].1.reason, @"Divide by zero error");
    let again = set.evaluate("ztf", &ztf(&alerts));
    assert_eq!(again.len(), 1, "it stays off, the other goes on");
}

#[test]
fn whole_numbers_do_not_wrap_around() {
    let alerts = faint_and_bright();
    let huge = i64::MAX;
    for (text, row) in [
        (format!("alert_id + {} > 0", huge - 1), 1),
        (format!("-alert_id - {} < 0", huge - 1), 2),
        (format!("alert_id * {} > 0", huge / 2), 2),
    ] {
        let filter = check(&format!("-- survey: ztf\n{text}")).unwrap();
        let set = FilterSet::compile(vec![filter], &surveys(), &Catalogs::new()).unwrap();
        let judged = set.judge("ztf", &ztf(&alerts));
        let failure = &judged.failures[0];
        assert_eq!(failure.row, row, "{text}");
        assert_eq!(failure.why.alert_id, Some(i64::from(row) + 1));
        assert!(failure.why.reason.contains("verflow"), "{failure:?}");
        assert_eq!(judged.verdicts[0].rows, (0..row).collect::<Vec<_>>());
        assert!(set.disabled().is_empty(), "the caller decides");
    }
    assert_eq!(taken("alert_id + 1 = 2 OR -alert_id = -3", &alerts), [0, 2]);
}

#[test]
fn skips_filters_of_another_survey_and_runs_those_of_any() {
    let alerts = faint_and_bright();
    let filters = vec![
        check("-- survey: ztf\ncandidate.magpsf < 18").unwrap(),
        check("-- survey: lsst\ndiaSource.psfFlux > 100").unwrap(),
        check("-- survey: any\npsf_flux > 100").unwrap(),
    ];
    let set = FilterSet::compile(filters, &surveys(), &Catalogs::new()).unwrap();
    let of =
        |verdicts: Vec<pitt_query::Verdict>| verdicts.iter().map(|v| v.filter).collect::<Vec<_>>();
    assert_eq!(of(set.evaluate("ztf", &ztf(&alerts))), [0, 2]);
    assert_eq!(of(set.evaluate("lsst", &lsst(&alerts))), [1, 2]);
}

#[test]
fn a_column_of_another_schema_version_is_null() {
    let alerts = faint_and_bright();
    let batch = ztf(&alerts);
    let old = batch
        .project(
            &(0..batch.num_columns())
                .filter(|i| *i != 2)
                .collect::<Vec<_>>(),
        )
        .unwrap();
    let filters = vec![
        check("-- survey: ztf\ncandidate.magpsf < 18").unwrap(),
        check("-- survey: ztf\ncandidate.magpsf IS NULL").unwrap(),
    ];
    let set = FilterSet::compile(filters, &surveys(), &Catalogs::new()).unwrap();
    let verdicts = set.evaluate("ztf", &old);
    assert!(set.disabled().is_empty());
    assert_eq!(verdicts.len(), 1);
    assert_eq!(
        (verdicts[0].filter, verdicts[0].rows.as_slice()),
        (1, [0, 1, 2].as_slice())
    );
}

#[test]
fn a_filter_that_does_not_fit_an_unknown_survey_is_switched_off() {
    let set = FilterSet::compile(
        vec![Filter::parse("f", "-- survey: ztf\nno_such_column > 1").unwrap()],
        &pitt_query::Surveys::new(),
        &Catalogs::new(),
    )
    .unwrap();
    assert!(set.evaluate("ztf", &ztf(&faint_and_bright())).is_empty());
    insta::assert_snapshot!(set.disabled()[0].1.reason, @"filter `f`, line 2, column 1: no column `no_such_column`");
}

#[test]
fn computes_light_curves_from_the_history() {
    let alert = Alert {
        id: 1,
        detections: vec![
            (6.0, "g", 100.0, 5.0),
            (5.9, "r", 200.0, 5.0),
            (2.0, "g", 400.0, 5.0),
            (1.0, "g", 200.0, 5.0),
            (0.0, "r", 300.0, 5.0),
        ],
        nondetections: vec![(20.0, "g", 50.0), (9.0, "r", 50.0), (1.5, "r", 50.0)],
        forced: vec![(6.0, "g", 100.0, 10.0), (1.0, "g", 20.0, 10.0)],
        ..Alert::default()
    };
    for (predicate, holds) in [
        ("detections() = 5", true),
        ("detections('g') = 3", true),
        ("detections('g', 3) = 2", true),
        ("detections(3) = 3", true),
        ("detections('z') = 0", true),
        ("abs(age_days() - 6) < 1e-6", true),
        ("abs(first_detection_mjd() - 60994) < 1e-6", true),
        ("abs(duration_days('g') - 5) < 1e-6", true),
        // 100 to 400 nJy in 4 days: 1.505 mag.
        ("abs(rise_rate('g') - 0.37629) < 1e-4", true),
        // 400 to 200 nJy in 1 day: 0.7526 mag.
        ("abs(decline_rate('g') - 0.75257) < 1e-4", true),
        ("decline_rate('z') IS NULL", true),
        (
            "abs(peak_mag('g') - (31.4 - 2.5 * log10(400))) < 1e-6",
            true,
        ),
        ("abs(days_since_peak('g') - 2) < 1e-6", true),
        (
            "abs(last_mag('g') - (31.4 - 2.5 * log10(200))) < 1e-6",
            true,
        ),
        ("abs(amplitude('g') - 0.75257) < 1e-4", true),
        // Latest pair at most a day apart: g one day ago (200), r now (300).
        ("abs(color('g', 'r') - 0.44023) < 1e-4", true),
        ("color('g', 'i') IS NULL", true),
        ("n_nondetections() = 3", true),
        ("n_nondetections('r', 5) = 1", true),
        ("abs(last_nondetection_days('g') - 20) < 1e-6", true),
        ("abs(nondetection_gap_days() - 3) < 1e-6", true),
        ("abs(nondetection_gap_days('r') - 3.1) < 1e-6", true),
        ("abs(nondetection_gap_days('g') - 14) < 1e-6", true),
        ("forced_max_flux() = 100 AND forced_snr('g') = 10", true),
        ("forced_detections('g') = 1", true),
        ("abs(mag(400) - peak_mag('g')) < 1e-6", true),
        (
            "detections[1].psf_flux = 100 AND array_length(detections) = 5",
            true,
        ),
    ] {
        let expected: &[u32] = if holds { &[0] } else { &[] };
        assert_eq!(
            taken(predicate, std::slice::from_ref(&alert)),
            expected,
            "{predicate}"
        );
    }
}

#[test]
fn a_filter_for_any_survey_passes_over_one_without_the_common_columns() {
    let filter = check("mag(psf_flux) < 30 AND detections() >= 0").unwrap();
    let set = FilterSet::compile(vec![filter], &surveys(), &Catalogs::new()).unwrap();
    let batch = ztf(&faint_and_bright());
    let generic = batch.project(&[0, 1, 2]).unwrap();
    assert!(set.evaluate("winter", &generic).is_empty());
    assert!(set.disabled().is_empty());
    let skipped = set.skipped();
    assert_eq!(skipped.len(), 1);
    insta::assert_snapshot!(skipped[0].2, @"filter `test`, line 1, column 5: no column `psf_flux`");
    assert_eq!(set.evaluate("ztf", &batch)[0].rows, [0, 1]);
}
