//! The filters of a running broker: those of its folder and those of the book, and changing them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use pitt_alert::SchemaStore;
use pitt_query::{Catalogs, Filter, FilterError, Surveys};

use super::book::{Book, Contents, Draft, Entry, MayChange, NotYours, mark};
use super::roster::{AtWork, Member, Roster};
use super::{Refused, check, known_surveys, version};
use crate::broker::{DecodeAndFilter, OffList, SwitchedOff};
use crate::catalogs;
use crate::pipeline::{Stop, Worker};

/// How often the book and the list of failed filters are looked at, for changes by other processes.
const LOOK: Duration = Duration::from_millis(300);

/// Where a filter comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterOrigin {
    /// A file of the configured folder: changed there, read when the run begins.
    File,
    /// The book: made through the API or with `pitt filter add`.
    Book,
}

/// What a filter is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterState {
    /// It judges alerts.
    Active,
    /// Somebody lets it rest.
    Paused,
    /// It failed, or does not fit the schemas: why.
    Off(String),
    /// None of its versions was ever activated.
    Draft,
}

/// One filter as it is now.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub origin: FilterOrigin,
    /// What it is doing.
    pub state: FilterState,
    /// Who made it; of a file's, whom its header names.
    pub owner: Option<String>,
    /// Time that an alert takes it in this run `[us]`; `None` where it was not measured.
    pub cost_us: Option<f64>,
    /// The version at work or, if none is, the one that would be.
    pub version: String,
    /// Versions, oldest first: version, time `[us UTC]`, author.
    pub versions: Vec<(String, i64, String)>,
    /// The filter of that version, unless it cannot be parsed.
    pub filter: Option<Filter>,
}

type Hearer = Box<dyn Fn(&Roster) + Send + Sync>;

/// Brings the filters of the folder and of the book to work, and changes them while alerts go through.
///
/// A change is compiled on the thread of whoever makes it, tried on a packet of each schema met so far, and then put to work between two
/// batches ([`AtWork`]). Nothing of it runs where alerts do.
pub struct FilterDesk {
    archive: PathBuf,
    files: Vec<Filter>,
    book: Book,
    off: OffList,
    surveys: Surveys,
    schemas: SchemaStore,
    at_work: Arc<AtWork>,
    changing: Mutex<Seen>,
    /// Filters of the book that do not fit, and why.
    unfit: Mutex<BTreeMap<String, String>>,
    hearers: Mutex<Vec<Hearer>>,
}

/// How the files were when they were last read.
#[derive(Default, PartialEq, Eq)]
struct Seen([Option<(u64, i64, i64, u64)>; 2]);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FilterDesk {
    /// The filters of a folder, which must all fit, and those of the archive's book. `failed` are those that failed in earlier runs.
    ///
    /// # Errors
    /// A filter of the folder does not fit, or the book or a catalog cannot be read.
    pub fn open(
        archive: &Path,
        files: Vec<Filter>,
        schemas: SchemaStore,
        failed: &[SwitchedOff],
    ) -> Result<Self> {
        let surveys = known_surveys()?;
        let catalogs = catalogs::load(archive)?;
        for filter in &files {
            check(filter, &surveys, &catalogs).map_err(Refused)?;
        }
        let nobody = Roster::compile(vec![], &[], &surveys, &catalogs).map_err(Refused)?;
        let desk = Self {
            book: Book::of(archive),
            off: OffList::of(archive),
            archive: archive.to_owned(),
            files,
            surveys,
            schemas,
            at_work: Arc::new(AtWork::new(nobody)),
            changing: Mutex::default(),
            unfit: Mutex::default(),
            hearers: Mutex::default(),
        };
        desk.bring(&mut lock(&desk.changing), failed, &[])?;
        Ok(desk)
    }

    /// What batches are judged by.
    pub fn at_work(&self) -> &Arc<AtWork> {
        &self.at_work
    }

    /// The schemas that filters are held against.
    pub fn surveys(&self) -> &Surveys {
        &self.surveys
    }

