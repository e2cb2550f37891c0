//! Functions of numbers: photometry, positions, and the row of the nearest catalog source.

use datafusion::arrow::array::{Array, Float64Array};
use pitt_sky::coords::Icrs;
use pitt_sky::photometry;

/// A finite constant argument, compared and hashed by its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Bits(u64);

impl Bits {
    pub(crate) fn new(value: f64) -> Bits {
        Bits(value.to_bits())
    }

    pub(crate) fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// A function of one to five numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum NumberOp {
    Mag,
    MagErr,
    Flux,
    Snr,
    Separation,
    Cone,
    GalacticLatitude,
    GalacticLongitude,
    EclipticLatitude,
    EclipticLongitude,
}

/// A column of numbers or one number for all rows.
#[derive(Debug, Clone)]
pub(crate) enum Numbers {
    Column(Float64Array),
    Constant(Option<f64>),
}

impl Numbers {
    pub(crate) fn at(&self, row: usize) -> Option<f64> {
        match self {
            Numbers::Column(column) => column.is_valid(row).then(|| column.value(row)),
            Numbers::Constant(value) => *value,
        }
    }
}

impl NumberOp {
    /// The value for `row`; null when an argument is null or the result is not a finite number.
    pub(crate) fn value(self, args: &[Numbers], row: usize) -> Option<f64> {
        let arg = |i: usize| args.get(i).and_then(|numbers| numbers.at(row));
        let value = match self {
            NumberOp::Mag => photometry::mag_ab(arg(0)?),
            NumberOp::MagErr => photometry::mag_err(arg(0)?, arg(1)?),
            NumberOp::Flux => photometry::flux_njy(arg(0)?),
            NumberOp::Snr => arg(0)? / arg(1)?,
            NumberOp::Separation => {
                position(arg(0)?, arg(1)?)?.separation_arcsec(position(arg(2)?, arg(3)?)?)
            }
            NumberOp::Cone => return cone(arg(0)?, arg(1)?, arg(2)?, arg(3)?, arg(4)?),
            NumberOp::GalacticLatitude => position(arg(0)?, arg(1)?)?.to_galactic().1,
            NumberOp::GalacticLongitude => position(arg(0)?, arg(1)?)?.to_galactic().0,
            NumberOp::EclipticLatitude => position(arg(0)?, arg(1)?)?.to_ecliptic().1,
            NumberOp::EclipticLongitude => position(arg(0)?, arg(1)?)?.to_ecliptic().0,
        };
        value.is_finite().then_some(value)
    }
}

/// Whether the first position lies within `radius_arcsec` of the second; far declinations are told apart first.
fn cone(ra: f64, dec: f64, ra0: f64, dec0: f64, radius_arcsec: f64) -> Option<f64> {
    if (dec - dec0).abs() * 3600.0 > radius_arcsec + 1e-6 {
        return Some(0.0);
    }
    let separation = position(ra, dec)?.separation_arcsec(position(ra0, dec0)?);
    Some(f64::from(separation <= radius_arcsec))
}

fn position(ra_deg: f64, dec_deg: f64) -> Option<Icrs> {
    Icrs::new(ra_deg, dec_deg).ok()
}
