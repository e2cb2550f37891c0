"""Produces and consumes while the server ends and begins again: nothing lost, nothing written twice."""
import sys
import threading
import time
import confluent_kafka as ck

address, n = sys.argv[1], 3000
settings = {"bootstrap.servers": address, "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 200}
errors = []


def produce():
    producer = ck.Producer({**settings, "enable.idempotence": True, "linger.ms": 1})
    for i in range(n):
        producer.produce("through", b"%d" % i, on_delivery=lambda error, _: error and errors.append(error))
        producer.poll(0)
        time.sleep(0.001)
    assert producer.flush(30) == 0


thread = threading.Thread(target=produce)
thread.start()
consumer = ck.Consumer({**settings, "group.id": "g", "auto.offset.reset": "earliest", "session.timeout.ms": 3000})
consumer.subscribe(["through"])
seen, until = set(), time.time() + 60
while len(seen) < n and time.time() < until:
    seen |= {m.value() for m in consumer.consume(500, 0.2) if not m.error()}
thread.join()
assert not errors, errors[:3]
assert seen == {b"%d" % i for i in range(n)}, len(seen)
partition = ck.TopicPartition("through", 0)
assert consumer.get_watermark_offsets(partition, timeout=10) == (0, n), "written once each"
consumer.close()
