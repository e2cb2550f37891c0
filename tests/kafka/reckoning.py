"""What was sent, what the archive holds and what was delivered, compared id by id."""

from __future__ import annotations

import collections
import json
import pathlib
import subprocess
import time
from dataclasses import asdict, dataclass

import confluent_kafka as ck
from alerts import Sent
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError


@dataclass
class Reckoning:
    """The numbers of one run: a row of the table that is printed."""

    what: str
    kills: int = 0
    sent: int = 0
    stored: int = 0
    duplicates: int = 0
    quarantined: int = 0
    lost: int = 0
    doubled: int = 0
    delivered: int = 0
    not_delivered: int = 0
    delivered_twice: int = 0
    verified: bool = False
    seconds: float = 0.0

    def complaints(self) -> list[str]:
        """What is wrong, in words; empty when nothing was lost, doubled or altered."""
        wrong = [f"{name} {count}" for name in ("lost", "doubled", "not_delivered", "delivered_twice")
                 if (count := getattr(self, name))]
        return wrong + ([] if self.verified else ["`pitt verify` found problems"])


def received(archive: pathlib.Path) -> int:
    """Messages that the archive has taken for good: rows of `packets`. 0 before the first commit."""
    try:
        actions = DeltaTable(str(archive / "packets")).get_add_actions(flatten=True)
    except TableNotFoundError:
        return 0
    return sum(actions.column("num_records").to_pylist())


def delivered(servers: str, topic: str, **settings) -> list[int]:
    """Alert ids of all committed messages in a topic, in the order read, with repeats; from the header `alert_id`."""
    return [int(dict(message.headers())["alert_id"]) for message in messages(servers, topic, **settings)]


def messages(servers: str, topic: str, **settings) -> list[ck.Message]:
    """All committed messages in a topic, from the first to what is the last now. None if there is no such topic."""
    consumer = ck.Consumer({
        "bootstrap.servers": servers, "group.id": f"reckoning-{time.time_ns()}", "auto.offset.reset": "earliest",
        "enable.auto.commit": False, "isolation.level": "read_committed", "enable.partition.eof": True,
        "log_level": 0, "fetch.message.max.bytes": 4 << 20, **settings,
    })
    try:
        known = consumer.list_topics(topic, timeout=30).topics[topic]
        if known.error is not None:
            return []
        consumer.assign([ck.TopicPartition(topic, number, 0) for number in known.partitions])
        return _until_the_end(consumer, set(known.partitions))
    finally:
        consumer.close()


def _until_the_end(consumer: ck.Consumer, partitions: set[int]) -> list[ck.Message]:
    got = []
    give_up = time.monotonic() + 120
    while partitions and time.monotonic() < give_up:
        for message in consumer.consume(1000, 0.5):
            if message.error() is None:
                got.append(message)
            elif message.error().code() == ck.KafkaError._PARTITION_EOF:
                partitions.discard(message.partition())
    assert not partitions, f"no end of {partitions} after two minutes"
    return got


def reckon(what: str, pitt: pathlib.Path, archive: pathlib.Path, sent: Sent, output: list[int]) -> Reckoning:
    """Compares the ids sent with those in the archive's tables and those in `output`; runs `pitt verify`."""
    table = DeltaTable(str(archive / "packets")).to_pyarrow_table(columns=["alert_id", "outcome"])
    rows = collections.Counter(zip(table["outcome"].to_pylist(), table["alert_id"].to_pylist(), strict=True))
    stored = collections.Counter({alert: n for (outcome, alert), n in rows.items() if outcome == "stored"})
    outcomes = collections.Counter(table["outcome"].to_pylist())
    out = collections.Counter(output)
    once = set(sent.good)
    surplus = table.num_rows - sent.messages
    return Reckoning(
        what=what,
        sent=sent.messages,
        stored=outcomes["stored"],
        duplicates=outcomes["duplicate"],
        quarantined=outcomes["quarantined"],
        # A message without a row is lost even if its alert came by another message.
        lost=len(once - stored.keys()) + max(0, -surplus),
        doubled=sum(n - 1 for n in stored.values()) + max(0, surplus),
        delivered=len(output),
        not_delivered=len(sent.matching - out.keys()),
        delivered_twice=sum(n - 1 for n in out.values()) + len(out.keys() - sent.matching),
        verified=verify(pitt, archive)["ok"],
    )


def verify(pitt: pathlib.Path, archive: pathlib.Path) -> dict:
    """The answer of `pitt verify --json`."""
    done = subprocess.run([str(pitt), "--archive", str(archive), "verify", "--json"], capture_output=True, text=True,
                          check=False)
    assert done.stdout, f"`pitt verify` said nothing: {done.stderr[-2000:]}"
    answer = json.loads(done.stdout)
    if not answer["ok"]:
        print(done.stdout)
    return answer


def table(rows: list[Reckoning]) -> str:
    """The rows as text, aligned."""
    cells = [[name.replace("_", " ") for name in asdict(rows[0])]]
    for row in rows:
        values = asdict(row) | {"verified": "yes" if row.verified else "NO", "seconds": f"{row.seconds:.0f}"}
        cells.append([f"{value:,}" if isinstance(value, int) else str(value) for value in values.values()])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) if column == 0 else cell.rjust(width)
                  for column, (cell, width) in enumerate(zip(line, widths, strict=True)))
        for line in cells)
