"""Plots. Each returns a matplotlib figure, takes axes, and changes no global state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._decode import Stamp, stamp

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours of the bands, as Rubin's documents have them for light backgrounds.
BAND_COLORS = {"u": "#0c71ff", "g": "#49be61", "r": "#c61c00", "i": "#ffc200", "z": "#f341a2", "y": "#5d0000"}
_MARKERS = {"u": "o", "g": "^", "r": "v", "i": "s", "z": "*", "y": "p"}
#: AB magnitude of 1 nJy.
_ZERO_POINT = 31.4
_STAMPS = {
    "Science": ("cutoutScience",),
    "Template": ("cutoutTemplate",),
    "Difference": ("cutoutDifference",),
}


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plot_stamps(
    alert: dict[str, Any],
    *,
    axes: Any = None,
    colorbar: bool = False,
    north_up: bool = False,
    stretch: str | dict[str, str] = "asinh",
) -> Figure:
    """Science, template and difference image of an alert, side by side.

    Parameters
    ----------
    alert
        A dict as :meth:`Archive.alert` gives it.
    axes
        Three axes to draw on; a new figure when left out.
    colorbar
        Whether to draw one beside each image, in the image's own unit.
    north_up
        Turn the images so that north is up and east left, by their world coordinate system; images without one are
        drawn as they are (ZTF's rows run roughly south to north) and say so.
    stretch
        ``"asinh"``, ``"linear"`` or ``"log"``, for all, or by image: ``{"Difference": "linear"}``.

    Raises
    ------
    KeyError
        The alert has no stamps.
    DecodeError
        A stamp is damaged.
    """
    shown = {name: alert[key] for name, (key,) in _STAMPS.items() if alert.get(key) is not None}
    if not shown:
        raise KeyError("this alert has no stamps (cutoutScience, cutoutTemplate, cutoutDifference)")
    figure = None
    if axes is None:
        figure = _figure(3.2 * len(shown), 3.5)
        axes = figure.subplots(1, len(shown), squeeze=False)[0]
    for ax, (name, cutout) in zip(np.ravel(axes), shown.items()):
        plane = stamp(cutout)[0]
        kind = stretch if isinstance(stretch, str) else stretch.get(name, "asinh")
        _draw_stamp(ax, name, plane, kind, colorbar, north_up)
    ax = np.ravel(axes)[0]
    return figure or ax.figure


def _draw_stamp(ax: Axes, name: str, plane: Stamp, kind: str, colorbar: bool, north_up: bool) -> None:
    data = plane.data
    turned = False
    if north_up:
        data, turned = _north_up(plane)
    image = ax.imshow(data, origin="lower", cmap="gray_r", interpolation="nearest", norm=_norm(data, kind))
    ax.set_title(name if turned or not north_up else f"{name} (as in the file)")
    ax.set_xticks([])
    ax.set_yticks([])
    if colorbar:
        unit = plane.header.get("BUNIT", "")
        ax.figure.colorbar(image, ax=ax, shrink=0.8, label=unit)


def _norm(data: np.ndarray, kind: str) -> Any:
    from matplotlib.colors import AsinhNorm, LogNorm, Normalize

    good = data[np.isfinite(data)]
    if good.size == 0:
        return Normalize(0, 1)
    middle = np.median(good)
    noise = 1.4826 * np.median(np.abs(good - middle)) or 1.0
    low, high = middle - 2 * noise, max(np.quantile(good, 0.999), middle + 10 * noise)
    if kind == "linear":
        return Normalize(low, high)
    if kind == "log":
        return LogNorm(max(low, noise * 0.1), high, clip=True)
    if kind == "asinh":
        # A source may be negative in a difference: then the scale reaches as far down.
        low = min(low, np.quantile(good, 0.001)) if np.quantile(good, 0.001) < middle - 10 * noise else low
        return AsinhNorm(linear_width=2 * noise, vmin=low, vmax=high)
    raise ValueError(f"stretch {kind!r}: must be 'asinh', 'linear' or 'log'")


def _north_up(plane: Stamp) -> tuple[np.ndarray, bool]:
    """Flips and quarter turns by which north is most nearly up and east left; nothing is interpolated."""
    try:
        matrix = np.array([[float(plane.header[f"CD{i}_{j}"]) for j in (1, 2)] for i in (1, 2)])
    except (KeyError, ValueError):
        return plane.data, False
    best, choice = -np.inf, plane.data
    for turns in range(4):
        for flip in (False, True):
            data = np.rot90(plane.data, turns)
            turn = np.array([[0, -1], [1, 0]])
            step = np.linalg.matrix_power(turn, turns)
            if flip:
                data = data[:, ::-1]
                step = np.array([[-1, 0], [0, 1]]) @ step
            # Directions on the screen of growing right ascension and declination.
            onto = step @ np.linalg.inv(matrix)
            east, north = onto[:, 0], onto[:, 1]
            score = north[1] / np.hypot(*north) - east[0] / np.hypot(*east)
            if score > best:
                best, choice = score, data
    return choice, True


def plot_lightcurve(
    points: Any,
    *,
    ax: Axes | None = None,
    unit: str = "mag",
    title: str | None = None,
) -> Figure:
    """A light curve: points with error bars, bands in their usual colours; times in MJD (TAI) below and UTC above.

    Parameters
    ----------
    points
        What :meth:`Archive.light_curve` gives, or an alert as a dict (its history, detections and upper limits), or any
        table with ``mjd_tai, band, psf_flux, psf_flux_err``.
    ax
        Axes to draw on; a new figure when left out.
    unit
        ``"mag"``: AB magnitude of the absolute difference flux, bright at the top, negative differences as open
        squares; below 3 sigma a 5 sigma upper limit. ``"flux"``: signed difference flux in nJy.
    """
    if unit not in ("mag", "flux"):
        raise ValueError(f"unit {unit!r}: must be 'mag' or 'flux'")
    data = _points(points)
    figure = None
    if ax is None:
        figure = _figure(7, 4)
        ax = figure.add_subplot()
    for band in sorted(set(data["band"]), key=lambda b: ("ugrizy".find(b) if b else 9)):
        chosen = {key: values[data["band"] == band] for key, values in data.items()}
        _draw_band(ax, band, chosen, unit)
    ax.set_xlabel("MJD (TAI)")
    ax.set_ylabel("AB magnitude of the difference" if unit == "mag" else "difference flux / nJy")
    if unit == "mag":
        if not ax.yaxis_inverted():
            ax.invert_yaxis()
    else:
        ax.axhline(0, color="0.7", lw=0.8, zorder=0)
    if len(data["mjd_tai"]):
        ax.legend(frameon=False)
        _utc_axis(ax)
    if title:
        ax.set_title(title)
    return figure or ax.figure


def _draw_band(ax: Axes, band: str, p: dict[str, np.ndarray], unit: str) -> None:
    color, marker = BAND_COLORS.get(band, "0.3"), _MARKERS.get(band, "o")
    time, flux, error, limit = p["mjd_tai"], p["psf_flux"], p["psf_flux_err"], p["limit"]
    style = {"ls": "", "color": color, "ms": 5, "capsize": 0, "elinewidth": 1}
    known = np.isfinite(flux)
    if unit == "flux":
        ax.errorbar(time[known], flux[known], error[known], marker=marker, label=band or "unknown", **style)
        return
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = _ZERO_POINT - 2.5 * np.log10(np.abs(flux))
        spread = 2.5 / np.log(10) * error / np.abs(flux)
        faint = known & (np.abs(flux) < 3 * error)
        limiting = _ZERO_POINT - 2.5 * np.log10(np.where(faint, 5 * error, limit))
    good = known & ~faint & np.isfinite(magnitude)
    for sign, mark, face in ((flux > 0, marker, color), (flux < 0, "s", "none")):
        some = good & sign
        if some.any():
            label = (band or "unknown") if mark == marker else f"{band or 'unknown'}, negative"
            ax.errorbar(time[some], magnitude[some], spread[some], marker=mark, mfc=face, label=label, **style)
    none = (faint | ~known) & np.isfinite(limiting)
    if none.any():
        ax.plot(time[none], limiting[none], ls="", marker=r"$\downarrow$", color=color, alpha=0.5, ms=6)


def _utc_axis(ax: Axes) -> None:
    """The date above. TAI runs ahead of UTC by 37 s since 2017: nothing that shows on an axis of days."""
    import datetime

    from matplotlib.ticker import FuncFormatter, MaxNLocator

    above = ax.secondary_xaxis("top")
    begin = datetime.datetime(1858, 11, 17)
    above.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    above.xaxis.set_major_formatter(
        FuncFormatter(lambda mjd, _: (begin + datetime.timedelta(days=mjd)).strftime("%Y-%m-%d"))
    )
    above.set_xlabel("UTC")


def _points(points: Any) -> dict[str, np.ndarray]:
    """Arrays ``mjd_tai, band, psf_flux, psf_flux_err, limit``, in the order of time."""
    import pyarrow as pa

    if isinstance(points, dict) and ("candidate" in points or "diaSource" in points):
        return _history(points)
    table = points if isinstance(points, dict) else pa.table(points).to_pydict()
    rows = len(table["mjd_tai"])

    def real(name: str) -> np.ndarray:
        values = table.get(name, [None] * rows)
        return np.array([np.nan if v is None else v for v in values], float)

    data = {name: real(name) for name in ("mjd_tai", "psf_flux", "psf_flux_err", "limit")}
    data["band"] = np.array([b or "" for b in table["band"]], object)
    order = np.argsort(data["mjd_tai"], kind="stable")
    return {name: values[order] for name, values in data.items()}


def _history(alert: dict[str, Any]) -> dict[str, np.ndarray]:
    """The common columns of one alert's packet, from its own fields."""
    rows = _ztf_rows(alert) if "candidate" in alert else _lsst_rows(alert)
    rows = sorted(rows, key=lambda row: row[0])
    columns = list(zip(*rows)) or [[]] * 5
    names = ("mjd_tai", "psf_flux", "psf_flux_err", "limit")
    data = {name: np.array(columns[i], float) for name, i in zip(names, (0, 2, 3, 4))}
    data["band"] = np.array(columns[1], object)
    return data


def _ztf_rows(alert: dict[str, Any]) -> list[tuple[float, str, float, float, float]]:
    rows = []
    nan = float("nan")
    for point in [alert["candidate"], *(alert.get("prv_candidates") or [])]:
        # The middle of a 30 s exposure; TAI is 37 s ahead of UTC since 2017, before ZTF began.
        time = point["jd"] - 2400000.5 + (15 + 37) / 86400
        band = {1: "g", 2: "r", 3: "i"}.get(point.get("fid"), "")
        magnitude, sigma = point.get("magpsf"), point.get("sigmapsf")
        if magnitude is None:
            limit = point.get("diffmaglim")
            rows.append((time, band, nan, nan, 10 ** (0.4 * (_ZERO_POINT - limit)) if limit else nan))
            continue
        flux = 10 ** (0.4 * (_ZERO_POINT - magnitude))
        sign = 1 if point.get("isdiffpos") in ("t", "1", True) else -1
        rows.append((time, band, sign * flux, flux * sigma * np.log(10) / 2.5, nan))
    return rows


def _lsst_rows(alert: dict[str, Any]) -> list[tuple[float, str, float, float, float]]:
    nan = float("nan")
    points = [alert.get("diaSource"), *(alert.get("prvDiaSources") or [])]
    return [
        (p["midpointMjdTai"], p.get("band") or "", _real(p.get("psfFlux")), _real(p.get("psfFluxErr")), nan)
        for p in points
        if p
    ]


def _real(value: float | None) -> float:
    return float("nan") if value is None else value


def plot_sky(points: Any, *, ax: Axes | None = None, title: str | None = None, color: Any = "#c61c00") -> Figure:
    """Positions on the sky: Mollweide projection of ICRS, east to the left, 12 h in the middle.

    ``points`` is any table with ``ra`` and ``dec`` in degrees, such as
    ``archive.query("SELECT ra, dec FROM alerts WHERE night = 20260301")``. ``ax`` must have the projection ``mollweide``.
    """
    import pyarrow as pa

    table = points if isinstance(points, dict) else pa.table(points)
    ra, dec = (np.array(table[name], float) for name in ("ra", "dec"))
    figure = None
    if ax is None:
        figure = _figure(8, 4.5)
        ax = figure.add_subplot(projection="mollweide")
    size = float(np.clip(4000 / max(len(ra), 1), 0.2, 12))
    ax.scatter(np.radians(180 - ra % 360), np.radians(dec), s=size, lw=0, alpha=0.5, color=color, rasterized=True)
    ax.grid(alpha=0.3)
    hours = range(22, 0, -2)
    ax.set_xticks(np.radians([180 - 15 * hour for hour in hours]), [f"{hour} h" for hour in hours], fontsize=8)
    ax.set_title(title or f"{len(ra):,} positions")
    return figure or ax.figure
