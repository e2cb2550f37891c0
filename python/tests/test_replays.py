"""Bulk replay from the HTTP port of the real program, also over a line that breaks off in the middle of a chunk."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import io
import itertools
import json
import subprocess
import threading
from collections.abc import Iterator

import node
import pytest
from broker import pitt

import pitt_broker as pb


@pytest.fixture(scope="module")
def served(simulated) -> Iterator[tuple[str, str]]:
    """Address and token of `pitt serve` over the simulated archive."""
    archive = simulated.folder.parent / "archive"
    made = subprocess.run([pitt(), "token", "create", "bulk", "--json", "--archive", archive], check=True, capture_output=True)
    token = json.loads(made.stdout)["token"]
    words = [pitt(), "serve", "--archive", archive, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().split(" at ")[-1].split("/#")[0].strip(), token
        server.terminate()


class Cutting(http.server.BaseHTTPRequestHandler):
    """Hands requests on, and breaks off the first answers with a chunk after a thousand bytes."""

    protocol_version = "HTTP/1.1"
    there = ""
    left = 0

    def log_message(self, *_):
        pass

    def hand_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        broker = http.client.HTTPConnection(self.there.removeprefix("http://"))
        broker.request(self.command, self.path, body or None, dict(self.headers.items()) | {"Host": "localhost"})
        answer = broker.getresponse()
        text = answer.read()
        broker.close()
        self.send_response(answer.status)
        for name in ("x-chunk", "content-type"):
            if answer.headers[name]:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.path.endswith("/next") and len(text) > 1000 and type(self).left > 0:
            type(self).left -= 1
            text = text[:1000]
            self.close_connection = True
        self.wfile.write(text)

    do_GET = do_POST = do_DELETE = hand_on


@contextlib.contextmanager
def cut(there: str, times: int) -> Iterator[str]:
    handler = type("Handler", (Cutting,), {"there": there, "left": times})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        assert handler.left == 0


def test_packets_come_as_they_were_received(served, simulated):
    url, token = served
    replay = pb.replay_http(format="packets", chunk=50, url=url, token=token)
    packets = list(replay)
    assert len(packets) == replay.alerts and replay.chunks > 3
    assert set(packets) <= set(simulated.packets)
    assert replay.state["next"] is None and list(replay) == []
    replay.remove()
    with pytest.raises(pb.StreamError, match="404: there is no replay"):
        print(replay.state)


def test_a_line_that_breaks_costs_no_alert(served, simulated):
    url, token = served
    survey = "SELECT survey, alert_id FROM alerts WHERE survey = 'lsst'"
    with cut(url, 2) as broken:
        replay = pb.replay_http(sql=survey, chunk=40, url=broken, token=token)
        ids = [int(alert["pitt"]["alert_id"]) for alert in replay]
    table = simulated.archive.query(survey).to_pandas()
    assert sorted(ids) == sorted(table["alert_id"]) and len(ids) == replay.alerts


def test_it_goes_on_with_the_chunk_that_was_under_way(served):
    url, token = served
    with pb.replay_http(survey="ztf", chunk=30, url=url, token=token) as replay:
        early = [alert["candid"] for alert in itertools.islice(replay, 45)]
    late = [alert["candid"] for alert in pb.replay_http(id=replay.id, url=url, token=token)]
    assert late[:15] == early[30:], "that chunk again"
    assert len({*early, *late}) == replay.alerts


def test_avro_files_are_read_by_fastavro(served):
    fastavro = pytest.importorskip("fastavro")
    url, token = served
    replay = pb.replay_http(format="avro", chunk=60, url=url, token=token)
    records = [record for file in replay for record in fastavro.reader(io.BytesIO(file))]
    assert len(records) == replay.alerts == len({record["pitt"]["alert_id"] for record in records})


def test_refusals_are_told_in_the_servers_words(served):
    url, token = served
    with pytest.raises(pb.StreamError, match="401: this needs a token"):
        pb.replay_http(night=20260224, url=url)
    with pytest.raises(pb.StreamError, match="404: there is no filter `dim`"):
        pb.replay_http(filter="dim", url=url, token=token)
    with pytest.raises(ValueError, match="night: a replay that is there"):
        pb.replay_http(id="a", night=20260224, url=url)
    with pytest.raises(ValueError, match="must be like"):
        pb.replay_http(url="localhost:8080")
    with pytest.raises(pb.StreamError, match="nobody answers"):
        pb.replay_http(url=f"http://127.0.0.1:{node.free_ports(1)[0]}")
