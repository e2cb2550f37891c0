//! What the measured broker is given: a simulated night in tarballs, and filters.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bytes::Bytes;
use indicatif::ProgressBar;
use pitt_alert::Packet;
use pitt_query::Filter;
use pitt_simulate::{SimSurvey, SimulationConfig, Simulator};

use super::super::simulate::progress_bar;
use crate::filters;

/// Alerts kept in memory for the stages measured one by one.
const SAMPLE: usize = 4000;
/// Alerts a simulated visit.
const PER_VISIT: u32 = 500;
/// Fewest and most alerts of a tarball: a few seconds of work, and 8 GB.
const PIECE: (u64, u64) = (20_000, 100_000);

/// A night of ZTF, written piece by piece as plain tarballs.
pub(super) struct Night {
    packets: Box<dyn Iterator<Item = Bytes>>,
    folder: PathBuf,
    written: u64,
    pieces: u64,
    alerts: u64,
    bar: ProgressBar,
    /// The first packets.
    pub(super) sample: Vec<Packet>,
}

impl Night {
    pub(super) fn new(folder: &Path, alerts: u64) -> Result<Self> {
        let config = SimulationConfig {
            surveys: vec![SimSurvey::Ztf],
            visits_per_night: u32::try_from(alerts.div_ceil(u64::from(PER_VISIT)))?,
            alerts_per_visit: PER_VISIT,
            // Whether an alert came before is asked of all; none did, so that old files may go with --reclaim.
            duplicates_per_million: 0,
            ..SimulationConfig::default()
        };
        let packets = Simulator::new(config).flat_map(|visit| visit.packets);
        let bar = progress_bar("alerts simulated");
        bar.set_length(alerts);
        Ok(Self {
            packets: Box::new(packets.map(|packet| packet.bytes)),
            folder: folder.to_owned(),
            written: 0,
            pieces: 0,
            alerts,
            bar,
            sample: vec![],
        })
    }

    /// Writes the next piece; `None` at the end of the night.
    pub(super) fn next_piece(&mut self) -> Result<Option<PathBuf>> {
        let size = (self.alerts / 10).clamp(PIECE.0, PIECE.1);
        // A short last piece goes with the one before.
        let left = self.alerts - self.written;
        let size = if left < size * 3 / 2 { left } else { size };
        if size == 0 {
            self.bar.finish_and_clear();
            return Ok(None);
        }
        self.pieces += 1;
        let path = self.folder.join(format!("night-{}.tar", self.pieces));
        self.write(&path, size)
            .with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(Some(path))
    }

    fn write(&mut self, path: &Path, size: u64) -> Result<()> {
        let mut tar = tar::Builder::new(BufWriter::with_capacity(1 << 20, File::create(path)?));
        for _ in 0..size {
            let packet = self
                .packets
                .next()
                .context("the simulated night is short")?;
            let mut header = tar::Header::new_ustar();
            header.set_size(packet.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, format!("{}.avro", self.written), &packet[..])?;
            if self.sample.len() < SAMPLE {
                self.sample.push(Packet::unplaced("bench", packet));
            }
            self.written += 1;
            self.bar.set_position(self.written);
        }
        tar.into_inner()?.into_inner()?.sync_all()?;
        Ok(())
    }
}

/// Filters that differ in what they ask and in their numbers, a third of them over the history; each takes a few alerts in
/// a hundred, as people's filters do.
fn filter_text(number: usize) -> String {
    let (step, band) = (number / 8, ["g", "r", "i"][number % 3]);
    let level = 18.0 + 0.05 * step as f64;
    match number % 8 {
        0 => format!(
            "mag(psf_flux) < {level} - 1.0 AND reliability > 0.{}",
            50 + step % 50
        ),
        1 => format!(
            "detections('{band}', {}) >= {} AND reliability > 0.9 AND mag(psf_flux) < {level}",
            10 + step,
            6 + step % 9
        ),
        2 => format!(
            "rise_rate('{band}') > {} AND psf_flux > 0",
            0.05 + 0.01 * step as f64
        ),
        3 => format!(
            "candidate.magpsf < {level} AND candidate.sgscore1 < 0.{} AND candidate.distpsnr1 > 1.5",
            10 + step % 80
        ),
        4 => format!(
            "abs(galactic_latitude()) BETWEEN {} AND {} AND candidate.drb > 0.{}",
            5 + 5 * (step % 16),
            6 + 5 * (step % 16),
            50 + step % 50
        ),
        5 => format!(
            "cone(ra, dec, {}, {}, {})",
            (number * 37) % 360,
            (number * 7) % 60,
            600 + step
        ),
        6 => format!(
            "age_days() BETWEEN 1 AND {} AND band = '{band}' AND mag(psf_flux) < {level}",
            2 + step
        ),
        _ => format!(
            "candidate.ssdistnr BETWEEN 0 AND {} AND candidate.nbad = 0",
            5 + step
        ),
    }
}

/// Writes so many filters, and gives them back.
pub(super) fn write_filters(folder: &Path, number: usize) -> Result<Vec<Filter>> {
    std::fs::create_dir_all(folder)?;
    (0..number)
        .map(|number| {
            let (name, text) = (
                format!("bench_{number:04}"),
                format!("-- survey: ztf\n{}\n", filter_text(number)),
            );
            std::fs::write(folder.join(format!("{name}.sql")), &text)?;
            Ok(Filter::parse(&name, &text).map_err(filters::Refused)?)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use pitt_query::Catalogs;

    use super::*;
    use crate::broker;

    #[test]
    fn a_hundred_filters_differ_and_fit_the_schemas() {
        let folder = tempfile::tempdir().unwrap();
        let filters = write_filters(folder.path(), 100).unwrap();
        let texts: std::collections::BTreeSet<&str> = filters.iter().map(Filter::text).collect();
        assert_eq!(texts.len(), 100);
        broker::compile(
            filters,
            &filters::known_surveys().unwrap(),
            &Catalogs::new(),
        )
        .unwrap();
    }
}
