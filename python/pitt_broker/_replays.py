"""A selection of an archive from the HTTP port of a broker, in chunks that are acknowledged; with the standard library alone."""

from __future__ import annotations

import http.client
import io
import json
import tarfile
import time
import urllib.parse
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from ._events import _told
from ._native import StreamError

#: Waits between attempts, s: the first, and the longest.
_RETRY_S = (0.5, 30.0)
#: Silence for so long means that the connection is dead, s.
_SILENCE_S = 120.0


def replay_http(
    *,
    filter: str | None = None,
    night: int | None = None,
    sql: str | None = None,
    survey: str | None = None,
    format: str = "json",
    chunk: int = 1000,
    stamps: bool = False,
    id: str | None = None,
    url: str = "http://127.0.0.1:8080",
    token: str | None = None,
    patience_s: float = 300.0,
) -> Replay:
    """Hands out a selection of a broker's archive again: an iterator of alerts in the order of receipt.

    ::

        replay = pb.replay_http(filter="bright", night=20260224, token=TOKEN)
        print(replay.id, replay.alerts)
        for alert in replay:                          # a dict with the survey's fields, as streams publish them
            print(alert["objectId"], alert["pitt"]["psf_flux"])

    What it covers is fixed when it is made: alerts that come later are not in it. A chunk is acknowledged when the alert after its
    last one is asked for; so after a break ``pb.replay_http(id=replay.id, ...)``, tomorrow or on another machine, begins with the
    chunk that was under way. A broker that is away is waited for.

    Parameters
    ----------
    filter, night, sql, survey
        Alerts that this filter took; of this night (YYYYMMDD); among the rows of this query, which gives ``survey`` and
        ``alert_id``; of this survey. All that are given must apply.
    format
        ``"json"``: each alert a dict. ``"packets"``: each packet the bytes that were received. ``"avro"``: each chunk the bytes of an
        Avro container file.
    chunk
        Alerts a chunk, up to 10,000.
    stamps
        Whether dicts and Avro files bring the stamps.
    id
        A replay that was made before, to go on with; nothing else says what it is then.
    url
        The broker's address; ``https`` too, and with a path where a proxy gives it one.
    token
        A token of any scope: the replay belongs to it (``pitt token create NAME``).
    patience_s
        Longest wait for a broker that is away `[s]`.

    Raises
    ------
    StreamError
        Nobody answers, the token is missing or wrong, or there is no such filter, replay or column.
    """
    asked = {"filter": filter, "night": night, "sql": sql, "survey": survey}
    wanted = {name: value for name, value in asked.items() if value is not None}
    if id is not None and wanted:
        raise ValueError(f"{', '.join(wanted)}: a replay that is there already says itself what it covers")
    port = _Port(url, token, patience_s)
    if id is None:
        state = port.json("POST", "replays", {**wanted, "format": format, "chunk": chunk, "stamps": stamps})
    else:
        state = port.json("GET", f"replays/{urllib.parse.quote(id, safe='')}")
    return Replay(port, state)


class Replay:
    """What :func:`replay_http` gives: alerts (dicts), packets or Avro files (bytes).

    Attributes
    ----------
    id
        Its name at the broker, to go on with.
    alerts, chunks
        How many there are.
    """

    def __init__(self, port: _Port, state: dict[str, Any]):
        self.id: str = state["id"]
        self.alerts: int = state["alerts"]
        self.chunks: int = state["chunks"]
        self._port, self._format = port, state["format"]
        self._items = self._all()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._items)

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._items.close()

    @property
    def state(self) -> dict[str, Any]:
        """How far it is, as the broker says it: ``acknowledged``, ``next``, ``expires_us``, .."""
        return self._port.json("GET", f"replays/{self.id}")

    def remove(self) -> None:
        """Takes it away at the broker; the alerts stay."""
        self._port.ask("DELETE", f"replays/{self.id}")

    def _all(self) -> Any:
        while True:
            answer, body = self._port.ask("GET", f"replays/{self.id}/next")
            if answer.status == 204:
                return
            yield from _items(self._format, body)
            number = int(answer.headers["x-chunk"])
            self._port.json("POST", f"replays/{self.id}/ack", {"chunk": number})


def _items(format: str, body: bytes) -> Iterator[Any]:
    if format == "avro":
        yield body
    elif format == "packets":
        with tarfile.open(fileobj=io.BytesIO(body), mode="r:") as tar:
            for member in tar:
                file = tar.extractfile(member)
                if file is not None:
                    yield file.read()
    else:
        # Not by `splitlines`, which knows ends of lines that JSON does not.
        yield from (json.loads(line) for line in body.split(b"\n") if line)


class _Port:
    """Requests to a broker; one that is away is waited for."""

    def __init__(self, url: str, token: str | None, patience_s: float):
        self._url = urllib.parse.urlsplit(url.rstrip("/") + "/api/v1/")
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise ValueError(f"url={url!r}: must be like http://127.0.0.1:8080")
        self._token, self._patience_s = token, patience_s
        self._answered = False

    def json(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        _, text = self.ask(method, path, body)
        found: dict[str, Any] = json.loads(text)
        return found

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[http.client.HTTPResponse, bytes]:
        """A whole answer: one that breaks off is asked for again, which does no harm here."""
        wait_s, end = _RETRY_S[0], time.monotonic() + self._patience_s
        while True:
            try:
                answer, text = self._once(method, path, body)
            except (OSError, http.client.HTTPException) as error:
                told = StreamError(f"nobody answers at {self._url.netloc}: {error} (is `pitt run` or `pitt serve` running there?)")
                # The first time a silent address is a mistake and no accident.
                if not self._answered or time.monotonic() + wait_s > end:
                    raise told from None
            else:
                self._answered = True
                if answer.status < 300:
                    return answer, text
                busy = answer.status in (429, 503)
                if not busy or time.monotonic() + wait_s > end:
                    raise _told(answer, text, self._url.geturl() + path)
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, _RETRY_S[1])

    def _once(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[http.client.HTTPResponse, bytes]:
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._url.hostname or "", self._url.port, timeout=_SILENCE_S)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, self._url.path + path, text, headers)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()
