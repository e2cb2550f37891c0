//! The least client that can ask everything, and a server to ask.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    ApiKey, FetchRequest, ProduceRequest, RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Request, StrBytes, encode_request_header_into_buffer};
use pitt_stream::{Server, StreamConfig};

/// Settings for a server on a free port.
pub(crate) fn config(folder: &Path) -> StreamConfig {
    let mut config = StreamConfig::new(folder);
    config.address.set_port(0);
    config
}

/// A server on a free port.
pub(crate) fn server(folder: &Path) -> Server {
    Server::bind(config(folder)).unwrap()
}

pub(crate) struct Client {
    stream: TcpStream,
    correlation: i32,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Self {
            stream,
            correlation: 0,
        }
    }

    pub(crate) fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.try_call(version, request).unwrap()
    }

    pub(crate) fn try_call<R: Request>(
        &mut self,
        version: i16,
        request: &R,
    ) -> io::Result<R::Response> {
        self.send(version, request)?;
        self.receive::<R>(version)
    }

    pub(crate) fn send<R: Request>(&mut self, version: i16, request: &R) -> io::Result<()> {
        self.correlation += 1;
        let frame = frame(version, request, self.correlation);
        self.send_raw(&i32::try_from(frame.len()).unwrap().to_be_bytes())?;
        self.send_raw(&frame)
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    pub(crate) fn receive<R: Request>(&mut self, version: i16) -> io::Result<R::Response> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut bytes = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        self.stream.read_exact(&mut bytes)?;
        let mut bytes = Bytes::from(bytes);
        let key = ApiKey::try_from(R::KEY).unwrap();
        let header =
            ResponseHeader::decode(&mut bytes, key.response_header_version(version)).unwrap();
        assert_eq!(header.correlation_id, self.correlation);
        let response = R::Response::decode(&mut bytes, version).unwrap();
        assert!(bytes.is_empty(), "the whole answer is read");
        Ok(response)
    }

    /// Whether the server has closed the connection, or does within the time to read.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0; 1]) {
            Ok(n) => n == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    pub(crate) fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        batch: Bytes,
    ) -> PartitionProduceResponse {
        let data = PartitionProduceData::default()
            .with_index(partition)
            .with_records(Some(batch));
        let topic = TopicProduceData::default()
            .with_name(name(topic))
            .with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(1_000)
            .with_topic_data(vec![topic]);
        self.call(9, &request)
            .responses
            .remove(0)
            .partition_responses
            .remove(0)
    }

    pub(crate) fn fetch(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        wait_ms: i32,
    ) -> PartitionData {
        let mut response = self.call(12, &fetch(topic, partition, offset, wait_ms));
        response.responses.remove(0).partitions.remove(0)
    }
}

pub(crate) fn fetch(topic: &str, partition: i32, offset: i64, wait_ms: i32) -> FetchRequest {
    let part = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default()
        .with_topic(name(topic))
        .with_partitions(vec![part]);
    FetchRequest::default()
        .with_max_wait_ms(wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(4 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

/// A request without its leading length.
pub(crate) fn frame<R: Request>(version: i16, request: &R, correlation: i32) -> Vec<u8> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(StrBytes::from_static_str("test")));
    let mut out = BytesMut::new();
    encode_request_header_into_buffer(&mut out, &header).unwrap();
    request.encode(&mut out, version).unwrap();
    out.to_vec()
}

pub(crate) fn name<T: From<StrBytes>>(name: &str) -> T {
    T::from(StrBytes::from_string(name.to_owned()))
}

/// A batch of `n` records without keys, each one byte, dated 0; of an idempotent producer if one is given as
/// (id, epoch, first sequence number).
pub(crate) fn batch(n: u8, producer: Option<(i64, i16, i32)>) -> Bytes {
    let mut out = vec![0; 61];
    for i in 0..n {
        // Length, attributes, time and offset after the batch's, no key, a value of one byte, no headers.
        out.extend([14, 0, 0, i << 1, 1, 2, b'x', 0]);
    }
    let (id, epoch, sequence) = producer.unwrap_or((-1, -1, -1));
    let length = i32::try_from(out.len() - 12).unwrap();
    out[8..12].copy_from_slice(&length.to_be_bytes());
    out[16] = 2;
    out[23..27].copy_from_slice(&(i32::from(n) - 1).to_be_bytes());
    out[43..51].copy_from_slice(&id.to_be_bytes());
    out[51..53].copy_from_slice(&epoch.to_be_bytes());
    out[53..57].copy_from_slice(&sequence.to_be_bytes());
    out[57..61].copy_from_slice(&i32::from(n).to_be_bytes());
    let crc = crc32c::crc32c(&out[21..]);
    out[17..21].copy_from_slice(&crc.to_be_bytes());
    out.into()
}
