//! Small files that must survive a crash, and locks between processes that change them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};

/// Mode of a file that others may read.
pub const READABLE: u32 = 0o644;
/// Mode of a file with secrets.
pub const SECRET: u32 = 0o600;

/// Writes a file whole: beside its place, synced, renamed into it, and the folder synced. A crash, also of the system, leaves the old
/// one or the new one.
///
/// # Errors
/// It cannot be written.
pub fn write(file: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    write_whole(file, bytes, mode).with_context(|| format!("cannot write `{}`", file.display()))
}

fn write_whole(file: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut name = file.file_name().unwrap_or_default().to_owned();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    name.push(format!(".{}-{number}.part", std::process::id()));
    let staged = folder.join(name);
    let mut options = OpenOptions::new();
    let mut new = options
        .create_new(true)
        .write(true)
        .mode(mode)
        .open(&staged)?;
    let written = new.write_all(bytes).and_then(|()| new.sync_all());
    if let Err(error) = written.and_then(|()| fs::rename(&staged, file)) {
        fs::remove_file(&staged).ok();
        return Err(error);
    }
    File::open(folder)?.sync_all()
}

/// A lock that is held until this is dropped, or its process dies.
#[derive(Debug)]
pub struct Held(File);

impl Held {
    /// Takes a lock when it is free.
    ///
    /// # Errors
    /// The file cannot be made or locked.
    pub fn wait(file: &Path) -> Result<Self> {
        let lock = || {
            let held = open(file)?;
            held.lock()?;
            Ok::<_, io::Error>(held)
        };
        let held = lock().with_context(|| format!("cannot lock `{}`", file.display()))?;
        Ok(Self(held))
    }

    /// Takes a lock if it is free.
    pub fn now(file: &Path) -> Option<Self> {
        let held = open(file).ok()?;
        held.try_lock().ok()?;
        Some(Self(held))
    }
}

fn open(file: &Path) -> io::Result<File> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).open(file)
}

impl Drop for Held {
    fn drop(&mut self) {
        // Closing alone would leave the lock with a child that was forked a moment ago.
        let _ = self.0.unlock();
    }
}
