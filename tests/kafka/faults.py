"""What may go wrong between a survey's stream and a reader of ours, done on purpose against a real Kafka.

Each function lets one thing go wrong while alerts flow, waits until all is archived and delivered, and returns the numbers.
`test_faults.py` runs them short, `proof.py` in full.
"""

from __future__ import annotations

import http.server
import json
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass

import node
from broker import PATIENCE, Broker
from ground import SESSION_MS, Course, Ground, Sending
from reckoning import Reckoning, received

# A schema id that no broker has built in, and no folder: only the test's registry knows it.
RARE_SCHEMA = 4711


@dataclass(frozen=True)
class Size:
    """How much of it."""

    alerts: int
    times: int
    seconds: float


SHORT = {
    "broker_killed": Size(10_000, 10, 0),
    "kafka_killed": Size(4_000, 2, 10),
    "two_brokers": Size(6_000, 2, 15),
    "paused": Size(6_000, 1, 10),
    "disk_full": Size(4_000, 1, 0),
    "slow_sink": Size(4_000, 4, 8),
    "poisoned": Size(10_000, 1, 5),
    "registry_down": Size(2_000, 1, 6),
    "clock_steps": Size(3_000, 4, 8),
}
FULL = {
    "broker_killed": Size(100_000, 50, 0),
    "kafka_killed": Size(50_000, 10, 120),
    "two_brokers": Size(50_000, 10, 120),
    "paused": Size(30_000, 5, 90),
    "disk_full": Size(30_000, 3, 0),
    "slow_sink": Size(30_000, 20, 60),
    "poisoned": Size(100_000, 1, 60),
    "registry_down": Size(10_000, 1, 60),
    "clock_steps": Size(20_000, 12, 60),
}


