//! The topics of a folder, and the folder itself.
//!
//! | path | content |
//! |---|---|
//! | `stream.json` | format, cluster id, next producer id |
//! | `lock` | held while a server runs |
//! | `offsets.log` | what groups have committed |
//! | `transactions.log` | transactional ids and what they have under way |
//! | `topics/NAME/topic.json` | number of partitions |
//! | `topics/NAME/P/OFFSET.log`, `.index` | segments of partition `P` |
//! | `deleted/` | topics being deleted |

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::error::StreamError;
use crate::lines::replace;
use crate::log::{Log, LogSettings};

/// 2 since there are transactions: an older version would show their aborted messages.
const FORMAT: u32 = 2;
/// Producer ids are reserved on disk this many at a time.
const RESERVED: i64 = 1_000;

/// A topic and its partitions.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) partitions: Vec<Log>,
}

#[derive(Serialize, Deserialize)]
struct TopicFile {
    partitions: usize,
}

#[derive(Clone, Serialize, Deserialize)]
struct FolderFile {
    format: u32,
    cluster_id: String,
    next_producer_id: i64,
}

/// Everything a server keeps about its topics.
#[derive(Debug)]
pub(crate) struct Topics {
    pub(crate) cluster_id: String,
    folder: PathBuf,
    settings: LogSettings,
    max_topics: usize,
    max_partitions: usize,
    by_name: RwLock<BTreeMap<String, Arc<Topic>>>,
    /// Held while topics are created or deleted.
    changing: Mutex<()>,
    /// Next producer id, and the end of those reserved.
    producer_ids: Mutex<(i64, i64)>,
    lock: File,
}

impl Topics {
    /// Opens the folder, creating it when absent.
    pub(crate) fn open(
        folder: PathBuf,
        settings: LogSettings,
        max_topics: usize,
        max_partitions: usize,
    ) -> Result<Self, StreamError> {
        let create = |path: PathBuf| {
            fs::create_dir_all(&path).map_err(|e| StreamError::file("create", path, e))
        };
        create(folder.join("topics"))?;
        create(folder.join("deleted"))?;
        let lock = lock(&folder)?;
        let about = open_about(&folder)?;
        let mut topics = Self {
            cluster_id: about.cluster_id,
            settings,
            max_topics,
            max_partitions,
            by_name: RwLock::default(),
            changing: Mutex::default(),
            producer_ids: Mutex::new((about.next_producer_id, about.next_producer_id)),
            lock,
            folder,
        };
        topics.open_all()?;
        Ok(topics)
    }

