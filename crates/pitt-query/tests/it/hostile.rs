//! Texts that try to break the parser, the checks or the evaluation: refused or evaluated, never a panic.

use pitt_query::{Catalogs, Filter, FilterSet};

use crate::fixture::{Alert, surveys, ztf};

/// A repeatable random number below `bound`.
fn random(state: &mut u64, bound: usize) -> usize {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    ((*state >> 33) as usize) % bound
}

const GOOD: [&str; 6] = [
    "-- survey: ztf\nSELECT objectId AS o, mag(psf_flux) FROM alerts WHERE candidate.magpsf < 18.5 AND rise_rate('g') > 0.1",
    "detections[1].psf_flux > 3 OR CASE WHEN band = 'g' THEN TRUE ELSE NOT ra > 5 END",
    "cone(ra, dec, 10.5, -3.2, 60) AND color('g', 'r', 2) BETWEEN -1 AND 1.5",
    "night % 7 = 3 AND CAST(object_id AS INT) / night > 1",
    "object_id LIKE 'ZTF%' AND band IN ('g', 'r') AND coalesce(reliability, 0) >= 0.5",
    "detections('r', 30) >= 3 AND abs(galactic_latitude()) > 10 AND (forced_snr() > 5) IS TRUE",
];

/// Pieces that mean something to a parser.
const PIECES: [&str; 24] = [
    "(",
    ")",
    "'",
    "\"",
    ";",
    "--",
    "/*",
    " AND ",
    " NOT ",
    "[",
    "]",
    ".",
    "1e999",
    "-",
    "::INT",
    " SELECT ",
    "\0",
    "é",
    "NULL",
    "*",
    "/ 0",
    " IN (",
    "9223372036854775808",
    "$1",
];

#[test]
fn mangled_filters_are_refused_or_run() {
    let alerts = vec![
        Alert {
            id: 1,
            magpsf: Some(18.0),
            flux: 100.0,
            detections: vec![(0.0, "g", 100.0, 5.0)],
            ..Alert::default()
        },
        Alert::default(),
    ];
    let (surveys, catalogs, records) = (surveys(), Catalogs::new(), ztf(&alerts));
    let mut state = 1;
    let (mut parsed, mut ran) = (0, 0);
    for round in 0..6_000 {
        let mut text = GOOD[round % GOOD.len()].to_string();
        for _ in 0..=random(&mut state, 3) {
            let mut at = random(&mut state, text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            match random(&mut state, 3) {
                0 => text.insert_str(at, PIECES[random(&mut state, PIECES.len())]),
                1 => text.truncate(at.max(1)),
                _ => {
                    let rest = text.split_off(at);
                    text.extend(rest.chars().skip(1 + random(&mut state, 4)));
                }
            }
        }
        let Ok(filter) = Filter::parse("f", &text) else {
            continue;
        };
        parsed += 1;
        if let Ok(set) = FilterSet::compile(vec![filter], &surveys, &catalogs) {
            set.evaluate("ztf", &records);
            set.evaluate("lsst", &records);
            ran += 1;
        }
    }
    assert!(parsed > 300 && ran > 100, "{parsed} {ran}");
}
