//! From the bytes of a request to the request, without trusting any length in it.
//!
//! The codec allocates an array as long as the request says before it reads its elements, so a request of 30 bytes
//! could ask for gigabytes and end the process. Each request is therefore walked first, by the table in `fields.rs`: every
//! length must fit what is left, and the number of elements is bounded.

mod fields;
mod walk;

use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::Decodable;

use fields::APIS;
pub(crate) use fields::served;
use walk::{Walk, int16, int32};

/// Elements in all arrays of one request together.
const ELEMENTS: usize = 100_000;

/// Why a request was not understood. The connection is closed: nothing after it can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A length points beyond the request's end.
    #[error("the request is cut short")]
    Short,
    /// The request has more array elements than are read.
    #[error("the request has more than {ELEMENTS} elements")]
    Elements,
    /// No such request is known.
    #[error("request {key} is unknown (version {version})")]
    Unknown {
        /// The request's number.
        key: i16,
        /// Its version.
        version: i16,
    },
    /// The codec refused it.
    #[error("the request is malformed")]
    Malformed,
}

macro_rules! requests {
    ($($name:ident: $type:ident),* $(,)?) => {
        /// A request that was read.
        #[derive(Debug)]
        pub(crate) enum Request {
            $($name(kafka_protocol::messages::$type),)*
            /// What it says does not matter to the answer.
            ApiVersions,
            /// Likewise.
            DescribeCluster,
        }

        fn decode_body(key: ApiKey, version: i16, bytes: &mut Bytes) -> Result<Request, FrameError> {
            match key {
                $(ApiKey::$name => kafka_protocol::messages::$type::decode(bytes, version)
                    .map(Request::$name)
                    .map_err(|_| FrameError::Malformed),)*
                ApiKey::ApiVersions => Ok(Request::ApiVersions),
                ApiKey::DescribeCluster => Ok(Request::DescribeCluster),
                _ => Err(FrameError::Unknown { key: key as i16, version }),
            }
        }
    };
}

requests! {
    Produce: ProduceRequest, Fetch: FetchRequest, ListOffsets: ListOffsetsRequest, Metadata: MetadataRequest,
    OffsetCommit: OffsetCommitRequest, OffsetFetch: OffsetFetchRequest, FindCoordinator: FindCoordinatorRequest,
    JoinGroup: JoinGroupRequest, Heartbeat: HeartbeatRequest, LeaveGroup: LeaveGroupRequest,
    SyncGroup: SyncGroupRequest, DescribeGroups: DescribeGroupsRequest, ListGroups: ListGroupsRequest,
    SaslHandshake: SaslHandshakeRequest, CreateTopics: CreateTopicsRequest,
    DeleteTopics: DeleteTopicsRequest, InitProducerId: InitProducerIdRequest,
    DescribeConfigs: DescribeConfigsRequest, SaslAuthenticate: SaslAuthenticateRequest,
    DeleteGroups: DeleteGroupsRequest, AddPartitionsToTxn: AddPartitionsToTxnRequest,
    AddOffsetsToTxn: AddOffsetsToTxnRequest, TxnOffsetCommit: TxnOffsetCommitRequest, EndTxn: EndTxnRequest,
}

/// A request and how to answer it.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation: i32,
    pub(crate) client_id: String,
    /// `None` for a version of `ApiVersions` that is not served: the answer then lists those that are.
    pub(crate) request: Option<Request>,
}

/// Reads a request without its leading length.
pub(crate) fn read(mut bytes: Bytes) -> Result<Frame, FrameError> {
    let mut head = &bytes[..];
    let (key, version, correlation) = (int16(&mut head)?, int16(&mut head)?, int32(&mut head)?);
    let unknown = FrameError::Unknown { key, version };
    let api = APIS.iter().find(|a| a.key as i16 == key).ok_or(unknown)?;
    if !(api.min..=api.max).contains(&version) {
        if api.key == ApiKey::ApiVersions {
            return Ok(Frame {
                key: api.key,
                version: 0,
                correlation,
                client_id: String::new(),
                request: None,
            });
        }
        return Err(unknown);
    }
    let mut walk = Walk {
        rest: head,
        version,
        flexible: api.key.request_header_version(version) >= 2,
        left: ELEMENTS,
    };
    // The client's name has a short length even where everything else is compact.
    let name = int16(&mut walk.rest)?;
    walk.skip(usize::try_from(name).unwrap_or(0))?;
    walk.tags()?;
    walk.fields(api.fields)?;
    let header = RequestHeader::decode(&mut bytes, api.key.request_header_version(version));
    let header = header.map_err(|_| FrameError::Malformed)?;
    let client_id = header
        .client_id
        .map(|c| c.chars().take(200).collect())
        .unwrap_or_default();
    let request = Some(decode_body(api.key, version, &mut bytes)?);
    Ok(Frame {
        key: api.key,
        version,
        correlation,
        client_id,
        request,
    })
}

/// Reads a request, as the server does, and forgets it: for fuzzing.
///
/// # Errors
///
/// When the bytes are not a request that is served.
pub fn check_frame(bytes: &[u8]) -> Result<(), FrameError> {
    read(Bytes::copy_from_slice(bytes)).map(drop)
}
