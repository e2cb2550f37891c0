//! From a data file's slim columns to entries of the index.

use std::collections::HashMap;
use std::ops::ControlFlow;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use fjall::OwnedWriteBatch;
use pitt_sky::coords::Icrs;

use super::{Index, keys};
use crate::delta::TableFile;
use crate::error::ArchiveError;
use crate::pick::each_stored_in;
use crate::place::RecordPlace;
use crate::read;

/// An object that has moved this far has one more position.
const MOVED_ARCSEC: f64 = 5.0;

/// Value of the keyspace `object`.
#[derive(Clone, Copy)]
pub(super) struct ObjectState {
    pub(super) alerts: u32,
    pub(super) last_mjd_tai: f64,
    pub(super) ra: f64,
    pub(super) dec: f64,
}

impl ObjectState {
    pub(super) fn to_bytes(self) -> [u8; 28] {
        let mut value = [0; 28];
        value[..4].copy_from_slice(&self.alerts.to_be_bytes());
        value[4..12].copy_from_slice(&self.last_mjd_tai.to_bits().to_be_bytes());
        value[12..20].copy_from_slice(&self.ra.to_bits().to_be_bytes());
        value[20..].copy_from_slice(&self.dec.to_bits().to_be_bytes());
        value
    }

    pub(super) fn from_bytes(value: &[u8]) -> Option<Self> {
        Some(Self {
            alerts: keys::u32_at(value, 0)?,
            last_mjd_tai: keys::f64_at(value, 4)?,
            ra: keys::f64_at(value, 12)?,
            dec: keys::f64_at(value, 20)?,
        })
    }
}

impl Index {
    pub(super) fn add_packets(
        &self,
        batch: &mut OwnedWriteBatch,
        file: &TableFile,
    ) -> Result<(), ArchiveError> {
        let _ = each_stored_in(file, &mut |stored| {
            let at = RecordPlace {
                packet: stored.place,
                record: stored.record,
            };
            batch.insert(
                &self.id,
                keys::id(stored.survey, stored.alert_id),
                keys::record_place(&at),
            );
            ControlFlow::Continue(())
        })?;
        Ok(())
    }

    pub(super) fn add_alerts(
        &self,
        batch: &mut OwnedWriteBatch,
        file: &TableFile,
    ) -> Result<(), ArchiveError> {
        let columns = [
            "survey",
            "alert_id",
            "object_id",
            "mjd_tai",
            "ra",
            "dec",
            "_healpix_29",
            "band",
            "psf_flux",
            "psf_flux_err",
        ];
        let mut objects = HashMap::new();
        for records in read::columns(&file.path, &columns)? {
            self.add_alert_rows(batch, &records?, &mut objects)?;
        }
        for (key, state) in objects {
            batch.insert(&self.object, key, state.to_bytes());
        }
        Ok(())
    }

    fn add_alert_rows(
        &self,
        batch: &mut OwnedWriteBatch,
        records: &RecordBatch,
        objects: &mut HashMap<Vec<u8>, ObjectState>,
    ) -> Result<(), ArchiveError> {
        let rows = AlertRows::of(records);
        for i in 0..records.num_rows() {
            let Some(object_id) = rows.object_id(i) else {
                continue;
            };
            let survey = rows.survey.value(i);
            batch.insert(
                &self.lc,
                keys::point(object_id, rows.mjd_tai.value(i), rows.alert_id.value(i)),
                rows.point_value(i),
            );
            let key = keys::object(object_id, survey);
            let before = match objects.get(&key) {
                Some(state) => Some(*state),
                None => self
                    .object
                    .get(&key)?
                    .and_then(|v| ObjectState::from_bytes(&v)),
            };
            let (state, new_position) = rows.object_after(i, before);
            if new_position {
                let mut value = [0; 16];
                value[..8].copy_from_slice(&state.ra.to_bits().to_be_bytes());
                value[8..].copy_from_slice(&state.dec.to_bits().to_be_bytes());
                batch.insert(
                    &self.pos,
                    keys::position(rows.cell.value(i), object_id, survey),
                    value,
                );
            }
            objects.insert(key, state);
        }
        Ok(())
    }

