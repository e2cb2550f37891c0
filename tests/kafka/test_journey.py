"""From a survey's stream to the archive and on to readers: simulated and real packets, on each kind of stream."""

from __future__ import annotations

import collections
import io
import json
import pathlib
import struct
import subprocess
import tarfile
import time
import zlib

import confluent_kafka as ck
import fastavro
import node
import pytest
import reckoning
from alerts import FIRST_ID, Sender
from broker import Broker, Settings
from deltalake import DeltaTable
from fastavro.schema import load_schema
from faults import Registry
from values import container, differences, wire


def produce(servers: str, topic: str, packets: list[bytes], **settings) -> None:
    """Sends packets and waits until all are acknowledged."""
    producer = ck.Producer({"bootstrap.servers": servers, "message.max.bytes": 11 << 20, "log_level": 0, **settings})
    failed = []
    for packet in packets:
        producer.produce(topic, packet, on_delivery=lambda error, _: failed.append(error) if error else None)
        producer.poll(0)
    assert producer.flush(120) == 0 and failed == []


def members(tarball: pathlib.Path) -> list[bytes]:
    """The packets in a nightly tarball."""
    with tarfile.open(tarball) as night:
        return [night.extractfile(member).read() for member in night if member.name.endswith(".avro")]


def settings(ground, topic: str, **more) -> Settings:
    """A broker of one topic that publishes what passes the test's filter."""
    changes = {"kafka": {"topics": [topic], "group": f"pitt-{topic}"}} | more
    return ground.settings(topic, ground.stream.servers, changes)


def rows(archive: pathlib.Path) -> dict[tuple[str, int], dict]:
    """The rows of `packets`, by position."""
    columns = ["partition", "offset", "outcome", "reason", "alert_id", "survey", "crc32"]
    table = DeltaTable(str(archive / "packets")).to_pyarrow_table(columns=columns)
    return {(row["partition"], row["offset"]): row for row in table.to_pylist()}


def archived_as_sent(ground, topic: str, archive: pathlib.Path, source: str = "test") -> dict[tuple[str, int], dict]:
    """Compares every message of a topic with its row: the position, and the checksum of the bytes. Returns the rows."""
    found = rows(archive)
    sent = {(f"kafka:{source}/{topic}/{one.partition()}", one.offset()): zlib.crc32(one.value())
            for one in reckoning.messages(ground.stream.servers, topic)}
    ours = {at: row["crc32"] for at, row in found.items() if at[0].startswith(f"kafka:{source}/{topic}/")}
    assert ours == sent
    assert reckoning.verify(ground.pitt, archive)["ok"]
    return found


@pytest.fixture
def night(ground, program) -> pathlib.Path:
    """A simulated night of both surveys."""
    folder = ground.folder / "night"
    subprocess.run([program, "simulate", "--into", folder, "--visits", "2", "--alerts-per-visit", "100",
                    "--bad-per-million", "0", "--duplicates-per-million", "20000"], check=True, capture_output=True)
    return folder


def test_simulated_night_of_ztf(ground, night):
    """ZTF's container files from a topic named after the night: archived byte for byte, matches with all values."""
    packets = members(next(night.glob("ztf_public_*.tar.gz")))
    topic = ground.create(f"ztf_20260224_{time.time_ns()}", 3)
    ground.create(f"{topic}-real", 2)
    produce(ground.stream.servers, topic, packets)
    with Broker(ground.folder / "ztf", settings(ground, topic)) as broker:
        broker.wait_until_received(len(packets))
        sent = {record["candid"]: record for record in map(container, packets)}
        passing = {one for one, record in sent.items() if record["candidate"]["drb"] > 0.5}
        broker.wait_for("delivery", lambda: len(reckoning.delivered(ground.stream.servers, f"{topic}-real"))
                        >= len(passing))
    found = archived_as_sent(ground, topic, broker.archive)
    outcomes = collections.Counter(row["outcome"] for row in found.values())
    assert outcomes["stored"] == len(sent) and outcomes["duplicate"] == len(packets) - len(sent)
    messages = [json.loads(one.value()) for one in reckoning.messages(ground.stream.servers, f"{topic}-real")]
    assert sorted(int(one["candid"]) for one in messages) == sorted(passing)
    for one in messages:
        assert differences(one, sent[int(one["candid"])]) == []


