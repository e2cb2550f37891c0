//! Filters made while the broker runs: every version of each, and which is at work.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use pitt_query::Filter;
use serde::{Deserialize, Serialize};

use super::{Refused, version};
use crate::kept::{self, Held};
use crate::source::now_us;

/// Longest name of a filter in the book.
const MOST_NAME: usize = 100;
/// Version of the format of [`Book`].
const FORMAT: u32 = 1;

/// The filters of an archive that were made through the API or with `pitt filter add`, in `<archive>/filters/`.
///
/// | file | holds | written |
/// |---|---|---|
/// | `book.json` | a [`Contents`]: the filters, their versions, which is active, paused or removed | whole, synced, renamed |
/// | `texts/<name>/<version>.sql` | the text of one version, for ever | once, synced, before the book names it |
/// | `book.lock` | nothing; locked (`flock`) while the book, or the list of failed filters, is changed | |
///
/// A reader needs no lock: it sees the book before or after a change. A crash in the middle of a change leaves the book as it was, and
/// perhaps a text that nobody names. `change` grows by one with each change, so that whoever watches the file knows what it has seen.
#[derive(Clone, Debug)]
pub struct Book(PathBuf);

/// What `book.json` holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Version of the format, 1.
    pub format: u32,
    /// Number of the change that made it.
    pub change: u64,
    /// The filters by name.
    pub filters: BTreeMap<String, Entry>,
}

/// One filter of the book.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its versions, in the order in which they were made.
    pub versions: Vec<VersionNote>,
    /// The version that is at work unless the filter is paused; none before the first was activated.
    pub active: Option<String>,
    /// Whether it rests.
    #[serde(default)]
    pub paused: bool,
    /// Whether it was removed: it is shown nowhere, but its texts and its matches stay.
    #[serde(default)]
    pub removed: bool,
    /// Who made it, or made it anew after it was removed; in books of older programs, who made its first version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// Whether somebody may change what has this owner; `None` for what is the broker's own, as its files are.
pub type MayChange<'a> = &'a dyn Fn(Option<&str>) -> bool;

/// Whoever can write to the archive's folder may change everything in it.
pub fn anybodys(_owner: Option<&str>) -> bool {
    true
}

/// A change by somebody whose filter it is not.
#[derive(Debug, thiserror::Error)]
#[error("filter `{filter}` belongs to {}", owner.as_ref().map_or_else(|| "whoever runs the broker".to_owned(), |owner| format!("`{owner}`")))]
pub struct NotYours {
    /// The filter.
    pub filter: String,
    /// Whose it is.
    pub owner: Option<String>,
}

impl NotYours {
    pub(super) fn unless(
        may: MayChange<'_>,
        filter: &str,
        owner: Option<&str>,
    ) -> Result<(), Self> {
        if may(owner) {
            return Ok(());
        }
        Err(Self {
            filter: filter.to_owned(),
            owner: owner.map(str::to_owned),
        })
    }
}

/// One version of a filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionNote {
    /// The version, as in `matches`.
    pub version: String,
    /// When it was made, microseconds UTC since 1970.
    pub created_us: i64,
    /// Who made it.
    pub author: String,
    /// What they said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What is to become of a text.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// Name of the filter.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
    /// Who made it.
    pub author: &'a str,
    /// What they say of it.
    pub note: Option<&'a str>,
    /// Whether it goes to work at once.
    pub activate: bool,
}

/// A change of the book that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// No filter of that name was made through the API.
    #[error("no filter `{0}` in the book (`pitt filter list` shows all)")]
    Unknown(String),
    /// The filter has no such version.
    #[error("filter `{name}` has no version `{version}` (it has {known})")]
    NoVersion {
        /// The filter.
        name: String,
        /// As asked for.
        version: String,
        /// Those it has.
        known: String,
    },
    /// A name that cannot be a file's or a topic's.
    #[error(
        "`{0}` is no name for a filter (letters, digits, `_` and `-`, a letter or digit first, at most 100)"
    )]
    Name(String),
}

impl Book {
    /// That of an archive.
    pub fn of(archive: &Path) -> Self {
        Self(archive.join("filters"))
    }

    /// The file that a change renames into place.
    pub fn file(&self) -> PathBuf {
        self.0.join("book.json")
    }

