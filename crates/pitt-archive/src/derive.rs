//! From alerts that were stored to rows of the derived tables.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray, StructArray,
};
use arrow_schema::{Field, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use pitt_alert::{AlertBatch, Decoded, Packet};
use pitt_sky::healpix;

use crate::error::ArchiveError;
use crate::journal::{Common, Entry, Outcome, Source};
use crate::shape;
use crate::tables;

/// Which rows of a batch were stored.
pub(crate) fn stored_rows(batch: usize, rows: usize, entries: &[Entry]) -> BooleanArray {
    let mut stored = vec![false; rows];
    for entry in entries {
        if let Source::Alert { batch: of, row } = entry.source
            && of == batch
            && entry.outcome == Outcome::Stored
        {
            stored[row] = true;
        }
    }
    stored.into()
}

/// The columns of a batch that go into its table of alerts, with `_healpix_29`, of the rows stored.
pub(crate) fn alert_columns(
    records: &RecordBatch,
    stored: &BooleanArray,
) -> Result<RecordBatch, ArchiveError> {
    let arrow = |e| ArchiveError::arrow(tables::ALERTS)(e);
    let kept = records
        .project(&shape::kept_columns(&records.schema()))
        .map_err(arrow)?;
    let kept = if stored.true_count() == kept.num_rows() {
        kept
    } else {
        filter_record_batch(&kept, stored).map_err(arrow)?
    };
    let mut fields: Vec<Arc<Field>> = kept.schema().fields().to_vec();
    fields.push(Arc::new(tables::healpix_column()));
    let mut columns = kept.columns().to_vec();
    columns.push(Arc::new(cells(&kept)));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(arrow)
}

fn cells(records: &RecordBatch) -> Int64Array {
    let common = Common::of(records);
    let (Some(ra), Some(dec)) = (common.ra, common.dec) else {
        return Int64Array::new_null(records.num_rows());
    };
    let cell = |(ra, dec): (Option<f64>, Option<f64>)| Some(healpix::hash29(ra?, dec?));
    ra.iter().zip(dec).map(cell).collect()
}

/// Points of forced photometry that no earlier alert of their object brought.
#[derive(Default)]
pub(crate) struct ForcedRows {
    survey: Vec<String>,
    alert_id: Vec<i64>,
    object_id: Vec<String>,
    mjd_tai: Vec<f64>,
    band: Vec<Option<&'static str>>,
    psf_flux: Vec<Option<f32>>,
    psf_flux_err: Vec<Option<f32>>,
}

impl ForcedRows {
    /// Takes the points of the stored rows that are later than the object's newest, which `newest` gives and keeps.
    pub(crate) fn take(
        &mut self,
        alerts: &AlertBatch,
        stored: &BooleanArray,
        mut newest: impl FnMut(&str, &str) -> Result<f64, ArchiveError>,
        mut note: impl FnMut(&str, &str, f64),
    ) -> Result<(), ArchiveError> {
        let common = Common::of(&alerts.records);
        let lists = alerts
            .records
            .column_by_name("forced")
            .and_then(|c| c.as_list_opt::<i32>());
        let Some(lists) = lists else { return Ok(()) };
        let Some(points) = ForcedPoints::of(lists.values().as_struct()) else {
            return Ok(());
        };
        for row in
            (0..alerts.records.num_rows()).filter(|&row| stored.value(row) && lists.is_valid(row))
        {
            let (Some(object_id), Some(alert_id)) = (common.object_id(row), common.alert_id(row))
            else {
                continue;
            };
            let (from, to) = (
                lists.value_offsets()[row] as usize,
                lists.value_offsets()[row + 1] as usize,
            );
            if from == to {
                continue;
            }
            let before = newest(object_id, &alerts.survey)?;
            let mut last = before;
            for at in from..to {
                let mjd_tai = points.mjd_tai.value(at);
                if points.mjd_tai.is_valid(at) && mjd_tai > before {
                    self.push((&alerts.survey, alert_id, object_id), &points, at);
                    last = last.max(mjd_tai);
                }
            }
            if last > before {
                note(object_id, &alerts.survey, last);
            }
        }
        Ok(())
    }

    fn push(
        &mut self,
        (survey, alert_id, object_id): (&str, i64, &str),
        points: &ForcedPoints<'_>,
        at: usize,
    ) {
        let number = |a: &Float32Array| a.is_valid(at).then(|| a.value(at));
        self.survey.push(survey.to_owned());
        self.alert_id.push(alert_id);
        self.object_id.push(object_id.to_owned());
        self.mjd_tai.push(points.mjd_tai.value(at));
        self.band.push(points.band(at));
        self.psf_flux.push(number(points.flux));
        self.psf_flux_err.push(number(points.flux_err));
    }

    /// The rows, in the columns of `forced`.
    pub(crate) fn finish(self, schema: &SchemaRef) -> Result<RecordBatch, ArchiveError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(self.survey)),
            Arc::new(Int64Array::from(self.alert_id)),
            Arc::new(StringArray::from(self.object_id)),
            Arc::new(Float64Array::from(self.mjd_tai)),
            Arc::new(StringArray::from(self.band)),
            Arc::new(Float32Array::from(self.psf_flux)),
            Arc::new(Float32Array::from(self.psf_flux_err)),
        ];
        RecordBatch::try_new(schema.clone(), columns).map_err(ArchiveError::arrow(tables::FORCED))
    }
}

