//! Finds a schema by its id.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::registry::{Answer, Registry};
use super::{WriterSchema, folder};
use crate::avro::schema::SchemaError;

/// Most schemas remembered by fingerprint; a stream has a few dozen.
const MAX_INTERNED: usize = 4_096;
/// How long an id stays unknown before it is looked for again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where schemas are looked for: what was inserted, the folders of `.avsc` files, the cache on disk, the registry, in
/// this order. A clone is another handle on the same store, for another thread.
///
/// An id that nobody knows is not asked about again for a minute (or [`SchemaStore::with_patience`]); then folders are
/// read again too, so that a schema added later is found. A registry that does not answer is left alone for a second, and
/// longer each time, up to a quarter of a minute.
///
/// The cache is a folder of `<id>.avsc`, each written whole under another name and then renamed. A file in it that is no
/// usable schema is ignored, and written again when the registry answers.
#[derive(Clone)]
pub struct SchemaStore {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    by_id: HashMap<u32, Arc<WriterSchema>>,
    by_fingerprint: HashMap<u128, Arc<WriterSchema>>,
    folders: Vec<PathBuf>,
    folders_read: Instant,
    cache: Option<PathBuf>,
    registry: Option<Registry>,
    patience: Duration,
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
    /// The registry does not answer.
    #[error(
        "schema id {id}: the registry {url} does not answer: {error} (check its address, or add the .avsc to the schema folder)"
    )]
    Silent {
        /// The id.
        id: u32,
        /// The registry's address.
        url: String,
        /// What went wrong.
        error: String,
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

impl Default for SchemaStore {
    fn default() -> Self {
        let inner = Inner {
            by_id: HashMap::new(),
            by_fingerprint: HashMap::new(),
            folders: Vec::new(),
            folders_read: Instant::now(),
            cache: None,
            registry: None,
            patience: PATIENCE,
        };
        SchemaStore {
            inner: Arc::new(Mutex::new(inner)),
        }
    }
}

impl SchemaStore {
    /// An empty store: container files still decode, they carry their schema.
    pub fn new() -> SchemaStore {
        SchemaStore::default()
    }

    /// Adds every alert schema in a folder of `.avsc` files: `<id>.avsc`, or the survey's own layout of one file a named
    /// type (`lsst.v10_0.alert.avsc` is id 1000), also in sub-folders.
    pub fn with_folder(self, path: impl Into<PathBuf>) -> Result<SchemaStore, SchemaLookupError> {
        let path = path.into();
        let mut inner = self.lock();
        inner.read_folder(&path)?;
        inner.folders.push(path);
        drop(inner);
        Ok(self)
    }

    /// Keeps schemas from the registry in this folder, and looks for them there first. It is made when it is needed.
    pub fn with_cache(self, path: impl Into<PathBuf>) -> SchemaStore {
        self.lock().cache = Some(path.into());
        self
    }

    /// Asks a Confluent Schema Registry, such as `http://localhost:8081` or one behind `https://`, for ids that are not at hand.
    pub fn with_registry(self, url: &str) -> SchemaStore {
        let mut inner = self.lock();
        inner.registry = Some(Registry::new(url, inner.patience));
        drop(inner);
        self
    }

    /// How long to believe that an id is unknown, or a registry silent. To be said before [`SchemaStore::with_registry`].
    pub fn with_patience(self, patience: Duration) -> SchemaStore {
        self.lock().patience = patience;
        self
    }

    /// Adds one schema under an id.
    pub fn insert(&self, id: u32, json: &str) -> Result<Arc<WriterSchema>, SchemaLookupError> {
        self.lock().insert(id, json)
    }

    /// The schema of this id. May read the disk and wait for the registry, five seconds at most for each of its answers.
    pub fn get(&self, id: u32) -> Result<Arc<WriterSchema>, SchemaLookupError> {
        let mut inner = self.lock();
        match inner.by_id.get(&id) {
            Some(schema) => Ok(schema.clone()),
            None => inner.look_for(id),
        }
    }

    /// The schema of this JSON, parsed once however often it comes.
    pub fn intern(&self, json: &str) -> Result<Arc<WriterSchema>, SchemaError> {
        self.lock().intern(json)
    }

    /// Every schema with an id, in the order of the ids.
    pub fn known(&self) -> Vec<(u32, Arc<WriterSchema>)> {
        let mut known: Vec<_> = self
            .lock()
            .by_id
            .iter()
            .map(|(id, schema)| (*id, schema.clone()))
            .collect();
        known.sort_by_key(|(id, _)| *id);
        known
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn intern(&mut self, json: &str) -> Result<Arc<WriterSchema>, SchemaError> {
        let fingerprint = super::fingerprint(json.as_bytes());
        if let Some(known) = self.by_fingerprint.get(&fingerprint) {
            return Ok(known.clone());
        }
        let schema = Arc::new(WriterSchema::parse(json)?);
        if self.by_fingerprint.len() >= MAX_INTERNED {
            self.by_fingerprint.clear();
        }
        self.by_fingerprint.insert(fingerprint, schema.clone());
        Ok(schema)
    }

    fn insert(&mut self, id: u32, json: &str) -> Result<Arc<WriterSchema>, SchemaLookupError> {
        let schema = self
            .intern(json)
            .map_err(|error| SchemaLookupError::Unusable { id, error })?;
        self.by_id.insert(id, schema.clone());
        Ok(schema)
    }

    fn read_folder(&mut self, path: &Path) -> Result<(), SchemaLookupError> {
        let found = folder::read(path).map_err(|error| SchemaLookupError::Folder {
            folder: path.display().to_string(),
            error: error.to_string(),
        })?;
        for (id, json) in found {
            if let Err(error) = self.insert(id, &json) {
                tracing::warn!(id, %error, folder = %path.display(), "schema left out");
            }
        }
        self.folders_read = Instant::now();
        Ok(())
    }

    fn look_for(&mut self, id: u32) -> Result<Arc<WriterSchema>, SchemaLookupError> {
        if !self.folders.is_empty() && self.folders_read.elapsed() >= self.patience {
            for folder in self.folders.clone() {
                self.read_folder(&folder)?;
            }
            if let Some(schema) = self.by_id.get(&id) {
                return Ok(schema.clone());
            }
        }
        if let Some(schema) = self.cached(id) {
            return Ok(schema);
        }
        let asked = self.asked();
        let Some(registry) = &mut self.registry else {
            return Err(SchemaLookupError::Unknown { id, asked });
        };
        match registry.ask(id) {
            Answer::Schema(json) => {
                let schema = self.insert(id, &json)?;
                self.keep(id, &json);
                Ok(schema)
            }
            Answer::Unknown => Err(SchemaLookupError::Unknown { id, asked }),
            Answer::Silent(error) => Err(SchemaLookupError::Silent {
                id,
                url: registry.url().to_owned(),
                error,
            }),
        }
    }

    /// Where an id is looked for, for the message.
    fn asked(&self) -> String {
        let folders = self
            .folders
            .iter()
            .map(|folder| format!("`{}`", folder.display()));
        let registry = self
            .registry
            .as_ref()
            .map(|registry| registry.url().to_owned());
        let places: Vec<String> = folders.chain(registry).collect();
        if places.is_empty() {
            "the schemas at hand".into()
        } else {
            places.join(" and ")
        }
    }

    fn cached(&mut self, id: u32) -> Option<Arc<WriterSchema>> {
        let path = self.cache.as_ref()?.join(format!("{id}.avsc"));
        let json = fs::read_to_string(path).ok()?;
        self.insert(id, &json).ok()
    }

    fn keep(&self, id: u32, json: &str) {
        let Some(folder) = &self.cache else { return };
        let (whole, part) = (
            folder.join(format!("{id}.avsc")),
            folder.join(format!("{id}.{}.part", std::process::id())),
        );
        let written = fs::create_dir_all(folder)
            .and_then(|()| fs::write(&part, json))
            .and_then(|()| fs::rename(part, whole));
        if let Err(error) = written {
            tracing::warn!(id, %error, folder = %folder.display(), "the schema is not kept for the next start");
        }
    }
}
