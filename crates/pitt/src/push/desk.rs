//! Which webhooks an archive has, and how that is changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::address::Reach;
use super::hook::Hook;
use super::shelf::Shelf;
use super::tally::Tally;
use crate::config::PushSettings;
use crate::kept::{self, Held};
use crate::source::now_us;
use crate::telemetry::WebhooksStatus;

/// Version of the file.
const FORMAT: u32 = 1;
/// Most webhooks of an archive: each has a thread where they are delivered.
pub const MOST: usize = 100;

/// What a webhook is not.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// There is none of this id.
    #[error("there is no webhook `{0}` (GET /api/v1/webhooks lists them)")]
    Unknown(String),
    /// There are too many.
    #[error("this archive has {MOST} webhooks already (remove one that is not used)")]
    Full,
}

/// The webhooks of an archive: `<archive>/webhooks/hooks.json`, readable by its owner alone, for it has the secrets.
///
/// ```json
/// {"format": 1, "hooks": [{"id": "wh_9f86d081aa", "filter": "hostless", "url": "https://..", "secret": "whsec_..", ..}]}
/// ```
///
/// Written whole: beside its place, synced and renamed, while `hooks.lock` is held: two processes that change it at once both get their change.
/// It is broken when it is no JSON of this shape or has another `format`; then nothing is delivered and nobody writes to it. Processes look at it
/// each second, so that any of them can change what another one delivers.
pub struct HookDesk {
    folder: PathBuf,
    reach: Reach,
    known: Mutex<Option<(Mark, Hooks)>>,
    changed: watch::Sender<u64>,
    pub(super) tally: Tally,
}

#[derive(Serialize, Deserialize)]
struct Content {
    format: u32,
    hooks: Vec<Hook>,
}

/// All webhooks, in the order they were made.
pub type Hooks = Arc<[Arc<Hook>]>;

/// By what a changed file is known.
type Mark = (std::time::SystemTime, u64, u64);

impl HookDesk {
    /// That of an archive. Opens nothing.
    pub fn of(archive: &Path, settings: &PushSettings) -> Self {
        Self {
            folder: archive.join("webhooks"),
            reach: Reach {
                private: settings.allow_private,
            },
            known: Mutex::default(),
            changed: watch::Sender::new(0),
            tally: Tally::default(),
        }
    }

    /// How far webhooks reach here.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// What is kept of one webhook.
    pub fn shelf(&self, id: &str) -> Shelf {
        Shelf::new(self.folder.join(id))
    }