    pub(super) fn add_forced(
        &self,
        batch: &mut OwnedWriteBatch,
        file: &TableFile,
    ) -> Result<(), ArchiveError> {
        let mut newest: HashMap<Vec<u8>, f64> = HashMap::new();
        for records in read::columns(&file.path, &["survey", "object_id", "mjd_tai"])? {
            let records = records?;
            let survey = records.column(0).as_string::<i32>();
            let object_id = records.column(1).as_string::<i32>();
            let mjd_tai = records.column(2).as_primitive::<Float64Type>();
            for i in 0..records.num_rows() {
                let key = keys::object(object_id.value(i), survey.value(i));
                let newest = newest.entry(key).or_insert(f64::NEG_INFINITY);
                *newest = newest.max(mjd_tai.value(i));
            }
        }
        for (key, mjd_tai) in newest {
            batch.insert(&self.forced, key, mjd_tai.to_bits().to_be_bytes());
        }
        Ok(())
    }
}

struct AlertRows<'a> {
    survey: &'a arrow_array::StringArray,
    alert_id: &'a arrow_array::Int64Array,
    object_id: &'a arrow_array::StringArray,
    mjd_tai: &'a arrow_array::Float64Array,
    ra: &'a arrow_array::Float64Array,
    dec: &'a arrow_array::Float64Array,
    cell: &'a arrow_array::Int64Array,
    band: &'a arrow_array::StringArray,
    flux: &'a arrow_array::Float32Array,
    flux_err: &'a arrow_array::Float32Array,
}

impl<'a> AlertRows<'a> {
    fn of(records: &'a RecordBatch) -> Self {
        Self {
            survey: records.column(0).as_string(),
            alert_id: records.column(1).as_primitive::<Int64Type>(),
            object_id: records.column(2).as_string(),
            mjd_tai: records.column(3).as_primitive::<Float64Type>(),
            ra: records.column(4).as_primitive::<Float64Type>(),
            dec: records.column(5).as_primitive::<Float64Type>(),
            cell: records.column(6).as_primitive::<Int64Type>(),
            band: records.column(7).as_string(),
            flux: records.column(8).as_primitive::<Float32Type>(),
            flux_err: records.column(9).as_primitive::<Float32Type>(),
        }
    }

    /// The object, when the row says which, when and where.
    fn object_id(&self, i: usize) -> Option<&'a str> {
        let whole = self.object_id.is_valid(i)
            && self.survey.is_valid(i)
            && self.alert_id.is_valid(i)
            && self.mjd_tai.is_valid(i)
            && self.cell.is_valid(i);
        whole.then(|| self.object_id.value(i))
    }

    fn point_value(&self, i: usize) -> Vec<u8> {
        let number =
            |a: &arrow_array::Float32Array| if a.is_valid(i) { a.value(i) } else { f32::NAN };
        let mut value = Vec::with_capacity(24);
        value.extend(number(self.flux).to_bits().to_be_bytes());
        value.extend(number(self.flux_err).to_bits().to_be_bytes());
        value.extend(keys::text(if self.band.is_valid(i) {
            self.band.value(i)
        } else {
            ""
        }));
        value.extend(self.survey.value(i).as_bytes());
        value
    }

    /// The object's state with this row, and whether the row is where no earlier one was.
    fn object_after(&self, i: usize, before: Option<ObjectState>) -> (ObjectState, bool) {
        let (ra, dec) = (self.ra.value(i), self.dec.value(i));
        let mjd_tai = self.mjd_tai.value(i);
        let Some(mut state) = before else {
            let state = ObjectState {
                alerts: 1,
                last_mjd_tai: mjd_tai,
                ra,
                dec,
            };
            return (state, true);
        };
        state.alerts += 1;
        state.last_mjd_tai = state.last_mjd_tai.max(mjd_tai);
        let here = Icrs {
            ra_deg: ra,
            dec_deg: dec,
        };
        let there = Icrs {
            ra_deg: state.ra,
            dec_deg: state.dec,
        };
        let moved = here.separation_arcsec(there) > MOVED_ARCSEC;
        if moved {
            (state.ra, state.dec) = (ra, dec);
        }
        (state, moved)
    }
}
