//! Messages from Kafka: topics, positions, back-pressure, and what is wrong when nothing comes.
