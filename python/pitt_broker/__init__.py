"""Alerts of ZTF and Rubin in Python: the engine of Pitt Broker.

>>> import pitt_broker as pb
>>> archive = pb.open()
>>> archive.query("SELECT object_id, ra, dec FROM alerts LIMIT 5").to_pandas().shape
(5, 3)

Tables are :class:`Table`: Arrow underneath, handed without a copy to pyarrow and polars, and as pandas or astropy tables
on request. Fluxes are difference fluxes in nJy, positions ICRS degrees, times MJD (TAI); every column has its unit.

Exceptions are :class:`PittError` and its kinds: :class:`ArchiveError`, :class:`QueryError`, :class:`FilterError`,
:class:`DecodeError`, :class:`DownloadError`, :class:`StreamError`. Arguments that cannot be are a :class:`ValueError`, alerts that
are not there a :class:`KeyError`.
"""

from ._archive import Archive, open
from ._decode import Stamp, alerts, decode, history, stamp
from ._events import Events, follow_http
from ._filters import Trial, check_filter, test_filter
from ._kafka import follow
from ._matches import Following, Match
from ._native import (
    ArchiveError,
    DecodeError,
    DownloadError,
    FilterError,
    PittError,
    QueryError,
    Schemas,
    StreamError,
    __version__,
)
from ._nights import download, releases
from ._plot_lightcurve import plot_lightcurve
from ._plot_sky import plot_sky
from ._plot_stamps import plot_stamps
from ._replays import Replay, replay_http
from ._simulate import Simulation, simulate
from ._table import Table

__all__ = [
    "Archive",
    "ArchiveError",
    "DecodeError",
    "DownloadError",
    "Events",
    "FilterError",
    "Following",
    "Match",
    "PittError",
    "QueryError",
    "Replay",
    "Schemas",
    "Simulation",
    "Stamp",
    "StreamError",
    "Table",
    "Trial",
    "__version__",
    "alerts",
    "check_filter",
    "decode",
    "download",
    "follow",
    "follow_http",
    "history",
    "open",
    "plot_lightcurve",
    "plot_sky",
    "plot_stamps",
    "releases",
    "replay_http",
    "simulate",
    "stamp",
    "test_filter",
]
