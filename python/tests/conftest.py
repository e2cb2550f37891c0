"""Public nights served on this machine, an archive filled from them, and streams."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import http.server
import io
import os
import pathlib
import subprocess
import tarfile
import threading
import warnings
from typing import NoReturn

import node
import pytest
from broker import pitt

DATA = pathlib.Path(os.environ.get("PITT_TEST_DATA", node.REPOSITORY.parent / "shared" / "data"))


class Listing(http.server.SimpleHTTPRequestHandler):
    """Lists a folder as Apache does."""

    def log_message(self, *_):
        pass

    def list_directory(self, path):
        rows = "".join(
            f'<tr><td><a href="{file.name}">{file.name}</a></td><td align="right">2018-11-30 14:02  </td>'
            f'<td align="right">{file.stat().st_size} </td><td>&nbsp;</td></tr>\n'
            for file in sorted(pathlib.Path(path).iterdir())
        )
        page = f"<html><title>Index of /alerts/public</title><table>\n{rows}</table></html>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        return io.BytesIO(page)


@pytest.fixture(scope="session")
def nights(tmp_path_factory) -> pathlib.Path:
    """A folder like the public archive's: the real one, or, without real alerts, two made-up nights and an empty one."""
    real = DATA / "ztf" / "nightly"
    if real.is_dir():
        return real
    folder = tmp_path_factory.mktemp("nights")
    made = tmp_path_factory.mktemp("made")
    words = ["--survey", "ztf", "--visits", "2", "--alerts-per-visit", "60", "--bad-per-million", "0"]
    subprocess.run([pitt(), "simulate", "--into", made, *words], check=True, capture_output=True)
    packets = sorted(made.rglob("*.avro"))
    half = len(packets) // 2
    for night, members in (("20180601", packets[:half]), ("20180602", packets[half:]), ("20180603", [])):
        with tarfile.open(folder / f"ztf_public_{night}.tar.gz", "w:gz") as tar:
            for member in members:
                tar.add(member, member.name)
    sums = [f"{hashlib.md5(f.read_bytes()).hexdigest()}  /epyc/{f.name}\n" for f in sorted(folder.iterdir())]
    (folder / "MD5SUMS").write_text("".join(sums))
    return folder


@pytest.fixture(scope="session")
def public_archive(nights) -> str:
    """Address of a web server with these nights."""
    handler = functools.partial(Listing, directory=str(nights))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(scope="session")
def workplace(public_archive, tmp_path_factory) -> pathlib.Path:
    """A folder with an archive of all these nights in it, and the environment of a user who works there."""
    folder = tmp_path_factory.mktemp("work")
    before = pathlib.Path.cwd()
    os.environ["PITT_ARCHIVE_URL"] = public_archive
    os.chdir(folder)
    import mock_stream

    mock_stream.download_data(max_downloads=99)
    yield folder
    os.chdir(before)
    del os.environ["PITT_ARCHIVE_URL"]


@pytest.fixture(scope="session")
def archive(workplace):
    import pitt_broker

    return pitt_broker.open()


@dataclasses.dataclass(frozen=True)
class Simulated:
    """Two nights of both surveys, made up: as files, in memory, and in an archive."""

    folder: pathlib.Path
    packets: list[bytes]
    archive: object


@pytest.fixture(scope="session")
def simulated(tmp_path_factory) -> Simulated:
    import pitt_broker

    simulation = pitt_broker.simulate(nights=2, visits=4, alerts_per_visit=30, seed=3)
    folder = simulation.write(tmp_path_factory.mktemp("simulated") / "nights")
    words = [pitt(), "run", "--from", folder, "--archive", folder.parent / "archive"]
    subprocess.run(words, check=True, capture_output=True)
    with pitt_broker.open(folder.parent / "archive") as archive:
        yield Simulated(folder, simulation.packets(), archive)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory):
    """Address of an Apache Kafka."""
    try:
        running = node.Kafka(tmp_path_factory.mktemp("kafka"))
    except node.Missing as why:
        without_kafka(why)
    with running:
        yield running.servers


def without_kafka(why: node.Missing) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"cannot run in this CI: {why}", pytrace=False)
    pytest.skip(f"no Apache Kafka: {why}")


@contextlib.contextmanager
def pitt_stream(folder: pathlib.Path, port: int):
    """A `pitt stream` while it runs; its address."""
    address = f"127.0.0.1:{port}"
    words = ["stream", "--topic", "ztf-stream", "--listen", address, "--folder", folder]
    running = subprocess.Popen([pitt(), *words], stdout=subprocess.DEVNULL, preexec_fn=node.dies_with_us)
    try:
        while not node.listens(address):
            assert running.poll() is None, "pitt stream ended"
        yield address
    finally:
        running.terminate()
        running.wait()


@pytest.fixture(scope="session")
def own_stream(tmp_path_factory):
    """Address of a `pitt stream`."""
    with pitt_stream(tmp_path_factory.mktemp("stream"), node.free_ports(1)[0]) as address:
        yield address


@pytest.fixture(params=["Apache Kafka", "pitt stream"])
def stream(request, tmp_path_factory):
    """Address of a stream of either kind that is this test's alone: localhost:9092, as users have it, if that is free."""
    port = 9092
    if node.listens("127.0.0.1:9092"):
        port = node.free_ports(1)[0]
        warnings.warn(f"port 9092 is taken: {request.param} runs at {port}, and the promised text is changed so far", stacklevel=1)
    folder = tmp_path_factory.mktemp("promised")
    if request.param == "pitt stream":
        with pitt_stream(folder, port):
            yield f"localhost:{port}"
        return
    try:
        running = node.Kafka(folder, port=port)
    except node.Missing as why:
        without_kafka(why)
    with running:
        yield f"localhost:{port}"
