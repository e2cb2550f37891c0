//! The schemas of what we publish, as a Confluent schema registry that nobody can write to.
//!
//! **Ids.** A schema that packets name by an id, as LSST's do, keeps it. One that packets bring with them, as ZTF's do, has
//! the id that [`WriterSchema::derived_id`] computes from it. Both are the same on every machine and after every restart, and
//! are what the header `schema_id` of a published message says.
//!
//! **Subjects.** `<survey>-value` (`ztf-value`, `lsst-value`) has every schema of the survey; `<topic>-value` those of
//! the surveys that can turn up in a topic we publish Avro to. A subject is there as soon as it has a schema.
//!
//! **Versions.** The version of a schema is its id: it never changes its meaning, whatever is found in whatever order, and
//! a later version of the survey's schema is a larger number. `latest` is the largest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use pitt_alert::{SchemaStore, WriterSchema};
use pitt_archive::StoredSchema;
use serde_json::{Value, json};

/// What Confluent's clients ask for and are given.
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Whose schemas a subject has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Surveys {
    /// Every survey's.
    All,
    /// These surveys'.
    These(Vec<String>),
}

impl Surveys {
    /// These and more.
    pub fn with(self, more: Self) -> Self {
        match (self, more) {
            (Self::These(mut names), Self::These(more)) => {
                names.extend(more);
                names.sort();
                names.dedup();
                Self::These(names)
            }
            _ => Self::All,
        }
    }

    fn has(&self, survey: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.iter().any(|name| name == survey),
        }
    }
}

/// Topics, and whose schemas turn up in each.
pub type Topics = BTreeMap<String, Surveys>;

/// The schemas at hand and the topics they turn up in.
pub struct Catalogue {
    stored: Box<dyn Fn() -> Vec<StoredSchema> + Send + Sync>,
    /// What was at hand before any packet came: built in, from folders, from another registry.
    at_hand: SchemaStore,
    /// Topics of the filters at work and of the whole stream, asked each time.
    now: Box<dyn Fn() -> Topics + Send + Sync>,
    /// Topics so far: what a filter that rests has published is still there.
    topics: Mutex<Topics>,
    /// Schemas of the archive, parsed.
    parsed: SchemaStore,
    /// Ids that two schemas lay claim to, so that it is said once.
    doubtful: Mutex<Vec<u32>>,
}

impl Catalogue {
    /// The schemas that packets came with (`stored`) and those at hand, under topics; `stored` and `topics` are asked each time.
    pub fn new(
        stored: impl Fn() -> Vec<StoredSchema> + Send + Sync + 'static,
        at_hand: SchemaStore,
        topics: impl Fn() -> Topics + Send + Sync + 'static,
    ) -> Self {
        Self {
            stored: Box::new(stored),
            at_hand,
            now: Box::new(topics),
            topics: Mutex::default(),
            parsed: SchemaStore::new(),
            doubtful: Mutex::default(),
        }
    }

    /// Every schema by its id.
    fn by_id(&self) -> BTreeMap<u32, Arc<WriterSchema>> {
        let mut schemas: BTreeMap<u32, Arc<WriterSchema>> =
            self.at_hand.known().into_iter().collect();
        let mut taken: BTreeMap<u32, u128> = BTreeMap::new();
        for stored in (self.stored)() {
            // One that cannot be parsed decoded no alert.
            let Ok(schema) = self.parsed.intern(&stored.json) else {
                continue;
            };
            let id = stored.wire_id.unwrap_or_else(|| schema.derived_id());
            let first = *taken.entry(id).or_insert(schema.fingerprint());
            if first == schema.fingerprint() {
                schemas.insert(id, schema);
            } else {
                self.doubt(id);
            }
        }
        schemas
    }

    fn doubt(&self, id: u32) {
        let mut doubtful = self.doubtful.lock().unwrap_or_else(PoisonError::into_inner);
        if !doubtful.contains(&id) {
            doubtful.push(id);
            tracing::error!(
                id,
                "two schemas came under this id: the registry gives the one whose fingerprint is smaller"
            );
        }
    }

    /// Topics so far, with those that have come since.
    fn topics(&self) -> MutexGuard<'_, Topics> {
        let now = (self.now)();
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        for (topic, surveys) in now {
            let all = match topics.remove(&topic) {
                Some(known) => known.with(surveys),
                None => surveys,
            };
            topics.insert(topic, all);
        }
        topics
    }

    /// Ids and schemas of each subject that has any.
    fn subjects(&self) -> BTreeMap<String, BTreeMap<u32, Arc<WriterSchema>>> {
        let mut subjects: BTreeMap<String, BTreeMap<u32, Arc<WriterSchema>>> = BTreeMap::new();
        let topics = self.topics();
        for (id, schema) in self.by_id() {
            let survey = schema.survey().to_string();
            let of_topics = topics.iter();
            let topics = of_topics.filter(|(_, surveys)| surveys.has(&survey));
            let topics: Vec<&String> = topics.map(|(topic, _)| topic).chain([&survey]).collect();
            for topic in topics {
                let subject = subjects.entry(format!("{topic}-value")).or_default();
                subject.insert(id, schema.clone());
            }
        }
        subjects
    }
}

