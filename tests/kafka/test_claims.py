"""An input that is gone after a crash: what was claimed of it is let go, and nothing that was published comes twice."""

from __future__ import annotations

import collections
import json
import subprocess

import node
import pytest
from ground import Ground
from reckoning import verify


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    """A Kafka of its own."""
    try:
        with node.Kafka(tmp_path_factory.mktemp("kafka")) as running:
            yield running
    except node.Missing as missing:
        pytest.skip(str(missing))


def command(ground: Ground, archive, *words: str, config=None) -> tuple[int, dict]:
    """Exit code and JSON of a `pitt` command."""
    settings = ["-c", str(config)] if config else []
    done = subprocess.run([str(ground.pitt), *settings, "--archive", str(archive), *words, "--json"],
                          capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_claims_of_an_input_that_is_gone_are_let_go_and_nothing_is_published_twice(kafka, tmp_path):
    ground = Ground(kafka, tmp_path)
    course = ground.killed_before_a_commit("gone")
    archive = course.broker.archive
    _, claimed = command(ground, archive, "claims", "list")
    assert sum(one["alerts"] for one in claimed) == 400 and not any(one["held_by_lanes"] for one in claimed)
    code, status = command(ground, archive, "status")
    assert code == 1 and any("pitt claims release kafka:test/gone/" in said for said in status["troubles"])
    published = 0
    for one in claimed:
        _, done = command(ground, archive, "claims", "release", one["partition"], config=course.broker.settings)
        published += done["published_before"]
        assert done["numbers_empty"] == 0
    assert published == len(course.sent.matching)
    assert command(ground, archive, "claims", "list")[1] == []
    # The same alerts by another topic, and new ones behind them.
    other = ground.run("other", output={"prefix": "gone-"})
    broker = other.another("again", archive)
    other.sender.send(600)
    other.sender.flush()
    broker.start()
    broker.wait_for("the new ones", lambda: other.sent.matching <= course.tally.read())
    broker.wait_until_received(600)
    assert broker.stop() == 0, broker.log()
    delivered = collections.Counter(course.tally.read_to_the_end())
    assert delivered.keys() == other.sent.matching and max(delivered.values()) == 1
    assert verify(ground.pitt, archive)["ok"]
