"""`otp-gateway reload` signals only a process that it knows to be a gateway, here, and alive."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.cli import reload as command
from gateway.http.presence import Presence

ROOT = Path(__file__).parents[3]


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The signals that would have been sent."""
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: found.append((pid, number)))
    monkeypatch.setattr(command, "_PATIENCE", 0.02)
    monkeypatch.setattr(command, "_LOOK", 0.001)
    return found


def reload(folder: Path) -> Result:
    env = {"OTP_GATEWAY_CONFIG": str(ROOT / "config.yaml"), "OTP_GATEWAY__STORE__DIRECTORY": str(folder)}
    return CliRunner().invoke(main, ["reload"], env=env)


@pytest.fixture
def presence(tmp_path: Path) -> Any:
    found = Presence(tmp_path, "abc")
    yield found
    found.close()


def answering(presence: Presence, monkeypatch: pytest.MonkeyPatch, **told: Any) -> Callable[[int, int], None]:
    def answer(_pid: int, _number: int) -> None:
        presence.tell(replace(presence.told, reloads=presence.told.reloads + 1, **told))

    monkeypatch.setattr(os, "kill", answer)
    return answer


def test_a_process_of_another_container_is_never_signalled(
    tmp_path: Path, presence: Presence, killed: list[tuple[int, int]]
) -> None:
    presence.tell(replace(presence.told, pid=1, namespace="pid:[1]"))
    result = reload(tmp_path)
    assert (result.exit_code, killed) == (1, [])
    assert result.stderr == "process 1 runs in another container: send SIGHUP to it there.\n"


def test_a_file_that_a_dead_process_left_behind_signals_nobody(tmp_path: Path, killed: list[tuple[int, int]]) -> None:
    presence = Presence(tmp_path, "abc")
    left = (tmp_path / f"gateway-{os.getpid()}.json").read_text()
    presence.close()
    (tmp_path / f"gateway-{os.getpid()}.json").write_text(left)
    result = reload(tmp_path)
    assert (result.exit_code, killed) == (1, [])
    assert result.stderr.startswith(f"Error: no running gateway is found in {tmp_path}.")


def test_a_process_that_does_not_answer_is_said_not_to(
    tmp_path: Path, presence: Presence, killed: list[tuple[int, int]]
) -> None:
    result = reload(tmp_path)
    assert (result.exit_code, killed) == (1, [(os.getpid(), signal.SIGHUP)])
    assert result.stderr == f"process {os.getpid()} has not answered in 0.02 seconds: its log says more.\n"


def test_what_the_process_answers_is_passed_on(
    tmp_path: Path, presence: Presence, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(presence, monkeypatch, revision="def", warnings=("log.level: takes a restart.",))
    result = reload(tmp_path)
    assert (result.exit_code, result.stdout) == (0, f"process {os.getpid()} has taken over revision def\n")
    assert result.stderr == "warning: log.level: takes a restart.\n"
    answering(presence, monkeypatch, refused=("config.yaml:3: a fault.",))
    result = reload(tmp_path)
    assert (result.exit_code, result.stdout) == (1, f"process {os.getpid()} keeps revision def\n")
    assert "config.yaml:3: a fault.\n" in result.stderr


def test_a_process_that_reads_another_file_is_left_alone_and_its_file_is_named(
    tmp_path: Path, killed: list[tuple[int, int]]
) -> None:
    presence = Presence(tmp_path, "abc", "/etc/otp/other.yaml")
    result = reload(tmp_path)
    presence.close()
    assert (result.exit_code, killed) == (1, [])
    assert result.stderr == (
        f"process {os.getpid()} was started with /etc/otp/other.yaml and reads no other: name it with --config.\n"
    )


def test_a_process_that_reads_that_very_file_is_signalled(tmp_path: Path, killed: list[tuple[int, int]]) -> None:
    presence = Presence(tmp_path, "abc", str(ROOT / "config.yaml"))
    reload(tmp_path)
    presence.close()
    assert killed == [(os.getpid(), signal.SIGHUP)]


def test_workers_are_signalled_through_their_parent_once_and_each_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = []
    for pid in (101, 102):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        there.append(Presence(tmp_path, "abc", parent=77))
    signalled = []

    def parent(pid: int, number: int) -> None:
        signalled.append((pid, number))
        for one, refused in zip(there, ((), ("config.yaml:3: a fault.",)), strict=True):
            one.tell(replace(one.told, reloads=1, refused=refused, warnings=("log.level: takes a restart.",)))

    monkeypatch.setattr(os, "kill", parent)
    monkeypatch.setattr(command, "_PATIENCE", 0.02)
    result = reload(tmp_path)
    assert signalled == [(77, signal.SIGHUP)]
    assert result.exit_code == 1
    assert result.stdout == "process 101 has taken over revision abc\nprocess 102 keeps revision abc\n"
    assert result.stderr == "warning: log.level: takes a restart.\nconfig.yaml:3: a fault.\n"
    for one in there:
        one.close()
