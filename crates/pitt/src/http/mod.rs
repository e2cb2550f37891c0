//! The HTTP port of a running broker: what it is doing, its metrics, and the schemas of what it publishes.
//!
//! | path | answer |
//! |---|---|
//! | `/` | what is here |
//! | `/healthz` | 200 while the broker runs, with what is wrong, if anything |
//! | `/status` | what `pitt status --json` says of this process |
//! | `/metrics` | the same for Prometheus |
//! | `/api/v1/..` | everything that can be read of the archive ([`api`]) |
//! | `/schemas/..`, `/subjects/..` | a schema registry as Confluent's clients ask it, read-only ([`registry`]) |
//!
//! It has a thread and a small runtime of its own, so that nothing asked here runs where alerts do. Who may reach it, and
//! what one client can take, is bounded in `server.rs`; errors of the registry have Confluent's shape, all others RFC 9457's.

pub mod api;
pub mod registry;
mod routes;
mod server;
mod stall;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::config::HttpSettings;
use crate::telemetry::Telemetry;
use api::Api;
use registry::Catalogue;

/// Ports tried after the default one, when another program has that.
const NEXT_PORTS: u16 = 20;

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
    /// The chosen address cannot be listened on.
    pub fn open(
        settings: &HttpSettings,
        chosen: bool,
        site: Site,
    ) -> Result<Option<Self>, HttpError> {
        let Some(wanted) = settings.address() else {
            return Ok(None);
        };
        let listener = if chosen {
            bind(wanted)?
        } else {
            bind_near(wanted)?
        };
        listener.set_nonblocking(true).map_err(HttpError::Start)?;
        let address = listener.local_addr().map_err(HttpError::Start)?;
        let (stop, stopped) = watch::channel(false);
        let limits = server::Limits {
            connections: settings.connections,
            // A name in the request that is not this machine's own is a web page that had its name point here.
            any_host: settings.allow_remote,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(4)
            .build()
            .map_err(HttpError::Start)?;
        let thread = std::thread::Builder::new()
            .name("pitt-http".into())
            .spawn(move || {
                runtime.block_on(server::serve(
                    listener,
                    routes::router(site),
                    limits,
                    stopped,
                ));
                // A question to the archive that hangs must not hold up the end of the program.
                runtime.shutdown_background();
            })
            .map_err(HttpError::Start)?;
        Ok(Some(Self {
            address,
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
        format!("http://{}", self.address)
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
