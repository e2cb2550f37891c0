"""Decoding in bulk."""

from __future__ import annotations

import sys
import threading
import time

import pytest

import pitt_broker as pb


def test_bytes_files_folders_and_tarballs_give_the_same(simulated, tmp_path):
    packets = simulated.packets
    paths = []
    for number, packet in enumerate(packets):
        paths.append(tmp_path / f"{number:04}.avro")
        paths[-1].write_bytes(packet)
    in_memory = pb.decode(packets)
    ids = [table["alert_id"].to_pylist() for table in in_memory]
    for given in (paths, [str(path) for path in paths], tmp_path):
        assert [table["alert_id"].to_pylist() for table in pb.decode(given)] == ids
    of_nights = pb.decode(simulated.folder)
    assert sorted(id for table in of_nights for id in table["alert_id"].to_pylist()) == sorted(sum(ids, []))
    assert sum(map(len, in_memory)) == len(packets)


def test_stamps_come_when_asked_and_outlive_the_packets():
    packets = pb.simulate(survey="ztf", visits=1, alerts_per_visit=5).packets()
    expected = [pb.alerts(packet)[0]["cutoutScience"]["stampData"] for packet in packets]
    table = pb.decode(packets, stamps=True)[0]
    del packets
    cutouts = table["cutoutScience"].to_pylist()
    assert [cutout["stampData"] for cutout in cutouts] == expected
    assert not any(name.startswith("cutout") for name in pb.decode(pb.simulate(visits=1, alerts_per_visit=2).packets())[0].columns)


def test_what_is_wrong_is_named(tmp_path):
    packets = pb.simulate(survey="ztf", visits=1, alerts_per_visit=2).packets()
    with pytest.raises(pb.DecodeError, match="packet 1: not_avro"):
        pb.decode([packets[0], b"nonsense", packets[1]])
    assert len(pb.decode([packets[0], b"nonsense", packets[1]], errors="skip")[0]) == 2
    with pytest.raises(pb.DecodeError, match="missing.avro"):
        pb.decode(tmp_path / "missing.avro")
    with pytest.raises(TypeError):
        pb.decode([5])
    with pytest.raises(ValueError, match="errors='never'"):
        pb.decode([], errors="never")


def test_other_threads_go_on_while_packets_are_decoded():
    """With a switch interval beyond all patience, another thread runs only while the decoder has let Python go."""
    packets = pb.simulate(survey="ztf", visits=2, alerts_per_visit=500).packets() * 4
    counted, done = 0, threading.Event()

    def count():
        nonlocal counted
        while not done.is_set():
            counted += 1
            time.sleep(0)

    usual = sys.getswitchinterval()
    other = threading.Thread(target=count)
    other.start()
    try:
        sys.setswitchinterval(3600)
        before = counted
        sum(range(3_000_000))
        assert counted == before, "the interpreter was let go by plain Python code: this test shows nothing"
        tables = pb.decode(packets)
        during = counted - before
    finally:
        sys.setswitchinterval(usual)
        done.set()
        other.join()
    assert sum(map(len, tables)) == len(packets)
    assert during > 0, "the other thread stood still"


def test_histories_of_packets_dicts_and_archive_agree(simulated):
    import numpy as np

    longest = max(simulated.packets[:200], key=len)
    [alert] = pb.alerts(longest)
    of_packet, of_dict = pb.history(longest), pb.history(alert)
    number = alert.get("candid") or alert["diaSourceId"]
    assert of_packet.to_arrow().equals(simulated.archive.history(number).to_arrow())
    frames = [table.to_pandas().query("kind != 'forced'").reset_index(drop=True) for table in (of_packet, of_dict)]
    assert len(frames[0]) == len(frames[1]) > 1
    for column in ("psf_flux", "psf_flux_err", "psf_flux_limit"):
        assert np.allclose(frames[0][column], frames[1][column], rtol=1e-6, equal_nan=True), column
    # A dict is read with ZTF's usual exposure of 30 s.
    assert np.allclose(frames[0]["mjd_tai"], frames[1]["mjd_tai"], atol=20 / 86400)
    with pytest.raises(KeyError, match="no alert 5"):
        simulated.archive.history(5)
