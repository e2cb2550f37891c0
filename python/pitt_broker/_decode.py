"""Packets and stamps outside an archive."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _native
from ._table import Table


@functools.cache
def built_in() -> _native.Schemas:
    """The schemas that are known without any, parsed once."""
    return _native.Schemas()


def decode(
    packets: str | Path | bytes | Iterable[bytes | str | Path],
    *,
    columns: Sequence[str] | None = None,
    stamps: bool = False,
    schemas: _native.Schemas | None = None,
    errors: str = "raise",
) -> list[Table]:
    """Decodes packets to tables, one for each schema that they were written with, one row an alert.

    Python runs on meanwhile: other threads work while this one decodes and reads files.

    >>> import pitt_broker as pb
    >>> packets = pb.simulate(survey="ztf", visits=1, alerts_per_visit=20).packets()
    >>> [table] = pb.decode(packets)
    >>> len(table), table.units["mjd_tai"], "candidate" in table.columns
    (20, 'd', True)

    Parameters
    ----------
    packets
        Bytes of packets, or paths of files, tarballs or folders of packets; one of these, or several. Packets are Avro
        container files as ZTF sends them, or messages in Confluent wire format as Rubin does.
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
    given = [packets] if isinstance(packets, (bytes, str, Path)) else packets
    chosen = None if columns is None else list(columns)
    handed = [Path(one) if isinstance(one, str) else one for one in given]
    tables, rejected = _native.decode(handed, schemas or built_in(), stamps, chosen)
    if rejected and errors == "raise":
        name, why = rejected[0]
        raise _native.DecodeError(f"{name}: {why}")
    return [Table(table) for _, _, table in tables]


def alerts(packet: bytes | str | Path, *, schemas: _native.Schemas | None = None) -> list[dict[str, Any]]:
    """The alerts of one packet (nearly always one) as dicts, with the values that fastavro gives.

    >>> import pitt_broker as pb
    >>> packet = pb.simulate(survey="ztf", visits=1, alerts_per_visit=1).packets()[0]
    >>> [alert] = pb.alerts(packet)
    >>> alert["objectId"][:3]
    'ZTF'

    Raises
    ------
    DecodeError
        The packet cannot be read.
    """
    data = packet if isinstance(packet, bytes) else Path(packet).read_bytes()
    return _native.alerts(data, schemas or built_in())


def history(alert: bytes | dict[str, Any], *, record: int = 0, schemas: _native.Schemas | None = None) -> Table:
    """The light curve that an alert brings with it, by time.

    Columns: ``kind`` (``detection``, ``forced``, ``limit``), ``alert_id``, ``mjd_tai`` [d], ``band``, ``psf_flux``,
    ``psf_flux_err`` and ``psf_flux_limit`` [nJy] (5 sigma, where nothing was detected); null where a kind has no such value.

    Parameters
    ----------
    alert
        A packet's bytes, or an alert as a dict. Of a dict of ZTF's forced photometry is left out: the packet tells the
        zero points better.
    record
        Which alert of the packet.

    Raises
    ------
    DecodeError
        The packet cannot be read.
    """
    if isinstance(alert, dict):
        return Table(_native.of_dict(alert))
    return Table(_native.of_packet(alert, record, schemas or built_in()))


@dataclass(frozen=True)
class Stamp:
    """One image.

    ``data`` has shape (rows, columns), float32, row 0 at the bottom, NaN where there is no value; its unit is the
    camera's (ZTF: DN; LSST: nJy, ``header["BUNIT"]``). ``header`` has the FITS cards, ``name`` the plane's.
    """

    name: str
    data: npt.NDArray[np.float32]
    header: dict[str, str] = field(repr=False)


def stamp(cutout: bytes | dict[str, Any]) -> list[Stamp]:
    """The planes of an image stamp: one for ZTF; image, uncertainty and point spread function for LSST.

    Takes FITS, gzipped or not, and JPEG, as bytes or as ZTF's ``cutoutScience`` dict.

    >>> import pitt_broker as pb
    >>> [alert] = pb.alerts(pb.simulate(survey="ztf", visits=1, alerts_per_visit=1).packets()[0])
    >>> pb.stamp(alert["cutoutScience"])[0].data.shape
    (63, 63)

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
