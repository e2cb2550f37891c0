//! What the simulator knows and a packet does not say.

use std::io::{self, Write};

use pitt_sky::band::Band;

use crate::config::SimSurvey;

/// The truth behind one alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// Survey the alert is from.
    pub survey: SimSurvey,
    /// `candid` or `diaSourceId`.
    pub alert_id: i64,
    /// `objectId`, or `diaObjectId` in decimal, or `ssObjectId` for a Solar System body of LSST.
    pub object_id: String,
    /// What it is: `supernova_ia`, `supernova_core_collapse`, `kilonova`, `rr_lyrae`, `eclipsing_binary`, `mira`, `agn`,
    /// `asteroid` or `bogus`.
    pub class: &'static str,
    /// Provisional designation of a Solar System body.
    pub designation: Option<String>,
    /// Period of a variable star `[d]`.
    pub period_d: Option<f64>,
    /// Redshift of a transient.
    pub redshift: Option<f64>,
    /// Time of a transient's peak in r `[d, MJD TAI]`.
    pub peak_mjd_tai: Option<f64>,
    /// Speed of a moving object `[arcsec/h]`.
    pub rate_arcsec_per_h: Option<f64>,
    /// True right ascension `[deg, ICRS]`.
    pub ra: f64,
    /// True declination `[deg, ICRS]`.
    pub dec: f64,
    /// Middle of the exposure `[d, MJD TAI]`.
    pub mjd_tai: f64,
    /// Band of the exposure.
    pub band: Band,
    /// True difference flux `[nJy]`: 0 means nothing is there (bogus).
    pub true_flux_njy: f64,
    /// Flux in the packet `[nJy]`, with its noise.
    pub psf_flux_njy: f64,
    /// Uncertainty of the flux in the packet `[nJy]`.
    pub psf_flux_err_njy: f64,
}

/// Names of the columns of a truth table and their units, in order.
const COLUMNS: [(&str, &str); 17] = [
    ("survey", ""),
    ("alert_id", ""),
    ("object_id", ""),
    ("class", ""),
    ("designation", ""),
    ("period_d", "d"),
    ("redshift", ""),
    ("peak_mjd_tai", "d, MJD TAI"),
    ("rate_arcsec_per_h", "arcsec/h"),
    ("ra", "deg, ICRS"),
    ("dec", "deg, ICRS"),
    ("mjd_tai", "d, MJD TAI, middle of the exposure"),
    ("band", ""),
    (
        "true_flux_njy",
        "nJy, difference flux, 0 when nothing is there",
    ),
    ("psf_flux_njy", "nJy, in the packet"),
    ("psf_flux_err_njy", "nJy, in the packet"),
    (
        "fault",
        "how the packet was damaged or that it was sent twice",
    ),
];

impl Truth {
    /// Starts a truth table: comment lines with the units, then the line of names.
    ///
    /// # Errors
    /// When writing fails.
    pub fn write_csv_header(out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "# Truth behind simulated alerts, one line a packet. Empty: does not apply."
        )?;
        for (name, unit) in COLUMNS.iter().filter(|(_, unit)| !unit.is_empty()) {
            writeln!(out, "# {name} [{unit}]")?;
        }
        writeln!(out, "{}", COLUMNS.map(|(name, _)| name).join(","))
    }

    /// Writes one line of a truth table; `fault` is what was done to the packet.
    ///
    /// # Errors
    /// When writing fails.
    pub fn write_csv(&self, fault: Option<crate::Fault>, out: &mut impl Write) -> io::Result<()> {
        let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        let optional = [
            self.period_d,
            self.redshift,
            self.peak_mjd_tai,
            self.rate_arcsec_per_h,
        ]
        .map(number)
        .join(",");
        writeln!(
            out,
            "{},{},{},{},{},{optional},{},{},{},{},{},{},{},{}",
            self.survey,
            self.alert_id,
            self.object_id,
            self.class,
            self.designation.as_deref().unwrap_or_default(),
            self.ra,
            self.dec,
            self.mjd_tai,
            self.band,
            self.true_flux_njy,
            self.psf_flux_njy,
            self.psf_flux_err_njy,
            fault.map_or("", crate::Fault::as_str),
        )
    }
}
