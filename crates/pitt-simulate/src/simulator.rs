//! Visit by visit: which sources are detected, and their packets.

use bytes::Bytes;

use crate::alert::Alert;
use crate::avro::{Datum, container_header};
use crate::config::{SimSurvey, SimulationConfig};
use crate::fault::Fault;
use crate::light::Class;
use crate::lsst::{self, Identity};
use crate::measure::Observation;
use crate::random::Draw;
use crate::scene::Pool;
use crate::schedule::{Exposure, Schedule};
use crate::sky::{Sky, Source};
use crate::truth::Truth;
use crate::{solar, ztf};

/// A packet and the truth behind it.
#[derive(Clone, Debug)]
pub struct SimPacket {
    /// Survey it is from.
    pub survey: SimSurvey,
    /// The packet as the survey would send it: an Avro container file (ZTF), or a Confluent message (LSST).
    pub bytes: Bytes,
    /// What is in it, or would be had it not been damaged.
    pub truth: Truth,
    /// What went wrong with it on its way, if anything.
    pub fault: Option<Fault>,
}

/// All packets of one exposure, or a part of them.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Survey that looked.
    pub survey: SimSurvey,
    /// Night, YYYYMMDD in the survey's convention.
    pub night: i32,
    /// Middle of the exposure `[d, MJD TAI]`.
    pub mjd_tai: f64,
    /// Packets in the order in which they are sent.
    pub packets: Vec<SimPacket>,
    /// Whether the visit ends with these packets.
    pub is_complete: bool,
}

/// Makes the packets of a configuration, visit by visit.
///
/// Everything is a function of the configuration: light curves, weather and noise are computed where they are needed and
/// nothing grows with the number of packets. What a later packet tells as history is what the earlier one said, byte for
/// byte. The one thing that is kept are the stamps, rendered once and shared (some hundred MB at most, after some ten
/// thousand packets): their noise repeats, their hosts and brightness fit the alert.
///
/// Surveys take turns, one visit each; the nights of both carry the same date, though Palomar's begins 21 h earlier.
#[derive(Debug)]
pub struct Simulator {
    config: SimulationConfig,
    surveys: Vec<SurveyState>,
    /// Number of the visit that comes next, or is being made, over all nights and surveys.
    next: u64,
    /// The visit being made.
    open: Option<Progress>,
}

/// How far a visit has come.
#[derive(Debug)]
struct Progress {
    /// All exposures of its field, this one last.
    exposures: Vec<Exposure>,
    slot: u32,
    made: u32,
    /// Packets to be sent again at the end.
    repeated: Vec<SimPacket>,
}

#[derive(Debug)]
struct SurveyState {
    survey: SimSurvey,
    schedule: Schedule,
    sky: Sky,
    pool: Pool,
    header: Vec<u8>,
}

impl Simulator {
    /// Prepares a simulation. A cadence under a second is taken as one, because ids carry the time. What
    /// [`SimulationConfig::check`] refuses has no visits.
    #[must_use]
    pub fn new(mut config: SimulationConfig) -> Self {
        config.cadence_s = config.cadence_s.max(1.0);
        let surveys = config
            .surveys
            .iter()
            .filter(|_| config.check().is_ok())
            .map(|survey| SurveyState::new(&config, *survey))
            .collect();
        Self {
            config,
            surveys,
            next: 0,
            open: None,
        }
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &SimulationConfig {
        &self.config
    }

    /// Visits in the whole simulation, of all surveys.
    #[must_use]
    pub fn total_visits(&self) -> u64 {
        u64::from(self.config.nights)
            * u64::from(self.config.visits_per_night)
            * self.surveys.len() as u64
    }

    /// Goes to visit `visit` (from 0) without making the ones before: what it gives does not depend on them.
    pub fn seek(&mut self, visit: u64) {
        self.next = visit;
        self.open = None;
    }

    /// The next visit; `None` when all nights are over.
    ///
    /// A whole visit of Rubin's size is a gigabyte: see [`Simulator::next_part`].
    pub fn next_visit(&mut self) -> Option<Visit> {
        self.next_part(usize::MAX)
    }

    /// The next `max_packets` packets (at least one) of the visit, or what is left of it; `None` when all nights are over.
    /// The packets and their order do not depend on the size of the parts.
    pub fn next_part(&mut self, max_packets: usize) -> Option<Visit> {
        if self.next >= self.total_visits() {
            return None;
        }
        let surveys = self.surveys.len() as u64;
        let (turn, survey) = (self.next / surveys, self.next % surveys);
        let state = self.surveys.get_mut(survey as usize)?;
        let mut progress = self.open.take().unwrap_or_else(|| {
            let per_night = u64::from(self.config.visits_per_night);
            let (night, seq) = ((turn / per_night) as u32, (turn % per_night) as u32);
            Progress {
                exposures: state.schedule.exposures(night, seq),
                slot: 0,
                made: 0,
                repeated: Vec::new(),
            }
        });
        let part = state.part(&self.config, &mut progress, max_packets.max(1))?;
        if part.is_complete {
            self.next += 1;
        } else {
            self.open = Some(progress);
        }
        Some(part)
    }
}

impl Iterator for Simulator {
    type Item = Visit;

