//! The OpenAPI document is a promise: it changes only on purpose.

use std::path::Path;

#[test]
fn the_document_is_the_one_that_is_checked_in() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let now = pitt::http::api::openapi().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("PITT_RENEW").is_some() {
        std::fs::write(&file, &now).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == now,
        "docs/openapi.json is not what the handlers say (renew it: PITT_RENEW=1 cargo test -p pitt --test it openapi)"
    );
}

/// Every code of an error in the sources of the port.
fn codes() -> std::collections::BTreeSet<String> {
    fn gather(folder: &Path, codes: &mut std::collections::BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                gather(&path, codes);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            for call in [
                "Problem::new(",
                "Self::new(",
                "not_found(",
                "unavailable(",
                "refuse(",
            ] {
                for after in text.split(call).skip(1) {
                    let arguments: String = after.chars().take(120).collect();
                    let word = arguments.split('"').nth(1).unwrap_or_default();
                    let is_code = word
                        .bytes()
                        .all(|byte| byte == b'_' || byte.is_ascii_lowercase());
                    if is_code && word.contains('_') {
                        codes.insert(word.to_owned());
                    }
                }
            }
        }
    }
    let mut codes = std::collections::BTreeSet::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    ["api", "auth", "live"]
        .iter()
        .for_each(|part| gather(&folder.join(part), &mut codes));
    codes
}

#[test]
fn every_code_of_an_error_is_explained() {
    let document = serde_json::to_value(pitt::http::api::openapi()).unwrap();
    let listed = document["x-errors"].as_array().unwrap().iter();
    let told: std::collections::BTreeSet<String> = listed
        .map(|error| error["code"].as_str().unwrap().to_owned())
        .collect();
    let codes = codes();
    assert!(codes.len() > 30, "{codes:?}");
    let missing: Vec<_> = codes.difference(&told).collect();
    assert!(missing.is_empty(), "`codes.rs` lacks {missing:?}");
}

#[test]
fn whatever_only_reads_takes_get_and_post_alike() {
    let document = serde_json::to_value(pitt::http::api::openapi()).unwrap();
    // Streams, what another POST of the same path makes, and what only a token of one's own sees.
    let apart = [
        "/events",
        "/webhooks",
        "/dead",
        "/replays",
        "/replays/{id}",
        "/next",
        "/chunks/{chunk}",
        "/retry",
    ];
    for (path, item) in document["paths"].as_object().unwrap() {
        let asks = item["get"].is_object() && !apart.iter().any(|end| path.ends_with(end));
        if asks {
            let twin = format!("{}_post", item["get"]["operationId"].as_str().unwrap());
            assert_eq!(item["post"]["operationId"], twin, "{path}");
        }
    }
    for path in ["/api/v1/filters/check", "/api/v1/filters/test"] {
        assert!(document["paths"][path]["get"].is_object(), "{path}");
    }
}

#[test]
fn every_operation_has_a_summary_and_every_parameter_a_meaning() {
    let document = serde_json::to_value(pitt::http::api::openapi()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let place = format!("{method} {path}");
            assert!(operation["summary"].is_string(), "{place}");
            assert!(operation["tags"][0].is_string(), "{place}");
            let id = operation["operationId"].as_str().unwrap().to_owned();
            assert!(ids.insert(id), "{place}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(parameter["description"].is_string(), "{place}: {parameter}");
            }
            if operation["operationId"]
                .as_str()
                .is_some_and(|id| id.ends_with("_post"))
            {
                let taken = &operation["responses"];
                assert_eq!(taken, &item["get"]["responses"], "{place}");
            }
        }
    }
}
