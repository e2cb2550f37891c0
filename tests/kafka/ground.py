"""The ground a test stands on: a stream, topics in it, brokers that read and write it, and the reckoning at the end."""

from __future__ import annotations

import pathlib
import subprocess
import threading
import time

import confluent_kafka as ck
import node
import reckoning
from alerts import FILTER, Sender, Sent, SmallAlerts
from broker import PATIENCE, Broker, Settings, pitt
from confluent_kafka.admin import AdminClient, NewTopic

# A member that dies is missed after so many milliseconds; Kafka's usual 45 s would make the tests wait.
SESSION_MS = 3000


class Stream(node.Process):
    """`pitt stream` as a process, with what a test asks of a `node.Kafka`."""

    kind = "pitt stream"

    def __init__(self, folder: pathlib.Path, secure: bool = False):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        (port,) = node.free_ports(1)
        self.servers = f"127.0.0.1:{port}"
        self.certificates = node.Certificates(self.folder / "certificates") if secure else None
        self.tls_servers = self.servers if secure else None
        self._words = ["stream", "--topic", "first", "--listen", self.servers, "--folder", str(self.folder / "stream")]
        if secure:
            users = self.folder / "users"
            users.write_text(f"{node.USER}:{node.PASSWORD}\n")
            self._words += ["--users", str(users), "--tls-cert", str(self.certificates.certificate), "--tls-key",
                            str(self.certificates.key)]

    def start(self) -> Stream:
        """Starts the program and returns when it takes connections."""
        with open(self.folder / "console.log", "ab") as log:
            self.process = subprocess.Popen(
                [str(pitt()), *self._words], stdout=log, stderr=log, preexec_fn=node.dies_with_us, cwd=self.folder)
        give_up = time.monotonic() + PATIENCE
        while not node.listens(self.servers):
            assert self.process.poll() is None, f"`pitt stream` ended: {self.console()}"
            assert time.monotonic() < give_up, f"`pitt stream` does not listen: {self.console()}"
            time.sleep(0.05)
        return self


class Tally:
    """Ids delivered to a topic so far, as a `read_committed` reader sees them; read little by little."""

    def __init__(self, servers: str, topic: str, partitions: int):
        self.ids: list[int] = []
        self._consumer = ck.Consumer({
            "bootstrap.servers": servers, "group.id": f"tally-{time.time_ns()}", "auto.offset.reset": "earliest",
            "enable.auto.commit": False, "isolation.level": "read_committed", "enable.partition.eof": True,
            "log_level": 0, "fetch.message.max.bytes": 4 << 20,
        })
        self._partitions = set(range(partitions))
        self._consumer.assign([ck.TopicPartition(topic, number, 0) for number in self._partitions])

    def read(self) -> set[int]:
        """Takes what has come; returns all ids so far."""
        while batch := self._consumer.consume(1000, 0.2):
            self._take(batch)
        return set(self.ids)

    def read_to_the_end(self) -> list[int]:
        """All ids up to what is the last message now, with repeats."""
        self.read()
        self._consumer.assign(self._consumer.position(self._consumer.assignment()))
        ends: set[int] = set()
        give_up = time.monotonic() + PATIENCE
        while ends != self._partitions:
            assert time.monotonic() < give_up, f"no end of the output topic, only of {ends}"
            ends |= self._take(self._consumer.consume(1000, 0.5))
        self._consumer.close()
        return self.ids

    def _take(self, batch: list[ck.Message]) -> set[int]:
        ends = set()
        for message in batch:
            if message.error() is None:
                self.ids.append(int(dict(message.headers())["alert_id"]))
            elif message.error().code() == ck.KafkaError._PARTITION_EOF:
                ends.add(message.partition())
        return ends


