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
    _legend(ax)
    if len(data["mjd_tai"]):
        _time_axis(ax, data["mjd_tai"], utc)
    if title:
        ax.set_title(title, fontsize="medium")
    return figure or ax.figure  # type: ignore[return-value]


def _style(band: str) -> dict[str, Any]:
    marker = BAND_MARKERS.get(band, "o")
    return {"ls": "", "color": BAND_COLORS.get(band, "0.35"), "marker": marker, "ms": 5.5, "capsize": 0, "elinewidth": 0.9}


def _draw_fluxes(ax: Axes, band: str, p: _Columns) -> None:
    known = np.isfinite(p["psf_flux"])
    for forced in (True, False):
        some = known & (p["forced"] == forced)
        if some.any():
            ax.errorbar(p["mjd_tai"][some], p["psf_flux"][some], _bars(p["psf_flux_err"][some]), mew=0,
                        label=_label(band, forced, False), **_forced(forced), **_style(band))


def _draw_magnitudes(ax: Axes, band: str, p: _Columns) -> None:
    flux, error = p["psf_flux"], p["psf_flux_err"]
    known = np.isfinite(flux)
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = _ZERO_POINT - 2.5 * np.log10(np.abs(flux))
        spread = 2.5 / np.log(10) * error / np.abs(flux)
        faint = known & (np.abs(flux) < 3 * error)
        limit = _ZERO_POINT - 2.5 * np.log10(np.where(faint, 5 * error, p["psf_flux_limit"]))
    for forced in (True, False):
        for negative in (False, True):
            some = known & ~faint & np.isfinite(magnitude) & (p["forced"] == forced) & ((flux < 0) == negative)
            if some.any():
                face = {"mfc": "none", "mew": 1.0} if negative else {"mew": 0.0}
                ax.errorbar(p["mjd_tai"][some], magnitude[some], _bars(spread[some]),
                            label=_label(band, forced, negative), **face, **_forced(forced), **_style(band))
    none = (faint | ~known) & np.isfinite(limit)
    if none.any():
        # An arrow that hangs down from the limit, whichever way the axis runs.
        ax.plot(p["mjd_tai"][none], limit[none], ls="", marker=_ARROW, color=_style(band)["color"], alpha=0.6, ms=11, mew=0.9,
                fillstyle="none", label=_LIMIT)


#: A bar and an arrow below it, in units of the marker: vertices to be joined by lines.
_ARROW = [(-0.5, 0.0), (0.5, 0.0), (0.0, 0.0), (0.0, -1.0), (-0.3, -0.62), (0.0, -1.0), (0.3, -0.62)]
_LIMIT = "5 sigma limit"


def _label(band: str, forced: bool, negative: bool) -> str:
    return (band or "unknown") + (", forced" if forced else "") + (", negative" if negative else "")


def _forced(forced: bool) -> dict[str, Any]:
    """Forced photometry, of the same exposures or of those between, is drawn fainter."""
    return {"alpha": 0.35 if forced else 1.0, "zorder": 2 if forced else 3}


def _bars(error: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.where(np.isfinite(error), error, 0.0)


def _legend(ax: Axes) -> None:
    """Bands by wavelength, each once; what is faint and what is open once for all."""
    from matplotlib.lines import Line2D

    labels = ax.get_legend_handles_labels()[1]
    if not labels:
        return
    bands = sorted({label.split(",")[0] for label in labels if label != _LIMIT}, key=band_order)
    handles = [Line2D([], [], mew=0, label=band, **_marker(band)) for band in bands]
    gray: dict[str, Any] = {"ls": "", "marker": "o", "color": "0.35", "ms": 5.5}
    if any(", forced" in label for label in labels):
        handles.append(Line2D([], [], alpha=0.35, mew=0, label="forced", **gray))
    if any(", negative" in label for label in labels):
        handles.append(Line2D([], [], mfc="none", mew=1.0, label="negative", **gray))
    if _LIMIT in labels:
        handles.append(Line2D([], [], **{**gray, "marker": _ARROW, "ms": 11}, mew=0.9, alpha=0.6, fillstyle="none", label=_LIMIT))
    ax.legend(handles=handles, frameon=False, fontsize="small", handletextpad=0.2)


def _marker(band: str) -> dict[str, Any]:
    style = _style(band)
    return {name: style[name] for name in ("ls", "color", "marker", "ms")}


def _time_axis(ax: Axes, times: npt.NDArray[Any], utc: bool) -> None:
    """Some room at both ends, at least 3 h of it, and the dates above. TAI runs ahead of UTC by 37 s since 2017: nothing
    that shows on an axis of days."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    first, last = float(np.nanmin(times)), float(np.nanmax(times))
    room = max(0.04 * (last - first), 0.125)
    ax.set_xlim(first - room, last + room)
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