    /// The book.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// The catalogs at hand now.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn catalogs(&self) -> Result<Catalogs> {
        catalogs::load(&self.archive)
    }

    /// Calls somebody with every roster that goes to work from now on, and with the one that is.
    pub fn tell(&self, hearer: impl Fn(&Roster) + Send + Sync + 'static) {
        let _changing = lock(&self.changing);
        hearer(&self.at_work.now());
        lock(&self.hearers).push(Box::new(hearer));
    }

    /// Whether a text would be taken: its form, its columns, and where its matches would go.
    ///
    /// # Errors
    /// A catalog cannot be read. What is wrong with the text is in the inner result.
    pub fn check(&self, name: &str, text: &str) -> Result<Result<Filter, FilterError>> {
        let catalogs = self.catalogs()?;
        let checked = Filter::parse(name, text)
            .and_then(|filter| check(&filter, &self.surveys, &catalogs).map(|()| filter));
        Ok(checked)
    }

    /// Whether a file of the folder has this name.
    pub fn is_file(&self, name: &str) -> bool {
        self.files.iter().any(|filter| filter.name() == name)
    }

    /// Keeps a text and, if it is to, sets it to work: its version, and whether that is new.
    ///
    /// # Errors
    /// The filter is a file's or somebody else's, the text is refused, or the book cannot be written.
    pub fn keep(&self, draft: &Draft<'_>, may: MayChange<'_>) -> Result<(String, bool)> {
        self.check_ours(draft.name)?;
        self.check(draft.name, draft.text)?.map_err(Refused)?;
        let kept = self.book.keep(draft, may)?;
        if draft.activate {
            self.off.forget(draft.name, Some(&kept.0))?;
            self.bring_again(draft.name)?;
        }
        Ok(kept)
    }

    /// Sets a version to work, also one that failed.
    ///
    /// # Errors
    /// There is no such filter or version, it does not fit any more or is somebody else's, or the book cannot be written.
    pub fn activate(&self, name: &str, version: Option<&str>, may: MayChange<'_>) -> Result<()> {
        if self.is_file(name) {
            NotYours::unless(may, name, None)?;
            if version.is_some() || !self.off.forget(name, None)? {
                self.check_ours(name)?;
            }
            return self.bring_again(name);
        }
        let contents = self.book.read()?;
        let entry = contents.entry(name)?;
        NotYours::unless(may, name, entry.owner())?;
        if let Some(version) = version {
            entry.note(name, version)?;
        }
        let newest = entry.versions.last().map(|note| note.version.as_str());
        let wanted = version
            .or(entry.active.as_deref())
            .or(newest)
            .unwrap_or_default();
        let text = self.book.text(name, wanted)?;
        self.check(name, &text)?.map_err(Refused)?;
        let version = self.book.activate(name, version, may)?;
        self.off.forget(name, Some(&version))?;
        self.bring_again(name)
    }

    /// Lets a filter rest.
    ///
    /// # Errors
    /// There is none of that name in the book, it is somebody else's, or the book cannot be written.
    pub fn pause(&self, name: &str, may: MayChange<'_>) -> Result<()> {
        self.check_ours(name)?;
        self.book.pause(name, may)?;
        self.refresh()
    }

    /// Takes a filter away.
    ///
    /// # Errors
    /// There is none of that name in the book, it is somebody else's, or the book cannot be written.
    pub fn remove(&self, name: &str, may: MayChange<'_>) -> Result<()> {
        self.check_ours(name)?;
        self.book.remove(name, may)?;
        self.refresh()
    }

    fn check_ours(&self, name: &str) -> Result<()> {
        if self.is_file(name) {
            bail!(FromFile(name.to_owned()));
        }
        Ok(())
    }

    /// Reads book and list again, if they have changed, and sets to work what they say.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn refresh(&self) -> Result<()> {
        let mut seen = lock(&self.changing);
        if *seen == self.look() {
            return Ok(());
        }
        self.bring(&mut seen, &[], &[])
    }

    /// The same, with this filter begun anew though its version may be the one that failed.
    fn bring_again(&self, name: &str) -> Result<()> {
        self.bring(&mut lock(&self.changing), &[], &[name])
    }

    fn look(&self) -> Seen {
        Seen([mark(&self.book.file()), mark(self.off.file())])
    }

    /// Compiles what the folder and the book have, tries it, and puts it to work.
    fn bring(&self, seen: &mut Seen, failed: &[SwitchedOff], anew: &[&str]) -> Result<()> {
        let (now, contents, listed) = (self.look(), self.book.read()?, self.off.read()?);
        let catalogs = self.catalogs()?;
        let filters = self.working(&contents, &catalogs);
        let was = self.at_work.now();
        let goes_on = |member: &&Arc<Member>| {
            let in_list = |off: &SwitchedOff| is_of(off, &member.name, &member.version);
            // One that failed goes on failing until it is taken off the list.
            let on_again = member.off().is_some() && !listed.iter().any(in_list);
            !anew.contains(&&*member.name) && !on_again
        };
        let mut members: Vec<Arc<Member>> = was.members().iter().filter(goes_on).cloned().collect();
        for off in failed {
            let same = |f: &&Filter| is_of(off, f.name(), &version(f));
            if let Some(filter) = filters.iter().find(same) {
                let member = Member::new(filter);
                member.keep_off(off.disabled());
                members.push(Arc::new(member));
            }
        }
        let roster = Roster::compile(filters, &members, &self.surveys, &catalogs);
        let roster = Arc::new(roster.map_err(Refused)?);
        self.try_on(&roster);
        lock(&self.hearers)
            .iter()
            .for_each(|hearer| hearer(&roster));
        self.at_work.put(roster);
        *seen = now;
        Ok(())
    }

    /// The filters that are to work; notes those of the book that cannot.
    fn working(&self, contents: &Contents, catalogs: &Catalogs) -> Vec<Filter> {
        let mut filters = self.files.clone();
        let mut unfit = BTreeMap::new();
        for (name, entry) in &contents.filters {
            let Some(version) = entry.working() else {
                continue;
            };
            let fits = || -> Result<Filter> {
                if self.is_file(name) {
                    bail!("a file of the folder of filters has the same name (rename one)");
                }
                let filter = self.book.filter(name, version)?;
                check(&filter, &self.surveys, catalogs).map_err(Refused)?;
                Ok(filter)
            };
            match fits() {
                Ok(filter) => filters.push(filter),
                Err(error) => {
                    tracing::error!("filter `{name}` does not go to work: {error:#}");
                    unfit.insert(name.clone(), format!("{error:#}"));
                }
            }
        }
        filters.sort_by(|a, b| a.name().cmp(b.name()));
        *lock(&self.unfit) = unfit;
        filters
    }

    /// Lets a roster see a packet of each schema, so that its plans are made before it goes to work.
    fn try_on(&self, roster: &Arc<Roster>) {
        let samples = self.at_work.samples();
        if samples.is_empty() {
            return;
        }
        let mut worker = DecodeAndFilter::new(self.schemas.clone(), roster.clone());
        if let Err(error) = worker.work(&samples, roster) {
            tracing::warn!("new filters could not be tried before they go to work: {error:#}");
        }
    }

    /// Every filter there is, by name.
    ///
    /// # Errors
    /// The book cannot be read.
    pub fn known(&self) -> Result<Vec<Known>> {
        let roster = self.at_work.now();
        let contents = self.book.read()?;
        let files = self.files.iter().map(|filter| Known {
            name: filter.name().to_owned(),
            origin: FilterOrigin::File,
            state: state_in(&roster, filter.name()).unwrap_or(FilterState::Active),
            owner: filter.header().owner.clone(),
            cost_us: member_of(&roster, filter.name()).and_then(|m| m.cost.us()),
            version: version(filter).to_string(),
            versions: vec![],
            filter: Some(filter.clone()),
        });
        let mut known: Vec<Known> = files.collect();
        for (name, entry) in contents.filters.iter().filter(|(_, entry)| !entry.removed) {
            if !self.is_file(name) {
                known.push(self.known_entry(name, entry, &roster));
            }
        }
        known.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(known)
    }

    fn known_entry(&self, name: &str, entry: &Entry, roster: &Roster) -> Known {
        let newest = entry.versions.last().map(|note| &note.version);
        let version = entry
            .active
            .as_ref()
            .or(newest)
            .cloned()
            .unwrap_or_default();
        let unfit = lock(&self.unfit).get(name).cloned();
        let state = match (&entry.active, entry.paused) {
            (None, _) => FilterState::Draft,
            (_, true) => FilterState::Paused,
            _ => unfit
                .map(FilterState::Off)
                .or_else(|| state_in(roster, name))
                .unwrap_or(FilterState::Paused),
        };
        let notes = entry.versions.iter();
        Known {
            name: name.to_owned(),
            origin: FilterOrigin::Book,
            state,
            owner: entry.owner().map(str::to_owned),
            cost_us: member_of(roster, name).and_then(|member| member.cost.us()),
            versions: notes
                .map(|note| (note.version.clone(), note.created_us, note.author.clone()))
                .collect(),
            filter: self.book.filter(name, &version).ok(),
            version,
        }
    }

    /// Looks for changes by others until it is told to stop.
    pub fn watch(&self, stop: &Stop) {
        let mut said = false;
        while !stop.asked() {
            if let Err(error) = self.refresh() {
                if !std::mem::replace(&mut said, true) {
                    tracing::error!("the filters stay as they are: {error:#}");
                }
            } else {
                said = false;
            }
            std::thread::park_timeout(LOOK);
        }
    }
}

/// A change of a filter that is a file.
#[derive(Debug, thiserror::Error)]
#[error(
    "filter `{0}` is a file of the folder of filters (change the file: it is read when the broker starts; or choose another name)"
)]
pub struct FromFile(pub String);

fn is_of(off: &SwitchedOff, name: &str, version: &str) -> bool {
    off.filter == name && off.version == version
}

fn member_of<'a>(roster: &'a Roster, name: &str) -> Option<&'a Arc<Member>> {
    roster.members().iter().find(|member| &*member.name == name)
}

fn state_in(roster: &Roster, name: &str) -> Option<FilterState> {
    let member = member_of(roster, name)?;
    Some(match member.off() {
        Some(off) => FilterState::Off(off.reason.clone()),
        None => FilterState::Active,
    })
}
