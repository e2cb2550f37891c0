"""Transactions through both of Python's Kafka libraries: commit, abort, offsets, a zombie."""
import sys
import time
import confluent_kafka as ck
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

address = sys.argv[1]


def seen_by_confluent(topic, isolation):
    consumer = ck.Consumer({"bootstrap.servers": address, "group.id": "count", "isolation.level": isolation,
                            "enable.partition.eof": True, "enable.auto.commit": False})
    consumer.assign([ck.TopicPartition(topic, 0, ck.OFFSET_BEGINNING)])
    values, until = [], time.time() + 30
    while time.time() < until:
        message = consumer.poll(0.5)
        if message is None:
            continue
        if message.error():
            assert message.error().code() == ck.KafkaError._PARTITION_EOF, message.error()
            break
        values.append(message.value())
    consumer.close()
    return values


def seen_by_kafka_python(topic, isolation):
    consumer = KafkaConsumer(bootstrap_servers=address, isolation_level=isolation, consumer_timeout_ms=2000)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    values = [m.value for m in consumer]
    consumer.close()
    return values


def check(topic, committed, everything):
    for seen in (seen_by_confluent, seen_by_kafka_python):
        assert seen(topic, "read_committed") == committed, (topic, seen)
        assert sorted(seen(topic, "read_uncommitted")) == sorted(everything), (topic, seen)


numbers = [b"%d" % i for i in range(30)]
producer = ck.Producer({"bootstrap.servers": address, "transactional.id": "confluent"})
producer.init_transactions(20)
for begin in (0, 10, 20):
    producer.begin_transaction()
    for value in numbers[begin:begin + 10]:
        producer.produce("by-confluent", value)
    if begin == 10:
        producer.flush(20)
        producer.abort_transaction(20)
    else:
        producer.commit_transaction(20)
check("by-confluent", numbers[:10] + numbers[20:], numbers)

zombie = producer
zombie.begin_transaction()
zombie.produce("by-confluent", b"from the dead")
zombie.flush(20)
successor = ck.Producer({"bootstrap.servers": address, "transactional.id": "confluent"})
successor.init_transactions(20)
try:
    zombie.commit_transaction(20)
    raise SystemExit("the zombie committed")
except ck.KafkaException as fenced:
    assert fenced.args[0].fatal(), fenced
check("by-confluent", numbers[:10] + numbers[20:], numbers + [b"from the dead"])

producer = KafkaProducer(bootstrap_servers=address, transactional_id="kafka-python")
producer.init_transactions()
for begin in (0, 10, 20):
    producer.begin_transaction()
    for value in numbers[begin:begin + 10]:
        producer.send("by-kafka-python", value)
    producer.flush()
    if begin == 10:
        producer.abort_transaction()
    else:
        producer.commit_transaction()
producer.close()
check("by-kafka-python", numbers[:10] + numbers[20:], numbers)
print("good")
