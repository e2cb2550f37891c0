//! Offsets that groups have committed, on disk.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The file is written anew when it is this many times as long as what it says `[lines]`.
const GROWTH: usize = 4;
/// ... but not below this length `[lines]`.
const SMALL: usize = 10_000;

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
}

type Key = (String, i32);

/// All committed offsets, in memory and in one file that is only appended to.
///
/// Each line is the CRC-32C of the rest in eight hexadecimal digits, a space, and a JSON object. Reading stops at the
/// first line that is cut short or does not fit its checksum; what follows is cut off. A commit survives the end of
/// the process; a crash of the system can undo the last ones, and readers then read a little twice.
#[derive(Debug)]
pub(crate) struct Offsets {
    path: PathBuf,
    file: File,
    lines: usize,
    /// Length of the file's good part `[bytes]`.
    length: u64,
    count: usize,
    groups: HashMap<String, BTreeMap<Key, Committed>>,
}

impl Offsets {
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(&path)?;
        let bytes = fs::read(&path)?;
        let mut offsets = Self {
            path,
            file,
            lines: 0,
            length: 0,
            count: 0,
            groups: HashMap::new(),
        };
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            let Some(entry) = parse(line) else { break };
            offsets.length += line.len() as u64;
            offsets.lines += 1;
            offsets.apply(entry);
        }
        if offsets.length < bytes.len() as u64 {
            tracing::warn!(
                "`{}` ends in a torn line: cut at byte {}",
                offsets.path.display(),
                offsets.length
            );
            offsets.file.set_len(offsets.length)?;
        }
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
                });
            }
        }
        self.write(lines)
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&mut self, lines: Vec<Line>) -> io::Result<()> {
        let text = lines
            .iter()
            .map(encode)
            .collect::<io::Result<Vec<_>>>()?
            .concat();
        if let Err(error) = self.file.write_all(&text) {
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += text.len() as u64;
        self.lines += lines.len();
        lines.into_iter().for_each(|line| self.apply(line));
        if self.lines > SMALL && self.lines > GROWTH * self.count {
            self.compact()?;
        }
        Ok(())
    }

    /// Writes the present state to a new file and puts that in the old one's place.
    fn compact(&mut self) -> io::Result<()> {
        let mut text = Vec::new();
        for (group, kept) in &self.groups {
            for ((topic, partition), committed) in kept {
                let (group, topic, committed) =
                    (group.clone(), topic.clone(), Some(committed.clone()));
                text.extend(encode(&Line {
                    group,
                    topic,
                    partition: *partition,
                    committed,
                })?);
            }
        }
        replace(&self.path, &text)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.length = text.len() as u64;
        self.lines = self.count;
        Ok(())
    }

    fn apply(&mut self, line: Line) {
        let group = self.groups.entry(line.group.clone()).or_default();
        let before = group.len();
        let key = (line.topic, line.partition);
        match line.committed {
            Some(committed) => drop(group.insert(key, committed)),
            None => drop(group.remove(&key)),
        }
        let after = group.len();
        self.count = self.count + after - before;
        if after == 0 {
            self.groups.remove(&line.group);
        }
    }
}

/// Replaces a small file so that a crash leaves the old or the new one.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn encode(line: &Line) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(line)?;
    Ok(format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes())).into_bytes())
}

fn parse(line: &[u8]) -> Option<Line> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (crc, json) = line.split_at_checked(8)?;
    let json = json.strip_prefix(' ')?;
    (u32::from_str_radix(crc, 16).ok()? == crc32c::crc32c(json.as_bytes())).then_some(())?;
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests {
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
    fn the_file_does_not_grow_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut offsets = Offsets::open(folder.path().join("offsets.log")).unwrap();
        for i in 0..25_000 {
            offsets.commit("g", vec![(("t".into(), 0), at(i))]).unwrap();
        }
        assert!(offsets.length < 2_000_000);
        drop(offsets);
        let mut offsets = Offsets::open(folder.path().join("offsets.log")).unwrap();
        assert_eq!(offsets.get("g", "t", 0), Some(&at(24_999)));
        offsets.forget(|_, topic, _| topic == "t").unwrap();
        assert_eq!((offsets.count(), offsets.groups().count()), (0, 0));
    }
}
