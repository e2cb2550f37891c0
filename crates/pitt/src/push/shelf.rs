//! What is on disk of one webhook: how far it has come, and what its receiver did not take.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::kept;

/// Version of the files.
const FORMAT: u32 = 1;
/// Most dead letters of a webhook; before there are more it rests. So none is ever dropped.
pub const MOST_DEAD: usize = 100;

/// A batch of matches as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Its number, ascending with each webhook: with the webhook's id it is the request's `X-Pitt-Id`.
    pub number: u64,
    /// Matches in it.
    pub matches: u64,
    /// When the first of them matched `[us since 1970, UTC]`.
    pub first_us: i64,
    /// The place in the feed of matches of whoever has seen them.
    pub end: String,
    /// The body, JSON.
    pub body: String,
}

/// How far a webhook has come. Times are `[us since 1970, UTC]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Version of the file.
    pub format: u32,
    /// The place in the feed of matches up to which everything was taken or is a dead letter.
    pub cursor: String,
    /// Number of the next batch.
    pub next: u64,
    /// Matches that the receiver took.
    pub delivered: u64,
    /// What is being delivered, from before it is sent for the first time.
    pub letter: Option<Letter>,
    /// How often that was tried.
    pub tries: u32,
    /// Since when nothing was taken.
    pub failing_since_us: Option<i64>,
    /// Why the last try failed; `None` after one that did not.
    pub last_error: Option<String>,
    /// When something was taken last.
    pub last_delivered_us: Option<i64>,
    /// When the next try is due.
    pub next_try_us: Option<i64>,
}

/// A batch that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The batch.
    pub letter: Letter,
    /// Why the last try failed.
    pub reason: String,
    /// How often it was tried.
    pub tries: u32,
    /// When it was given up `[us since 1970, UTC]`.
    pub dead_us: i64,
}

/// The folder `<archive>/webhooks/<id>`.
///
/// | file | what |
/// |---|---|
/// | `progress.json` | [`Progress`], with the batch under way |
/// | `dead/<number>-<matches>.json` | a [`DeadLetter`] each |
/// | `again/<number>-<matches>.json` | the same, to be sent once more |
///
/// Each file is written whole: beside its place, synced and renamed. A crash of the process or the system leaves the old one or the new one. A batch is
/// a dead letter before the cursor passes it: after a crash in between it may be both, and is sent again under its id.
#[derive(Clone, Debug)]
pub struct Shelf(PathBuf);

impl Shelf {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// How far it has come; `None` before the first batch.
    ///
    /// # Errors
    /// The file cannot be read, or is of a later version.
    pub fn progress(&self) -> Result<Option<Progress>> {
        let file = self.0.join("progress.json");
        let progress: Option<Progress> = read(&file)?;
        if let Some(format) = progress.as_ref().map(|known| known.format)
            && format != FORMAT
        {
            bail!(
                "`{}` is of format {format}, this program knows {FORMAT} (use a newer `pitt`)",
                file.display()
            );
        }
        Ok(progress)
    }

    pub(super) fn save(&self, progress: &Progress) -> Result<()> {
        let progress = Progress {
            format: FORMAT,
            ..progress.clone()
        };
        write(&self.0.join("progress.json"), &progress)
    }

    /// Keeps a batch as a dead letter.
    pub(super) fn bury(&self, dead: &DeadLetter) -> Result<()> {
        let name = name_of(&dead.letter);
        write(&self.0.join("dead").join(&name), dead)?;
        remove(&self.0.join("again").join(name))
    }

    /// Dead letters and the matches in them.
    pub fn dead(&self) -> (usize, u64) {
        let names = names(&self.0.join("dead"));
        let matches = names.iter().filter_map(|name| matches_in(name)).sum();
        (names.len(), matches)
    }

