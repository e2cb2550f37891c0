//! Certificate and key of the port, read again when their files change.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use pitt_stream::StreamError;
use pitt_stream::tls::server_config;
use tokio_rustls::TlsAcceptor;

use crate::config::HttpSettings;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

type Mark = [Option<(SystemTime, u64)>; 2];

/// What TLS is served with.
pub(super) struct Certificates {
    files: [PathBuf; 2],
    acceptor: RwLock<TlsAcceptor>,
    mark: Mutex<Mark>,
}

impl Certificates {
    /// Those that the settings name; `None` when they name none.
    ///
    /// # Errors
    /// A file is missing, no PEM, expired, or the key is another one's.
    pub(super) fn open(settings: &HttpSettings) -> Result<Option<Arc<Self>>, StreamError> {
        if !settings.has_tls() {
            return Ok(None);
        }
        let files = [settings.tls_cert.clone(), settings.tls_key.clone()];
        let mark = mark(&files);
        Ok(Some(Arc::new(Self {
            acceptor: RwLock::new(acceptor(&files)?),
            files,
            mark: Mutex::new(mark),
        })))
    }

    /// For the next connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let acceptor = self.acceptor.read().unwrap_or_else(PoisonError::into_inner);
        acceptor.clone()
    }

    /// Watches the files, for ever.
    pub(super) async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let same = self.clone();
            let _ = tokio::task::spawn_blocking(move || same.look()).await;
        }
    }

    /// Takes changed files; goes on with what there was when they are no good, as they are while somebody writes them.
    fn look(&self) {
        let found = mark(&self.files);
        let mut mark = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        if *mark == found {
            return;
        }
        *mark = found;
        match acceptor(&self.files) {
            Ok(new) => {
                *self
                    .acceptor
                    .write()
                    .unwrap_or_else(PoisonError::into_inner) = new;
                tracing::info!("the HTTP port has a new certificate");
            }
            Err(error) => tracing::warn!("the HTTP port keeps its certificate: {error}"),
        }
    }
}

fn acceptor([cert, key]: &[PathBuf; 2]) -> Result<TlsAcceptor, StreamError> {
    let mut config = server_config(cert, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn mark(files: &[PathBuf; 2]) -> Mark {
    files.each_ref().map(|file| {
        let data = std::fs::metadata(file).ok()?;
        Some((data.modified().ok()?, data.len()))
    })
}
