"""Reloading as an operator does it: a command or a signal to a process that serves, under load."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.process import ROOT, Process, eventually


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with Process(tmp_path_factory.mktemp("r") / "d", configuration()) as process:
        yield process


def configuration(**policy: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
    found["policies"]["default"] |= {
        "code": {"cooldown": "0s"},
        "limits": {"destination-10m": None},
        "fraud": None,
    } | policy
    return found


def say(gateway: Process, config: Any) -> None:
    """Replace the file in one step, as editors and deployments do."""
    draft = gateway.config.with_suffix(".draft")
    draft.write_text(yaml.safe_dump(config))
    draft.replace(gateway.config)


def reload(gateway: Process) -> tuple[int, str, str]:
    done = gateway.run("reload", "--config", str(gateway.config))
    return done.returncode, done.stdout, done.stderr


def test_the_command_says_what_the_gateway_took_over(gateway: Process) -> None:
    assert gateway.call("POST", "/v1/verifications", {"to": {"phone": "+85251234567"}}).status == 403
    say(gateway, configuration(countries={"allow": ["US", "HK"]}))
    code, out, err = reload(gateway)
    assert (code, err) == (0, "")
    assert out.startswith(f"process {gateway.process.pid} has taken over revision ")
    assert gateway.call("POST", "/v1/verifications", {"to": {"phone": "+85251234567"}}).status == 201


def test_the_command_prints_the_faults_of_what_was_refused_and_ends_with_1(gateway: Process) -> None:
    reload(gateway)
    say(gateway, configuration(code={"length": 99}))
    code, out, err = reload(gateway)
    assert code == 1
    assert out.startswith(f"process {gateway.process.pid} keeps revision ")
    assert "policies.default.code.length: is too large. Write 10 or less." in err
    gateway.config.write_text("mode: [")
    code, out, err = reload(gateway)
    assert (code, out) == (1, "")
    assert "this is not YAML" in err
    assert gateway.start_one("+14155550100")["status"] == "pending"


def test_a_signal_does_the_same(gateway: Process) -> None:
    before = gateway.log.read_text().count('"event":"configuration.loaded"')
    say(gateway, configuration(code={"length": 8, "cooldown": "0s"}))
    os.kill(gateway.process.pid, signal.SIGHUP)
    eventually(lambda: gateway.log.read_text().count('"event":"configuration.loaded"') == before + 1)
    assert gateway.process.poll() is None


def test_no_request_fails_while_it_reloads_again_and_again(gateway: Process) -> None:
    answers: list[int] = []
    stop = threading.Event()

    def load(number: int) -> None:
        while not stop.is_set():
            to = {"phone": f"+141555501{number:02d}"}
            answers.append(gateway.call("POST", "/v1/verifications", {"to": to}).status)

    generous = {name: {"amount": 100_000} for name in ("destination-day", "destination-anyone-hour", "app-hour")}
    generous |= {"prefix-hour": {"amount": 100_000}, "ip-hour": None, "network-hour": None}
    generous |= {"device-hour": None, "destination-10m": None}
    threads = [threading.Thread(target=load, args=(26 + number,)) for number in range(3)]
    say(gateway, configuration(limits=generous))
    assert reload(gateway)[0] == 0
    for thread in threads:
        thread.start()
    for turn in range(8):
        changed = configuration(limits=generous)
        changed["providers"]["simulator"]["timeout"] = 5 + turn  # built anew each time
        say(gateway, changed)
        assert reload(gateway)[0] == 0
    stop.set()
    for thread in threads:
        thread.join()
    assert len(answers) > 20
    assert set(answers) == {201}


def test_a_gateway_that_is_not_there_is_said_to_be_not_there(gateway: Process, tmp_path: Path) -> None:
    done = gateway.run("reload", OTP_GATEWAY__STORE__DIRECTORY=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: no running gateway is found in {tmp_path}.")


def test_it_is_gone_from_its_folder_when_it_has_stopped(tmp_path: Path) -> None:
    with Process(tmp_path / "d", configuration()) as gateway:
        assert list(gateway.data.glob("gateway-*.json"))
        gateway.stop()
        assert not list(gateway.data.glob("gateway-*.json"))
