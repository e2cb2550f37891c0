"""What the port says against the archive's own numbers, the packets and other readers."""

import csv
import io
import warnings

import astropy.io.votable
import fastavro
import numpy
import pyarrow
import pyarrow.parquet
import pytest
import requests
from astropy.io import fits
from PIL import Image


def walk(server, path: str, **parameters) -> list[dict]:
    """Every page of a list."""
    rows, cursor = [], None
    while True:
        page = server.json(path, **parameters, **({"cursor": cursor} if cursor else {}))
        rows += page["rows"]
        cursor = page["next"]
        assert page["truncated"] == (cursor is not None)
        if cursor is None:
            return rows


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_pages_of_alerts_are_all_of_them_once_in_order(server, order):
    rows = walk(server, "alerts", limit=97, order=order)
    expected = server.rows("SELECT survey, alert_id, mjd_tai, psf_flux FROM alerts WHERE mjd_tai IS NOT NULL")
    key = lambda row: (row["survey"], row["alert_id"])  # noqa: E731
    assert sorted(map(key, rows)) == sorted(map(key, expected))
    times = [row["mjd_tai"] for row in rows]
    assert times == sorted(times, reverse=order == "newest")
    fluxes = {key(row): row["psf_flux"] for row in expected}
    assert all(fluxes[key(row)] == row["psf_flux"] for row in rows)


def test_alerts_are_sifted_as_sql_sifts_them(server, ztf):
    night = ztf["night"]
    count = lambda **by: len(walk(server, "alerts", limit=10000, **by))  # noqa: E731
    sql = lambda where: server.rows(f"SELECT count(*) AS n FROM alerts WHERE {where}")[0]["n"]  # noqa: E731
    assert count(survey="ztf", night=night, band="g") == sql(f"survey = 'ztf' AND night = {night} AND band = 'g'") > 0
    assert count(min_reliability=0.5) == sql("reliability >= 0.5 AND mjd_tai IS NOT NULL") > 0
    middle = server.rows("SELECT median(mjd_tai) AS t FROM alerts")[0]["t"] + 1e-5  # between two alerts
    assert count(since=middle) == sql(f"mjd_tai >= {middle!r}") > 0
    assert count(until=middle) == sql(f"mjd_tai <= {middle!r}") > 0
    cone = count(ra=ztf["ra"], dec=ztf["dec"], radius=3600)
    hits = server.json("conesearch", ra=ztf["ra"], dec=ztf["dec"], radius=3600)["rows"]
    assert cone >= len(hits) > 0
    taken = server.rows("SELECT filter, count(*) AS n FROM matches GROUP BY filter ORDER BY n DESC LIMIT 1")[0]
    rows = walk(server, "alerts", filter=taken["filter"], limit=10000)
    assert len(rows) == taken["n"] and all(row["version"] for row in rows)


def test_five_formats_say_the_same(server):
    wanted = {"limit": 50, "columns": "alert_id,ra,psf_flux,band"}
    rows = server.json("alerts", **wanted)["rows"]
    ids = [int(row["alert_id"]) for row in rows]
    get = lambda form: server.get("alerts", **wanted, **{"output-format": form})  # noqa: E731
    parquet = pyarrow.parquet.read_table(io.BytesIO(get("parquet").content))
    arrow = pyarrow.ipc.open_stream(get("arrow").content).read_all()
    for table in (parquet, arrow):
        assert table.column("alert_id").to_pylist() == ids
        assert table.column("psf_flux").to_pylist() == pytest.approx([row["psf_flux"] for row in rows], nan_ok=True)
    assert arrow.schema.field("psf_flux").metadata[b"unit"] == b"nJy"
    votable = astropy.io.votable.parse_single_table(io.BytesIO(get("votable").content))
    assert list(votable.array["alert_id"]) == ids
    assert {field.name: str(field.unit) for field in votable.fields}["psf_flux"] == "nJy"
    lines = get("csv").text.splitlines()
    assert lines[0] == "alert_id,ra,psf_flux,band" and [int(line.split(",")[0]) for line in lines[1:]] == ids
    accept = requests.get(f"{server.api}/alerts", params=wanted, headers={"Accept": "text/csv"}, timeout=60)
    assert accept.text == get("csv").text


def test_text_of_any_language_and_bytes_survive_every_format(server):
    sql = "SELECT 'é ☃ \"a\", <b> & =1+1' AS words, X'00ff10' AS raw, CAST('NaN' AS DOUBLE) AS nan, CAST(NULL AS DOUBLE) AS nothing, NULL AS nil"
    words = 'é ☃ "a", <b> & =1+1'
    get = lambda form: server.get("sql", query=sql, **{"output-format": form})  # noqa: E731
    row = get("json").json()["rows"][0]
    assert row == {"words": words, "raw": "00ff10", "nan": None, "nothing": None, "nil": None}
    header, line = csv.reader(io.StringIO(get("csv").text))  # as requests decodes it
    assert dict(zip(header, line)) == {"words": words, "raw": "00ff10", "nan": "NaN", "nothing": "", "nil": ""}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        votable = astropy.io.votable.parse_single_table(io.BytesIO(get("votable").content)).array
    assert (votable["words"][0], votable["raw"][0]) == (words, "00ff10")
    for table in (
        pyarrow.parquet.read_table(io.BytesIO(get("parquet").content)),
        pyarrow.ipc.open_stream(get("arrow").content).read_all(),
    ):
        assert (table["words"][0].as_py(), table["raw"][0].as_py()) == (words, b"\x00\xff\x10")