struct ForcedPoints<'a> {
    mjd_tai: &'a Float64Array,
    band: ArrayRef,
    flux: &'a Float32Array,
    flux_err: &'a Float32Array,
}

impl<'a> ForcedPoints<'a> {
    fn of(points: &'a StructArray) -> Option<Self> {
        let float = |name: &str| {
            points
                .column_by_name(name)?
                .as_primitive_opt::<Float32Type>()
        };
        Some(Self {
            mjd_tai: points
                .column_by_name("mjd_tai")?
                .as_primitive_opt::<Float64Type>()?,
            band: arrow_cast::cast(
                points.column_by_name("band")?,
                &arrow_schema::DataType::Utf8,
            )
            .ok()?,
            flux: float("psf_flux")?,
            flux_err: float("psf_flux_err")?,
        })
    }

    fn band(&self, at: usize) -> Option<&'static str> {
        let names = self.band.as_string::<i32>();
        let name = names.is_valid(at).then(|| names.value(at))?;
        pitt_sky::band::Band::NAMES.into_iter().find(|n| *n == name)
    }
}

/// Rows of `quarantine`.
pub(crate) fn quarantine_rows(
    entries: &[Entry],
    packets: &[Packet],
    decoded: &Decoded,
    schema: &SchemaRef,
) -> Result<RecordBatch, ArchiveError> {
    let bad: Vec<(&Entry, &Packet)> = entries
        .iter()
        .filter(|e| e.outcome == Outcome::Quarantined)
        .map(|e| (e, &packets[e.packet]))
        .collect();
    let reason = |entry: &Entry| match entry.source {
        Source::Rejected(index) => decoded.rejected[index].reason.as_str(),
        _ => "no_record",
    };
    let detail = |entry: &Entry| match entry.source {
        Source::Rejected(index) => Some(decoded.rejected[index].detail.as_str()),
        _ => None,
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(
            bad.iter()
                .map(|(_, p)| Some(&*p.position.partition))
                .collect::<StringArray>(),
        ),
        Arc::new(
            bad.iter()
                .map(|(_, p)| Some(p.position.offset))
                .collect::<Int64Array>(),
        ),
        Arc::new(
            bad.iter()
                .map(|(e, _)| i32::try_from(e.record).ok())
                .collect::<Int32Array>(),
        ),
        Arc::new(
            bad.iter()
                .map(|(_, p)| Some(p.received_us))
                .collect::<Int64Array>(),
        ),
        Arc::new(
            bad.iter()
                .map(|(_, p)| Some(&*p.name))
                .collect::<StringArray>(),
        ),
        Arc::new(
            bad.iter()
                .map(|(e, _)| Some(reason(e)))
                .collect::<StringArray>(),
        ),
        Arc::new(bad.iter().map(|(e, _)| detail(e)).collect::<StringArray>()),
        Arc::new(
            bad.iter()
                .map(|(_, p)| Some(&p.bytes[..]))
                .collect::<BinaryArray>(),
        ),
    ];
    RecordBatch::try_new(schema.clone(), columns).map_err(ArchiveError::arrow(tables::QUARANTINE))
}
