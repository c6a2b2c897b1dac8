"""The gateway as a person meets it: a process, a terminal, real HTTP, the simulator, signals and kills."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from tests.support.process import ROOT, Process, eventually


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with Process(tmp_path_factory.mktemp("g") / "d") as process:
        yield process


def code_on_page(gateway: Process, number: str) -> str:
    """The code as a person reads it off the simulator's page."""
    cards = [card for card in gateway.page("/simulator").split("<article")[1:] if number in card]
    found = re.search(r"\b(\d{6}) is your", "".join(cards))
    assert found, cards
    return found[1]


def test_a_code_that_was_read_on_the_page_is_approved_once(gateway: Process) -> None:
    started = gateway.start_one("+14155550100")
    code = code_on_page(gateway, "+14155550100")
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    first = gateway.call("POST", f"/v1/verifications/{started['id']}/check", {"code": wrong}).json
    assert (first["verdict"], first["approved"], first["checks_left"]) == ("wrong", False, 4)
    second = gateway.call("POST", f"/v1/verifications/{started['id']}/check", {"code": code}).json
    assert (second["verdict"], second["approved"]) == ("approved", True)
    third = gateway.call("POST", f"/v1/verifications/{started['id']}/check", {"code": code}).json
    assert (third["verdict"], third["approved"]) == ("spent", False)
    assert gateway.read(started["id"])["status"] == "approved"


def test_a_landline_is_called_instead(gateway: Process) -> None:
    started = gateway.start_one("+14155550110")
    eventually(lambda: gateway.read(started["id"])["attempts"][-1]["status"] == "delivered")
    attempts = gateway.read(started["id"])["attempts"]
    assert [(a["channel"], a["status"], a["reason"]) for a in attempts] == [
        ("sms", "failed", "no_channel"),
        ("whatsapp", "failed", "no_channel"),
        ("voice", "delivered", None),
    ]


def test_a_failed_report_moves_on_and_the_metrics_say_so(gateway: Process) -> None:
    started = gateway.start_one("+14155550113")
    eventually(lambda: gateway.read(started["id"])["channel"] == "whatsapp")
    metrics = gateway.metrics()
    assert re.search(r'otp_fallbacks_total\{from_channel="sms",reason="\w+",to_channel="whatsapp"\} [1-9]', metrics)
    events = gateway.call("GET", f"/v1/verifications/{started['id']}/events").json["events"]
    assert [event["event"] for event in events][:4] == ["created", "queued", "sent", "failed"]


def test_the_commands_send_and_check_work_against_it(gateway: Process) -> None:
    key_file = str(gateway.data / "demo-api-key")
    where = ("--url", gateway.url, "--key-file", key_file)
    sent = gateway.run("send", "+14155550126", *where)
    assert (sent.returncode, sent.stdout[:4]) == (0, "ver_"), sent
    code = code_on_page(gateway, "+14155550126")
    checked = gateway.run("check", sent.stdout.strip(), code, *where)
    assert (checked.returncode, checked.stdout) == (0, "approved\n")
    again = gateway.run("check", sent.stdout.strip(), code, *where)
    assert (again.returncode, again.stdout) == (1, "spent\n")


def test_a_refused_send_says_why(gateway: Process) -> None:
    key_file = str(gateway.data / "demo-api-key")
    refused = gateway.run("send", "+1415555", "--url", gateway.url, "--key-file", key_file)
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: invalid_destination: ")
    assert "/to/phone: The number is too short for its country." in refused.stderr


