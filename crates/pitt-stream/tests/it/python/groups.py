"""Two members share, one leaves, another dies silently: the rest takes over. Both libraries."""
import subprocess
import sys
import threading
import time
import confluent_kafka as ck
from kafka import KafkaConsumer, KafkaProducer

address = sys.argv[1]
if len(sys.argv) > 2:
    # A member that will be killed.
    consumer = KafkaConsumer("shared", bootstrap_servers=address, group_id="kp", auto_offset_reset="earliest",
                             session_timeout_ms=2000, heartbeat_interval_ms=500)
    while True:
        consumer.poll(200)
        print(len(consumer.assignment()), flush=True)


class Member(threading.Thread):
    """Polls until told to stop, then leaves."""

    def __init__(self, kind):
        super().__init__(daemon=True)
        self.kind, self.stopping, self.owned, self.values = kind, False, 0, []

    def run(self):
        if self.kind == "kp":
            consumer = KafkaConsumer("shared", bootstrap_servers=address, group_id="kp", auto_offset_reset="earliest",
                                     session_timeout_ms=2000, heartbeat_interval_ms=500)
            while not self.stopping:
                for messages in consumer.poll(200).values():
                    self.values += [m.value for m in messages]
                self.owned = len(consumer.assignment())
        else:
            consumer = ck.Consumer({"bootstrap.servers": address, "group.id": "ck", "auto.offset.reset": "earliest",
                                    "session.timeout.ms": 2000, "heartbeat.interval.ms": 500})
            consumer.subscribe(["shared"])
            while not self.stopping:
                self.values += [m.value() for m in consumer.consume(100, 0.2)]
                self.owned = len(consumer.assignment())
        consumer.close()

    def stop(self):
        self.stopping = True
        self.join(15)


def wait(done, what):
    until = time.time() + 25
    while not done():
        assert time.time() < until, what
        time.sleep(0.05)


producer = KafkaProducer(bootstrap_servers=address)
for i in range(400):
    producer.send("shared", b"%d" % i, partition=i % 4)
producer.flush()
for kind in ["kp", "ck"]:
    first, second = Member(kind), Member(kind)
    first.start()
    wait(lambda: len(first.values) == 400, f"{kind}: one member reads everything")
    second.start()
    wait(lambda: (first.owned, second.owned) == (2, 2), f"{kind}: two members share")
    first.stop()
    wait(lambda: second.owned == 4, f"{kind}: who stays takes over")
    for i in range(400, 440):
        producer.send("shared", b"%d" % i, partition=i % 4)
    producer.flush()
    wait(lambda: len(set(second.values)) >= 40, f"{kind}: and reads on")
    if kind == "kp":
        killed = subprocess.Popen([sys.executable, __file__, address, "member"], stdout=subprocess.PIPE, text=True)
        for line in killed.stdout:
            if line.strip() == "2":
                break
        wait(lambda: second.owned == 2, "shares with the member that will be killed")
        killed.kill()
        killed.wait()
        begun = time.time()
        wait(lambda: second.owned == 4, "a killed member is replaced")
        print(f"replaced after {time.time() - begun:.1f} s")
    second.stop()