@pytest.mark.parametrize("path", ["filters", "filters/vocabulary", "nights", "ledger", "statistics", "schemas", "tags", ""])
def test_whatever_only_reads_takes_post_too(server, path):
    url = f"{server.api}/{path}"
    answers = [requests.get(url, timeout=60), requests.post(url, timeout=60), requests.post(url, json={}, timeout=60)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.text for answer in answers}) == 1


def test_a_filter_is_checked_by_get_form_and_json(server):
    url, wanted = f"{server.api}/filters/check", {"text": "psf_flux > 1e5 AND band = 'g'"}
    answers = [
        requests.get(url, params=wanted, timeout=60),
        requests.post(url, data=wanted, timeout=60),
        requests.post(url, json=wanted, timeout=60),
    ]
    assert [answer.json()["ok"] for answer in answers] == [True] * 3


def test_get_form_and_json_are_alike(server, ztf):
    url = f"{server.api}/alerts"
    wanted = {"object_id": ztf["object_id"], "limit": 3}
    answers = [
        requests.get(url, params=wanted, timeout=60),
        requests.post(url, data=wanted, timeout=60),
        requests.post(url, json=wanted, timeout=60),
    ]
    assert len({answer.text for answer in answers}) == 1 and answers[0].json()["rows"]
    by_id = [
        requests.post(f"{server.api}/cutouts", json={"alert_id": given, "format": "raw"}, timeout=60).content
        for given in (ztf["alert_id"], int(ztf["alert_id"]))
    ]
    assert by_id[0] == by_id[1] != b""


def test_an_alert_has_every_value_of_its_packet(server, ztf):
    alert = server.json(f"alerts/{ztf['alert_id']}")
    packet = server.get(f"alerts/{ztf['alert_id']}/packet")
    assert packet.headers["content-type"] == "application/avro"
    assert len(packet.content) == alert["packet"]["bytes"]
    own = next(fastavro.reader(io.BytesIO(packet.content)))
    assert alert["stored"] is True and alert["object_id"] == own["objectId"]
    for name, value in own["candidate"].items():
        told = alert["values"]["candidate"][name]
        if isinstance(value, float):
            # The packet's 32-bit floats are told in their own digits.
            assert told == pytest.approx(value, rel=1e-6), name
        else:
            assert str(told) == str(value), name
    assert len(alert["values"]["prv_candidates"] or []) == len(own["prv_candidates"] or [])
    assert alert["fields"]["candidate.ra"]["type"] == "float64"
    assert alert["cutouts"] == ["science", "template", "difference"]


def test_cutouts_in_every_form(server, ztf):
    path = f"alerts/{ztf['alert_id']}/cutouts/science"
    packet = server.get(f"alerts/{ztf['alert_id']}/packet").content
    own = next(fastavro.reader(io.BytesIO(packet)))["cutoutScience"]["stampData"]
    assert server.get(path, format="raw").content == own
    image = fits.open(io.BytesIO(server.get(path, format="fits").content))[0].data
    bare = server.get(path, format="f32")
    wide, tall = int(bare.headers["x-width"]), int(bare.headers["x-height"])
    pixels = numpy.frombuffer(bare.content, "<f4").reshape(tall, wide)
    numpy.testing.assert_array_equal(pixels, image.astype("f4"))
    for stretch in ("asinh", "linear", "log", "sqrt"):
        picture = Image.open(io.BytesIO(server.get(path, stretch=stretch, size=200).content))
        assert max(picture.size) == 200


def test_a_light_curve_has_each_point_once_with_the_packets_values(server, ztf):
    rows = server.json(f"objects/{ztf['object_id']}/lightcurve")["rows"]
    last = server.json(f"objects/{ztf['object_id']}")["last_alert_id"]
    own = next(fastavro.reader(io.BytesIO(server.get(f"alerts/{last}/packet").content)))
    times = [row["mjd_tai"] for row in rows]
    assert times == sorted(times) and len({(row["mjd_tai"], row["band"]) for row in rows}) == len(rows)
    alerts = {row["alert_id"] for row in rows}
    expected = server.rows(f"SELECT alert_id FROM ztf WHERE object_id = '{ztf['object_id']}'")
    assert {row["alert_id"] for row in expected} <= alerts
    by_id = {row["alert_id"]: row for row in rows if row["alert_id"]}
    seen = [point for point in (own["prv_candidates"] or []) if point["magpsf"] is not None]
    for point in [*seen, own["candidate"]]:
        row = by_id[str(point["candid"])]
        assert row["in_packet"] and 31.4 - 2.5 * numpy.log10(abs(row["psf_flux"])) == pytest.approx(point["magpsf"], abs=1e-4)
    limits = [row for row in rows if row["kind"] == "limit"]
    assert all(row["limit_mag"] and row["psf_flux"] is None for row in limits)


