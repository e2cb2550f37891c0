//! The one table of functions: what they are called, take, give and come from.
//!
//! Names, checks, documentation (`docs/filters.md`), completion and `pitt filter functions` all read this table.

use super::curve::CurveOp;
use super::number::NumberOp;

/// What a function is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Curve(CurveOp),
    Number(NumberOp),
    Match,
    MatchDistance,
    MatchColumn,
}

/// What an argument must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentKind {
    /// One of the bands `'u'`, `'g'`, `'r'`, `'i'`, `'z'`, `'y'`, written out.
    Band,
    /// A number written out.
    Constant,
    /// Any expression that gives a number.
    Number,
    /// The name of an imported catalog, written out.
    Catalog,
    /// The name of a column of that catalog, written out.
    CatalogColumn,
}

/// One argument of a function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Argument {
    /// Its name in the signature, with the unit where it has one.
    pub name: &'static str,
    /// What it must be.
    pub kind: ArgumentKind,
    /// Whether it may be left out (all optional arguments follow the others).
    pub optional: bool,
}

/// What a function gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returns {
    /// A 64-bit float, null when it cannot be computed.
    Number,
    /// A 64-bit integer.
    Count,
    /// True or false, null when an argument is null.
    Truth,
    /// What the catalog's column holds.
    Column,
}

/// A function astronomers can call in filters and queries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FunctionSpec {
    /// Its name, lower case.
    pub name: &'static str,
    /// What it takes.
    pub arguments: &'static [Argument],
    /// Columns of the alert it reads without being told.
    pub columns: &'static [&'static str],
    /// What it gives.
    pub returns: Returns,
    /// Unit of the result, empty for a pure number.
    pub unit: &'static str,
    /// What it computes, in one or two sentences.
    pub description: &'static str,
    /// Formula or where it comes from.
    pub source: &'static str,
    pub(crate) op: Op,
}

impl FunctionSpec {
    /// The call as one writes it, optional arguments in brackets: `detections([band], [days])`.
    pub fn signature(&self) -> String {
        let arguments: Vec<String> = self
            .arguments
            .iter()
            .map(|argument| match argument.optional {
                true => format!("[{}]", argument.name),
                false => argument.name.to_string(),
            })
            .collect();
        format!("{}({})", self.name, arguments.join(", "))
    }

    /// Type of the result, in words.
    pub fn returns_word(&self) -> &'static str {
        match self.returns {
            Returns::Number => "number",
            Returns::Count => "whole number",
            Returns::Truth => "true or false",
            Returns::Column => "as the catalog's column",
        }
    }

    /// How many arguments a call needs at least.
    pub(crate) fn required(&self) -> usize {
        self.arguments.iter().filter(|a| !a.optional).count()
    }
}

/// All functions, in the order of the documentation.
pub fn functions() -> &'static [FunctionSpec] {
    FUNCTIONS
}

/// The function of that name, in any case.
pub fn function(name: &str) -> Option<&'static FunctionSpec> {
    FUNCTIONS.iter().find(|f| f.name.eq_ignore_ascii_case(name))
}

const fn argument(name: &'static str, kind: ArgumentKind, optional: bool) -> Argument {
    Argument {
        name,
        kind,
        optional,
    }
}

const BAND: Argument = argument("band", ArgumentKind::Band, false);
const ANY_BAND: Argument = argument("band", ArgumentKind::Band, true);
const DAYS: Argument = argument("days", ArgumentKind::Constant, true);
const RA: Argument = argument("ra", ArgumentKind::Number, false);
const DEC: Argument = argument("dec", ArgumentKind::Number, false);
const OWN_RA: Argument = argument("ra", ArgumentKind::Number, true);
const OWN_DEC: Argument = argument("dec", ArgumentKind::Number, true);
const CATALOG: Argument = argument("catalog", ArgumentKind::Catalog, false);
const RADIUS: Argument = argument("radius_arcsec", ArgumentKind::Constant, false);

const OWN_POSITION: &[&str] = &["ra", "dec"];
const HISTORY: &[&str] = &["detections", "mjd_tai"];
const LIMITS: &[&str] = &["nondetections", "mjd_tai"];
const FORCED: &[&str] = &["forced", "mjd_tai"];

/// A function of the table below.
const fn spec(
    name: &'static str,
    op: Op,
    arguments: &'static [Argument],
    columns: &'static [&'static str],
    (returns, unit): (Returns, &'static str),
    description: &'static str,
    source: &'static str,
) -> FunctionSpec {
    FunctionSpec {
        name,
        arguments,
        columns,
        returns,
        unit,
        description,
        source,
        op,
    }
}

const LSQ: &str = "weighted least squares, weights 1/err² (Bevington & Robinson 2003, chapter 6)";
const AB: &str = "AB zero point 31.4 mag for 1 nJy (Oke & Gunn 1983, doi:10.1086/160817)";
const MAG: (Returns, &str) = (Returns::Number, "mag");
const RATE: (Returns, &str) = (Returns::Number, "mag/d");
const TIME: (Returns, &str) = (Returns::Number, "d");
const COUNT: (Returns, &str) = (Returns::Count, "");
const DEG: (Returns, &str) = (Returns::Number, "deg");

