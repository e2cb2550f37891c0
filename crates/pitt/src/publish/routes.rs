//! Which filter's matches go where, and how they look there.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use anyhow::{Context, Result};
use pitt_kafka::publish::{TopicNameError, check_topic};
use pitt_query::Filter;

use crate::config::OutputSettings;

/// How a message looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON, the key is the object's id.
    Json,
    /// An Avro container file, the key is the object's id.
    Container,
    /// A bare Avro datum, the key is its schema, the object's id is a header.
    Schemaless,
}

impl Form {
    /// The form of that name; the settings are checked, so another name is JSON.
    fn named(name: &str) -> Form {
        match name {
            "avro" => Form::Container,
            "schemaless" => Form::Schemaless,
            _ => Form::Json,
        }
    }
}

/// Where a filter's matches go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Topic.
    pub topic: Arc<str>,
    /// How they look.
    pub form: Form,
}

/// Where matches go, by filter.
#[derive(Debug)]
pub struct Routes {
    /// `None`: not published. Filters that rest keep theirs: what they took before is published yet.
    by_filter: RwLock<HashMap<Arc<str>, Option<Route>>>,
    prefix: String,
    /// How messages look if nobody says otherwise.
    pub form: Form,
    /// Whether they bring the stamps.
    pub stamps: bool,
}

impl Routes {
    /// Routes of no filters yet.
    pub fn new(settings: &OutputSettings) -> Routes {
        Routes {
            by_filter: RwLock::default(),
            prefix: settings.prefix.clone(),
            form: Form::named(&settings.format),
            stamps: settings.stamps,
        }
    }

    /// Learns the routes of filters, or new ones of those it knows.
    ///
    /// # Errors
    /// A filter's topic has a name that Kafka would not take; the others are learnt.
    pub fn learn(&self, filters: &[Filter]) -> Result<()> {
        let mut learnt = Ok(());
        for filter in filters {
            match self.route(filter) {
                Ok(route) => {
                    let mut known = self.known_mut();
                    known.insert(filter.name().into(), route);
                }
                Err(error) => learnt = learnt.and(Err(error)),
            }
        }
        learnt
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, HashMap<Arc<str>, Option<Route>>> {
        self.by_filter
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> RwLockReadGuard<'_, HashMap<Arc<str>, Option<Route>>> {
        self.by_filter
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Where matches of a filter go by its header and the settings.
    ///
    /// # Errors
    /// The topic has a name that Kafka would not take.
    pub fn route(&self, filter: &Filter) -> Result<Option<Route>> {
        let header = filter.header();
        let stream = header.output.as_deref().unwrap_or(filter.name());
        if header.output.as_deref() == Some("none") && header.topic.is_none() {
            return Ok(None);
        }
        let topic = match &header.topic {
            Some(topic) => topic.clone(),
            None => format!("{}{stream}", self.prefix),
        };
        check_topic(&topic).with_context(|| {
            format!(
                "filter `{}` has no stream to publish to (rename its file, or write `-- topic: NAME` at its top)",
                filter.name()
            )
        })?;
        Ok(Some(Route {
            topic: topic.into(),
            form: header.format.as_deref().map_or(self.form, Form::named),
        }))
    }

    /// Where matches of a filter go; `None` when they are not published. A filter that is no longer there has the topic that
    /// it would have without a header.
    ///
    /// # Errors
    /// Its name is no topic's.
    pub fn of(&self, filter: &str) -> Result<Option<Route>, TopicNameError> {
        if let Some(route) = self.known().get(filter) {
            return Ok(route.clone());
        }
        let topic = format!("{}{filter}", self.prefix);
        check_topic(&topic)?;
        Ok(Some(Route {
            topic: topic.into(),
            form: self.form,
        }))
    }

    /// The topic of a survey's whole stream.
    pub fn relay(&self, survey: &str) -> Arc<str> {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let survey: String = survey.chars().map(plain).collect();
        format!("{}alerts-{survey}", self.prefix).into()
    }

    /// Every topic of the filters, once.
    pub fn topics(&self) -> Vec<String> {
        let known = self.known();
        let routes = known.values().flatten();
        let mut topics: Vec<String> = routes.map(|route| route.topic.to_string()).collect();
        topics.sort();
        topics.dedup();
        topics
    }
}
