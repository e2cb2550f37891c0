"""The engine in a notebook."""

from __future__ import annotations

import doctest
import importlib
import signal
import subprocess
import time

import node
import numpy as np
import pyarrow as pa
import pytest
from broker import pitt


@pytest.fixture
def alert(archive) -> dict:
    return next(archive.alerts())


def test_tables_reach_every_library(archive):
    import polars

    answer = archive.query("SELECT alert_id, object_id, mjd_tai, psf_flux FROM alerts ORDER BY alert_id")
    assert answer.units["mjd_tai"].startswith("d") and answer.units["psf_flux"] == "nJy"
    frame, table = answer.to_pandas(), answer.to_table()
    assert list(frame["alert_id"]) == answer["alert_id"].to_pylist() == list(table["alert_id"])
    assert str(table["psf_flux"].unit) == "nJy"
    assert polars.DataFrame(answer).shape == (len(answer), 4)
    first, second = pa.table(answer)["mjd_tai"].chunk(0), pa.table(answer)["mjd_tai"].chunk(0)
    assert first.buffers()[1].address == second.buffers()[1].address, "copied on the way"


def test_missing_values_are_masked(archive):
    answer = archive.query("SELECT CASE WHEN psf_flux > 0 THEN psf_flux END AS bright, band FROM alerts")
    table = answer.to_table()
    nulls = answer["bright"].null_count
    assert (nulls == 0) or table["bright"].mask.sum() == nulls


def test_one_alert_and_its_light_curve(archive, alert):
    again = archive.alert(str(alert["candid"]))
    assert again["candidate"]["ra"] == alert["candidate"]["ra"]
    curve = archive.light_curve(alert["objectId"])
    assert alert["candid"] in curve["alert_id"].to_pylist()
    near = archive.cone(alert["candidate"]["ra"], alert["candidate"]["dec"], 5)
    assert near["object_id"][0].as_py() == alert["objectId"]
    with pytest.raises(KeyError, match="no alert 5"):
        archive.alert(5)
    assert len(archive.light_curve("ZTF00nothing")) == 0


def test_decoding_in_bulk(archive):
    import pitt_broker

    packets = list(archive.alerts(raw=True))
    tables = pitt_broker.decode(packets)
    assert sum(map(len, tables)) == len(packets)
    assert all("cutoutScience" not in table.columns for table in tables)
    narrow = pitt_broker.decode(packets[:5], columns=["objectId"])[0]
    assert "candidate" not in narrow.columns and "mjd_tai" in narrow.columns
    with pytest.raises(pitt_broker.DecodeError, match="packet 1"):
        pitt_broker.decode([packets[0], b"nonsense"])
    assert len(pitt_broker.decode([packets[0], b"nonsense"], errors="skip")[0]) == 1
    with pytest.raises(TypeError):
        pitt_broker.alerts(5)


def test_stamps_are_those_of_astropy(alert):
    import gzip
    import io

    import pitt_broker
    from astropy.io import fits

    for name in ("cutoutScience", "cutoutTemplate", "cutoutDifference"):
        plane = pitt_broker.stamp(alert[name])[0]
        with fits.open(io.BytesIO(gzip.decompress(alert[name]["stampData"]))) as file:
            assert np.array_equal(plane.data, file[0].data, equal_nan=True)


def test_errors_tell_where(archive, tmp_path):
    import pitt_broker

    with pytest.raises(pitt_broker.QueryError, match="nope"):
        archive.query("SELECT nope FROM alerts")
    with pytest.raises(pitt_broker.QueryError):
        archive.query("DROP TABLE alerts")
    with pytest.raises(pitt_broker.ArchiveError, match="there is no archive"):
        pitt_broker.open(tmp_path / "none")
    assert archive.query("SELECT alert_id FROM alerts", max_rows=1).truncated


def test_a_closed_archive_says_so_and_lets_a_broker_write(simulated, tmp_path):
    import pitt_broker

    folder = tmp_path / "archive"
    run = [pitt(), "run", "--from", simulated.folder, "--archive", folder]
    subprocess.run(run, check=True, capture_output=True)
    archive = pitt_broker.open(folder)
    number = archive.query("SELECT alert_id FROM alerts LIMIT 1")["alert_id"][0].as_py()
    archive.close()
    with pytest.raises(pitt_broker.ArchiveError, match="was closed"):
        archive.alert(number)
    more = pitt_broker.simulate(survey="ztf", visits=1, alerts_per_visit=10, seed=99).write(tmp_path / "more")
    run = [pitt(), "run", "--from", more, "--archive", folder]
    subprocess.run(run, check=True, capture_output=True)
    with pitt_broker.open(folder) as archive:
        assert len(archive.query("SELECT alert_id FROM alerts")) == len(simulated.packets) + 10


