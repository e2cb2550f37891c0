//! Made-up alerts.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray};
use pitt_simulate::{SimPacket, SimSurvey, SimulationConfig, Simulator, Truth, write_folder};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::tables::Table;

/// Visits one after the other.
#[pyclass(frozen, module = "pitt_broker._native")]
pub(crate) struct Simulation(Mutex<Simulator>);

/// One exposure and the packets of it.
#[pyclass(frozen, get_all, module = "pitt_broker._native")]
pub(crate) struct Visit {
    /// `ztf` or `lsst`.
    survey: &'static str,
    /// YYYYMMDD, in the survey's convention.
    night: i32,
    /// Middle of the exposure, d, MJD TAI.
    mjd_tai: f64,
    /// As the survey would send them.
    packets: Vec<Py<PyBytes>>,
    /// What is behind each packet, one row a packet.
    truth: Table,
}

#[pymethods]
impl Simulation {
    #[new]
    #[pyo3(signature = (*, seed, surveys, first_night, nights, visits, alerts_per_visit, bad_per_million, duplicates_per_million))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn new(
        seed: u64,
        surveys: Vec<String>,
        first_night: i32,
        nights: u32,
        visits: u32,
        alerts_per_visit: u32,
        bad_per_million: u32,
        duplicates_per_million: u32,
    ) -> PyResult<Self> {
        let survey = |name: &String| {
            SimSurvey::from_name(name).ok_or_else(|| {
                PyValueError::new_err(format!("no survey `{name}` (there are `ztf` and `lsst`)"))
            })
        };
        let config = SimulationConfig {
            seed,
            surveys: surveys.iter().map(survey).collect::<PyResult<_>>()?,
            first_night,
            nights,
            visits_per_night: visits,
            alerts_per_visit,
            bad_packets_per_million: bad_per_million,
            duplicates_per_million,
            ..SimulationConfig::default()
        };
        let wrong = |error: pitt_simulate::SimulateError| PyValueError::new_err(error.to_string());
        config.check().map_err(wrong)?;
        Ok(Self(Mutex::new(Simulator::new(config))))
    }

    /// Visits in all, of all surveys.
    #[getter]
    fn total_visits(&self) -> u64 {
        let simulator = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        simulator.total_visits()
    }

    /// Writes everything into a folder, from the first visit on: packets, bytes, files and folders with packets, the truth table.
    fn write(
        &self,
        py: Python<'_>,
        folder: PathBuf,
    ) -> PyResult<(u64, u64, Vec<PathBuf>, PathBuf)> {
        let config = {
            let simulator = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            simulator.config().clone()
        };
        let written = py.detach(|| write_folder(&folder, config, |_, _| {}));
        let written = written.map_err(|error| PyOSError::new_err(error.to_string()))?;
        Ok((
            written.packets,
            written.bytes,
            written.nights,
            written.truth,
        ))
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> Option<Visit> {
        let visit = py.detach(|| {
            let mut simulator = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            simulator.next_visit()
        })?;
        let bytes = |packet: &SimPacket| PyBytes::new(py, &packet.bytes).unbind();
        Some(Visit {
            survey: visit.survey.as_str(),
            night: visit.night,
            mjd_tai: visit.mjd_tai,
            packets: visit.packets.iter().map(bytes).collect(),
            truth: truth_table(&visit.packets),
        })
    }
}

fn truth_table(packets: &[SimPacket]) -> Table {
    let texts = |text: fn(&SimPacket) -> Option<&str>| -> ArrayRef {
        Arc::new(packets.iter().map(text).collect::<StringArray>())
    };
    let reals = |real: fn(&Truth) -> Option<f64>| -> ArrayRef {
        let values = packets.iter().map(|packet| real(&packet.truth));
        Arc::new(values.collect::<Float64Array>())
    };
    let ids = packets.iter().map(|packet| packet.truth.alert_id);
    Table::of_columns(vec![
        ("survey", "", texts(|p| Some(p.survey.as_str()))),
        ("alert_id", "", Arc::new(ids.collect::<Int64Array>())),
        ("object_id", "", texts(|p| Some(&p.truth.object_id))),
        ("class", "", texts(|p| Some(p.truth.class))),
        ("designation", "", texts(|p| p.truth.designation.as_deref())),
        ("period", "d", reals(|t| t.period_d)),
        ("redshift", "", reals(|t| t.redshift)),
        ("peak_mjd_tai", "d", reals(|t| t.peak_mjd_tai)),
        ("rate", "arcsec / h", reals(|t| t.rate_arcsec_per_h)),
        ("ra", "deg", reals(|t| Some(t.ra))),
        ("dec", "deg", reals(|t| Some(t.dec))),
        ("mjd_tai", "d", reals(|t| Some(t.mjd_tai))),
        ("band", "", texts(|p| Some(p.truth.band.as_str()))),
        ("true_flux", "nJy", reals(|t| Some(t.true_flux_njy))),
        ("psf_flux", "nJy", reals(|t| Some(t.psf_flux_njy))),
        ("psf_flux_err", "nJy", reals(|t| Some(t.psf_flux_err_njy))),
        (
            "fault",
            "",
            texts(|p| p.fault.map(pitt_simulate::Fault::as_str)),
        ),
    ])
}
