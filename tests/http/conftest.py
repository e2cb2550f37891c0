"""An archive, and `pitt serve` over it on a free port. Clients that exist ask it, as they come from their registries."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest
import requests

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("PITT_BIN", REPOSITORY / "target/debug/pitt"))
DATA = pathlib.Path(os.environ.get("PITT_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
#: Longest wait for the port to open [s].
PATIENCE = 60.0


def missing(why: str) -> None:
    """Skips a test that cannot run here; in CI it fails."""
    if os.environ.get("CI"):
        pytest.fail(f"cannot run in this CI: {why}", pytrace=False)
    pytest.skip(why)


class Server:
    """A running `pitt serve`."""

    def __init__(self, archive: pathlib.Path, log: pathlib.Path):
        self.archive = archive
        self.log = log
        with log.open("w") as out:
            self.process = subprocess.Popen(
                [PROGRAM, "serve", "--archive", archive, "--listen", "127.0.0.1:0"],
                stdout=out,
                stderr=out,
                cwd=archive.parent,
            )
        self.url = self._wait()
        self.api = f"{self.url}/api/v1"

    def _wait(self) -> str:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            told = self.log.read_text()
            words = [word for word in told.split() if word.startswith("http://")]
            if words:
                # The first address is that of the pages, with this run's token.
                return words[0].split("/#")[0]
            assert self.process.poll() is None, told
            time.sleep(0.05)
        raise AssertionError(f"no port within {PATIENCE} s: {self.log.read_text()}")

    def get(self, path: str, **parameters) -> requests.Response:
        """The answer at a path under /api/v1."""
        return requests.get(f"{self.api}/{path}", params=parameters, timeout=60)

    def json(self, path: str, **parameters):
        """The same, which must be good."""
        answer = self.get(path, **parameters)
        assert answer.status_code == 200, f"{answer.url}: {answer.text}"
        return answer.json()

    def rows(self, sql: str) -> list[dict]:
        """What the program itself finds in the archive, past the port."""
        told = subprocess.run(
            [PROGRAM, "query", "--archive", self.archive, "--json", sql], check=True, capture_output=True, text=True
        )
        return [json.loads(line) for line in told.stdout.splitlines()]

    def token(self, scope: str) -> str:
        """A new token of the archive."""
        told = subprocess.run(
            [PROGRAM, "token", "create", "tests", "--scope", scope, "--json", "--archive", self.archive],
            check=True,
            capture_output=True,
            text=True,
        )
        return json.loads(told.stdout)["token"]

    def stop(self) -> None:
        """Ends it as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(30) == 0, self.log.read_text()


def _fill(archive: pathlib.Path, *arguments: str | pathlib.Path) -> None:
    quiet = {"PITT_HTTP_LISTEN": ""}
    subprocess.run(
        [PROGRAM, *arguments, "--archive", archive],
        check=True,
        capture_output=True,
        cwd=archive.parent,
        env=os.environ | quiet,
    )


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """Simulated alerts of both surveys, and real ones where there are any."""
    assert PROGRAM.exists(), f"there is no `{PROGRAM}`: run `cargo build -p pitt`, or set PITT_BIN"
    folder = tmp_path_factory.mktemp("http")
    archive = folder / "archive"
    _fill(archive, "demo", "--alerts", "600", "--speed", "0")
    packets = sorted(DATA.rglob("*.avro"))[:40] if DATA.is_dir() else []
    if packets:
        real = folder / "real"
        real.mkdir()
        for number, packet in enumerate(packets):
            shutil.copy(packet, real / f"{number:03}_{packet.name}")
        _fill(archive, "run", "--from", real)
    server = Server(archive, folder / "serve.log")
    yield server
    server.stop()


@pytest.fixture
def alone(tmp_path):
    """A server of this test alone, which may change what it likes."""
    archive = tmp_path / "archive"
    _fill(archive, "demo", "--alerts", "60", "--speed", "0")
    server = Server(archive, tmp_path / "serve.log")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def ztf(server) -> dict:
    """A simulated ZTF alert of an object that has several."""
    sql = "SELECT object_id, count(*) AS n FROM ztf GROUP BY object_id ORDER BY n DESC, object_id LIMIT 1"
    object_id = server.rows(sql)[0]["object_id"]
    return server.json("alerts", object_id=object_id, limit=1)["rows"][0]