    /// The dead letters, oldest first.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn dead_letters(&self) -> Result<Vec<DeadLetter>> {
        let folder = self.0.join("dead");
        let mut found = vec![];
        for name in names(&folder) {
            found.extend(read(&folder.join(name))?);
        }
        Ok(found)
    }

    /// Lets all dead letters be sent again; gives their number.
    pub(super) fn exhume(&self) -> Result<usize> {
        let (from, to) = (self.0.join("dead"), self.0.join("again"));
        let names = names(&from);
        let failed = || format!("cannot move dead letters to `{}`", to.display());
        if !names.is_empty() {
            fs::create_dir_all(&to).with_context(failed)?;
        }
        for name in &names {
            match fs::rename(from.join(name), to.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(failed);
                }
                _ => {}
            }
        }
        Ok(names.len())
    }

    /// Drops all dead letters; gives their number.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn drop_dead(&self) -> Result<usize> {
        let folder = self.0.join("dead");
        let names = names(&folder);
        for name in &names {
            remove(&folder.join(name))?;
        }
        Ok(names.len())
    }

    /// The next dead letter to be sent again.
    pub(super) fn again(&self) -> Result<Option<DeadLetter>> {
        let folder = self.0.join("again");
        match names(&folder).first() {
            Some(name) => read(&folder.join(name)),
            None => Ok(None),
        }
    }

    /// Dead letters that are to be sent again, and the matches in them.
    pub fn waiting_again(&self) -> (usize, u64) {
        let names = names(&self.0.join("again"));
        let matches = names.iter().filter_map(|name| matches_in(name)).sum();
        (names.len(), matches)
    }

    /// Forgets a dead letter that was taken.
    pub(super) fn settle(&self, letter: &Letter) -> Result<()> {
        remove(&self.0.join("again").join(name_of(letter)))
    }

    /// Removes all of it.
    pub(super) fn clear(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn name_of(letter: &Letter) -> String {
    format!("{:010}-{}.json", letter.number, letter.matches)
}

fn matches_in(name: &str) -> Option<u64> {
    let (_, matches) = name.strip_suffix(".json")?.split_once('-')?;
    matches.parse().ok()
}

/// Names of the letters in a folder, by number.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| matches_in(name).is_some()).collect();
    names.sort();
    names
}

fn read<T: DeserializeOwned>(file: &Path) -> Result<Option<T>> {
    let failed = || format!("cannot read `{}`", file.display());
    match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => serde_json::from_slice(&read.with_context(failed)?).with_context(failed),
    }
}

fn write(file: &Path, content: &impl Serialize) -> Result<()> {
    kept::write(file, &serde_json::to_vec(content)?, kept::SECRET)
}

fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove `{}`", file.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(number: u64, matches: u64) -> DeadLetter {
        DeadLetter {
            letter: Letter {
                number,
                matches,
                first_us: 1,
                end: format!("0:{number}"),
                body: "{\"matches\":[]}".into(),
            },
            reason: "the receiver answers 500".into(),
            tries: 3,
            dead_us: 2,
        }
    }

    #[test]
    fn progress_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path().join("wh_1"));
        assert_eq!(shelf.progress().unwrap(), None);
        let progress = Progress {
            cursor: "0:7,1:2".into(),
            letter: Some(dead(3, 1).letter),
            last_error: Some("\"quoted\"\n".into()),
            ..Progress::default()
        };
        shelf.save(&progress).unwrap();
        let back = shelf.progress().unwrap().unwrap();
        assert_eq!(
            back,
            Progress {
                format: 1,
                ..progress
            }
        );
        fs::write(folder.path().join("wh_1/progress.json"), "{}").unwrap();
        assert!(shelf.progress().is_err());
    }

    #[test]
    fn dead_letters_rise_in_order_and_can_die_again() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path().join("wh_1"));
        assert_eq!(shelf.exhume().unwrap(), 0);
        for (number, matches) in [(12, 100), (2, 7)] {
            shelf.bury(&dead(number, matches)).unwrap();
        }
        assert_eq!(shelf.dead(), (2, 107));
        assert_eq!(shelf.dead_letters().unwrap(), [dead(2, 7), dead(12, 100)]);
        assert_eq!(shelf.exhume().unwrap(), 2);
        assert_eq!((shelf.dead(), shelf.waiting_again()), ((0, 0), (2, 107)));
        let first = shelf.again().unwrap().unwrap();
        assert_eq!(first, dead(2, 7));
        shelf.settle(&first.letter).unwrap();
        let second = shelf.again().unwrap().unwrap();
        shelf.bury(&second).unwrap();
        assert_eq!((shelf.dead(), shelf.waiting_again()), ((1, 100), (0, 0)));
        assert_eq!(shelf.drop_dead().unwrap(), 1);
        shelf.clear().unwrap();
        shelf.clear().unwrap();
    }
}
