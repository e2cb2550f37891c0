//! The tables of an archive: names, columns, and how their Parquet files are written.
//!
//! | table | one row for | written |
//! |---|---|---|
//! | `packets` | every record received, also duplicates and what could not be read | first, with the source positions |
//! | `alerts/<survey>` | every alert stored: the survey's columns but stamps and history, and the common ones | after `packets` |
//! | `forced` | every new point of forced photometry | after `packets` |
//! | `matches` | every filter that took an alert | after `packets` |
//! | `quarantine` | every record that could not be read, with the packet's bytes | after `packets` |
//! | `schemas` | every writer's schema and container header, by fingerprint | before `packets` |
//!
//! Each is a Delta Lake table (reader version 1 or 3, no partition columns, no deletion vectors). The property
//! `pitt.format` is the version of all this, now [`FORMAT`].
//!
//! # `packets`
//!
//! The journal: rows stand in the order of receipt, offsets of a partition are contiguous (but for Kafka's), and the commit that
//! adds rows holds one Delta `txn` a partition (application id = partition, version = offset that comes
//! next) and `pitt:commits` (version = number of the commit, from 1); where matches were numbered also `pitt:lane:<n>` (version =
//! last number of that lane). `pitt:void:<lane>:<first>` (version = last) says which numbers stay empty, since the source lost
//! the packets of their matches.
//!
//! A packet's bytes stand in the row of its first record; they are null in the rows of its other records, and
//! when every record of it is a byte-equal duplicate. `frame`, `frame_header`, `frame_sync` and `packet` give
//! the packet back byte for byte ([`pitt_alert::frame`]); `crc32` and `size` are of the packet as received.
//! Parquet holds each value of `packet` in a page of its own, so that one packet is one small read.
//!
//! The footer of a commit's last `packets` file carries `pitt.derived`: JSON, table -> names of the data files
//! with the rows derived from this commit. They are on disk before the commit, so a table that a crash left
//! behind is completed by committing those very files. Beside it `pitt.positions` says what the commit covers: JSON,
//! partition -> `[first offset, offset that comes next, packets]`. Where offsets may skip numbers (Kafka's do: compaction, markers
//! of transactions, expiry) it proves that no row is missing. Archives of older versions lack it.
//!
//! # Types
//!
//! In the tables of alerts whole numbers are 64 bit and bytes are left out; all columns may be null. A survey's
//! table has the union of all columns its schemas ever had; one whose type changed stands beside the first as
//! `<name>__<type>`. Times ending in `_us` are microseconds since
//! 1970, UTC.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

/// Version of the format described here.
pub const FORMAT: &str = "1";

/// The journal of everything received.
pub const PACKETS: &str = "packets";
/// Forced photometry.
pub const FORCED: &str = "forced";
/// What the filters took.
pub const MATCHES: &str = "matches";
/// What could not be read.
pub const QUARANTINE: &str = "quarantine";
/// Writers' schemas and container headers.
pub const SCHEMAS: &str = "schemas";
/// Folder of the tables of alerts, one a survey.
pub const ALERTS: &str = "alerts";

/// Application id under which every commit of `packets` counts.
pub(crate) const COMMITS: &str = "pitt:commits";
/// Application id under which `packets` counts its versions that say nothing but which match numbers stay empty.
pub(crate) const VOIDS: &str = "pitt:voids";
/// Application id under which derived tables record the commit of `packets` they have followed.
pub(crate) const DERIVED: &str = "packets";
/// Footer key of the derived files of a commit.
pub(crate) const MANIFEST: &str = "pitt.derived";
/// Application id under which commits of `packets` record the last match number of a lane.
pub(crate) fn lane_txn(lane: u32) -> String {
    format!("pitt:lane:{lane}")
}

/// Footer key of the positions that a commit covers.
pub(crate) const POSITIONS: &str = "pitt.positions";

/// Name of a survey's table of alerts.
pub fn alerts(survey: &str) -> String {
    format!("{ALERTS}/{survey}")
}

