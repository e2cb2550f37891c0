"""Tables: Arrow, and on request what people like better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import astropy.table
    import pandas
    import polars


class Table:
    """Rows of an answer.

    Anything that reads Arrow takes it as it is, without a copy: ``pyarrow.table(t)``, ``polars.DataFrame(t)``.

    >>> import pyarrow as pa
    >>> t = Table(pa.table({"mjd_tai": [60000.0, 60001.5]}))
    >>> len(t), t.columns
    (2, ['mjd_tai'])
    >>> t["mjd_tai"].to_pylist()
    [60000.0, 60001.5]
    """

    def __init__(self, source: Any, *, truncated: bool = False):
        self._arrow = pa.table(source)
        #: Whether there were more rows than asked for.
        self.truncated = truncated

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._arrow.__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return int(self._arrow.num_rows)

    def __getitem__(self, column: str) -> pa.ChunkedArray:
        return self._arrow[column]

    def __repr__(self) -> str:
        return f"<Table of {len(self)} rows: {', '.join(self.columns)}>"

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self._arrow.column_names)

    @property
    def units(self) -> dict[str, str]:
        """Units, by column; columns without one are left out."""
        return {f.name: unit for f in self._arrow.schema if (unit := _unit(f))}

    def to_arrow(self) -> pa.Table:
        """As a pyarrow table; no copy."""
        return self._arrow

    def to_pandas(self) -> pandas.DataFrame:
        """As a pandas data frame."""
        return self._arrow.to_pandas()

    def to_polars(self) -> polars.DataFrame:
        """As a polars data frame; no copy for most columns."""
        import polars

        return polars.DataFrame(self._arrow)

    def to_table(self, *, times: bool = True) -> astropy.table.Table:
        """As an astropy table: units on the columns, masked where there is no value, lists and structures as objects.

        Times become :class:`astropy.time.Time`: those in MJD (TAI), whose names end in ``mjd_tai`` or ``MjdTai``, and those
        in microseconds (UTC), whose names end in ``_us``. With ``times=False`` they stay numbers.

        >>> t = Table(pa.table({"mjd_tai": [60000.0, None], "ra": [10.0, 20.0]}))
        >>> time = t.to_table()["mjd_tai"]
        >>> time.scale, str(time[0].utc.iso), time.mask.tolist()
        ('tai', '2023-02-24 23:59:23.000', [False, True])
        """
        from astropy.table import Table as AstropyTable

        table = AstropyTable()
        for field, column in zip(self._arrow.schema, self._arrow.columns):
            values = column.combine_chunks()
            if isinstance(values, pa.ChunkedArray):
                values = values.chunk(0) if values.num_chunks else pa.array([], field.type)
            kind = _time_kind(field) if times else None
            table[field.name] = _column(field, values) if kind is None else _time(kind, field, values)
        return table


def _column(field: pa.Field, values: pa.Array) -> Any:
    from astropy.table import Column, MaskedColumn

    described: dict[str, Any] = {
        "name": field.name,
        "unit": _astropy_unit(field),
        "description": _text(field, b"description"),
    }
    if not values.null_count:
        return Column(values.to_numpy(zero_copy_only=False), **described)
    mask = values.is_null().to_numpy(zero_copy_only=False)
    filler = _filler(field.type)
    shown = values if filler is None else values.fill_null(filler)
    return MaskedColumn(shown.to_numpy(zero_copy_only=False), mask=mask, **described)


def _time_kind(field: pa.Field) -> str | None:
    """``mjd`` (TAI) or ``unix`` (UTC, microseconds) for times."""
    if pa.types.is_floating(field.type) and field.name.lower().replace("_", "").endswith("mjdtai"):
        return "mjd"
    if pa.types.is_integer(field.type) and field.name.endswith("_us"):
        return "unix"
    return None


def _time(kind: str, field: pa.Field, values: pa.Array) -> Any:
    import numpy as np
    from astropy.time import Time
    from astropy.utils.masked import Masked

    mask = values.is_null().to_numpy(zero_copy_only=False)
    numbers = values.fill_null(0).to_numpy(zero_copy_only=False)
    if kind == "mjd":
        # NaN is no time either.
        mask = mask | np.isnan(numbers)
        one, other, scale = np.where(mask, 0.0, numbers), None, "tai"
    else:
        # In two parts: a double alone would lose the microseconds.
        one, other, scale = numbers // 1_000_000, numbers % 1_000_000 / 1e6, "utc"
    if mask.any():
        one = Masked(one, mask=mask)
    time = Time(one, other, format=kind, scale=scale)
    time.info.description = _text(field, b"description")
    return time


def _text(field: pa.Field, key: bytes) -> str | None:
    text = (field.metadata or {}).get(key)
    return text.decode() if text else None


def _unit(field: pa.Field) -> str | None:
    return _text(field, b"unit")


def _astropy_unit(field: pa.Field) -> Any:
    """The unit; what stands behind it, as in ``us (UTC)``, is no part of it."""
    from astropy import units

    unit = _unit(field)
    return units.Unit(unit.split(" (")[0], parse_strict="silent") if unit else None


def _filler(kind: pa.DataType) -> Any:
    """What stands under the mask."""
    if pa.types.is_floating(kind):
        return float("nan")
    if pa.types.is_integer(kind):
        return 0
    if pa.types.is_boolean(kind):
        return False
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return ""
    return None
