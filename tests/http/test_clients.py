"""Clients that exist, unchanged: lasair's, pyvo, stilts, and the shape that SkyPortal asks for."""

import io
import shutil
import subprocess

import astropy.io.votable
import fastavro
import pytest
import pyvo
import requests
from conftest import missing
from lasair import LasairError, lasair_client


@pytest.fixture
def lasair(server):
    return lasair_client("any-token", endpoint=f"{server.url}/lasair/api")


def test_lasair_finds_an_object_by_cone_and_reads_it(server, lasair, ztf):
    cone = {"ra": ztf["ra"], "dec": ztf["dec"], "radius": 5.0}
    nearest = lasair.cone(**cone, requestType="nearest")
    every = lasair.cone(**cone, requestType="all")
    assert nearest == every[0] and nearest["separation"] < 5
    assert lasair.cone(**cone, requestType="count") == {"count": len(every)}
    assert ztf["object_id"] in [hit["object"] for hit in every]

    read = lasair.object(ztf["object_id"])
    own = server.rows(f"SELECT mjd_tai, psf_flux FROM ztf WHERE object_id = '{ztf['object_id']}'")
    times = {round(point["mjd"], 6): point.get("psfFlux") for point in read["candidates"]}
    for row in own:
        assert times[round(row["mjd_tai"], 6)] == pytest.approx(row["psf_flux"], rel=1e-6)
    assert read["objectData"]["ramean"] == ztf["ra"]


def test_lasair_asks_in_sql_and_is_told_what_is_wrong(server, lasair):
    rows = lasair.query("object_id, alert_id, psf_flux", "ztf", "psf_flux > 0 ORDER BY psf_flux DESC", limit=7)
    expected = server.rows("SELECT object_id, alert_id, psf_flux FROM ztf WHERE psf_flux > 0 ORDER BY psf_flux DESC LIMIT 7")
    assert rows == expected
    with pytest.raises(LasairError) as error:
        lasair.query("no_such_column", "ztf", "")
    assert "no_such_column" in error.value.message


def test_pyvo_searches_a_cone(server, ztf):
    service = pyvo.dal.SCSService(f"{server.url}/vo/conesearch?")
    found = service.search(pos=(ztf["ra"], ztf["dec"]), radius=60 / 3600)
    expected = server.json("conesearch", ra=ztf["ra"], dec=ztf["dec"], radius=60)["rows"]
    assert [record.id for record in found] == [row["object_id"] for row in expected]
    assert [record.pos.ra.deg for record in found] == pytest.approx([row["ra"] for row in expected])
    table = found.to_table()
    assert str(table["ra"].unit) == "deg" and str(table["separation_arcsec"].unit) == "arcsec"
    assert table["ra"].meta["ucd"] == "POS_EQ_RA_MAIN"  # what version 1.03 asks for, and pyvo looks for
    with pytest.raises(pyvo.dal.DALQueryError, match="DEC"):
        service.search(pos=(10.0, 20.0), radius=1.0, dec=99)


def test_a_cone_of_radius_zero_gives_the_columns_alone(server):
    answer = requests.get(f"{server.url}/vo/conesearch", params={"ra": 10, "Dec": 20, "sr": 0}, timeout=60)
    table = astropy.io.votable.parse_single_table(io.BytesIO(answer.content))
    assert len(table.array) == 0 and len(table.fields) == 7


def stilts(*arguments) -> subprocess.CompletedProcess:
    if shutil.which("stilts") is None:
        missing("no stilts (Debian's package of that name)")
    return subprocess.run(["stilts", *arguments], check=True, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    "path",
    [
        "api/v1/alerts?limit=20&output-format=votable",
        "api/v1/sql?query=SELECT+*+FROM+ztf+LIMIT+3&output-format=votable",
        "vo/conesearch?RA=10&DEC=20&SR=0.1",
        "vo/conesearch?RA=x&DEC=20&SR=0.1",
    ],
)
def test_votlint_finds_nothing(server, tmp_path, path):
    file = tmp_path / "table.vot"
    file.write_bytes(requests.get(f"{server.url}/{path}", timeout=60).content)
    told = stilts("votlint", str(file))
    assert told.stdout.strip() == "", told.stdout


def test_stilts_searches_a_cone(server, ztf):
    told = stilts(
        "cone",
        f"serviceurl={server.url}/vo/conesearch?",
        f"lon={ztf['ra']}",
        f"lat={ztf['dec']}",
        "radius=0.01",
        "ofmt=csv",
    )
    assert ztf["object_id"] in told.stdout


def test_skyportal_reads_alerts_and_their_history(server, ztf):
    base = f"{server.url}/skyportal"
    listed = requests.get(f"{base}/alerts", params={"objectId": ztf["object_id"]}, timeout=60).json()
    assert ztf["alert_id"] in [record["candid"] for record in listed]
    around = {"ra": ztf["ra"], "dec": ztf["dec"], "radius": 5}
    assert ztf["object_id"] in [r["objectId"] for r in requests.get(f"{base}/alerts", params=around, timeout=60).json()]
    one = requests.get(f"{base}/alerts/{ztf['alert_id']}", headers={"Authorization": "Bearer x"}, timeout=60).json()
    packet = server.get(f"alerts/{ztf['alert_id']}/packet").content
    own = next(fastavro.reader(io.BytesIO(packet)))
    for name in ("ra", "dec", "magpsf", "sigmapsf", "fid"):
        assert one["candidate"][name] == pytest.approx(own["candidate"][name], rel=1e-6), name
    # ZTF's time is the beginning of the exposure, the common column's the middle: half of 30 s, to a second.
    assert one["candidate"]["jd"] == pytest.approx(own["candidate"]["jd"] + 15 / 86400, abs=1.5 / 86400)
    assert one["cutoutScience"] and one["prv_candidates"]
