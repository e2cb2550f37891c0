//! Why a packet, or a record of it, cannot be read.

use std::fmt;

use crate::avro::cursor::Fault;

/// Why a packet is in quarantine: stable codes, for counting and for asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// No bytes at all.
    Empty,
    /// Neither an Avro container file nor a message in Confluent's wire format.
    NotAvro,
    /// A container without a record.
    NoRecord,
    /// The bytes end too early.
    Truncated,
    /// A container's header is damaged.
    BadHeader,
    /// The writer's schema cannot be used.
    BadSchema,
    /// A message's schema id is unknown; it can be tried again when the schema is there.
    UnknownSchema,
    /// A container's blocks are compressed in a way we do not read.
    UnsupportedCodec,
    /// A container's block is damaged.
    BadBlock,
    /// A value does not fit the writer's schema.
    BadData,
    /// Bytes are left over after the last record: the schema is probably another one.
    TrailingBytes,
    /// Reading it would take more memory than its size justifies, or it is larger than its source reads.
    TooLarge,
    /// The survey's mapping found no alert id.
    NoAlertId,
}

impl Reason {
    /// Every reason, in the order of the codes' documentation.
    pub const ALL: [Reason; 13] = [
        Reason::Empty,
        Reason::NotAvro,
        Reason::NoRecord,
        Reason::Truncated,
        Reason::BadHeader,
        Reason::BadSchema,
        Reason::UnknownSchema,
        Reason::UnsupportedCodec,
        Reason::BadBlock,
        Reason::BadData,
        Reason::TrailingBytes,
        Reason::TooLarge,
        Reason::NoAlertId,
    ];

    /// The code: lower case, words joined by underscores, never changed once published.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Empty => "empty",
            Reason::NotAvro => "not_avro",
            Reason::NoRecord => "no_record",
            Reason::Truncated => "truncated",
            Reason::BadHeader => "bad_header",
            Reason::BadSchema => "bad_schema",
            Reason::UnknownSchema => "unknown_schema",
            Reason::UnsupportedCodec => "unsupported_codec",
            Reason::BadBlock => "bad_block",
            Reason::BadData => "bad_data",
            Reason::TrailingBytes => "trailing_bytes",
            Reason::TooLarge => "too_large",
            Reason::NoAlertId => "no_alert_id",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A packet, or from some record on the rest of one, that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Index into the packets that were given.
    pub packet: usize,
    /// The first record that could not be read; `None` when the whole packet could not.
    pub record: Option<u32>,
    /// What kind of fault it is.
    pub reason: Reason,
    /// What, where, and what to do about it.
    pub detail: String,
}

/// A reason with its detail, on its way to [`Rejected`].
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
}

impl Problem {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Problem {
        Problem {
            reason,
            detail: detail.into(),
        }
    }

    /// A fault in a record's datum, found at `position`.
    pub(crate) fn datum(fault: Fault, position: usize) -> Problem {
        let reason = match fault {
            Fault::Truncated => Reason::Truncated,
            Fault::TooLarge => Reason::TooLarge,
            Fault::Trailing => Reason::TrailingBytes,
            _ => Reason::BadData,
        };
        Problem::new(
            reason,
            format!("datum, byte {position}: {}", fault.describe()),
        )
    }

    pub(crate) fn rejected(self, packet: usize, record: Option<u32>) -> Rejected {
        Rejected {
            packet,
            record,
            reason: self.reason,
            detail: self.detail,
        }
    }
}