static FUNCTIONS: &[FunctionSpec] = &[
    spec(
        "detections",
        Op::Curve(CurveOp::Detections),
        &[ANY_BAND, DAYS],
        HISTORY,
        COUNT,
        "Number of detections, of either sign, in the packet's history and the alert itself; in one band, in the last `days` before the alert.",
        "count of `detections`",
    ),
    spec(
        "first_detection_mjd",
        Op::Curve(CurveOp::FirstDetection),
        &[ANY_BAND],
        HISTORY,
        (Returns::Number, "d, TAI"),
        "Time of the first detection in the packet. A survey sends a limited history (ZTF 30 d, LSST 1 year), so it is a lower bound of the age.",
        "first of `detections`",
    ),
    spec(
        "age_days",
        Op::Curve(CurveOp::Age),
        &[ANY_BAND],
        HISTORY,
        TIME,
        "Days from the first detection in the packet to the alert; 0 for a single detection.",
        "`mjd_tai - first_detection_mjd()`",
    ),
    spec(
        "duration_days",
        Op::Curve(CurveOp::Duration),
        &[ANY_BAND],
        HISTORY,
        TIME,
        "Days from the first to the last detection in the packet.",
        "last less first of `detections`",
    ),
    spec(
        "rise_rate",
        Op::Curve(CurveOp::RiseRate),
        &[BAND],
        HISTORY,
        RATE,
        "Brightening from the first detection to the brightest; positive for a rise. Null for a span under one hour.",
        LSQ,
    ),
    spec(
        "decline_rate",
        Op::Curve(CurveOp::DeclineRate),
        &[BAND],
        HISTORY,
        RATE,
        "Fading from the brightest detection to the last; positive for a decline. Null for a span under one hour.",
        LSQ,
    ),
    spec(
        "peak_mag",
        Op::Curve(CurveOp::PeakMag),
        &[ANY_BAND],
        HISTORY,
        MAG,
        "Brightest magnitude of the difference flux in the packet.",
        AB,
    ),
    spec(
        "days_since_peak",
        Op::Curve(CurveOp::DaysSincePeak),
        &[ANY_BAND],
        HISTORY,
        TIME,
        "Days from the brightest detection to the alert; 0 when the alert is the brightest.",
        "`mjd_tai` less time of `peak_mag`",
    ),
    spec(
        "last_mag",
        Op::Curve(CurveOp::LastMag),
        &[ANY_BAND],
        HISTORY,
        MAG,
        "Latest magnitude of the difference flux in the packet.",
        AB,
    ),
    spec(
        "mean_mag",
        Op::Curve(CurveOp::MeanMag),
        &[ANY_BAND],
        HISTORY,
        MAG,
        "Mean magnitude of the positive detections, unweighted.",
        AB,
    ),
    spec(
        "amplitude",
        Op::Curve(CurveOp::Amplitude),
        &[BAND],
        HISTORY,
        MAG,
        "Half the difference between faintest and brightest magnitude; null for fewer than two.",
        "`light-curve-feature` Amplitude (Malanchev et al. 2021, doi:10.1093/mnras/stab316)",
    ),
    spec(
        "color",
        Op::Curve(CurveOp::Color),
        &[
            BAND,
            argument("other_band", ArgumentKind::Band, false),
            argument("max_gap_days", ArgumentKind::Constant, true),
        ],
        HISTORY,
        MAG,
        "Magnitude in `band` less magnitude in `other_band`, from the latest detections in both that are at most `max_gap_days` (1 if not given) apart. Not corrected for dust.",
        AB,
    ),
    spec(
        "n_nondetections",
        Op::Curve(CurveOp::Nondetections),
        &[ANY_BAND, DAYS],
        LIMITS,
        COUNT,
        "Number of exposures in the packet's history without a detection (ZTF; LSST packets list none).",
        "count of `nondetections`",
    ),
    spec(
        "last_nondetection_days",
        Op::Curve(CurveOp::LastNondetectionAge),
        &[ANY_BAND],
        LIMITS,
        TIME,
        "Days from the latest non-detection to the alert.",
        "`mjd_tai` less last of `nondetections`",
    ),
    spec(
        "nondetection_gap_days",
        Op::Curve(CurveOp::NondetectionGap),
        &[ANY_BAND],
        &["nondetections", "detections", "mjd_tai"],
        TIME,
        "Days from the last non-detection before the first detection to that detection, both in the band if one is given: how well the explosion is dated.",
        "first of `detections` less the `nondetections` before it",
    ),
    spec(
        "forced_max_flux",
        Op::Curve(CurveOp::ForcedMaxFlux),
        &[ANY_BAND],
        FORCED,
        (Returns::Number, "nJy"),
        "Largest forced flux in the packet.",
        "maximum of `forced`",
    ),
    spec(
        "forced_snr",
        Op::Curve(CurveOp::ForcedSnr),
        &[ANY_BAND],
        FORCED,
        (Returns::Number, ""),
        "Largest signal to noise of the forced photometry in the packet.",
        "maximum of flux / error over `forced`",
    ),
    spec(
        "forced_detections",
        Op::Curve(CurveOp::ForcedDetections),
        &[ANY_BAND, DAYS],
        FORCED,
        COUNT,
        "Number of forced measurements with a signal to noise of at least 5.",
        "count of flux / error >= 5 over `forced`",
    ),
    spec(
        "mag",
        Op::Number(NumberOp::Mag),
        &[argument("flux", ArgumentKind::Number, false)],
        &[],
        MAG,
        "AB magnitude of a flux in nJy; null for a flux that is not positive.",
        AB,
    ),
    spec(
        "mag_err",
        Op::Number(NumberOp::MagErr),
        &[
            argument("flux", ArgumentKind::Number, false),
            argument("flux_err", ArgumentKind::Number, false),
        ],
        &[],
        MAG,
        "Error of a magnitude from flux and its error.",
        "2.5 / ln 10 × err / flux",
    ),
    spec(
        "flux",
        Op::Number(NumberOp::Flux),
        &[argument("mag", ArgumentKind::Number, false)],
        &[],
        (Returns::Number, "nJy"),
        "Flux of an AB magnitude.",
        AB,
    ),
    spec(
        "snr",
        Op::Number(NumberOp::Snr),
        &[
            argument("flux", ArgumentKind::Number, true),
            argument("flux_err", ArgumentKind::Number, true),
        ],
        &["psf_flux", "psf_flux_err"],
        (Returns::Number, ""),
        "Signal to noise: of the alert, or of the flux and error given; negative for a negative flux.",
        "flux / error",
    ),
    spec(
        "separation_arcsec",
        Op::Number(NumberOp::Separation),
        &[
            RA,
            DEC,
            argument("ra0", ArgumentKind::Number, false),
            argument("dec0", ArgumentKind::Number, false),
        ],
        &[],
        (Returns::Number, "arcsec"),
        "Great-circle separation of two positions in degrees.",
        "Vincenty's formula",
    ),
    spec(
        "cone",
        Op::Number(NumberOp::Cone),
        &[
            RA,
            DEC,
            argument("ra0", ArgumentKind::Number, false),
            argument("dec0", ArgumentKind::Number, false),
            argument("radius_arcsec", ArgumentKind::Number, false),
        ],
        &[],
        (Returns::Truth, ""),
        "Whether a position lies within a radius of another, all in degrees but the radius.",
        "`separation_arcsec(..) <= radius_arcsec`",
    ),
    spec(
        "galactic_latitude",
        Op::Number(NumberOp::GalacticLatitude),
        &[OWN_RA, OWN_DEC],
        OWN_POSITION,
        DEG,
        "Galactic latitude of the alert, or of the position given.",
        "IAU SOFA icrs2g",
    ),
    spec(
        "galactic_longitude",
        Op::Number(NumberOp::GalacticLongitude),
        &[OWN_RA, OWN_DEC],
        OWN_POSITION,
        DEG,
        "Galactic longitude, 0 to 360.",
        "IAU SOFA icrs2g",
    ),
    spec(
        "ecliptic_latitude",
        Op::Number(NumberOp::EclipticLatitude),
        &[OWN_RA, OWN_DEC],
        OWN_POSITION,
        DEG,
        "Ecliptic latitude of the alert, or of the position given (mean ecliptic of J2000.0).",
        "IAU SOFA eqec06",
    ),
    spec(
        "ecliptic_longitude",
        Op::Number(NumberOp::EclipticLongitude),
        &[OWN_RA, OWN_DEC],
        OWN_POSITION,
        DEG,
        "Ecliptic longitude, 0 to 360 (mean ecliptic of J2000.0).",
        "IAU SOFA eqec06",
    ),
    FunctionSpec {
        name: "match",
        arguments: &[CATALOG, RADIUS],
        columns: OWN_POSITION,
        returns: Returns::Truth,
        unit: "",
        description: "Whether the catalog has a source within the radius (at most 3600 arcsec).",
        source: "nearest source on the sphere",
        op: Op::Match,
    },
    FunctionSpec {
        name: "match_distance",
        arguments: &[CATALOG, RADIUS],
        columns: OWN_POSITION,
        returns: Returns::Number,
        unit: "arcsec",
        description: "Separation from the nearest source of the catalog within the radius; null without one.",
        source: "nearest source on the sphere",
        op: Op::MatchDistance,
    },
    FunctionSpec {
        name: "match_column",
        arguments: &[
            CATALOG,
            argument("column", ArgumentKind::CatalogColumn, false),
            RADIUS,
        ],
        columns: OWN_POSITION,
        returns: Returns::Column,
        unit: "as in the catalog",
        description: "A column of the nearest source of the catalog within the radius; null without one.",
        source: "nearest source on the sphere",
        op: Op::MatchColumn,
    },
];