def test_real_packets_of_ztf(ground, data):
    """Real packets of several schema versions, with damaged ones between them."""
    good = [path.read_bytes() for path in sorted((data / "ztf/ocf").glob("*/*.avro"))[:60]]
    bad = [path.read_bytes() for path in sorted((data / "ztf/bad").iterdir()) if path.is_file()]
    topic = ground.create(f"ztf-real-{time.time_ns()}", 2)
    produce(ground.stream.servers, topic, good + bad)
    with Broker(ground.folder / "ztf", settings(ground, topic)) as broker:
        broker.wait_until_received(len(good) + len(bad))
    found = archived_as_sent(ground, topic, broker.archive)
    ids = {container(packet)["candid"] for packet in good}
    assert {row["alert_id"] for row in found.values() if row["outcome"] == "stored"} >= ids
    assert any(row["outcome"] == "quarantined" for row in found.values())


def test_real_packets_of_rubin_with_a_registry(ground, data):
    """Messages as Rubin sends them; their schemas come from a registry over HTTP."""
    schemas = {int(path.stem): path.read_text() for path in written_out(data, ground.folder / "registry")}
    packets = [path.read_bytes() for path in sorted((data / "lsst/wire").glob("*.avro"))]
    known = [one for one in packets if struct.unpack(">bI", one[:5])[1] in schemas]
    topic = ground.create(f"lsst-alerts-{time.time_ns()}", 2)
    produce(ground.stream.servers, topic, known)
    with Registry(schemas) as registry:
        registry.open()
        more = settings(ground, topic, registry=registry.address, schema_dir="")
        with Broker(ground.folder / "lsst", more) as broker:
            broker.wait_until_received(len(known))
        assert registry.asked > 0
    found = archived_as_sent(ground, topic, broker.archive)
    records = [wire(one, json.loads(schemas[struct.unpack(">bI", one[:5])[1]])) for one in known]
    ids = {record["diaSource"]["diaSourceId"] for record in records}
    assert {row["alert_id"] for row in found.values() if row["outcome"] == "stored"} == ids


def written_out(data: pathlib.Path, folder: pathlib.Path) -> list[pathlib.Path]:
    """Rubin's schemas, one file an id with all named types in it, as its registry has them."""
    folder.mkdir()
    written = []
    for top in sorted((data / "lsst/schemas").glob("*/*/lsst.v*_*.alert.avsc")):
        major, minor = (int(part) for part in top.name.split(".")[1].lstrip("v").split("_"))
        try:
            schema = load_schema(str(top), _write_hint=False)
        except Exception:  # noqa: BLE001 (old schemas that fastavro cannot load are of no use to this test)
            continue
        written.append(folder / f"{100 * major + minor}.avsc")
        written[-1].write_text(json.dumps(schema))
    return written


def test_topics_of_new_nights_are_taken_as_they_appear(ground):
    """A pattern follows the nights: tonight's topic is created while the broker runs."""
    tonight, yesterday = (time.strftime("%Y%m%d", time.gmtime(time.time() - days * 86_400)) for days in (0, 1))
    name = f"nights{time.time_ns()}"
    kafka = {"topics": [name + "_{night}_programid1"], "nights": 2, "group": name,
             "settings": {"topic.metadata.refresh.interval.ms": "1000"}}
    ground.create(f"{name}_{yesterday}_programid1")
    ground.create(f"{name}-real", 2)
    with Broker(ground.folder / "nights", ground.settings(name, ground.stream.servers, {"kafka": kafka})) as broker:
        first = Sender(ground.stream.servers, f"{name}_{yesterday}_programid1", ground.alerts)
        first.send(50)
        first.flush()
        broker.wait_until_received(50)
        ground.create(f"{name}_{tonight}_programid1")
        second = Sender(ground.stream.servers, f"{name}_{tonight}_programid1", ground.alerts, FIRST_ID + 50)
        second.send(50)
        second.flush()
        broker.wait_until_received(100)
    stored = [row["alert_id"] for row in rows(broker.archive).values() if row["outcome"] == "stored"]
    assert sorted(stored) == sorted(first.sent.good + second.sent.good)