def test_what_a_broker_commits_meanwhile_is_found(simulated, tmp_path):
    """An archive that was opened before reads alerts that came after."""
    import pitt_broker

    folder = tmp_path / "archive"
    first = pitt_broker.simulate(survey="ztf", visits=1, alerts_per_visit=10, seed=98)
    second = pitt_broker.simulate(survey="lsst", visits=1, alerts_per_visit=10, seed=99)
    settings = tmp_path / "pitt.toml"
    settings.write_text("[commit]\nevery_s = 0.2\n")
    first.write(tmp_path / "night")
    words = [pitt(), "-c", settings, "run", "--from", tmp_path / "night", "--follow", "--archive", folder]
    broker = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=node.dies_with_us)
    try:
        archive = wait_for(lambda: opened(folder, 10))
        assert archive.surveys == ["ztf"]
        second.write(tmp_path / "night")
        number = second.truth()["alert_id"][-1].as_py()
        alert = wait_for(lambda: found(archive, number))
        assert alert["diaSource"]["diaSourceId"] == number
    finally:
        broker.send_signal(signal.SIGINT)
        assert broker.wait(60) == 0


def opened(folder, alerts):
    import pitt_broker

    try:
        archive = pitt_broker.open(folder)
        return archive if len(archive.query("SELECT alert_id FROM alerts")) >= alerts else None
    except pitt_broker.PittError:
        return None


def found(archive, number):
    try:
        return archive.alert(number)
    except KeyError:
        return None


def wait_for(ready):
    for _ in range(600):
        if (thing := ready()) is not None:
            return thing
        time.sleep(0.1)
    raise AssertionError("not within a minute")


def test_times_become_times(simulated):
    import pitt_broker
    from astropy.time import Time

    sql = "SELECT a.mjd_tai, p.received_us, a.psf_flux FROM alerts a JOIN packets p ON a.alert_id = p.alert_id LIMIT 20"
    answer = simulated.archive.query(sql)
    table = answer.to_table()
    assert isinstance(table["mjd_tai"], Time) and table["mjd_tai"].scale == "tai"
    assert np.array_equal(table["mjd_tai"].mjd, answer["mjd_tai"].to_numpy())
    received = answer["received_us"][0].as_py()
    assert round(table["received_us"][0].unix * 1e6) == received
    assert np.issubdtype(answer.to_table(times=False)["mjd_tai"].dtype, np.floating)
    nothing = pitt_broker.Table(pa.table({"peak_mjd_tai": pa.array([None, 60000.5])}))
    assert nothing.to_table()["peak_mjd_tai"].mask.tolist() == [True, False]
    empty = pitt_broker.Table(pa.table({"mjd_tai": pa.array([], pa.float64())}))
    assert len(empty.to_table()["mjd_tai"]) == 0


def test_truth_as_an_astropy_table():
    import pitt_broker
    from astropy import units

    truth = pitt_broker.simulate(survey="ztf", visits=2, alerts_per_visit=60).truth()
    table = truth.to_table()
    assert table["rate"].unit == units.arcsec / units.hour and table["true_flux"].unit == units.nJy
    assert table["redshift"].mask.sum() == truth["redshift"].null_count > 0


#: Modules whose docstrings have examples, and how many there are at least in all.
DOCUMENTED = ("", "._archive", "._decode", "._filters", "._plot_lightcurve", "._plot_sky", "._plot_stamps", "._simulate", "._table")


def test_the_examples_in_the_documentation_run(simulated, monkeypatch):
    monkeypatch.setenv("PITT_ARCHIVE", str(simulated.archive.folder))
    attempted = 0
    for name in ["mock_stream", *(f"pitt_broker{part}" for part in DOCUMENTED)]:
        result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
        assert result.failed == 0, name
        attempted += result.attempted
    assert attempted > 40
