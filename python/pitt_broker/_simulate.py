"""Made-up alerts that look like a sky, with the truth beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from . import _native
from ._decode import decode
from ._table import Table

if TYPE_CHECKING:
    from typing import Any


def simulate(
    *,
    survey: str | None = None,
    seed: int = 1,
    first_night: int = 20260224,
    nights: int = 1,
    visits: int = 40,
    alerts_per_visit: int = 60,
    bad_per_million: int = 0,
    duplicates_per_million: int = 0,
) -> Simulation:
    """Simulates nights of ZTF, of LSST, or of both, as ``pitt simulate`` does.

    Supernovae rise and fall, variable stars keep their periods, asteroids move; packets have the surveys' fields, types,
    histories and stamps. The same numbers give the same bytes.

    >>> simulation = simulate(survey="lsst", visits=2, alerts_per_visit=10)
    >>> for visit in simulation:
    ...     visit.survey, visit.night, len(visit.packets)
    ('lsst', 20260224, 10)
    ('lsst', 20260224, 10)
    >>> simulation.truth().columns[:4]
    ['survey', 'alert_id', 'object_id', 'class']

    Parameters
    ----------
    survey
        ``"ztf"`` or ``"lsst"``; both, by turns, when left out.
    seed
        Chooses the sky, the weather and the noise.
    first_night
        YYYYMMDD; from 2017 to 2042, nights of history before it included.
    nights, visits, alerts_per_visit
        How much: ``nights * visits * alerts_per_visit`` packets of each survey.
    bad_per_million, duplicates_per_million
        Packets that arrive damaged, or twice.

    Raises
    ------
    ValueError
        There is no such survey or night, or the ids do not reach so far.
    """
    return Simulation(
        surveys=["ztf", "lsst"] if survey is None else [survey],
        seed=seed,
        first_night=first_night,
        nights=nights,
        visits=visits,
        alerts_per_visit=alerts_per_visit,
        bad_per_million=bad_per_million,
        duplicates_per_million=duplicates_per_million,
    )


class Simulation:
    """A simulation. Going through it gives visit after visit, made as they are asked for; each time from the beginning.

    A visit has ``survey``, ``night`` (YYYYMMDD), ``mjd_tai`` (d, middle of the exposure), ``packets`` (a list of bytes)
    and ``truth`` (Arrow, one row a packet).
    """

    def __init__(self, **numbers: Any):
        self._numbers = numbers
        self._begun()

    def _begun(self) -> _native.Simulation:
        return _native.Simulation(**self._numbers)

    def __iter__(self) -> Iterator[_native.Visit]:
        return iter(self._begun())

    def packets(self) -> list[bytes]:
        """All packets, as the surveys would send them."""
        return [packet for visit in self for packet in visit.packets]

    def tables(self, *, stamps: bool = False) -> list[Table]:
        """All alerts as tables, one for each survey: what :func:`decode` makes of the packets."""
        return decode(self.packets(), stamps=stamps, errors="skip")

    def truth(self) -> Table:
        """What is behind each packet, in their order.

        ``survey, alert_id, object_id, class, designation, period [d], redshift, peak_mjd_tai [d], rate [arcsec/h], ra, dec
        [deg], mjd_tai [d], band, true_flux, psf_flux, psf_flux_err [nJy], fault``; null where it does not apply. A true flux of 0
        means that nothing is there (``class`` is ``bogus``).
        """
        return Table(pa.concat_tables([pa.table(visit.truth) for visit in self]))

    def write(self, folder: str | Path) -> Path:
        """Writes packets and ``truth.csv`` as files, laid out as the surveys' archives; gives the folder.

        ``pitt run --from FOLDER`` reads them; so does :func:`decode`.

        Raises
        ------
        OSError
            The folder cannot be written.
        """
        self._begun().write(Path(folder))
        return Path(folder)
