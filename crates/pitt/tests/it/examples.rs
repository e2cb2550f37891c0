//! Answers shown in the OpenAPI document are answers that the program gives.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::running::Running;
use super::{examples, good, simulate};

/// Items of a list, members of an object and characters of a text that an example shows.
const ITEMS: usize = 2;
const MEMBERS: usize = 14;
const CHARACTERS: usize = 160;

/// Operations, and what to ask for an example of their answers; `{..}` stands for something that is there.
const ASKED: [(&str, &str); 24] = [
    ("me", "me"),
    ("alerts", "alerts?survey=ztf&limit=2"),
    ("alert", "alerts/{alert}"),
    ("conesearch", "conesearch?ra={ra}&dec={dec}&radius=5"),
    ("object", "objects/{object}"),
    ("lightcurve", "objects/{object}/lightcurve"),
    ("object_alerts", "objects/{object}/alerts"),
    ("object_matches", "objects/{object}/matches"),
    ("neighbours", "objects/{object}/neighbours?radius=3600"),
    ("sources", "sources?object_id={object}"),
    ("resolve", "resolve?q={object}"),
    (
        "sql",
        "sql?query=SELECT%20survey,%20count(*)%20AS%20n%20FROM%20alerts%20GROUP%20BY%20survey%20ORDER%20BY%20survey",
    ),
    ("tables", "tables"),
    ("nights", "nights"),
    ("night_sky", "nights/{night}/sky?order=3"),
    ("skymap", "skymap?night={night}&order=3"),
    ("ledger", "ledger"),
    ("statistics", "statistics"),
    ("schemas", "schemas"),
    ("catalogs", "catalogs"),
    ("quarantine", "quarantine?limit=2"),
    ("quarantine_reasons", "quarantine/reasons"),
    ("matches", "matches?limit=2"),
    ("vocabulary", "filters/vocabulary?survey=ztf"),
];

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/api/examples.json")
}

/// An answer cut to a size for reading.
fn cut(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().take(ITEMS).map(cut).collect(),
        Value::Object(members) => {
            let members = members.iter().take(MEMBERS);
            let members: Map<String, Value> =
                members.map(|(name, of)| (name.clone(), cut(of))).collect();
            members.into()
        }
        Value::String(text) => text.chars().take(CHARACTERS).collect::<String>().into(),
        other => other.clone(),
    }
}

/// Whether an answer has everything that an example shows, each of the same kind.
fn has(answer: &Value, example: &Value) -> Result<(), String> {
    match (answer, example) {
        // A column that may be null says nothing of its kind.
        (Value::Null, _) | (_, Value::Null) => Ok(()),
        (Value::Object(answer), Value::Object(example)) => {
            example.iter().try_for_each(|(name, of)| {
                // Names of members that are data: schemas, surveys, nights.
                let found = answer.get(name).ok_or_else(|| format!("no `{name}`"))?;
                has(found, of).map_err(|error| format!("{name}: {error}"))
            })
        }
        (Value::Array(answer), Value::Array(example)) => match (answer.first(), example.first()) {
            (Some(answer), Some(example)) => has(answer, example),
            _ => Ok(()),
        },
        (answer, example) if std::mem::discriminant(answer) == std::mem::discriminant(example) => {
            Ok(())
        }
        (answer, example) => Err(format!("`{answer}` is not of the kind of `{example}`")),
    }
}

#[test]
fn examples_in_the_document_are_what_the_program_answers() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let shape = "--visits 6 --alerts-per-visit 50 --nights 2 --bad-per-million 20000";
    simulate(dir, "night", shape);
    good(dir, &["run", "--from", "night", "--filters", &examples()]);
    let server = Running::serve(dir, &[]);
    // An object with a match and some alerts.
    let sql = "SELECT a.object_id, min(a.alert_id) AS alert_id, min(a.ra) AS ra, min(a.dec) AS dec, min(a.night) AS night FROM ztf a JOIN matches m ON m.object_id = a.object_id GROUP BY a.object_id ORDER BY count(*) DESC, a.object_id LIMIT 1";
    let found = server.post("sql", &json!({ "query": sql })).good();
    let of = |name: &str| {
        found["rows"][0][name]
            .to_string()
            .trim_matches('"')
            .to_owned()
    };
    let parts = ["alert", "object", "ra", "dec", "night"];
    let columns = ["alert_id", "object_id", "ra", "dec", "night"];
    let answer = |path: &str| {
        let filled = parts
            .iter()
            .zip(columns)
            .fold(path.to_owned(), |path, (part, column)| {
                path.replace(&format!("{{{part}}}"), &of(column))
            });
        server.get(&filled).good()
    };
    let answers: Vec<(&str, Value)> = ASKED.iter().map(|(id, path)| (*id, answer(path))).collect();
    if std::env::var_os("PITT_RENEW").is_some() {
        let cut: Map<String, Value> = answers
            .iter()
            .map(|(id, of)| ((*id).to_owned(), cut(of)))
            .collect();
        let text = serde_json::to_string_pretty(&cut).unwrap() + "\n";
        let text = text.replace(&*dir.to_string_lossy(), "/home/anna");
        std::fs::write(file(), text).unwrap();
    }
    let kept: Map<String, Value> = serde_json::from_slice(&std::fs::read(file()).unwrap()).unwrap();
    let document = serde_json::to_value(pitt::http::api::openapi()).unwrap();
    for (id, answer) in &answers {
        has(answer, &kept[*id]).unwrap_or_else(|error| {
            panic!("example of {id}: {error} (renew it: PITT_RENEW=1 cargo test -p pitt --test it examples, then openapi)")
        });
        let paths = document["paths"].as_object().unwrap().values();
        let operation = paths
            .map(|path| &path["get"])
            .find(|one| one["operationId"] == *id);
        let shown =
            &operation.unwrap()["responses"]["200"]["content"]["application/json"]["example"];
        assert_eq!(shown, &kept[*id], "{id}");
    }
    assert_eq!(kept.len(), answers.len(), "an example of something else");
    let told = server.end();
    assert!(!told.contains("panicked"), "{told}");
}
