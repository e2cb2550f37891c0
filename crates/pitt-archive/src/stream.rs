//! The files one commit writes to one table.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::archive::ArchiveOptions;
use crate::error::ArchiveError;
use crate::folder::sync_folder;
use crate::part::{Part, PartWriter};
use crate::tables;

/// Rows of one commit on their way to one table, in one file or, when they are many, several.
pub(crate) struct Stream {
    table: String,
    folder: PathBuf,
    schema: SchemaRef,
    options: Arc<ArchiveOptions>,
    commit: u64,
    current: Option<PartWriter>,
    pub(crate) finished: Vec<Part>,
}

impl Stream {
    pub(crate) fn new(
        table: &str,
        folder: PathBuf,
        schema: SchemaRef,
        options: Arc<ArchiveOptions>,
        commit: u64,
    ) -> Self {
        Self {
            table: table.to_owned(),
            folder,
            schema,
            options,
            commit,
            current: None,
            finished: Vec::new(),
        }
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Goes on with a grown schema, in a new file.
    pub(crate) fn grow(&mut self, schema: SchemaRef) -> Result<(), ArchiveError> {
        self.close()?;
        self.schema = schema;
        Ok(())
    }

    /// Writes rows; no packet may stand partly in this batch and partly in the next.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), ArchiveError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let writer = match &mut self.current {
            Some(writer) => writer,
            None => self.current.insert(PartWriter::create(
                &self.folder,
                (self.commit, self.finished.len() as u32),
                self.schema.clone(),
                tables::properties(&self.table, &self.schema, self.options.compression),
            )?),
        };
        writer.write(batch)?;
        if writer.bytes() >= self.options.file_bytes {
            self.close()?;
        }
        Ok(())
    }

    /// Bytes of all files so far, about.
    pub(crate) fn bytes(&self) -> u64 {
        let finished: u64 = self.finished.iter().map(|p| p.size).sum();
        finished + self.current.as_ref().map_or(0, PartWriter::bytes)
    }

    /// Lets everything be of another commit, durably: several processes may have begun the same one.
    pub(crate) fn renumber(&mut self, commit: u64) -> Result<(), ArchiveError> {
        if self.commit == commit {
            return Ok(());
        }
        self.commit = commit;
        for part in &mut self.finished {
            part.renumber(commit)?;
        }
        if let Some(writer) = &mut self.current {
            writer.renumber(commit);
        }
        sync_folder(&self.folder).map_err(ArchiveError::io(&self.folder))
    }

    /// Makes the file being written durable.
    pub(crate) fn close(&mut self) -> Result<(), ArchiveError> {
        if let Some(writer) = self.current.take() {
            self.finished.push(writer.finish()?);
        }
        Ok(())
    }

    /// Makes everything durable; the last file's footer gets the notes.
    pub(crate) fn close_with(&mut self, notes: &[(&str, String)]) -> Result<(), ArchiveError> {
        if self.current.is_none() {
            // The last file has just been closed: an empty one carries the note.
            self.current = Some(PartWriter::create(
                &self.folder,
                (self.commit, self.finished.len() as u32),
                self.schema.clone(),
                tables::properties(&self.table, &self.schema, self.options.compression),
            )?);
        }
        if let Some(writer) = &mut self.current {
            for (key, value) in notes {
                writer.note(key, value.clone());
            }
            // No two files of a table are equal, not even empty ones.
            writer.note("pitt.commit", self.commit.to_string());
        }
        self.close()
    }
}
