"""What we publish, read by the clients that astronomers have: every value is compared with fastavro's."""

from __future__ import annotations

import io
import json
import time

import alerts
import confluent_kafka as ck
import fastavro
from broker import PATIENCE
from fink_client.consumer import AlertConsumer
from kafka import KafkaConsumer
from lasair import lasair_consumer
from lasair.RL_consumer import lasair_RL_consumer
from values import differences, wire

COUNT = 300




def published(ground, form: str):
    """A broker that has published `COUNT` alerts' matches in that form, and is gone."""
    course = ground.run(f"clients-{form}-{time.time_ns()}", output={"format": form})
    course.sender.send(COUNT)
    with course.broker:
        row = course.finish(f"{form} to {ground.stream.kind}")
    assert row.complaints() == []
    return course


def read(poll, expected: int) -> list:
    """What `poll(seconds)` gives until there are as many as expected, and a moment longer for what should not come."""
    got = []
    give_up = time.monotonic() + PATIENCE
    while len(got) < expected and time.monotonic() < give_up:
        if (message := poll(1.0)) is not None:
            got.append(message)
    while (message := poll(1.0)) is not None:
        got.append(message)
    return got


def expected_records(ground, course) -> dict[int, dict]:
    """By id: what fastavro reads in the packets of the alerts that matched."""
    return {one: wire(ground.alerts.packet(one), ground.alerts.schema) for one in course.sent.matching}


def check_json(ground, course, values: list[bytes]) -> None:
    """Each match once, with every value right."""
    expected = expected_records(ground, course)
    messages = [json.loads(value) for value in values]
    assert sorted(int(one["diaSourceId"]) for one in messages) == sorted(expected)
    for one in messages:
        assert differences(one, expected[int(one["diaSourceId"])]) == []
        assert isinstance(one["diaSourceId"], str), "an id must survive readers that round numbers"
        assert one["objectId"] == one["diaSource"]["diaObjectId"]


def test_json_by_kafka_python(ground):
    """kafka-python reads JSON; ids are text, the key is the object, the headers say which filter."""
    course = published(ground, "json")
    consumer = KafkaConsumer(
        f"{course.name}-real", bootstrap_servers=ground.stream.servers, group_id="kafka-python",
        auto_offset_reset="earliest", isolation_level="read_committed", consumer_timeout_ms=5000)
    records = list(consumer)
    consumer.close()
    check_json(ground, course, [record.value for record in records])
    for record in records:
        headers = {name: value.decode() for name, value in record.headers}
        body = json.loads(record.value)
        assert record.key.decode() == body["objectId"]
        assert headers["alert_id"] == body["diaSourceId"]
        assert (headers["filter"], headers["survey"]) == ("real", "lsst")
        assert headers["schema_id"] == str(alerts.SCHEMA_ID)
        assert headers["received"] <= headers["published"]


def test_json_by_confluent_kafka_and_lasair(ground):
    """confluent-kafka and both of lasair's consumers read the same topic."""
    course = published(ground, "json")
    topic, servers = f"{course.name}-real", ground.stream.servers
    consumer = ck.Consumer({"bootstrap.servers": servers, "group.id": "confluent", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    check_json(ground, course, [one.value() for one in read(consumer.poll, len(course.sent.matching))])
    consumer.close()
    plain = lasair_consumer(servers, "lasair", topic)
    check_json(ground, course, [one.value() for one in read(plain.poll, len(course.sent.matching))])
    plain.close()


def test_limited_rate_by_lasair(ground, tmp_path):
    """lasair's consumer of one alert an object finds `objectId` in our JSON."""
    course = published(ground, "json")
    limited = lasair_RL_consumer(
        ground.stream.servers, "limited", f"{course.name}-real", str(tmp_path / "seen.sqlite"))
    objects = {one["diaSource"]["diaObjectId"] for one in expected_records(ground, course).values()}
    got = [json.loads(one.value())["objectId"] for one in read(limited.poll, len(objects))]
    limited.consumer.close()
    assert sorted(got) == sorted(map(str, objects))


def test_schemaless_by_fink(ground):
    """fink-client reads bare Avro by the schema in the key."""
    course = published(ground, "schemaless")
    config = {"group.id": "fink", "bootstrap.servers": ground.stream.servers}
    consumer = AlertConsumer([f"{course.name}-real"], config, survey="lsst")
    got = read(lambda seconds: consumer.poll(seconds)[1], len(course.sent.matching))
    consumer.close()
    check_avro(ground, course, got)


def test_containers_by_fastavro(ground):
    """Avro container files, each with its schema."""
    course = published(ground, "avro")
    consumer = ck.Consumer(
        {"bootstrap.servers": ground.stream.servers, "group.id": "avro", "auto.offset.reset": "earliest"})
    consumer.subscribe([f"{course.name}-real"])
    got = read(consumer.poll, len(course.sent.matching))
    consumer.close()
    check_avro(ground, course, [next(fastavro.reader(io.BytesIO(one.value()))) for one in got])


def check_avro(ground, course, records: list[dict]) -> None:
    """Each match once; every field of the survey as it was sent."""
    expected = expected_records(ground, course)
    assert sorted(one["diaSourceId"] for one in records) == sorted(expected)
    for one in records:
        sent = expected[one["diaSourceId"]]
        assert repr({name: one[name] for name in sent}) == repr(sent), "NaN counts as equal to itself"
