//! Avro's binary encoding, written field by field.
//!
//! Source: Apache Avro 1.11 specification, "Binary Encoding" and "Object Container Files".

/// Grows an Avro datum. Nullable fields have the branches `["null", type]`.
#[derive(Debug, Default)]
pub(crate) struct Datum(pub(crate) Vec<u8>);

impl Datum {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// An int or a long: zig-zag, seven bits a byte.
    pub(crate) fn long(&mut self, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)) as u64;
        while rest >= 0x80 {
            self.0.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
    }

    pub(crate) fn float(&mut self, value: f32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn double(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.long(value.len() as i64);
        self.0.extend_from_slice(value);
    }

    pub(crate) fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    /// The null branch, `count` times in a row.
    pub(crate) fn nulls(&mut self, count: usize) {
        self.0.resize(self.0.len() + count, 0);
    }

    /// The other branch; its value follows.
    pub(crate) fn some(&mut self) -> &mut Self {
        self.0.push(2);
        self
    }

    pub(crate) fn some_float(&mut self, value: f32) {
        let [a, b, c, d] = value.to_le_bytes();
        self.0.extend_from_slice(&[2, a, b, c, d]);
    }

    pub(crate) fn some_floats(&mut self, values: &[f32]) {
        values.iter().for_each(|value| self.some_float(*value));
    }

    pub(crate) fn some_double(&mut self, value: f64) {
        self.some().double(value);
    }

    pub(crate) fn some_long(&mut self, value: i64) {
        self.some().long(value);
    }

    pub(crate) fn some_text(&mut self, value: &str) {
        self.some().text(value);
    }

    pub(crate) fn some_bool(&mut self, value: bool) {
        self.0.extend_from_slice(&[2, u8::from(value)]);
    }

    /// `count` nullable booleans that are all false.
    pub(crate) fn some_falses(&mut self, count: usize) {
        (0..count).for_each(|_| self.some_bool(false));
    }

    /// A nullable array whose items are in `items`, encoded one after another; null when there are none.
    pub(crate) fn some_array(&mut self, count: usize, items: &[u8]) {
        if count == 0 {
            return self.nulls(1);
        }
        self.some().long(count as i64);
        self.0.extend_from_slice(items);
        self.0.push(0);
    }
}

/// Start of an Object Container File with codec `null`, up to its sync marker.
pub(crate) fn container_header(schema: &str) -> Vec<u8> {
    let mut header = Datum(b"Obj\x01".to_vec());
    header.long(2);
    header.text("avro.codec");
    header.text("null");
    header.text("avro.schema");
    header.text(schema);
    header.long(0);
    header.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longs_follow_the_specification() {
        // The table of the specification, and both ends.
        let cases: [(i64, &[u8]); 6] = [
            (0, &[0]),
            (-1, &[1]),
            (1, &[2]),
            (-64, &[0x7f]),
            (64, &[0x80, 1]),
            (i64::MIN, &[255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
        ];
        for (value, bytes) in cases {
            let mut datum = Datum::default();
            datum.long(value);
            assert_eq!(datum.0, bytes, "{value}");
        }
    }
}
