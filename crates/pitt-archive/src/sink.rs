//! A data file on its way to the disk: gathered into blocks, hashed, written by a thread of its own.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use xxhash_rust::xxh3::Xxh3;

/// Bytes of a block. Whole blocks go to the disk past the page cache, where the system allows it.
const BLOCK_BYTES: usize = 1 << 20;
/// Blocks of one file that exist at a time: being filled, waiting, being written.
const BLOCKS: usize = 3;
/// What memory, offsets and lengths of direct writes are multiples of.
const ALIGNMENT: usize = 4096;
/// Bytes in the page cache after which they are sent to the disk, so that the sync at the end finds little left.
const WRITE_BACK_BYTES: u64 = 32 << 20;

/// A new file, written from its beginning to its end.
///
/// Packets are written once and seldom read again, so their blocks need no place in the page cache: writing them past it
/// costs a tenth of the processor time, drives nothing else out of memory, and leaves little for the last sync. The end
/// of the file that fills no block, with the footer that readers want first, goes through the page cache, and so does
/// everything where direct writes are refused.
pub(crate) struct Sink {
    block: Block,
    size: u64,
    stage: Stage,
}

/// Who holds the file.
enum Stage {
    /// Nothing has been written yet.
    Gathering(Box<Disk>),
    /// A thread takes full blocks and gives them back to be filled again.
    Writing {
        full: SyncSender<Block>,
        empty: Receiver<Block>,
        blocks: usize,
        thread: JoinHandle<io::Result<Disk>>,
    },
    /// It failed, or is finished.
    Over,
}

impl Sink {
    /// A new file; one that exists already is an error.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            block: Block::new(),
            size: 0,
            stage: Stage::Gathering(Box::new(Disk::create(path)?)),
        })
    }

    /// Makes everything durable; size and XXH3-64 of the file.
    pub(crate) fn finish(&mut self) -> io::Result<(u64, u64)> {
        let mut disk = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Gathering(disk) => *disk,
            Stage::Writing { full, thread, .. } => {
                drop(full);
                joined(thread)?
            }
            Stage::Over => return Err(over()),
        };
        disk.put(self.block.bytes())?;
        disk.file.sync_all()?;
        Ok((disk.at, disk.hash.digest()))
    }

    /// Hands the full block over and goes on with an empty one.
    fn pass_on(&mut self) -> io::Result<()> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Gathering(disk) => start(*disk),
            other => other,
        };
        let Stage::Writing {
            full,
            empty,
            blocks,
            ..
        } = &mut self.stage
        else {
            return Err(over());
        };
        let next = match empty.try_recv() {
            Ok(block) => Some(block),
            Err(_) if *blocks < BLOCKS => {
                *blocks += 1;
                Some(Block::new())
            }
            Err(_) => empty.recv().ok(),
        };
        let Some(next) = next else {
            return Err(self.failure());
        };
        let filled = std::mem::replace(&mut self.block, next);
        if full.send(filled).is_err() {
            return Err(self.failure());
        }
        Ok(())
    }

    /// Why the thread ended.
    fn failure(&mut self) -> io::Error {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Writing { full, thread, .. } => {
                drop(full);
                joined(thread).err().unwrap_or_else(over)
            }
            _ => over(),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let taken = self.block.take(buffer);
        self.size += taken as u64;
        if self.block.room() == 0 {
            self.pass_on()?;
        }
        Ok(taken)
    }

    /// Nothing to do: a file is of use when it is finished.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn over() -> io::Error {
    io::Error::other("the file was given up after an earlier error")
}

fn joined(thread: JoinHandle<io::Result<Disk>>) -> io::Result<Disk> {
    let lost = |_| {
        Err(io::Error::other(
            "the thread that writes the file ended early",
        ))
    };
    thread.join().unwrap_or_else(lost)
}

