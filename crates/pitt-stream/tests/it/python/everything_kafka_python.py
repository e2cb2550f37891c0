"""Topics, all compressions, earliest/latest/timestamp, groups' offsets and 10 MB messages, by kafka-python."""
import sys
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

address = sys.argv[1]
admin = KafkaAdminClient(bootstrap_servers=address)
admin.create_topics([NewTopic("alerts", 4, 1), NewTopic("one", 1, 1)])
assert {"alerts", "one"} <= set(admin.list_topics())

sent = set()
for codec in [None, "gzip", "snappy", "lz4", "zstd"]:
    producer = KafkaProducer(bootstrap_servers=address, compression_type=codec, linger_ms=5)
    futures = []
    for i in range(200):
        value = b"%s-%d " % (str(codec).encode(), i) * 50
        sent.add(value)
        futures.append(producer.send("alerts", value, key=b"%d" % i, headers=[("survey", b"ztf")]))
    for future in futures:
        future.get(10)
    producer.close()

consumer = KafkaConsumer("alerts", bootstrap_servers=address, group_id="readers", auto_offset_reset="earliest",
                         enable_auto_commit=False, consumer_timeout_ms=15000)
seen = []
for message in consumer:
    seen.append(message.value)
    assert message.headers == [("survey", b"ztf")] or message.headers == (("survey", b"ztf"),), message.headers
    if len(seen) == len(sent):
        break
assert sorted(seen) == sorted(sent), (len(seen), len(sent))
consumer.commit()
ends = consumer.end_offsets(sorted(consumer.assignment()))
assert {p: consumer.committed(p) for p in ends} == ends
consumer.close()
assert "readers" in str(admin.list_groups() if hasattr(admin, "list_groups") else admin.list_consumer_groups())

partition = TopicPartition("one", 0)
producer = KafkaProducer(bootstrap_servers=address, max_request_size=12_000_000)
for i in range(10):
    producer.send("one", b"%d" % i, timestamp_ms=1_000_000 + 1_000 * i)
producer.flush()
big = bytes(range(256)) * 40_000
producer.send("one", big, timestamp_ms=2_000_000).get(20)
producer.close()
consumer = KafkaConsumer(bootstrap_servers=address, consumer_timeout_ms=15000)
consumer.assign([partition])
assert consumer.beginning_offsets([partition])[partition] == 0
assert consumer.end_offsets([partition])[partition] == 11
found = consumer.offsets_for_times({partition: 1_003_500})[partition]
assert (found.offset, found.timestamp) == (4, 1_004_000), found
assert consumer.offsets_for_times({partition: 3_000_000})[partition] is None
consumer.seek(partition, 9)
assert next(consumer).value == b"9"
assert next(consumer).value == big
consumer.seek_to_end(partition)
assert consumer.position(partition) == 11
consumer.close()
admin.delete_topics(["one"])
assert "one" not in admin.list_topics()
