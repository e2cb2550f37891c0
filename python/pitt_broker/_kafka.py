"""A filter's topic, read with confluent-kafka or kafka-python, whichever is installed."""

from __future__ import annotations

import base64
import importlib.util
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from . import _native
from ._decode import built_in
from ._matches import Following, Match

#: How long one look for messages takes at most, s: so soon is Ctrl-C heeded.
_LOOK_S = 0.25


def follow(
    name: str,
    *,
    servers: str | Sequence[str] = "localhost:9092",
    prefix: str = "pitt-",
    topic: str | None = None,
    start: str = "latest",
    group: str | None = None,
    timeout_s: float | None = None,
    client: str | None = None,
    settings: dict[str, Any] | None = None,
) -> Following:
    """Follows a filter's topic: an iterator of its matches, from Apache Kafka or ``pitt stream``.

    ::

        with pb.follow("bright", start="earliest", timeout_s=60) as matches:
            for match in matches:
                print(match.object_id, match["candidate"]["magpsf"])

    Messages are read as committed: each match once. With a ``group`` its place is kept by the stream, noted when the next
    match is asked for, and the next reader of the group goes on there.

    Parameters
    ----------
    name
        The filter; its topic is ``prefix + name``.
    servers
        Addresses ``HOST:PORT``, of the output that ``[output] servers`` names.
    topic
        Instead of that, exactly this topic.
    start
        ``"latest"``: what comes from now on; ``"earliest"``: everything that the topic still has. A group that has read before
        goes on where it stood.
    group
        Name of a consumer group.
    timeout_s
        End after so long without a match; wait for ever when left out.
    client
        ``"confluent-kafka"`` or ``"kafka-python"``; the first that is installed when left out.
    settings
        More settings of that client, in its own words (signing in, TLS).

    Raises
    ------
    StreamError
        Nobody answers at the address, there is no such topic, or the stream fails while it is read.
    DecodeError
        A message cannot be read.
    ImportError
        Neither client is installed.
    """
    if start not in ("latest", "earliest"):
        raise ValueError(f"start={start!r}: must be 'latest' or 'earliest'")
    addresses = servers if isinstance(servers, str) else ",".join(servers)
    asked = _Asked(addresses, topic or f"{prefix}{name}", start, group, settings or {})
    return _Topic(_CLIENTS[_chosen(client)](asked), timeout_s)


@dataclass(frozen=True)
class _Asked:
    servers: str
    topic: str
    start: str
    group: str | None
    settings: dict[str, Any]

    def missing(self, known: Sequence[str]) -> _native.StreamError:
        there = ", ".join(sorted(name for name in known if not name.startswith("_"))) or "none"
        return _native.StreamError(
            f"no topic {self.topic} at {self.servers} (there are: {there}; a filter's topic is made when its broker starts)"
        )

    def silent(self, why: object) -> _native.StreamError:
        return _native.StreamError(f"nobody answers at {self.servers}: {why} (is a stream running there?)")


@dataclass(frozen=True)
class _Message:
    place: str
    key: bytes | None
    value: bytes
    headers: dict[str, str]


class _Client(Protocol):
    def look(self, seconds: float) -> _Message | None: ...
    def done(self) -> None: ...
    def close(self) -> None: ...


class _Topic(Following):
    def __init__(self, client: _Client, timeout_s: float | None):
        self._client: _Client | None = client
        self._timeout_s = timeout_s
        self._handed_out = False

    def __next__(self) -> Match:
        end = None if self._timeout_s is None else time.monotonic() + self._timeout_s
        if self._handed_out and self._client is not None:
            self._client.done()
            self._handed_out = False
        while self._client is not None:
            left = _LOOK_S if end is None else min(_LOOK_S, end - time.monotonic())
            message = self._client.look(max(left, 0.0))
            if message is not None:
                self._handed_out = True
                return _match(message)
            if end is not None and time.monotonic() >= end:
                break
        raise StopIteration

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _match(message: _Message) -> Match:
    about: dict[str, Any] = dict(message.headers)
    if message.value[:1] == b"{":
        fields = _from_json(message.value)
        about = {**fields.get("pitt", {}), **about}
    elif message.value[:4] == b"Obj\x01" or message.key is None:
        fields = _native.alerts(message.value, built_in())[0]
    else:
        fields = _native.datum(message.value, message.key.decode())[0]
    if "object_id" not in about and message.key is not None and message.key[:1] != b"{":
        about["object_id"] = message.key.decode()
    return Match(fields, about, message.place)


def _from_json(value: bytes) -> dict[str, Any]:
    """JSON has stamps as base64: bytes again, for :func:`stamp`."""
    fields: dict[str, Any] = json.loads(value)
    for name, cutout in fields.items():
        if name.lower().startswith("cutout"):
            if isinstance(cutout, str):
                fields[name] = base64.b64decode(cutout)
            elif isinstance(cutout, dict) and isinstance(cutout.get("stampData"), str):
                cutout["stampData"] = base64.b64decode(cutout["stampData"])
    return fields