    fn next(&mut self) -> Option<Visit> {
        self.next_visit()
    }
}

impl SurveyState {
    fn new(config: &SimulationConfig, survey: SimSurvey) -> Self {
        let schedule = Schedule::new(config, survey);
        let sky = Sky::new(&schedule, survey, config);
        let pool = Pool::new(survey, schedule.seed(), config.stamp_variants);
        Self {
            survey,
            schedule,
            sky,
            pool,
            header: container_header(crate::schema::ztf_schema()),
        }
    }

    fn part(
        &mut self,
        config: &SimulationConfig,
        progress: &mut Progress,
        max: usize,
    ) -> Option<Visit> {
        let (now, past) = progress.exposures.split_last()?;
        let mut packets = Vec::new();
        while packets.len() < max && progress.made < config.alerts_per_visit {
            let is_filler = progress.slot >= self.sky.slots();
            let source = match is_filler {
                true => self.sky.bogus(progress.slot, now),
                false => self.sky.source(progress.slot, now),
            };
            progress.slot += 1;
            let seen = Observation::of(&source, now);
            if is_filler || seen.is_detection() {
                let mut packet = self.packet(&source, now, seen, past);
                progress.repeated.extend(disturb(&mut packet, config, now));
                packets.push(packet);
                progress.made += 1;
            }
        }
        let room = (max - packets.len()).min(progress.repeated.len());
        if progress.made == config.alerts_per_visit {
            packets.extend(progress.repeated.drain(..room));
        }
        let is_complete = progress.made == config.alerts_per_visit && progress.repeated.is_empty();
        Some(Visit {
            survey: self.survey,
            night: now.date,
            mjd_tai: now.mjd_tai,
            packets,
            is_complete,
        })
    }

    fn packet(
        &mut self,
        source: &Source,
        now: &Exposure,
        seen: Observation,
        past: &[Exposure],
    ) -> SimPacket {
        let mut alert = Alert::new(source, now, seen, past);
        alert.designation = source
            .motion
            .as_ref()
            .map(|motion| solar::designation(motion.number));
        let signed_snr = seen.snr().copysign(seen.flux);
        let stamps = self
            .pool
            .stamps(source, signed_snr, &mut seen.draw(0x7374_616d));
        let (bytes, alert_id) = match self.survey {
            SimSurvey::Ztf => {
                alert.object_id = self.sky.ztf_object_id(source, now);
                let datum = ztf::datum(&alert, stamps);
                (
                    container(&self.header, &datum, now, source),
                    ztf::candid(now, source.slot),
                )
            }
            SimSurvey::Lsst => {
                let identity = Identity::of(&alert);
                alert.object_id = identity
                    .dia_object_id
                    .unwrap_or(identity.ss_object_id)
                    .to_string();
                (
                    lsst::message(&alert, &identity, stamps),
                    lsst::dia_source_id(now, source.slot),
                )
            }
        };
        let truth = truth(&alert, alert_id);
        SimPacket {
            survey: self.survey,
            bytes: Bytes::from(bytes),
            truth,
            fault: None,
        }
    }
}

/// An Avro container file of one record, with a sync marker of its own.
fn container(header: &[u8], datum: &Datum, now: &Exposure, source: &Source) -> Vec<u8> {
    let mut draw = Draw::at(&[now.key, source.key, 0x7379_6e63]);
    let mut sync = [0; 16];
    sync[..8].copy_from_slice(&draw.bits().to_le_bytes());
    sync[8..].copy_from_slice(&draw.bits().to_le_bytes());
    let mut file = Datum(Vec::with_capacity(header.len() + datum.0.len() + 48));
    file.0.extend_from_slice(header);
    file.0.extend_from_slice(&sync);
    file.long(1);
    file.bytes(&datum.0);
    file.0.extend_from_slice(&sync);
    file.0
}

fn truth(alert: &Alert<'_>, alert_id: i64) -> Truth {
    let (source, now, seen) = (alert.source, alert.now(), alert.seen_now());
    let (ra, dec) = source.position(now.mjd_tai);
    let rate = source.motion.as_ref().map(|motion| {
        let (east, north) = motion.rate;
        (east * east + north * north).sqrt() * 3600.0 / 24.0
    });
    Truth {
        survey: now.survey,
        alert_id,
        object_id: alert.object_id.clone(),
        class: source.class.as_str(),
        designation: alert.designation.clone(),
        period_d: source.period_d(),
        redshift: source.redshift(),
        peak_mjd_tai: source.peak_mjd(),
        rate_arcsec_per_h: rate,
        ra,
        dec,
        mjd_tai: now.mjd_tai,
        band: now.band,
        true_flux_njy: if source.class == Class::Bogus {
            0.0
        } else {
            seen.true_njy
        },
        psf_flux_njy: seen.flux,
        psf_flux_err_njy: seen.err,
    }
}

/// Damages a packet or orders it to be sent again, by chance; returns what is to be sent again.
fn disturb(packet: &mut SimPacket, config: &SimulationConfig, now: &Exposure) -> Option<SimPacket> {
    let chance = |per_million: u32| f64::from(per_million) / 1e6;
    let mut draw = Draw::at(&[now.key, packet.truth.alert_id as u64, 0x6661_756c]);
    if draw.unit() < chance(config.bad_packets_per_million) {
        let fault = Fault::draw(&mut draw);
        packet.bytes = fault.apply(packet.survey, &packet.bytes, &mut draw);
        packet.fault = Some(fault);
        None
    } else if draw.unit() < chance(config.duplicates_per_million) {
        Some(SimPacket {
            fault: Some(Fault::Duplicate),
            ..packet.clone()
        })
    } else {
        None
    }
}