def test_a_broker_goes_on_where_it_stopped(ground):
    """Three orderly ends and starts, with alerts sent meanwhile."""
    course = ground.run(f"resumed-{time.time_ns()}")
    for _ in range(3):
        course.broker.start()
        course.sender.send(200)
        course.sender.flush()
        course.broker.wait_until_received(course.sent.messages - 100)
        assert course.broker.stop() == 0, course.broker.log()
        course.sender.send(50)
    course.broker.start()
    row = course.finish("three orderly ends")
    assert row.complaints() == [], reckoning.table([row])


def test_messages_of_ten_megabytes(ground):
    """A packet of 10 MB comes through whole."""
    schema = ground.alerts.schema
    record = wire(ground.alerts.packet(FIRST_ID + 1), schema) | {"cutoutScience": bytes(10_000_000)}
    packet = _encoded(record, schema)
    topic = ground.create(f"large-{time.time_ns()}", 1)
    produce(ground.stream.servers, topic, [packet])
    with Broker(ground.folder / "large", settings(ground, topic)) as broker:
        broker.wait_until_received(1)
    archived_as_sent(ground, topic, broker.archive)


def _encoded(record: dict, schema) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, record)
    return struct.pack(">bI", 0, 1100) + out.getvalue()


@pytest.mark.parametrize("protocol, mechanism", [
    ("SASL_PLAINTEXT", "SCRAM-SHA-512"), ("SASL_PLAINTEXT", "PLAIN"), ("SASL_SSL", "SCRAM-SHA-512"),
    ("SASL_SSL", "SCRAM-SHA-256")])
def test_signing_in(kafka_ground, protocol, mechanism, tmp_path):
    """The broker signs in at Kafka, to read and to publish, with and without TLS."""
    kafka = kafka_ground.stream
    password = tmp_path / "password"
    password.write_text(node.PASSWORD + "\n")
    access = {
        "servers": kafka.sasl_servers if protocol == "SASL_PLAINTEXT" else kafka.tls_servers,
        "security": protocol.lower(), "mechanism": mechanism, "user": node.USER, "password_file": password,
    } | ({"ca": kafka.certificates.authority} if protocol == "SASL_SSL" else {})
    name = f"signed-{protocol}-{mechanism}".lower().replace("_", "-")
    course = kafka_ground.run(name, kafka=access, output=access)
    course.sender.send(100)
    with course.broker:
        row = course.finish(name)
    assert row.complaints() == []


def test_a_wrong_password_is_said_once_and_tried_again(kafka_ground, tmp_path):
    """A wrong password harms nothing: it is said clearly, and the broker goes on when it is right again."""
    kafka = kafka_ground.stream
    password = tmp_path / "password"
    password.write_text("wrong\n")
    access = {"servers": kafka.sasl_servers, "security": "sasl_plaintext", "mechanism": "SCRAM-SHA-512",
              "user": node.USER, "password_file": password}
    course = kafka_ground.run("wrong-password", kafka=access)
    with course.broker as broker:
        broker.wait_for("a word about it", lambda: "uthentication" in broker.log())
        time.sleep(5)
        assert broker.process.poll() is None, "a wrong password must not end the broker"
        assert broker.log().lower().count("authentication") <= 4, broker.log()
        assert node.PASSWORD not in broker.log() and "wrong\n" not in broker.log()
