"""The same by confluent-kafka (librdkafka), with the idempotent producer."""
import sys
import time
import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, NewTopic

address = sys.argv[1]
admin = AdminClient({"bootstrap.servers": address})
for future in admin.create_topics([NewTopic("c-alerts", 4, 1), NewTopic("c-one", 1, 1)]).values():
    future.result(10)
assert {"c-alerts", "c-one"} <= set(admin.list_topics(timeout=10).topics)


def read(consumer, n, seconds=20):
    values, until = [], time.time() + seconds
    while len(values) < n and time.time() < until:
        for message in consumer.consume(500, 0.5):
            assert not message.error(), message.error()
            values.append(message.value())
    return values


sent = []
for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
    producer = ck.Producer({"bootstrap.servers": address, "compression.type": codec, "enable.idempotence": True})
    for i in range(500):
        sent.append(b"%s-%d " % (codec.encode(), i) * 50)
        producer.produce("c-alerts", sent[-1], key=b"%d" % i, headers={"survey": "ztf"})
    assert producer.flush(20) == 0

settings = {"bootstrap.servers": address, "group.id": "c-readers", "auto.offset.reset": "earliest",
            "enable.auto.commit": False, "check.crcs": True, "isolation.level": "read_committed"}
consumer = ck.Consumer(settings)
consumer.subscribe(["c-alerts"])
assert sorted(read(consumer, len(sent))) == sorted(sent)
consumer.commit(asynchronous=False)
consumer.close()
consumer = ck.Consumer(settings)
consumer.subscribe(["c-alerts"])
assert read(consumer, 1, 2) == [], "everything was committed"
consumer.close()

producer = ck.Producer({"bootstrap.servers": address, "message.max.bytes": 12_000_000})
for i in range(10):
    producer.produce("c-one", b"%d" % i, timestamp=1_000_000 + 1_000 * i)
producer.flush(10)
big = bytes(range(256)) * 40_000
producer.produce("c-one", big, timestamp=2_000_000)
assert producer.flush(20) == 0
consumer = ck.Consumer({**settings, "group.id": "c-other"})
partition = ck.TopicPartition("c-one", 0)
assert consumer.get_watermark_offsets(partition, timeout=10) == (0, 11)
assert consumer.offsets_for_times([ck.TopicPartition("c-one", 0, 1_003_500)], timeout=10)[0].offset == 4
consumer.assign([ck.TopicPartition("c-one", 0, 9)])
assert read(consumer, 2) == [b"9", big]
consumer.close()
consumer = ck.Consumer({**settings, "auto.offset.reset": "latest", "group.id": "c-late"})
consumer.subscribe(["c-one"])
late, until = [], time.time() + 20
while not late and time.time() < until:
    producer.produce("c-one", b"late")
    producer.flush(10)
    late = read(consumer, 1, 0.5)
assert late and set(late) == {b"late"}, late[:3]
consumer.close()

groups = {g.group_id for g in admin.list_consumer_groups().result(10).valid}
assert {"c-readers", "c-late"} <= groups, groups
