//! What the surveys call things: one file a survey, each mapping its columns to the common ones.
//!
//! A survey is recognised by the shape of its packets, because others write them again with other record names and
//! field orders. Adding one means adding a file here and naming it in `SURVEYS`.

mod lsst;
pub(crate) mod points;
pub(crate) mod read;
mod ztf;

use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array, StringArray};
use arrow_schema::{ArrowError, DataType, Field, FieldRef};
use pitt_sky::band::Band;

use crate::avro::plan::Wanted;
use crate::avro::schema::{Record, last_word};
use points::{ListKind, PointLists, described, doubles, floats};
use read::Rows;

/// The surveys we know.
static SURVEYS: [&dyn Survey; 2] = [&ztf::Ztf, &lsst::Lsst];

/// One survey's mapping.
pub(crate) trait Survey: Sync {
    /// Lower-case name.
    fn name(&self) -> &'static str;
    /// Whether packets of this shape are the survey's.
    fn recognises(&self, alert: &Record) -> bool;
    /// The version that the schema itself declares.
    fn version(&self, alert: &Record, declared: Option<&str>) -> Option<String>;
    /// Adds the fields from which the common columns and the chosen lists are made.
    fn want(&self, lists: &[ListKind], wanted: &mut Wanted);
    /// Fills in the common columns.
    fn fill(&self, rows: &Rows, common: &mut Common);
}

/// The survey whose shape this is, if we know it.
pub(crate) fn recognise(alert: &Record) -> Option<&'static dyn Survey> {
    SURVEYS.into_iter().find(|survey| survey.recognises(alert))
}

/// A name for packets without a mapping: the last telling word of the record's full name, in lower case.
pub(crate) fn generic_name(alert: &Record) -> String {
    let telling = |word: &&str| {
        let version = word.starts_with(['v', 'V'])
            && word[1..].chars().all(|c| c.is_ascii_digit() || c == '_');
        !word.is_empty() && !version && !word.eq_ignore_ascii_case("alert")
    };
    let word = alert
        .name
        .split('.')
        .rfind(telling)
        .unwrap_or_else(|| last_word(&alert.name));
    word.chars()
        .take(MAX_NAME)
        .collect::<String>()
        .to_lowercase()
}

/// Longest name taken from a schema, characters.
const MAX_NAME: usize = 64;
/// Longest object id, bytes: ids are keys, and keys have limits. No survey comes near.
const MAX_OBJECT_ID: usize = 256;
/// Times outside are mistakes, not observations: MJD, from 1858 to the year 2406.
const MJD_RANGE: std::ops::Range<f64> = 0.0..200_000.0;

/// Whether a time, MJD, can be an observation's.
pub(crate) fn is_a_time(mjd: f64) -> bool {
    MJD_RANGE.contains(&mjd)
}

/// The common columns of a batch while a survey fills them: one entry a row in each. Missing numbers are `NaN`.
pub(crate) struct Common {
    /// Survey's id of the alert.
    pub(crate) alert_id: Vec<Option<i64>>,
    /// Id of its object, as text.
    pub(crate) object_id: Vec<Option<String>>,
    /// Middle of the exposure `[d, TAI]`.
    pub(crate) mjd_tai: Vec<f64>,
    /// Night of the observation, YYYYMMDD, in the survey's convention.
    pub(crate) night: Vec<Option<i32>>,
    /// Right ascension `[deg]`, ICRS.
    pub(crate) ra: Vec<f64>,
    /// Declination `[deg]`, ICRS.
    pub(crate) dec: Vec<f64>,
    /// Filter in the light path.
    pub(crate) band: Vec<Option<Band>>,
    /// Difference flux of the point source `[nJy]`, signed.
    pub(crate) psf_flux: Vec<f32>,
    /// Its standard error `[nJy]`.
    pub(crate) psf_flux_err: Vec<f32>,
    /// 0 for bogus to 1 for real.
    pub(crate) reliability: Vec<f32>,
    /// Earlier detections of the object; `None` when nobody asked for the list.
    pub(crate) detections: Option<PointLists>,
    /// Fluxes at the object's place; likewise.
    pub(crate) forced: Option<PointLists>,
    /// Exposures without it; likewise.
    pub(crate) nondetections: Option<PointLists>,
}

