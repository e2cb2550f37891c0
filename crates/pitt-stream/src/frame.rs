//! From the bytes of a request to the request, without trusting any length in it.
//!
//! The codec allocates an array as long as the request says before it reads its elements, so a request of 30 bytes
//! could ask for gigabytes and end the process. Each request is therefore walked first, by the tables below: every
//! length must fit what is left, and the number of elements is bounded.

use bytes::{Buf, Bytes};
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::Decodable;

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

/// A field of a request: from version, to version, kind.
struct Field(i16, i16, Kind);

enum Kind {
    /// So many bytes.
    Fixed(usize),
    /// A string, perhaps null.
    Text,
    /// Bytes, perhaps null.
    Data,
    /// An array of structures.
    List(&'static [Field]),
    /// An array of plain values.
    Items(&'static Kind),
}

use Kind::{Data, Fixed, Items, List, Text};

const ALL: i16 = i16::MAX;
const BYTE: Kind = Fixed(1);
const SHORT: Kind = Fixed(2);
const INT: Kind = Fixed(4);
const LONG: Kind = Fixed(8);

const fn f(kind: Kind) -> Field {
    Field(0, ALL, kind)
}

const fn from(version: i16, kind: Kind) -> Field {
    Field(version, ALL, kind)
}

/// A request that is served, the versions of it, and its fields.
struct Api {
    key: ApiKey,
    min: i16,
    max: i16,
    fields: &'static [Field],
}

const fn api(key: ApiKey, min: i16, max: i16, fields: &'static [Field]) -> Api {
    Api {
        key,
        min,
        max,
        fields,
    }
}

/// What is served. Versions stop where topic ids (Metadata 10, Fetch 13, Produce 13) would begin, and where transactions
/// would change their protocol (EndTxn 4 and its like).
///
/// Source: the `*Request.json` message definitions of Apache Kafka.
static APIS: &[Api] = &[
    api(
        ApiKey::Produce,
        3,
        9,
        &[
            f(Text),
            f(SHORT),
            f(INT),
            f(List(&[f(Text), f(List(&[f(INT), f(Data)]))])),
        ],
    ),
    api(
        ApiKey::Fetch,
        4,
        12,
        &[
            f(INT),
            f(INT),
            f(INT),
            f(INT),
            f(BYTE),
            from(7, INT),
            from(7, INT),
            f(List(&[
                f(Text),
                f(List(&[
                    f(INT),
                    from(9, INT),
                    f(LONG),
                    from(12, INT),
                    from(5, LONG),
                    f(INT),
                ])),
            ])),
            from(7, List(&[f(Text), f(Items(&INT))])),
            from(11, Text),
        ],
    ),
    api(
        ApiKey::ListOffsets,
        1,
        7,
        &[
            f(INT),
            from(2, BYTE),
            f(List(&[f(Text), f(List(&[f(INT), from(4, INT), f(LONG)]))])),
        ],
    ),
    api(
        ApiKey::Metadata,
        0,
        9,
        &[
            f(List(&[f(Text)])),
            from(4, BYTE),
            from(8, BYTE),
            from(8, BYTE),
        ],
    ),
    api(
        ApiKey::OffsetCommit,
        2,
        8,
        &[
            f(Text),
            f(INT),
            f(Text),
            from(7, Text),
            Field(2, 4, LONG),
            f(List(&[
                f(Text),
                f(List(&[f(INT), f(LONG), from(6, INT), f(Text)])),
            ])),
        ],
    ),
    api(
        ApiKey::OffsetFetch,
        1,
        8,
        &[
            Field(1, 7, Text),
            Field(1, 7, List(&[f(Text), f(Items(&INT))])),
            from(8, List(&[f(Text), f(List(&[f(Text), f(Items(&INT))]))])),
            from(7, BYTE),
        ],
    ),
    api(
        ApiKey::FindCoordinator,
        0,
        4,
        &[Field(0, 3, Text), from(1, BYTE), from(4, Items(&Text))],
    ),
    api(
        ApiKey::JoinGroup,
        0,
        9,
        &[
            f(Text),
            f(INT),
            from(1, INT),
            f(Text),
            from(5, Text),
            f(Text),
            f(List(&[f(Text), f(Data)])),
            from(8, Text),
        ],
    ),
    api(
        ApiKey::Heartbeat,
        0,
        4,
        &[f(Text), f(INT), f(Text), from(3, Text)],
    ),
    api(
        ApiKey::LeaveGroup,
        0,
        5,
        &[
            f(Text),
            Field(0, 2, Text),
            from(3, List(&[f(Text), f(Text), from(5, Text)])),
        ],
    ),
    api(
        ApiKey::SyncGroup,
        0,
        5,
        &[
            f(Text),
            f(INT),
            f(Text),
            from(3, Text),
            from(5, Text),
            from(5, Text),
            f(List(&[f(Text), f(Data)])),
        ],
    ),
    api(
        ApiKey::DescribeGroups,
        0,
        5,
        &[f(Items(&Text)), from(3, BYTE)],
    ),
    api(ApiKey::ListGroups, 0, 4, &[from(4, Items(&Text))]),
    api(ApiKey::SaslHandshake, 1, 1, &[f(Text)]),
    api(ApiKey::ApiVersions, 0, 3, &[from(3, Text), from(3, Text)]),
    api(
        ApiKey::CreateTopics,
        2,
        6,
        &[
            f(List(&[
                f(Text),
                f(INT),
                f(SHORT),
                f(List(&[f(INT), f(Items(&INT))])),
                f(List(&[f(Text), f(Text)])),
            ])),
            f(INT),
            f(BYTE),
        ],
    ),
    api(ApiKey::DeleteTopics, 1, 5, &[f(Items(&Text)), f(INT)]),
    api(
        ApiKey::InitProducerId,
        0,
        4,
        &[f(Text), f(INT), from(3, LONG), from(3, SHORT)],
    ),
    api(
        ApiKey::AddPartitionsToTxn,
        0,
        3,
        &[
            f(Text),
            f(LONG),
            f(SHORT),
            f(List(&[f(Text), f(Items(&INT))])),
        ],
    ),
    api(
        ApiKey::AddOffsetsToTxn,
        0,
        3,
        &[f(Text), f(LONG), f(SHORT), f(Text)],
    ),
    api(ApiKey::EndTxn, 0, 3, &[f(Text), f(LONG), f(SHORT), f(BYTE)]),
    api(
        ApiKey::TxnOffsetCommit,
        0,
        3,
        &[
            f(Text),
            f(Text),
            f(LONG),
            f(SHORT),
            from(3, INT),
            from(3, Text),
            from(3, Text),
            f(List(&[
                f(Text),
                f(List(&[f(INT), f(LONG), from(2, INT), f(Text)])),
            ])),
        ],
    ),
    api(
        ApiKey::DescribeConfigs,
        1,
        4,
        &[
            f(List(&[f(BYTE), f(Text), f(Items(&Text))])),
            f(BYTE),
            from(3, BYTE),
        ],
    ),
    api(ApiKey::SaslAuthenticate, 0, 2, &[f(Data)]),
    api(ApiKey::DeleteGroups, 0, 2, &[f(Items(&Text))]),
    api(ApiKey::DescribeCluster, 0, 1, &[f(BYTE), from(1, BYTE)]),
];

/// Numbers and versions of the requests that are served: (key, from version, to version).
pub(crate) fn served() -> impl Iterator<Item = (ApiKey, i16, i16)> {
    APIS.iter().map(|a| (a.key, a.min, a.max))
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

/// A walk over a request's fields.
struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    left: usize,
}

impl Walk<'_> {
    fn fields(&mut self, fields: &[Field]) -> Result<(), FrameError> {
        for Field(min, max, kind) in fields {
            if (*min..=*max).contains(&self.version) {
                self.field(kind)?;
            }
        }
        self.tags()
    }

    fn field(&mut self, kind: &Kind) -> Result<(), FrameError> {
        match kind {
            Fixed(n) => self.skip(*n),
            Text => {
                let n = if self.flexible {
                    self.compact()?
                } else {
                    self.text_length()?
                };
                self.skip(n)
            }
            Data => {
                let n = self.length()?;
                self.skip(n)
            }
            List(fields) => self.each(|walk| walk.fields(fields)),
            Items(kind) => self.each(|walk| walk.field(kind)),
        }
    }

    fn each(
        &mut self,
        walk: impl Fn(&mut Self) -> Result<(), FrameError>,
    ) -> Result<(), FrameError> {
        let n = self.length()?;
        if n > self.rest.len() {
            return Err(FrameError::Short);
        }
        self.left = self.left.checked_sub(n).ok_or(FrameError::Elements)?;
        (0..n).try_for_each(|_| walk(self))
    }

    /// Fields unknown to most: a number, a length and that many bytes, each.
    fn tags(&mut self) -> Result<(), FrameError> {
        if !self.flexible {
            return Ok(());
        }
        let n = self.varint()?;
        if n > self.rest.len() {
            return Err(FrameError::Short);
        }
        self.left = self.left.checked_sub(n).ok_or(FrameError::Elements)?;
        for _ in 0..n {
            self.varint()?;
            let length = self.varint()?;
            self.skip(length)?;
        }
        Ok(())
    }

    /// Length of an array or of bytes; null counts as empty.
    fn length(&mut self) -> Result<usize, FrameError> {
        if self.flexible {
            return self.compact();
        }
        Ok(usize::try_from(int32(&mut self.rest)?).unwrap_or(0))
    }

    fn text_length(&mut self) -> Result<usize, FrameError> {
        Ok(usize::try_from(int16(&mut self.rest)?).unwrap_or(0))
    }

    fn compact(&mut self) -> Result<usize, FrameError> {
        Ok(self.varint()?.saturating_sub(1))
    }

    fn varint(&mut self) -> Result<usize, FrameError> {
        let mut value = 0_usize;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.rest.try_get_u8().map_err(|_| FrameError::Short)?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(FrameError::Malformed)
    }

    fn skip(&mut self, n: usize) -> Result<(), FrameError> {
        self.rest = self.rest.get(n..).ok_or(FrameError::Short)?;
        Ok(())
    }
}

fn int16(bytes: &mut &[u8]) -> Result<i16, FrameError> {
    bytes.try_get_i16().map_err(|_| FrameError::Short)
}

fn int32(bytes: &mut &[u8]) -> Result<i32, FrameError> {
    bytes.try_get_i32().map_err(|_| FrameError::Short)
}
