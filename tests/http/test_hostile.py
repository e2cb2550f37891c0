"""What a careless or hostile client sends: a clear problem each, and the server goes on."""

import concurrent.futures
import time

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
        ("sql", {"query": "SELECT array_resize([1], 2000000000)"}, 400, "bad_sql"),
        ("sql", {"query": "SELECT string_agg(object_id, ',') OVER (ORDER BY ra) FROM alerts"}, 400, "bad_sql"),
        ("sql", {"query": "WITH RECURSIVE r AS (SELECT 'a' AS s UNION ALL SELECT s || s FROM r) SELECT * FROM r"}, 400, "bad_sql"),
        ("sql", {"query": "SELECT interval '1 day' AS i", "output-format": "parquet"}, 400, "bad_parameter"),
        ("alerts", {"columns": "ra,ra"}, 400, "bad_parameter"),
        ("ledger", {"nihgt": 1}, 400, "unknown_parameter"),
        ("objects/%ff", {}, 400, "bad_path"),
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


@pytest.mark.parametrize(
    "query",
    [
        "SELECT " + "+".join(["1"] * 30000),
        "SELECT " + " OR ".join(["ra>1"] * 7000) + " FROM alerts",
        " UNION ALL ".join(["SELECT 1 AS x"] * 2500),
        "WITH t0 AS (SELECT object_id AS s FROM alerts)"
        + "".join(f", t{n} AS (SELECT s || s || s || s AS s FROM t{n - 1})" for n in range(1, 20))
        + " SELECT length(s) FROM t19",
        "WITH t0 AS (SELECT 1 AS x)"
        + "".join(f", t{n} AS (SELECT a.x FROM t{n - 1} a, t{n - 1} b)" for n in range(1, 26))
        + " SELECT * FROM t25",
    ],
    ids=["chain", "conditions", "unions", "doubling", "joins"],
)
def test_a_query_that_would_take_the_server_down_is_refused(server, query):
    answer = requests.post(f"{server.api}/sql", data={"query": query}, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_sql"), answer.text
    assert server.get("").status_code == 200


def test_who_asks_the_longest_questions_keeps_nobody_from_lists_and_counts(server):
    slow = (
        "SELECT sum(sqrt(abs(sin(a.mjd_tai * b.mjd_tai + c.mjd_tai)))) "
        "FROM alerts a, alerts b, alerts c, alerts d, alerts e"
    )
    with concurrent.futures.ThreadPoolExecutor() as threads:
        asked = [threads.submit(server.get, "sql", query=slow) for _ in range(2)]
        time.sleep(1)
        for path in ("nights", "matches", "statistics", "quarantine"):
            assert server.get(path).status_code == 200
            assert not any(one.done() for one in asked), f"{path} waited until the queries ended"
        assert [one.result().status_code for one in asked] == [422, 422]


def test_a_query_that_needs_too_long_is_stopped(server):
    sql = (
        "SELECT sum(sqrt(abs(sin(a.mjd_tai * b.mjd_tai + c.mjd_tai)))) "
        "FROM alerts a, alerts b, alerts c, alerts d, alerts e"
    )
    answer = server.get("sql", query=sql)
    assert answer.status_code == 422 and answer.json()["code"] in {"time_limit", "memory_limit"}
    assert server.get("statistics").status_code == 200
