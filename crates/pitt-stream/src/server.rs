//! The server: what its connections share, its start and its end, and its use from within the process.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use kafka_protocol::ResponseError;
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::config::{StreamConfig, Sync};
use crate::connection;
use crate::error::StreamError;
use crate::group::Groups;
use crate::handle::Handle;
use crate::log::LogSettings;
use crate::offsets::{Offsets, now_s};
use crate::sasl::Credentials;
use crate::tls;
use crate::topics::Topics;
use crate::transactions::Transactions;

/// How often silent members and due retention are looked for.
const TICK: Duration = Duration::from_millis(50);
const RETAIN_EVERY: Duration = Duration::from_secs(30);
/// How often transactions that take too long are looked for.
const TEND_EVERY: Duration = Duration::from_millis(500);
/// At the end, running requests have this long to finish.
const FAREWELL: Duration = Duration::from_secs(5);

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: StreamConfig,
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    pub(crate) offsets: Mutex<Offsets>,
    pub(crate) transactions: Transactions,
    pub(crate) credentials: Arc<Credentials>,
    /// Memory for requests, and for answers to fetches. Two, so that neither waits for the other.
    pub(crate) requests: Memory,
    pub(crate) answers: Memory,
    pub(crate) connections: AtomicUsize,
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Shared {
    pub(crate) fn delete_topic(&self, name: &str) -> Result<(), StreamError> {
        self.topics.delete(name)?;
        let mut offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.config.folder.join("offsets.log");
        offsets
            .forget(|_, topic, _| topic == name)
            .map_err(|e| StreamError::file("write", path, e))
    }

    pub(crate) fn delete_group(&self, group: &str) -> Result<(), ResponseError> {
        let members = self.groups.delete(group);
        if members == Err(ResponseError::NonEmptyGroup) {
            return members;
        }
        let mut offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        let known = offsets.of_group(group).next().is_some();
        offsets
            .forget(|g, _, _| g == group)
            .map_err(|_| ResponseError::KafkaStorageError)?;
        if known { Ok(()) } else { members }
    }

    fn forget_silent_groups(&self) {
        let Some(kept) = self.config.keep_offsets else {
            return;
        };
        let has_members = |group: &str| self.groups.show(group, |_| ()).is_some();
        let mut offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        match offsets.forget_silent(kept, now_s(), has_members) {
            Ok(0) => {}
            Ok(n) => tracing::info!("forgot the offsets of {n} groups unused for long"),
            Err(error) => tracing::error!("cannot forget offsets: {error}"),
        }
    }

    pub(crate) fn sync(&self) {
        for topic in self.topics.all() {
            for (index, log) in topic.partitions.iter().enumerate() {
                if let Err(error) = log.sync() {
                    tracing::error!("{}[{index}]: cannot force to the disk: {error}", topic.name);
                }
            }
        }
        if let Err(error) = self
            .offsets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .sync()
        {
            tracing::error!("cannot force committed offsets to the disk: {error}");
        }
        if let Err(error) = self.transactions.sync() {
            tracing::error!("cannot force transactions to the disk: {error}");
        }
    }

    pub(crate) fn retain(&self) {
        self.forget_silent_groups();
        for topic in self.topics.all() {
            for (index, log) in topic.partitions.iter().enumerate() {
                match log.retain(self.config.retention, SystemTime::now()) {
                    Ok(0) => {}
                    Ok(n) => tracing::info!("{}[{index}]: dropped {n} old segments", topic.name),
                    Err(error) => tracing::error!(
                        "{}[{index}]: cannot drop old segments: {error}",
                        topic.name
                    ),
                }
            }
        }
    }
}

/// A bound on bytes held at once.
#[derive(Debug)]
pub(crate) struct Memory {
    kib: Arc<Semaphore>,
    limit_kib: u32,
}

impl Memory {
    fn new(bytes: usize) -> Self {
        let limit_kib = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).max(1);
        Self {
            kib: Arc::new(Semaphore::new(limit_kib as usize)),
            limit_kib,
        }
    }

    /// Waits until `bytes` may be held. What is larger than the bound takes all of it.
    pub(crate) async fn hold(&self, bytes: usize) -> OwnedSemaphorePermit {
        let kib = u32::try_from((bytes >> 10) + 1)
            .unwrap_or(u32::MAX)
            .min(self.limit_kib);
        let held = Arc::clone(&self.kib).acquire_many_owned(kib).await;
        held.expect("the semaphore is never closed")
    }

    /// How much of `asked` bytes one may take now: never more than a quarter of what is left, so that a few slow
    /// clients do not keep everything, but 1 MiB in any case.
    pub(crate) fn share(&self, asked: usize) -> usize {
        let quarter = (self.kib.available_permits() << 10) / 4;
        asked.min(quarter.max(1 << 20))
    }

    /// Whether most of it is held, so that who is slow must hurry.
    pub(crate) fn is_short(&self) -> bool {
        self.kib.available_permits() < self.limit_kib as usize / 4
    }

    /// Gives back what is held beyond `bytes`.
    pub(crate) fn keep(mut held: OwnedSemaphorePermit, bytes: usize) -> OwnedSemaphorePermit {
        held.split(((bytes >> 10) + 1).min(held.num_permits()))
            .unwrap_or(held)
    }
}

