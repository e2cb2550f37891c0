//! Connections: frames in, answers out, within limits.
//!
//! Each connection has a task that reads requests ahead, two at most, and one that answers them in order. The reading
//! one notices at once when the client hangs up, also while an answer waits for data.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::api::{Hangup, Session, SignIn};
use crate::config::Limits;
use crate::frame;
use crate::server::Shared;

/// Before signing in, requests are small `[bytes]`.
const STRANGER_FRAME: usize = 64 << 10;
/// The least speed of a client [bytes/s], beyond the first `stall`.
const SLOWEST: u64 = 256 << 10;
/// The same while memory for answers is short.
const SLOWEST_WHEN_SHORT: u64 = 4 << 20;
/// How often it is looked whether a client takes its answer.
const LOOK: Duration = Duration::from_millis(500);
/// Requests read ahead of the one being answered.
const AHEAD: usize = 2;
/// Number of a request that produces.
const PRODUCE: [u8; 2] = [0, 0];

/// A request as it came, and the memory it holds.
struct Received {
    bytes: Bytes,
    _held: OwnedSemaphorePermit,
}

/// Takes connections until the server stops.
pub(crate) async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut stopping = shared.stopping.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => admit(stream, peer, tls.clone(), &shared),
            Err(error) => {
                // Usually no file descriptors are left; one will be.
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Counts a connection for as long as it lives.
struct Counted(Arc<Shared>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Release);
    }
}

fn admit(stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, shared: &Arc<Shared>) {
    let open = shared.connections.fetch_add(1, Ordering::Acquire);
    let counted = Counted(Arc::clone(shared));
    let limit = shared.config.limits.connections;
    if open >= limit {
        tracing::debug!("{peer}: refused, {limit} connections are open (see `limits.connections`)");
        return;
    }
    tokio::spawn(async move {
        if let Err(error) = serve(stream, peer, tls, &counted.0).await {
            tracing::debug!("{peer}: {error}");
        }
    });
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    shared: &Arc<Shared>,
) -> io::Result<()> {
    let local = stream.local_addr()?;
    stream.set_nodelay(true)?;
    match tls {
        None => {
            let (read, write) = stream.into_split();
            converse(read, write, peer, local, shared).await
        }
        Some(acceptor) => {
            let stream = timeout(shared.config.limits.handshake, acceptor.accept(stream)).await??;
            let (read, write) = tokio::io::split(stream);
            converse(read, write, peer, local, shared).await
        }
    }
}

async fn converse(
    read: impl AsyncRead + Unpin + Send + 'static,
    mut write: impl AsyncWrite + Unpin,
    peer: SocketAddr,
    local: SocketAddr,
    shared: &Arc<Shared>,
) -> io::Result<()> {
    let (send, mut received) = mpsc::channel(AHEAD);
    let (hung_up, gone) = watch::channel(false);
    let sign_in = SignIn::new(Arc::clone(&shared.credentials));
    let signed_in = Arc::new(AtomicBool::new(sign_in.done()));
    let reader = Reader {
        shared: Arc::clone(shared),
        signed_in: Arc::clone(&signed_in),
        send,
    };
    let reading = tokio::spawn(async move {
        let ended = reader.read_all(read).await;
        let _ = hung_up.send(true);
        ended
    });
    let mut session = Session {
        shared: Arc::clone(shared),
        peer,
        local,
        sign_in,
        signed_in,
        gone,
    };
    let mut stopping = shared.stopping.clone();
    let ended = loop {
        let request = tokio::select! {
            request = received.recv() => request,
            _ = stopping.wait_for(|stop| *stop) => break Ok(()),
        };
        let Some(request) = request else { break Ok(()) };
        if let Err(error) = answer(&mut session, request, &mut write).await {
            break Err(error);
        }
    };
    reading.abort();
    let _ = timeout(shared.config.limits.stall, write.shutdown()).await;
    match reading.await {
        Ok(Err(error)) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
        _ => ended,
    }
}

async fn answer(
    session: &mut Session,
    request: Received,
    write: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let frame = frame::read(request.bytes).map_err(io::Error::other)?;
    let reply = match session.answer(frame).await {
        Ok(Some(reply)) => reply,
        Ok(None) => return Ok(()),
        Err(Hangup::Gone) => return Err(io::ErrorKind::UnexpectedEof.into()),
        Err(error) => return Err(io::Error::other(error)),
    };
    let send = async {
        write.write_all(&reply.bytes).await?;
        write.flush().await
    };
    let begun = Instant::now();
    let mut send = std::pin::pin!(send);
    loop {
        if let Ok(sent) = timeout(LOOK, &mut send).await {
            return sent;
        }
        if begun.elapsed() > patience_to_send(&session.shared, reply.bytes.len()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

/// How long a client may take `bytes`: shortly, when answers that nobody takes hold most of the memory.
fn patience_to_send(shared: &Shared, bytes: usize) -> Duration {
    if shared.answers.is_short() {
        return Duration::from_secs(2 + bytes as u64 / SLOWEST_WHEN_SHORT);
    }
    patience(&shared.config.limits, bytes)
}

/// How long `bytes` may take.
fn patience(limits: &Limits, bytes: usize) -> Duration {
    limits.stall + Duration::from_secs(bytes as u64 / SLOWEST)
}

/// The reading side of a connection.
struct Reader {
    shared: Arc<Shared>,
    signed_in: Arc<AtomicBool>,
    send: mpsc::Sender<Received>,
}

impl Reader {
    async fn read_all(self, mut read: impl AsyncRead + Unpin) -> io::Result<()> {
        loop {
            let length = self.next_length(&mut read).await?;
            let received = self
                .read_one(&mut read, length, self.signed_in.load(Ordering::Relaxed))
                .await?;
            if self.send.send(received).await.is_err() {
                return Ok(());
            }
        }
    }

    /// Waits for the next request: long for who has signed in, shortly for strangers.
    async fn next_length(&self, read: &mut (impl AsyncRead + Unpin)) -> io::Result<i32> {
        let limits = &self.shared.config.limits;
        let mut next = std::pin::pin!(read.read_i32());
        match timeout(limits.handshake, &mut next).await {
            Ok(length) => length,
            Err(_) if self.signed_in.load(Ordering::Relaxed) => timeout(limits.idle, next).await?,
            Err(elapsed) => Err(elapsed.into()),
        }
    }

    /// Reads one request. Its memory is set aside first, and only as much of it is used as has come.
    async fn read_one(
        &self,
        read: &mut (impl AsyncRead + Unpin),
        length: i32,
        known: bool,
    ) -> io::Result<Received> {
        let limits = &self.shared.config.limits;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let largest = limits.produce_frame_bytes.max(limits.frame_bytes);
        within(length, if known { largest } else { STRANGER_FRAME })?;
        let held = self.shared.requests.hold(length).await;
        let mut bytes = BytesMut::with_capacity(length.min(STRANGER_FRAME));
        let body = async {
            while bytes.len() < length {
                if bytes.len() >= 2 && bytes[..2] != PRODUCE {
                    within(length, limits.frame_bytes)?;
                }
                let left = length - bytes.len();
                bytes.reserve(left.min(bytes.len().max(STRANGER_FRAME)));
                if (&mut *read).take(left as u64).read_buf(&mut bytes).await? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
            }
            Ok(())
        };
        timeout(patience(limits, length), body).await??;
        Ok(Received {
            bytes: bytes.freeze(),
            _held: held,
        })
    }
}

fn within(length: usize, limit: usize) -> io::Result<()> {
    if length <= limit {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "a request of {length} bytes is larger than the limit of {limit}"
    )))
}
