//! Small files that are only appended to, line by line, each with its checksum.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A file is written anew when it is this many times as long as what it says `[lines]`.
const GROWTH: usize = 4;
/// ... but not below this length `[lines]`.
const SMALL: usize = 10_000;

/// A file of lines: the CRC-32C of the rest in eight hexadecimal digits, a space, and a JSON object.
///
/// Reading stops at the first line that is cut short or does not fit its checksum; what follows is cut off. A line
/// survives the end of the process; a crash of the system can undo those since the last forcing to the disk.
#[derive(Debug)]
pub(crate) struct Lines {
    path: PathBuf,
    file: File,
    lines: usize,
    /// Length of the file's good part `[bytes]`.
    length: u64,
}

impl Lines {
    /// Opens or creates the file: what it says, and where to go on.
    pub(crate) fn open<T: DeserializeOwned>(path: PathBuf) -> io::Result<(Self, Vec<T>)> {
        let file = OpenOptions::new().append(true).create(true).open(&path)?;
        let bytes = fs::read(&path)?;
        let (mut entries, mut length) = (Vec::new(), 0);
        for line in bytes.split_inclusive(|b| *b == b'\n') {
            let Some(entry) = parse(line) else { break };
            length += line.len() as u64;
            entries.push(entry);
        }
        if length < bytes.len() as u64 {
            let path = path.display();
            tracing::warn!("`{path}` ends in a torn line: cut at byte {length}");
            file.set_len(length)?;
        }
        let lines = entries.len();
        let this = Self {
            path,
            file,
            lines,
            length,
        };
        Ok((this, entries))
    }

    /// Appends several entries, all or, when the disk refuses, none.
    pub(crate) fn append<T: Serialize>(&mut self, entries: &[T]) -> io::Result<()> {
        let text = encode_all(entries)?;
        if let Err(error) = self.file.write_all(&text) {
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += text.len() as u64;
        self.lines += entries.len();
        Ok(())
    }

    /// Whether the file has grown far beyond the `living` entries that it says in the end.
    pub(crate) fn is_long(&self, living: usize) -> bool {
        self.lines > SMALL && self.lines > GROWTH * living
    }

    /// Writes the present state to a new file and puts that in the old one's place.
    pub(crate) fn rewrite<T: Serialize>(&mut self, entries: &[T]) -> io::Result<()> {
        let text = encode_all(entries)?;
        replace(&self.path, &text)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.length = text.len() as u64;
        self.lines = entries.len();
        Ok(())
    }

    /// Forces everything appended to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    #[cfg(test)]
    pub(crate) fn length(&self) -> u64 {
        self.length
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

fn encode_all<T: Serialize>(entries: &[T]) -> io::Result<Vec<u8>> {
    let lines = entries.iter().map(encode);
    Ok(lines.collect::<io::Result<Vec<_>>>()?.concat())
}

fn encode<T: Serialize>(entry: &T) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(entry)?;
    Ok(format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes())).into_bytes())
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let (crc, json) = line.split_at_checked(8)?;
    let json = json.strip_prefix(' ')?;
    (u32::from_str_radix(crc, 16).ok()? == crc32c::crc32c(json.as_bytes())).then_some(())?;
    serde_json::from_str(json).ok()
}
