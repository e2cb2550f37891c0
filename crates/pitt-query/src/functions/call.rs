//! A function with its constant arguments fixed: what is evaluated, row by row, for the rows that are asked for.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, UInt32Array, new_null_array,
};
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::{DataType, Int64Type};

use super::curve::Curve;
use super::number::{Bits, NumberOp, Numbers};
use super::points::Points;
use crate::catalog::Catalog;

/// A catalog, equal to itself only.
#[derive(Debug, Clone)]
pub(crate) struct CatalogRef(pub(crate) Arc<Catalog>);

impl PartialEq for CatalogRef {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for CatalogRef {}

impl Hash for CatalogRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (Arc::as_ptr(&self.0) as usize).hash(state);
    }
}

/// A bound function. Its remaining arguments are columns (or, for numbers, any expressions).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    /// Arguments: the history lists, then `mjd_tai`.
    Curve(Curve),
    /// Arguments: numbers.
    Number(NumberOp),
    /// Row of the nearest source. Arguments: `ra`, `dec`.
    MatchRow {
        catalog: CatalogRef,
        radius_arcsec: Bits,
    },
    /// Separation from a row. Arguments: `ra`, `dec`, the row.
    MatchDistance { catalog: CatalogRef },
    /// A column of a row. Argument: the row.
    CatalogValue { catalog: CatalogRef, column: usize },
}

/// An argument of a call, opened for reading by row.
#[derive(Debug, Clone)]
pub(crate) enum Opened {
    Points(Arc<Points>),
    Numbers(Numbers),
}

impl Call {
    /// Type of the result.
    pub(crate) fn data_type(&self) -> DataType {
        use super::curve::CurveOp::{Detections, ForcedDetections, Nondetections};
        match self {
            Call::Curve(curve) => match curve.op {
                Detections | ForcedDetections | Nondetections => DataType::Int64,
                _ => DataType::Float64,
            },
            Call::Number(NumberOp::Cone) => DataType::Boolean,
            Call::Number(_) | Call::MatchDistance { .. } => DataType::Float64,
            Call::MatchRow { .. } => DataType::Int64,
            Call::CatalogValue { catalog, column } => catalog
                .0
                .columns()
                .schema()
                .field(*column)
                .data_type()
                .clone(),
        }
    }

    /// Whether argument `position` is a history list.
    pub(crate) fn takes_points(&self, position: usize) -> bool {
        matches!(self, Call::Curve(curve) if position < curve.lists().len())
    }

    /// Whether values are computed row by row (all but columns of catalogs).
    pub(crate) fn by_row(&self) -> bool {
        !matches!(self, Call::CatalogValue { .. })
    }

    /// Rough cost of a row `[ns]`, to order predicates: the order alone matters.
    pub(crate) fn cost(&self) -> u32 {
        match self {
            Call::Number(NumberOp::Mag | NumberOp::MagErr | NumberOp::Flux | NumberOp::Snr) => 10,
            Call::Number(NumberOp::Cone) => 8,
            Call::Number(_) => 150,
            Call::Curve(_) => 120,
            Call::CatalogValue { .. } => 20,
            Call::MatchDistance { .. } => 100,
            Call::MatchRow { .. } => 400,
        }
    }

    /// The value for one row; a truth is 0 or 1, a count a whole number.
    pub(crate) fn value(&self, arguments: &Arguments, row: usize) -> Option<f64> {
        let number = |i: usize| arguments.numbers.get(i).and_then(|n| n.at(row));
        match self {
            Call::Curve(curve) => curve.value(&arguments.points, row, number(0)),
            Call::Number(op) => op.value(&arguments.numbers, row),
            Call::MatchRow {
                catalog,
                radius_arcsec,
            } => {
                let found = catalog
                    .0
                    .nearest(number(0)?, number(1)?, radius_arcsec.get())?;
                Some(f64::from(found.0))
            }
            Call::MatchDistance { catalog } => {
                // A row number is whole and not negative: it came from `MatchRow`.
                let (ra, dec) = catalog.0.position(number(2)? as usize)?;
                let source = pitt_sky::coords::Icrs::new(ra, dec).ok()?;
                let alert = pitt_sky::coords::Icrs::new(number(0)?, number(1)?).ok()?;
                Some(alert.separation_arcsec(source))
            }
            Call::CatalogValue { .. } => None,
        }
    }

    /// Values for all `rows` rows as an array of [`Call::data_type`].
    pub(crate) fn all(&self, opened: Vec<Opened>, rows: usize) -> ArrayRef {
        let arguments = Arguments::new(opened);
        let values: Vec<Option<f64>> = (0..rows).map(|row| self.value(&arguments, row)).collect();
        typed(&self.data_type(), &values)
    }

    /// The column of a catalog at the rows in `rows` (an Int64 array).
    pub(crate) fn catalog_values(&self, rows: &ArrayRef) -> Result<ArrayRef, String> {
        let Call::CatalogValue { catalog, column } = self else {
            return Ok(new_null_array(&self.data_type(), rows.len()));
        };
        let rows = cast(rows, &DataType::Int64).map_err(|e| e.to_string())?;
        let size = catalog.0.columns().num_rows();
        let rows: UInt32Array = rows
            .as_primitive::<Int64Type>()
            .iter()
            .map(|row| {
                u32::try_from(row?)
                    .ok()
                    .filter(|row| (*row as usize) < size)
            })
            .collect();
        take(catalog.0.columns().column(*column), &rows, None).map_err(|e| e.to_string())
    }
}

/// The opened arguments of a call: history lists first, numbers after them.
#[derive(Debug)]
pub(crate) struct Arguments {
    points: Vec<Arc<Points>>,
    numbers: Vec<Numbers>,
}

impl Arguments {
    pub(crate) fn new(opened: Vec<Opened>) -> Arguments {
        let mut arguments = Arguments {
            points: Vec::new(),
            numbers: Vec::new(),
        };
        for argument in opened {
            match argument {
                Opened::Points(points) => arguments.points.push(points),
                Opened::Numbers(numbers) => arguments.numbers.push(numbers),
            }
        }
        arguments
    }
}

/// Opens a column as numbers, without a copy when it is Float64 already.
pub(crate) fn numbers(column: &ArrayRef) -> Result<Numbers, String> {
    let values = cast(column, &DataType::Float64).map_err(|error| error.to_string())?;
    Ok(Numbers::Column(Float64Array::from(values.to_data())))
}

/// Values as an array of Float64, Int64 or Boolean.
pub(crate) fn typed(data_type: &DataType, values: &[Option<f64>]) -> ArrayRef {
    match data_type {
        // Counts and row numbers are far below 2^53, where the cast is exact.
        DataType::Int64 => Arc::new(
            values
                .iter()
                .map(|v| v.map(|v| v as i64))
                .collect::<Int64Array>(),
        ),
        DataType::Boolean => Arc::new(
            values
                .iter()
                .map(|v| v.map(|v| v != 0.0))
                .collect::<BooleanArray>(),
        ),
        _ => Arc::new(values.iter().copied().collect::<Float64Array>()),
    }
}
