"""A light curve."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._decode import history
from ._figures import BAND_COLORS, BAND_MARKERS, band_order, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: AB magnitude of 1 nJy.
_ZERO_POINT = 31.4
#: Day 0 of the modified Julian date.
_MJD_0 = datetime.datetime(1858, 11, 17)

_Columns = dict[str, npt.NDArray[Any]]


def plot_lightcurve(
    points: Any,
    *,
    ax: Axes | None = None,
    unit: str = "mag",
    utc: bool = True,
    title: str | None = None,
) -> Figure:
    """A light curve: points with error bars, bands in Rubin's colours, upper limits as arrows.

    Times are MJD (TAI) below, and the UTC date above.

    >>> import pitt_broker as pb
    >>> points = {"mjd_tai": [60000.0, 60003.1], "band": ["g", "r"], "psf_flux": [9e3, 8e3], "psf_flux_err": [4e2, 5e2]}
    >>> figure = pb.plot_lightcurve(points, unit="flux", title="two nights")
    >>> figure.axes[0].get_ylabel()
    'difference flux / nJy'

    Parameters
    ----------
    points
        What :meth:`Archive.light_curve`, :meth:`Archive.history` or :func:`history` give; an alert as a dict or a packet as
        bytes (the history in it); or any table with ``mjd_tai`` [d], ``band``, ``psf_flux``, ``psf_flux_err`` [nJy], and
        if there are limits ``psf_flux_limit`` [nJy, 5 sigma].
    ax
        Axes to draw on; a new figure when left out.
    unit
        ``"mag"``: AB magnitude of the absolute difference flux, bright at the top; negative differences are open, and what is
        below 3 sigma is an arrow at its 5 sigma limit. ``"flux"``: signed difference flux in nJy, limits left out.
    utc
        Draw the axis of UTC dates.

    Raises
    ------
    KeyError
        The table lacks a column.
    ValueError
        There is no such unit.
    """
    if unit not in ("mag", "flux"):
        raise ValueError(f"unit {unit!r}: must be 'mag' or 'flux'")
    data = _columns(points)
    figure = None
    if ax is None:
        figure = new_figure(7, 4)
        ax = figure.add_subplot()
    for band in sorted(set(data["band"]), key=band_order):
        chosen = {key: values[data["band"] == band] for key, values in data.items()}
        (_draw_magnitudes if unit == "mag" else _draw_fluxes)(ax, band, chosen)
    ax.set_xlabel("MJD (TAI)")
    ax.set_ylabel("AB magnitude of the difference" if unit == "mag" else "difference flux / nJy")
    ax.ticklabel_format(axis="x", useOffset=False)
    ax.tick_params(direction="in", right=True)
    if unit == "flux":
        ax.axhline(0, color="0.6", lw=0.8, zorder=0)
    elif not ax.yaxis_inverted():
        ax.invert_yaxis()
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, ncols=2, fontsize="small")
    if len(data["mjd_tai"]):
        _time_axis(ax, data["mjd_tai"], utc)
    if title:
        ax.set_title(title, fontsize="medium")
    return figure or ax.figure  # type: ignore[return-value]


def _style(band: str) -> dict[str, Any]:
    return {"ls": "", "color": BAND_COLORS.get(band, "0.35"), "ms": 5, "capsize": 0, "elinewidth": 0.9}


def _draw_fluxes(ax: Axes, band: str, p: _Columns) -> None:
    known = np.isfinite(p["psf_flux"])
    marker = BAND_MARKERS.get(band, "o")
    # Forced photometry, of the same exposures or of those between, is fainter drawn.
    for forced in (True, False):
        some = known & (p["forced"] == forced)
        if some.any():
            label = f"{band or 'unknown'} forced" if forced else band or "unknown"
            ax.errorbar(p["mjd_tai"][some], p["psf_flux"][some], _error(p, some), marker=marker, label=label,
                        alpha=0.35 if forced else 1, mew=0, **_style(band))


def _draw_magnitudes(ax: Axes, band: str, p: _Columns) -> None:
    flux, error = p["psf_flux"], p["psf_flux_err"]
    known = np.isfinite(flux)
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = _ZERO_POINT - 2.5 * np.log10(np.abs(flux))
        spread = 2.5 / np.log(10) * error / np.abs(flux)
        faint = known & (np.abs(flux) < 3 * error)
        limit = _ZERO_POINT - 2.5 * np.log10(np.where(faint, 5 * error, p["psf_flux_limit"]))
    name = band or "unknown"
    for forced in (True, False):
        for negative in (False, True):
            some = known & ~faint & np.isfinite(magnitude) & (p["forced"] == forced) & ((flux < 0) == negative)
            if not some.any():
                continue
            label = name + (" forced" if forced else "") + (", negative" if negative else "")
            bars = np.where(np.isfinite(spread[some]), spread[some], 0.0)
            ax.errorbar(p["mjd_tai"][some], magnitude[some], bars, marker=BAND_MARKERS.get(band, "o"), label=label,
                        mfc="none" if negative else None, mew=0.9 if negative else 0, alpha=0.35 if forced else 1, **_style(band))
    none = (faint | ~known) & np.isfinite(limit)
    if none.any():
        _draw_limits(ax, p["mjd_tai"][none], limit[none], _style(band)["color"])


def _draw_limits(ax: Axes, times: npt.NDArray[Any], limits: npt.NDArray[Any], color: str) -> None:
    """A short bar with an arrow that hangs from it: fainter than that. Down on the page, whichever way the axis runs."""
    from matplotlib.markers import CARETDOWNBASE

    ax.plot(times, limits, ls="", marker="_", color=color, alpha=0.45, ms=5, mew=0.9)
    ax.plot(times, limits, ls="", marker=CARETDOWNBASE, color=color, alpha=0.45, ms=3.5, mew=0)


def _error(p: _Columns, some: npt.NDArray[Any]) -> npt.NDArray[Any]:
    error = p["psf_flux_err"][some]
    return np.where(np.isfinite(error), error, 0.0)


def _time_axis(ax: Axes, times: npt.NDArray[Any], utc: bool) -> None:
    """Some room at both ends, at least 3 h of it, and the dates above. TAI runs ahead of UTC by 37 s since 2017: nothing
    that shows on an axis of days."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    first, last = float(np.nanmin(times)), float(np.nanmax(times))
    low, high = ax.get_xlim() if len(ax.lines) > 2 else (first, last)
    room = max(0.04 * (last - first), 0.125)
    ax.set_xlim(min(low, first - room), max(high, last + room))
    if not utc:
        return
    span = ax.get_xlim()[1] - ax.get_xlim()[0]
    form = "%Y-%m-%d" if span > 4 else "%m-%d %H:%M"
    above = ax.secondary_xaxis("top")
    above.xaxis.set_major_locator(MaxNLocator(5, integer=span > 4))
    above.xaxis.set_major_formatter(FuncFormatter(lambda mjd, _: (_MJD_0 + datetime.timedelta(days=mjd)).strftime(form)))
    above.tick_params(direction="in", labelsize="small")
    above.set_xlabel("UTC", fontsize="small")


def _columns(points: Any) -> _Columns:
    """Arrays ``mjd_tai, band, psf_flux, psf_flux_err, psf_flux_limit, forced``, in the order of time."""
    import pyarrow as pa

    if isinstance(points, bytes) or isinstance(points, dict) and ("candidate" in points or "diaSource" in points):
        points = history(points)
    table = points if isinstance(points, Mapping) else pa.table(points).to_pydict()
    rows = len(table["mjd_tai"])

    def real(name: str, values: Any) -> npt.NDArray[np.float64]:
        return np.array([np.nan if v is None else v for v in values], float)

    data: _Columns = {name: real(name, table[name]) for name in ("mjd_tai", "psf_flux", "psf_flux_err")}
    data["psf_flux_limit"] = real("psf_flux_limit", table.get("psf_flux_limit", [None] * rows))
    data["band"] = np.array([b or "" for b in table["band"]], object)
    data["forced"] = np.array([kind == "forced" for kind in table.get("kind", [""] * rows)], bool)
    order = np.argsort(data["mjd_tai"], kind="stable")
    return {name: values[order] for name, values in data.items()}
