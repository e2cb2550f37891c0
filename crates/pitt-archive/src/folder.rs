//! A folder as an object store whose writes survive a power cut.
//!
//! `object_store`'s own local store never calls `fsync`. Here every object is written to a temporary file,
//! synced, given its name (a hard link when the object must not exist yet, a rename otherwise), and then the
//! folder is synced. A reader sees the whole object or none of it.
//!
//! | after | what is there |
//! |---|---|
//! | process crash | whole objects; perhaps a temporary `.tmp-*` file, which nothing lists |
//! | crash of the system, power cut | the same, as far as the disk keeps what `fsync` promised |

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};

use crate::crash;

/// The whole file system as an object store with synced writes: object paths are absolute.
#[derive(Debug, Clone)]
pub struct SyncedFolder {
    inner: Arc<LocalFileSystem>,
}

impl Default for SyncedFolder {
    fn default() -> Self {
        Self {
            inner: Arc::new(LocalFileSystem::new()),
        }
    }
}

impl fmt::Display for SyncedFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SyncedFolder")
    }
}

fn generic(source: std::io::Error) -> Error {
    Error::Generic {
        store: "folder",
        source: Box::new(source),
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &FsPath) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

fn write_synced(target: &FsPath, payload: &PutPayload, create: bool) -> std::io::Result<()> {
    let folder = target.parent().unwrap_or(FsPath::new("/"));
    std::fs::create_dir_all(folder)?;
    let staged = folder.join(format!(".tmp-{}", uuid::Uuid::new_v4()));
    let written = stage(&staged, payload).and_then(|()| {
        crash::point("log-before-name");
        if create {
            std::fs::hard_link(&staged, target)
        } else {
            std::fs::rename(&staged, target)
        }
    });
    if create || written.is_err() {
        // Already renamed, or not wanted any more; a leftover is harmless.
        let _ = std::fs::remove_file(&staged);
    }
    written?;
    crash::point("log-after-name");
    sync_folder(folder)
}

fn stage(staged: &FsPath, payload: &PutPayload) -> std::io::Result<()> {
    let mut file = File::create_new(staged)?;
    for chunk in payload {
        file.write_all(chunk)?;
    }
    file.sync_all()
}

fn put_synced(
    target: PathBuf,
    location: &Path,
    payload: &PutPayload,
    create: bool,
) -> Result<PutResult> {
    match write_synced(&target, payload, create) {
        Ok(()) => Ok(PutResult {
            e_tag: None,
            version: None,
        }),
        Err(error) if create && error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Error::AlreadyExists {
                path: location.to_string(),
                source: Box::new(error),
            })
        }
        Err(error) => Err(generic(std::io::Error::new(
            error.kind(),
            format!("{}: {error}", target.display()),
        ))),
    }
}

#[async_trait]
impl ObjectStore for SyncedFolder {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let target = self.inner.path_to_filesystem(location)?;
        match options.mode {
            PutMode::Create => put_synced(target, location, &payload, true),
            PutMode::Overwrite => put_synced(target, location, &payload, false),
            PutMode::Update(_) => Err(Error::NotImplemented {
                operation: "conditional update".to_owned(),
                implementer: self.to_string(),
            }),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(BufferedUpload {
            target: self.inner.path_to_filesystem(location)?,
            location: location.clone(),
            parts: Vec::new(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// An upload in parts, kept in memory until it is complete: only checkpoints of the log come this way.
#[derive(Debug)]
struct BufferedUpload {
    target: PathBuf,
    location: Path,
    parts: Vec<PutPayload>,
}

#[async_trait]
impl MultipartUpload for BufferedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.parts.push(data);
        Box::pin(async { Ok(()) })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let payload: PutPayload = self.parts.drain(..).flatten().collect();
        put_synced(self.target.clone(), &self.location, &payload, false)
    }

    async fn abort(&mut self) -> Result<()> {
        self.parts.clear();
        Ok(())
    }
}
