//! Finds a schema by its id.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::{WriterSchema, folder};
use crate::avro::schema::SchemaError;

/// Most schemas remembered by fingerprint; a stream has a few dozen.
const MAX_INTERNED: usize = 4_096;

/// Where schemas are looked for. A clone is another handle on the same store, for another thread.
#[derive(Clone, Default)]
pub struct SchemaStore {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    by_id: HashMap<u32, Arc<WriterSchema>>,
    by_fingerprint: HashMap<u128, Arc<WriterSchema>>,
}

/// Why no schema is there for an id.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SchemaLookupError {
    /// Nobody knows the id.
    #[error(
        "schema id {id} is unknown to {asked} (add the .avsc to the schema folder, or check the registry's address)"
    )]
    Unknown {
        /// The id.
        id: u32,
        /// Where it was looked for.
        asked: String,
    },
    /// It was found and is unusable.
    #[error("schema id {id}: {error}")]
    Unusable {
        /// The id.
        id: u32,
        /// What is wrong with it.
        error: SchemaError,
    },
    /// A folder cannot be read.
    #[error("schema folder `{folder}`: {error}")]
    Folder {
        /// The folder.
        folder: String,
        /// The operating system's message.
        error: String,
    },
}

impl SchemaStore {
    /// An empty store: container files still decode, they carry their schema.
    pub fn new() -> SchemaStore {
        SchemaStore::default()
    }

    /// Adds every alert schema in a folder of `.avsc` files: `<id>.avsc`, or the survey's own layout.
    pub fn with_folder(self, path: impl Into<PathBuf>) -> Result<SchemaStore, SchemaLookupError> {
        let path = path.into();
        let found = folder::read(&path).map_err(|error| SchemaLookupError::Folder {
            folder: path.display().to_string(),
            error: error.to_string(),
        })?;
        for (id, json) in found {
            if let Err(error) = self.insert(id, &json) {
                tracing::warn!(id, %error, folder = %path.display(), "schema left out");
            }
        }
        Ok(self)
    }

    /// Adds one schema under an id.
    pub fn insert(&self, id: u32, json: &str) -> Result<Arc<WriterSchema>, SchemaLookupError> {
        let schema = self
            .intern(json)
            .map_err(|error| SchemaLookupError::Unusable { id, error })?;
        self.lock().by_id.insert(id, schema.clone());
        Ok(schema)
    }

    /// The schema of this id.
    pub fn get(&self, id: u32) -> Result<Arc<WriterSchema>, SchemaLookupError> {
        let known = self.lock().by_id.get(&id).cloned();
        known.ok_or_else(|| SchemaLookupError::Unknown {
            id,
            asked: "the schemas at hand".into(),
        })
    }

    /// The schema of this JSON, parsed once however often it comes.
    pub fn intern(&self, json: &str) -> Result<Arc<WriterSchema>, SchemaError> {
        let fingerprint = super::fingerprint(json.as_bytes());
        if let Some(known) = self.lock().by_fingerprint.get(&fingerprint) {
            return Ok(known.clone());
        }
        let schema = Arc::new(WriterSchema::parse(json)?);
        let mut inner = self.lock();
        if inner.by_fingerprint.len() >= MAX_INTERNED {
            inner.by_fingerprint.clear();
        }
        inner.by_fingerprint.insert(fingerprint, schema.clone());
        Ok(schema)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
