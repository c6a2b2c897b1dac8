"""Several processes on one port, as an operator runs them: load, kills, signals, scrapes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.process import ROOT, Process, eventually

WORKERS = 3
TWO = {"OTP_GATEWAY__SERVER__WORKERS": "2"}
CODE = "482913"
LIMITS = ("destination-10m", "destination-day", "destination-anyone-hour", "ip-hour", "device-hour", "prefix-hour")


def configuration(**policy: Any) -> dict[str, Any]:
    """Nobody is limited, and an SMS that nobody hears of is followed by another message after two seconds."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
    found["engine"]["lease"] = "4s"
    found["providers"]["simulator"] |= {"timeout": 1, "secret": {"env": "SIMULATOR_SECRET"}}
    default = found["policies"]["default"] | {"code": {"cooldown": "0s"}} | policy
    default["limits"] = {**dict.fromkeys(LIMITS), "app-hour": {"amount": 1_000_000}}
    default["fallback"] = [{"channel": "sms", "wait": "2s"}, {"channel": "whatsapp", "wait": "1m"}]
    found["policies"] = {"default": default}
    found["apps"]["demo"]["policies"] = {"*": "default"}
    return found


def several(data: Path, config: dict[str, Any] | None = None, **env: str) -> Process:
    env = {"OTP_GATEWAY__SERVER__WORKERS": str(WORKERS), "SIMULATOR_SECRET": "s" * 32, **env}
    return Process(data, config or configuration(), **env)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with several(tmp_path_factory.mktemp("w") / "d") as process:
        yield process


def lines(gateway: Process, event: str, **fields: Any) -> list[dict[str, Any]]:
    whole = gateway.log.read_text().rpartition("\n")[0]  # the last may still be being written
    found = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] == event and all(line.get(k) == v for k, v in fields.items())]


def pids(gateway: Process) -> dict[int, int]:
    """Who works now, by place."""
    return {line["worker"]: line["pid"] for line in lines(gateway, "worker.started")}


def checked(gateway: Process, id_: str) -> str:
    verdict: str = gateway.call("POST", f"/v1/verifications/{id_}/check", {"code": CODE}).json["verdict"]
    return verdict


class Load:
    """Starts from several threads, each to the number that is told nothing of its SMS."""

    def __init__(self, gateway: Process) -> None:
        self.gateway = gateway
        self.acknowledged: list[str] = []
        self.broken = 0
        self._over = threading.Event()

    def stop(self) -> None:
        self._over.set()

    def run(self) -> None:
        while not self._over.is_set():
            body = {"to": {"phone": "+14155550104"}, "code": CODE}
            try:
                answer = self.gateway.call("POST", "/v1/verifications", body)
            except (urllib.error.URLError, OSError):
                self.broken += 1  # the connection ended with its worker: nothing was promised
                time.sleep(0.02)
                continue
            if answer.status == 201:
                self.acknowledged.append(answer.json["id"])


@contextmanager
def load(gateway: Process, threads: int = 4) -> Iterator[Load]:
    found = Load(gateway)
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(threads):
            pool.submit(found.run)
        try:
            yield found
        finally:
            found.stop()


def test_starts_are_spread_and_any_worker_checks_what_another_one_started(gateway: Process) -> None:
    ids = [gateway.start_one("+14155550100", code=CODE)["id"] for _ in range(40)]
    assert {line["worker"] for line in lines(gateway, "verification.started")} == set(range(WORKERS))
    assert [checked(gateway, id_) for id_ in ids] == ["approved"] * 40
    assert [checked(gateway, id_) for id_ in ids] == ["spent"] * 40
    began = {line["verification"]: line["worker"] for line in lines(gateway, "verification.started")}
    ended = {line["verification"]: line["worker"] for line in lines(gateway, "verification.approved")}
    assert sum(began[id_] != ended[id_] for id_ in ids) > 5


def test_of_simultaneous_right_codes_over_all_workers_one_is_approved(gateway: Process) -> None:
    for _ in range(5):
        id_ = gateway.start_one("+14155550100", code=CODE)["id"]
        with ThreadPoolExecutor(12) as pool:
            verdicts = Counter(pool.map(lambda _: checked(gateway, id_), range(12)))  # noqa: B023
        assert verdicts == {"approved": 1, "spent": 11}


