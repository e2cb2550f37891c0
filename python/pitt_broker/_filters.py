"""Filters, tried on alerts that are here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from . import _native
from ._table import Table

if TYPE_CHECKING:
    from ._archive import Archive


class Trial:
    """What a filter took of the alerts it was tried on.

    Attributes
    ----------
    name, version
        The filter's name, and eight hexadecimal digits that change with its text.
    alerts, matches
        How many alerts were looked at, and how many of them it takes.
    cost_us
        Processor time that the filter took for each alert, us.
    rejected
        Packets that cannot be read; ``damaged`` says what of the files could not be.
    complete
        Whether everything was looked at; ``False`` when ``max_alerts`` ended the trial.
    """

    def __init__(self, native: _native.Trial):
        self._native = native
        self.name = native.name
        self.version = native.version
        self.alerts = native.alerts
        self.matches = native.matches
        self.cost_us = native.cost_us
        self.rejected = native.rejected
        self.damaged = native.damaged
        self.complete = native.complete

    def __repr__(self) -> str:
        share = f"{self.matches:,} of {self.alerts:,} ({100 * self.rate:.2f} %)"
        return f"<Trial of {self.name}: {share}, {self.cost_us:.2f} us an alert>"

    @property
    def rate(self) -> float:
        """Matches an alert, 0 to 1."""
        return self.matches / max(self.alerts, 1)

    @property
    def nights(self) -> Table:
        """``night`` (YYYYMMDD), ``alerts``, ``matches``: one row a night, the oldest first."""
        return Table(self._native.nights)

    @property
    def tables(self) -> list[Table]:
        """The matches by the columns they have: several where surveys or versions of a schema give others."""
        return [Table(table) for table in self._native.tables]

    @property
    def table(self) -> Table:
        """The matches, one row each, with the columns of the filter's ``SELECT`` (or the common ones, for a bare
        predicate); a column that some of them lack is null there. At most ``max_rows`` of them.

        Raises
        ------
        TypeError
            Surveys give a column in different types; :attr:`tables` has them apart.
        """
        parts = [part.to_arrow() for part in self.tables]
        if not parts:
            return Table(pa.table({}))
        try:
            joined = pa.concat_tables(parts, promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise TypeError(f"the matches do not fit in one table ({error}): take `tables`, or name columns in the SELECT") from None
        return Table(joined, truncated=len(joined) < self.matches)


def check_filter(text: str | Path, *, archive: str | Path | None = None) -> None:
    """Refuses a filter that is wrong, without any data: syntax, columns, functions, types.

    >>> check_filter("reliability > 0.65 AND rise_rate('g') > 0.3")
    >>> try:
    ...     check_filter("reliability > 0.65 AND rise_rat('g') > 0.3")
    ... except _native.FilterError as error:
    ...     error.line, error.column, error.suggestion
    (1, 24, 'rise_rate')

    Parameters
    ----------
    text
        The filter, or the path of its file (a :class:`~pathlib.Path`, or a name that ends in ``.sql``).
    archive
        Folder of the archive with the catalogs that ``match('name', arcsec)`` knows.

    Raises
    ------
    FilterError
        The filter is refused; with ``line``, ``column``, ``problem`` and ``suggestion``.
    """
    sql, name = _read(text)
    _native.check_filter(sql, name, None if archive is None else Path(archive))


def test_filter(
    text: str | Path,
    source: Archive | str | Path | bytes | Iterable[bytes],
    *,
    nights: Sequence[int] | None = None,
    max_alerts: int | None = None,
    max_rows: int = 100_000,
    schemas: _native.Schemas | None = None,
    archive: str | Path | None = None,
) -> Trial:
    """Tries a filter on alerts that are here, with the verdicts that the stream would give.

    >>> import pitt_broker as pb
    >>> trial = pb.test_filter("SELECT object_id, mag(psf_flux) AS m FROM alerts WHERE psf_flux > 0", pb.open())
    >>> trial.matches == len(trial.table) > 0
    True
    >>> trial.table.columns, trial.nights.columns
    (['object_id', 'm'], ['night', 'alerts', 'matches'])

    Parameters
    ----------
    text
        The filter, or the path of its file (a :class:`~pathlib.Path`, or a name that ends in ``.sql``).
    source
        An :class:`Archive`; a folder, tarball or packet file; or packets in memory.
    nights
        Nights of an archive to look at, YYYYMMDD; all when left out.
    max_alerts
        Stop after about so many alerts (batches of 1,000 are looked at whole).
    max_rows
        Keep at most so many matches as rows; all are counted.
    schemas
        Writers' schemas of packets that name theirs by number; an archive has its own.
    archive
        Folder of the archive with the catalogs, where the source is not the archive itself.

    Raises
    ------
    FilterError
        The filter is refused (``line``, ``column``, ``suggestion``), or fails on an alert (``alert_id``; what it took
        before is in ``trial``).
    ArchiveError
        The alerts cannot be read.
    """
    sql, name = _read(text)
    try:
        tried = _native.try_filter(
            sql,
            name,
            _source(source),
            nights=None if nights is None else set(nights),
            max_alerts=max_alerts,
            max_rows=max_rows,
            schemas=schemas,
            folder=None if archive is None else Path(archive),
        )
    except _native.FilterError as error:
        if isinstance(before := getattr(error, "trial", None), _native.Trial):
            error.trial = Trial(before)
        raise
    return Trial(tried)


# pytest would take it for a test where somebody imports it by name.
test_filter.__test__ = False  # type: ignore[attr-defined]


def _source(source: Archive | str | Path | bytes | Iterable[bytes]) -> _native.Archive | Path | list[bytes]:
    if isinstance(source, bytes):
        return [source]
    if isinstance(source, (str, Path)):
        return Path(source)
    native = getattr(source, "_native", None)
    if isinstance(native, _native.Archive):
        return native
    return list(source)  # type: ignore[arg-type]


def _read(text: str | Path) -> tuple[str, str]:
    """Text and name of a filter."""
    if isinstance(text, Path) or text.endswith(".sql"):
        path = Path(text)
        return path.read_text(encoding="utf-8"), path.stem
    return text, "filter"