impl Common {
    pub(crate) fn new(rows: usize, lists: &[ListKind]) -> Common {
        let list = |kind| lists.contains(&kind).then(|| PointLists::new(kind));
        Common {
            alert_id: Vec::with_capacity(rows),
            object_id: Vec::with_capacity(rows),
            mjd_tai: Vec::with_capacity(rows),
            night: Vec::with_capacity(rows),
            ra: Vec::with_capacity(rows),
            dec: Vec::with_capacity(rows),
            band: Vec::with_capacity(rows),
            psf_flux: Vec::with_capacity(rows),
            psf_flux_err: Vec::with_capacity(rows),
            reliability: Vec::with_capacity(rows),
            detections: list(ListKind::Detections),
            forced: list(ListKind::Forced),
            nondetections: list(ListKind::Nondetections),
        }
    }

    /// Takes away what cannot be: absurd times, with their nights, and object ids beyond all length.
    fn sound(mut self) -> Common {
        for (mjd, night) in self.mjd_tai.iter_mut().zip(&mut self.night) {
            if !is_a_time(*mjd) {
                (*mjd, *night) = (f64::NAN, None);
            }
        }
        for id in &mut self.object_id {
            id.take_if(|id| id.len() > MAX_OBJECT_ID);
        }
        self
    }

    /// The arrays, in the order of [`common_fields`].
    pub(crate) fn finish(self, survey: &str) -> Result<Vec<ArrayRef>, ArrowError> {
        let rows = self.alert_id.len();
        let this = self.sound();
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
                survey, rows,
            ))),
            Arc::new(Int64Array::from(this.alert_id)),
            Arc::new(StringArray::from(this.object_id)),
            doubles(this.mjd_tai),
            Arc::new(Int32Array::from(this.night)),
            doubles(this.ra),
            doubles(this.dec),
            Arc::new(
                this.band
                    .iter()
                    .map(|band| band.map(Band::as_str))
                    .collect::<StringArray>(),
            ),
            floats(this.psf_flux.into_iter()),
            floats(this.psf_flux_err.into_iter()),
            floats(this.reliability.into_iter()),
        ];
        for list in [this.detections, this.forced, this.nondetections]
            .into_iter()
            .flatten()
        {
            arrays.push(list.finish()?);
        }
        Ok(arrays)
    }
}

/// The common columns, with the chosen lists.
pub(crate) fn common_fields(lists: &[ListKind]) -> Vec<FieldRef> {
    let double = |name, unit, text| described(name, DataType::Float64, unit, text);
    let float = |name, unit, text| described(name, DataType::Float32, unit, text);
    let mut fields = vec![
        described("survey", DataType::Utf8, "", "survey that sent the alert").with_nullable(false),
        described(
            "alert_id",
            DataType::Int64,
            "",
            "the survey's id of this alert",
        )
        .with_nullable(false),
        described(
            "object_id",
            DataType::Utf8,
            "",
            "the survey's id of the object; null when it has none",
        ),
        double("mjd_tai", "d", "middle of the exposure, MJD, TAI"),
        described(
            "night",
            DataType::Int32,
            "",
            "night of the exposure, YYYYMMDD",
        ),
        double("ra", "deg", "right ascension, ICRS"),
        double("dec", "deg", "declination, ICRS"),
        described("band", DataType::Utf8, "", "filter band: u g r i z y"),
        float(
            "psf_flux",
            "nJy",
            "difference flux, signed, AB zero point 31.4",
        ),
        float("psf_flux_err", "nJy", "1-sigma error of psf_flux"),
        float(
            "reliability",
            "",
            "0 bogus to 1 real, as the survey scores it",
        ),
    ];
    let all = [
        ListKind::Detections,
        ListKind::Forced,
        ListKind::Nondetections,
    ];
    fields.extend(
        all.into_iter()
            .filter(|kind| lists.contains(kind))
            .map(ListKind::field),
    );
    fields
        .into_iter()
        .map(|field: Field| Arc::new(field))
        .collect()
}
