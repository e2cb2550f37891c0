"""What the plots share: figures of their own, and the colours of the bands."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Order, colours and markers of the bands, as Rubin's documents have them for light backgrounds (RTN-045).
BANDS = "ugrizy"
BAND_COLORS = {"u": "#0c71ff", "g": "#49be61", "r": "#c61c00", "i": "#ffc200", "z": "#f341a2", "y": "#5d0000"}
BAND_MARKERS = {"u": "o", "g": "^", "r": "v", "i": "s", "z": "*", "y": "p"}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches."""
    from ._shown import ShownFigure

    return ShownFigure(width, height)


def band_order(band: str) -> int:
    """Place of a band: by wavelength, unknown ones last."""
    return BANDS.find(band) if band and band in BANDS else len(BANDS)
