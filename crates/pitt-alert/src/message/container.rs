//! Avro object container files, uncompressed.

use bytes::{BufMut, Bytes, BytesMut};

use super::avro::{put_long, put_text};
use crate::avro::container::{MAGIC, SYNC};

/// Writes data of one schema as one container file, in pieces: what [`ContainerWriter::take`] gives, one after the other, is the file.
#[derive(Debug)]
pub struct ContainerWriter {
    sync: [u8; SYNC],
    written: BytesMut,
    block: BytesMut,
    count: i64,
}

impl ContainerWriter {
    /// Begins a file. The same `sync` and data give the same bytes; it should come from a hash of something in the file.
    pub fn new(schema: &str, sync: u128) -> ContainerWriter {
        let sync = sync.to_be_bytes();
        let mut written = BytesMut::with_capacity(schema.len() + 96);
        written.put_slice(MAGIC);
        put_long(2, &mut written);
        put_text("avro.schema", &mut written);
        put_text(schema, &mut written);
        put_text("avro.codec", &mut written);
        put_text("null", &mut written);
        put_long(0, &mut written);
        written.put_slice(&sync);
        ContainerWriter {
            sync,
            written,
            block: BytesMut::new(),
            count: 0,
        }
    }

    /// Adds a datum of the schema to the block that is open.
    pub fn append(&mut self, datum: &[u8]) {
        self.block.put_slice(datum);
        self.count += 1;
    }

    /// Bytes in the block that is open.
    pub fn block_bytes(&self) -> usize {
        self.block.len()
    }

    /// Closes the block that is open, if there is anything in it, and gives what was written since the last time.
    pub fn take(&mut self) -> Bytes {
        if self.count > 0 {
            put_long(self.count, &mut self.written);
            put_long(self.block.len() as i64, &mut self.written);
            self.written.put_slice(&self.block);
            self.written.put_slice(&self.sync);
            self.block.clear();
            self.count = 0;
        }
        self.written.split().freeze()
    }
}