def test_a_gateway_that_is_not_there_is_said_to_be_not_there(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    (tmp_path / "key").write_text("otp_x")
    command = [sys.executable, "-m", "gateway", "check", "ver_x", "123456", "--url", url]
    found = subprocess.run(
        [*command, "--key-file", str(tmp_path / "key")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode == 1
    assert f"no gateway answers at {url}" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_second_gateway_on_the_same_folder_is_refused(gateway: Process) -> None:
    second = gateway.run("serve")
    assert second.returncode == 1
    assert second.stderr.startswith(
        f"Error: {gateway.data} is in use by another gateway (process {gateway.process.pid})"
    )


def test_a_taken_port_is_said_to_be_taken(gateway: Process, tmp_path: Path) -> None:
    port = gateway.url.rpartition(":")[2]
    env = {"OTP_GATEWAY__SERVER__PORT": port, "OTP_GATEWAY__STORE__DIRECTORY": str(tmp_path / "other")}
    second = gateway.run("serve", **env)
    assert second.returncode == 1
    assert second.stderr.startswith(f"Error: can't listen on 127.0.0.1:{port}: Address already in use.")
    assert "OTP_GATEWAY__SERVER__PORT" in second.stderr


def test_sigterm_ends_it_in_order(data: Path) -> None:
    with Process(data) as gateway:
        gateway.start_one("+14155550104")
        assert gateway.stop(signal.SIGTERM) == 0
        assert '"event":"gateway.stopped"' in gateway.log.read_text()
        assert not (data / "valkey.sock").exists()


def test_after_kill_9_the_fallback_goes_on_where_it_was(data: Path) -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["policies"]["default"]["fallback"][0]["wait"] = "3s"
    with Process(data, config, OTP_GATEWAY__STORE__FSYNC="always") as gateway:
        started = gateway.start_one("+14155550104")  # SMS is taken and never heard of again
        code = code_on_page(gateway, "+14155550104")
        assert gateway.stop(signal.SIGKILL) == -signal.SIGKILL
        gateway.start()
        assert gateway.read(started["id"])["status"] == "pending"
        eventually(lambda: gateway.read(started["id"])["channel"] == "whatsapp")
        answer = gateway.call("POST", f"/v1/verifications/{started['id']}/check", {"code": code}).json
        assert answer["verdict"] == "approved"  # the same code, made by a process that is gone


def test_the_log_has_one_line_for_each_decision_and_no_code_in_it(gateway: Process) -> None:
    started = gateway.start_one("+14155550119")
    code = code_on_page(gateway, "+14155550119")
    eventually(lambda: '"event":"fallback.exhausted"' in gateway.log.read_text())
    log = gateway.log.read_text()
    lines = [line for line in log.splitlines() if started["id"] in line]
    assert sum('"event":"verification.started"' in line for line in lines) == 1
    assert all(code not in line and "+14155550119" not in line for line in lines)


def test_promtool_finds_nothing_wrong_with_the_metrics(gateway: Process) -> None:
    gateway.start_one("+14155550100", purpose="payment")
    checked = subprocess.run(["promtool", "check", "metrics"], input=gateway.metrics(), capture_output=True, text=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_an_endless_head_is_refused_and_its_memory_given_back(gateway: Process) -> None:
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n")
        with suppress(OSError):
            for n in range(64):
                client.sendall(b"X-%d: %s\r\n" % (n, b"y" * 8_000))
        with suppress(OSError):
            assert client.recv(100).startswith((b"HTTP/1.1 431", b""))
    assert gateway.call("GET", "/livez").status == 200


def test_what_is_no_http_is_told_so_as_a_problem(gateway: Process) -> None:
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.sendall(b"HELO mail.example\r\n\r\n")
        head, _, body = b"".join(iter(lambda: client.recv(4096), b"")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json")
    assert json.loads(body)["code"] == "malformed_http"


def test_a_second_ctrl_c_waits_for_nothing_more(data: Path) -> None:
    with Process(data) as gateway:
        gateway.call("POST", "/v1/verifications", {"to": {"phone": "+14155550107"}})  # its send hangs for ten seconds
        eventually(lambda: '"event":"verification.started"' in gateway.log.read_text())
        began = time.monotonic()
        gateway.process.send_signal(signal.SIGINT)
        eventually(lambda: '"event":"gateway.stopping"' in gateway.log.read_text())
        assert gateway.process.poll() is None
        assert gateway.stop(signal.SIGINT) == 0
        assert time.monotonic() - began < 5
        assert '"unfinished":1' in gateway.log.read_text()


def test_a_terminal_that_is_closed_ends_what_ran_in_it_and_an_open_one_reloads_it(data: Path) -> None:
    ours, theirs = os.openpty()
    with Process(data, stdin=theirs) as gateway:
        os.close(theirs)
        gateway.process.send_signal(signal.SIGHUP)
        eventually(lambda: gateway.log.read_text().count('"event":"configuration.loaded"') == 2)
        os.close(ours)
        assert gateway.stop(signal.SIGHUP) == 0  # as the kernel does, to the process group of a terminal


def test_when_its_store_is_killed_the_gateway_says_so_and_ends(data: Path) -> None:
    with Process(data) as gateway:
        children = Path(f"/proc/{gateway.process.pid}/task/{gateway.process.pid}/children").read_text().split()
        store = next(pid for pid in children if "valkey" in Path(f"/proc/{pid}/cmdline").read_text())
        os.kill(int(store), signal.SIGKILL)
        assert gateway.process.wait(10) == 1
        assert "Error: the embedded store ended by itself: see " in gateway.log.read_text()


def test_a_start_that_waits_is_answered_when_the_gateway_is_told_to_stop(data: Path) -> None:
    with Process(data) as gateway, ThreadPoolExecutor() as pool:
        body = {"to": {"phone": "+14155550107"}}  # the provider does not answer before its deadline
        waiting = pool.submit(lambda: gateway.call("POST", "/v1/verifications", body, Prefer="wait=30"))
        eventually(lambda: '"event":"verification.started"' in gateway.log.read_text())
        began = time.monotonic()
        assert gateway.stop(signal.SIGTERM, timeout=30) == 0
        answer = waiting.result()
        assert (answer.status, answer.json["status"]) == (201, "pending")
        assert time.monotonic() - began < 16  # the one send that is under way, and no further one
