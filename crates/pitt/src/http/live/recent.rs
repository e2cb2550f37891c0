//! What is received and not committed yet, so that an alert is found the moment it matched.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pitt_alert::message::Annotation;
use pitt_alert::{AlertBatch, Decoded, Packet};
use pitt_archive::{ConeHit, Match, NumberedMatch, Point, StoredPacket};
use pitt_sky::coords::Icrs;

use crate::http::api::stock::Fresh;
use crate::publish::MatchListener;

/// What an alert takes besides its packet, roughly `[bytes]`.
const OVERHEAD: usize = 400;

type Key = (Arc<str>, i64);

/// Packets and points of the batches since the last commit, as many as fit. When they do not, alerts that nothing matched go first, of
/// these the oldest.
pub struct Recent {
    most_bytes: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    alerts: HashMap<Key, Held>,
    objects: HashMap<String, Vec<Key>>,
    /// In the order of receipt: those without a match, and those with one.
    order: [VecDeque<Key>; 2],
    bytes: usize,
}

struct Held {
    packet: Packet,
    record: u32,
    schema: String,
    alert: Annotation,
}

impl State {
    fn insert(&mut self, key: Key, held: Held, matched: bool) {
        if self.alerts.contains_key(&key) {
            return;
        }
        self.bytes += OVERHEAD + held.packet.bytes.len();
        if let Some(object) = &held.alert.object_id {
            self.objects
                .entry(object.clone())
                .or_default()
                .push(key.clone());
        }
        self.order[usize::from(matched)].push_back(key.clone());
        self.alerts.insert(key, held);
    }

    fn shrink(&mut self, most: usize) {
        while self.bytes > most {
            let [plain, matched] = &mut self.order;
            let Some(key) = plain.pop_front().or_else(|| matched.pop_front()) else {
                return;
            };
            let Some(held) = self.alerts.remove(&key) else {
                continue;
            };
            self.bytes = self
                .bytes
                .saturating_sub(OVERHEAD + held.packet.bytes.len());
            if let Some(object) = held.alert.object_id
                && let Some(keys) = self.objects.get_mut(&object)
            {
                keys.retain(|other| *other != key);
                if keys.is_empty() {
                    self.objects.remove(&object);
                }
            }
        }
    }
}

