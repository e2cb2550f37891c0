"""The sky of a night."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ._figures import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The pole of the galaxy and its centre, deg, ICRS (Liu et al. 2011, doi:10.1051/0004-6361/201014961).
_POLE, _CENTRE = (192.85948, 27.12825), (266.40499, -28.93617)


def plot_sky(
    points: Any,
    *,
    ax: Axes | None = None,
    title: str | None = None,
    color: str = "#c61c00",
    galactic_plane: bool = True,
) -> Figure:
    """Positions on the sky: Mollweide projection of ICRS, east to the left, 12 h in the middle.

    >>> import pitt_broker as pb
    >>> figure = pb.plot_sky(pb.open().query("SELECT ra, dec FROM alerts"), title="a night")
    >>> figure.axes[0].name
    'mollweide'

    Parameters
    ----------
    points
        Any table with ``ra`` and ``dec`` [deg], such as
        ``archive.query("SELECT ra, dec FROM alerts WHERE night = 20260301")``.
    ax
        Axes of the projection ``mollweide`` to draw on; a new figure when left out.
    title
        The number of positions when left out.
    galactic_plane
        Draw it, with the galaxy's centre.

    Raises
    ------
    KeyError
        The table has no ``ra`` or ``dec``.
    ValueError
        ``ax`` has another projection.
    """
    import pyarrow as pa

    table = points if isinstance(points, Mapping) else pa.table(points)
    ra, dec = (np.array(table[name], float) for name in ("ra", "dec"))
    figure = None
    if ax is None:
        figure = new_figure(8, 4.4)
        ax = figure.add_subplot(projection="mollweide")
    if getattr(ax, "name", "") != "mollweide":
        raise ValueError("ax: must have the projection 'mollweide' (figure.add_subplot(projection='mollweide'))")
    if galactic_plane:
        _plane(ax)
    # Single points are to be seen, and many must not become one blot.
    size = float(np.clip(6000 / max(len(ra), 1), 0.5, 14))
    opacity = float(np.clip(3000 / max(len(ra), 1), 0.15, 0.8))
    ax.scatter(_x(ra), np.radians(dec), s=size, lw=0, alpha=opacity, color=color, rasterized=True, zorder=3)
    ax.grid(color="0.85", lw=0.6)
    ax.set_axisbelow(True)
    hours = range(22, 0, -2)
    ax.set_xticks(np.radians([180 - 15 * hour for hour in hours]), [f"{hour}h" for hour in hours], fontsize=8, color="0.35")
    ax.tick_params(axis="y", labelsize=8)
    ax.set_title(f"{len(ra):,} positions" if title is None else title, fontsize="medium")
    return figure or ax.figure  # type: ignore[return-value]


def _x(ra: Any) -> Any:
    """East to the left, 180 deg in the middle."""
    return np.radians(180 - np.asarray(ra) % 360)


def _plane(ax: Axes) -> None:
    """The great circle 90 deg from the galaxy's pole, broken where it leaves the map."""
    pole, centre = _unit(*_POLE), _unit(*_CENTRE)
    other = np.cross(pole, centre)
    angle = np.radians(np.arange(0, 361))
    x, y, z = np.outer(centre, np.cos(angle)) + np.outer(other, np.sin(angle))
    lon, lat = _x(np.degrees(np.arctan2(y, x))), np.arcsin(np.clip(z, -1, 1))
    jumps = np.flatnonzero(np.abs(np.diff(lon)) > np.pi) + 1
    ax.plot(np.insert(lon, jumps, np.nan), np.insert(lat, jumps, np.nan), color="0.55", lw=0.9, zorder=1)
    ax.plot(_x(_CENTRE[0]), np.radians(_CENTRE[1]), marker="+", color="0.35", ms=7, mew=1, ls="", zorder=2)


def _unit(ra: float, dec: float) -> Any:
    a, d = np.radians(ra), np.radians(dec)
    return np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
