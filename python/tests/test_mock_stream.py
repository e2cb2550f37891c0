"""What was promised to the first users, word for word."""

from __future__ import annotations

import io
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

import fastavro
import pytest
from broker import pitt

PROMISED = """
from mock_stream import download_data, get_alert_data, get_number_local_alerts
from mock_stream import iter_alerts, number_local_releases, plot_stamps, prime_alerts
download_data()                        # one day by default; max_downloads=N
print(number_local_releases())         # daily releases downloaded
print(get_number_local_alerts())       # alerts of all of them
for alert in iter_alerts():            # dicts, as fastavro gives them; raw=True: bytes
    alert_id = alert['candid']; break
alert_data = get_alert_data(alert_id)  # ValueError that helps when it is not here
fig = plot_stamps(alert_data)          # a matplotlib figure: Science, Template, Difference, asinh stretch

from kafka import KafkaConsumer
consumer = KafkaConsumer('ztf-stream', bootstrap_servers=['localhost:9092'])
prime_alerts()                         # up to 100 alerts into topic ztf-stream; max_alerts=, servers=
for alert in consumer: print(alert)
"""


def run(text: str, folder: pathlib.Path, **environment) -> subprocess.CompletedProcess:
    """Runs a script in a folder of its own, as a user would."""
    outside = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", text], cwd=folder, env=outside, capture_output=True, text=True, timeout=300)


def members(night: pathlib.Path) -> list[bytes]:
    with tarfile.open(night) as tar:
        return [tar.extractfile(member).read() for member in tar if member.isfile()]


#: What stands before the text as it is: `print` counts what the endless loop at its end gets, and ends it.
COUNTING = """
import sys
def print(what, seen=[]):
    if hasattr(what, 'value'):
        seen.append(what.value)
        len(seen) == {expected} and sys.exit('all of them')
    else:
        sys.stdout.write(f'{{what}}\\n')
"""


def test_the_promised_text(stream, public_archive, nights, tmp_path):
    newest = max(n for n in nights.glob("*.tar.gz") if n.stat().st_size > 512)
    there = len(members(newest))
    text = PROMISED
    if stream != "localhost:9092":
        text = text.replace("localhost:9092", stream).replace("prime_alerts()  ", f"prime_alerts(servers=['{stream}'])  ")
    ended = run(COUNTING.format(expected=min(there, 100)) + text, tmp_path, PITT_ARCHIVE_URL=public_archive)
    assert ended.stderr.rstrip().endswith("all of them"), ended.stderr + ended.stdout
    assert "no ZTF alerts are here yet" in ended.stderr
    assert ["1", str(there)] == [line for line in ended.stdout.splitlines() if line.isdigit()]


def test_values_are_those_of_fastavro(workplace, nights):
    import mock_stream

    local = {alert["candid"]: alert for alert in mock_stream.iter_alerts()}
    compared = 0
    for night in sorted(nights.glob("*.tar.gz")):
        for packet in members(night) if night.stat().st_size > 512 else []:
            for alert in fastavro.reader(io.BytesIO(packet)):
                assert same(local[alert["candid"]], alert), alert["candid"]
                compared += 1
    print(f"{compared} alerts equal to fastavro's")
    assert compared >= len(local) == mock_stream.get_number_local_alerts() > 0


def test_every_real_ztf_packet_as_fastavro_gives_it():
    import pitt_broker
    from conftest import DATA

    files = [f for f in sorted((DATA / "ztf").rglob("*.avro")) if "bad" not in f.parts]
    if not files:
        pytest.skip("no real alerts (set PITT_TEST_DATA)")
    compared = 0
    for file in files:
        expected = list(fastavro.reader(io.BytesIO(file.read_bytes())))
        found = pitt_broker.alerts(file)
        assert len(found) == len(expected), file
        assert all(same(a, b) for a, b in zip(found, expected)), file
        compared += len(expected)
    print(f"{compared} alerts of {len(files)} files equal to fastavro's")


def same(one, other) -> bool:
    """Equal, NaN to NaN."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or (one != one and other != other))


def test_packets_come_back_byte_for_byte(workplace, nights):
    import mock_stream

    packets = {packet for night in nights.glob("*.tar.gz") if night.stat().st_size > 512 for packet in members(night)}
    raw = list(mock_stream.iter_alerts(raw=True))
    assert set(raw) <= packets and len(raw) == len(set(raw))
    alert = next(mock_stream.iter_alerts(num_alerts=1))
    assert mock_stream.get_alert_data(str(alert["candid"]), raw=True) in packets


def test_nothing_here_says_what_to_do(tmp_path, public_archive):
    text = "import mock_stream\ntry:\n    mock_stream.iter_alerts()\nexcept RuntimeError as error:\n    print(error)\n"
    text += "try:\n    mock_stream.get_alert_data(5)\nexcept ValueError as error:\n    print(error)\n"
    text += "print(mock_stream.get_number_local_alerts(), mock_stream.number_local_releases())"
    ended = run(text, tmp_path, PITT_ARCHIVE_URL=public_archive)
    assert ended.stderr.count("UserWarning") == 1, ended.stderr
    assert ended.stdout.count("download_data") == 2 and ended.stdout.endswith("0 0\n"), ended.stdout


def test_what_is_not_here_and_who_does_not_answer(workplace):
    import mock_stream
    import pitt_broker

    with pytest.raises(ValueError, match="among the"):
        mock_stream.get_alert_data(5)
    with pytest.raises(pitt_broker.StreamError, match="no topic ztf-stream at 127.0.0.1:9"):
        mock_stream.prime_alerts(3, "127.0.0.1:9", timeout_s=0.5)
    with pytest.raises(ValueError, match="at least 1"):
        mock_stream.prime_alerts(0)
    with pytest.raises(pitt_broker.DownloadError, match="is no night"):
        mock_stream.download_data(nights=["yesterday"])


MEASURE = """
import itertools, pitt_broker

def resident_mb():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * 4096 / 1e6

for raw, most in ((False, 8000), (True, 10**9)):
    sizes, number = [], 0
    for alert in itertools.islice(pitt_broker.open().alerts(raw=raw), most):
        number += 1
        if number % 1000 == 0:
            sizes.append(round(resident_mb()))
    print(number, *sizes)
"""


@pytest.mark.skipif(not pathlib.Path("/proc/self/statm").exists(), reason="asks Linux for the memory")
def test_memory_does_not_grow_with_the_number_of_alerts(tmp_path):
    """After the first 2,000 of 20,000 alerts (1.5 GB of packets) memory stays within 60 MB; as dicts, which take longer to
    make, 8,000 of them."""
    words = ["--survey", "ztf", "--visits", "40", "--alerts-per-visit", "500", "--bad-per-million", "0"]
    subprocess.run([pitt(), "simulate", "--into", "night", *words], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run([pitt(), "run", "--from", "night"], cwd=tmp_path, check=True, capture_output=True)
    ended = run(MEASURE, tmp_path)
    shutil.rmtree(tmp_path / "night")
    shutil.rmtree(tmp_path / "pitt-data")
    lines = [[int(word) for word in line.split()] for line in ended.stdout.splitlines()]
    assert len(lines) == 2, ended.stderr
    assert [line[0] for line in lines] == [8_000, 20_000]
    for count, *sizes in lines:
        assert len(sizes) == count / 1000
        assert max(sizes[2:]) - sizes[1] < 60, f"{sizes} MB"
    print(f"MB after each 1,000 alerts: {lines[0][1:]} (dicts), {lines[1][1:]} (bytes)")
