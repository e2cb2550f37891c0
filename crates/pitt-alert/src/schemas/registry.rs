//! A Confluent Schema Registry over HTTP.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::folder;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a registry that did not answer is left alone the first time; each further time twice as long.
const FIRST_SILENCE: Duration = Duration::from_secs(1);
/// How long it is left alone at most.
const LONGEST_SILENCE: Duration = Duration::from_secs(15);
/// Largest answer, bytes.
const MAX_ANSWER: u64 = 4 << 20;
/// Most schemas that one schema may refer to, through all steps.
const MAX_REFERENCES: usize = 64;
/// Most ids remembered as unknown.
const MAX_UNKNOWN: usize = 10_000;

/// A registry, and what it has said lately.
pub(super) struct Registry {
    url: String,
    agent: ureq::Agent,
    /// How long an answer "unknown" is believed, and a silent registry left alone at most.
    patience: Duration,
    unknown: HashMap<u32, Instant>,
    silent_until: Option<Instant>,
    /// How often in a row it did not answer.
    silences: u32,
}

/// What came of asking.
pub(super) enum Answer {
    /// The schema, all types written out.
    Schema(String),
    /// The registry does not know the id, or said so a moment ago.
    Unknown,
    /// The registry does not answer, and why.
    Silent(String),
}

impl Registry {
    pub(super) fn new(url: &str, patience: Duration) -> Registry {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false);
        let agent = config.build().into();
        let url = url.trim_end_matches('/').to_owned();
        Registry {
            url,
            agent,
            patience,
            unknown: HashMap::new(),
            silent_until: None,
            silences: 0,
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Asks for a schema, unless the last answer is still believed.
    pub(super) fn ask(&mut self, id: u32) -> Answer {
        let now = Instant::now();
        if self.unknown.get(&id).is_some_and(|until| now < *until) {
            return Answer::Unknown;
        }
        if self.silent_until.is_some_and(|until| now < until) {
            return Answer::Silent("it did not answer a moment ago".into());
        }
        match self
            .fetch(&format!("schemas/ids/{id}"))
            .and_then(|answer| answer.map(|a| self.written_out(&a)).transpose())
        {
            Ok(Some(json)) => {
                self.silences = 0;
                Answer::Schema(json)
            }
            Ok(None) => {
                self.silences = 0;
                if self.unknown.len() >= MAX_UNKNOWN {
                    self.unknown.clear();
                }
                self.unknown.insert(id, now + self.patience);
                Answer::Unknown
            }
            Err(error) => {
                // A stream waits for the answer: soon at first, then ever more rarely.
                let pause = FIRST_SILENCE * 2_u32.pow(self.silences.min(16));
                self.silences += 1;
                self.silent_until =
                    Some(Instant::now() + pause.min(LONGEST_SILENCE).min(self.patience));
                Answer::Silent(error)
            }
        }
    }

    /// The answer to a path; `None` when there is nothing there.
    fn fetch(&self, path: &str) -> Result<Option<Value>, String> {
        let response = self
            .agent
            .get(format!("{}/{path}", self.url))
            .call()
            .map_err(|e| e.to_string())?;
        match response.status().as_u16() {
            200 => {}
            404 => return Ok(None),
            other => return Err(format!("status {other}")),
        }
        let mut body = response.into_body();
        let text = body
            .with_config()
            .limit(MAX_ANSWER)
            .read_to_string()
            .map_err(|e| e.to_string())?;
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|e| format!("the answer is not JSON: {e}"))
    }

    /// The schema of an answer, with the types that it refers to written out in it.
    fn written_out(&self, answer: &Value) -> Result<String, String> {
        let json = answer
            .get("schema")
            .and_then(Value::as_str)
            .ok_or("the answer has no `schema`")?;
        let mut pending = references(answer);
        if pending.is_empty() {
            return Ok(json.to_owned());
        }
        let mut definitions = Vec::new();
        while let Some((subject, version)) = pending.pop() {
            if definitions.len() == MAX_REFERENCES {
                return Err(format!("more than {MAX_REFERENCES} references"));
            }
            let path = format!("subjects/{subject}/versions/{version}");
            let referred = self.fetch(&path)?.ok_or_else(|| format!("no {path}"))?;
            pending.extend(references(&referred));
            definitions.push(
                referred
                    .get("schema")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned(),
            );
        }
        folder::written_out(json, &definitions)
            .ok_or_else(|| "the schema is not a named type".into())
    }
}

/// Subject and version of every schema that an answer refers to.
fn references(answer: &Value) -> Vec<(String, u64)> {
    let list = answer.get("references").and_then(Value::as_array);
    let reference = |r: &Value| {
        Some((
            r.get("subject")?.as_str()?.to_owned(),
            r.get("version")?.as_u64()?,
        ))
    };
    list.into_iter().flatten().filter_map(reference).collect()
}