def broker_killed(ground: Ground, size: Size, draw: random.Random) -> Reckoning:
    """`kill -9` of the broker at a random moment, again and again; each life also gets alerts that were sent before."""
    course = ground.run("broker-killed")
    for _ in range(size.times):
        course.sender.send(size.alerts // size.times)
        course.sender.send_again(5)
        course.broker.start()
        if draw.random() < 0.75:
            _wait_for_progress(course)
        time.sleep(draw.uniform(0.0, 1.5))
        course.broker.kill()
    course.broker.start()
    return course.finish(f"broker killed {size.times} times", patience=PATIENCE * 3)


def kafka_killed(ground: Ground, size: Size, draw: random.Random) -> Reckoning:
    """`kill -9` of Kafka and a start on the same data, while alerts are sent, read and published."""
    course = ground.run("kafka-killed")
    course.broker.start()
    sending = Sending(course.sender, size.alerts, size.seconds)
    _kill_in_each_part(ground.stream, size, draw, when=(0.3, 0.7), away=2.0)
    sending.join()
    row = course.finish(f"Kafka killed {size.times} times", patience=PATIENCE * 3)
    row.kills = size.times
    return row


def two_brokers(ground: Ground, size: Size, draw: random.Random) -> Reckoning:
    """Two brokers of one group share the partitions; the second dies and comes back."""
    course, second = _two(ground, "two-brokers")
    sending = Sending(course.sender, size.alerts, size.seconds)
    _kill_in_each_part(second, size, draw, when=(0.3, 0.9), away=SESSION_MS / 1000 * 1.5)
    sending.join()
    return _finish_together(course, second, f"one of two brokers killed {size.times} times")


def paused(ground: Ground, size: Size, draw: random.Random) -> Reckoning:
    """A broker stands still (SIGSTOP) past its session, another takes its partitions, then it wakes and must write nothing."""
    course, second = _two(ground, "paused")
    sending = Sending(course.sender, size.alerts, size.seconds)
    for _ in range(size.times):
        time.sleep(draw.uniform(0.5, 2.0))
        second.process.send_signal(signal.SIGSTOP)
        time.sleep(SESSION_MS / 1000 * 2 + 1)
        course.wait_for_members(1)
        second.process.send_signal(signal.SIGCONT)
        course.wait_for_members(2)
    sending.join()
    return _finish_together(course, second, f"broker paused past its session {size.times} times")


def disk_full(ground: Ground, size: Size, draw: random.Random) -> Reckoning:
    """The disk of the archive fills up; the broker may end or wait; there is room again and it goes on."""
    with SmallDisk() as disk:
        course = ground.run("disk-full")
        course.broker = course.another("broker", disk.folder / "archive")
        part = size.alerts // (size.times + 1)
        for _ in range(size.times):
            course.broker.start()
            course.sender.send(part)
            _wait_for_progress(course)
            disk.fill()
            course.sender.send(part // 10)
            # Some commits must fail; whether the broker ends of it or waits is its own choice.
            time.sleep(5)
            disk.make_room()
            course.broker.stop()
            assert "No space left" in course.broker.log(), course.broker.log()
        course.broker.start()
        course.sender.send(part)
        return course.finish(f"disk full {size.times} times")


def slow_sink(ground: Ground, size: Size, draw: random.Random) -> Reckoning:
    """The cluster that is published to stands still most of the time."""
    with node.Kafka(ground.folder / "sink") as sink:
        course = ground.run("slow-sink", sink.servers)
        course.broker.start()
        sending = Sending(course.sender, size.alerts, size.seconds)
        step = size.seconds / size.times
        for _ in range(size.times):
            sink.process.send_signal(signal.SIGSTOP)
            time.sleep(step * 0.8)
            sink.process.send_signal(signal.SIGCONT)
            time.sleep(step * 0.2)
        sending.join()
        return course.finish(f"output stands still {size.times} times")


def poisoned(ground: Ground, size: Size, draw: random.Random) -> Reckoning:
    """One packet in 1,000 cannot be read."""
    course = ground.run("poisoned", poison=1e-3)
    course.broker.start()
    Sending(course.sender, size.alerts, size.seconds).join()
    row = course.finish("one packet in 1,000 poisoned")
    assert row.quarantined == course.sent.poisoned, f"{row.quarantined} of {course.sent.poisoned} in quarantine"
    return row


def registry_down(ground: Ground, size: Size, draw: random.Random) -> Reckoning:
    """The registry does not answer when alerts of a schema come that only it knows, and is there again later."""
    rare = type(ground.alerts)(ground.pitt, ground.folder / "rare", RARE_SCHEMA)
    with Registry({RARE_SCHEMA: rare.schema_file.read_text()}) as registry:
        course = ground.run("registry-down", registry=registry.address, schema_dir="", alerts=rare)
        course.broker.start()
        Sending(course.sender, size.alerts, size.seconds).join()
        assert registry.asked > 0, "nobody asked the registry"
        registry.open()
        return course.finish(f"registry down for {size.seconds:.0f} s")


def clock_steps(ground: Ground, size: Size, draw: random.Random) -> Reckoning:
    """The broker's wall clock jumps by up to 50 minutes, forward and back (clock.c).

    Further is no test of ours: Kafka refuses messages from more than an hour in the future.
    """
    library, clock = ground.folder / "clock.so", ground.folder / "clock"
    source = pathlib.Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    clock.write_bytes(struct.pack("q", 0))
    course = ground.run("clock-steps")
    course.broker.start(environment={"LD_PRELOAD": str(library), "STEPPED_CLOCK": str(clock)})
    sending = Sending(course.sender, size.alerts, size.seconds)
    for step in range(size.times):
        time.sleep(size.seconds / size.times)
        seconds = draw.randrange(300, 3000) * (-1 if step % 2 else 1)
        with open(clock, "r+b", buffering=0) as file:
            file.write(struct.pack("q", seconds))
    sending.join()
    return course.finish(f"clock stepped {size.times} times")


def _kill_in_each_part(process, size: Size, draw: random.Random, when: tuple[float, float], away: float) -> None:
    """Kills a process once in each part of the time, somewhere in `when` of it, and starts it after at most `away` seconds."""
    for _ in range(size.times):
        time.sleep(size.seconds / size.times * draw.uniform(*when))
        process.kill()
        time.sleep(draw.uniform(0.0, away))
        process.start()


def _two(ground: Ground, name: str) -> tuple[Course, Broker]:
    """A course whose alerts two brokers of one group share, both at work; the second one."""
    course = ground.run(name)
    second = course.another("second")
    course.broker.start()
    second.start()
    course.wait_for_members(2)
    return course, second


def _finish_together(course, second, what: str) -> Reckoning:
    """The end of a course of two brokers: both must be at work, and both must have had their share of the last alerts."""
    course.wait_for_members(2)
    course.sender.send(1000)
    row = course.finish(what, second)
    for one in (course.broker, second):
        assert one.summary()["received"] > 0, f"a broker had nothing to do: {one.log()}"
    return row


def _wait_for_progress(course) -> None:
    """Returns when the archive has more messages than now, or everything that was sent."""
    before = received(course.broker.archive)
    course.sender.flush()
    course.broker.wait_for(
        "progress", lambda: received(course.broker.archive) > min(before, course.sent.messages - 1))


class SmallDisk:
    """A file system of its own for an archive, that a test can fill up. Needs root (tmpfs)."""

    megabytes = 600

    def __enter__(self) -> SmallDisk:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pitt-disk-"))
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.megabytes}m", "tmpfs", str(self.folder)],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.folder.rmdir()
            raise PermissionError(f"no small disk can be mounted: {done.stderr.strip()}")
        return self

    def __exit__(self, *_) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
        self.folder.rmdir()

    def fill(self) -> None:
        """Takes every byte that is left."""
        with open(self.folder / "filler", "wb", buffering=0) as filler:
            while True:
                try:
                    os.posix_fallocate(filler.fileno(), filler.seek(0, os.SEEK_END), 1 << 20)
                    filler.seek(0, os.SEEK_END)
                except OSError:
                    break
            left = shutil.disk_usage(self.folder).free
            if left:
                try:
                    filler.write(b"\0" * left)
                except OSError:
                    pass

    def make_room(self) -> None:
        """Gives it back."""
        (self.folder / "filler").unlink()


class Registry:
    """A schema registry that answers 503 until `open` is called."""

    def __init__(self, schemas: dict[int, str]):
        self._schemas = schemas
        self._open = threading.Event()
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            """Answers `/schemas/ids/<id>`."""

            def do_GET(self):  # noqa: N802 (the library's name)
                registry.answer(self)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.asked = 0

    def open(self) -> None:
        """From now on it answers."""
        self._open.set()

    def answer(self, request) -> None:
        """One request."""
        self.asked += 1
        number = request.path.rsplit("/", 1)[-1].split("?")[0]
        if not self._open.is_set():
            status, body = 503, {"message": "down"}
        elif request.path.startswith("/schemas/ids/") and number.isdigit() and int(number) in self._schemas:
            status, body = 200, {"schema": self._schemas[int(number)]}
        else:
            status, body = 404, {"error_code": 40403, "message": "Schema not found"}
        text = json.dumps(body).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    def __enter__(self) -> Registry:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()


FAULTS = (broker_killed, kafka_killed, two_brokers, paused, disk_full, slow_sink, poisoned, registry_down, clock_steps)
