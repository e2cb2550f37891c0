//! Catalogs to match alerts against: a table of sources, in memory, with an index of their positions.

mod file;
mod index;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, Float64Array, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;

use crate::error::QueryError;
use index::ZoneIndex;

/// Largest radius of a match `[arcsec]`. One degree; a wider search is a cone, not a match.
pub const MAX_MATCH_RADIUS_ARCSEC: f64 = 3600.0;

/// A table of sources with positions, searched by [`Catalog::nearest`] and `match('name', radius_arcsec)`.
#[derive(Debug)]
pub struct Catalog {
    name: String,
    columns: RecordBatch,
    ra_column: String,
    dec_column: String,
    ra: Float64Array,
    dec: Float64Array,
    index: ZoneIndex,
}

/// Names under which catalogs keep right ascension and declination in degrees, in order of preference.
const POSITION_COLUMNS: [(&str, &str); 8] = [
    ("ra", "dec"),
    ("raj2000", "dej2000"),
    ("_raj2000", "_dej2000"),
    ("ra_deg", "dec_deg"),
    ("ra_icrs", "de_icrs"),
    ("radeg", "decdeg"),
    ("ramean", "decmean"),
    ("coord_ra", "coord_dec"),
];

impl Catalog {
    /// Makes a catalog of a table; positions are in degrees, ICRS.
    ///
    /// The columns of right ascension and declination are guessed from their names unless given. Fails when there is
    /// no such pair, or one is not a number. Rows without a position stay in the table and are never found.
    pub fn new(
        name: &str,
        columns: RecordBatch,
        position: Option<(&str, &str)>,
    ) -> Result<Catalog, QueryError> {
        let fail = |problem: String| QueryError::Catalog {
            catalog: name.to_string(),
            problem,
        };
        if name.is_empty()
            || !name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
            || name.starts_with('.')
        {
            return Err(fail(
                "a name is made of letters, digits, `_`, `-` and `.`".into(),
            ));
        }
        let (ra_column, dec_column) = match position {
            Some((ra, dec)) => (ra.to_string(), dec.to_string()),
            None => guess_position(&columns).ok_or_else(|| {
                let names: Vec<_> = columns
                    .schema()
                    .fields()
                    .iter()
                    .map(|f| f.name().clone())
                    .collect();
                fail(format!(
                    "no columns of right ascension and declination among {} (name them)",
                    names.join(", ")
                ))
            })?,
        };
        let degrees = |column: &str| -> Result<Float64Array, QueryError> {
            let values = columns
                .column_by_name(column)
                .ok_or_else(|| fail(format!("no column `{column}`")))?;
            if !values.data_type().is_numeric() {
                return Err(fail(format!(
                    "`{column}` is {}, not a number of degrees",
                    values.data_type()
                )));
            }
            let values = cast(values, &DataType::Float64)?;
            Ok(Float64Array::from(values.to_data()))
        };
        let (ra, dec) = (degrees(&ra_column)?, degrees(&dec_column)?);
        if columns.num_rows() >= u32::MAX as usize {
            return Err(fail("has more than 4 billion rows".into()));
        }
        let index = ZoneIndex::build(ra.iter().zip(dec.iter()));
        Ok(Catalog {
            name: name.to_string(),
            columns,
            ra_column,
            dec_column,
            ra,
            dec,
            index,
        })
    }

    /// The name `match` calls it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The table as imported.
    pub fn columns(&self) -> &RecordBatch {
        &self.columns
    }

    /// Names of the columns of right ascension and declination.
    pub fn position_columns(&self) -> (&str, &str) {
        (&self.ra_column, &self.dec_column)
    }

    /// How many sources have a position.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no source has a position.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Row and separation `[arcsec]` of the source nearest to a position `[deg]`, within a radius of at most 3600 arcsec.
    pub fn nearest(&self, ra_deg: f64, dec_deg: f64, radius_arcsec: f64) -> Option<(u32, f64)> {
        self.index
            .nearest(ra_deg, dec_deg, radius_arcsec.min(MAX_MATCH_RADIUS_ARCSEC))
    }

    /// Position `[deg]` of a row.
    pub(crate) fn position(&self, row: usize) -> Option<(f64, f64)> {
        let known = row < self.ra.len() && self.ra.is_valid(row) && self.dec.is_valid(row);
        known.then(|| (self.ra.value(row), self.dec.value(row)))
    }
}

fn guess_position(columns: &RecordBatch) -> Option<(String, String)> {
    let schema = columns.schema();
    let find = |wanted: &str| {
        let field = schema
            .fields()
            .iter()
            .find(|f| f.name().eq_ignore_ascii_case(wanted))?;
        field.data_type().is_numeric().then(|| field.name().clone())
    };
    POSITION_COLUMNS
        .iter()
        .find_map(|(ra, dec)| Some((find(ra)?, find(dec)?)))
}

/// The catalogs a set of filters may match against, by name.
#[derive(Debug, Default, Clone)]
pub struct Catalogs {
    by_name: BTreeMap<String, Arc<Catalog>>,
}

impl Catalogs {
    /// No catalogs.
    pub fn new() -> Catalogs {
        Catalogs::default()
    }

    /// Adds a catalog, in place of one of the same name.
    pub fn insert(&mut self, catalog: Catalog) {
        self.by_name.insert(catalog.name.clone(), Arc::new(catalog));
    }

    /// The catalog of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Catalog>> {
        self.by_name.get(name)
    }

    /// All catalogs, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Catalog>> {
        self.by_name.values()
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}
