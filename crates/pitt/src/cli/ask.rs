//! The words of the commands that ask an archive: its nights, alerts, objects and tables.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `pitt ls`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pitt ls --json")]
pub struct Ls {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `pitt show`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    pitt show 3155240240015010000\n  \
    pitt show 3155240240015010000 --json\n  \
    pitt show 3155240240015010000 --raw alert.avro   the packet, byte for byte")]
pub struct Show {
    /// Alert id: ZTF candid or LSST diaSourceId
    #[arg(value_name = "ALERT", value_parser = alert_id)]
    pub alert: i64,
    /// Print JSON; ids are strings
    #[arg(long)]
    pub json: bool,
    /// Write the packet as it was received
    #[arg(long, value_name = "FILE")]
    pub raw: Option<PathBuf>,
    /// Every history entry too, not only how many there are
    #[arg(long)]
    pub history: bool,
}

/// `pitt stamps`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  pitt stamps 3155240240015010000 --png stamps.png")]
pub struct Stamps {
    /// Alert id: ZTF candid or LSST diaSourceId
    #[arg(value_name = "ALERT", value_parser = alert_id)]
    pub alert: i64,
    /// Picture to write [default: stamps_ALERT.png]
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
}

/// `pitt lightcurve`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    pitt lightcurve ZTF18abcdefg                     a table\n  \
    pitt lightcurve ZTF18abcdefg --png curve.png     magnitudes, upper limits as triangles\n  \
    pitt lightcurve ZTF18abcdefg --flux --png curve.png")]
pub struct Lightcurve {
    /// Object id: ZTF objectId, LSST diaObjectId or ssObjectId
    #[arg(value_name = "OBJECT")]
    pub object: String,
    /// Picture to write
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// Comma-separated values to standard output
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Draw fluxes
    #[arg(long, conflicts_with = "mag")]
    pub flux: bool,
    /// Draw AB magnitudes, which is the default
    #[arg(long)]
    pub mag: bool,
}

/// `pitt cone`
#[derive(Debug, Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "Examples:\n  \
    pitt cone 155.1 -4.1 30\n  \
    pitt cone 10:20:24.0 -04:06:00 30"
)]
pub struct Cone {
    /// Right ascension: degrees, or hours as 10:20:24.0
    #[arg(value_name = "RA")]
    pub ra: String,
    /// Declination: degrees, or -04:06:00
    #[arg(value_name = "DEC", allow_hyphen_values = true)]
    pub dec: String,
    /// Radius, arcsec
    #[arg(value_name = "RADIUS")]
    pub radius: f64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `pitt query`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    pitt query \"SELECT band, count(*) FROM alerts GROUP BY band\"\n  \
    pitt query \"SELECT * FROM matches\" --format csv\n  \
    pitt query \"SELECT * FROM ztf\" --output ztf.parquet\n\n\
    Tables: alerts (what all surveys share), ztf, lsst, forced, matches, packets, quarantine.")]
pub struct Query {
    /// One SELECT
    #[arg(value_name = "SQL")]
    pub sql: String,
    /// How to print the rows
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Print JSON, the same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// File to write; its ending (.csv .json .parquet) says the format
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Most rows to return
    #[arg(long, value_name = "N")]
    pub max_rows: Option<usize>,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns aligned for people
    Table,
    /// Comma-separated values with a header
    Csv,
    /// One object a line; ids are strings
    Json,
    /// Apache Parquet (needs --output)
    Parquet,
}

/// The id of an alert; people give an object's here.
fn alert_id(text: &str) -> Result<i64, String> {
    let number = text.trim().parse();
    number.map_err(|_| match text.get(..3) {
        Some("ZTF") => format!("that is an object: `pitt lightcurve {text}` lists its alerts"),
        _ => "expected a whole number: candid of ZTF, diaSourceId of LSST".to_owned(),
    })
}
