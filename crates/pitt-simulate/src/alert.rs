//! One alert before it is encoded: a source, the exposure that found it, and its past.

use crate::light::Class;
use crate::measure::Observation;
use crate::schedule::Exposure;
use crate::sky::Source;

/// A detection with its history.
pub(crate) struct Alert<'a> {
    pub(crate) source: &'a Source,
    now: &'a Exposure,
    seen_now: Observation,
    /// Earlier exposures of the field, by time.
    pub(crate) past: &'a [Exposure],
    /// What they showed of this source; empty for an object seen once only.
    seen_past: Vec<Observation>,
    pub(crate) object_id: String,
    /// Provisional designation of a Solar System body.
    pub(crate) designation: Option<String>,
}

impl<'a> Alert<'a> {
    pub(crate) fn new(
        source: &'a Source,
        now: &'a Exposure,
        seen_now: Observation,
        past: &'a [Exposure],
    ) -> Self {
        let lasting = !matches!(source.class, Class::Bogus | Class::Asteroid);
        let seen_past = match lasting {
            true => past
                .iter()
                .map(|exposure| Observation::of(source, exposure))
                .collect(),
            false => Vec::new(),
        };
        Self {
            source,
            now,
            seen_now,
            past,
            seen_past,
            object_id: String::new(),
            designation: None,
        }
    }

    pub(crate) fn now(&self) -> &'a Exposure {
        self.now
    }

    pub(crate) fn seen_now(&self) -> &Observation {
        &self.seen_now
    }

    /// Earlier detections of the same object, by time.
    pub(crate) fn detections(&self) -> impl Iterator<Item = (&'a Exposure, &Observation)> {
        self.past
            .iter()
            .zip(&self.seen_past)
            .filter(|(_, seen)| seen.is_detection())
    }

    /// Earlier exposures of the last `days` days, and what they showed if the object lasts.
    pub(crate) fn within(
        &self,
        days: f64,
    ) -> impl DoubleEndedIterator<Item = (&'a Exposure, Option<&Observation>)> {
        let since = self.now.jd_utc - days;
        let first = self
            .past
            .partition_point(|exposure| exposure.jd_utc < since);
        self.past
            .iter()
            .enumerate()
            .skip(first)
            .map(|(at, exposure)| (exposure, self.seen_past.get(at)))
    }

    /// Exposures since the first detection, for forced photometry; empty when this is the first.
    pub(crate) fn since_first_detection(
        &self,
    ) -> impl Iterator<Item = (&'a Exposure, &Observation)> {
        let pairs = self.past.iter().zip(&self.seen_past);
        pairs.skip_while(|(_, seen)| !seen.is_detection())
    }
}
