"""A real Apache Kafka for tests: one node in KRaft mode, on free ports of 127.0.0.1, in a folder of its own.

The jars come from Maven Central by `mvn` (pom.xml beside this file) the first time, into `.cache/kafka-<version>` of the
repository; after that nothing is fetched. By hand:

    python tests/kafka/node.py            # prints the address, runs until Ctrl-C
    python tests/kafka/node.py --secure   # also a listener with SASL and one with SASL over TLS
"""

from __future__ import annotations

import argparse
import ctypes
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
# Who may sign in at the listeners that ask for it: by PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 alike.
USER, PASSWORD = "alice", "wonder-land"
CLUSTER_ID = "cGl0dC1icm9rZXItdGVzdA"
# Long enough for a cold start on a loaded machine; a node that dies is noticed at once.
START_SECONDS = 120


class Missing(Exception):
    """Java or Maven is not there, or the jars cannot be had."""


def version() -> str:
    """The version of Kafka that pom.xml names."""
    return re.search(r"kafka_2\.13</artifactId>\s*<version>([^<]+)", (HERE / "pom.xml").read_text()).group(1)


def jars() -> pathlib.Path:
    """The folder of Kafka's jars, fetched by Maven if this is the first time."""
    folder = REPOSITORY / ".cache" / f"kafka-{version()}"
    if (folder / "complete").exists():
        if shutil.which("java") is None:
            raise Missing("there is no `java` (Debian: openjdk-17-jre-headless)")
        return folder
    for program, package in (("java", "openjdk-17-jre-headless"), ("mvn", "maven")):
        if shutil.which(program) is None:
            raise Missing(f"there is no `{program}` (Debian: {package})")
    print(f"fetching Apache Kafka {version()} from Maven Central", file=sys.stderr)
    command = ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies"]
    command += ["-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Missing(f"`mvn` could not fetch Kafka's jars: {(done.stdout + done.stderr).strip()[-2000:]}")
    (folder / "complete").touch()
    return folder


def free_ports(count: int) -> list[int]:
    """`count` ports that nobody listens on just now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def listens(address: str) -> bool:
    """Whether somebody takes connections at `host:port`."""
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def dies_with_us() -> None:
    """In a child before it becomes another program: ends it when this process ends, however that happens (Linux)."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class Certificates:
    """An authority made up for one test, and the certificate of 127.0.0.1 that it signed, as PEM files."""

    def __init__(self, folder: pathlib.Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = folder / "ca.pem"
        self.keystore = folder / "keystore.pem"
        self.certificate = folder / "server.pem"
        self.key = folder / "server.key"
        extensions = folder / "server.ext"
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        new_key = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-batch"]
        self._run(*new_key, "-x509", "-days", "2", "-subj", "/CN=pitt test authority",
                  "-keyout", folder / "ca.key", "-out", self.authority)
        self._run(*new_key, "-subj", "/CN=localhost", "-keyout", self.key, "-out", folder / "server.csr")
        self._run("openssl", "x509", "-req", "-days", "2", "-in", folder / "server.csr", "-CA", self.authority,
                  "-CAkey", folder / "ca.key", "-CAcreateserial", "-extfile", extensions, "-out", self.certificate)
        self.keystore.write_text(self.key.read_text() + self.certificate.read_text())

    @staticmethod
    def _run(*command) -> None:
        subprocess.run([str(word) for word in command], check=True, capture_output=True)


class Process:
    """A server in a process of its own, whose console goes into its folder."""

    folder: pathlib.Path
    process: subprocess.Popen | None = None

    def start(self) -> Process:
        raise NotImplementedError

    def stop(self) -> None:
        """Ends it in order."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Process:
        return self.start()

    def __exit__(self, *_) -> None:
        self.stop()

    def console(self) -> str:
        """The end of what it printed."""
        path = self.folder / "console.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""


class Kafka(Process):
    """One node. Its ports and its folder stay the same through `kill` and `start`."""

    kind = "Apache Kafka"

    def __init__(self, folder: pathlib.Path, secure: bool = False, heap_mb: int = 512,
                 for_speed: bool = False, extra: dict | None = None, port: int | None = None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.heap_mb, self.for_speed = heap_mb, for_speed
        self.jars = jars()
        plain, controller, sasl, tls = free_ports(4)
        plain = port or plain
        self.servers = f"127.0.0.1:{plain}"
        self.sasl_servers = f"127.0.0.1:{sasl}" if secure else None
        self.tls_servers = f"127.0.0.1:{tls}" if secure else None
        self.certificates = Certificates(self.folder / "certificates") if secure else None
        self.process: subprocess.Popen | None = None
        # Settings that go over the test's own.
        self._extra = extra or {}
        self._settings = self.folder / "server.properties"
        self._write_settings(plain, controller, sasl, tls)
        self._format()

    def start(self) -> Kafka:
        """Starts the node and returns when it answers."""
        log = open(self.folder / "console.log", "ab")
        self.process = subprocess.Popen(
            self._java("kafka.Kafka", str(self._settings)), stdout=log, stderr=log, preexec_fn=dies_with_us)
        log.close()
        self._wait_until_it_answers()
        return self

    def stop(self) -> None:
        """Ends the node in order; kills it if it does not end within a minute."""
        try:
            super().stop()
        except subprocess.TimeoutExpired:
            self.kill()

    def _java(self, *words: str) -> list[str]:
        # One compiler and one collector thread: a test wants a quick start and little memory, a bench Kafka's own choice.
        quick = ["-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        speed = ["-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35"]
        options = [f"-Xmx{self.heap_mb}m", *(speed if self.for_speed else quick)]
        options += [f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"]
        return ["java", *options, "-cp", f"{self.jars}/*", *words]

    def _format(self) -> None:
        command = self._java("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(self._settings))
        if self.sasl_servers:
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
                command += ["--add-scram", f"{mechanism}=[name={USER},password={PASSWORD}]"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"Kafka's folder could not be formatted: {done.stdout}{done.stderr}")

    def _wait_until_it_answers(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})
        give_up = time.monotonic() + START_SECONDS
        while time.monotonic() < give_up:
            if self.process.poll() is not None:
                raise RuntimeError(f"Kafka ended with {self.process.returncode}: {self.console()}")
            try:
                admin.list_topics(timeout=1)
                return
            except KafkaException:
                time.sleep(0.1)
        raise RuntimeError(f"Kafka did not answer within {START_SECONDS} s: {self.console()}")

    def _write_settings(self, plain: int, controller: int, sasl: int, tls: int) -> None:
        listeners = {"PLAINTEXT": plain}
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"}
        if self.sasl_servers:
            listeners |= {"SASL": sasl, "TLS": tls}
            protocols |= {"SASL": "SASL_PLAINTEXT", "TLS": "SASL_SSL"}
        addresses = ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items())
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"{addresses},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": addresses,
            "listener.security.protocol.map": ",".join(f"{k}:{v}" for k, v in protocols.items()),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": self.folder / "data",
            "auto.create.topics.enable": "true",
            "num.partitions": 4,
            "message.max.bytes": 12 << 20,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 5,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 5,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 200,
            # A killed node is let in again once its old session has ended.
            "broker.session.timeout.ms": 2000,
            "broker.heartbeat.interval.ms": 500,
            # Short sessions are asked for by tests that let a member die.
            "group.min.session.timeout.ms": 1000,
        } | (self._signing_in() if self.sasl_servers else {}) | self._extra
        self._settings.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))

    def _signing_in(self) -> dict:
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        plain = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        settings = {
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self.certificates.keystore,
        }
        for listener in ("sasl", "tls"):
            settings |= {
                f"listener.name.{listener}.plain.sasl.jaas.config": plain,
                f"listener.name.{listener}.scram-sha-256.sasl.jaas.config": scram,
                f"listener.name.{listener}.scram-sha-512.sasl.jaas.config": scram,
            }
        return settings


def main() -> None:
    """Runs a node by hand."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--secure", action="store_true", help="also listeners with SASL, without and with TLS")
    words.add_argument("--folder", type=pathlib.Path, help="where to keep the data [default: a temporary folder]")
    asked = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="pitt-kafka-") as temporary:
        with Kafka(asked.folder or pathlib.Path(temporary), asked.secure) as node:
            print(f"Apache Kafka {version()} listens on {node.servers}")
            if node.sasl_servers:
                print(f"SASL on {node.sasl_servers}, SASL over TLS on {node.tls_servers}: {USER} / {PASSWORD}")
                print(f"authority: {node.certificates.authority}")
            try:
                signal.pause()
            except KeyboardInterrupt:
                pass


if __name__ == "__main__":
    main()