/// Compression of the packets' bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PacketCompression {
    /// Zstandard, level -1: three quarters of LSST's bytes saved.
    #[default]
    Zstd,
    /// LZ4: faster, larger.
    Lz4,
}

fn column(name: &str, data_type: DataType, unit: &str, description: &str) -> Field {
    let mut metadata = HashMap::from([("description".to_owned(), description.to_owned())]);
    if !unit.is_empty() {
        metadata.insert("unit".to_owned(), unit.to_owned());
    }
    Field::new(name, data_type, true).with_metadata(metadata)
}

fn identity() -> Vec<Field> {
    vec![
        column("survey", DataType::Utf8, "", "survey the alert is of"),
        column("alert_id", DataType::Int64, "", "candid or diaSourceId"),
        column(
            "object_id",
            DataType::Utf8,
            "",
            "objectId, diaObjectId or ssObjectId",
        ),
        column(
            "mjd_tai",
            DataType::Float64,
            "d (TAI)",
            "middle of the exposure",
        ),
    ]
}

fn night() -> Field {
    column(
        "night",
        DataType::Int32,
        "",
        "YYYYMMDD of the observing night",
    )
}

fn provenance() -> Vec<Field> {
    vec![
        column("partition", DataType::Utf8, "", "partition of the source"),
        column("offset", DataType::Int64, "", "position in the partition"),
        column(
            "record",
            DataType::Int32,
            "",
            "number of the record in its packet, from 0",
        ),
        column(
            "received_us",
            DataType::Int64,
            "us (UTC)",
            "time of receipt",
        ),
        column("name", DataType::Utf8, "", "the packet's name, for people"),
    ]
}

/// Columns of `packets`.
pub(crate) fn packets() -> Schema {
    let mut fields = identity();
    fields.push(night());
    fields.extend(provenance());
    fields.extend([
        column(
            "outcome",
            DataType::Utf8,
            "",
            "stored, duplicate or quarantined",
        ),
        column(
            "reason",
            DataType::Utf8,
            "",
            "why not stored; of a duplicate: byte_equal or differs",
        ),
        column(
            "detail",
            DataType::Utf8,
            "",
            "what exactly could not be read",
        ),
        column(
            "schema",
            DataType::Utf8,
            "",
            "fingerprint of the writer's schema",
        ),
        column(
            "frame",
            DataType::Utf8,
            "",
            "how the packet's bytes are kept: container, wire or plain",
        ),
        column(
            "frame_header",
            DataType::Utf8,
            "",
            "fingerprint of the container's header",
        ),
        column(
            "frame_sync",
            DataType::Binary,
            "",
            "the container's sync marker",
        ),
        column(
            "crc32",
            DataType::Int64,
            "",
            "CRC-32 of the packet as received",
        ),
        column(
            "size",
            DataType::Int64,
            "byte",
            "size of the packet as received",
        ),
        column(
            "packet",
            DataType::Binary,
            "",
            "the packet without what its frame gives back",
        ),
    ]);
    Schema::new(fields)
}

/// Columns of `forced`.
pub(crate) fn forced() -> Schema {
    let mut fields = identity();
    fields[1] = column(
        "alert_id",
        DataType::Int64,
        "",
        "alert that brought the point",
    );
    fields[3] = column(
        "mjd_tai",
        DataType::Float64,
        "d (TAI)",
        "middle of the exposure measured",
    );
    fields.extend([
        column("band", DataType::Utf8, "", "u g r i z y"),
        column(
            "psf_flux",
            DataType::Float32,
            "nJy",
            "forced difference flux",
        ),
        column(
            "psf_flux_err",
            DataType::Float32,
            "nJy",
            "its standard error",
        ),
    ]);
    Schema::new(fields)
}

