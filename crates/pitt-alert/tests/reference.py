"""Decodes packets with fastavro and writes them, with every value, to standard output.

    reference.py packets DATA          every packet under DATA/ztf, DATA/lsst and DATA/other but those in `bad/`

A packet is written as

    P, how (C container, W wire format, D bare datum), schema JSON (of W and D), name, bytes, number of records,
    and each record as a value.

Texts and bytes stand behind their length (u32). All numbers are little-endian. A value is one letter and what follows:
n null, t true, f false, i i64, d f64 (exact for both float types), s text, b bytes, [ count items, { count (name value).
"""

import datetime
import glob
import io
import json
import os
import struct
import sys
import tarfile

import fastavro
from fastavro.schema import load_schema

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)
out = sys.stdout.buffer
pack_long, pack_double, pack_length = struct.Struct("<cq").pack, struct.Struct("<cd").pack, struct.Struct("<cI").pack


def value(v, put):
    """Appends the form of one value."""
    kind = type(v)
    if v is None:
        put(b"n")
    elif kind is float:
        put(pack_double(b"d", v))
    elif kind is int:
        put(pack_long(b"i", v))
    elif kind is bool:
        put(b"t" if v else b"f")
    elif kind is str:
        raw = v.encode()
        put(pack_length(b"s", len(raw)))
        put(raw)
    elif kind is bytes:
        put(pack_length(b"b", len(v)))
        put(v)
    elif kind is list:
        put(pack_length(b"[", len(v)))
        for item in v:
            value(item, put)
    elif kind is dict:
        put(pack_length(b"{", len(v)))
        for name, member in v.items():
            text(name, put)
            value(member, put)
    elif kind is datetime.datetime:
        put(pack_long(b"i", (v - EPOCH) // MICROSECOND))
    else:
        raise TypeError(f"no form for {kind}")


def text(t, put):
    raw = t if isinstance(t, bytes) else t.encode()
    put(struct.pack("<I", len(raw)))
    put(raw)


def write(how, schema, name, packet, records):
    parts = [b"P", how]
    if how != b"C":
        text(schema, parts.append)
    text(name, parts.append)
    text(packet, parts.append)
    parts.append(struct.pack("<I", len(records)))
    for record in records:
        value(record, parts.append)
    out.write(b"".join(parts))


def without_defaults(schema):
    """The schema without its defaults: reading needs none, and some packets have invalid ones."""
    if isinstance(schema, dict):
        return {k: without_defaults(v) for k, v in schema.items() if k != "default"}
    if isinstance(schema, list):
        return [without_defaults(s) for s in schema]
    return schema


def long(raw, at):
    shift = number = 0
    while True:
        byte = raw[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return (number >> 1) ^ -(number & 1), at


def tolerant(raw):
    """Records of a container whose schema fastavro refuses for its defaults."""
    at, meta = 4, {}
    while True:
        count, at = long(raw, at)
        if count == 0:
            break
        for _ in range(count):
            n, at = long(raw, at)
            key, at = raw[at : at + n], at + n
            n, at = long(raw, at)
            meta[key], at = raw[at : at + n], at + n
    assert meta.get(b"avro.codec", b"null") == b"null"
    schema = fastavro.parse_schema(without_defaults(json.loads(meta[b"avro.schema"])))
    at, records = at + 16, []
    while at < len(raw):
        count, at = long(raw, at)
        size, at = long(raw, at)
        block = io.BytesIO(raw[at : at + size])
        records += [fastavro.schemaless_reader(block, schema) for _ in range(count)]
        at += size + 16
    return records


def container(raw):
    try:
        return list(fastavro.reader(io.BytesIO(raw)))
    except fastavro.schema.SchemaParseException:
        return tolerant(raw)


def files(data):
    """(name, bytes) of every file and tar member."""
    for top in ("ztf", "lsst", "other"):
        for folder, folders, names in sorted(os.walk(os.path.join(data, top))):
            if os.path.basename(folder) == "bad":
                continue
            for name in sorted(names):
                path = os.path.join(folder, name)
                if name.endswith(".avro"):
                    yield path, open(path, "rb").read()
                elif ".tar." in name or name.endswith("tar.tst.gz"):
                    with tarfile.open(path) as tar:
                        for member in tar:
                            if member.isfile():
                                yield f"{path}!{member.name}", tar.extractfile(member).read()


def lsst_schemas(data):
    """Parsed and plain schema of each version, by id."""
    found = {}
    for path in glob.glob(os.path.join(data, "lsst", "schemas", "*", "*", "lsst.v*_*.alert.avsc")):
        major, minor = os.path.basename(path).split(".")[1][1:].split("_")
        found[100 * int(major) + int(minor)] = load_schema(path)
    return found


def datum(raw, schema):
    """The record, if the schema fits to the last byte."""
    source = io.BytesIO(raw)
    try:
        record = fastavro.schemaless_reader(source, schema)
    except Exception:
        return None
    return record if source.tell() == len(raw) else None


def packets(data):
    schemas = lsst_schemas(data)
    beside = {}
    skipped = 0
    for path, raw in files(data):
        name = os.path.relpath(path, data)
        if raw[:4] == b"Obj\x01":
            write(b"C", b"", name, raw, container(raw))
        elif name.endswith(".json") and "archive_schemaless" in name:
            beside[name.split("!")[0]] = raw
        elif not name.endswith(".avro"):
            continue
        elif raw[:1] == b"\0" and int.from_bytes(raw[1:5], "big") in schemas:
            record = datum(raw[5:], schemas[int.from_bytes(raw[1:5], "big")])
            assert record is not None, name
            write(b"W", b"", name, raw, [record])
        elif raw[:1] == b"\0":
            fits = [s for s in sorted(schemas) if datum(raw[5:], schemas[s]) is not None]
            print(f"{name}: id {int.from_bytes(raw[1:5], 'big')}, schemas that fit: {fits}", file=sys.stderr)
            skipped += 1
        else:
            schema = beside[name.split("!")[0]]
            record = datum(raw, fastavro.parse_schema(json.loads(schema)))
            assert record is not None, name
            write(b"D", schema, name, raw, [record])
    print(f"{skipped} messages of unknown id", file=sys.stderr)
    out.write(b"E")


if __name__ == "__main__":
    {"packets": packets}[sys.argv[1]](*sys.argv[2:])
    out.flush()
