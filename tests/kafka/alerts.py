"""Alerts to send: small LSST packets with ids of our choosing, poisoned ones, and what they must come back as."""

from __future__ import annotations

import glob
import io
import json
import pathlib
import random
import struct
import subprocess
from dataclasses import dataclass, field

import confluent_kafka as ck
import fastavro

# The id under which the simulator's LSST schema travels: 100 times the major version and the minor.
SCHEMA_ID = 1100
# Ids of our alerts begin here, so that all take the same number of bytes in Avro.
FIRST_ID = 190_000_000_000_000_001
# Objects, positions and brightnesses differ between so many templates; one of two passes the filter of `FILTER`.
TEMPLATES = 64
FILTER = "-- title: Likely real\nSELECT * FROM alerts WHERE reliability > 0.5\n"


@dataclass
class Sent:
    """What was handed to a stream and acknowledged by it."""

    good: list[int] = field(default_factory=list)
    poisoned: int = 0
    matching: set[int] = field(default_factory=set)

    @property
    def messages(self) -> int:
        """Messages in all."""
        return len(self.good) + self.poisoned


class SmallAlerts:
    """LSST packets of about 0.6 kB in Confluent wire format: one simulated alert without its history and stamps.

    `folder` gets a simulated night and, as `schemas/`, its schema.
    """

    def __init__(self, pitt: pathlib.Path, folder: pathlib.Path, schema_id: int = SCHEMA_ID):
        night = folder / "simulated"
        command = [pitt, "simulate", "--into", night, "--survey", "lsst", "--visits", "1", "--alerts-per-visit", "20",
                   "--bad-per-million", "0"]
        subprocess.run([str(word) for word in command], check=True, capture_output=True)
        self.schema_file = pathlib.Path(glob.glob(f"{night}/**/*.avsc", recursive=True)[0])
        self.schema = fastavro.parse_schema(json.loads(self.schema_file.read_text()))
        self.schemas = folder / "schemas"
        self.schemas.mkdir(exist_ok=True)
        (self.schemas / f"{schema_id}.avsc").write_text(self.schema_file.read_text())
        packet = pathlib.Path(sorted(glob.glob(f"{night}/**/*.avro", recursive=True))[0]).read_bytes()
        record = fastavro.schemaless_reader(io.BytesIO(packet[5:]), self.schema)
        self._templates = [self._template(record, number, schema_id) for number in range(TEMPLATES)]

    def _template(self, record: dict, number: int, schema_id: int) -> bytes:
        empty = dict.fromkeys(("prvDiaSources", "prvDiaForcedSources", "diaObject", "ssSource", "mpc_orbits",
                               "cutoutDifference", "cutoutScience", "cutoutTemplate"))
        source = record["diaSource"] | {
            "diaSourceId": FIRST_ID,
            "diaObjectId": 7_000_000_000_000 + number,
            "ra": 150.0 + 0.1 * number,
            "dec": -20.0 - 0.1 * number,
            "reliability": 0.9 if number % 2 else 0.1,
        }
        out = io.BytesIO()
        fastavro.schemaless_writer(
            out, self.schema, record | empty | {"diaSourceId": FIRST_ID, "diaSource": source}, strict=True)
        datum = out.getvalue()
        assert datum.count(avro_long(FIRST_ID)) == 2, "an alert's id stands twice in it"
        return struct.pack(">bI", 0, schema_id) + datum

    def packet(self, alert_id: int) -> bytes:
        """The packet of the alert with that id: always the same bytes."""
        template = self._templates[alert_id % TEMPLATES]
        return template.replace(avro_long(FIRST_ID), avro_long(alert_id))

    @staticmethod
    def matches(alert_id: int) -> bool:
        """Whether `FILTER` takes the alert with that id."""
        return alert_id % TEMPLATES % 2 == 1


def avro_long(value: int) -> bytes:
    """A non-negative number as Avro writes it: zigzag, seven bits a byte."""
    value <<= 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def poisoned(packet: bytes, draw: random.Random) -> bytes:
    """A packet that nobody can read: cut short, of a schema nobody knows, noise, or nothing at all."""
    kind = draw.randrange(4)
    if kind == 0:
        return packet[: draw.randrange(6, len(packet) - 1)]
    if kind == 1:
        return struct.pack(">bI", 0, 987_654) + packet[5:]
    return draw.randbytes(draw.randrange(1, 200)) if kind == 2 else b""


class Sender:
    """Sends alerts to one topic and remembers what was acknowledged."""

    def __init__(self, servers: str, topic: str, alerts: SmallAlerts, first: int = FIRST_ID, poison: float = 0.0,
                 seed: int = 1):
        # Idempotent: what the stream acknowledges stands in it exactly once, also when the stream is killed meanwhile.
        self._producer = ck.Producer({
            "bootstrap.servers": servers, "enable.idempotence": True, "linger.ms": 5, "log_level": 0,
            "message.timeout.ms": 300_000,
            # As Rubin sends.
            "compression.type": "snappy",
        })
        self._topic, self._alerts, self.next_id, self._poison = topic, alerts, first, poison
        self._draw = random.Random(seed)
        self._failed: list[str] = []
        self.sent = Sent()

    def send(self, count: int) -> None:
        """Sends the next `count` alerts, one poisoned in `1 / poison`."""
        for _ in range(count):
            alert_id = self.next_id
            self.next_id += 1
            packet = self._alerts.packet(alert_id)
            if self._draw.random() < self._poison:
                self._produce(poisoned(packet, self._draw), None)
                self.sent.poisoned += 1
                continue
            self._produce(packet, alert_id)
            self.sent.good.append(alert_id)
            if self._alerts.matches(alert_id):
                self.sent.matching.add(alert_id)

    def send_again(self, count: int) -> None:
        """Sends the last `count` good alerts once more, as surveys do."""
        for alert_id in self.sent.good[-count:]:
            self._produce(self._alerts.packet(alert_id), alert_id)
        self.sent.good += self.sent.good[-count:]

    def flush(self) -> None:
        """Returns when all is acknowledged."""
        left = self._producer.flush(300)
        assert left == 0 and not self._failed, f"{left} not acknowledged; {self._failed[:3]}"

    def _produce(self, value: bytes, key: int | None) -> None:
        while True:
            try:
                self._producer.produce(self._topic, value, key=str(key) if key else None, on_delivery=self._delivered)
                break
            except BufferError:
                self._producer.poll(0.1)
        self._producer.poll(0)

    def _delivered(self, error, _message) -> None:
        if error is not None:
            self._failed.append(str(error))
