"""Packets and stamps outside an archive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import _native
from ._table import Table


def decode(
    packets: Iterable[bytes | str | Path],
    *,
    columns: Sequence[str] | None = None,
    stamps: bool = False,
    schemas: _native.Schemas | None = None,
    errors: str = "raise",
) -> list[Table]:
    """Decodes packets to tables, one for each schema that they were written with.

    Parameters
    ----------
    packets
        Bytes of packets, or paths of files: Avro container files as ZTF sends them, or messages in Confluent wire
        format as Rubin does.
    columns
        The survey's own top-level columns to decode (``candidate``, ``diaSource``); all but the stamps when left out.
        The common columns (``alert_id``, ``mjd_tai``, ``psf_flux``, ..) come always.
    stamps
        Whether to keep the image stamps, as bytes.
    schemas
        Writers' schemas of messages that name theirs by number; Rubin's 11.0 is built in.
    errors
        ``"raise"``, or ``"skip"`` to leave out packets that cannot be read.

    Raises
    ------
    DecodeError
        A packet cannot be read; the message names it by its place.
    """
    if errors not in ("raise", "skip"):
        raise ValueError(f"errors={errors!r}: must be 'raise' or 'skip'")
    read = [p if isinstance(p, bytes) else Path(p).read_bytes() for p in packets]
    tables, rejected = _native.decode(read, schemas or _native.Schemas(), stamps, list(columns) if columns is not None else None)
    if rejected and errors == "raise":
        index, why = rejected[0]
        raise _native.DecodeError(f"packet {index}: {why}")
    return [Table(table) for _, _, table in tables]


def alerts(packet: bytes | str | Path, *, schemas: _native.Schemas | None = None) -> list[dict[str, Any]]:
    """The alerts of one packet (nearly always one) as dicts, with the values that fastavro gives.

    Raises
    ------
    DecodeError
        The packet cannot be read.
    """
    data = packet if isinstance(packet, bytes) else Path(packet).read_bytes()
    return _native.alerts(data, schemas or _native.Schemas())


@dataclass(frozen=True)
class Stamp:
    """One image.

    ``data`` has shape (rows, columns), float32, row 0 at the bottom, NaN where there is no value; its unit is the
    camera's (ZTF: DN; LSST: nJy, ``header["BUNIT"]``). ``header`` has the FITS cards, ``name`` the plane's.
    """

    name: str
    data: np.ndarray
    header: dict[str, str] = field(repr=False)


def stamp(cutout: bytes | dict[str, Any]) -> list[Stamp]:
    """The planes of an image stamp: one for ZTF; image, uncertainty and point spread function for LSST.

    Takes FITS, gzipped or not, and JPEG, as bytes or as ZTF's ``cutoutScience`` dict.

    Raises
    ------
    DecodeError
        It is damaged or something else.
    """
    data = cutout["stampData"] if isinstance(cutout, dict) else cutout
    return [
        Stamp(name, np.frombuffer(pixels, np.float32).reshape(shape), dict(cards))
        for name, shape, pixels, cards in _native.planes(data)
    ]
