"""What a careless or hostile client sends: a clear problem each, and the server goes on."""

import pytest
import requests

BIG = "9223372036854775808"


@pytest.mark.parametrize(
    ("path", "parameters", "status", "code"),
    [
        ("sql", {"query": "COPY (SELECT 1) TO '/tmp/stolen.csv'"}, 403, "read_only"),
        ("sql", {"query": "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'"}, 403, "read_only"),
        ("sql", {"query": "INSERT INTO ztf SELECT * FROM ztf"}, None, None),
        ("sql", {"query": "SELECT * FROM '/etc/passwd'"}, 400, "bad_sql"),
        ("sql", {"query": "SET datafusion.execution.batch_size = 1"}, 403, "read_only"),
        ("sql", {"query": "SELECT 1; SELECT 2"}, 400, "bad_sql"),
        ("sql", {"query": "SELECT " + "(" * 500 + "1" + ")" * 500}, 400, "bad_sql"),
        ("sql", {"query": "SELECT repeat('x', 1000000000)"}, 400, "bad_sql"),
        ("sql", {}, 400, "missing_parameter"),
        ("sql", {"query": "SELECT 1", "limit": 10**15}, 400, "bad_parameter"),
        ("alerts/" + BIG, {}, 400, "bad_parameter"),
        ("alerts/-9223372036854775808", {}, 404, "unknown_alert"),
        ("alerts/..%2F..%2Fetc%2Fpasswd", {}, 400, "bad_parameter"),
        ("objects/..%2F..%2Fetc%2Fpasswd", {}, 404, "unknown_object"),
        ("objects/%00", {}, 404, "unknown_object"),
        ("objects/" + "x" * 4000, {}, 404, "unknown_object"),
        ("schemas/..%2Fschemas", {}, 404, "unknown_schema"),
        ("alerts", {"survey": "../packets"}, 404, "unknown_survey"),
        ("alerts", {"survey": "ztff"}, 404, "unknown_survey"),
        ("alerts", {"limit": 10**9}, 400, "bad_parameter"),
        ("alerts", {"limit": 0}, 400, "bad_parameter"),
        ("alerts", {"limit": -1}, 400, "bad_parameter"),
        ("alerts", {"cursor": "AAAA"}, 400, "bad_parameter"),
        ("alerts", {"output-format": "xlsx"}, 400, "bad_parameter"),
        ("alerts", {"columns": "ra,decc"}, 400, "bad_parameter"),
        ("alerts", {"objectid": "x"}, 400, "unknown_parameter"),
        ("alerts", {"ra": 1, "dec": 1}, 400, "bad_parameter"),
        ("conesearch", {"ra": "NaN", "dec": 0, "radius": 1}, 400, "bad_parameter"),
        ("conesearch", {"ra": 0, "dec": 91, "radius": 1}, 400, "bad_parameter"),
        ("conesearch", {"ra": 0, "dec": 0, "radius": "1e400"}, 400, "bad_parameter"),
        ("conesearch", {"ra": 0, "dec": 0, "radius": 648000}, 400, "bad_parameter"),
        ("conesearch", {"ra": 0, "dec": 0, "radius": -1}, 400, "bad_parameter"),
        ("nights/2026/sky", {"order": 29}, 400, "bad_parameter"),
        ("nights/tonight/sky", {}, 400, "bad_parameter"),
        ("cutouts", {"alert_id": 1, "size": 10**8}, 400, "bad_parameter"),
    ],
)
def test_it_is_refused_with_a_code(server, path, parameters, status, code):
    answer = server.get(path, **parameters)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code and body["detail"] and body["title"]
    if code:
        assert (answer.status_code, body["code"]) == (status, code)
    assert server.get("").status_code == 200


def test_a_misspelt_word_brings_the_nearest(server):
    assert "`ztf`" in server.get("alerts", survey="ztff").json()["detail"]
    assert "`object_id`" in server.get("alerts", objectid="x").json()["detail"]
    assert "`dec`" in server.get("alerts", columns="ra,decc").json()["detail"]


@pytest.mark.parametrize("body", [b"[1]", b"{", b'{"ra": {"a": 1}}', b'{"limit": 1e999}', b"\xff\xfe"])
def test_a_body_that_is_no_object_of_parameters_is_refused(server, body):
    answer = requests.post(f"{server.api}/alerts", data=body, headers={"Content-Type": "application/json"}, timeout=60)
    assert answer.status_code == 400 and answer.json()["code"] in {"bad_body", "bad_parameter"}


def test_a_query_that_needs_too_long_is_stopped(server):
    sql = (
        "SELECT sum(sqrt(abs(sin(a.mjd_tai * b.mjd_tai + c.mjd_tai)))) "
        "FROM alerts a, alerts b, alerts c, alerts d, alerts e"
    )
    answer = server.get("sql", query=sql)
    assert answer.status_code == 422 and answer.json()["code"] in {"time_limit", "memory_limit"}
    assert server.get("statistics").status_code == 200