impl Recent {
    /// Nothing yet, and never more than this.
    pub fn new(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            state: Mutex::default(),
        }
    }

    /// Who is to hear of batches.
    pub fn listener(self: &Arc<Self>) -> Box<dyn MatchListener> {
        Box::new(Taker(self.clone()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, packets: &[Packet], batch: &AlertBatch, matched: &HashSet<(&str, i64)>) {
        let mut state = self.state();
        for (row, origin) in batch.origins.iter().enumerate() {
            let packet = &packets[origin.packet];
            let Some(alert) = Annotation::of(batch, row, packet.received_us) else {
                return;
            };
            let taken = matched.contains(&(&*batch.survey, alert.alert_id));
            let held = Held {
                packet: packet.clone(),
                record: origin.record,
                schema: batch.schema.fingerprint_hex(),
                alert,
            };
            let key = (batch.survey.clone(), held.alert.alert_id);
            state.insert(key, held, taken);
        }
        state.shrink(self.most_bytes);
    }
}

struct Taker(Arc<Recent>);

impl MatchListener for Taker {
    fn matched(
        &mut self,
        packets: &[Packet],
        decoded: &Decoded,
        given: &[Match],
        _: &[NumberedMatch],
    ) {
        let matched = given
            .iter()
            .map(|taken| (&*taken.survey, taken.alert_id))
            .collect();
        for batch in &decoded.batches {
            self.0.take(packets, batch, &matched);
        }
    }

    fn committed(&mut self) {
        *self.0.state() = State::default();
    }
}

impl Fresh for Recent {
    fn packet(&self, survey: &str, alert_id: i64) -> Option<StoredPacket> {
        let state = self.state();
        let held = state.alerts.get(&(survey.into(), alert_id))?;
        Some(StoredPacket {
            survey: survey.to_owned(),
            alert_id,
            bytes: held.packet.bytes.clone(),
            schema: Some(held.schema.clone()),
            position: held.packet.position.clone(),
            record: held.record,
            name: held.packet.name.clone(),
            received_us: held.packet.received_us,
        })
    }

    fn points(&self, object_id: &str) -> Vec<Point> {
        let state = self.state();
        let keys = state.objects.get(object_id).into_iter().flatten();
        let held = keys.filter_map(|key| state.alerts.get(key));
        held.map(|held| point(&held.alert)).collect()
    }

    fn cone(&self, center: Icrs, radius_arcsec: f64) -> Vec<ConeHit> {
        let state = self.state();
        let mut hits: Vec<ConeHit> = vec![];
        for held in state.alerts.values() {
            let alert = &held.alert;
            let (Some(object_id), Some(ra), Some(dec)) = (&alert.object_id, alert.ra, alert.dec)
            else {
                continue;
            };
            let separation_arcsec = center.separation_arcsec(Icrs {
                ra_deg: ra,
                dec_deg: dec,
            });
            if separation_arcsec > radius_arcsec {
                continue;
            }
            let mjd = alert.mjd_tai.unwrap_or(f64::NAN);
            let same =
                |hit: &&mut ConeHit| hit.object_id == *object_id && *hit.survey == *alert.survey;
            if let Some(hit) = hits.iter_mut().find(same) {
                hit.n_detections += 1;
                hit.last_mjd_tai = hit.last_mjd_tai.max(mjd);
                continue;
            }
            hits.push(ConeHit {
                object_id: object_id.clone(),
                survey: alert.survey.to_string(),
                ra,
                dec,
                separation_arcsec,
                n_detections: 1,
                last_mjd_tai: mjd,
            });
        }
        hits
    }
}

fn point(alert: &Annotation) -> Point {
    Point {
        survey: alert.survey.to_string(),
        alert_id: alert.alert_id,
        mjd_tai: alert.mjd_tai.unwrap_or(f64::NAN),
        band: alert.band.clone(),
        psf_flux: alert.psf_flux.unwrap_or(f32::NAN),
        psf_flux_err: alert.psf_flux_err.unwrap_or(f32::NAN),
    }
}

#[cfg(test)]
mod tests {
    use pitt_alert::{Decoder, Selection};
    use pitt_simulate::{SimSurvey, SimulationConfig, Simulator};

    use super::*;
    use crate::filters::built_in_schemas;

    /// Batches of simulated alerts.
    fn batches() -> Vec<(Vec<Packet>, Decoded)> {
        let config = SimulationConfig {
            visits_per_night: 8,
            alerts_per_visit: 25,
            surveys: vec![SimSurvey::Ztf],
            bad_packets_per_million: 0,
            duplicates_per_million: 0,
            history_nights: 5,
            ..SimulationConfig::default()
        };
        let mut decoder = Decoder::new(built_in_schemas().unwrap());
        decoder.select(Selection::common_only());
        let visits = Simulator::new(config).map(|visit| {
            let packets = visit.packets.into_iter();
            let packets = packets.map(|packet| Packet::unplaced("test", packet.bytes));
            packets.collect::<Vec<_>>()
        });
        visits
            .map(|packets| {
                let decoded = decoder.decode(&packets);
                (packets, decoded)
            })
            .collect()
    }

    #[test]
    fn it_never_holds_more_than_it_may_and_lets_matched_alerts_go_last() {
        let batches = batches();
        let bytes = |(packets, _): &(Vec<Packet>, Decoded)| {
            let sizes = packets.iter().map(|packet| packet.bytes.len() + OVERHEAD);
            sizes.sum::<usize>()
        };
        // Room for one batch of eight.
        let most = batches.iter().map(bytes).sum::<usize>() / 8;
        let recent = Arc::new(Recent::new(most));
        let mut listener = recent.listener();
        let mut first = vec![];
        for (packets, decoded) in &batches {
            let ids = decoded.batches.iter().flat_map(|batch| {
                let of = |row| Annotation::of(batch, row, 0).map(|alert| alert.alert_id);
                (0..batch.records.num_rows()).filter_map(of)
            });
            let ids: Vec<i64> = ids.collect();
            let matched = ids.iter().take(2).map(|alert_id| Match {
                survey: "ztf".into(),
                alert_id: *alert_id,
                filter: "all".into(),
                version: "1".into(),
            });
            listener.matched(packets, decoded, &matched.collect::<Vec<_>>(), &[]);
            first.push(ids);
            let state = recent.state();
            assert!(state.bytes <= most, "{} of {most}", state.bytes);
            let held = state.alerts.values();
            let sum: usize = held.map(|held| held.packet.bytes.len() + OVERHEAD).sum();
            assert_eq!(state.bytes, sum, "what is held is counted");
            let objects: usize = state.objects.values().map(Vec::len).sum();
            assert!(objects <= state.alerts.len());
        }
        let held = |id: i64| recent.packet("ztf", id).is_some();
        assert!(first.iter().all(|ids| held(ids[0]) && held(ids[1])));
        assert!(
            !held(first[0][5]),
            "the oldest that nothing matched are gone"
        );
        listener.committed();
        assert!(!held(first[7][0]) && recent.state().bytes == 0);
    }
}
