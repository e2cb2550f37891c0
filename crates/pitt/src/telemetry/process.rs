//! This process and its machine, as Linux tells; elsewhere less is known.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// Memory of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Now, bytes.
    pub now_bytes: u64,
    /// The most it ever had, bytes.
    pub most_bytes: u64,
}

/// The memory of this process; `None` where nobody tells.
pub fn memory() -> Option<Memory> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let bytes = |key: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
    };
    Some(Memory {
        now_bytes: bytes("VmRSS:")?,
        most_bytes: bytes("VmHWM:")?,
    })
}

/// Name of this machine; empty where nobody tells.
pub(super) fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// Files and connections that this process has open.
pub(super) fn open_files() -> Option<u64> {
    let entries = std::fs::read_dir("/proc/self/fd").ok()?;
    Some(entries.count() as u64)
}

/// Free and all bytes of the disk a folder is on.
pub(crate) fn disk(folder: &Path) -> Option<(u64, u64)> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some((disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize))
}
