"""Alerts of ZTF and Rubin in Python: the engine of Pitt Broker.

>>> import pitt_broker as pb
>>> archive = pb.open("pitt-data")                                    # doctest: +SKIP
>>> archive.query("SELECT object_id, ra, dec FROM alerts LIMIT 5").to_pandas()   # doctest: +SKIP
>>> archive.light_curve("ZTF18abudxnw").to_table()                    # doctest: +SKIP

Tables are :class:`Table`: Arrow underneath, handed without a copy to pyarrow and polars, and as pandas or astropy tables
on request. Fluxes are difference fluxes in nJy, positions ICRS degrees, times MJD (TAI); every column has its unit.

Exceptions are :class:`PittError` and its kinds: :class:`ArchiveError`, :class:`QueryError`, :class:`DecodeError`,
:class:`DownloadError`, :class:`StreamError`.
"""

from ._archive import Archive, open
from ._decode import Stamp, alerts, decode, stamp
from ._native import (
    ArchiveError,
    DecodeError,
    DownloadError,
    PittError,
    QueryError,
    Schemas,
    StreamError,
    __version__,
)
from ._nights import download, releases
from ._plots import plot_lightcurve, plot_sky, plot_stamps
from ._table import Table

__all__ = [
    "Archive",
    "ArchiveError",
    "DecodeError",
    "DownloadError",
    "PittError",
    "QueryError",
    "Schemas",
    "Stamp",
    "StreamError",
    "Table",
    "__version__",
    "alerts",
    "decode",
    "download",
    "open",
    "plot_lightcurve",
    "plot_sky",
    "plot_stamps",
    "releases",
    "stamp",
]
