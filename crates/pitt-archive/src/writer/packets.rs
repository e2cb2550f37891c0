//! Rows of the journal: packets without what the archive has already.

use pitt_alert::frame::{self, Frame, FrameKind};
use pitt_alert::{Decoded, Packet};

use crate::archive::Inner;
use crate::error::ArchiveError;
use crate::journal::{Entry, JournalBuilder, Outcome, Source};
use crate::stream::Stream;

/// Bytes of packets gathered before they go to the Parquet writer.
const GATHER_BYTES: usize = 16 << 20;

/// Writes rows of the journal, and notes the headers and schemas that they refer to.
pub(super) fn write_packets(
    inner: &Inner,
    journal: &mut Stream,
    entries: &[Entry],
    packets: &[Packet],
    decoded: &Decoded,
) -> Result<(), ArchiveError> {
    let schema = journal.schema().clone();
    let mut builder = JournalBuilder::new(decoded);
    for rows in entries.chunk_by(|a, b| a.packet == b.packet) {
        let packet = &packets[rows[0].packet];
        let crc32 = crc32fast::hash(&packet.bytes);
        let carried = rows
            .iter()
            .any(|e| e.outcome != Outcome::Duplicate { byte_equal: true });
        let framed = carried.then(|| take_apart(rows, packet));
        if let Some((id, header)) = framed
            .as_ref()
            .and_then(|f| Some((f.header_id?, &f.header)))
        {
            inner.book().note_header(&id.hex(), header);
        }
        for (i, entry) in rows.iter().enumerate() {
            let framed = framed.as_ref().filter(|_| i == 0);
            builder.push(entry, packet, (crc32, framed));
        }
        if builder.bytes() >= GATHER_BYTES {
            journal.write(&builder.finish(&schema)?)?;
        }
    }
    journal.write(&builder.finish(&schema)?)?;
    note_schemas(inner, entries, packets, decoded);
    Ok(())
}

fn note_schemas(inner: &Inner, entries: &[Entry], packets: &[Packet], decoded: &Decoded) {
    for entry in entries {
        if let Source::Alert { batch, row } = entry.source
            && row == 0
        {
            let wire_id = frame::wire_schema_id(&packets[entry.packet].bytes).map(i64::from);
            inner
                .book()
                .note_schema(&decoded.batches[batch].schema, wire_id);
        }
    }
}

/// A packet without what the archive has already. One that could not be read stays whole: its header may be damaged,
/// and would be stored for this packet alone.
fn take_apart(rows: &[Entry], packet: &Packet) -> Frame {
    if rows.iter().any(|e| e.outcome != Outcome::Quarantined) {
        return frame::split(&packet.bytes);
    }
    Frame {
        kind: FrameKind::Plain,
        header_id: None,
        header: bytes::Bytes::new(),
        sync: None,
        body: packet.bytes.clone(),
    }
}
