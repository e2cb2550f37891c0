//! A disk that fails: a clear error, nothing lost, and going on afterwards.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use pitt_archive::{Archive, ArchiveError, ArchiveOptions, SyncedFolder};

use crate::night::{decoder, every_third, ingest, night, prove, rows_of};

/// A store whose writes fail when told to, as those of a full disk or a read-only folder do.
#[derive(Debug, Default)]
struct FullDisk {
    folder: SyncedFolder,
    full: AtomicBool,
}

impl fmt::Display for FullDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FullDisk")
    }
}

#[async_trait]
impl ObjectStore for FullDisk {
    async fn put_opts(
        &self,
        to: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if self.full.load(Ordering::SeqCst) {
            return Err(Error::Generic {
                store: "folder",
                source: std::io::Error::from(std::io::ErrorKind::StorageFull).into(),
            });
        }
        self.folder.put_opts(to, payload, options).await
    }
    async fn put_multipart_opts(
        &self,
        to: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.folder.put_multipart_opts(to, options).await
    }
    async fn get_opts(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        self.folder.get_opts(from, options).await
    }
    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.folder.delete_stream(paths)
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.folder.list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.folder.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.folder.copy_opts(from, to, options).await
    }
}

#[test]
fn a_full_disk_stops_the_writer_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(FullDisk::default());
    let options = ArchiveOptions {
        store: Some(disk.clone()),
        ..Default::default()
    };
    let archive = Archive::open(folder.path().to_str().unwrap(), options).unwrap();
    let packets = night(64);
    let mut writer = archive.writer().unwrap();
    ingest(&mut writer, &packets[..24], 24);
    let before = rows_of(&archive, "packets", &["partition", "offset"]);
    disk.full.store(true, Ordering::SeqCst);
    let fresh = &packets[24..40];
    let decoded = decoder().decode(fresh);
    writer
        .append(fresh, &decoded, &every_third(&decoded))
        .unwrap();
    let error = writer.commit().unwrap_err();
    assert!(matches!(error, ArchiveError::Log { .. }), "{error:?}");
    assert!(
        error.to_string().contains("nothing committed is lost"),
        "{error}"
    );
    assert!(matches!(writer.commit(), Err(ArchiveError::Poisoned)));
    drop(writer);
    assert_eq!(
        before,
        rows_of(&archive, "packets", &["partition", "offset"])
    );
    disk.full.store(false, Ordering::SeqCst);
    let mut writer = archive.writer().unwrap();
    ingest(&mut writer, &packets, 16);
    drop(writer);
    assert_eq!(
        archive.snapshot("packets").unwrap().unwrap().rows(),
        packets.len() as u64
    );
    prove(&archive);
}

#[test]
fn a_folder_that_cannot_be_written_is_named_in_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let archive = crate::night::open(folder.path());
    let mut writer = archive.writer().unwrap();
    // A file where the table's folder should be: nobody, not even root, can write there.
    std::fs::remove_dir_all(folder.path().join("packets")).unwrap();
    std::fs::write(folder.path().join("packets"), b"").unwrap();
    let packets = night(8);
    let decoded = decoder().decode(&packets);
    let error = writer.append(&packets, &decoded, &[]).unwrap_err();
    assert!(error.to_string().contains("packets"), "{error}");
}

#[test]
fn a_file_or_a_foreign_url_is_no_place_for_an_archive() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    for location in [file.to_str().unwrap(), "s3://bucket/archive"] {
        let opened = Archive::open(location, ArchiveOptions::default());
        assert!(matches!(opened, Err(ArchiveError::Location { .. })));
    }
    let options = ArchiveOptions {
        create: false,
        ..Default::default()
    };
    assert!(Archive::open(folder.path().to_str().unwrap(), options).is_err());
}