fn start(mut disk: Disk) -> Stage {
    let (full, to_write) = sync_channel::<Block>(BLOCKS);
    let (written, empty) = sync_channel(BLOCKS);
    let thread = thread::spawn(move || {
        for mut block in to_write {
            disk.put(block.bytes())?;
            block.length = 0;
            // At the end nobody fills it again.
            let _ = written.send(block);
        }
        Ok(disk)
    });
    Stage::Writing {
        full,
        empty,
        blocks: 1,
        thread,
    }
}

/// Bytes at an aligned address.
struct Block {
    memory: Vec<u8>,
    begin: usize,
    length: usize,
}

impl Block {
    fn new() -> Self {
        let memory = vec![0; BLOCK_BYTES + ALIGNMENT];
        let begin = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self {
            memory,
            begin,
            length: 0,
        }
    }

    fn room(&self) -> usize {
        BLOCK_BYTES - self.length
    }

    fn take(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room());
        let at = self.begin + self.length;
        self.memory[at..at + taken].copy_from_slice(&bytes[..taken]);
        self.length += taken;
        taken
    }

    fn bytes(&self) -> &[u8] {
        &self.memory[self.begin..self.begin + self.length]
    }
}

/// The file itself.
struct Disk {
    file: File,
    /// The same file past the page cache.
    direct: Option<File>,
    hash: Xxh3,
    at: u64,
    /// Bytes written through the page cache since the last write-back.
    cached: u64,
}

impl Disk {
    fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: File::create_new(path)?,
            direct: open_direct(path),
            hash: Xxh3::new(),
            at: 0,
            cached: 0,
        })
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        if !self.put_direct(bytes)? {
            self.file.write_all_at(bytes, self.at)?;
            self.cached += bytes.len() as u64;
            if self.cached >= WRITE_BACK_BYTES {
                self.cached = 0;
                self.file.sync_data()?;
            }
        }
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Whether a whole block went past the page cache.
    fn put_direct(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let Some(direct) = self.direct.as_ref().filter(|_| bytes.len() == BLOCK_BYTES) else {
            return Ok(false);
        };
        match direct.write_all_at(bytes, self.at) {
            Ok(()) => Ok(true),
            // Some file systems open such a file and refuse the writes, or want another alignment.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.direct = None;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(target_os = "linux")]
fn open_direct(path: &Path) -> Option<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flag = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).ok()?;
    std::fs::OpenOptions::new()
        .write(true)
        .custom_flags(flag)
        .open(path)
        .ok()
}

#[cfg(not(target_os = "linux"))]
fn open_direct(_path: &Path) -> Option<File> {
    None
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;

    fn written(bytes: &[u8], piece: usize, direct: bool) -> (Vec<u8>, (u64, u64)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut sink = Sink::create(&path).unwrap();
        if let (Stage::Gathering(disk), false) = (&mut sink.stage, direct) {
            disk.direct = None;
        }
        for piece in bytes.chunks(piece) {
            sink.write_all(piece).unwrap();
        }
        let told = sink.finish().unwrap();
        (std::fs::read(&path).unwrap(), told)
    }

    #[test]
    fn a_file_of_any_length_is_whole_and_its_hash_right() {
        for length in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, 5 * BLOCK_BYTES + 12_345] {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 31 / 7) as u8).collect();
            for direct in [true, false] {
                let (found, told) = written(&bytes, 77_777, direct);
                assert!(found == bytes, "{length} bytes, direct: {direct}");
                assert_eq!(told, (length as u64, xxh3_64(&bytes)));
            }
        }
    }

    #[test]
    fn a_failed_write_is_told_and_nothing_after_it_succeeds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut sink = Sink::create(&path).unwrap();
        if let Stage::Gathering(disk) = &mut sink.stage {
            // A file open for reading only refuses every write.
            (disk.file, disk.direct) = (File::open(&path).unwrap(), None);
        }
        let block = vec![1; BLOCK_BYTES];
        let failed = (0..10).find_map(|_| sink.write_all(&block).err());
        assert_eq!(failed.unwrap().raw_os_error(), Some(9), "EBADF");
        assert!(sink.write_all(&block).is_err());
        assert!(sink.finish().is_err());
    }

    #[test]
    fn an_existing_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"old").unwrap();
        assert!(Sink::create(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
    }
}
