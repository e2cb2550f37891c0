//! Messages made of matches.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use pitt_alert::message::{AlertRecord, Annotation, Matched, annotated_schema, rfc3339};
use pitt_alert::{Decoder, Packet, Position, SchemaStore, Selection};
use pitt_kafka::publish::Outgoing;

use super::ring::Due;
use super::routes::{Form, Route, Routes};

/// Makes messages, and remembers the last alert: many filters may have taken it.
pub(crate) struct Messages<'a> {
    routes: &'a Routes,
    schemas: SchemaStore,
    decoder: Decoder,
    last: Option<Known>,
    /// The last schema that was extended by the annotation, and the result.
    extended: Option<(u128, Arc<str>)>,
}

/// An alert as far as messages are the same for all filters.
struct Known {
    position: Position,
    number: u32,
    record: AlertRecord,
    annotation: Annotation,
    json: Option<Vec<u8>>,
}

impl<'a> Messages<'a> {
    pub(crate) fn new(routes: &'a Routes, schemas: SchemaStore) -> Self {
        let mut decoder = Decoder::new(schemas.clone());
        decoder.select(Selection::common_only());
        Messages {
            routes,
            schemas,
            decoder,
            last: None,
            extended: None,
        }
    }

    /// The message of a match; `None` when its filter's matches are not published.
    ///
    /// # Errors
    /// No message can be made of it, now or later.
    pub(crate) fn of_match(&mut self, due: &Due) -> Result<Option<Outgoing>, String> {
        let taken = &due.taken;
        let route = self.routes.of(&taken.filter).map_err(|e| e.to_string())?;
        let Some(route) = route else {
            return Ok(None);
        };
        self.know(&due.packet, due.record)?;
        let matched = Matched {
            filter: taken.filter.clone(),
            version: taken.version.clone(),
            at_us: due.matched_us,
        };
        self.message(&route, Some(matched), taken.filter.clone())
            .map(Some)
    }

    /// An alert of the whole stream: the packet as it came, or with what is known of it.
    ///
    /// # Errors
    /// No message can be made of it.
    pub(crate) fn of_alert(
        &mut self,
        packet: &Packet,
        number: u32,
        raw: bool,
    ) -> Result<Outgoing, String> {
        self.know(packet, number)?;
        let known = self.known()?;
        let topic = self.routes.relay(&known.annotation.survey);
        let label: Arc<str> = "relay".into();
        let form = self.routes.form;
        if !raw {
            return self.message(&Route { topic, form }, None, label);
        }
        let mut message = letter(known, topic, None, label);
        message.value = packet.bytes.clone();
        Ok(message)
    }

    fn known(&self) -> Result<&Known, String> {
        self.last.as_ref().ok_or_else(|| "no alert".to_owned())
    }

    /// Looks an alert up in its packet, unless it is the last one.
    fn know(&mut self, packet: &Packet, number: u32) -> Result<(), String> {
        let same = |known: &Known| known.position == packet.position && known.number == number;
        if self.last.as_ref().is_some_and(same) {
            return Ok(());
        }
        self.last = None;
        let record = AlertRecord::find(&packet.bytes, number, &self.schemas);
        let record = record.map_err(|error| error.to_string())?;
        let decoded = self.decoder.decode(std::slice::from_ref(packet));
        let found = Annotation::of_record(&decoded, number, packet.received_us);
        self.last = Some(Known {
            position: packet.position.clone(),
            number,
            annotation: found.unwrap_or_else(|| Annotation {
                survey: record.schema().survey().clone(),
                received_us: packet.received_us,
                ..Annotation::default()
            }),
            record,
            json: None,
        });
        Ok(())
    }

    fn message(
        &mut self,
        route: &Route,
        matched: Option<Matched>,
        label: Arc<str>,
    ) -> Result<Outgoing, String> {
        let stamps = self.routes.stamps;
        let relayed = matched.is_none() && route.form != Form::Json;
        let extended = if relayed {
            Some(self.extended()?)
        } else {
            None
        };
        let known = self.last.as_mut().ok_or("no alert")?;
        let told = |error: pitt_alert::message::MessageError| error.to_string();
        known.annotation.matched.clone_from(&matched);
        let mut message = letter(known, route.topic.clone(), matched.as_ref(), label);
        let (record, annotation) = (&known.record, &known.annotation);
        message.value = match (route.form, &extended) {
            (Form::Json, _) => {
                let json = match &known.json {
                    Some(json) => json,
                    None => known.json.insert(record.json(stamps).map_err(told)?),
                };
                record.annotated_json(json, annotation).into()
            }
            (Form::Container, None) => record.container(stamps).map_err(told)?,
            (Form::Container, Some(schema)) => record
                .annotated_container(stamps, annotation, schema)
                .map_err(told)?,
            (Form::Schemaless, None) => record.datum(stamps).map_err(told)?,
            (Form::Schemaless, Some(_)) => {
                record.annotated_datum(stamps, annotation).map_err(told)?
            }
        };
        if route.form == Form::Schemaless {
            let schema = extended.as_deref().unwrap_or(record.schema().json());
            let object = std::mem::replace(&mut message.key, Bytes::from(schema.to_owned()));
            let object = String::from_utf8_lossy(&object).into_owned();
            message.headers.push(("object_id", object));
        }
        Ok(message)
    }

    /// The alert's schema with the annotation.
    fn extended(&mut self) -> Result<Arc<str>, String> {
        let schema = self.known()?.record.schema().clone();
        if let Some((fingerprint, json)) = &self.extended
            && *fingerprint == schema.fingerprint()
        {
            return Ok(json.clone());
        }
        let json: Arc<str> = annotated_schema(&schema)
            .map_err(|error| error.to_string())?
            .into();
        self.extended = Some((schema.fingerprint(), json.clone()));
        Ok(json)
    }
}

/// A message without its value: key and headers.
fn letter(known: &Known, topic: Arc<str>, matched: Option<&Matched>, label: Arc<str>) -> Outgoing {
    let annotation = &known.annotation;
    let alert_id = annotation.alert_id.to_string();
    // An alert without an object goes by itself.
    let object = annotation.object_id.as_deref().unwrap_or(&alert_id);
    let mut headers = vec![];
    if let Some(matched) = matched {
        headers.push(("filter", matched.filter.to_string()));
        headers.push(("version", matched.version.to_string()));
    }
    headers.extend([
        ("survey", annotation.survey.to_string()),
        ("alert_id", alert_id.clone()),
        ("schema_id", known.record.schema_id()),
        ("received", rfc3339(annotation.received_us)),
        ("published", rfc3339(now_us())),
    ]);
    Outgoing {
        topic,
        key: Bytes::from(object.to_owned()),
        spread: object.into(),
        headers,
        value: Bytes::new(),
        label,
    }
}

/// Microseconds UTC since 1970.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(0))
}