/// What is wrong with a request, as Confluent's registry says it.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    status: StatusCode,
    code: u32,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    fn no_subject(subject: &str) -> Self {
        let message = format!("Subject '{subject}' not found.");
        Self::new(StatusCode::NOT_FOUND, 40401, message)
    }

    fn no_version(version: &str) -> Self {
        let message = format!("Version {version} not found.");
        Self::new(StatusCode::NOT_FOUND, 40402, message)
    }

    fn no_schema(id: &str) -> Self {
        let message = format!("Schema {id} not found");
        Self::new(StatusCode::NOT_FOUND, 40403, message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"error_code": self.code, "message": self.message});
        (self.status, answer(&body)).into_response()
    }
}

fn answer(body: &Value) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], body.to_string()).into_response()
}

/// The text of a schema as it is, with nothing around it.
fn plain(schema: &WriterSchema) -> Response {
    let body = schema.json().to_owned();
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response()
}

type Outcome = Result<Response, Refusal>;
type Asked<T> = Result<Path<T>, axum::extract::rejection::PathRejection>;

/// The routes of the registry.
pub(super) fn routes(catalogue: Arc<Catalogue>) -> Router {
    Router::new()
        .route("/schemas/types", get(async || answer(&json!(["AVRO"]))))
        .route("/schemas/ids/{id}", get(schema))
        .route("/schemas/ids/{id}/schema", get(schema_text))
        .route("/schemas/ids/{id}/versions", get(schema_versions))
        .route("/schemas/ids/{id}/subjects", get(schema_subjects))
        .route("/subjects", get(subjects))
        .route("/subjects/{subject}/versions", get(versions))
        .route("/subjects/{subject}/versions/{version}", get(version))
        .route(
            "/subjects/{subject}/versions/{version}/schema",
            get(version_text),
        )
        .route(
            "/config",
            get(async || answer(&json!({"compatibilityLevel": "NONE"}))),
        )
        .route("/mode", get(async || answer(&json!({"mode": "READONLY"}))))
        .method_not_allowed_fallback(async || {
            let message = "this registry is read-only: it has the schemas of what is published";
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, 405, message)
        })
        .with_state(catalogue)
}

/// Asks the catalogue where waiting for the archive does no harm.
async fn ask(
    catalogue: Arc<Catalogue>,
    question: impl FnOnce(&Catalogue) -> Outcome + Send + 'static,
) -> Outcome {
    let asked = tokio::task::spawn_blocking(move || question(&catalogue));
    asked.await.unwrap_or_else(|_| {
        let message = "the registry failed (please report this as a bug)";
        Err(Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            50001,
            message,
        ))
    })
}

/// The parts of the path, decoded.
fn parts<T>(asked: Asked<T>) -> Result<T, Refusal> {
    let Path(parts) = asked
        .map_err(|rejection| Refusal::new(StatusCode::BAD_REQUEST, 400, rejection.body_text()))?;
    Ok(parts)
}

fn find(catalogue: &Catalogue, id: &str) -> Result<(u32, Arc<WriterSchema>), Refusal> {
    let number: u32 = id.parse().map_err(|_| Refusal::no_schema(id))?;
    let schema = catalogue.by_id().remove(&number);
    Ok((number, schema.ok_or_else(|| Refusal::no_schema(id))?))
}

async fn schema(State(catalogue): State<Arc<Catalogue>>, id: Asked<String>) -> Outcome {
    let id = parts(id)?;
    ask(catalogue, move |catalogue| {
        let (_, schema) = find(catalogue, &id)?;
        Ok(answer(&json!({"schema": schema.json()})))
    })
    .await
}

async fn schema_text(State(catalogue): State<Arc<Catalogue>>, id: Asked<String>) -> Outcome {
    let id = parts(id)?;
    ask(catalogue, move |catalogue| {
        Ok(plain(&find(catalogue, &id)?.1))
    })
    .await
}

/// The subjects that have an id.
fn subjects_of(catalogue: &Catalogue, id: &str) -> Result<(u32, Vec<String>), Refusal> {
    let (number, _) = find(catalogue, id)?;
    let all = catalogue.subjects().into_iter();
    let having = all.filter(|(_, schemas)| schemas.contains_key(&number));
    Ok((number, having.map(|(subject, _)| subject).collect()))
}

