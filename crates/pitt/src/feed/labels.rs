//! What a message says of its packet.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, RecordBatch};
use bytes::Bytes;
use pitt_alert::{Decoder, Packet, SchemaStore, Selection};

/// What is read of a packet before it is sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Label {
    /// The object's id.
    pub(super) key: Option<Bytes>,
    /// Middle of the exposure `[d, TAI]`.
    pub(super) mjd_tai: Option<f64>,
}

/// Reads labels: the common columns alone are decoded, everything else is stepped over.
pub(super) struct Labels(Decoder);

impl Labels {
    pub(super) fn new(schemas: SchemaStore) -> Self {
        let mut decoder = Decoder::new(schemas);
        decoder.select(Selection::common_only());
        Self(decoder)
    }

    /// A label for each packet, empty where it cannot be read. Of a packet of several alerts the first one counts.
    pub(super) fn of(&mut self, packets: &[Packet]) -> Vec<Label> {
        let mut labels = vec![Label::default(); packets.len()];
        for batch in self.0.decode(packets).batches {
            for (row, origin) in batch.origins.iter().enumerate() {
                if origin.record == 0 {
                    labels[origin.packet] = label(&batch.records, row);
                }
            }
        }
        labels
    }
}

fn label(records: &RecordBatch, row: usize) -> Label {
    let objects = records.column_by_name("object_id");
    let objects = objects.and_then(|c| c.as_string_opt::<i32>());
    let times = records.column_by_name("mjd_tai");
    let times = times.and_then(|c| c.as_primitive_opt::<Float64Type>());
    Label {
        key: objects
            .filter(|c| c.is_valid(row))
            .map(|c| Bytes::copy_from_slice(c.value(row).as_bytes())),
        mjd_tai: times.filter(|c| c.is_valid(row)).map(|c| c.value(row)),
    }
}
