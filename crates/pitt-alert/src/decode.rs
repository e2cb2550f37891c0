//! Packets in, Arrow batches out.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::avro::container::{self, Codec, MAGIC, SYNC};
use crate::avro::cursor::Fault;
use crate::batch::{AlertBatch, Gathering, Origin};
use crate::packet::{Packet, told_of_left_out};
use crate::reason::{Problem, Reason, Rejected};
use crate::schemas::{SchemaStore, WriterSchema};
use crate::selection::Selection;

/// Most plans and headers kept from one call to the next; a stream has a few dozen.
const MAX_PLANS: usize = 256;
/// Blocks of one packet unpack to at most this many bytes, and [`UNPACKED_PER_BYTE`] more for each byte of the packet.
const UNPACKED: usize = 4 << 20;
const UNPACKED_PER_BYTE: usize = 16;

/// What a call to [`Decoder::decode`] gives: every record of every packet is in exactly one of the two.
#[derive(Debug, Default)]
pub struct Decoded {
    /// One batch for each distinct writer's schema, in order of first appearance.
    pub batches: Vec<AlertBatch>,
    /// What could not be read.
    pub rejected: Vec<Rejected>,
}

impl Decoded {
    /// Number of alerts in all batches.
    pub fn rows(&self) -> usize {
        self.batches
            .iter()
            .map(|batch| batch.records.num_rows())
            .sum()
    }
}

/// Decodes packets. Each thread has its own; they share the [`SchemaStore`].
///
/// Schemas are compiled once and kept with their buffers, so one decoder should see many batches.
pub struct Decoder {
    schemas: SchemaStore,
    selection: Selection,
    gatherings: Vec<Gathering>,
    by_fingerprint: HashMap<u128, usize>,
    headers: Vec<KnownHeader>,
    /// Gatherings that this call has used, in order of first use.
    used: Vec<usize>,
    /// Bytes of this call's packets.
    packed: usize,
    /// Bytes that they may still unpack to.
    budget: usize,
}

/// A container's header seen before, up to its sync marker.
struct KnownHeader {
    bytes: Bytes,
    gathering: usize,
    codec: Codec,
}

/// Which header a container has.
struct Opened {
    gathering: usize,
    codec: Codec,
    header: usize,
}

impl Decoder {
    /// A decoder of everything but the stamps; see [`Decoder::select`].
    pub fn new(schemas: SchemaStore) -> Decoder {
        Decoder {
            schemas,
            selection: Selection::default(),
            gatherings: Vec::new(),
            by_fingerprint: HashMap::new(),
            headers: Vec::new(),
            used: Vec::new(),
            packed: 0,
            budget: 0,
        }
    }

    /// Chooses the columns from now on. Costs the compiled plans.
    pub fn select(&mut self, selection: Selection) {
        if selection != self.selection {
            self.selection = selection;
            self.forget();
        }
    }

    /// The chosen columns.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Decodes packets: container files and messages in Confluent's wire format, in any mixture.
    ///
    /// Never fails as a whole and never panics: what cannot be read is in [`Decoded::rejected`]. Records of a container
    /// before a bad one are good; from it on, the packet is rejected.
    ///
    /// Memory is bounded: blocks unpack to at most 4 MiB and 16 times the packet's size, and what is read of a packet
    /// takes at most 128 times its size (a null double is one byte in the packet), or of its blocks' unpacked size.
    pub fn decode(&mut self, packets: &[Packet]) -> Decoded {
        self.decode_each(packets, |decoder, index, bytes| {
            decoder.packet(index, bytes)
        })
    }

    /// Decodes packets that are bare datums: no header, no schema id, one record each, all of `schema`.
    pub fn decode_datum(&mut self, schema: &Arc<WriterSchema>, packets: &[Packet]) -> Decoded {
        self.decode_each(packets, |decoder, index, bytes| {
            if bytes.is_empty() {
                return Err(empty().rejected(index, None));
            }
            let gathering = decoder.gathering(schema);
            decoder.one_datum(gathering, index, bytes, 0)
        })
    }

    fn decode_each(
        &mut self,
        packets: &[Packet],
        mut read: impl FnMut(&mut Self, usize, &Bytes) -> Result<(), Rejected>,
    ) -> Decoded {
        if self.gatherings.len() > MAX_PLANS || self.headers.len() > MAX_PLANS {
            self.forget();
        }
        self.used.clear();
        self.packed = packets.iter().map(|packet| packet.bytes.len()).sum();
        self.budget = UNPACKED.saturating_add(self.packed.saturating_mul(UNPACKED_PER_BYTE));
        let mut decoded = Decoded::default();
        for (index, packet) in packets.iter().enumerate() {
            if let Err(rejected) = read(self, index, &packet.bytes) {
                decoded.rejected.push(rejected);
            }
        }
        for &gathering in &self.used {
            decoded
                .batches
                .extend(self.gatherings[gathering].finish(&mut decoded.rejected));
        }
        decoded
    }

    fn packet(&mut self, index: usize, bytes: &Bytes) -> Result<(), Rejected> {
        match bytes.as_ref() {
            [] => Err(empty().rejected(index, None)),
            packet if packet.starts_with(MAGIC) => self.container(index, bytes),
            &[0, a, b, c, d, ..] => {
                let schema = self.schemas.get(u32::from_be_bytes([a, b, c, d]));
                let schema = schema.map_err(|error| {
                    Problem::new(Reason::UnknownSchema, error.to_string()).rejected(index, None)
                })?;
                let gathering = self.gathering(&schema);
                self.one_datum(gathering, index, bytes, 5)
            }
            other => Err(not_avro(other).rejected(index, None)),
        }
    }

