"""Picks the benchmark's packets out of DATA, times fastavro on them, and writes both to standard output.

For each set: name, schema JSON (empty for containers), nanoseconds a record of fastavro on whole packets, and with the
header's schema parsed before, history points a record, number of packets, packets. Texts and packets stand behind their
length (u32), times are f64. CPU time of this process, the best of several rounds.
"""

import glob
import io
import json
import struct
import sys
import time

import fastavro
from fastavro.schema import load_schema

data = sys.argv[1]
out = sys.stdout.buffer


def text(raw):
    out.write(struct.pack("<I", len(raw)) + raw)


def best(work, packets, rounds):
    """Nanoseconds a packet."""
    times = []
    for _ in range(rounds):
        start = time.process_time_ns()
        for packet in packets:
            work(packet)
        times.append(time.process_time_ns() - start)
    return min(times) / len(packets)


def datums(raw):
    reader = fastavro.reader(io.BytesIO(raw))
    (block,) = [bytes(b.bytes_.getvalue()) for b in fastavro.block_reader(io.BytesIO(raw))]
    return reader.writer_schema, block


def write(name, schema, whole, bare, points, packets):
    text(name.encode())
    text(schema)
    out.write(struct.pack("<dddI", whole, bare, points, len(packets)))
    for packet in packets:
        text(packet)


def ztf(version, least):
    packets, points = [], 0
    for path in sorted(glob.glob(f"{data}/ztf/ocf/{version}/*.avro")):
        raw = open(path, "rb").read()
        (record,) = fastavro.reader(io.BytesIO(raw))
        history = len(record["prv_candidates"] or []) + len(record.get("fp_hists") or [])
        if history >= least:
            packets.append(raw)
            points += history
    whole = best(lambda raw: list(fastavro.reader(io.BytesIO(raw))), packets, 7)
    bare = [datums(raw) for raw in packets]
    skipped = best(lambda pair: fastavro.schemaless_reader(io.BytesIO(pair[1]), pair[0]), bare, 7)
    write(f"ZTF {version}", b"", whole, skipped, points / len(packets), packets)


def lsst(least):
    """On-sky alerts of 2026 with long histories, written again as the survey's own datums, histories cut at `least`."""
    folder = f"{data}/lsst/schemas/10/0/lsst.v10_0.alert.avsc"
    schema = load_schema(folder)
    packets = []
    with open(glob.glob(f"{data}/lsst/ocf/fink_2026*.avro")[0], "rb") as file:
        for record in fastavro.reader(file):
            past, forced = record["prvDiaSources"] or [], record["prvDiaForcedSources"] or []
            if min(len(past), len(forced)) < least:
                continue
            record["prvDiaSources"], record["prvDiaForcedSources"] = past[:least], forced[:least]
            for part in ("ssSource", "mpc_orbits", "diaObject"):
                if record[part] and all(v is None for v in record[part].values()):
                    record[part] = None
            datum = io.BytesIO()
            fastavro.schemaless_writer(datum, schema, record)
            packets.append(datum.getvalue())
    time_each = best(lambda raw: fastavro.schemaless_reader(io.BytesIO(raw), schema), packets * 8, 5)
    write(f"LSST 10.0, {least}+{least} points", json.dumps(schema).encode(), time_each, time_each, 2 * least, packets)


ztf("3.3", 10)
ztf("4.02", 10)
lsst(100)
