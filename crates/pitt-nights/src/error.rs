//! What can go wrong with a public night.

use std::path::PathBuf;

use crate::checksums::Md5;

/// What can go wrong with a public night.
#[derive(Debug, thiserror::Error)]
pub enum NightsError {
    /// No answer, whatever was tried.
    #[error(
        "cannot reach {url}: {reason} (is there a network? another archive is named by --url or PITT_ARCHIVE_URL)"
    )]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What the last try said.
        reason: String,
    },
    /// The server refuses.
    #[error("{url}: the server answers {status}{hint}")]
    Refused {
        /// What was asked for.
        url: String,
        /// HTTP status.
        status: u16,
        /// What that usually means.
        hint: &'static str,
    },
    /// A page without a single night on it.
    #[error("{url} lists no file `ztf_public_YYYYMMDD.tar.gz` (is this the archive's folder?)")]
    NoListing {
        /// The page.
        url: String,
    },
    /// The archive has no such night.
    #[error("{url} has no night {night}{near}")]
    NoSuchNight {
        /// The archive.
        url: String,
        /// YYYYMMDD.
        night: i32,
        /// The nearest nights it has.
        near: String,
    },
    /// A text that is neither a night nor a range.
    #[error("`{text}` is no night (write 20181129, 2018-11-29, or a range 20181101..20181130)")]
    NotANight {
        /// As typed.
        text: String,
    },
    /// The file changed on the server while it was fetched.
    #[error(
        "{url} changed on the server during the transfer (start again: the new file is fetched from its beginning)"
    )]
    Changed {
        /// The file.
        url: String,
    },
    /// The file is here, and is not what `MD5SUMS` says.
    #[error(
        "{url}: the checksum is {found}, and MD5SUMS says {expected}; the file is set aside as {} (start again to fetch it anew)",
        aside.display()
    )]
    WrongChecksum {
        /// The file.
        url: String,
        /// MD5 as listed.
        expected: Md5,
        /// MD5 as received.
        found: Md5,
        /// Where the file is now.
        aside: PathBuf,
    },
    /// The transfer broke again and again without a byte more.
    #[error(
        "{url} broke off at byte {at} and {tries} tries brought no more: {reason} (start again: it goes on from there)"
    )]
    BrokenOff {
        /// The file.
        url: String,
        /// Bytes that are here.
        at: u64,
        /// Tries without progress.
        tries: u32,
        /// What the last try said.
        reason: String,
    },
    /// The disk does not take it.
    #[error("cannot write {}: {source} (what is here is kept; make room and start again)", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A note of ours that cannot be read.
    #[error("{} is not a note of `pitt download`: {reason} (remove it to fetch the night anew)", path.display())]
    Note {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Somebody asked to stop.
    #[error("stopped (start again: it goes on from there)")]
    Stopped,
}

impl NightsError {
    /// For `map_err`: the disk refused `path`.
    pub(crate) fn disk(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk { path, source }
    }
}
