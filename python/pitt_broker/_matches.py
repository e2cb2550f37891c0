"""Matches of a filter as they come."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, TypeVar

_Self = TypeVar("_Self", bound="Following")


class Match(dict[str, Any]):
    """What a filter took: a dict of the alert's fields, and who took it as attributes.

    From a Kafka topic the fields are the survey's own (``candidate``, ``diaSource``; stamps where the broker publishes them,
    for :func:`stamp` and :func:`plot_stamps`); from the HTTP port a row of ``matches`` (``object_id, ra, dec, band, mag,
    mjd_tai``, ..).

    Attributes
    ----------
    filter, version
        Name of the filter, and eight hexadecimal digits that change with its text.
    survey, alert_id, object_id
        Which alert. (``survey``, ``alert_id``, ``filter``, ``version``) name a match for ever.
    place
        Where it stood: ``topic[partition]@offset``, or the cursor of the HTTP port.
    """

    def __init__(self, fields: dict[str, Any], about: dict[str, Any], place: str):
        super().__init__(fields)
        self.filter: str | None = about.get("filter")
        self.version: str | None = about.get("version")
        self.survey: str | None = about.get("survey")
        self.alert_id: int | None = None if about.get("alert_id") is None else int(about["alert_id"])
        self.object_id: str | None = about.get("object_id")
        self.place = place

    def __repr__(self) -> str:
        return f"<Match of {self.filter}: {self.survey} alert {self.alert_id} of {self.object_id}, {self.place}>"


class Following:
    """Matches as they come. Use it in a ``with``, or :meth:`close` it."""

    def __iter__(self) -> Iterator[Match]:
        return self

    def __next__(self) -> Match:
        raise NotImplementedError

    def close(self) -> None:
        """Ends it; whoever waits for the next match gets none."""
        raise NotImplementedError

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
