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
        return self._arrow.num_rows

    def __getitem__(self, column: str) -> pa.ChunkedArray:
        return self._arrow[column]

    def __repr__(self) -> str:
        return f"<Table of {len(self)} rows: {', '.join(self.columns)}>"

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return self._arrow.column_names

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

    def to_table(self) -> astropy.table.Table:
        """As an astropy table: units on the columns, masked where there is no value, lists as objects."""
        from astropy.table import Column, MaskedColumn
        from astropy.table import Table as AstropyTable

        table = AstropyTable()
        for field, column in zip(self._arrow.schema, self._arrow.columns):
            values = column.combine_chunks()
            if isinstance(values, pa.ChunkedArray):
                values = values.chunk(0) if values.num_chunks else pa.array([], field.type)
            kind = MaskedColumn if values.null_count else Column
            described = {"name": field.name, "unit": _astropy_unit(field), "description": _text(field, b"description")}
            if values.null_count:
                mask = values.is_null().to_numpy(zero_copy_only=False)
                described["mask"] = mask
                values = values.fill_null(_filler(field.type)) if _filler(field.type) is not None else values
            table[field.name] = kind(values.to_numpy(zero_copy_only=False), **described)
        return table


def _text(field: pa.Field, key: bytes) -> str | None:
    text = (field.metadata or {}).get(key)
    return text.decode() if text else None


def _unit(field: pa.Field) -> str | None:
    return _text(field, b"unit")


def _astropy_unit(field: pa.Field) -> Any:
    """The unit; a time scale after it, as in ``d (TAI)``, is in the description's domain."""
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