def test_an_object_says_what_its_alerts_say(server, ztf):
    body = server.json(f"objects/{ztf['object_id']}")
    rows = server.rows(f"SELECT mjd_tai, band, psf_flux FROM ztf WHERE object_id = '{ztf['object_id']}' ORDER BY mjd_tai")
    assert body["n_alerts"] == len(rows) == sum(band["n"] for band in body["bands"])
    assert (body["first_mjd_tai"], body["last_mjd_tai"]) == (rows[0]["mjd_tai"], rows[-1]["mjd_tai"])
    for band in body["bands"]:
        fluxes = [row["psf_flux"] for row in rows if row["band"] == band["band"]]
        assert band["last_flux"] == pytest.approx(fluxes[-1])
    assert {link["name"] for link in body["links"]} >= {"SIMBAD", "NED", "VizieR", "Lasair", "Fink", "ALeRCE"}
    listed = server.json(f"objects/{ztf['object_id']}/alerts")["rows"]
    assert len(listed) == len(rows) == len(server.json("sources", object_id=ztf["object_id"])["rows"])
    near = server.json(f"objects/{ztf['object_id']}/neighbours", radius=3600)["rows"]
    assert ztf["object_id"] not in [row["object_id"] for row in near]


def test_whatever_is_typed_is_resolved(server, ztf):
    for typed, kind in [
        (ztf["alert_id"], "alert"),
        (ztf["object_id"], "object"),
        (ztf["object_id"].lower(), "object"),
        ("10:20:30 -04:05:06", "position"),
        ("155.125 -4.085", "position"),
        ("neither this nor that", "nothing"),
    ]:
        assert server.json("resolve", q=typed)["kind"] == kind, typed
    lsst = server.rows("SELECT alert_id, object_id FROM lsst WHERE object_id IS NOT NULL LIMIT 1")[0]
    assert server.json("resolve", q=lsst["alert_id"])["kind"] == "alert"
    assert server.json("resolve", q=lsst["object_id"])["kind"] == "object"


def test_counts_balance_and_agree(server):
    ledger, totals = server.json("ledger"), server.json("statistics")
    counted = {row["outcome"]: row["n"] for row in server.rows("SELECT outcome, count(*) AS n FROM packets GROUP BY outcome")}
    assert ledger["balances"] and ledger["total"]["received"] == sum(counted.values()) == totals["received"]
    assert ledger["total"]["stored"] == counted["stored"] == totals["alerts"]
    nights = server.json("nights")["nights"]
    assert sum(night["received"] for night in nights) == totals["received"]
    assert sum(night["matches"] for night in nights) == totals["matches"]
    matched = server.rows("SELECT count(*) AS n FROM matches")[0]["n"]
    assert sum(one["n"] for one in ledger["matched"]) == sum(tag["matches"] for tag in server.json("tags")["tags"]) == matched
    night = nights[0]["night"]
    alerts = server.rows(f"SELECT count(*) AS n FROM alerts WHERE night = {night}")[0]["n"]
    for order in (0, 5, 7):
        sky = server.json(f"nights/{night}/sky", order=order)
        assert sky["total"] == alerts == sum(count for _, count in sky["cells"])
    reasons = server.json("quarantine/reasons")["reasons"]
    assert sum(reason["n"] for reason in reasons) == counted.get("quarantined", 0) == len(walk(server, "quarantine", limit=2))


def test_schemas_are_the_packets_own(server, ztf):
    fingerprint = server.json(f"alerts/{ztf['alert_id']}")["packet"]["schema"]
    own = server.json(f"schemas/{fingerprint}")
    packet = server.get(f"alerts/{ztf['alert_id']}/packet").content
    assert own["survey"] == "ztf" and own["records"] > 0
    theirs = fastavro.reader(io.BytesIO(packet)).writer_schema
    assert [field["name"] for field in own["json"]["fields"]] == [field["name"] for field in theirs["fields"]]


def test_sql_streams_many_rows_and_says_when_there_are_more(server):
    sql = "SELECT a.alert_id, b.alert_id AS other FROM ztf a CROSS JOIN ztf b"
    body = server.json("sql", query=sql, limit=50000)
    assert len(body["rows"]) == 50000 and body["truncated"] is True
    columns = {column["name"]: column for column in server.json("sql", query="SELECT ra, alert_id FROM ztf LIMIT 1")["columns"]}
    assert columns["ra"]["unit"] == "deg" and columns["ra"]["ucd"] == "pos.eq.ra;meta.main"
    tables = {table["name"] for table in server.json("tables")["tables"]}
    assert {"alerts", "ztf", "lsst", "packets", "matches"} <= tables
