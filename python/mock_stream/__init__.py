"""A stream of real ZTF alerts on your own machine: fetch public nights, look at alerts, feed them to a local stream.

>>> from mock_stream import download_data, iter_alerts, plot_stamps     # doctest: +SKIP
>>> download_data()                                                      # doctest: +SKIP
>>> for alert in iter_alerts():                                          # doctest: +SKIP
...     figure = plot_stamps(alert); break

Alerts are kept in the archive that the ``pitt`` command uses: ``./pitt-data``, or ``PITT_ARCHIVE``.
"""

from __future__ import annotations

import gc
import itertools
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from pitt_broker import Archive, ArchiveError, DownloadError, StreamError, _native, download, plot_stamps, releases

__all__ = [
    "download_data",
    "get_alert_data",
    "get_number_local_alerts",
    "iter_alerts",
    "number_local_releases",
    "plot_stamps",
    "prime_alerts",
]

_WHAT_TO_DO = "fetch a night with `mock_stream.download_data()`, which takes 5 to 70 GB"
_PARTITION = "ztf-public:"


def download_data(max_downloads: int = 1, *, nights: Sequence[str] | None = None, quiet: bool = False) -> None:
    """Fetches daily releases of ZTF's public alerts, the newest first; those that are here are passed over.

    Parameters
    ----------
    max_downloads
        So many releases with alerts in them.
    nights
        Instead of the newest, these: ``["20181129"]``, ``["20181201..20181207"]``.
    quiet
        Say nothing.

    Raises
    ------
    pitt_broker.DownloadError
        No network, no such night, a wrong checksum, no room on the disk.
    """
    if max_downloads < 1:
        raise ValueError(f"max_downloads={max_downloads}: must be at least 1")
    for night in download(max_downloads, nights=nights, quiet=quiet):
        if not quiet:
            print(f"{night['night']}: {night['packets']} alerts")


def number_local_releases() -> int:
    """The number of daily releases that were downloaded."""
    return sum(release["complete"] for release in releases())


def get_number_local_alerts() -> int:
    """The number of alerts of all downloaded releases, each alert counted once."""
    archive = _archive()
    if archive is None:
        return 0
    like = f"{_PARTITION}%"
    sql = f"SELECT count(*) AS n FROM packets WHERE outcome = 'stored' AND \"partition\" LIKE '{like}'"
    return int(archive.query(sql)["n"][0].as_py())


def iter_alerts(num_alerts: int | None = None, raw: bool = False) -> Iterator[Any]:
    """All alerts of the downloaded releases, one after the other, however many there are.

    Parameters
    ----------
    num_alerts
        At most so many; all when left out.
    raw
        Give the bytes of the packets instead of dicts.

    Raises
    ------
    RuntimeError
        No release was downloaded.
    """
    if num_alerts is not None and num_alerts < 1:
        raise ValueError(f"num_alerts={num_alerts}: must be at least 1")
    archive = _archive()
    if archive is None or number_local_releases() == 0 and get_number_local_alerts() == 0:
        raise RuntimeError(f"no alerts are here: {_WHAT_TO_DO}")
    # What is begun may stand beside what is complete: whatever is in the archive counts.
    return itertools.islice(archive._native.packets(None if raw else "ztf", _PARTITION, None, raw), num_alerts)


def get_alert_data(candid: int | str, raw: bool = False) -> Any:
    """One alert, by its ``candid``, as a dict; with ``raw=True`` the bytes of its packet.

    Raises
    ------
    ValueError
        The alert is not here.
    """
    archive = _archive()
    if archive is None:
        raise ValueError(f"no alert {candid}: nothing is here yet ({_WHAT_TO_DO})")
    try:
        return archive.raw(candid) if raw else archive.alert(candid)
    except KeyError:
        raise ValueError(
            f"no alert {candid} among the {get_number_local_alerts()} that are here "
            f"({number_local_releases()} releases; `iter_alerts()` goes through them, `download_data(n)` fetches more)"
        ) from None


def prime_alerts(
    max_alerts: int = 100,
    servers: str | Sequence[str] = ("localhost:9092",),
    *,
    topic: str = "ztf-stream",
    timeout_s: float = 30.0,
    quiet: bool = False,
) -> int:
    """Sends alerts into a topic of a stream, as ZTF sends them, and waits until they are delivered.

    The stream is ``pitt stream --topic ztf-stream``, or Apache Kafka. Consumers of kafka-python that this process has made
    for the topic before, and not read from yet, begin in front of these alerts; by themselves they would begin behind
    them, since a consumer finds its place when it first reads.

    Parameters
    ----------
    max_alerts
        At most so many.
    servers
        Addresses ``HOST:PORT``.

    Returns
    -------
    int
        The number of alerts delivered.

    Raises
    ------
    RuntimeError
        No release was downloaded.
    pitt_broker.StreamError
        Some alerts could not be delivered; says how many and why.
    """
    packets = iter_alerts(max_alerts, raw=True)
    addresses = servers if isinstance(servers, str) else ",".join(servers)
    try:
        _native.ensure_topic(addresses, topic, timeout_s)
        _let_consumers_begin(topic)
    except StreamError as error:
        raise StreamError(
            f"no topic {topic} at {addresses}: {error} (is a stream running there? `pitt stream --topic {topic}` opens one)"
        ) from None
    delivered, failed = _native.send(addresses, topic, packets, timeout_s)
    if failed:
        raise StreamError(
            f"{len(failed)} of {delivered + len(failed)} alerts were not delivered to {topic} at {addresses}: {failed[0]} "
            f"(is a stream running there? `pitt stream --topic {topic}` opens one)"
        )
    if not quiet:
        print(f"{delivered} alerts in topic {topic} at {addresses}")
    return delivered


def _let_consumers_begin(topic: str) -> None:
    """Has consumers without a group, which were made and not read from, find their place in the topic now."""
    kafka = sys.modules.get("kafka")
    kind = getattr(kafka, "KafkaConsumer", None)
    if kind is None:
        return
    for consumer in [found for found in gc.get_objects() if type(found) is kind]:
        if consumer.config["group_id"] is None and topic in (consumer.subscription() or ()):
            consumer.partitions_for_topic(topic)
            for partition in consumer.assignment():
                consumer.position(partition, timeout_ms=5000)


def _archive() -> Archive | None:
    try:
        return Archive()
    except ArchiveError as error:
        if "there is no archive" in str(error):
            return None
        raise


def _warn_when_empty() -> None:
    try:
        if number_local_releases() == 0:
            warnings.warn(f"no ZTF alerts are here yet: {_WHAT_TO_DO}", stacklevel=3)
    except ArchiveError as error:
        warnings.warn(f"the local alerts cannot be read: {error}", stacklevel=3)


_warn_when_empty()
