"""The engine in a notebook."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import pyarrow as pa
import pytest


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


def pixels(figure) -> np.ndarray:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)


def test_plots_show_what_they_should(archive, alert):
    import matplotlib
    import pitt_broker

    before = dict(matplotlib.rcParams)
    stamps = pitt_broker.plot_stamps(alert, colorbar=True, north_up=True)
    assert [ax.get_title().split(" ")[0] for ax in stamps.axes[:3]] == ["Science", "Template", "Difference"]
    image = stamps.axes[0].images[0].get_array()
    assert image.shape == (63, 63)
    curve = pitt_broker.plot_lightcurve(alert)
    assert curve.axes[0].yaxis_inverted() and "AB" in curve.axes[0].get_ylabel()
    flux = pitt_broker.plot_lightcurve(archive.light_curve(alert["objectId"]), unit="flux")
    assert "nJy" in flux.axes[0].get_ylabel() and not flux.axes[0].yaxis_inverted()
    sky = pitt_broker.plot_sky(archive.query("SELECT ra, dec FROM alerts"))
    for figure in (stamps, curve, flux, sky):
        assert len(np.unique(pixels(figure).reshape(-1, 3), axis=0)) > 20, "an empty picture"
    assert before == dict(matplotlib.rcParams), "global state changed"
    with pytest.raises(ValueError, match="unit"):
        pitt_broker.plot_lightcurve(alert, unit="Jy")


def test_a_light_curve_stands_where_it_should(alert):
    """A point of flux 3631 Jy x 1e-8 is at magnitude 20, at its own time."""
    import pitt_broker

    points = {"mjd_tai": [60000.0], "band": ["g"], "psf_flux": [36307.8], "psf_flux_err": [363.1]}
    ax = pitt_broker.plot_lightcurve(points).axes[0]
    line = ax.containers[0].lines[0]
    assert line.get_xdata()[0] == 60000.0 and abs(line.get_ydata()[0] - 20.0) < 1e-3
    negative = {**points, "psf_flux": [-36307.8]}
    ax = pitt_broker.plot_lightcurve(negative).axes[0]
    assert "negative" in ax.containers[0].get_label()


def test_doctests():
    for name in ("pitt_broker", "pitt_broker._table", "pitt_broker._decode", "mock_stream"):
        failed, _ = doctest.testmod(importlib.import_module(name))
        assert failed == 0, name
