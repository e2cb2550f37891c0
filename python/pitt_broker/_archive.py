"""An archive: alerts, light curves, cones, SQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import _native
from ._table import Table


def open(folder: str | Path | None = None) -> Archive:
    """Opens an archive that ``pitt run``, ``pitt demo`` or :func:`download` has filled.

    Without a folder the one of the settings: ``./pitt-data``, or ``PITT_ARCHIVE``.

    Raises
    ------
    ArchiveError
        There is none, or it cannot be read.
    """
    return Archive(folder)


class Archive:
    """An archive, for reading; beside a running broker too, up to its last commit at the time of the call."""

    def __init__(self, folder: str | Path | None = None):
        self._native = _native.Archive(None if folder is None else Path(folder))

    def __repr__(self) -> str:
        return f"<Archive {self.folder}: {', '.join(self.surveys) or 'empty'}>"

    @property
    def folder(self) -> Path:
        """Its folder."""
        return self._native.folder

    @property
    def surveys(self) -> list[str]:
        """Surveys with alerts in it."""
        return self._native.surveys

    def raw(self, alert_id: int | str) -> bytes:
        """The packet of an alert, byte for byte as it was received.

        Raises
        ------
        KeyError
            No such alert.
        """
        return self._found(alert_id)[1]

    def alert(self, alert_id: int | str) -> dict[str, Any]:
        """One alert (ZTF ``candid``, LSST ``diaSourceId``) as a dict, with the values that fastavro gives.

        Raises
        ------
        KeyError
            No such alert.
        """
        _, packet, record = self._found(alert_id)
        return _native.alerts(packet, self._native.schemas())[record]

    def alerts(self, *, survey: str | None = None, night: int | None = None, raw: bool = False) -> Iterator[Any]:
        """All alerts in the order of their receipt, as dicts, or as the bytes of their packets; in constant memory.

        Parameters
        ----------
        survey
            ``"ztf"`` or ``"lsst"``; both when left out.
        night
            YYYYMMDD; every night when left out.
        """
        return self._native.packets(survey, None, night, raw)

    def light_curve(self, object_id: str) -> Table:
        """Detections of all alerts of an object: ``survey, alert_id, mjd_tai [d], band, psf_flux, psf_flux_err [nJy]``.

        Empty when there is no such object.
        """
        return Table(self._native.light_curve(object_id))

    def cone(self, ra: float, dec: float, radius: float) -> Table:
        """Objects within ``radius`` (arcsec) of ``ra``, ``dec`` (deg, ICRS), nearest first.

        Columns: ``object_id, survey, ra, dec [deg], separation [arcsec], n_detections, last_mjd_tai [d]``.
        """
        return Table(self._native.cone(ra, dec, radius))

    def query(self, sql: str, *, max_rows: int | None = None, timeout_s: float | None = None) -> Table:
        """The rows of a ``SELECT``; :attr:`Table.truncated` tells whether there were more than ``max_rows``.

        Raises
        ------
        QueryError
            The statement is wrong, does more than read, or takes too long; the message points at the place.
        """
        table, truncated = self._native.query(sql, max_rows, timeout_s)
        return Table(table, truncated=truncated)

    def _found(self, alert_id: int | str) -> tuple[str, bytes, int]:
        found = self._native.packet(int(alert_id))
        if found is None:
            raise KeyError(f"no alert {alert_id} in {self.folder}")
        return found
