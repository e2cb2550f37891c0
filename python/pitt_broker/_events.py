"""A filter's matches from the HTTP port of a running broker: Server-Sent Events, with the standard library alone."""

from __future__ import annotations

import http.client
import json
import random
import time
import urllib.parse
from typing import Any

from ._matches import Following, Match
from ._native import StreamError

#: The server sends a comment each 15 s: silence for so long means that the connection is dead, s.
_SILENCE_S = 45.0
#: Waits between attempts, s: the first, and the longest.
_RETRY_S = (0.5, 30.0)


def follow_http(
    name: str,
    *,
    url: str = "http://127.0.0.1:8080",
    after: str | None = None,
    token: str | None = None,
    timeout_s: float | None = None,
) -> Events:
    """Follows a filter's matches at the HTTP port of a running broker: an iterator of rows of its table ``matches``.

    ::

        with pb.follow_http("bright", timeout_s=600) as matches:
            for match in matches:
                print(match.object_id, match["mag"], match["band"])
        later = matches.last_id          # give it as `after` to go on from here

    A connection that breaks is made again, after 0.5 s, 1 s, .. 30 s, and goes on after the last match: none is missed and none
    comes twice. (Without ``after``, and before the first match, there is nothing to go on after: what comes while the
    connection is away is not seen.)

    Parameters
    ----------
    name
        The filter.
    url
        The broker's address; ``https`` too, and with a path where a proxy gives it one.
    after
        Go on after this match (:attr:`Match.place`, :attr:`Events.last_id`); ``"0"``: all matches of the archive; from now on
        when left out.
    token
        Token for reading, where the broker asks for one.
    timeout_s
        End after so long without a match; wait for ever when left out.

    Raises
    ------
    StreamError
        Nobody answers at the address, there is no such filter, or the token is wrong. Once matches have begun to come,
        a broker that is away is waited for.
    """
    return Events(name, url, after, token, timeout_s)


class Events(Following):
    """What :func:`follow_http` gives.

    Attributes
    ----------
    last_id
        Cursor of the last match handed out; ``None`` before the first.
    """

    def __init__(self, name: str, url: str, after: str | None, token: str | None, timeout_s: float | None):
        self.last_id = after
        self._url = urllib.parse.urlsplit(url.rstrip("/") + f"/api/v1/filters/{urllib.parse.quote(name, safe='')}/events")
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise ValueError(f"url={url!r}: must be like http://127.0.0.1:8080")
        self._token = token
        self._timeout_s = timeout_s
        #: The first wait, which the server may choose, and the next one.
        self._first_s = self._retry_s = _RETRY_S[0]
        self._line: _Lines | None = None
        self._answered = False
        self._closed = False
        self._begin()

    def __next__(self) -> Match:
        end = None if self._timeout_s is None else time.monotonic() + self._timeout_s
        while not self._closed:
            if end is not None and time.monotonic() >= end:
                break
            try:
                event = self._read(end)
            except (OSError, http.client.HTTPException):
                self._drop()
                continue
            except (ValueError, AttributeError):
                # A file that another thread has closed.
                if self._closed:
                    break
                raise
            if event is not None:
                return event
        raise StopIteration

    def close(self) -> None:
        """Ends it, from another thread too."""
        self._closed = True
        self._drop()

    def _begin(self) -> None:
        """Connects the first time, when a silent address is a mistake and no accident."""
        try:
            self._connect(None)
        except (OSError, http.client.HTTPException) as error:
            raise StreamError(
                f"nobody answers at {self._url.netloc}: {error} (is `pitt run` running there, with an HTTP port?)"
            ) from None

    def _drop(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _read(self, end: float | None) -> Match | None:
        """The next event, if it is a match."""
        if self._line is None:
            self._wait(end)
            if self._closed or (end is not None and time.monotonic() >= end):
                return None
            self._connect(end)
        if self._line is None or self._closed:
            return None
        event = self._line.event(end)
        if event is None:
            return None
        if event.retry_s is not None:
            self._first_s = event.retry_s
        self._retry_s = self._first_s
        if event.id is not None:
            self.last_id = event.id
        if event.name not in ("match", "message") or not event.data:
            return None
        row = json.loads(event.data)
        return Match(row, row, self.last_id or "")

    def _wait(self, end: float | None) -> None:
        """Before the next attempt: longer each time, a little by chance, and not beyond the end."""
        wait = self._retry_s * random.uniform(0.8, 1.2)
        self._retry_s = min(2 * self._retry_s, _RETRY_S[1])
        until = time.monotonic() + wait if end is None else min(time.monotonic() + wait, end)
        while not self._closed and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.25))

    def _connect(self, end: float | None) -> None:
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        left = _SILENCE_S if end is None else max(min(_SILENCE_S, end - time.monotonic()), 0.001)
        connection = kind(self._url.hostname or "", self._url.port, timeout=min(left, 10.0))
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        if self.last_id is not None:
            headers["Last-Event-ID"] = self.last_id
        try:
            connection.request("GET", self._url.path, headers=headers)
            socket = connection.sock
            answer = connection.getresponse()
            if answer.status >= 500 and self._answered:
                raise ConnectionError(f"{answer.status}: {answer.reason}")
        except (OSError, http.client.HTTPException):
            connection.close()
            raise
        if answer.status == 204:
            # The server's word for: no more.
            self._closed = True
        elif answer.status != 200:
            raise _refused(answer, self._url.geturl())
        self._line, self._answered = _Lines(connection, answer, socket), True


class _Event:
    def __init__(self) -> None:
        self.name = "message"
        self.id: str | None = None
        self.data = ""
        self.retry_s: float | None = None


class _Lines:
    """The body of an answer, event by event."""

    def __init__(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse, socket: Any):
        self._connection, self._answer, self._socket = connection, answer, socket

    def close(self) -> None:
        import socket

        try:
            # Wakes a thread that reads.
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._answer.close()
        self._connection.close()

    def event(self, end: float | None) -> _Event | None:
        """The next event; `None` for a comment.

        Raises
        ------
        OSError
            The connection is at its end, or silent for too long.
        """
        event, said = _Event(), False
        data: list[str] = []
        while True:
            left = _SILENCE_S if end is None else min(_SILENCE_S, end - time.monotonic())
            self._socket.settimeout(max(left, 0.001))
            raw = self._answer.readline()
            if not raw.endswith(b"\n"):
                raise ConnectionError("the stream ended")
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            if not line:
                event.data = "\n".join(data)
                return event if said else None
            if line.startswith(":"):
                if not said:
                    return None
                continue
            said = True
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "data":
                data.append(value)
            elif field == "event":
                event.name = value
            elif field == "id":
                event.id = value
            elif field == "retry" and value.isdigit():
                event.retry_s = int(value) / 1000


def _refused(answer: http.client.HTTPResponse, url: str) -> StreamError:
    """A refusal, in the server's own words where it has some."""
    body = answer.read(65_536)
    answer.close()
    return _told(answer, body, url)


def _told(answer: http.client.HTTPResponse, body: bytes, url: str) -> StreamError:
    """An error as RFC 9457 has it."""
    try:
        problem = json.loads(body)
        told = str(problem.get("detail") or problem.get("title") or answer.reason)
        hint = f" ({problem['hint']})" if problem.get("hint") else ""
    except (ValueError, AttributeError):
        told, hint = answer.reason, ""
    return StreamError(f"{url}: {answer.status}: {told}{hint}")