def samples(text: str, family: str) -> dict[str, float]:
    """The samples of a family, by their labels."""
    found = re.findall(rf"^{family}\{{(.*)\}} (\S+)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def test_one_scrape_tells_of_all_workers_and_their_counts_add_up(gateway: Process) -> None:
    before = sum(v for k, v in samples(gateway.metrics(), "otp_verifications_total").items() if '"started"' in k)
    for _ in range(20):
        gateway.start_one("+14155550100", code=CODE)
    text = gateway.metrics()
    after = {k: v for k, v in samples(text, "otp_verifications_total").items() if '"started"' in k}
    assert sum(after.values()) == before + 20
    assert {re.match(r'worker="(\d+)"', labels)[1] for labels in after} == {"0", "1", "2"}  # type: ignore[index]
    found = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_a_worker_that_hangs_is_left_out_of_a_scrape(gateway: Process) -> None:
    hanging = pids(gateway)[1]
    os.kill(hanging, signal.SIGSTOP)
    try:
        text = gateway.metrics()
    finally:
        os.kill(hanging, signal.SIGCONT)
    assert 'worker="0"' in text
    assert 'worker="1"' not in text


def test_a_reload_is_taken_over_by_all_or_refused_by_all_and_each_says_so(data: Path) -> None:
    with several(data) as gateway:
        there = set(pids(gateway).values())
        gateway.config.write_text(json.dumps(configuration(code={"length": 8, "cooldown": "0s"})))
        done = gateway.run("reload", "--config", str(gateway.config))
        said = dict(re.findall(r"process (\d+) has taken over revision (\w+)", done.stdout))
        assert (done.returncode, {int(pid) for pid in said}, len(set(said.values()))) == (0, there, 1)
        assert len(revisions(gateway)) == WORKERS
        assert len(set(revisions(gateway).values())) == 1
        good = revisions(gateway)[0]
        gateway.config.write_text("mode: [")
        gateway.process.send_signal(signal.SIGHUP)
        eventually(lambda: {line["worker"] for line in lines(gateway, "configuration.refused")} == set(range(WORKERS)))
        # and who takes the place of a dead one starts with what the others have, though the file is broken
        os.kill(pids(gateway)[2], signal.SIGKILL)
        eventually(lambda: bool(lines(gateway, "worker.started", worker=2, restarts=1)))
        assert revisions(gateway) == dict.fromkeys(range(WORKERS), good)
        restarts = samples(gateway.metrics(), "otp_worker_restarts_total")
        assert restarts == {'worker="0"': 0, 'worker="1"': 0, 'worker="2"': 1}


def revisions(gateway: Process) -> dict[int, str]:
    """Of the policy, by worker."""
    labels = samples(gateway.metrics(), "otp_policy_info")
    found = [re.match(r'worker="(\d)",policy="default",revision="(\w+)"', one) for one in labels]
    return {int(one[1]): one[2] for one in found if one}


def test_a_worker_killed_under_load_loses_nothing_that_was_acknowledged(data: Path) -> None:
    with several(data) as gateway:
        with load(gateway) as under:
            eventually(lambda: len(under.acknowledged) > 30)
            os.kill(pids(gateway)[1], signal.SIGKILL)
            eventually(lambda: bool(lines(gateway, "worker.started", worker=1, restarts=1)))
            seen = len(under.acknowledged)
            eventually(lambda: len(under.acknowledged) > seen + 30)
        assert lines(gateway, "worker.ended", worker=1)[0]["status"] == -signal.SIGKILL
        its = {line["verification"] for line in lines(gateway, "verification.started", worker=1)}
        assert its & set(under.acknowledged)
        # The SMS of each is never heard of: whoever takes its timer over writes by WhatsApp.
        eventually(lambda: went_on(gateway) >= set(under.acknowledged), 20)
        sends = Counter(line["verification"] for line in lines(gateway, "fallback.taken"))
        assert set(sends.values()) == {1}
        assert {checked(gateway, id_) for id_ in under.acknowledged} == {"approved"}


def went_on(gateway: Process) -> set[str]:
    return {line["verification"] for line in lines(gateway, "fallback.taken", to_channel="whatsapp")}


def test_sigterm_ends_all_in_order_and_loses_nothing_that_was_acknowledged(data: Path) -> None:
    with several(data) as gateway:
        with load(gateway) as under:
            eventually(lambda: len(under.acknowledged) > 30)
            # as systemd does, to the whole group; the parent tells its workers once more, and that is no haste
            for pid in (*pids(gateway).values(), gateway.process.pid):
                os.kill(pid, signal.SIGTERM)
            assert gateway.process.wait(20) == 0
        assert [line["unfinished"] for line in lines(gateway, "gateway.stopped")] == [0] * WORKERS
        assert not (data / "valkey.sock").exists()
        gateway.start()
        assert {checked(gateway, id_) for id_ in under.acknowledged} == {"approved"}


def test_when_the_parent_is_killed_its_workers_end_and_another_takes_the_place(data: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    env = {"OTP_GATEWAY__SERVER__PORT": port, "OTP_GATEWAY__STORE__FSYNC": "always", **TWO}
    with several(data, **env) as gateway:
        started = gateway.start_one("+14155550104", code=CODE)["id"]
        second = gateway.run("serve", OTP_GATEWAY__STORE__DIRECTORY=str(data) + "-2")
        assert second.stderr.splitlines()[-1].startswith(f"Error: can't listen on 127.0.0.1:{port}: ")
        those = pids(gateway).values()
        assert gateway.stop(signal.SIGKILL) == -signal.SIGKILL
        eventually(lambda: not any(alive(pid) for pid in those))
        gateway.start()
        assert checked(gateway, started) == "approved"


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]
    except OSError:
        return False


def test_when_its_store_is_killed_all_end_and_it_is_said(data: Path) -> None:
    with several(data, **TWO) as gateway:
        children = Path(f"/proc/{gateway.process.pid}/task/{gateway.process.pid}/children").read_text().split()
        store = next(pid for pid in children if "valkey" in Path(f"/proc/{pid}/cmdline").read_text())
        os.kill(int(store), signal.SIGKILL)
        assert gateway.process.wait(10) == 1
        assert "Error: the embedded store ended by itself: see " in gateway.log.read_text()
        assert not any(alive(pid) for pid in pids(gateway).values())


def mortal(seconds: float) -> dict[str, Any]:
    found = configuration()
    found["providers"] = {"mortal": {"type": "tests.support.mortal:build", "timeout": 1, "seconds": seconds}}
    found["channels"] = {"sms": {"providers": ["mortal"]}}
    found["policies"]["default"]["fallback"] = [{"channel": "sms", "wait": "1m"}]
    return found


@pytest.mark.parametrize("seconds", [0, 0.3])
def test_workers_that_die_at_once_end_the_gateway(data: Path, seconds: float) -> None:
    process = several(data, mortal(seconds), **TWO)
    ended = process.run("serve", "--config", str(process.config))
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("Error: the workers end as soon as they are started: ")
    deaths = ended.stdout.count('"event":"worker.ended"')
    assert deaths == 1 if seconds == 0 else deaths >= 3 * 2
