"""Types: the packages, and a user's code against them, hold before mypy; the stubs are those of the native module."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pitt_broker
import pytest

HERE = pathlib.Path(__file__).parent


def mypy(tmp_path: pathlib.Path, *words: str) -> None:
    # As a user has them: the installed packages, from a folder without sources.
    ended = subprocess.run([sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_users_code_and_the_packages_are_typed(tmp_path):
    config = f"--config-file={HERE / 'mypy.ini'}"
    cache = f"--cache-dir={tmp_path}"
    mypy(tmp_path, "mypy", config, cache, "-p", "pitt_broker", "-p", "mock_stream")
    mypy(tmp_path, "mypy", config, cache, str(HERE / "usage.py"))


def test_the_stubs_are_the_native_modules(tmp_path):
    mypy(tmp_path, "mypy.stubtest", "pitt_broker._native")


@pytest.mark.parametrize("name", pitt_broker.__all__)
def test_everything_public_is_documented(name):
    thing = getattr(pitt_broker, name)
    assert name == "__version__" or (thing.__doc__ and len(thing.__doc__) > 20), name


def test_every_error_has_the_common_base():
    errors = [getattr(pitt_broker, name) for name in pitt_broker.__all__ if name.endswith("Error")]
    assert len(errors) >= 7 and all(issubclass(error, pitt_broker.PittError) for error in errors)