/// A running endpoint. It ends with [`Server::shutdown`] or when dropped.
#[derive(Debug)]
pub struct Server {
    runtime: Option<Runtime>,
    handle: Handle,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Opens the folder and listens. Clients are served from when this returns.
    ///
    /// Not to be called from asynchronous code: the server has its own runtime.
    ///
    /// # Errors
    ///
    /// When the address may not or cannot be listened on, or the folder is in use or cannot be read.
    pub fn bind(config: StreamConfig) -> Result<Self, StreamError> {
        if !config.allow_remote && !config.address.ip().to_canonical().is_loopback() {
            return Err(StreamError::NotLoopback(config.address));
        }
        let acceptor = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let (stop, stopping) = watch::channel(false);
        let shared = Arc::new(open(config, stopping)?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 4)))
            .max_blocking_threads(64)
            .thread_name("pitt-stream")
            .enable_all()
            .build()
            .map_err(|e| StreamError::Setting(format!("cannot start threads: {e}")))?;
        let failed = |source| StreamError::Listen {
            address: shared.config.address,
            source,
        };
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind(shared.config.address))
            .map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if let Some(beside) = other_loopback(address)
            && let Ok(listener) = runtime.block_on(tokio::net::TcpListener::bind(beside))
        {
            let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
            runtime.spawn(connection::accept(listener, acceptor, shared));
        }
        runtime.spawn(connection::accept(listener, acceptor, Arc::clone(&shared)));
        runtime.spawn(keep_house(Arc::clone(&shared)));
        Ok(Self {
            runtime: Some(runtime),
            handle: Handle { shared, address },
            stop,
        })
    }

    /// Where the server listens, with the port it got.
    pub fn address(&self) -> SocketAddr {
        self.handle.address
    }

    /// The server's use from within the process.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Ends: accepts nobody, lets running requests finish, forces everything to the disk.
    pub fn shutdown(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        let _ = self.stop.send(true);
        let shared = &self.handle.shared;
        let until = Instant::now() + FAREWELL;
        while shared.connections.load(Ordering::Acquire) > 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        runtime.shutdown_timeout(FAREWELL);
        shared.sync();
        shared.topics.close();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// The other address that `localhost` may mean. Listening there is a courtesy to clients that try it first and complain
/// when nobody answers; a machine without it, or somebody else there, is no error.
fn other_loopback(address: SocketAddr) -> Option<SocketAddr> {
    let usual = address.ip() == std::net::Ipv4Addr::LOCALHOST;
    usual.then(|| (std::net::Ipv6Addr::LOCALHOST, address.port()).into())
}

fn open(config: StreamConfig, stopping: watch::Receiver<bool>) -> Result<Shared, StreamError> {
    let limits = config.limits;
    let settings = LogSettings {
        segment_bytes: config.segment_bytes,
        message_bytes: limits.message_bytes,
        sync_each: config.sync == Sync::EachRequest,
    };
    let topics = Topics::open(
        config.folder.clone(),
        settings,
        limits.topics,
        limits.partitions,
    )?;
    let path = config.folder.join("offsets.log");
    let offsets = Offsets::open(path.clone()).map_err(|e| StreamError::file("open", path, e))?;
    let path = config.folder.join("transactions.log");
    let transactions =
        Transactions::open(path.clone(), limits.transactional_ids, settings.sync_each)
            .map_err(|e| StreamError::file("open", path, e))?;
    let shared = Shared {
        topics,
        transactions,
        groups: Groups::new(
            config.initial_rebalance_delay,
            limits.groups,
            limits.members,
        ),
        offsets: Mutex::new(offsets),
        credentials: Arc::new(Credentials::new(&config.users)),
        requests: Memory::new(limits.memory_bytes),
        answers: Memory::new(limits.memory_bytes),
        connections: AtomicUsize::new(0),
        stopping,
        config,
    };
    shared.recover_transactions();
    Ok(shared)
}

/// Lets groups' time pass, forces to the disk and drops what is old, until the server stops.
async fn keep_house(shared: Arc<Shared>) {
    let mut stopping = shared.stopping.clone();
    let mut synced = Instant::now();
    let (mut retained, mut tended) = (synced, synced);
    let sync_every = match shared.config.sync {
        Sync::Every(time) => Some(time),
        Sync::Never | Sync::EachRequest => None,
    };
    while tokio::time::timeout(TICK, stopping.wait_for(|stop| *stop))
        .await
        .is_err()
    {
        shared.groups.tick(Instant::now());
        let sync = sync_every.is_some_and(|t| synced.elapsed() >= t);
        let retain = retained.elapsed() >= RETAIN_EVERY;
        let tend = tended.elapsed() >= TEND_EVERY;
        if !sync && !retain && !tend {
            continue;
        }
        let work = Arc::clone(&shared);
        // Beside, not before the next tick: a slow disk must not look like silent members.
        tokio::task::spawn_blocking(move || {
            if sync {
                work.sync();
            }
            if retain {
                work.retain();
            }
            if tend {
                work.tend_transactions(Instant::now());
            }
        });
        let now = Instant::now();
        for (due, time) in [
            (sync, &mut synced),
            (retain, &mut retained),
            (tend, &mut tended),
        ] {
            if due {
                *time = now;
            }
        }
    }
}
