"""An archive: alerts, light curves, cones, SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, overload

from . import _native
from ._filters import Trial, test_filter
from ._table import Table


def open(folder: str | Path | None = None) -> Archive:
    """Opens an archive that ``pitt run``, ``pitt demo`` or :func:`download` has filled.

    Without a folder the one of the settings: ``./pitt-data``, or ``PITT_ARCHIVE``.

    >>> archive = open()
    >>> archive.surveys
    ['lsst', 'ztf']

    Raises
    ------
    ArchiveError
        There is none, or it cannot be read.
    """
    return Archive(folder)


class Archive:
    """An archive, for reading; beside a running broker too, up to its last commit, or one a second ago.

    While it is open it may hold the archive's index, and then a ``pitt run`` that begins later cannot write:
    :meth:`close` it, or use it in a ``with``.

    >>> with Archive() as archive:
    ...     len(archive.query("SELECT alert_id FROM alerts LIMIT 3"))
    3
    """

    def __init__(self, folder: str | Path | None = None):
        self._native = _native.Archive(None if folder is None else Path(folder))

    def __repr__(self) -> str:
        return f"<Archive {self.folder}>"

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the archive's files. Iterators of :meth:`alerts` that are not at their end keep theirs."""
        self._native.close()

    def refresh(self) -> None:
        """Takes in at once what a broker has committed meanwhile."""
        self._native.refresh()

    @property
    def folder(self) -> Path:
        """Its folder."""
        return self._native.folder

    @property
    def surveys(self) -> list[str]:
        """Surveys with alerts in it."""
        return sorted(self._native.surveys)

    def raw(self, alert_id: int | str) -> bytes:
        """The packet of an alert, byte for byte as it was received.

        Raises
        ------
        KeyError
            No such alert.
        """
        packet: bytes = self._found(alert_id, self._native.packet(int(alert_id)))
        return packet

    def alert(self, alert_id: int | str) -> dict[str, Any]:
        """One alert (ZTF ``candid``, LSST ``diaSourceId``) as a dict, with the values that fastavro gives.

        >>> archive = Archive()
        >>> first = archive.query("SELECT alert_id FROM alerts WHERE survey = 'ztf' ORDER BY alert_id LIMIT 1")
        >>> alert = archive.alert(first["alert_id"][0].as_py())
        >>> alert["candidate"]["fid"] in (1, 2, 3)
        True

        Raises
        ------
        KeyError
            No such alert.
        """
        alert: dict[str, Any] = self._found(alert_id, self._native.alert(int(alert_id)))
        return alert

    @overload
    def alerts(
        self, *, survey: str | None = None, night: int | None = None, raw: Literal[False] = False
    ) -> Iterator[dict[str, Any]]: ...
    @overload
    def alerts(self, *, survey: str | None = None, night: int | None = None, raw: Literal[True]) -> Iterator[bytes]: ...
    def alerts(self, *, survey: str | None = None, night: int | None = None, raw: bool = False) -> Iterator[Any]:
        """All alerts in the order of their receipt, as dicts, or as the bytes of their packets; in constant memory.

        Parameters
        ----------
        survey
            ``"ztf"`` or ``"lsst"``; both when left out.
        night
            YYYYMMDD; every night when left out.
        raw
            Give the bytes of each packet, once for all alerts in it.
        """
        return self._native.packets(survey, None, night, raw)

    def history(self, alert_id: int | str) -> Table:
        """The light curve that an alert brought with it: see :func:`history` for the columns.

        Raises
        ------
        KeyError
            No such alert.
        """
        return Table(self._found(alert_id, self._native.history(int(alert_id))))

    def light_curve(self, object_id: str) -> Table:
        """Detections of all alerts of an object: ``survey, alert_id, mjd_tai [d], band, psf_flux, psf_flux_err [nJy]``.

        One row an alert, by time; empty when there is no such object.
        """
        return Table(self._native.light_curve(object_id))

    def cone(self, ra: float, dec: float, radius: float) -> Table:
        """Objects within ``radius`` (arcsec) of ``ra``, ``dec`` (deg, ICRS), nearest first.

        Columns: ``object_id, survey, ra, dec [deg], separation [arcsec], n_detections, last_mjd_tai [d]``.
        """
        return Table(self._native.cone(ra, dec, radius))

    def query(self, sql: str, *, max_rows: int | None = None, timeout_s: float | None = None) -> Table:
        """The rows of a ``SELECT``; :attr:`Table.truncated` tells whether there were more than ``max_rows``.

        >>> Archive().query("SELECT count(*) AS n FROM alerts WHERE reliability > 2")["n"].to_pylist()
        [0]

        Raises
        ------
        QueryError
            The statement is wrong, does more than read, or takes too long; the message points at the place.
        """
        table, truncated = self._native.query(sql, max_rows, timeout_s)
        return Table(table, truncated=truncated)

    def test_filter(
        self,
        text: str | Path,
        *,
        nights: Sequence[int] | None = None,
        max_alerts: int | None = None,
        max_rows: int = 100_000,
    ) -> Trial:
        """What a filter takes of the stored alerts: :func:`test_filter` on this archive."""
        return test_filter(text, self, nights=nights, max_alerts=max_alerts, max_rows=max_rows)

    def _found(self, alert_id: int | str, found: Any) -> Any:
        if found is None:
            raise KeyError(f"no alert {alert_id} in {self.folder}")
        return found
