//! What the broker adds to a survey's fields.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, PrimitiveArray, types::ArrowPrimitiveType};
use bytes::{BufMut, BytesMut};
use serde_json::{Map, Value};

use super::avro::{put_long, put_text};
use crate::batch::AlertBatch;
use crate::decode::Decoded;

/// The common columns of one alert, when it was received, and the match that made a message of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotation {
    /// Survey that sent the alert.
    pub survey: Arc<str>,
    /// The survey's id of this alert.
    pub alert_id: i64,
    /// The survey's id of the object.
    pub object_id: Option<String>,
    /// Middle of the exposure, MJD `[d, TAI]`.
    pub mjd_tai: Option<f64>,
    /// Night of the exposure, YYYYMMDD.
    pub night: Option<i32>,
    /// Right ascension `[deg, ICRS]`.
    pub ra: Option<f64>,
    /// Declination `[deg, ICRS]`.
    pub dec: Option<f64>,
    /// `u g r i z y`.
    pub band: Option<String>,
    /// Difference flux, signed `[nJy]`.
    pub psf_flux: Option<f32>,
    /// Its standard error `[nJy]`.
    pub psf_flux_err: Option<f32>,
    /// 0 bogus to 1 real.
    pub reliability: Option<f32>,
    /// When it was received, microseconds UTC since 1970.
    pub received_us: i64,
    /// Which filter took it; `None` where a whole stream is passed on.
    pub matched: Option<Matched>,
}

/// A filter's verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// Name of the filter.
    pub filter: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
    /// When it took the alert, microseconds UTC since 1970.
    pub at_us: i64,
}

impl Annotation {
    /// The common columns of a row; `None` where the survey has no mapping.
    pub fn of(batch: &AlertBatch, row: usize, received_us: i64) -> Option<Annotation> {
        let alert_id = number::<Int64Type>(batch, row, "alert_id")?;
        Some(Annotation {
            survey: batch.survey.clone(),
            alert_id,
            object_id: text(batch, row, "object_id"),
            mjd_tai: number::<Float64Type>(batch, row, "mjd_tai"),
            night: number::<Int32Type>(batch, row, "night"),
            ra: number::<Float64Type>(batch, row, "ra"),
            dec: number::<Float64Type>(batch, row, "dec"),
            band: text(batch, row, "band"),
            psf_flux: number::<Float32Type>(batch, row, "psf_flux"),
            psf_flux_err: number::<Float32Type>(batch, row, "psf_flux_err"),
            reliability: number::<Float32Type>(batch, row, "reliability"),
            received_us,
            matched: None,
        })
    }

    /// The common columns of one record of a packet that was decoded alone; `None` where it was rejected or the survey has no mapping.
    pub fn of_record(decoded: &Decoded, record: u32, received_us: i64) -> Option<Annotation> {
        decoded.batches.iter().find_map(|batch| {
            let row = batch.origins.iter().position(|o| o.record == record)?;
            Annotation::of(batch, row, received_us)
        })
    }

    /// The member `pitt` of a JSON message: filter, version and time of the match first; the id a string, times RFC 3339.
    pub fn json(&self) -> Value {
        let mut block = Map::new();
        if let Some(matched) = &self.matched {
            block.insert("filter".into(), matched.filter.as_ref().into());
            block.insert("version".into(), matched.version.as_ref().into());
            block.insert("matched".into(), rfc3339(matched.at_us).into());
        }
        let rest: [(&str, Value); 12] = [
            ("survey", self.survey.as_ref().into()),
            ("alert_id", self.alert_id.to_string().into()),
            ("object_id", self.object_id.clone().into()),
            ("mjd_tai", self.mjd_tai.into()),
            ("night", self.night.into()),
            ("ra", self.ra.into()),
            ("dec", self.dec.into()),
            ("band", self.band.clone().into()),
            ("psf_flux", short(self.psf_flux)),
            ("psf_flux_err", short(self.psf_flux_err)),
            ("reliability", short(self.reliability)),
            ("received", rfc3339(self.received_us).into()),
        ];
        block.extend(rest.map(|(name, value)| (name.to_owned(), value)));
        Value::Object(block)
    }

    /// The record of [`super::annotated_schema`], field after field.
    pub(super) fn encode(&self, out: &mut BytesMut) {
        put_text(&self.survey, out);
        put_long(self.alert_id, out);
        optional(self.object_id.as_deref(), out, put_text);
        optional(self.mjd_tai, out, |value, out| out.put_f64_le(value));
        optional(self.night, out, |value, out| put_long(value.into(), out));
        optional(self.ra, out, |value, out| out.put_f64_le(value));
        optional(self.dec, out, |value, out| out.put_f64_le(value));
        optional(self.band.as_deref(), out, put_text);
        optional(self.psf_flux, out, |value, out| out.put_f32_le(value));
        optional(self.psf_flux_err, out, |value, out| out.put_f32_le(value));
        optional(self.reliability, out, |value, out| out.put_f32_le(value));
        put_long(self.received_us, out);
        let matched = self.matched.as_ref();
        optional(matched.map(|m| &*m.filter), out, put_text);
        optional(matched.map(|m| &*m.version), out, put_text);
        optional(matched.map(|m| m.at_us), out, put_long);
    }
}

/// A union of null and a type.
fn optional<T>(value: Option<T>, out: &mut BytesMut, write: impl FnOnce(T, &mut BytesMut)) {
    put_long(value.is_some().into(), out);
    if let Some(value) = value {
        write(value, out);
    }
}

/// A 32-bit float with its own digits, not those of the double next to it.
fn short(value: Option<f32>) -> Value {
    let number = value.and_then(|value| value.to_string().parse::<f64>().ok());
    number.into()
}

fn column<T: ArrowPrimitiveType>(batch: &AlertBatch, name: &str) -> Option<PrimitiveArray<T>> {
    let column = batch.records.column_by_name(name)?;
    column.as_primitive_opt::<T>().cloned()
}

fn number<T: ArrowPrimitiveType>(batch: &AlertBatch, row: usize, name: &str) -> Option<T::Native> {
    let column = column::<T>(batch, name)?;
    column.is_valid(row).then(|| column.value(row))
}

fn text(batch: &AlertBatch, row: usize, name: &str) -> Option<String> {
    let column = batch.records.column_by_name(name)?;
    let column = column.as_string_opt::<i32>()?;
    column.is_valid(row).then(|| column.value(row).to_owned())
}

/// A time as RFC 3339 with microseconds, UTC: `2026-02-24T01:02:03.000004Z`.
///
/// | argument | unit | meaning |
/// |---|---|---|
/// | `us` | us since 1970, UTC | any time of the years 0 to 9999 |
///
/// Days to dates after Howard Hinnant, "chrono-compatible low-level date algorithms" (`civil_from_days`).
pub fn rfc3339(us: i64) -> String {
    let (seconds, micros) = (us.div_euclid(1_000_000), us.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_date_writes_them() {
        // `date -u -d @N +%FT%TZ`
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(rfc3339(951_827_696_000_007), "2000-02-29T12:34:56.000007Z");
        assert_eq!(
            rfc3339(1_798_761_599_999_999),
            "2026-12-31T23:59:59.999999Z"
        );
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999999Z");
    }
}
