//! What the server answers to each request.

mod admin;
mod describe;
mod fetch;
mod groups;
mod offsets;
mod produce;
mod sign_in;
mod transactions;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ApiKey, ResponseHeader};
use kafka_protocol::protocol::{Encodable, StrBytes};
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::config::Writers;
use crate::frame::{Frame, FrameError, Request};
use crate::server::Shared;
pub(crate) use sign_in::SignIn;

/// The only node there is.
const NODE: i32 = 1;
/// Everything is as if written by the first leader.
const EPOCH: i32 = 0;

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Hangup {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the answer could not be written: {0}")]
    Encode(String),
    #[error("not signed in (SASL PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 is required)")]
    NotSignedIn,
    #[error("the server is stopping")]
    Stopping,
    #[error("the client went away")]
    Gone,
}

/// Bytes to send, and the share of the memory they hold.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) bytes: Bytes,
    #[expect(dead_code, reason = "held until the bytes are sent, then dropped")]
    pub(crate) held: Option<OwnedSemaphorePermit>,
}

/// One connection, as far as the answers depend on it.
pub(crate) struct Session {
    pub(crate) shared: Arc<Shared>,
    pub(crate) peer: SocketAddr,
    /// The server's side of the connection.
    pub(crate) local: SocketAddr,
    pub(crate) sign_in: SignIn,
    /// Told to the reading side, which allows little before.
    pub(crate) signed_in: Arc<AtomicBool>,
    /// Becomes true when the client hung up.
    pub(crate) gone: watch::Receiver<bool>,
}

impl Session {
    /// Answers one request; `None` when none is expected.
    pub(crate) async fn answer(&mut self, frame: Frame) -> Result<Option<Reply>, Hangup> {
        let head = Head {
            key: frame.key,
            version: frame.version,
            correlation: frame.correlation,
        };
        let Some(request) = frame.request else {
            return head
                .reply(&describe::versions(Some(ResponseError::UnsupportedVersion)))
                .map(Some);
        };
        let reply = match request {
            Request::ApiVersions => head.reply(&describe::versions(None)),
            Request::SaslHandshake(r) => head.reply(&self.sasl_handshake(&r)),
            Request::SaslAuthenticate(r) => head.reply(&self.sasl_authenticate(&r).await),
            _ if !self.sign_in.done() => Err(Hangup::NotSignedIn),
            Request::Produce(r) => return self.produce(head, r).await,
            Request::Fetch(r) => self.fetch(head, r).await,
            request => self.answer_small(head, request, frame.client_id).await,
        };
        reply.map(Some)
    }

    async fn answer_small(
        &mut self,
        head: Head,
        request: Request,
        client: String,
    ) -> Result<Reply, Hangup> {
        match request {
            Request::Metadata(r) => head.reply(&self.metadata(r, head.version).await),
            Request::DescribeCluster => head.reply(&self.describe_cluster()),
            Request::DescribeConfigs(r) => head.reply(&self.describe_configs(r)),
            Request::ListOffsets(r) => head.reply(&self.list_offsets(r).await),
            Request::FindCoordinator(r) => head.reply(&self.find_coordinator(r, head.version)),
            Request::JoinGroup(r) => head.reply(&self.join_group(r, client, head.version).await?),
            Request::SyncGroup(r) => head.reply(&self.sync_group(r).await?),
            Request::Heartbeat(r) => head.reply(&self.heartbeat(&r)),
            Request::LeaveGroup(r) => head.reply(&self.leave_group(r, head.version)),
            Request::OffsetCommit(r) => head.reply(&self.offset_commit(r).await),
            Request::OffsetFetch(r) => head.reply(&self.offset_fetch(r, head.version)),
            Request::DescribeGroups(r) => head.reply(&self.describe_groups(r)),
            Request::ListGroups(r) => head.reply(&self.list_groups(&r)),
            Request::DeleteGroups(r) => head.reply(&self.delete_groups(r).await),
            Request::CreateTopics(r) => head.reply(&self.create_topics(r).await),
            Request::DeleteTopics(r) => head.reply(&self.delete_topics(r).await),
            Request::InitProducerId(r) => head.reply(&self.init_producer_id(r, head.version).await),
            Request::AddPartitionsToTxn(r) => {
                head.reply(&self.add_partitions_to_txn(r, head.version).await)
            }
            Request::AddOffsetsToTxn(r) => {
                head.reply(&self.add_offsets_to_txn(r, head.version).await)
            }
            Request::TxnOffsetCommit(r) => head.reply(&self.txn_offset_commit(r).await),
            Request::EndTxn(r) => head.reply(&self.end_txn(r, head.version).await),
            _ => Err(FrameError::Malformed.into()),
        }
    }

    /// Whether this client may change anything but its groups' offsets.
    fn may_write(&self) -> bool {
        let config = &self.shared.config;
        let by_user = self
            .sign_in
            .user()
            .map(|name| config.users.iter().any(|u| u.name == name && u.may_write));
        match config.writers {
            Writers::Nobody => false,
            Writers::Loopback => is_loopback(self.peer.ip()) && by_user != Some(false),
            Writers::Anyone => by_user.unwrap_or(true),
        }
    }

    /// The address told to this client.
    fn host_and_port(&self) -> (StrBytes, i32) {
        let config = &self.shared.config;
        let host = config
            .advertised_host
            .clone()
            .unwrap_or_else(|| self.told_ip().to_string());
        let port = config.advertised_port.unwrap_or(self.local.port());
        (StrBytes::from_string(host), i32::from(port))
    }

    /// The address that this client reached, in the form that every client understands.
    fn told_ip(&self) -> IpAddr {
        let ip = canonical(self.local.ip());
        let listens = self.shared.config.address.ip();
        if ip.is_loopback() && listens.is_loopback() {
            return listens;
        }
        ip
    }

    /// Waits for `work`, unless the client hangs up or the server stops.
    async fn unless_gone<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Hangup> {
        let mut stopping = self.shared.stopping.clone();
        tokio::select! {
            done = work => Ok(done),
            _ = self.gone.wait_for(|gone| *gone) => Err(Hangup::Gone),
            _ = stopping.wait_for(|stop| *stop) => Err(Hangup::Stopping),
        }
    }
}

/// The part of a request that its answer repeats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    key: ApiKey,
    version: i16,
    correlation: i32,
}

impl Head {
    /// Writes an answer, with its length before it.
    fn reply(self, body: &impl Encodable) -> Result<Reply, Hangup> {
        let failed = |e: &dyn std::fmt::Display| Hangup::Encode(e.to_string());
        let size = body.compute_size(self.version).map_err(|e| failed(&e))?;
        let mut out = BytesMut::with_capacity(size + 64);
        out.put_i32(0);
        let header = ResponseHeader::default().with_correlation_id(self.correlation);
        header
            .encode(&mut out, self.key.response_header_version(self.version))
            .map_err(|e| failed(&e))?;
        body.encode(&mut out, self.version)
            .map_err(|e| failed(&e))?;
        let length = i32::try_from(out.len() - 4).map_err(|e| failed(&e))?;
        out[..4].copy_from_slice(&length.to_be_bytes());
        Ok(Reply {
            bytes: out.freeze(),
            held: None,
        })
    }
}

/// Does file work where it holds no connection up.
async fn off_runtime<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

fn is_loopback(ip: IpAddr) -> bool {
    canonical(ip).is_loopback()
}

fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

fn text(s: impl Into<String>) -> StrBytes {
    StrBytes::from_string(s.into())
}

/// Kafka's number of an error, 0 for none.
fn code(error: Option<ResponseError>) -> i16 {
    error.map_or(0, |e| e.code())
}
