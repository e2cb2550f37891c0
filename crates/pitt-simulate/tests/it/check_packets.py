"""Reads a folder of simulated packets with fastavro and astropy, and compares it with its truth table.

Exits with an AssertionError at the first thing that is wrong.
"""

import csv
import gzip
import io
import json
import math
import pathlib
import sys
import tarfile

import fastavro
import numpy as np
from astropy.io import fits

folder = pathlib.Path(sys.argv[1])
rows = csv.DictReader(line for line in open(folder / "truth.csv") if not line.startswith("#"))
truths = {}
for row in rows:
    again = ".again" if row["fault"] == "duplicate" else ""
    truths[row["survey"], row["alert_id"] + again + ".avro"] = row


def same(a, b):
    """Equal, and NaN equals NaN."""
    return a == b or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b))


def close(a, b, relative, absolute=0.0):
    return abs(a - b) <= relative * abs(b) + absolute


def near(record, truth, mjd_tai):
    """Position and time agree with the truth."""
    d_ra = (record["ra"] - float(truth["ra"])) * math.cos(math.radians(record["dec"]))
    assert math.hypot(d_ra, record["dec"] - float(truth["dec"])) * 3600 < 2.5, "position"
    assert abs(mjd_tai - float(truth["mjd_tai"])) < 2e-8, "time"


def read_ztf(data):
    (alert,) = list(fastavro.reader(io.BytesIO(data)))
    return alert


def read_lsst(data):
    assert data[:5] == b"\0\0\0\x04\x4c", "header"
    stream = io.BytesIO(data[5:])
    alert = fastavro.schemaless_reader(stream, lsst_schema)
    assert stream.read() == b"", "bytes left"
    return alert


def ztf_stamps(alert):
    images = []
    for key in ("cutoutScience", "cutoutTemplate", "cutoutDifference"):
        (hdu,) = fits.open(io.BytesIO(gzip.decompress(alert[key]["stampData"])))
        assert hdu.data.shape == (63, 63) and hdu.data.dtype == ">f4", hdu.data.shape
        images.append(hdu.data)
    return images


def lsst_stamps(alert):
    images = []
    for key in ("cutoutScience", "cutoutTemplate", "cutoutDifference"):
        hdus = fits.open(io.BytesIO(alert[key]))
        hdus.verify("exception")
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "UNCERT", "PSFIMAGE"]
        assert [hdu.data.shape for hdu in hdus] == [(30, 30), (30, 30), (41, 41)]
        assert abs(hdus[2].data.sum() - 1) < 1e-6, "point-spread function"
        assert close(hdus[0].header["CRVAL1"], alert["diaSource"]["ra"], 0, 1e-9), "stamp centre"
        assert close(hdus[0].header["CRVAL2"], alert["diaSource"]["dec"], 0, 1e-9), "stamp centre"
        images.append(hdus[0].data)
    return images


def check_stamps(images):
    science, template, difference = (image.astype("f8") for image in images)
    scale = np.abs(science).max()
    assert np.abs(science - template - difference).max() < 1e-5 * scale, "difference is not science minus template"


def check_ztf(alert, truth, seen):
    candidate = alert["candidate"]
    assert alert["candid"] == candidate["candid"] == int(truth["alert_id"]), "candid"
    assert alert["objectId"] == truth["object_id"], "objectId"
    sign = {"t": 1, "f": -1}[candidate["isdiffpos"]]
    flux = sign * 10 ** ((31.4 - candidate["magpsf"]) / 2.5)
    assert close(flux, float(truth["psf_flux_njy"]), 1e-5), "flux"
    assert {1: "g", 2: "r", 3: "i"}[candidate["fid"]] == truth["band"], "band"
    near(candidate, truth, candidate["jd"] - 2400000.5 + (15 + 37) / 86400)
    assert (candidate["ssnamenr"] == truth["designation"]) or (truth["designation"] == "" and candidate["ssnamenr"] == "null")
    assert 0 <= candidate["drb"] <= 1 and (candidate["drb"] < 0.5) == (truth["class"] == "bogus"), "drb"
    past = {}
    for point in alert["prv_candidates"] or []:
        age = candidate["jd"] - point["jd"]
        assert 0 < age <= 30, age
        if point["candid"] is None:
            assert point["magpsf"] is None and point["diffmaglim"] > 15, "upper limit"
            continue
        past[point["candid"]] = point
        if point["candid"] in seen:
            for key, value in point.items():
                assert value is None or same(value, seen[point["candid"]][key]), ("history", key)
    for point in alert["fp_hists"] or []:
        assert 0 < candidate["jd"] - point["jd"] <= 30
    assert candidate["ndethist"] >= len(past) + 1
    seen[candidate["candid"]] = candidate
    return past


