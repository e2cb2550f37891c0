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
