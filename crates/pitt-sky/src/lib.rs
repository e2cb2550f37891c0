//! The sky in numbers: time scales, bands, photometry, coordinates and HEALPix.
//!
//! This floor is pure: no I/O, no async, no clock. Every quantity says its unit, and a time carries its scale in its
//! type, so that a UTC date is never mistaken for TAI.
//!
//! ```
//! use pitt_sky::{band::Band, coords::Icrs, photometry, time::JdUtc};
//!
//! let exposure = JdUtc(2_460_000.75).to_mjd().to_tai();
//! assert!((exposure.0 - 60_000.250_428_24).abs() < 1e-8);
//!
//! let vega: Icrs = "18:36:56.34 +38:47:01.3".parse().expect("a position");
//! assert!((vega.ra_deg - 279.234_75).abs() < 1e-6);
//! assert!((photometry::mag_ab(3631e9) - 0.0).abs() < 1e-3);
//! assert_eq!(Band::from_name("r"), Some(Band::R));
//! ```

pub mod band;
pub mod coords;
pub mod healpix;
pub mod photometry;
pub mod time;
