"""From Kafka to Kafka on one machine, broker, Kafka, sender and reader side by side: `./dev bench kafka`.

Alerts are the simulator's LSST packets at full size, each with an id of its own. There are 100 filters; one takes every alert,
so that the way of each can be timed, from the message's timestamp to its arrival at a `read_committed` reader.

    rate      a full topic, read as fast as one broker can
    pair      the same by one broker and by two of one group, and the ratio
    latency   256 alerts a second, what Rubin sends on average
    burst     40,000 alerts in 39 s
"""

from __future__ import annotations

import argparse
import glob
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field

import alerts
import confluent_kafka as ck
import node
import numpy as np
import psutil
from broker import Broker, pitt
from deltalake import DeltaTable
from ground import Ground
from reckoning import received, verify

FILTERS = 100
PIECES = ["rate", "pair", "latency", "burst"]
# Transactions, fetches and the wish for low latency as a user would leave them: defaults, but for the session.
BASE_PACKETS = 400


class FullAlerts(alerts.SmallAlerts):
    """Simulated LSST packets with history and stamps, about 100 kB each."""

    def __init__(self, program: pathlib.Path, folder: pathlib.Path):
        super().__init__(program, folder)
        night = folder / "full"
        subprocess.run([program, "simulate", "--into", night, "--survey", "lsst", "--visits", "4", "--alerts-per-visit",
                        str(BASE_PACKETS // 4), "--bad-per-million", "0"], check=True, capture_output=True)
        self._templates = []
        for path in sorted(glob.glob(f"{night}/**/*.avro", recursive=True)):
            packet = pathlib.Path(path).read_bytes()
            # The file's name is the alert's id. It stands in the alert and in its source.
            own = alerts.avro_long(int(pathlib.Path(path).stem))
            head, middle, rest = packet.split(own, 2)
            self._templates.append((head, middle, rest))
        self.size = sum(len(b"".join(parts)) for parts in self._templates) / len(self._templates)

    def packet(self, alert_id: int) -> bytes:
        """The packet of the alert with that id."""
        return alerts.avro_long(alert_id).join(self._templates[alert_id % len(self._templates)])

    @staticmethod
    def matches(_alert_id: int) -> bool:
        """One filter takes every alert."""
        return True


@dataclass
class Memory:
    """The largest and the last resident size of a process, sampled twice a second, and how it grew over the second half."""

    process: psutil.Process
    samples: list[int] = field(default_factory=list)

    def sample(self) -> None:
        """One sample."""
        self.samples.append(self.process.memory_info().rss)

    def text(self) -> str:
        """In words, MB."""
        megabytes = np.array(self.samples or [0]) / 1e6
        half = megabytes[len(megabytes) // 2:]
        return f"{megabytes.max():.0f} MB at most, from {half[0]:.0f} to {half[-1]:.0f} MB over the second half"


class Reader(threading.Thread):
    """Reads the output topic and notes when each alert arrived [s]."""

    def __init__(self, servers: str, topic: str):
        super().__init__(daemon=True)
        self.arrived: dict[int, float] = {}
        self._consumer = ck.Consumer({
            "bootstrap.servers": servers, "group.id": f"bench-{time.time_ns()}", "auto.offset.reset": "earliest",
            "isolation.level": "read_committed", "log_level": 0, "fetch.message.max.bytes": 4 << 20,
        })
        self._consumer.subscribe([topic])
        self._on = True
        self.start()

    def run(self) -> None:
        while self._on:
            for message in self._consumer.consume(500, 0.01):
                if message.error() is None:
                    alert = int(dict(message.headers())["alert_id"])
                    self.arrived.setdefault(alert, time.time())
        self._consumer.close()

    def close(self) -> None:
        """Ends it."""
        self._on = False
        self.join()


def filters(folder: pathlib.Path) -> pathlib.Path:
    """`FILTERS` filters: one that takes every alert, the others as astronomers write them."""
    folder.mkdir()
    (folder / "all.sql").write_text("-- title: Every alert\nSELECT * FROM alerts WHERE true\n")
    for number in range(FILTERS - 1):
        snr, days, rate = 5 + number % 20, 10 + number % 30, 0.05 * (1 + number % 7)
        (folder / f"f{number:02}.sql").write_text(
            f"-- title: Rising {number}\nSELECT * FROM alerts WHERE reliability > 0.9 AND psf_flux > {snr} * psf_flux_err\n"
            f"  AND detections('r', {days}) >= 3 AND rise_rate('r') > {rate:.2f} AND abs(galactic_latitude()) > {number % 40}\n")
    return folder


@dataclass
class Case:
    """What every measurement needs."""

    ground: Ground
    filters: pathlib.Path
    full: FullAlerts
    # What librdkafka is told of the output, beside our defaults.
    output: dict[str, str] = field(default_factory=dict)

    def broker(self, name: str, archive: pathlib.Path, topic: str) -> Broker:
        """A broker with the usual settings (a commit every 10 s) that reads `topic`."""
        changes = {"filters": self.filters, "commit": {"every_s": 10.0}, "output": {"settings": self.output}}
        settings = self.ground.settings(topic, self.ground.stream.servers, changes)
        return Broker(self.ground.folder / name, settings, archive)

    def fill(self, topic: str, count: int) -> None:
        """A topic with so many alerts in it."""
        self.ground.create(topic)
        self.ground.create(f"{topic}-all", 4)
        sender = alerts.Sender(self.ground.stream.servers, topic, self.full)
        sender.send(count)
        sender.flush()


def _seconds_of_receipt(archive: pathlib.Path) -> float:
    """From the receipt of the first packet to that of the last. What is committed steps on only every 10 s, so it tells no time."""
    received_us = DeltaTable(str(archive / "packets")).to_pyarrow_table(columns=["received_us"])["received_us"].to_numpy()
    return float(received_us.max() - received_us.min()) / 1e6


def sustained(case: Case, name: str, count: int, brokers: int) -> float:
    """Alerts a second from a full topic, by so many brokers; the time is from the first alert received to the last."""
    topic = f"{name}-{brokers}"
    print(f"{topic}: filling a topic with {count:,} alerts", file=sys.stderr, flush=True)
    case.fill(topic, count)
    archive = case.ground.folder / topic
    running = [case.broker(f"{topic}-{number}", archive, topic).start() for number in range(brokers)]
    memories = [Memory(psutil.Process(one.process.pid)) for one in running]
    cpu_before = [sum(one.process.cpu_times()[:2]) for one in memories]
    begun = time.monotonic()
    while received(archive) < count:
        for one, memory in zip(running, memories, strict=True):
            assert one.process.poll() is None, one.log()
            memory.sample()
        assert time.monotonic() - begun < 900, f"{received(archive)} of {count} after 15 min: {running[0].log()}"
        time.sleep(0.5)
    until_committed = time.monotonic() - begun
    cpu = [sum(one.process.cpu_times()[:2]) - before for one, before in zip(memories, cpu_before, strict=True)]
    for one in running:
        one.stop()
    seconds = _seconds_of_receipt(archive)
    rate = count / seconds
    print(f"{name}, {brokers} broker(s): {count:,} alerts of {case.full.size / 1e3:.0f} kB received in {seconds:.1f} s "
          f"(all committed {until_committed:.1f} s after the start): "
          f"{rate:,.0f} alerts/s, {rate * case.full.size / 1e6:.0f} MB/s; {sum(cpu):.0f} s of CPU; "
          + "; ".join(memory.text() for memory in memories), flush=True)
    assert verify(case.ground.pitt, archive)["ok"]
    return rate


def paced(case: Case, name: str, count: int, seconds: float) -> None:
    """Latency of `count` alerts sent evenly over `seconds`."""
    print(f"{name}: {count:,} alerts over {seconds:.0f} s", file=sys.stderr, flush=True)
    case.ground.create(name)
    case.ground.create(f"{name}-all", 4)
    archive = case.ground.folder / name
    reader = Reader(case.ground.stream.servers, f"{name}-all")
    sender = alerts.Sender(case.ground.stream.servers, name, case.full)
    sent_at: dict[int, float] = {}
    with case.broker(f"{name}-broker", archive, name) as broker:
        memory = Memory(psutil.Process(broker.process.pid))
        sender.send(100)
        sender.flush()
        broker.wait_for("the first alerts", lambda: len(reader.arrived) >= 100)
        last_sent = _send_evenly(sender, count, seconds, sent_at, memory)
        broker.wait_for("delivery", lambda: len(reader.arrived) >= count + 100)
    last = max(reader.arrived.values())
    reader.close()
    late = np.array([reader.arrived[one] - at for one, at in sent_at.items()])
    p50, p99, p999 = np.percentile(late, [50, 99, 99.9])
    print(f"{name}: {count:,} alerts sent in {last_sent - min(sent_at.values()):.1f} s "
          f"({count / (last_sent - min(sent_at.values())):,.0f}/s); from message timestamp to reader p50 {p50 * 1e3:.0f} ms, "
          f"p99 {p99 * 1e3:.0f} ms, p99.9 {p999 * 1e3:.0f} ms, worst {late.max() * 1e3:.0f} ms; "
          f"the last {last - last_sent:.2f} s after the last was sent; {memory.text()}", flush=True)
    assert verify(case.ground.pitt, archive)["ok"]


def _send_evenly(sender, count: int, seconds: float, sent_at: dict[int, float], memory: Memory) -> float:
    begun = time.monotonic()
    for number in range(count):
        ahead = begun + seconds * number / count - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        if number % max(1, int(count / seconds / 2)) == 0:
            memory.sample()
        # The producer stamps a message when it takes it.
        sent_at[sender.next_id] = time.time()
        sender.send(1)
    finished = time.time()
    sender.flush()
    return finished


def main() -> int:
    """Runs the measurements asked for."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("what", nargs="*", choices=[[], *PIECES], help="which of them [default: all]")
    words.add_argument("--alerts", type=int, default=40_000, help="alerts in the full topic [default: 40000]")
    words.add_argument("--seconds", type=float, default=60.0, help="length of the steady stream [default: 60]")
    words.add_argument("--output", action="append", default=[], metavar="NAME=VALUE",
                       help="a setting of librdkafka for the output, such as compression.type=lz4")
    asked = words.parse_args()
    what = asked.what or PIECES
    cpus = len(psutil.Process().cpu_affinity())
    output = dict(one.split("=", 1) for one in asked.output)
    print(f"pitt {pitt()}, Apache Kafka {node.version()}, sender and reader on the same {cpus} cores; output {output or 'as usual'}")
    with tempfile.TemporaryDirectory(prefix="pitt-bench-") as temporary:
        folder = pathlib.Path(temporary)
        with node.Kafka(folder / "kafka", heap_mb=1024, for_speed=True) as kafka:
            ground = Ground(kafka, folder / "ground")
            case = Case(ground, filters(folder / "filters"), FullAlerts(pitt(), folder / "alerts"), output)
            if "rate" in what:
                sustained(case, "rate", asked.alerts, 1)
            if "pair" in what:
                one, two = (sustained(case, "pair", asked.alerts, brokers) for brokers in (1, 2))
                print(f"two brokers to one: {two / one:.2f}", flush=True)
            if "latency" in what:
                paced(case, "latency", int(256 * asked.seconds), asked.seconds)
            if "burst" in what:
                paced(case, "burst", 40_000, 39.0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