class _Confluent:
    def __init__(self, asked: _Asked):
        import confluent_kafka as kafka

        self._kafka, self._asked = kafka, asked
        self._last: Any = None
        settings = {
            "bootstrap.servers": asked.servers,
            "group.id": asked.group or "pitt-broker-without-group",
            "enable.auto.commit": False,
            "auto.offset.reset": asked.start,
            "isolation.level": "read_committed",
            "log_level": 0,
            **asked.settings,
        }
        self._consumer = kafka.Consumer(settings)
        try:
            self._begin()
        except BaseException:
            self._consumer.close()
            raise

    def _begin(self) -> None:
        asked, kafka = self._asked, self._kafka
        try:
            topics = self._consumer.list_topics(timeout=10).topics
        except kafka.KafkaException as error:
            raise asked.silent(error.args[0].str()) from None
        found = topics.get(asked.topic)
        if found is None or not found.partitions:
            raise asked.missing(list(topics))
        if asked.group is not None:
            self._consumer.subscribe([asked.topic])
            return
        # The ends are asked for now: what comes while the reader thinks is not missed.
        places = []
        for partition in found.partitions:
            place = kafka.TopicPartition(asked.topic, partition)
            low, high = self._consumer.get_watermark_offsets(place, timeout=10)
            place.offset = low if asked.start == "earliest" else high
            places.append(place)
        self._consumer.assign(places)

    def look(self, seconds: float) -> _Message | None:
        message = self._consumer.poll(seconds)
        if message is None:
            return None
        error = message.error()
        if error is not None:
            if error.retriable() or error.code() == self._kafka.KafkaError._PARTITION_EOF:
                return None
            raise _native.StreamError(f"{self._asked.topic} at {self._asked.servers}: {error.str()}")
        self._last = message
        place = f"{message.topic()}[{message.partition()}]@{message.offset()}"
        return _Message(place, message.key(), message.value() or b"", _texts(list(message.headers() or [])))

    def done(self) -> None:
        if self._asked.group is not None and self._last is not None:
            self._consumer.commit(message=self._last, asynchronous=True)

    def close(self) -> None:
        self._consumer.close()


class _KafkaPython:
    def __init__(self, asked: _Asked):
        import kafka

        self._kafka, self._asked = kafka, asked
        self._last: Any = None
        settings = {
            "bootstrap_servers": asked.servers.split(","),
            "group_id": asked.group,
            "enable_auto_commit": False,
            "auto_offset_reset": asked.start,
            "isolation_level": "read_committed",
            **asked.settings,
        }
        try:
            self._consumer = kafka.KafkaConsumer(**settings)
        except kafka.errors.KafkaError as error:
            raise asked.silent(error) from None
        try:
            self._begin()
        except BaseException:
            self._consumer.close()
            raise

    def _begin(self) -> None:
        asked, consumer = self._asked, self._consumer
        known = consumer.topics()
        if asked.topic not in known:
            raise asked.missing(list(known))
        if asked.group is not None:
            consumer.subscribe([asked.topic])
            return
        places = [self._kafka.TopicPartition(asked.topic, n) for n in consumer.partitions_for_topic(asked.topic) or ()]
        consumer.assign(places)
        ends = consumer.beginning_offsets(places) if asked.start == "earliest" else consumer.end_offsets(places)
        for place in places:
            consumer.seek(place, ends[place])

    def look(self, seconds: float) -> _Message | None:
        try:
            polled = self._consumer.poll(timeout_ms=int(seconds * 1000), max_records=1)
        except self._kafka.errors.KafkaError as error:
            raise _native.StreamError(f"{self._asked.topic} at {self._asked.servers}: {error}") from None
        for records in polled.values():
            for record in records:
                self._last = record
                place = f"{record.topic}[{record.partition}]@{record.offset}"
                return _Message(place, record.key, record.value or b"", _texts(record.headers))
        return None

    def done(self) -> None:
        if self._asked.group is not None and self._last is not None:
            self._consumer.commit_async()

    def close(self) -> None:
        self._consumer.close(autocommit=False)


def _texts(headers: Sequence[Any]) -> dict[str, str]:
    return {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in headers if value is not None}


_CLIENTS: dict[str, Any] = {"confluent-kafka": _Confluent, "kafka-python": _KafkaPython}
_MODULES = {"confluent-kafka": "confluent_kafka", "kafka-python": "kafka"}


def _chosen(client: str | None) -> str:
    if client is not None and client not in _MODULES:
        raise ValueError(f"client={client!r}: must be 'confluent-kafka' or 'kafka-python'")
    wanted = list(_MODULES) if client is None else [client]
    for name in wanted:
        if importlib.util.find_spec(_MODULES[name]) is not None:
            return name
    raise ImportError(f"reading a topic needs {' or '.join(wanted)}: `pip install {wanted[0]}`")
