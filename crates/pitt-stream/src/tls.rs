//! TLS by rustls: a certificate chain and its key from files, with errors that say what is wrong with them.

mod validity;

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{Error as TlsError, ServerConfig};

use crate::config::Tls;
use crate::error::StreamError;
use validity::Validity;

/// Reads certificate and key.
pub(crate) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, StreamError> {
    let config = server_config(&tls.certificates, &tls.key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What serves TLS with the certificate chain of one file, the server's own first, and the private key of another, both PEM.
///
/// # Errors
/// A file is missing or holds something else, the certificate's time is over or yet to come, or the key is another one's.
pub fn server_config(certificates: &Path, key: &Path) -> Result<ServerConfig, StreamError> {
    let chain = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(certificates, "certificate", &error))?;
    let Some(own) = chain.first() else {
        let nothing = PemError::NoItemsFound;
        return Err(unreadable(certificates, "certificate", &nothing));
    };
    check_time(own, certificates)?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| unreadable(key, "private key", &error))?;
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|c| c.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| match error {
            TlsError::InconsistentKeys(_) => StreamError::Setting(format!(
                "`{}` is not the key of the certificate in `{}`",
                key.display(),
                certificates.display()
            )),
            error => StreamError::Setting(format!(
                "cannot use `{}` with `{}` for TLS: {error}",
                certificates.display(),
                key.display()
            )),
        })
}

fn unreadable(file: &Path, what: &str, error: &PemError) -> StreamError {
    let file = file.display();
    StreamError::Setting(match error {
        PemError::Io(error) => format!("cannot read the {what} for TLS `{file}`: {error}"),
        PemError::NoItemsFound => {
            format!("there is no {what} in `{file}` (PEM is expected, -----BEGIN ..)")
        }
        error => format!("cannot read the {what} for TLS `{file}`: {error} (PEM is expected)"),
    })
}

/// Refuses a certificate that every client would refuse.
fn check_time(own: &CertificateDer<'_>, file: &Path) -> Result<(), StreamError> {
    let Some(validity) = Validity::of(own) else {
        // What rustls thinks of it comes next.
        return Ok(());
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs().cast_signed());
    let file = file.display();
    if now > validity.until {
        let days = (now - validity.until) / 86_400;
        return Err(StreamError::Setting(format!(
            "the certificate in `{file}` expired {days} d ago (put a new one in its place)"
        )));
    }
    if now < validity.from {
        let days = (validity.from - now) / 86_400;
        return Err(StreamError::Setting(format!(
            "the certificate in `{file}` is valid only in {days} d (is this machine's clock right?)"
        )));
    }
    let left = (validity.until - now) / 86_400;
    if left < 14 {
        tracing::warn!("the certificate in `{file}` expires in {left} d");
    }
    Ok(())
}
