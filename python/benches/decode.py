"""Decoding in bulk against fastavro, in the same run and on one core.

    ./dev bench python

Each kind of packet is read by turns: fastavro to dicts, `pitt_broker.decode` to Arrow (with and without stamps) and `alerts` to
dicts. What is compared is processor time, the best of four turns each, so that other programs on the machine disturb little.
Real packets come from PITT_TEST_DATA, where it has some; simulated ones are always read.
"""

from __future__ import annotations

import io
import json
import os
import pathlib
import threading
import time
from collections.abc import Callable

import fastavro
import pitt_broker as pb

TURNS = 4
#: Packets of a kind.
PACKETS = 1000
DATA = pathlib.Path(os.environ.get("PITT_TEST_DATA", pathlib.Path(__file__).parents[2].parent / "shared" / "data"))


def seconds(work: Callable[[], int], expected: int) -> float:
    """Processor time of this thread and those it starts, s."""
    begin = time.process_time()
    assert work() == expected
    return time.process_time() - begin


def by_fastavro(packets: list[bytes], schema: object | None) -> int:
    """How a broker reads with fastavro: containers as they are, messages by a schema parsed once."""
    if schema is None:
        return sum(1 for packet in packets for _ in fastavro.reader(io.BytesIO(packet)))
    return sum(1 for packet in packets if fastavro.schemaless_reader(io.BytesIO(packet[5:]), schema))


def compare(kind: str, packets: list[bytes], schema: object | None) -> None:
    """Prints a line of the table for each way."""
    schemas = pb.Schemas()
    count = by_fastavro(packets, schema)
    ways: dict[str, Callable[[], int]] = {
        "fastavro, dicts": lambda: by_fastavro(packets, schema),
        "decode, all but stamps": lambda: sum(map(len, pb.decode(packets, schemas=schemas))),
        "decode, with stamps": lambda: sum(map(len, pb.decode(packets, schemas=schemas, stamps=True))),
        "alerts, dicts": lambda: sum(len(pb.alerts(packet, schemas=schemas)) for packet in packets),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(TURNS):
        for name, work in ways.items():
            best[name] = min(best[name], seconds(work, count))
    size = sum(map(len, packets)) / len(packets) / 1000
    for name, spent in best.items():
        ratio = best["fastavro, dicts"] / spent
        print(f"| {kind}, {size:.0f} kB | {name} | {1e6 * spent / count:.1f} | {ratio:.1f} |", flush=True)


def simulated(survey: str) -> list[bytes]:
    return pb.simulate(survey=survey, visits=4, alerts_per_visit=PACKETS // 4).packets()


def real(folder: str) -> list[bytes]:
    """Packets of a folder of the test data, again and again until there are enough."""
    found = [file.read_bytes() for file in sorted((DATA / folder).glob("*.avro"))]
    return (found * (PACKETS // len(found) + 1))[:PACKETS] if found else []


def goes_on(packets: list[bytes]) -> None:
    """What another thread gets done meanwhile, against what it gets done alone."""
    stop, counted = threading.Event(), 0

    def count() -> None:
        nonlocal counted
        while not stop.is_set():
            counted += 1

    other = threading.Thread(target=count)
    other.start()
    begin, before = time.perf_counter(), counted
    for _ in range(5):
        pb.decode(packets)
    beside = (counted - before) / (time.perf_counter() - begin)
    begin, before = time.perf_counter(), counted
    time.sleep(1)
    alone = (counted - before) / (time.perf_counter() - begin)
    stop.set()
    other.join()
    print(f"\nanother Python thread runs at {100 * beside / alone:.0f} % of its pace beside `decode`")


def main() -> None:
    """Prints the table."""
    print("| packets | way | us a packet | times fastavro |\n|---|---|---|---|")
    compare("ZTF 4.02 simulated", ztf := simulated("ztf"), None)
    compare("LSST 11.0 simulated", simulated("lsst"), fastavro.parse_schema(lsst_schema()))
    for version in ("3.3", "4.02"):
        if packets := real(f"ztf/ocf/{version}"):
            compare(f"ZTF {version} real", packets, None)
    goes_on(ztf)


def lsst_schema() -> dict[str, object]:
    """The schema of the simulated messages, as the simulator writes it beside them."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        pb.simulate(survey="lsst", visits=1, alerts_per_visit=1).write(folder)
        [file] = pathlib.Path(folder).rglob("*.avsc")
        schema: dict[str, object] = json.loads(file.read_text())
        return schema


if __name__ == "__main__":
    main()
