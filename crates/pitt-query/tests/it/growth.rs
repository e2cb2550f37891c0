//! Queries that would make much of little are refused before they are computed; ordinary ones are not.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use pitt_query::{Engine, Limits, QueryError};

use crate::queries::engine;

/// Rows, or what is wrong.
fn ask(engine: &Engine, sql: &str) -> Result<usize, QueryError> {
    let mut rows = 0;
    for batch in engine.query(sql, &Limits::default())? {
        rows += batch?.num_rows();
    }
    Ok(rows)
}

/// `WITH t0 AS (first), t1 AS (step over t0), ..  SELECT * FROM` the last.
fn steps(first: &str, step: &str, number: usize) -> String {
    let tables: Vec<String> = (0..=number)
        .map(|at| match at.checked_sub(1) {
            None => format!("t0 AS ({first})"),
            Some(before) => format!("t{at} AS ({})", step.replace('#', &format!("t{before}"))),
        })
        .collect();
    format!("WITH {} SELECT * FROM t{number}", tables.join(", "))
}

#[test]
fn what_would_fill_the_memory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let ten = |inner: String| format!("replace({inner}, 'a', 'aaaaaaaaaa')");
    let replaced = (0..12).fold("'aaaaaaaaaa'".to_owned(), |inner, _| ten(inner));
    let begin = Instant::now();
    for sql in [
        "SELECT array_resize([1], 2000000000) AS x".to_owned(),
        "SELECT list_resize([1], 2000000000) AS x".to_owned(),
        format!("SELECT {replaced} AS x"),
        format!("SELECT length({replaced}) AS x"),
        format!("SELECT 1 AS x FROM alerts WHERE {replaced} = 'b'"),
        steps("SELECT 'a' AS s", "SELECT s || s AS s FROM #", 40),
        steps("SELECT object_id AS s FROM alerts", "SELECT concat(s, s, s, s) AS s FROM #", 20),
        steps("SELECT object_id AS s FROM alerts", "SELECT concat_ws(s, s, s) AS s FROM #", 20),
        steps("SELECT [1] AS s", "SELECT array_concat(s, s) AS s FROM #", 40),
        steps("SELECT ['a'] AS s", "SELECT [array_to_string(s, array_to_string(s, 'aaaa'))] AS s FROM #", 9),
        "SELECT string_agg(object_id, ',') OVER (ORDER BY ra) AS x FROM alerts".to_owned(),
        "SELECT array_agg(object_id) OVER (ORDER BY ra) AS x FROM alerts".to_owned(),
        "WITH RECURSIVE r AS (SELECT 'a' AS s UNION ALL SELECT s || s FROM r) SELECT max(length(s)) FROM r".to_owned(),
        "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r".to_owned(),
        "SELECT (SELECT replace(replace(replace(object_id, 'a', object_id), 'b', object_id), 'c', object_id) FROM alerts LIMIT 1) AS x".to_owned(),
    ] {
        let told = ask(&engine, &sql);
        assert!(matches!(told, Err(QueryError::Sql(_))), "{sql}: {told:?}");
    }
    assert!(
        begin.elapsed() < Duration::from_secs(60),
        "nothing is computed"
    );
}

#[test]
fn what_would_fill_the_stack_or_take_ages_to_plan_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    for sql in [
        format!("SELECT {} AS x", ["1"; 30_000].join("+")),
        format!("SELECT {} AS x FROM alerts", ["ra>1"; 7000].join(" OR ")),
        format!("SELECT {} AS x", ["'a'"; 12_000].join("||")),
        format!("SELECT 1{}", "::INT::BIGINT".repeat(4000)),
        ["SELECT 1 AS x"; 2500].join(" UNION ALL "),
        steps("SELECT 1 AS x", "SELECT x FROM #", 1400),
        steps("SELECT 1 AS x", "SELECT x FROM #", 250),
        steps("SELECT 1 AS x", "SELECT a.x AS x FROM # a, # b", 25),
    ] {
        let told = ask(&engine, &sql);
        let start: String = sql.chars().take(60).collect();
        assert!(matches!(told, Err(QueryError::Sql(_))), "{start}: {told:?}");
    }
}

