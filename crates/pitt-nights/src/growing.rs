//! Reading a file while it is still being fetched.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use crate::transfer::Shared;

/// Reads the tarball from its beginning and waits where the transfer is not yet.
///
/// At the end of the file it waits for the checksum: a file that is not what it should be ends in an error instead of
/// the end.
#[derive(Debug)]
pub struct Growing {
    file: File,
    at: u64,
    shared: Arc<Shared>,
}

impl Growing {
    pub(crate) fn new(file: File, shared: Arc<Shared>) -> Self {
        Self {
            file,
            at: 0,
            shared,
        }
    }

    /// Waits until there is a byte to read. `false` at the end of a good file.
    fn wait(&self) -> io::Result<bool> {
        let mut state = self.shared.state();
        loop {
            if state.here > self.at {
                return Ok(true);
            }
            match &state.outcome {
                Some(Ok(_)) => return Ok(false),
                Some(Err(error)) => return Err(io::Error::other(error.to_string())),
                None => {}
            }
            state = self.shared.wait(state, Duration::from_secs(1));
        }
    }
}

impl Read for Growing {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if to.is_empty() || !self.wait()? {
            return Ok(0);
        }
        let there = self.shared.state().here - self.at;
        let most = to.len().min(usize::try_from(there).unwrap_or(usize::MAX));
        let read = self.file.read(&mut to[..most])?;
        self.at += read as u64;
        Ok(read)
    }
}