class Ground:
    """A running stream, a folder, and a supply of small alerts."""

    def __init__(self, stream, folder: pathlib.Path):
        self.stream, self.folder = stream, pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.pitt = pitt()
        self.alerts = SmallAlerts(self.pitt, self.folder / "supply")
        filters = self.folder / "filters"
        filters.mkdir(exist_ok=True)
        (filters / "real.sql").write_text(FILTER)

    def create(self, topic: str, partitions: int = 4, servers: str | None = None) -> str:
        """A new topic."""
        admin = AdminClient({"bootstrap.servers": servers or self.stream.servers, "log_level": 0})
        for one in admin.create_topics([NewTopic(topic, partitions, 1)]).values():
            one.result(60)
        return topic

    def run(self, name: str, sink: str | None = None, **changes) -> Course:
        """An input topic `<name>`, an output topic, a broker from one to the other, a sender and a tally.

        `sink` is another cluster to publish to. `changes` are settings; `poison` and `alerts` are the sender's.
        """
        return Course(self, name, sink or self.stream.servers, changes)

    def killed_before_a_commit(self, name: str) -> Course:
        """A course whose broker was killed when its matches were out and nothing was committed."""
        course = self.run(name, commit={"every_s": 600.0})
        course.sender.send(400)
        course.sender.flush()
        course.broker.start()
        course.broker.wait_for("matches published before any commit", lambda: course.sent.matching <= course.tally.read())
        course.broker.kill()
        return course

    def settings(self, name: str, output: str, changes: dict) -> Settings:
        """Settings of a broker that reads `<name>` and publishes to `<name>-real`. `changes` go over them."""
        kafka = {
            "name": "test", "servers": self.stream.servers, "topics": [name], "group": f"pitt-{name}",
            "start": "earliest",
            "settings": {"session.timeout.ms": str(SESSION_MS), "heartbeat.interval.ms": "500"},
        } | changes.pop("kafka", {})
        tables = {
            "commit": {"every_s": 0.5},
            "output": {"servers": output, "prefix": f"{name}-", "format": "json"},
            "http": {"listen": ""},
        }
        for table, values in tables.items():
            values.update(changes.pop(table, {}))
        plain = {"filters": self.folder / "filters", "schema_dir": self.alerts.schemas, "registry": ""} | changes
        return Settings(plain | {"kafka": [kafka]} | tables)


class Course:
    """One run of alerts through a broker, from the first sent to the reckoning."""

    def __init__(self, ground: Ground, name: str, output: str, changes: dict, partitions: int = 4):
        self.ground, self.name = ground, name
        poison, alerts = changes.pop("poison", 0.0), changes.pop("alerts", ground.alerts)
        self._settings = ground.settings(name, output, changes)
        self._brokers: list[Broker] = []
        ground.create(name, partitions)
        ground.create(f"{name}-real", 2, output)
        self.tally = Tally(output, f"{name}-real", 2)
        self.sender = Sender(ground.stream.servers, name, alerts, poison=poison)
        self.broker = self.another("broker")
        self._begun = time.monotonic()

    @property
    def sent(self) -> Sent:
        """What was sent so far."""
        return self.sender.sent

    def another(self, name: str, archive: pathlib.Path | None = None) -> Broker:
        """One more broker of the same group, over the same archive (or the given one)."""
        folder = self.ground.folder / self.name
        self._brokers.append(Broker(folder / name, self._settings, archive or folder / "archive"))
        return self._brokers[-1]

    def wait_for_members(self, count: int) -> None:
        """Returns when the group has so many members that share its partitions."""
        admin = AdminClient({"bootstrap.servers": self.ground.stream.servers, "log_level": 0})
        group = f"pitt-{self.name}"

        def sharing() -> int:
            for one in self._brokers:
                assert one.process is None or one.process.poll() is None, f"a broker ended by itself: {one.log()}"
            try:
                described = admin.describe_consumer_groups([group])[group].result(60)
            except ck.KafkaException:
                # The group has no coordinator yet, or a new one.
                return 0
            stable = described.state == ck.ConsumerGroupState.STABLE
            return sum(bool(one.assignment.topic_partitions) for one in described.members) if stable else 0

        self.broker.wait_for(f"{count} members in the group", lambda: sharing() == count)

    def finish(self, what: str, *others: Broker, patience: float = PATIENCE) -> reckoning.Reckoning:
        """Waits until all that was sent is archived and delivered, ends the brokers, compares."""
        self.sender.flush()
        broker = self.broker
        broker.wait_until_received(self.sent.messages, patience)
        broker.wait_for("delivery of every match", lambda: self.sent.matching <= self.tally.read(), patience)
        for one in (broker, *others):
            assert one.process.poll() is None, f"a broker ended by itself: {one.log()}"
            assert one.stop() == 0, one.log()
        row = reckoning.reckon(
            what, self.ground.pitt, broker.archive, self.sent, self.tally.read_to_the_end())
        row.kills += broker.kills + sum(one.kills for one in others)
        row.seconds = time.monotonic() - self._begun
        return row


class Sending(threading.Thread):
    """Sends `count` alerts over `seconds`, while the test does something else."""

    def __init__(self, sender: Sender, count: int, seconds: float):
        super().__init__(daemon=True)
        self._sender, self._count, self._seconds = sender, count, seconds
        self.start()

    def run(self) -> None:
        steps = max(1, int(self._seconds * 10))
        for step in range(steps):
            self._sender.send(self._count * (step + 1) // steps - self._count * step // steps)
            time.sleep(self._seconds / steps)
