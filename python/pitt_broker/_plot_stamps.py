"""The stamps of an alert."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._decode import Stamp, stamp
from ._figures import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STAMPS = {"Science": "cutoutScience", "Template": "cutoutTemplate", "Difference": "cutoutDifference"}
_MARK = "#c61c00"
_Matrix = npt.NDArray[np.float64]
#: ZTF's stamps have no world coordinates, but its camera's readout is fixed: rows go south, columns west. Degrees east and north for a
#: step of one column and of one row, fitted to ra, dec, xpos and ypos of detections (1.0124 arcsec a pixel, turned by less than 2 deg).
_ZTF = np.diag([-1.0124, -1.0124]) / 3600
#: Lengths of the bar, arcsec, of which the largest that fits is drawn.
_BARS_ARCSEC = (60, 30, 20, 10, 5, 2, 1, 0.5)


def plot_stamps(
    alert: Mapping[str, Any],
    *,
    axes: Any = None,
    colorbar: bool = False,
    north_up: bool = False,
    stretch: str | Mapping[str, str] = "asinh",
    mark: bool = True,
    title: str | None = None,
) -> Figure:
    """Science, template and difference image of an alert, side by side, dark on light.

    Images show where north and east are, and a bar of some arcsec: by their world coordinate system (Rubin's), or by their camera's fixed
    orientation (ZTF's). Those of which neither is known are drawn as in the file, row 0 at the bottom. An image that is a mirror
    image of the sky in its file (ZTF's) is turned over.

    >>> import pitt_broker as pb
    >>> [alert] = pb.alerts(pb.simulate(survey="lsst", visits=1, alerts_per_visit=1).packets()[0])
    >>> figure = pb.plot_stamps(alert, north_up=True, stretch={"Difference": "linear"})
    >>> [ax.get_title() for ax in figure.axes]
    ['Science', 'Template', 'Difference']

    Parameters
    ----------
    alert
        A dict as :meth:`Archive.alert` gives it.
    axes
        Axes to draw on, one for each image that the alert has; a new figure when left out.
    colorbar
        Draw one beside each image, in the image's own unit.
    north_up
        Turn the images so that north is up and east left. Those of which that is not known say so.
    stretch
        ``"asinh"``, ``"linear"`` or ``"log"``, for all, or by image: ``{"Difference": "linear"}``.
    mark
        Draw a reticle around the middle, where the source is.
    title
        Above all of a new figure; object and alert id when left out, ``""`` for none.

    Raises
    ------
    KeyError
        The alert has no stamps.
    DecodeError
        A stamp is damaged.
    ValueError
        There is no such stretch, or too few axes.
    """
    shown = {name: alert[key] for name, key in _STAMPS.items() if alert.get(key) is not None}
    if not shown:
        raise KeyError("this alert has no stamps (cutoutScience, cutoutTemplate, cutoutDifference)")
    figure = None
    if axes is None:
        width = 3.0 + 0.7 * colorbar
        figure = new_figure(width * len(shown), 3.3)
        axes = figure.subplots(1, len(shown), squeeze=False)[0]
        figure.suptitle(_name(alert) if title is None else title, fontsize="medium")
    by_survey = _ZTF if "candidate" in alert else None
    places: list[Axes] = list(np.ravel(axes))
    if len(places) < len(shown):
        raise ValueError(f"axes: {len(places)} given, {len(shown)} needed")
    for ax, (name, cutout) in zip(places, shown.items()):
        kind = stretch if isinstance(stretch, str) else stretch.get(name, "asinh")
        _draw(ax, name, stamp(cutout)[0], kind, north_up, by_survey)
        if mark:
            _reticle(ax)
        if colorbar:
            _colorbar(ax, stamp(cutout)[0].header.get("BUNIT", ""))
    return figure or places[0].figure  # type: ignore[return-value]


def _name(alert: Mapping[str, Any]) -> str:
    """Object and alert, as the survey has them."""
    source = alert.get("candidate") or alert.get("diaSource") or {}
    thing = alert.get("objectId") or source.get("diaObjectId") or source.get("ssObjectId") or ""
    number = alert.get("candid") or alert.get("diaSourceId") or source.get("diaSourceId") or ""
    return f"{thing}   alert {number}" if number else str(thing)


def _draw(ax: Axes, name: str, plane: Stamp, kind: str, north_up: bool, by_survey: _Matrix | None) -> None:
    import matplotlib
    from matplotlib.transforms import Affine2D

    rows, columns = plane.data.shape
    wcs = _pixel_to_sky(plane, by_survey)
    cmap = matplotlib.colormaps["gray_r"].with_extremes(bad="#dfe8f3")
    # The middle of the image is the origin: it is turned around it.
    box = (-columns / 2, columns / 2, -rows / 2, rows / 2)
    image = ax.imshow(plane.data, origin="lower", cmap=cmap, interpolation="nearest", norm=_norm(plane.data, kind), extent=box)
    turn = _turn(wcs, north_up)
    if not np.array_equal(turn, np.eye(2)):
        matrix = np.eye(3)
        matrix[:2, :2] = turn
        image.set_transform(Affine2D(matrix) + ax.transData)
        corners = turn @ np.array([[-columns, columns], [-rows, -rows]]) / 2
        reach = np.abs(corners).max(axis=1)
        ax.set_xlim(-reach[0], reach[0])
        ax.set_ylim(-reach[1], reach[1])
        for side in ax.spines.values():
            side.set_visible(False)
    ax.set_title(f"{name}\n(as in the file)" if north_up and wcs is None else name, fontsize="medium")
    ax.set_xticks([])
    ax.set_yticks([])
    if wcs is not None:
        _compass(ax, turn @ np.linalg.inv(wcs))
        _bar(ax, 3600 * np.sqrt(abs(np.linalg.det(wcs))))


def _turn(wcs: _Matrix | None, north_up: bool) -> _Matrix:
    """From pixels of the file to the page: the sky's way round, or as it is seen on the sky."""
    if wcs is None:
        return np.eye(2)
    if north_up:
        turn: _Matrix = np.diag([-1.0, 1.0]) @ wcs / np.sqrt(abs(np.linalg.det(wcs)))
        return turn
    is_mirror_image = np.linalg.det(wcs) > 0
    return np.diag([1.0, -1.0 if is_mirror_image else 1.0])


def _norm(data: npt.NDArray[np.float32], kind: str) -> Any:
    from matplotlib.colors import LogNorm, Normalize

    if kind not in ("asinh", "linear", "log"):
        raise ValueError(f"stretch {kind!r}: must be 'asinh', 'linear' or 'log'")
    good = data[np.isfinite(data)]
    if good.size == 0:
        return Normalize(0, 1)
    middle = float(np.median(good))
    noise = 1.4826 * float(np.median(np.abs(good - middle))) or 1.0
    low, high = middle - 3 * noise, max(float(np.quantile(good, 0.999)), middle + 8 * noise)
    # A source may be negative in a difference: then the scale reaches as far down.
    deepest = float(np.quantile(good, 0.001))
    if deepest < middle - 8 * noise:
        low = deepest
    if kind == "linear":
        return Normalize(low, high)
    if kind == "log":
        return LogNorm(max(middle - 2 * noise, noise * 0.1), high, clip=True)
    return _asinh(middle, 2 * noise, low, high)


def _asinh(middle: float, width: float, low: float, high: float) -> Any:
    """A scale that is linear within `width` of `middle`, the background, and logarithmic beyond."""
    from matplotlib.colors import FuncNorm

    def forward(value: Any) -> Any:
        return np.arcsinh((np.asarray(value) - middle) / width)

    def back(value: Any) -> Any:
        return middle + width * np.sinh(np.asarray(value))

    return FuncNorm((forward, back), vmin=low, vmax=high)


def _pixel_to_sky(plane: Stamp, by_survey: _Matrix | None) -> _Matrix | None:
    """Degrees east and north for a step of one column and of one row (FITS: CD, or PC and CDELT), else as known of the survey."""
    header = plane.header
    try:
        if "CD1_1" in header:
            matrix = [[float(header.get(f"CD{i}_{j}", 0)) for j in (1, 2)] for i in (1, 2)]
        elif "CDELT1" in header or "PC1_1" in header:
            matrix = [
                [float(header.get(f"CDELT{i}", 1)) * float(header.get(f"PC{i}_{j}", i == j)) for j in (1, 2)] for i in (1, 2)
            ]
        else:
            return by_survey
    except ValueError:
        return None
    array = np.array(matrix)
    return array if abs(np.linalg.det(array)) > 0 else None


def _colorbar(ax: Axes, unit: str) -> None:
    """Ticks at equal distances on the bar, whatever the stretch."""
    image = ax.images[-1]
    norm: Any = image.norm
    ticks = [float(tick) for tick in norm.inverse(np.linspace(0.0, 1.0, 5))]
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.85, pad=0.02, label=unit)
    bar.set_ticks(ticks, labels=[_number(tick) for tick in ticks])
    bar.minorticks_off()
    bar.ax.tick_params(labelsize="small")


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _reticle(ax: Axes) -> None:
    low, high = ax.get_ylim()
    near, far = 0.07 * (high - low), 0.15 * (high - low)
    ax.plot([near, far], [0, 0], [0, 0], [near, far], color=_MARK, lw=1.2, solid_capstyle="butt")


def _compass(ax: Axes, from_sky: npt.NDArray[np.float64]) -> None:
    """Arrows to north and east, in the lower right corner."""
    ways = from_sky / np.hypot(*from_sky)
    # Where they begin, so that both with their letters stay inside.
    begin = np.array([0.94 - 0.16 * max(0.0, *ways[0]), 0.06 - 0.16 * min(0.0, *ways[1])])
    for name, way in zip("EN", ways.T):
        ax.annotate("", tuple(begin + 0.11 * way), tuple(begin), "axes fraction", "axes fraction",
                    arrowprops={"arrowstyle": "->", "color": _MARK, "lw": 1, "shrinkA": 0, "shrinkB": 0})
        x, y = begin + 0.155 * way
        ax.text(x, y, name, transform=ax.transAxes, color=_MARK, fontsize="small", ha="center", va="center")


def _bar(ax: Axes, pixel_arcsec: float) -> None:
    """A bar of some arcsec, in the lower left corner."""
    low, high = ax.get_xlim()
    width = (high - low) * pixel_arcsec
    length = next((bar for bar in _BARS_ARCSEC if bar < 0.4 * width), None)
    if length is None:
        return
    ax.plot([0.05, 0.05 + length / width], [0.06, 0.06], transform=ax.transAxes, color=_MARK, lw=1.5, solid_capstyle="butt")
    ax.text(0.05, 0.08, f'{length:g}"', transform=ax.transAxes, color=_MARK, fontsize="small", va="bottom")
