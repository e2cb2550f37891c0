"""Goes on after the server began again: each library exactly where it, or the other one, had committed."""
import sys
import confluent_kafka as ck
from kafka import KafkaConsumer

address = sys.argv[1]
rest = [b"%d" % i for i in range(60, 100)]
# Each library reads the group of the other.
consumer = KafkaConsumer("kept", bootstrap_servers=address, group_id="ck", auto_offset_reset="earliest",
                         enable_auto_commit=False, consumer_timeout_ms=3000)
assert [m.value for m in consumer] == rest
consumer.close()
consumer = ck.Consumer({"bootstrap.servers": address, "group.id": "kp", "auto.offset.reset": "earliest",
                        "enable.auto.commit": False})
consumer.subscribe(["kept"])
values = []
while message := consumer.poll(3 if values else 15):
    values.append(message.value())
    if len(values) == 40:
        break
assert values == rest, values[:3]
assert consumer.poll(1) is None
consumer.close()