    fn one_datum(
        &mut self,
        gathering: usize,
        packet: usize,
        bytes: &Bytes,
        start: usize,
    ) -> Result<(), Rejected> {
        let read = self.read(gathering, bytes, start, 1, Origin { packet, record: 0 });
        read.map_err(|(_, problem)| problem.rejected(packet, None))
    }

    fn container(&mut self, packet: usize, bytes: &Bytes) -> Result<(), Rejected> {
        let opened = self
            .open(bytes)
            .map_err(|problem| problem.rejected(packet, None))?;
        let mut at = opened.header + SYNC;
        let sync = bytes.get(opened.header..at).ok_or_else(|| {
            Problem::new(Reason::Truncated, "the packet ends in its header").rejected(packet, None)
        })?;
        let mut allowed = most_unpacked(bytes);
        let mut record = 0;
        loop {
            let unread =
                |problem: Problem| problem.rejected(packet, (record > 0).then_some(record));
            let Some(block) = container::block(bytes, at, sync).map_err(unread)? else {
                break;
            };
            let limit = allowed.min(self.budget);
            let data = container::unpack(opened.codec, &bytes.slice(block.start..block.end), limit)
                .map_err(unread)?;
            if opened.codec != Codec::Null {
                allowed -= data.len();
                self.budget -= data.len();
            }
            let read = self.read(
                opened.gathering,
                &data,
                0,
                block.records,
                Origin { packet, record },
            );
            read.map_err(|(at, problem)| problem.rejected(packet, Some(at)))?;
            record += block.records as u32;
            at = block.end + SYNC;
        }
        match record {
            0 => Err(
                Problem::new(Reason::NoRecord, "the container holds no record")
                    .rejected(packet, None),
            ),
            _ => Ok(()),
        }
    }

    fn read(
        &mut self,
        gathering: usize,
        bytes: &Bytes,
        start: usize,
        count: usize,
        first: Origin,
    ) -> Result<(), (u32, Problem)> {
        if !self.used.contains(&gathering) {
            self.used.push(gathering);
            self.gatherings[gathering].reserve(self.packed);
        }
        self.gatherings[gathering].read(bytes, start, count, first)
    }

    /// Finds a container's header among those seen, by comparing bytes; reads it only when it is new.
    fn open(&mut self, bytes: &Bytes) -> Result<Opened, Problem> {
        if let Some(at) = self
            .headers
            .iter()
            .position(|known| bytes.starts_with(&known.bytes))
        {
            if at > 0 {
                self.headers.swap(at, at / 2);
            }
            let known = &self.headers[at / 2];
            return Ok(Opened {
                gathering: known.gathering,
                codec: known.codec,
                header: known.bytes.len(),
            });
        }
        let header = container::header(bytes).map_err(|fault| {
            let reason = if fault == Fault::Truncated {
                Reason::Truncated
            } else {
                Reason::BadHeader
            };
            Problem::new(reason, format!("container header: {}", fault.describe()))
        })?;
        let codec = Codec::named(header.codec)?;
        let bad_schema = |detail: String| Problem::new(Reason::BadSchema, detail);
        let json = std::str::from_utf8(header.schema).map_err(|e| {
            Problem::new(
                Reason::BadHeader,
                format!("the header's schema is not UTF-8: {e}"),
            )
        })?;
        let schema = self
            .schemas
            .intern(json)
            .map_err(|error| bad_schema(error.to_string()))?;
        let gathering = self.gathering(&schema);
        let known = Bytes::copy_from_slice(&bytes[..header.length]);
        self.headers.push(KnownHeader {
            bytes: known,
            gathering,
            codec,
        });
        Ok(Opened {
            gathering,
            codec,
            header: header.length,
        })
    }

    fn gathering(&mut self, schema: &Arc<WriterSchema>) -> usize {
        let (gatherings, selection) = (&mut self.gatherings, &self.selection);
        *self
            .by_fingerprint
            .entry(schema.fingerprint())
            .or_insert_with(|| {
                gatherings.push(Gathering::new(schema.clone(), selection));
                gatherings.len() - 1
            })
    }

    fn forget(&mut self) {
        self.gatherings.clear();
        self.by_fingerprint.clear();
        self.headers.clear();
    }
}

/// Bytes that a packet's blocks may unpack to.
pub(crate) fn most_unpacked(packet: &Bytes) -> usize {
    UNPACKED.saturating_add(packet.len().saturating_mul(UNPACKED_PER_BYTE))
}

fn empty() -> Problem {
    Problem::new(Reason::Empty, "the packet has no bytes")
}

fn not_avro(bytes: &[u8]) -> Problem {
    if let Some(told) = told_of_left_out(bytes) {
        return Problem::new(Reason::TooLarge, format!("not read: {told}"));
    }
    let start = bytes[..bytes.len().min(24)].escape_ascii();
    let hint = if bytes.starts_with(b"<") {
        " (an error page in place of the packet?)"
    } else if bytes.starts_with(b"version https://git-lfs") {
        " (a Git LFS pointer: fetch the file itself)"
    } else {
        " (a datum without header or schema id?)"
    };
    Problem::new(
        Reason::NotAvro,
        format!("it starts with `{start}`, neither a container nor wire format{hint}"),
    )
}
