"""A filter's topic as an iterator, from Apache Kafka and `pitt stream`, with both clients."""

from __future__ import annotations

import itertools
import subprocess

import node
import numpy as np
import pytest
from broker import Settings, pitt

import pitt_broker as pb

FILTERS = {
    "words": "-- format: json\nSELECT object_id FROM alerts WHERE reliability > 0.9",
    "packets": "-- format: avro\nSELECT object_id FROM alerts WHERE reliability > 0.9",
    "datums": "-- format: schemaless\nSELECT object_id FROM alerts WHERE reliability > 0.9",
}


@pytest.fixture(scope="module", params=["Apache Kafka", "pitt stream"])
def published(request, simulated, tmp_path_factory):
    """Address of a stream with the filters' topics in it, and the ids that each filter takes."""
    servers = request.getfixturevalue("kafka" if request.param == "Apache Kafka" else "own_stream")
    folder = tmp_path_factory.mktemp("published")
    (folder / "filters").mkdir()
    for name, text in FILTERS.items():
        (folder / "filters" / f"{name}.sql").write_text(text)
    settings = Settings(archive=folder / "archive", output={"servers": servers, "stamps": True, "partitions": 2})
    (folder / "pitt.toml").write_text(settings.toml())
    words = [pitt(), "-c", folder / "pitt.toml", "run", "--from", simulated.folder, "--filters", folder / "filters"]
    subprocess.run(words, check=True, capture_output=True)
    taken = pb.test_filter("SELECT alert_id FROM alerts WHERE reliability > 0.9", simulated.packets).table
    return servers, sorted(taken["alert_id"].to_pylist())


@pytest.fixture(params=["confluent-kafka", "kafka-python"])
def client(request) -> str:
    return request.param


@pytest.mark.parametrize("name", FILTERS)
def test_every_match_comes_once_in_every_format(published, client, name):
    servers, expected = published
    assert expected
    with pb.follow(name, servers=servers, start="earliest", client=client) as matches:
        taken = list(itertools.islice(matches, len(expected)))
    assert sorted(match.alert_id for match in taken) == expected
    for match in taken:
        assert match.filter == name and match.survey in ("ztf", "lsst") and len(match.version) == 8
        own = match.get("candid") or match.get("diaSourceId")
        assert own is None or int(own) == match.alert_id
        assert match.object_id and f"pitt-{name}[" in match.place
    pixels = pb.stamp(taken[0]["cutoutScience"])[0].data
    assert np.isfinite(pixels).any()
    assert len(pb.history(dict(taken[0]))) > 0
    pb.plot_stamps(taken[0])


def test_it_ends_when_nothing_comes(published, client):
    servers, expected = published
    with pb.follow("words", servers=servers, client=client, timeout_s=0.2) as matches:
        assert list(matches) == []
    with pytest.raises(StopIteration):
        next(matches)


def test_a_group_goes_on_where_it_stood(published, client):
    servers, expected = published
    group = f"readers-{client}"
    first = pb.follow("words", servers=servers, start="earliest", group=group, client=client)
    # The place is noted when the next one is asked for: the last one handed out comes again.
    early = [match.alert_id for match in itertools.islice(first, 6)]
    first.close()
    with pb.follow("words", servers=servers, start="earliest", group=group, client=client) as second:
        late = [match.alert_id for match in itertools.islice(second, len(expected) - 5)]
    assert sorted(early[:5] + late) == expected


def test_a_topic_that_is_not_there(published, client):
    servers, _ = published
    with pytest.raises(pb.StreamError, match="no topic pitt-nothing .*pitt-words"):
        pb.follow("nothing", servers=servers, client=client)


def test_nobody_at_home(client):
    settings = {"bootstrap_timeout_ms": 1000} if client == "kafka-python" else {}
    with pytest.raises(pb.StreamError, match="nobody answers at 127.0.0.1"):
        pb.follow("words", servers=f"127.0.0.1:{node.free_ports(1)[0]}", client=client, settings=settings)


def test_words_that_are_no_choice():
    with pytest.raises(ValueError, match="start='now'"):
        pb.follow("words", start="now")
    with pytest.raises(ValueError, match="client='mine'"):
        pb.follow("words", client="mine")
