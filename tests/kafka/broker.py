"""`pitt run` as a test sees it: its settings, its process, and what it has done so far."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import time

from node import dies_with_us
from reckoning import received

# A wait is a poll with a limit far beyond what a slow machine needs.
PATIENCE = 180


def pitt() -> pathlib.Path:
    """The program under test: PITT_BIN, else the development build."""
    default = pathlib.Path(__file__).resolve().parents[2] / "target/debug/pitt"
    return pathlib.Path(os.environ.get("PITT_BIN", default))


class Settings(dict):
    """Settings of a broker as nested dictionaries; a list of dictionaries is an array of tables."""

    def toml(self) -> str:
        """As a settings file."""
        plain = [f"{key} = {_value(value)}" for key, value in self.items() if not _is_table(value)]
        tables = []
        for key, value in self.items():
            if _is_table(value):
                for one in value if isinstance(value, list) else [value]:
                    tables.append(f"\n[[{key}]]" if isinstance(value, list) else f"\n[{key}]")
                    tables += [f"{name} = {_value(inner)}" for name, inner in one.items()]
        return "\n".join(plain + tables) + "\n"


def _is_table(value) -> bool:
    return isinstance(value, dict) or isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _value(value) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_value(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(str(value) if isinstance(value, pathlib.Path) else value)


class Broker:
    """One broker over one archive, started and ended as often as a test wants."""

    def __init__(self, folder: pathlib.Path, settings: Settings, archive: pathlib.Path | None = None):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.archive = archive or self.folder / "archive"
        self.settings = self.folder / "pitt.toml"
        self.settings.write_text(Settings({"archive": self.archive} | settings).toml())
        self.process: subprocess.Popen | None = None
        self.kills = 0
        self._log = self.folder / "pitt.log"

    def start(self, environment: dict | None = None) -> Broker:
        """Starts `pitt run`, with `environment` over the test's own."""
        command = [str(pitt()), "-c", str(self.settings), "run", "--json"]
        with open(self._log, "ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, preexec_fn=dies_with_us, env=os.environ | (environment or {}))
        return self

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()
        self.kills += 1

    def stop(self) -> int:
        """Ends the broker as Ctrl-C does; returns its exit code."""
        if self.process is None or self.process.poll() is not None:
            return self.process.returncode if self.process else 0
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"`pitt run` did not end after SIGINT: {self.log()}") from None

    def __enter__(self) -> Broker:
        return self.start()

    def __exit__(self, *_) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.stop()

    def summary(self) -> dict:
        """The counts that the last life printed at its end."""
        text = self._log.read_text(errors="replace")
        return json.loads(text[text.rindex("\n{") if "\n{" in text else text.index("{"):])

    def log(self) -> str:
        """The end of what the broker said."""
        return self._log.read_text(errors="replace")[-4000:] if self._log.exists() else ""

    def wait_for(self, what: str, ready, patience: float = PATIENCE) -> None:
        """Returns when `ready()` is true; fails when the broker ends before, or takes longer than `patience` s."""
        give_up = time.monotonic() + patience
        while not ready():
            if self.process.poll() is not None and not ready():
                raise AssertionError(f"`pitt run` ended with {self.process.returncode} before {what}: {self.log()}")
            if time.monotonic() > give_up:
                raise AssertionError(f"no {what} after {patience} s: {self.log()}")
            time.sleep(0.1)

    def wait_until_received(self, messages: int, patience: float = PATIENCE) -> None:
        """Returns when the archive has taken so many messages for good."""
        self.wait_for(f"{messages} messages in the archive (now {received(self.archive)})",
                      lambda: received(self.archive) >= messages, patience)
