"""Signs in by every mechanism, in both libraries, with and without TLS; a wrong password is refused."""
import sys
import confluent_kafka as ck
from confluent_kafka.admin import AdminClient
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError

address, ca = sys.argv[1], sys.argv[2]
protocol = "SASL_SSL" if ca != "none" else "SASL_PLAINTEXT"
for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]:
    kp = dict(bootstrap_servers=address, security_protocol=protocol, sasl_mechanism=mechanism,
              sasl_plain_username="ann", sasl_plain_password="pencil, no.2")
    conf = {"bootstrap.servers": address, "security.protocol": protocol, "sasl.mechanism": mechanism,
            "sasl.username": "ann", "sasl.password": "pencil, no.2"}
    if ca != "none":
        kp["ssl_cafile"] = conf["ssl.ca.location"] = ca
    producer = KafkaProducer(**kp)
    producer.send("secret", mechanism.encode()).get(10)
    producer.close()
    consumer = ck.Consumer({**conf, "group.id": mechanism, "auto.offset.reset": "earliest"})
    consumer.subscribe(["secret"])
    assert consumer.poll(15).value() == b"PLAIN"
    consumer.close()
    wrong = ck.Producer({**conf, "sasl.password": "pen"})
    wrong.produce("secret", b"no")
    assert wrong.flush(1.0) == 1, "a wrong password is refused"
    wrong.purge()
    # bob may only read.
    bob = ck.Producer({**conf, "sasl.username": "bob", "sasl.password": "b"})
    errors = []
    bob.produce("secret", b"no", on_delivery=lambda error, _: errors.append(error))
    bob.flush(10)
    assert errors[0].code() == ck.KafkaError.TOPIC_AUTHORIZATION_FAILED, errors
