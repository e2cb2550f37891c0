//! Messages to Kafka.