def check_lsst(alert, truth, seen):
    source = alert["diaSource"]
    assert alert["diaSourceId"] == source["diaSourceId"] == int(truth["alert_id"]), "diaSourceId"
    moving = truth["class"] == "asteroid"
    assert str(source["ssObjectId" if moving else "diaObjectId"]) == truth["object_id"], "object"
    assert close(source["psfFlux"], float(truth["psf_flux_njy"]), 1e-6), "flux"
    assert source["band"] == truth["band"] and source["isNegative"] == (source["psfFlux"] < 0)
    near(source, truth, source["midpointMjdTai"])
    assert 0 <= source["reliability"] <= 1
    assert abs(source["timeProcessedMjdTai"] - source["midpointMjdTai"] - 120 / 86400) < 1e-8
    assert moving == (alert["ssSource"] is not None) == (alert["mpc_orbits"] is not None) == (alert["diaObject"] is None)
    if moving:
        rate = alert["ssSource"]["ephRate"] * 3600 / 24
        assert close(rate, float(truth["rate_arcsec_per_h"]), 1e-5), "rate"
        assert alert["ssSource"]["designation"] == alert["mpc_orbits"]["designation"] == truth["designation"]
    else:
        dia_object = alert["diaObject"]
        assert dia_object["nDiaSources"] == len(alert["prvDiaSources"] or []) + 1
        assert dia_object["diaObjectId"] == source["diaObjectId"]
        assert dia_object["lastDiaSourceMjdTai"] == source["midpointMjdTai"]
    past = {}
    for point in alert["prvDiaSources"] or []:
        past[point["diaSourceId"]] = point
        assert point["midpointMjdTai"] < source["midpointMjdTai"] and point["diaObjectId"] == source["diaObjectId"]
        if point["diaSourceId"] in seen:
            for key, value in point.items():
                assert same(value, seen[point["diaSourceId"]][key]), ("history", key)
    for point in alert["prvDiaForcedSources"] or []:
        assert point["midpointMjdTai"] < source["midpointMjdTai"] and point["diaObjectId"] == source["diaObjectId"]
    seen[source["diaSourceId"]] = source
    return past


def members():
    """(survey, file name, bytes), in the order in which they were sent."""
    for path in sorted(folder.glob("ztf_public_*.tar.gz")):
        for member in (tar := tarfile.open(path)):
            yield "ztf", member.name, tar.extractfile(member).read()
    for survey_night in sorted(folder.glob("lsst_*")):
        files = {path.name: path for path in survey_night.glob("*.avro")}
        for (survey, name) in truths:
            if survey == "lsst" and name in files:
                yield survey, name, files[name].read_bytes()


lsst_schema = fastavro.parse_schema(json.load(open(next(folder.glob("lsst_*/*.avsc")))))
tools = {"ztf": (read_ztf, check_ztf, ztf_stamps), "lsst": (read_lsst, check_lsst, lsst_stamps)}
seen = {"ztf": {}, "lsst": {}}
objects = {}
sizes = {"ztf": [], "lsst": []}
points = {"ztf": [], "lsst": []}
total = damaged = repeated = linked = 0
for survey, name, data in members():
    read, check, stamps = tools[survey]
    truth = truths[survey, name]
    total += 1
    if truth["fault"] not in ("", "duplicate"):
        damaged += 1
        try:
            read(data)
        except Exception:
            continue
        raise AssertionError(f"{survey} {name} is {truth['fault']} but can be read")
    alert = read(data)
    try:
        past = check(alert, truth, seen[survey])
        check_stamps(stamps(alert))
    except AssertionError as error:
        raise AssertionError(f"{survey} {name} {truth['class']}: {error}") from error
    # Every earlier alert of the object is in its history.
    known = objects.setdefault((survey, truth["object_id"]), set())
    if truth["class"] != "asteroid":
        missing = known - set(past) - {int(truth["alert_id"])}
        assert not missing, f"{survey} {name}: {missing} is not in its history"
        linked += len(known)
    known.add(int(truth["alert_id"]))
    repeated += truth["fault"] == "duplicate"
    sizes[survey].append(len(data))
    points[survey].append(len(past))

assert total == len(truths), (total, len(truths))
assert damaged and repeated and linked > 100, (damaged, repeated, linked)
print(f"{total} packets, {damaged} damaged, {repeated} sent twice, {linked} links to earlier alerts")
for survey in sizes:
    low, middle, high = np.percentile(sizes[survey], [0, 50, 100]) / 1000
    print(f"{survey}: {low:.1f} / {middle:.1f} / {high:.1f} kB (least, median, most); up to {max(points[survey])} detections")