/// Columns of `matches`.
pub(crate) fn matches() -> Schema {
    let mut fields = identity();
    fields.extend([
        night(),
        column("filter", DataType::Utf8, "", "name of the filter"),
        column("version", DataType::Utf8, "", "version of the filter"),
        column(
            "received_us",
            DataType::Int64,
            "us (UTC)",
            "time of receipt of the alert",
        ),
        column(
            "lane",
            DataType::Int32,
            "",
            "lane of the process that numbered the match; null in rows of older versions",
        ),
        column(
            "seq",
            DataType::Int64,
            "",
            "number of the match in its lane, from 1, ascending by 1",
        ),
        column(
            "matched_us",
            DataType::Int64,
            "us (UTC)",
            "time at which the match was numbered",
        ),
    ]);
    Schema::new(fields)
}

/// Columns of `quarantine`.
pub(crate) fn quarantine() -> Schema {
    let mut fields = provenance();
    fields.extend([
        column("reason", DataType::Utf8, "", "stable code of what is wrong"),
        column("detail", DataType::Utf8, "", "what exactly"),
        column("packet", DataType::Binary, "", "the packet as received"),
    ]);
    Schema::new(fields)
}

/// Columns of `schemas`.
pub(crate) fn schemas() -> Schema {
    Schema::new(vec![
        column(
            "kind",
            DataType::Utf8,
            "",
            "schema (a writer's) or header (a container's)",
        ),
        column("fingerprint", DataType::Utf8, "", "hash of the bytes"),
        column("survey", DataType::Utf8, "", "survey of the schema"),
        column(
            "version",
            DataType::Utf8,
            "",
            "version as the survey counts",
        ),
        column(
            "wire_id",
            DataType::Int64,
            "",
            "registry id under which it came, if it did",
        ),
        column("json", DataType::Utf8, "", "the Avro schema"),
        column(
            "bytes",
            DataType::Binary,
            "",
            "the container header without its sync marker",
        ),
    ])
}

/// The column every table of alerts has besides the survey's and the common ones.
pub(crate) fn healpix_column() -> Field {
    column(
        "_healpix_29",
        DataType::Int64,
        "",
        "HEALPix cell of order 29, nested, of ra and dec",
    )
}

/// Rows of a row group: about 50 MB of ZTF packets.
pub(crate) const GROUP_ROWS: usize = 1000;

/// How a table's Parquet files are written.
pub(crate) fn properties(
    table: &str,
    schema: &SchemaRef,
    packets: PacketCompression,
) -> WriterProperties {
    let small = Compression::ZSTD(ZstdLevel::default());
    let mut builder = WriterProperties::builder()
        .set_compression(small)
        .set_created_by(format!("pitt-archive {}", env!("CARGO_PKG_VERSION")))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(if table == PACKETS { GROUP_ROWS } else { 50_000 }))
        .set_coerce_types(true);
    for name in [
        "survey",
        "alert_id",
        "object_id",
        "mjd_tai",
        "night",
        "_healpix_29",
    ] {
        if schema.field_with_name(name).is_ok() {
            let path = ColumnPath::from(name);
            builder = builder.set_column_statistics_enabled(path, EnabledStatistics::Page);
        }
    }
    if table == PACKETS || table == QUARANTINE {
        let path = ColumnPath::from("packet");
        let compression = match packets {
            PacketCompression::Zstd => small,
            PacketCompression::Lz4 => Compression::LZ4_RAW,
        };
        builder = builder
            .set_column_compression(path.clone(), compression)
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_statistics_enabled(path.clone(), EnabledStatistics::None)
            .set_column_data_page_size_limit(path, 1)
            // Else the writer, seeing a null among the next thousand values, would put two packets in each page.
            .set_write_batch_size(1);
    }
    builder.build()
}

/// The fixed tables, with their columns.
pub(crate) fn fixed() -> [(&'static str, Arc<Schema>); 5] {
    [
        (PACKETS, Arc::new(packets())),
        (FORCED, Arc::new(forced())),
        (MATCHES, Arc::new(matches())),
        (QUARANTINE, Arc::new(quarantine())),
        (SCHEMAS, Arc::new(schemas())),
    ]
}