    /// Everything in it; empty when there is none.
    ///
    /// # Errors
    /// It cannot be read, or is of a later version.
    pub fn read(&self) -> Result<Contents> {
        let file = self.file();
        let failed = || format!("cannot read `{}`", file.display());
        let contents: Contents = match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Contents::default()),
            read => serde_json::from_slice(&read.with_context(failed)?).with_context(failed)?,
        };
        if contents.format > FORMAT {
            bail!(
                "`{}` is of format {}, this program knows {FORMAT} (use a newer `pitt`)",
                file.display(),
                contents.format
            );
        }
        Ok(contents)
    }

    /// The text of a version.
    ///
    /// # Errors
    /// There is no such version, or it cannot be read.
    pub fn text(&self, name: &str, version: &str) -> Result<String> {
        let contents = self.read()?;
        let entry = contents.entry(name)?;
        entry.note(name, version)?;
        let file = self.text_file(name, version);
        fs::read_to_string(&file).with_context(|| format!("cannot read `{}`", file.display()))
    }

    fn text_file(&self, name: &str, version: &str) -> PathBuf {
        self.0
            .join("texts")
            .join(name)
            .join(format!("{version}.sql"))
    }

    /// The filter of a version, parsed.
    ///
    /// # Errors
    /// The text is not there, or is refused by this version of the program.
    pub fn filter(&self, name: &str, version: &str) -> Result<Filter> {
        let text = self.text(name, version)?;
        Ok(Filter::parse(name, &text).map_err(Refused)?)
    }

    /// Keeps a text: a new version, or the one that has it already. Whether it is new.
    ///
    /// # Errors
    /// The name cannot be, the text is no filter, the filter is somebody else's, or the book cannot be written.
    pub fn keep(&self, draft: &Draft<'_>, may: MayChange<'_>) -> Result<(String, bool)> {
        let Draft { name, text, .. } = *draft;
        check_name(name)?;
        let made = version(&Filter::parse(name, text).map_err(Refused)?).to_string();
        self.change(|book, contents| {
            let entry = contents.filters.entry(name.to_owned()).or_default();
            if entry.removed || entry.versions.is_empty() {
                entry.owner = Some(draft.author.to_owned());
            } else {
                NotYours::unless(may, name, entry.owner())?;
            }
            let known = entry.versions.iter().any(|note| note.version == made);
            let file = book.text_file(name, &made);
            if !known {
                kept::write(&file, text.as_bytes(), kept::READABLE)?;
                entry.versions.push(VersionNote {
                    version: made.clone(),
                    created_us: now_us(),
                    author: draft.author.to_owned(),
                    note: draft.note.map(str::to_owned),
                });
            } else if fs::read_to_string(&file)? != text {
                bail!(
                    "the version `{made}` of `{name}` has another text (change a comment of yours)"
                );
            }
            entry.removed = false;
            if draft.activate {
                entry.active = Some(made.clone());
                entry.paused = false;
            }
            Ok((made.clone(), !known))
        })
    }

    /// Sets a version to work, the last active one or else the newest when none is named; gives it.
    ///
    /// # Errors
    /// There is no such filter or version, it is somebody else's, or the book cannot be written.
    pub fn activate(
        &self,
        name: &str,
        version: Option<&str>,
        may: MayChange<'_>,
    ) -> Result<String> {
        self.change(|_, contents| {
            let entry = contents.entry_mut(name, may)?;
            let newest = entry.versions.last().map(|note| note.version.clone());
            let wanted = version.map(str::to_owned).or_else(|| entry.active.clone());
            let wanted = wanted.or(newest).unwrap_or_default();
            entry.note(name, &wanted)?;
            entry.active = Some(wanted.clone());
            entry.paused = false;
            Ok(wanted)
        })
    }

    /// Lets a filter rest.
    ///
    /// # Errors
    /// There is no such filter, it is somebody else's, or the book cannot be written.
    pub fn pause(&self, name: &str, may: MayChange<'_>) -> Result<()> {
        self.change(|_, contents| {
            contents.entry_mut(name, may)?.paused = true;
            Ok(())
        })
    }

    /// Takes a filter away. Its texts and matches stay.
    ///
    /// # Errors
    /// There is no such filter, it is somebody else's, or the book cannot be written.
    pub fn remove(&self, name: &str, may: MayChange<'_>) -> Result<()> {
        self.change(|_, contents| {
            let entry = contents.entry_mut(name, may)?;
            (entry.removed, entry.active) = (true, None);
            Ok(())
        })
    }

    fn change<T>(&self, change: impl FnOnce(&Self, &mut Contents) -> Result<T>) -> Result<T> {
        let _held = self.lock()?;
        let mut contents = self.read()?;
        let before = contents.clone();
        let done = change(self, &mut contents)?;
        if contents != before {
            contents.format = FORMAT;
            contents.change += 1;
            let text = serde_json::to_vec_pretty(&contents)?;
            kept::write(&self.file(), &text, kept::READABLE)?;
        }
        Ok(done)
    }

    /// Keeps other processes from changing the book, or the list of failed filters, meanwhile.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn lock(&self) -> Result<Held> {
        Held::wait(&self.0.join("book.lock"))
    }
}

impl Contents {
    /// A filter that was not removed.
    ///
    /// # Errors
    /// There is none.
    pub fn entry(&self, name: &str) -> Result<&Entry, BookError> {
        let entry = self.filters.get(name).filter(|entry| !entry.removed);
        entry.ok_or_else(|| BookError::Unknown(name.to_owned()))
    }

    fn entry_mut(&mut self, name: &str, may: MayChange<'_>) -> Result<&mut Entry> {
        let entry = self.filters.get_mut(name).filter(|entry| !entry.removed);
        let entry = entry.ok_or_else(|| BookError::Unknown(name.to_owned()))?;
        NotYours::unless(may, name, entry.owner())?;
        Ok(entry)
    }
}

