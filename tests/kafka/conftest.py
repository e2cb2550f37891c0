"""Streams to test against: a real Apache Kafka and `pitt stream`, each started once a session.

Without Java or Maven the tests against Kafka are skipped and say so; with CI=1 they fail instead.
"""

from __future__ import annotations

import os
import pathlib

import node
import pytest
from broker import pitt
from ground import Ground, Stream

DATA = pathlib.Path(os.environ.get("PITT_TEST_DATA", node.REPOSITORY.parent / "shared" / "data"))


def missing(why: str) -> None:
    """Skips a test that cannot run here; in CI it fails."""
    if os.environ.get("CI"):
        pytest.fail(f"cannot run in this CI: {why}", pytrace=False)
    pytest.skip(why)


@pytest.fixture(scope="session", autouse=True)
def program() -> pathlib.Path:
    """The program under test."""
    assert pitt().exists(), f"there is no `{pitt()}`: run `cargo build -p pitt`, or set PITT_BIN"
    return pitt()


def _kafka(folder: pathlib.Path, secure: bool):
    try:
        return node.Kafka(folder, secure)
    except node.Missing as why:
        return missing(f"no Apache Kafka: {why}")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory):
    """A running Apache Kafka with listeners for everybody, SASL, and SASL over TLS."""
    with _kafka(tmp_path_factory.mktemp("kafka"), secure=True) as running:
        yield running


@pytest.fixture(scope="session")
def own_stream(tmp_path_factory):
    """A running `pitt stream`."""
    with Stream(tmp_path_factory.mktemp("stream")) as running:
        yield running


@pytest.fixture(params=["Apache Kafka", "pitt stream"])
def stream(request):
    """Each kind of stream in turn."""
    return request.getfixturevalue("kafka" if request.param == "Apache Kafka" else "own_stream")


@pytest.fixture
def ground(stream, tmp_path) -> Ground:
    """A place for brokers, topics and alerts on each kind of stream in turn."""
    return Ground(stream, tmp_path)


@pytest.fixture
def kafka_ground(kafka, tmp_path) -> Ground:
    """The same on Apache Kafka only."""
    return Ground(kafka, tmp_path)


@pytest.fixture(scope="session")
def data() -> pathlib.Path:
    """Real alerts."""
    if not DATA.is_dir():
        missing(f"no real alerts in `{DATA}` (PITT_TEST_DATA)")
    return DATA