    /// All webhooks, in the order they were made.
    ///
    /// # Errors
    /// The file cannot be read, or is something else.
    pub fn hooks(&self) -> Result<Hooks> {
        let mark = self.mark();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(mark), Some((of, hooks))) = (mark, known.as_ref())
            && *of == mark
        {
            return Ok(hooks.clone());
        }
        let hooks: Hooks = self.read()?.into_iter().map(Arc::new).collect();
        *known = mark.map(|mark| (mark, hooks.clone()));
        Ok(hooks)
    }

    /// One webhook.
    ///
    /// # Errors
    /// There is none of this id, or the file cannot be read.
    pub fn hook(&self, id: &str) -> Result<Arc<Hook>> {
        let hooks = self.hooks()?;
        let found = hooks.iter().find(|hook| hook.id == id).cloned();
        found.ok_or_else(|| DeskError::Unknown(short(id)).into())
    }

    /// Keeps a new one.
    ///
    /// # Errors
    /// There are too many, or the file cannot be read or written.
    pub fn add(&self, hook: Hook) -> Result<()> {
        self.change(|hooks| {
            if hooks.len() >= MOST {
                bail!(DeskError::Full);
            }
            hooks.push(hook);
            Ok(())
        })
    }

    /// Takes one away. What is on disk of it goes where it is delivered.
    ///
    /// # Errors
    /// There is none of this id, or the file cannot be read or written.
    pub fn remove(&self, id: &str) -> Result<()> {
        self.change(|hooks| {
            let at = hooks.iter().position(|hook| hook.id == id);
            let Some(at) = at else {
                bail!(DeskError::Unknown(short(id)));
            };
            hooks.remove(at);
            Ok(())
        })
    }

    /// Lets one rest, for a reason or because somebody wishes it. One that rests already keeps its reason.
    ///
    /// # Errors
    /// There is none of this id, or the file cannot be read or written.
    pub fn pause(&self, id: &str, reason: Option<&str>) -> Result<()> {
        self.edit(id, |hook| {
            if !hook.is_paused() {
                hook.paused_us = Some(now_us());
                hook.reason = reason.map(str::to_owned);
            }
        })
    }

    /// Lets one go on.
    ///
    /// # Errors
    /// There is none of this id, or the file cannot be read or written.
    pub fn resume(&self, id: &str) -> Result<()> {
        self.edit(id, |hook| {
            hook.paused_us = None;
            hook.reason = None;
            hook.turn += 1;
        })
    }

    /// Lets the dead letters of one be sent again; gives their number.
    ///
    /// # Errors
    /// There is none of this id, or its files cannot be moved.
    pub fn retry(&self, id: &str) -> Result<usize> {
        self.hook(id)?;
        let moved = self.shelf(id).exhume()?;
        self.edit(id, |hook| hook.turn += 1)?;
        Ok(moved)
    }

    /// Told after every change made here.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The lock of whoever delivers.
    pub(super) fn lock_file(&self) -> PathBuf {
        self.folder.join("deliver.lock")
    }

    /// Names of the folders of webhooks.
    pub(super) fn shelves(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name.starts_with("wh_")).collect()
    }

    /// How they all are, as far as this process knows; `None` when there are none.
    pub fn status(&self) -> Option<WebhooksStatus> {
        let hooks = self.hooks().ok().filter(|hooks| !hooks.is_empty())?;
        Some(WebhooksStatus {
            hooks: hooks.len() as u64,
            paused: hooks.iter().filter(|hook| hook.is_paused()).count() as u64,
            ..self.tally.status()
        })
    }

    fn edit(&self, id: &str, edit: impl FnOnce(&mut Hook)) -> Result<()> {
        self.change(|hooks| {
            let found = hooks.iter_mut().find(|hook| hook.id == id);
            edit(found.ok_or_else(|| DeskError::Unknown(short(id)))?);
            Ok(())
        })
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Hook>) -> Result<()>) -> Result<()> {
        let lock = Held::wait(&self.folder.join("hooks.lock"))?;
        let mut hooks = self.read()?;
        change(&mut hooks)?;
        let content = Content {
            format: FORMAT,
            hooks,
        };
        let bytes = serde_json::to_vec_pretty(&content)?;
        kept::write(&self.file(), &bytes, kept::SECRET)?;
        drop(lock);
        self.changed.send_modify(|version| *version += 1);
        Ok(())
    }

    fn read(&self) -> Result<Vec<Hook>> {
        let file = self.file();
        let failed = || format!("cannot read `{}`", file.display());
        let content: Content = match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            read => serde_json::from_slice(&read.with_context(failed)?).with_context(failed)?,
        };
        if content.format != FORMAT {
            bail!(
                "`{}` is of format {}, this program knows {FORMAT} (use a newer `pitt`)",
                file.display(),
                content.format
            );
        }
        Ok(content.hooks)
    }

    fn file(&self) -> PathBuf {
        self.folder.join("hooks.json")
    }

    fn mark(&self) -> Option<Mark> {
        use std::os::unix::fs::MetadataExt;
        let data = fs::metadata(self.file()).ok()?;
        Some((data.modified().ok()?, data.len(), data.ino()))
    }
}

fn short(id: &str) -> String {
    id.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn desk(folder: &Path) -> HookDesk {
        HookDesk::of(folder, &PushSettings::default())
    }

    #[test]
    fn webhooks_come_and_go_and_their_file_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (desk(folder.path()), desk(folder.path()));
        assert!(here.status().is_none());
        let hook = Hook::new("all", "https://a.org/", "ann").unwrap();
        here.add(hook.clone()).unwrap();
        assert_eq!(*there.hook(&hook.id).unwrap(), hook);
        let mode = fs::metadata(here.file()).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        there.pause(&hook.id, Some("it is gone")).unwrap();
        there.pause(&hook.id, None).unwrap();
        let paused = here.hook(&hook.id).unwrap();
        assert_eq!(paused.reason.as_deref(), Some("it is gone"));
        let status = here.status().unwrap();
        assert_eq!((status.hooks, status.paused), (1, 1));
        here.resume(&hook.id).unwrap();
        assert!(!there.hook(&hook.id).unwrap().is_paused());
        here.remove(&hook.id).unwrap();
        let error = there.remove(&hook.id).unwrap_err().to_string();
        assert!(error.contains("there is no webhook `wh_"), "{error}");
    }

    #[test]
    fn there_are_not_too_many_and_what_is_no_list_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let desk = desk(folder.path());
        let make = || Hook::new("all", "https://a.org/", "ann").unwrap();
        for _ in 0..MOST {
            desk.add(make()).unwrap();
        }
        assert!(
            desk.add(make())
                .unwrap_err()
                .to_string()
                .contains("already")
        );
        fs::write(desk.file(), "{\"format\":9,\"hooks\":[]}").unwrap();
        let error = desk.add(make()).unwrap_err().to_string();
        assert!(error.contains("is of format 9"), "{error}");
        assert!(fs::read_to_string(desk.file()).unwrap().contains('9'));
    }
}
