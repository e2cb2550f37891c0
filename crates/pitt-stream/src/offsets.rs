//! Offsets that groups have committed, on disk.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::lines::Lines;

/// How far a group has read one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) epoch: i32,
    pub(crate) metadata: Option<String>,
}

/// A line of the file. Without `committed` the offset is forgotten.
#[derive(Serialize, Deserialize)]
struct Line {
    group: String,
    topic: String,
    partition: i32,
    committed: Option<Committed>,
    /// When `[s, UTC since 1970]`; absent in lines of older versions.
    #[serde(default)]
    at_s: u64,
}

type Key = (String, i32);

/// All committed offsets, in memory and in a file of [`Lines`]. If a crash of the system undoes the last ones, readers read a
/// little twice.
#[derive(Debug)]
pub(crate) struct Offsets {
    file: Lines,
    count: usize,
    groups: HashMap<String, BTreeMap<Key, Committed>>,
    /// When each group committed last, or was seen to have members since `[s, UTC since 1970]`.
    heard_s: HashMap<String, u64>,
}

impl Offsets {
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let (file, lines) = Lines::open(path)?;
        let mut offsets = Self {
            file,
            count: 0,
            groups: HashMap::new(),
            heard_s: HashMap::new(),
        };
        lines.into_iter().for_each(|line| offsets.apply(line));
        Ok(offsets)
    }

    /// How far `group` has read a partition.
    pub(crate) fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.groups.get(group)?.get(&(topic.to_owned(), partition))
    }

    /// Everything `group` has committed.
    pub(crate) fn of_group(&self, group: &str) -> impl Iterator<Item = (&Key, &Committed)> {
        self.groups.get(group).into_iter().flatten()
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &String> {
        self.groups.keys()
    }

    /// Offsets held, over all groups.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Keeps several commits of one group, all or, when the disk refuses, none.
    pub(crate) fn commit(&mut self, group: &str, commits: Vec<(Key, Committed)>) -> io::Result<()> {
        let lines = commits.into_iter().map(|((topic, partition), c)| Line {
            group: group.to_owned(),
            topic,
            partition,
            committed: Some(c),
            at_s: now_s(),
        });
        self.write(lines.collect())
    }

    /// Forgets what `which` (group, topic, partition) accepts.
    pub(crate) fn forget(&mut self, which: impl Fn(&str, &str, i32) -> bool) -> io::Result<()> {
        let mut lines = Vec::new();
        for (group, kept) in &self.groups {
            for (topic, partition) in kept.keys().filter(|(t, p)| which(group, t, *p)) {
                let (group, topic) = (group.clone(), topic.clone());
                lines.push(Line {
                    group,
                    topic,
                    partition: *partition,
                    committed: None,
                    at_s: 0,
                });
            }
        }
        self.write(lines)
    }

    /// Forgets groups that have had no members and committed nothing for longer than `kept`: how many.
    pub(crate) fn forget_silent(
        &mut self,
        kept: Duration,
        now_s: u64,
        has_members: impl Fn(&str) -> bool,
    ) -> io::Result<usize> {
        let mut silent = HashSet::new();
        for (group, heard_s) in &mut self.heard_s {
            if has_members(group) {
                *heard_s = now_s;
            } else if now_s.saturating_sub(*heard_s) > kept.as_secs() {
                silent.insert(group.clone());
            }
        }
        if !silent.is_empty() {
            self.forget(|group, _, _| silent.contains(group))?;
        }
        Ok(silent.len())
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn write(&mut self, lines: Vec<Line>) -> io::Result<()> {
        self.file.append(&lines)?;
        lines.into_iter().for_each(|line| self.apply(line));
        if self.file.is_long(self.count) {
            let all = self.groups.iter().flat_map(|(group, kept)| {
                kept.iter().map(|((topic, partition), committed)| Line {
                    group: group.clone(),
                    topic: topic.clone(),
                    partition: *partition,
                    committed: Some(committed.clone()),
                    at_s: self.heard_s.get(group).copied().unwrap_or(0),
                })
            });
            self.file.rewrite(&all.collect::<Vec<_>>())?;
        }
        Ok(())
    }

    fn apply(&mut self, line: Line) {
        let group = self.groups.entry(line.group.clone()).or_default();
        let before = group.len();
        let key = (line.topic, line.partition);
        match line.committed {
            Some(committed) => {
                let heard_s = if line.at_s == 0 { now_s() } else { line.at_s };
                self.heard_s.insert(line.group.clone(), heard_s);
                group.insert(key, committed);
            }
            None => drop(group.remove(&key)),
        }
        let after = group.len();
        self.count = self.count + after - before;
        if after == 0 {
            self.groups.remove(&line.group);
            self.heard_s.remove(&line.group);
        }
    }
}

/// Now `[s, UTC since 1970]`.
pub(crate) fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn at(offset: i64) -> Committed {
        Committed {
            offset,
            epoch: 0,
            metadata: None,
        }
    }

    #[test]
    fn commits_survive_a_restart_and_a_torn_line_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("offsets.log");
        let mut offsets = Offsets::open(path.clone()).unwrap();
        offsets
            .commit(
                "g",
                vec![(("t".into(), 0), at(5)), (("t".into(), 1), at(6))],
            )
            .unwrap();
        offsets.commit("g", vec![(("t".into(), 0), at(7))]).unwrap();
        drop(offsets);
        let good = fs::read(&path).unwrap();
        for torn in [&b"deadbeef {\"group\":"[..], b"00000000 {}\n", b"x\n"] {
            fs::write(&path, [&good, torn].concat()).unwrap();
            let offsets = Offsets::open(path.clone()).unwrap();
            assert_eq!(offsets.get("g", "t", 0), Some(&at(7)));
            assert_eq!(offsets.count(), 2);
            assert_eq!(fs::read(&path).unwrap(), good);
        }
    }

    #[test]
    fn who_has_not_been_heard_of_for_long_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("offsets.log");
        let mut offsets = Offsets::open(path.clone()).unwrap();
        for group in ["gone", "here"] {
            offsets
                .commit(group, vec![(("t".into(), 0), at(5))])
                .unwrap();
        }
        let (day, now) = (Duration::from_hours(24), now_s());
        let mut forget = |later_s| offsets.forget_silent(day, now + later_s, |g| g == "here");
        assert_eq!(forget(86_000).unwrap(), 0);
        assert_eq!(forget(90_000).unwrap(), 1);
        let kept: Vec<_> = offsets.groups().cloned().collect();
        assert_eq!(kept, ["here"]);
        let again = Offsets::open(path).unwrap();
        assert_eq!((again.get("gone", "t", 0), again.count()), (None, 1));
    }

    #[test]
    fn the_file_does_not_grow_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut offsets = Offsets::open(folder.path().join("offsets.log")).unwrap();
        for i in 0..25_000 {
            offsets.commit("g", vec![(("t".into(), 0), at(i))]).unwrap();
        }
        assert!(offsets.file.length() < 2_000_000);
        drop(offsets);
        let mut offsets = Offsets::open(folder.path().join("offsets.log")).unwrap();
        assert_eq!(offsets.get("g", "t", 0), Some(&at(24_999)));
        offsets.forget(|_, topic, _| topic == "t").unwrap();
        assert_eq!((offsets.count(), offsets.groups().count()), (0, 0));
    }
}