impl Entry {
    /// What is noted of a version.
    ///
    /// # Errors
    /// There is no such version.
    pub fn note(&self, name: &str, version: &str) -> Result<&VersionNote, BookError> {
        let note = self.versions.iter().find(|note| note.version == version);
        note.ok_or_else(|| {
            let known: Vec<&str> = self.versions.iter().map(|note| &*note.version).collect();
            BookError::NoVersion {
                name: name.to_owned(),
                version: version.to_owned(),
                known: known.join(", "),
            }
        })
    }

    /// Whose it is.
    pub fn owner(&self) -> Option<&str> {
        let first = self.versions.first().map(|note| note.author.as_str());
        self.owner.as_deref().or(first)
    }

    /// The version that is at work, if it is to be.
    pub fn working(&self) -> Option<&str> {
        let works = !self.paused && !self.removed;
        self.active.as_deref().filter(|_| works)
    }
}

/// Whether a name can be that of a file, a topic and a part of an address.
///
/// # Errors
/// It cannot.
pub fn check_name(name: &str) -> Result<(), BookError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && name.len() <= MOST_NAME && name.chars().all(plain) {
        return Ok(());
    }
    Err(BookError::Name(name.chars().take(MOST_NAME).collect()))
}

/// What the file system says of a file's state; differs after every change by rename.
pub(super) fn mark(file: &Path) -> Option<(u64, i64, i64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let found = File::open(file).ok()?.metadata().ok()?;
    Some((found.ino(), found.mtime(), found.mtime_nsec(), found.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft<'a>(text: &'a str, activate: bool) -> Draft<'a> {
        Draft {
            name: "bright",
            text,
            author: "ann",
            note: None,
            activate,
        }
    }

    #[test]
    fn every_version_stays_and_the_same_text_is_the_same_version() {
        let folder = tempfile::tempdir().unwrap();
        let book = Book::of(folder.path());
        assert_eq!(book.read().unwrap(), Contents::default());
        let keep = |text, activate| book.keep(&draft(text, activate), &anybodys).unwrap();
        let (first, new) = keep("psf_flux > 1", false);
        assert!(new && book.read().unwrap().filters["bright"].working().is_none());
        let (second, _) = keep("psf_flux > 2", true);
        assert_eq!(keep("psf_flux > 1", false), (first.clone(), false));
        let entry = book.read().unwrap().filters["bright"].clone();
        assert_eq!((entry.versions.len(), entry.working()), (2, Some(&*second)));
        assert_eq!(book.text("bright", &first).unwrap(), "psf_flux > 1");
        let activate = |version| book.activate("bright", version, &anybodys).unwrap();
        assert_eq!(activate(Some(&*first)), first);
        book.pause("bright", &anybodys).unwrap();
        assert_eq!(book.read().unwrap().filters["bright"].working(), None);
        assert_eq!(activate(None), first);
        book.remove("bright", &anybodys).unwrap();
        assert!(book.pause("bright", &anybodys).is_err());
        keep("psf_flux > 2", true);
        assert_eq!(book.read().unwrap().filters["bright"].versions.len(), 2);
    }

    #[test]
    fn a_filter_belongs_to_whoever_made_it_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let book = Book::of(folder.path());
        let by_ben = |owner: Option<&str>| owner == Some("ben");
        book.keep(&draft("psf_flux > 1", true), &by_ben).unwrap();
        let taken = Draft {
            author: "ben",
            ..draft("psf_flux > 2", true)
        };
        let refused = book.keep(&taken, &by_ben).unwrap_err();
        assert_eq!(refused.to_string(), "filter `bright` belongs to `ann`");
        for refused in [
            book.pause("bright", &by_ben),
            book.remove("bright", &by_ben),
            book.activate("bright", None, &by_ben).map(drop),
        ] {
            assert!(refused.unwrap_err().is::<NotYours>());
        }
        assert_eq!(book.read().unwrap().change, 1, "nothing was changed");
        book.remove("bright", &anybodys).unwrap();
        book.keep(&taken, &by_ben).unwrap();
        assert_eq!(book.read().unwrap().filters["bright"].owner(), Some("ben"));
    }

    #[test]
    fn changes_from_many_threads_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let book = Book::of(folder.path());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let book = &book;
                scope.spawn(move || {
                    for step in 0..10 {
                        let text = format!("psf_flux > {thread}{step}.0");
                        book.keep(&draft(&text, true), &anybodys).unwrap();
                    }
                });
            }
        });
        let contents = book.read().unwrap();
        assert_eq!(
            (contents.change, contents.filters["bright"].versions.len()),
            (40, 40)
        );
    }

    #[test]
    fn names_are_those_of_files_and_topics() {
        for good in ["a", "kilonova_like", "SN-2", "9"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "..", "a/b", "a.b", "-a", "ä", "a b", &"a".repeat(101)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
