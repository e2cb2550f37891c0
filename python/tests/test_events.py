"""A filter's matches from the HTTP port, against a small server that speaks Server-Sent Events as the broker's does."""

from __future__ import annotations

import http.server
import itertools
import json
import threading

import node
import pytest

import pitt_broker as pb


def row(number: int) -> dict:
    return {"filter": "bright", "version": "00c0ffee", "survey": "ztf", "alert_id": str(3_000_000_000_000_000_000 + number),
            "object_id": f"ZTF26{number:07}", "mag": 17.5, "band": "r", "cursor": f"1.{number}"}


class Port(http.server.ThreadingHTTPServer):
    """Serves `/api/v1/filters/bright/events` of ten matches, and cuts each connection after `cut` of them."""

    daemon_threads = True

    def __init__(self, cut: int = 99, token: str | None = None, ends: bool = False):
        super().__init__(("127.0.0.1", 0), Speaker)
        self.cut, self.token, self.ends = cut, token, ends
        self.asked: list[str | None] = []
        self.busy = 0
        self.quiet = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __exit__(self, *_):
        self.quiet.set()
        self.shutdown()
        self.server_close()


class Speaker(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Port

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path != "/api/v1/filters/bright/events":
            return self.refuse(404, "unknown_filter", "there is no filter `dim`", "the filters are: bright")
        if self.server.token and self.headers["Authorization"] != f"Bearer {self.server.token}":
            return self.refuse(401, "needs_token", "reading needs a token", None)
        if self.server.busy:
            self.server.busy -= 1
            return self.refuse(503, "busy", "starting", None)
        after = self.headers["Last-Event-ID"]
        self.server.asked.append(after)
        begin = 10 if after is None else int(after.split(".")[-1])
        if self.server.ends and begin == 10:
            self.send_response(204)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.chunk(": hello\n\nretry: 10\n\nevent: status\ndata: {\"lag\": 0}\n\n")
        for number in range(begin + 1, min(begin + self.server.cut, 10) + 1):
            text = f"event: match\nid: 1.{number}\ndata: {json.dumps(row(number))}\n\n"
            # In two pieces, as a network may.
            self.chunk(text[:20])
            self.chunk(text[20:])
        if begin + self.server.cut >= 10 and not self.server.ends:
            self.server.quiet.wait(60)
        # Cut in the middle of an event.
        self.chunk("event: match\nid: 1.99\nda")
        self.close_connection = True

    def chunk(self, text: str):
        data = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def refuse(self, status: int, code: str, detail: str, hint: str | None):
        body = json.dumps({"title": code, "status": status, "detail": detail, "code": code, "hint": hint}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/problem+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_matches_come_with_their_place():
    with Port() as port, pb.follow_http("bright", url=port.url, after="0") as matches:
        taken = list(itertools.islice(matches, 10))
    assert [match.alert_id for match in taken] == [3_000_000_000_000_000_000 + number for number in range(1, 11)]
    assert taken[0]["mag"] == 17.5 and taken[0].filter == "bright" and taken[0].place == "1.1"
    assert matches.last_id == "1.10"


def test_a_broken_connection_goes_on_after_the_last_match():
    with Port(cut=3) as port:
        with pb.follow_http("bright", url=port.url, after="0") as matches:
            taken = [match.place for match in itertools.islice(matches, 10)]
        assert taken == [f"1.{number}" for number in range(1, 11)]
        assert port.asked == ["0", "1.3", "1.6", "1.9"]


def test_a_broker_that_restarts_is_waited_for():
    with Port(cut=5) as port:
        with pb.follow_http("bright", url=port.url, after="0") as matches:
            early = [match.place for match in itertools.islice(matches, 5)]
            port.busy = 2
            late = [match.place for match in itertools.islice(matches, 5)]
        assert early + late == [f"1.{number}" for number in range(1, 11)]


def test_it_resumes_later_ends_in_silence_and_when_told():
    with Port() as port:
        with pb.follow_http("bright", url=port.url, after="1.8", timeout_s=0.3) as matches:
            assert [match.place for match in matches] == ["1.9", "1.10"]
        with pb.follow_http("bright", url=port.url, timeout_s=0.1) as from_now:
            assert list(from_now) == []
        assert port.asked[:2] == ["1.8", None]
    with Port(ends=True) as port, pb.follow_http("bright", url=port.url, after="1.9") as matches:
        assert [match.place for match in matches] == ["1.10"]


def test_closing_from_another_thread_ends_a_wait():
    with Port() as port:
        matches = pb.follow_http("bright", url=port.url)
        waiting = threading.Thread(target=lambda: list(matches))
        waiting.start()
        matches.close()
        waiting.join(30)
        assert not waiting.is_alive()


def test_refusals_are_told_in_the_servers_words():
    with Port(token="secret") as port:
        with pytest.raises(pb.StreamError, match="401: reading needs a token"):
            pb.follow_http("bright", url=port.url)
        with pytest.raises(pb.StreamError, match="404: there is no filter `dim` .the filters are: bright"):
            pb.follow_http("dim", url=port.url, token="secret")
        with pb.follow_http("bright", url=port.url, token="secret", after="1.9") as matches:
            assert next(matches).place == "1.10"
    with pytest.raises(pb.StreamError, match="nobody answers"):
        pb.follow_http("bright", url=f"http://127.0.0.1:{node.free_ports(1)[0]}")
    with pytest.raises(ValueError, match="must be like"):
        pb.follow_http("bright", url="localhost:8080")
