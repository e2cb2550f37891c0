//! The light curves and motions that the packets tell of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use pitt_simulate::{SimSurvey, SimulationConfig, Simulator, Truth};
use pitt_sky::band::Band;
use pitt_sky::coords::Icrs;

/// Forty nights of one LSST field.
static TRUTH: LazyLock<Vec<Truth>> = LazyLock::new(|| run(SimSurvey::Lsst, 40, 2, 80));

fn run(survey: SimSurvey, nights: u32, visits_per_night: u32, alerts_per_visit: u32) -> Vec<Truth> {
    let config = SimulationConfig {
        nights,
        visits_per_night,
        alerts_per_visit,
        history_nights: 5,
        surveys: vec![survey],
        bad_packets_per_million: 0,
        duplicates_per_million: 0,
        ..SimulationConfig::default()
    };
    Simulator::new(config)
        .flat_map(|visit| visit.packets)
        .map(|packet| packet.truth)
        .collect()
}

/// Light curves of a class in one band, by object.
fn curves<'a>(truth: &'a [Truth], class: &str, band: Band) -> BTreeMap<&'a str, Vec<&'a Truth>> {
    let mut curves: BTreeMap<&str, Vec<&Truth>> = BTreeMap::new();
    for truth in truth
        .iter()
        .filter(|truth| truth.class == class && truth.band == band)
    {
        curves.entry(&truth.object_id).or_default().push(truth);
    }
    curves
}

#[test]
fn supernovae_rise_before_their_peak_and_fade_after_it() {
    let (mut rising, mut fading) = (0, 0);
    for points in curves(&TRUTH, "supernova_ia", Band::R).values() {
        for pair in points.windows(2) {
            let [before, after] = [pair[0], pair[1]];
            let peak = before.peak_mjd_tai.unwrap();
            let change = after.psf_flux_njy - before.psf_flux_njy;
            let noise = 5.0 * (before.psf_flux_err_njy + after.psf_flux_err_njy);
            if after.mjd_tai < peak {
                assert!(
                    change > -noise,
                    "{} fades before its peak",
                    before.object_id
                );
                rising += 1;
            } else if before.mjd_tai > peak + 1.0 {
                assert!(change < noise, "{} rises after its peak", before.object_id);
                fading += 1;
            }
        }
    }
    assert!(rising > 5 && fading > 20, "{rising} {fading}");
}

#[test]
fn rr_lyrae_fold_best_at_their_period() {
    // ZTF sees a field in r almost every night.
    let truth = run(SimSurvey::Ztf, 40, 2, 40);
    let stars = curves(&truth, "rr_lyrae", Band::R);
    let mut tried = 0;
    for points in stars.values().filter(|points| points.len() >= 25) {
        let period = points[0].period_d.unwrap();
        let best = scatter(points, period);
        // Farther than the forty nights resolve, nearer than an alias of one day.
        for percent in [-9.0, -7.0, -5.0, 5.0, 7.0, 9.0] {
            let wrong = scatter(points, period * (1.0 + percent / 100.0));
            assert!(
                best < wrong,
                "{}: {best} at {period}, {wrong} {percent} % away",
                points[0].object_id
            );
        }
        tried += 1;
    }
    assert!(tried >= 3, "{tried}");
}

/// Summed squared steps between neighbours in phase.
fn scatter(points: &[&Truth], period: f64) -> f64 {
    let mut folded: Vec<(f64, f64)> = points
        .iter()
        .map(|point| ((point.mjd_tai / period).fract(), point.psf_flux_njy))
        .collect();
    folded.sort_by(|a, b| a.0.total_cmp(&b.0));
    folded
        .windows(2)
        .map(|pair| (pair[1].1 - pair[0].1).powi(2))
        .sum()
}