/// On a stack as large as those of the threads that queries are asked on.
#[test]
fn ordinary_queries_are_not() {
    let asking = std::thread::Builder::new().stack_size(8 << 20);
    let asked = asking.spawn(ask_ordinary_queries).unwrap();
    asked.join().unwrap();
}

fn ask_ordinary_queries() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let ids = ["'ZTF18abcdefg'"; 3000].join(", ");
    for sql in [
        "SELECT replace(replace(object_id, 'ZTF', ''), 'a', 'bb') || '-' || band AS x FROM alerts".to_owned(),
        "SELECT survey || ' ' || object_id || ' ' || band || ' ' || CAST(night AS VARCHAR) AS x FROM alerts".to_owned(),
        "SELECT concat_ws('/', survey, object_id, band) AS x FROM alerts".to_owned(),
        "SELECT band, string_agg(object_id, ', ') AS x, array_agg(ra) AS y FROM alerts GROUP BY band".to_owned(),
        "SELECT replace(string_agg(object_id, ','), ',', ', ') AS x FROM alerts".to_owned(),
        "SELECT row_number() OVER (ORDER BY ra) AS n, lag(object_id) OVER (ORDER BY ra) AS x FROM alerts".to_owned(),
        format!("SELECT count(*) FROM alerts WHERE object_id IN ({ids})"),
        format!("SELECT {} AS x FROM alerts", ["ra > 1"; 240].join(" OR ")),
        format!("SELECT {} AS x", ["1"; 900].join("+")),
        ["SELECT 1 AS x"; 40].join(" UNION ALL "),
        steps("SELECT object_id AS s FROM alerts", "SELECT s || 'x' AS s FROM #", 20),
        steps("SELECT * FROM alerts", "SELECT * FROM # WHERE ra >= 0", 20),
        "SELECT a.object_id, (SELECT max(ra) FROM alerts) AS m FROM alerts a JOIN alerts b ON a.alert_id = b.alert_id \
         WHERE EXISTS (SELECT 1 FROM alerts c WHERE c.alert_id = a.alert_id)"
            .to_owned(),
        "SELECT survey, night, count(*) AS n, avg(mag(psf_flux)) AS m FROM alerts WHERE psf_flux > 0 GROUP BY survey, night \
         ORDER BY n DESC LIMIT 10"
            .to_owned(),
        "EXPLAIN SELECT count(*) FROM alerts".to_owned(),
        "DESCRIBE alerts".to_owned(),
        "SHOW TABLES".to_owned(),
    ] {
        let told = ask(&engine, &sql);
        let start: String = sql.chars().take(160).collect();
        assert!(told.is_ok(), "{start}: {told:?}");
    }
}

#[test]
fn what_never_looks_up_from_its_work_is_stopped_and_leaves_the_engine_to_others() {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(folder.path());
        let many: Vec<String> = ('a'..='n').map(|name| format!("ztf {name}")).collect();
        let limits = Limits {
            time: Duration::from_millis(500),
            ..Limits::default()
        };
        // More of them than the engine has threads.
        for gathers in ["array_agg(a.ra)", "string_agg(a.object_id, ',')"].repeat(5) {
            let sql = format!("SELECT {gathers} AS x FROM {}", many.join(", "));
            let ended = engine
                .query(&sql, &limits)
                .and_then(|mut rows| rows.next().transpose());
            tell.send(ended.map(|_| 0)).unwrap();
        }
        tell.send(ask(&engine, "SELECT count(*) FROM ztf")).unwrap();
    });
    for _ in 0..10 {
        let ended = told.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(
            matches!(ended, Err(QueryError::Timeout { .. })),
            "{ended:?}"
        );
    }
    let counted = told.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(counted.unwrap(), 1);
}
