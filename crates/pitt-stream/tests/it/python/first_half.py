"""Reads 60 of 100 messages in each library and commits."""
import sys
import confluent_kafka as ck
from kafka import KafkaConsumer, KafkaProducer

address = sys.argv[1]
producer = KafkaProducer(bootstrap_servers=address)
for i in range(100):
    producer.send("kept", b"%d" % i)
producer.flush()
consumer = KafkaConsumer("kept", bootstrap_servers=address, group_id="kp", auto_offset_reset="earliest",
                         enable_auto_commit=False, max_poll_records=60)
seen = 0
while seen < 60:
    seen += sum(map(len, consumer.poll(500, max_records=60 - seen).values()))
consumer.commit()
consumer.close()
consumer = ck.Consumer({"bootstrap.servers": address, "group.id": "ck", "auto.offset.reset": "earliest",
                        "enable.auto.commit": False})
consumer.subscribe(["kept"])
for _ in range(60):
    message = consumer.poll(15)
    consumer.commit(message, asynchronous=False)
consumer.close()