#[test]
fn asteroids_move_at_their_rate() {
    let mut found: BTreeMap<&str, Vec<&Truth>> = BTreeMap::new();
    for truth in TRUTH.iter().filter(|truth| truth.class == "asteroid") {
        found
            .entry(truth.designation.as_deref().unwrap())
            .or_default()
            .push(truth);
    }
    let mut pairs = 0;
    for points in found.values() {
        for pair in points.windows(2) {
            let place = |truth: &Truth| Icrs {
                ra_deg: truth.ra,
                dec_deg: truth.dec,
            };
            let moved = place(pair[0]).separation_arcsec(place(pair[1]));
            let hours = (pair[1].mjd_tai - pair[0].mjd_tai) * 24.0;
            let rate = pair[0].rate_arcsec_per_h.unwrap();
            assert!(
                (moved / hours / rate - 1.0).abs() < 0.02,
                "{moved} arcsec in {hours} h, not {rate} arcsec/h"
            );
            assert!(
                (15.0..50.0).contains(&rate),
                "{rate} arcsec/h is no main-belt asteroid"
            );
            pairs += 1;
        }
    }
    assert!(pairs > 30, "{pairs}");
}

#[test]
fn the_sky_has_something_of_everything() {
    let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
    for truth in TRUTH.iter() {
        *classes.entry(truth.class).or_default() += 1;
    }
    println!("{classes:?}");
    assert_eq!(classes.len(), 9, "{classes:?}");
    assert!(classes["kilonova"] * 20 < TRUTH.len());
    assert!(classes["bogus"] * 2 < TRUTH.len(), "{classes:?}");
}

#[test]
fn noise_is_as_large_as_the_packets_say() {
    let pulls: Vec<f64> = TRUTH
        .iter()
        .filter(|truth| {
            truth.class != "bogus" && truth.true_flux_njy.abs() > 10.0 * truth.psf_flux_err_njy
        })
        .map(|truth| (truth.psf_flux_njy - truth.true_flux_njy) / truth.psf_flux_err_njy)
        .collect();
    let variance = pulls.iter().map(|pull| pull * pull).sum::<f64>() / pulls.len() as f64;
    assert!(
        pulls.len() > 500 && (variance - 1.0).abs() < 0.2,
        "{} {variance}",
        pulls.len()
    );
}

#[test]
fn kilonovae_fade_fast_and_redden() {
    // A visit of many alerts, to have some.
    let truth = run(SimSurvey::Lsst, 8, 2, 500);
    let mut curves: BTreeMap<(&str, Band), Vec<&Truth>> = BTreeMap::new();
    for truth in truth.iter().filter(|truth| truth.class == "kilonova") {
        curves
            .entry((&truth.object_id, truth.band))
            .or_default()
            .push(truth);
    }
    assert!(curves.len() > 3, "{}", curves.len());
    for points in curves.values() {
        let last = points[points.len() - 1];
        assert!(
            last.mjd_tai - last.peak_mjd_tai.unwrap() < 16.0,
            "seen for too long"
        );
    }
}

#[test]
fn the_demo_night_has_enough_for_every_filter() {
    let mut classes: BTreeMap<(SimSurvey, &str), usize> = BTreeMap::new();
    for visit in Simulator::new(SimulationConfig::default()) {
        for packet in &visit.packets {
            *classes
                .entry((packet.survey, packet.truth.class))
                .or_default() += 1;
        }
    }
    println!("{classes:?}");
    for survey in [SimSurvey::Ztf, SimSurvey::Lsst] {
        assert!(classes[&(survey, "kilonova")] >= 2, "{classes:?}");
        assert!(classes[&(survey, "supernova_ia")] >= 50, "{classes:?}");
    }
}

#[test]
fn an_object_stays_where_it_is_and_another_sky_has_others() {
    for survey in [SimSurvey::Ztf, SimSurvey::Lsst] {
        let sky = run(survey, 2, 20, 40);
        let mut places: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        let still = |one: &&Truth| one.class != "asteroid" || survey == SimSurvey::Ztf;
        for one in sky.iter().filter(still) {
            let place = *places.entry(&one.object_id).or_insert((one.ra, one.dec));
            assert_eq!(place, (one.ra, one.dec), "{}, {}", one.object_id, one.class);
        }
        assert!(places.len() > 500, "{} objects", places.len());
    }
    let names = |alerts| {
        let names = run(SimSurvey::Ztf, 1, 20, alerts).into_iter();
        names.map(|one| one.object_id).collect::<BTreeSet<String>>()
    };
    assert_eq!(names(40).intersection(&names(41)).next(), None);
}
