//! The requests that are served, and the fields of each.

use kafka_protocol::messages::ApiKey;

/// A field of a request: from version, to version, kind.
pub(super) struct Field(pub(super) i16, pub(super) i16, pub(super) Kind);

/// What a field is, as far as it must be known to step over it.
pub(super) enum Kind {
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
pub(super) struct Api {
    pub(super) key: ApiKey,
    pub(super) min: i16,
    pub(super) max: i16,
    pub(super) fields: &'static [Field],
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
pub(super) static APIS: &[Api] = &[
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