async fn schema_versions(State(catalogue): State<Arc<Catalogue>>, id: Asked<String>) -> Outcome {
    let id = parts(id)?;
    ask(catalogue, move |catalogue| {
        let (number, subjects) = subjects_of(catalogue, &id)?;
        let version = |subject: String| json!({"subject": subject, "version": number});
        Ok(answer(&subjects.into_iter().map(version).collect()))
    })
    .await
}

async fn schema_subjects(State(catalogue): State<Arc<Catalogue>>, id: Asked<String>) -> Outcome {
    let id = parts(id)?;
    ask(catalogue, move |catalogue| {
        Ok(answer(&json!(subjects_of(catalogue, &id)?.1)))
    })
    .await
}

async fn subjects(State(catalogue): State<Arc<Catalogue>>, RawQuery(query): RawQuery) -> Outcome {
    let query = query.unwrap_or_default();
    let prefix = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("subjectPrefix="));
    let prefix = prefix.unwrap_or_default().to_owned();
    ask(catalogue, move |catalogue| {
        let names = catalogue.subjects().into_keys();
        let names: Vec<String> = names.filter(|name| name.starts_with(&prefix)).collect();
        Ok(answer(&json!(names)))
    })
    .await
}

fn subject(catalogue: &Catalogue, name: &str) -> Result<BTreeMap<u32, Arc<WriterSchema>>, Refusal> {
    let found = catalogue.subjects().remove(name);
    found.ok_or_else(|| Refusal::no_subject(name))
}

async fn versions(State(catalogue): State<Arc<Catalogue>>, name: Asked<String>) -> Outcome {
    let name = parts(name)?;
    ask(catalogue, move |catalogue| {
        let versions: Vec<u32> = subject(catalogue, &name)?.into_keys().collect();
        Ok(answer(&json!(versions)))
    })
    .await
}

/// One version of a subject: a number, `latest`, or -1 for the same.
fn one_version(
    catalogue: &Catalogue,
    name: &str,
    version: &str,
) -> Result<(u32, Arc<WriterSchema>), Refusal> {
    let mut schemas = subject(catalogue, name)?;
    if version == "latest" || version == "-1" {
        return schemas.pop_last().ok_or_else(|| Refusal::no_subject(name));
    }
    let number: Option<u32> = version.parse().ok();
    let Some(number) = number.filter(|number| (1..=i32::MAX as u32).contains(number)) else {
        let message = format!(
            "The specified version '{version}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\""
        );
        return Err(Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            42202,
            message,
        ));
    };
    let schema = schemas.remove(&number);
    Ok((number, schema.ok_or_else(|| Refusal::no_version(version))?))
}

async fn version(
    State(catalogue): State<Arc<Catalogue>>,
    asked: Asked<(String, String)>,
) -> Outcome {
    let (name, version) = parts(asked)?;
    ask(catalogue, move |catalogue| {
        let (number, schema) = one_version(catalogue, &name, &version)?;
        let body =
            json!({"subject": name, "version": number, "id": number, "schema": schema.json()});
        Ok(answer(&body))
    })
    .await
}

async fn version_text(
    State(catalogue): State<Arc<Catalogue>>,
    asked: Asked<(String, String)>,
) -> Outcome {
    let (name, version) = parts(asked)?;
    ask(catalogue, move |catalogue| {
        Ok(plain(&one_version(catalogue, &name, &version)?.1))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_comes_later_is_a_subject_and_stays_one() {
        let json = r#"{"type":"record","name":"alert","namespace":"ztf","version":"3.3","fields":[{"name":"a","type":"long"}]}"#;
        let stored = StoredSchema {
            fingerprint: "0".into(),
            wire_id: None,
            json: json.into(),
        };
        let now = Arc::new(Mutex::new(Topics::new()));
        let asked = now.clone();
        let topics = move || asked.lock().unwrap().clone();
        let catalogue = Catalogue::new(move || vec![stored.clone()], SchemaStore::new(), topics);
        let subjects = || catalogue.subjects().into_keys().collect::<Vec<_>>();
        assert_eq!(subjects(), ["ztf-value"]);
        let own = Surveys::These(vec!["ztf".into()]);
        now.lock().unwrap().insert("pitt-later".into(), own);
        let others = Surveys::These(vec!["lsst".into()]);
        now.lock().unwrap().insert("pitt-lsst".into(), others);
        assert_eq!(subjects(), ["pitt-later-value", "ztf-value"]);
        now.lock().unwrap().clear();
        assert_eq!(subjects(), ["pitt-later-value", "ztf-value"], "it rests");
    }
}
