//! ZTF's public nights: what there is, choosing among it, and a transfer that resumes and verifies.
//!
//! The public archive (<https://ztf.uw.edu/alerts/public/>) is a folder on a web server: an index page, a file `MD5SUMS`, and one
//! tarball a night, `ztf_public_YYYYMMDD.tar.gz`, up to 70 GB, of flat `<candid>.avro` members. A night without alerts is a
//! tarball of some tens of bytes.
//!
//! [`Listing::fetch`] reads page and checksums, [`Choice`] picks nights, and a [`Transfer`] brings one tarball into a file
//! beside the archive while a [`Growing`] reader unpacks it behind. [`Shelf`] remembers which nights are here.
//!
//! ```no_run
//! use std::io::Read;
//! use pitt_nights::{Choice, Client, Listing, Patience, Transfer};
//!
//! let client = Client::new(Patience::default());
//! let listing = Listing::fetch(&client, "https://ztf.uw.edu/alerts/public/")?;
//! let chosen = Choice::Newest(1).among(&listing)?;
//! let transfer = Transfer::start(client, chosen[0].clone(), "nights/night.tar.gz.part".into())?;
//! let mut first = [0; 512];
//! transfer.reader()?.read_exact(&mut first)?;
//! transfer.finish()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod checksums;
mod choice;
mod client;
mod error;
mod growing;
mod listing;
mod shelf;
mod transfer;

pub use checksums::{Md5, parse_md5sums};
pub use choice::Choice;
pub use client::{Client, Patience};
pub use error::NightsError;
pub use growing::Growing;
pub use listing::{Listing, Release};
pub use shelf::{Shelf, Shelved};
pub use transfer::{Progress, Transfer};
