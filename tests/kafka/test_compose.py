"""compose.yaml as far as it can be tried without a container engine: Kafka runs with its settings, pitt reads its own."""

from __future__ import annotations

import subprocess

import node
import yaml

COMPOSE = node.REPOSITORY / "compose.yaml"


def test_kafka_takes_the_settings_of_compose(tmp_path, kafka):
    """The image makes `log.dirs` of `KAFKA_LOG_DIRS` and so on; a node starts with the settings that come of it."""
    service = yaml.safe_load(COMPOSE.read_text())["services"]["kafka"]
    settings = {name.removeprefix("KAFKA_").lower().replace("_", "."): str(value)
                for name, value in service["environment"].items() if name.startswith("KAFKA_")}
    inside, outside, controller = node.free_ports(3)
    for name in settings:
        for here, there in (("kafka:19092", f"127.0.0.1:{inside}"), ("localhost:9092", f"127.0.0.1:{outside}"),
                            ("kafka:9093", f"127.0.0.1:{controller}"), ("//:19092", f"//127.0.0.1:{inside}"),
                            ("//:9092", f"//127.0.0.1:{outside}"), ("//:9093", f"//127.0.0.1:{controller}")):
            settings[name] = settings[name].replace(here, there)
    settings["log.dirs"] = tmp_path / "data"
    running = node.Kafka(tmp_path / "node", extra=settings)
    running.servers = f"127.0.0.1:{outside}"
    with running:
        assert running.process.poll() is None
    assert len(service["environment"]["CLUSTER_ID"]) == 22, "16 bytes in base64"


def test_pitt_takes_the_settings_of_compose(program):
    """The settings file that compose.yaml mounts is one."""
    mounted = next(one.split(":")[0] for one in yaml.safe_load(COMPOSE.read_text())["services"]["pitt"]["volumes"]
                   if "pitt.toml" in one)
    command = [program, "-c", node.REPOSITORY / mounted, "config", "show"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "kafka:19092" in done.stdout
