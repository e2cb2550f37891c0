//! Proof of the archive from its files alone.
//!
//! | check | proves |
//! |---|---|
//! | log | every table's log is whole: as many versions as its files tell commits |
//! | files | every file listed is there, with its size, its rows, its statistics and its XXH3 |
//! | strays | no file beside them repeats a listed one or is not ours; what a crash left unlisted is harmless |
//! | manifests | every derived file that a commit of `packets` names is listed, and no other |
//! | packets | every packet comes back with its CRC-32 |
//! | positions | offsets follow on each other without gap or overlap up to the committed ones; where a Kafka partition skips some, every packet that the commit counted is there |
//! | ledger | per partition and night: received = stored + duplicate + quarantined |
//! | alert ids | every alert is stored once |
//! | alerts, forced, matches, quarantine | each belongs to a record of `packets` that has its outcome, once |
//! | match numbers | in each lane they ascend by one: none twice, none missing |
//! | index | every stored alert is where the index says |

mod files;
mod numbers;
mod rows;

use std::fmt;

use crate::archive::Archive;
use crate::error::ArchiveError;
use crate::ledger::Ledger;
use crate::recover;
use crate::turns::{self, Writers};

/// Problems shown of each check.
const SHOWN: usize = 5;

/// One check: what, how many, what is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// What was checked.
    pub what: String,
    /// How many of it.
    pub checked: u64,
    /// How many are wrong.
    pub problems: u64,
    /// The first few, in words.
    pub examples: Vec<String>,
    /// Anything harmless worth knowing.
    pub note: String,
}

impl Check {
    fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            ..Self::default()
        }
    }

    fn wrong(&mut self, example: impl FnOnce() -> String) {
        self.problems += 1;
        if self.examples.len() < SHOWN {
            self.examples.push(example());
        }
    }

    /// Counts one, and a problem if it is not right.
    fn expect(&mut self, right: bool, example: impl FnOnce() -> String) {
        self.checked += 1;
        if !right {
            self.wrong(example);
        }
    }
}

/// What [`Archive::verify`] found. Its `Display` is a table.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// Every check, in order.
    pub checks: Vec<Check>,
    /// The ledger, counted on the way.
    pub ledger: Ledger,
}

impl VerifyReport {
    /// Whether nothing is altered, missing or doubled.
    pub fn ok(&self) -> bool {
        self.checks.iter().all(|c| c.problems == 0)
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<26} {:>12} {:>9}", "check", "checked", "problems")?;
        for check in &self.checks {
            write!(
                f,
                "{:<26} {:>12} {:>9}",
                check.what, check.checked, check.problems
            )?;
            if !check.note.is_empty() {
                write!(f, "  ({})", check.note)?;
            }
            writeln!(f)?;
            for example in &check.examples {
                writeln!(f, "    {example}")?;
            }
        }
        write!(f, "\n{}", self.ledger)?;
        writeln!(
            f,
            "\n{}",
            if self.ok() {
                "all is well"
            } else {
                "THE ARCHIVE IS DAMAGED"
            }
        )
    }
}

/// Told how far a verification is: bytes done, bytes in all.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

impl Archive {
    /// Proves the archive from its files alone: see the [table of checks](crate::verify).
    ///
    /// Reads every byte. When no writer is at work it first completes what a crash left half done; while another
    /// process writes it leaves that one's last commit out, if it is not whole.
    ///
    /// # Errors
    ///
    /// Only when the archive cannot be opened at all; damage is in the report.
    pub fn verify(&self, progress: Progress<'_>) -> Result<VerifyReport, ArchiveError> {
        let mut report = VerifyReport::default();
        let mut opening = Check::new("log");
        opening.checked = 1;
        if let Err(error) = self.prepare() {
            opening.wrong(|| error.to_string());
            report.checks.push(opening);
            return Ok(report);
        }
        let listing = match files::Listing::read(self) {
            Ok(listing) => listing,
            Err(error) => {
                opening.wrong(|| error.to_string());
                report.checks.push(opening);
                return Ok(report);
            }
        };
        report.checks.push(files::check_log(&listing));
        let whole = files::check_files(&listing, progress);
        let intact = whole.problems == 0;
        report.checks.push(whole);
        report.checks.push(files::check_strays(self, &listing));
        report.checks.push(files::check_manifests(&listing));
        let rows = rows::check(self, &listing, &mut report.ledger, !intact);
        report.checks.extend(rows);
        report.checks.push(numbers::check(self, &listing));
        Ok(report)
    }

    fn prepare(&self) -> Result<(), ArchiveError> {
        let writing = self.inner.writing.load(std::sync::atomic::Ordering::SeqCst);
        if writing {
            return Ok(());
        }
        // In the turn to commit no log changes, and nothing half done is a living process's. Where no lock can be taken (a
        // folder that cannot be written) the archive is read as it stands.
        let Ok(_turn) = turns::turn(&self.inner.site.root) else {
            return self.refresh();
        };
        self.refresh()?;
        recover::complete(&self.inner)?;
        Ok(())
    }

    /// Whether a process, this or another, has a writer.
    fn has_writer(&self) -> bool {
        let here = self.inner.writing.load(std::sync::atomic::Ordering::SeqCst);
        here || matches!(Writers::alone(&self.inner.site.root), Ok(None))
    }
}
