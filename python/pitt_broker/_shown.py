"""Figures that notebooks show, with or without ``%matplotlib inline``. Imported when something is drawn: needs matplotlib."""

from __future__ import annotations

import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


class ShownFigure(Figure):
    """A figure that pyplot does not know: nothing global is touched, and it is freed when its owner drops it."""

    def __init__(self, width: float, height: float):
        super().__init__(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(self)

    def _repr_png_(self) -> bytes:
        """What Jupyter shows."""
        image = io.BytesIO()
        self.savefig(image, format="png", dpi=100)
        return image.getvalue()
