//! A Confluent Schema Registry over HTTP.
