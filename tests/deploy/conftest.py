"""The files of deploy/, and Prometheus' own checker to hold them to."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.installed import installed

ROOT = Path(__file__).parents[2]

Promtool = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def root() -> Path:
    return ROOT


@pytest.fixture
def promtool() -> Promtool:
    found = installed("promtool", "prometheus")

    def run(*arguments: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [found, *map(str, arguments)], input=given, capture_output=True, text=True, timeout=60, check=False
        )

    return run
