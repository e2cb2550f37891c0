"""Whether a JSON message says what fastavro reads in the packet."""

from __future__ import annotations

import base64
import io
import json
import math
import struct

import fastavro


def container(packet: bytes) -> dict:
    """The first record of an Avro container file, by fastavro."""
    return next(fastavro.reader(io.BytesIO(packet)))


def wire(packet: bytes, schema) -> dict:
    """The record in a message of Confluent's wire format, by fastavro."""
    magic, _schema_id = struct.unpack(">bI", packet[:5])
    assert magic == 0
    return fastavro.schemaless_reader(io.BytesIO(packet[5:]), schema)


def differences(message: dict, record: dict) -> list[str]:
    """Where a JSON message differs from the record; stamps may be left out of the message."""
    found: list[str] = []
    for name, value in record.items():
        stamp_left_out = name.startswith("cutout") and message.get(name) is None
        if not stamp_left_out:
            _compare(message.get(name, "(absent)"), value, name, found)
    return found


def _compare(shown, value, where: str, found: list[str]) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            _compare(shown.get(name, "(absent)"), inner, f"{where}.{name}", found)
    elif isinstance(value, list):
        if len(shown) != len(value):
            found.append(f"{where}: {len(shown)} items, not {len(value)}")
        for number, (one, other) in enumerate(zip(shown, value, strict=False)):
            _compare(one, other, f"{where}[{number}]", found)
    elif not _same(shown, value):
        found.append(f"{where}: {json.dumps(shown)[:80]}, not {value!r:.80}")


def _same(shown, value) -> bool:
    if value is None or isinstance(value, bool | str):
        return shown == value
    if isinstance(value, bytes):
        return base64.b64decode(shown) == value
    if isinstance(value, int):
        return int(shown) == value and (isinstance(shown, str) or abs(value) <= 2**53)
    if not math.isfinite(value):
        return shown is None
    # An Avro float has the fewest digits of its own width: as a double it may differ, as a float never.
    return shown == value or struct.pack("f", shown) == struct.pack("f", value)
