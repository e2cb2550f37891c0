//! The history lists of the common columns.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow_array::types::Int8Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Float32Array, Float64Array, Int8Array, Int64Array, ListArray,
};
use arrow_array::{StringArray, StructArray};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields};
use pitt_sky::band::Band;

/// The values of every band dictionary: `u g r i z y`, keys 0 to 5.
static BANDS: LazyLock<ArrayRef> =
    LazyLock::new(|| Arc::new(StringArray::from(Band::NAMES.to_vec())));

/// One point of a light curve. Missing numbers are `NaN`.
#[derive(Clone, Copy)]
pub(crate) struct Point {
    pub(crate) alert_id: Option<i64>,
    /// d, TAI.
    pub(crate) mjd_tai: f64,
    pub(crate) band: Option<Band>,
    /// nJy; of a non-detection the 5-sigma limit.
    pub(crate) flux: f32,
    /// nJy.
    pub(crate) flux_err: f32,
}

/// Which of the three lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListKind {
    Detections,
    Forced,
    Nondetections,
}

/// One list of points a row, each sorted by time.
pub(crate) struct PointLists {
    kind: ListKind,
    ends: Vec<i32>,
    points: Vec<Point>,
}

impl ListKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            ListKind::Detections => "detections",
            ListKind::Forced => "forced",
            ListKind::Nondetections => "nondetections",
        }
    }

    fn description(self) -> &'static str {
        match self {
            ListKind::Detections => {
                "detections of this object in the packet, this alert's own among them, by time"
            }
            ListKind::Forced => "forced photometry in the packet, by time",
            ListKind::Nondetections => "5-sigma limits where the object was not detected, by time",
        }
    }

    fn members(self) -> Fields {
        let mjd = described(
            "mjd_tai",
            DataType::Float64,
            "d",
            "middle of the exposure, TAI",
        );
        let band = described("band", band_type(), "", "filter band");
        let flux = described(
            "psf_flux",
            DataType::Float32,
            "nJy",
            "difference flux, signed",
        );
        let flux_err = described(
            "psf_flux_err",
            DataType::Float32,
            "nJy",
            "1-sigma error of psf_flux",
        );
        match self {
            ListKind::Detections => {
                let id = described(
                    "alert_id",
                    DataType::Int64,
                    "",
                    "alert id of this detection",
                );
                Fields::from(vec![id, mjd, band, flux, flux_err])
            }
            ListKind::Forced => Fields::from(vec![mjd, band, flux, flux_err]),
            ListKind::Nondetections => {
                let limit = described(
                    "psf_flux_limit",
                    DataType::Float32,
                    "nJy",
                    "5-sigma limiting flux",
                );
                Fields::from(vec![mjd, band, limit])
            }
        }
    }

    fn item(self) -> FieldRef {
        Arc::new(Field::new("item", DataType::Struct(self.members()), false))
    }

    /// The list's column.
    pub(crate) fn field(self) -> Field {
        let list = Field::new(self.name(), DataType::List(self.item()), false);
        list.with_metadata(HashMap::from([(
            "description".to_owned(),
            self.description().to_owned(),
        )]))
    }
}

pub(crate) fn band_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8))
}

/// A nullable column with its unit (none if empty) and description.
pub(crate) fn described(name: &str, data_type: DataType, unit: &str, description: &str) -> Field {
    let mut metadata = HashMap::from([("description".to_owned(), description.to_owned())]);
    if !unit.is_empty() {
        metadata.insert("unit".to_owned(), unit.to_owned());
    }
    Field::new(name, data_type, true).with_metadata(metadata)
}

impl PointLists {
    pub(crate) fn new(kind: ListKind) -> PointLists {
        PointLists {
            kind,
            ends: vec![0],
            points: Vec::new(),
        }
    }

    /// Adds a point to the row that is being built. Points without a time that can be are dropped.
    pub(crate) fn push(&mut self, point: Point) {
        if super::is_a_time(point.mjd_tai) {
            self.points.push(point);
        }
    }

    /// Closes the row.
    pub(crate) fn end_row(&mut self) {
        let start = self.ends.last().map_or(0, |&end| end as usize);
        let row = &mut self.points[start..];
        if !row.is_sorted_by(|a, b| a.mjd_tai <= b.mjd_tai) {
            row.sort_by(|a, b| a.mjd_tai.total_cmp(&b.mjd_tai));
        }
        self.ends.push(self.points.len() as i32);
    }

    pub(crate) fn finish(self) -> Result<ArrayRef, ArrowError> {
        let points = &self.points;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(5);
        if self.kind == ListKind::Detections {
            columns.push(Arc::new(
                points.iter().map(|p| p.alert_id).collect::<Int64Array>(),
            ));
        }
        let mjd: Vec<f64> = points.iter().map(|p| p.mjd_tai).collect();
        columns.push(Arc::new(Float64Array::from(mjd)));
        columns.push(bands(points.iter().map(|p| p.band))?);
        columns.push(floats(points.iter().map(|p| p.flux)));
        if self.kind != ListKind::Nondetections {
            columns.push(floats(points.iter().map(|p| p.flux_err)));
        }
        let items = StructArray::try_new(self.kind.members(), columns, None)?;
        let ends = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        Ok(Arc::new(ListArray::try_new(
            self.kind.item(),
            ends,
            Arc::new(items),
            None,
        )?))
    }
}

/// Bands as a dictionary column; null where unknown.
pub(crate) fn bands(bands: impl Iterator<Item = Option<Band>>) -> Result<ArrayRef, ArrowError> {
    let keys: Int8Array = bands
        .map(|band| band.map(|band| band.index() as i8))
        .collect();
    Ok(Arc::new(DictionaryArray::<Int8Type>::try_new(
        keys,
        BANDS.clone(),
    )?))
}

/// A float column; null where `NaN`.
pub(crate) fn floats(values: impl Iterator<Item = f32>) -> ArrayRef {
    let values: Vec<f32> = values.collect();
    let nulls = nan_nulls(values.iter().map(|v| v.is_nan()));
    Arc::new(Float32Array::new(ScalarBuffer::from(values), nulls))
}

/// A double column; null where `NaN`.
pub(crate) fn doubles(values: Vec<f64>) -> ArrayRef {
    let nulls = nan_nulls(values.iter().map(|v| v.is_nan()));
    Arc::new(Float64Array::new(ScalarBuffer::from(values), nulls))
}

fn nan_nulls(missing: impl Iterator<Item = bool>) -> Option<NullBuffer> {
    let nulls: NullBuffer = missing
        .map(|missing| !missing)
        .collect::<Vec<bool>>()
        .into();
    (nulls.null_count() > 0).then_some(nulls)
}