    fn open_all(&mut self) -> Result<(), StreamError> {
        let _ = fs::remove_dir_all(self.folder.join("deleted"));
        let deleted = self.folder.join("deleted");
        fs::create_dir_all(&deleted).map_err(|e| StreamError::file("create", deleted, e))?;
        let folder = self.folder.join("topics");
        let failed = |e| StreamError::file("read", folder.clone(), e);
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let Some(name) = path
                .file_name()
                .and_then(|n| n.to_str())
                .filter(|n| valid_name(n))
            else {
                continue;
            };
            // A crash while a topic was created leaves a folder without its file.
            let Ok(text) = fs::read(path.join("topic.json")) else {
                continue;
            };
            let about: TopicFile = serde_json::from_slice(&text)
                .map_err(|e| StreamError::file("read", path.join("topic.json"), e.into()))?;
            found.insert(
                name.to_owned(),
                Arc::new(self.open_topic(name, about.partitions)?),
            );
        }
        self.by_name = RwLock::new(found);
        Ok(())
    }

    fn open_topic(&self, name: &str, partitions: usize) -> Result<Topic, StreamError> {
        let open = |p: usize| {
            let folder = self.folder.join("topics").join(name).join(p.to_string());
            Log::open(folder.clone(), self.settings)
                .map_err(|e| StreamError::file("open", folder, e))
        };
        let partitions = (0..partitions).map(open).collect::<Result<_, _>>()?;
        Ok(Topic {
            name: name.to_owned(),
            partitions,
        })
    }

    /// The topic called `name`.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.by_name
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// All topics, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        self.by_name
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    /// Whether a topic could be created, without creating it.
    pub(crate) fn check_new(&self, name: &str, partitions: usize) -> Result<(), StreamError> {
        if !valid_name(name) {
            return Err(StreamError::TopicName(name.to_owned()));
        }
        if partitions == 0 || partitions > self.max_partitions {
            return Err(StreamError::TooMany {
                what: "partitions",
                asked: partitions,
                limit: self.max_partitions,
            });
        }
        let topics = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        if topics.contains_key(name) {
            return Err(StreamError::TopicExists(name.to_owned()));
        }
        if topics.len() >= self.max_topics {
            return Err(StreamError::TooMany {
                what: "topics",
                asked: topics.len() + 1,
                limit: self.max_topics,
            });
        }
        Ok(())
    }

    /// Creates a topic. Its file is written last: a crash leaves the topic whole or absent.
    pub(crate) fn create(&self, name: &str, partitions: usize) -> Result<Arc<Topic>, StreamError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_new(name, partitions)?;
        let topic = Arc::new(self.open_topic(name, partitions)?);
        let path = self.folder.join("topics").join(name).join("topic.json");
        let text = format!("{{\"partitions\":{partitions}}}\n");
        replace(&path, text.as_bytes()).map_err(|e| StreamError::file("write", path, e))?;
        self.by_name
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), Arc::clone(&topic));
        Ok(topic)
    }

    /// Deletes a topic and all its records.
    pub(crate) fn delete(&self, name: &str) -> Result<(), StreamError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let topic = self
            .get(name)
            .ok_or_else(|| StreamError::UnknownTopic(name.to_owned()))?;
        topic.partitions.iter().for_each(Log::retire);
        let path = self.folder.join("topics").join(name);
        let away = self.folder.join("deleted").join(name);
        fs::rename(&path, &away).map_err(|e| StreamError::file("delete", path, e))?;
        self.by_name
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
        fs::remove_dir_all(&away).map_err(|e| StreamError::file("delete", away, e))
    }

    /// Ends: nothing is appended any more, all is on the disk, and another server may have the folder.
    pub(crate) fn close(&self) {
        for topic in self.all() {
            for (index, log) in topic.partitions.iter().enumerate() {
                if let Err(error) = log.close() {
                    tracing::error!("{}[{index}]: cannot close: {error}", topic.name);
                }
            }
        }
        if let Err(error) = self.lock.unlock() {
            tracing::warn!("cannot give `{}` free: {error}", self.folder.display());
        }
    }

    /// A producer id that was never given out before, not even by an earlier server of this folder.
    pub(crate) fn new_producer_id(&self) -> Result<i64, StreamError> {
        let mut ids = self
            .producer_ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if ids.0 == ids.1 {
            let about = FolderFile {
                format: FORMAT,
                cluster_id: self.cluster_id.clone(),
                next_producer_id: ids.1 + RESERVED,
            };
            write_about(&self.folder, &about)?;
            ids.1 += RESERVED;
        }
        ids.0 += 1;
        Ok(ids.0 - 1)
    }
}

impl Topic {
    /// The partition numbered `index`.
    pub(crate) fn partition(&self, index: i32) -> Option<&Log> {
        self.partitions.get(usize::try_from(index).ok()?)
    }
}

fn valid_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=249).contains(&name.len()) && name.chars().all(allowed) && name != "." && name != ".."
}

fn lock(folder: &std::path::Path) -> Result<File, StreamError> {
    let path = folder.join("lock");
    let file = File::create(&path).map_err(|e| StreamError::file("create", path, e))?;
    // A child that was forked a moment ago may still hold what a server of this program has let go.
    for _ in 0..100 {
        if file.try_lock().is_ok() {
            return Ok(file);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Err(StreamError::FolderInUse(folder.to_owned()))
}

fn open_about(folder: &std::path::Path) -> Result<FolderFile, StreamError> {
    let path = folder.join("stream.json");
    if let Ok(text) = fs::read(&path) {
        let mut about: FolderFile = serde_json::from_slice(&text)
            .map_err(|e| StreamError::file("read", path.clone(), e.into()))?;
        if about.format > FORMAT {
            return Err(StreamError::Format {
                path,
                found: about.format,
                known: FORMAT,
            });
        }
        if about.format < FORMAT {
            about.format = FORMAT;
            write_about(folder, &about)?;
        }
        return Ok(about);
    }
    let mut id = [0; 8];
    let _ = SystemRandom::new().fill(&mut id);
    let cluster_id = format!("pitt-{:016x}", u64::from_be_bytes(id));
    let about = FolderFile {
        format: FORMAT,
        cluster_id,
        next_producer_id: 1,
    };
    write_about(folder, &about)?;
    Ok(about)
}

fn write_about(folder: &std::path::Path, about: &FolderFile) -> Result<(), StreamError> {
    let path = folder.join("stream.json");
    let text = serde_json::to_vec(about)
        .map_err(|e| StreamError::file("write", path.clone(), e.into()))?;
    replace(&path, &text).map_err(|e| StreamError::file("write", path, e))
}
