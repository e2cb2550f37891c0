//! A simulation as files, laid out as archives lay them out.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::config::{SimSurvey, SimulationConfig};
use crate::simulator::{SimPacket, Simulator, Visit};
use crate::truth::Truth;

/// Why a simulation could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The first night is no date.
    #[error("the first night is `{0}`, expected a date as YYYYMMDD")]
    FirstNight(i32),
    /// Nights for which the surveys' ids do not reach.
    #[error(
        "{nights} nights of {visits} visits from {first}, and {history} nights before them, do not fit in \
         20170101 to 20420401, for which ids have 64 bits (choose fewer nights or visits, or another first night)"
    )]
    Nights {
        /// First night, YYYYMMDD.
        first: i32,
        /// Nights from then on.
        nights: u32,
        /// Nights of history before.
        history: u32,
        /// Visits a night.
        visits: u32,
    },
    /// More of LSST than its ids tell apart.
    #[error(
        "{visits} visits of {alerts} alerts a night: ids of LSST tell 16384 visits of 1048576 alerts apart \
         (choose fewer visits and more alerts in each, or more nights)"
    )]
    LsstIds {
        /// Visits a night.
        visits: u32,
        /// Alerts a visit.
        alerts: u32,
    },
    /// A file or folder could not be made or written.
    #[error("cannot write `{}`: {source} (check the folder's permissions and free space)", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Packets, damaged ones and duplicates included.
    pub packets: u64,
    /// Bytes of these packets, before any compression.
    pub bytes: u64,
    /// Files and folders that hold packets, in order of writing.
    pub nights: Vec<PathBuf>,
    /// The truth table.
    pub truth: PathBuf,
}

/// Packets held in memory at a time.
const PART: usize = 500;

/// Writes a whole simulation into a folder.
///
/// | file | what |
/// |---|---|
/// | `ztf_public_YYYYMMDD.tar.gz` | one night of ZTF, `<candid>.avro` container files, as in the public archive |
/// | `lsst_YYYYMMDD/<diaSourceId>.avro` | one night of LSST, each file one Confluent message |
/// | `lsst_YYYYMMDD/lsst.v11_0.alert.avsc` | the schema of these messages, id 1100 |
/// | `truth.csv` | one line a packet, units in its first lines |
///
/// A packet that is sent twice gets the file name `<id>.again.avro` the second time. Now and then, and after
/// each visit, `progress` is called with the number of visits done and their total. Existing files of the same names are replaced.
///
/// # Errors
/// When [`SimulationConfig::check`] refuses the configuration, or a file cannot be written.
pub fn write_folder(
    dir: &Path,
    config: SimulationConfig,
    mut progress: impl FnMut(u64, u64),
) -> Result<Written, SimulateError> {
    config.check()?;
    make_dir(dir)?;
    let truth = dir.join("truth.csv");
    let mut table = BufWriter::new(create(&truth)?);
    Truth::write_csv_header(&mut table).map_err(|source| failed(&truth, source))?;
    let mut written = Written {
        truth: truth.clone(),
        ..Written::default()
    };
    let mut night = Night::default();
    let mut simulator = Simulator::new(config);
    let total = simulator.total_visits();
    let mut done = 0;
    while let Some(visit) = simulator.next_part(PART) {
        night.write(dir, &visit, &mut written)?;
        for packet in &visit.packets {
            packet
                .truth
                .write_csv(packet.fault, &mut table)
                .map_err(|source| failed(&truth, source))?;
            written.packets += 1;
            written.bytes += packet.bytes.len() as u64;
        }
        done += u64::from(visit.is_complete);
        progress(done, total);
    }
    night.close_tar()?;
    table.flush().map_err(|source| failed(&truth, source))?;
    Ok(written)
}

/// The files of the night being written.
#[derive(Default)]
struct Night {
    tar: Option<(PathBuf, tar::Builder<GzEncoder<BufWriter<File>>>)>,
    folder: Option<PathBuf>,
}

impl Night {
    fn write(
        &mut self,
        dir: &Path,
        visit: &Visit,
        written: &mut Written,
    ) -> Result<(), SimulateError> {
        let night = visit.night;
        match visit.survey {
            SimSurvey::Ztf => {
                let path = dir.join(format!("ztf_public_{night}.tar.gz"));
                if self.tar.as_ref().is_none_or(|(open, _)| *open != path) {
                    self.close_tar()?;
                    let gzip = GzEncoder::new(BufWriter::new(create(&path)?), Compression::fast());
                    self.tar = Some((path.clone(), tar::Builder::new(gzip)));
                    written.nights.push(path);
                }
                self.add_members(&visit.packets)
            }
            SimSurvey::Lsst => {
                let folder = dir.join(format!("lsst_{night}"));
                if self.folder.as_ref() != Some(&folder) {
                    make_dir(&folder)?;
                    let schema = folder.join("lsst.v11_0.alert.avsc");
                    save(&schema, crate::schema::lsst_schema().1.as_bytes())?;
                    self.folder = Some(folder.clone());
                    written.nights.push(folder.clone());
                }
                visit
                    .packets
                    .iter()
                    .try_for_each(|packet| save(&folder.join(file_name(packet)), &packet.bytes))
            }
        }
    }

    fn add_members(&mut self, packets: &[SimPacket]) -> Result<(), SimulateError> {
        let Some((path, tar)) = &mut self.tar else {
            return Ok(());
        };
        for packet in packets {
            let mut header = tar::Header::new_ustar();
            header.set_size(packet.bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, file_name(packet), &packet.bytes[..])
                .map_err(|source| failed(path, source))?;
        }
        Ok(())
    }

    fn close_tar(&mut self) -> Result<(), SimulateError> {
        let Some((path, tar)) = self.tar.take() else {
            return Ok(());
        };
        let finish = || tar.into_inner()?.finish()?.flush();
        finish().map_err(|source| failed(&path, source))
    }
}

fn file_name(packet: &SimPacket) -> String {
    let again = if packet.fault == Some(crate::Fault::Duplicate) {
        ".again"
    } else {
        ""
    };
    format!("{}{again}.avro", packet.truth.alert_id)
}

fn failed(path: &Path, source: io::Error) -> SimulateError {
    SimulateError::Write {
        path: path.to_owned(),
        source,
    }
}

fn make_dir(path: &Path) -> Result<(), SimulateError> {
    fs::create_dir_all(path).map_err(|source| failed(path, source))
}

fn create(path: &Path) -> Result<File, SimulateError> {
    File::create(path).map_err(|source| failed(path, source))
}

fn save(path: &Path, bytes: &[u8]) -> Result<(), SimulateError> {
    fs::write(path, bytes).map_err(|source| failed(path, source))
}
