//! The HTTP port of a running broker: what it is doing, its metrics, and the schemas of what it publishes.
//!
//! | path | answer |
//! |---|---|
//! | `/`, and every path that is not below | the pages (`pages.rs`) |
//! | `/healthz` | 200 while the broker runs, with what is wrong, if anything |
//! | `/status.json` | what `pitt status --json` says of this process |
//! | `/metrics` | the same for Prometheus |
//! | `/api/v1/..` | everything that can be read of the archive ([`api`]) |
//! | `/schemas/..`, `/subjects/..` | a schema registry as Confluent's clients ask it, read-only ([`registry`]) |
//!
//! It has a thread and a small runtime of its own, so that nothing asked here runs where alerts do. Who may reach it, and
//! what one client can take, is bounded in `server.rs`; who may ask what, and how often, in [`auth`]. Errors of the registry have
//! Confluent's shape, all others RFC 9457's.

pub mod api;
pub mod auth;
mod compressed;
mod crowd;
mod held;
pub mod live;
mod pages;
pub mod registry;
mod routes;
mod server;
mod stall;
mod tls;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::middleware::from_fn_with_state;
use pitt_stream::StreamError;
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::watch;

use crate::config::HttpSettings;
use crate::telemetry::Telemetry;
use api::Api;
use auth::{Auth, Dress, TokenError};
use registry::Catalogue;
use tls::Certificates;

/// Ports tried after the default one, when another program has that.
const NEXT_PORTS: u16 = 20;

/// Bytes of an answer that the system keeps for a client that takes them slowly. Left to itself it would be megabytes.
const SEND_BUFFER: usize = 256 << 10;
/// Files that the program has open beside its connections.
const OTHER_FILES: u64 = 512;

/// Why there is no port.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is in use, not ours, or not allowed.
    #[error(
        "cannot listen on {address}, as `http.listen` says: {source} (choose another address, or \"\" for no port)"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The thread or its runtime could not be made.
    #[error("cannot start the HTTP port: {0}")]
    Start(io::Error),
    /// The certificate or its key cannot be used.
    #[error("cannot start the HTTP port: {0}")]
    Tls(StreamError),
    /// Tokens cannot be made.
    #[error("cannot start the HTTP port: {0}")]
    Tokens(TokenError),
}

/// What the port shows.
#[derive(Clone)]
pub struct Site {
    /// How the run is.
    pub telemetry: Arc<Telemetry>,
    /// The schemas of what is published.
    pub schemas: Arc<Catalogue>,
    /// What can be read of the archive.
    pub api: Api,
}

/// An open port; closes when it is dropped, after the answers under way.
pub struct Port {
    address: SocketAddr,
    scheme: &'static str,
    auth: Auth,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Port {
    /// Opens the port that the settings name; `None` when they name none.
    ///
    /// When `chosen` is false the address is the default and nobody asked for it: if another program has it, one of the
    /// next free ports is taken.
    ///
    /// # Errors
    /// The chosen address cannot be listened on, or the certificate for it cannot be used.
    pub fn open(
        settings: &HttpSettings,
        chosen: bool,
        site: Site,
    ) -> Result<Option<Self>, HttpError> {
        let Some(wanted) = settings.address() else {
            return Ok(None);
        };
        let certificates = Certificates::open(settings).map_err(HttpError::Tls)?;
        let listener = if chosen {
            bind(wanted)?
        } else {
            bind_near(wanted)?
        };
        listener.set_nonblocking(true).map_err(HttpError::Start)?;
        // Handed down to every connection; without it only memory is lost.
        let _ = set_socket_send_buffer_size(&listener, SEND_BUFFER);
        allow_files(settings.connections);
        let address = listener.local_addr().map_err(HttpError::Start)?;
        warn_of_openness(settings, address);
        let archive = site.telemetry.archive().to_owned();
        let auth = Auth::open(settings, &archive, address.ip().is_loopback());
        let auth = auth.map_err(HttpError::Tokens)?;
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(4)
            .build()
            .map_err(HttpError::Start)?;
        let limits = limits(settings);
        let (scheme, guard, api) = (scheme(settings), auth.clone(), site.api.clone());
        let thread = std::thread::Builder::new()
            .name("pitt-http".into())
            .spawn(move || {
                let guarded = from_fn_with_state(guard.clone(), Auth::guard);
                let router = routes::router(site).layer(guarded);
                runtime.block_on(async {
                    let tokens = guard.clone();
                    tokio::spawn(async move { tokens.watch().await });
                    certificates
                        .clone()
                        .map(|files| tokio::spawn(files.watch()));
                    server::serve(listener, router, limits, certificates, stopped).await;
                });
                guard.note();
                // A question to the archive that hangs must not hold up the end of the program.
                runtime.shutdown_background();
                // Last and outside of async code, where a query engine must not be let go of.
                drop(api);
            })
            .map_err(HttpError::Start)?;
        Ok(Some(Self {
            address,
            scheme,
            auth,
            stop,
            thread: Some(thread),
        }))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same for people and clients: `http://127.0.0.1:8080`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// The pages with this run's token, for whoever sits at this machine: `http://127.0.0.1:8080/#token=pitt_session_..`;
    /// `None` when others can reach the port. What follows `#` stays in the browser.
    pub fn session_url(&self) -> Option<String> {
        let token = self.auth.session()?;
        Some(format!("{}/#token={token}", self.url()))
    }
}

fn scheme(settings: &HttpSettings) -> &'static str {
    if settings.has_tls() { "https" } else { "http" }
}

fn limits(settings: &HttpSettings) -> server::Limits {
    let any = settings.names.is_empty() && (settings.allow_remote || settings.behind_proxy);
    server::Limits {
        connections: settings.connections,
        // A name in the request that is not this machine's own is a web page that had its name point here.
        names: (!any).then(|| settings.names.clone()),
        dress: Dress {
            tls: settings.has_tls(),
            sky_images: settings.sky_images,
            shared: !settings.cors_origins.is_empty(),
        },
    }
}

/// Says what everybody on the way can read.
fn warn_of_openness(settings: &HttpSettings, address: SocketAddr) {
    if !address.ip().is_loopback() && !settings.has_tls() && !settings.behind_proxy {
        tracing::warn!(
            "other machines can reach {address} without TLS: tokens and alerts cross the network in the clear \
             (set `http.tls_cert` and `http.tls_key`, or `http.behind_proxy` if a proxy has them)"
        );
    }
}

/// Lets the process have as many files open as there may be connections, as far as the system allows.
fn allow_files(connections: usize) {
    let wanted = connections as u64 + OTHER_FILES;
    let now = getrlimit(Resource::Nofile);
    if now.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let most = now.maximum.unwrap_or(wanted).min(wanted);
    let more = Rlimit {
        current: Some(most),
        maximum: now.maximum,
    };
    if most < wanted || setrlimit(Resource::Nofile, more).is_err() {
        tracing::warn!(
            "this process may have {most} files open: fewer than {connections} connections fit (`ulimit -n`, or lower `http.connections`)"
        );
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, HttpError> {
    TcpListener::bind(address).map_err(|source| HttpError::Listen { address, source })
}

/// The default port, one of the next, or any.
fn bind_near(wanted: SocketAddr) -> Result<TcpListener, HttpError> {
    let next = (0..=NEXT_PORTS).filter_map(|step| wanted.port().checked_add(step));
    for port in next.chain([0]) {
        match bind(SocketAddr::new(wanted.ip(), port)) {
            Err(HttpError::Listen { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => {}
            outcome => return outcome,
        }
    }
    bind(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0))
}
