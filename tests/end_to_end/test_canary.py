"""Marked values go through a whole gateway, and are looked for in everything that it leaves behind or says."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.canary import Canary, found
from tests.support.process import Answer, Process

PHONE, EMAIL, CODE = "+14155550103", "canary.bird@example.org", "QX7K2M9PZT"
PAYEE = "Canary Payee 4711"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, dict[str, str]]]:
    """A gateway that has been through every call, and all that it answered."""
    with Process(tmp_path_factory.mktemp("c") / "d", OTP_GATEWAY__STORE__FSYNC="always") as gateway:
        yield gateway, {f"answer {n}": text(answer) for n, answer in enumerate(every_call(gateway))}


def text(answer: Answer) -> str:
    return f"{answer.status} {json.dumps(dict(answer.headers))} {json.dumps(answer.json)}"


def every_call(gateway: Process) -> Iterator[Answer]:
    context = {"payee": PAYEE}
    body = {"to": {"phone": PHONE, "email": EMAIL}, "code": CODE, "context": context, "client": {"ip": "203.0.113.7"}}
    started = gateway.call("POST", "/v1/verifications", body, Prefer="wait=5", Idempotency_Key="canary")
    one = f"/v1/verifications/{started.json['id']}"
    yield started
    yield gateway.call("POST", "/v1/verifications", body, Prefer="wait=5", Idempotency_Key="canary")
    yield gateway.call("POST", "/v1/verifications", {**body, "purpose": "login"}, Idempotency_Key="canary")
    yield gateway.call("POST", "/v1/verifications", {**body, "to": {"phone": PHONE + "x"}})
    yield gateway.call("POST", "/v1/verifications", {**body, "unknown": CODE})
    yield gateway.call("POST", "/v1/verifications", body)  # within the cooldown
    yield gateway.call("POST", f"{one}/check", {"code": "QX7K2M9PZZ", "context": context, "to": body["to"]})
    yield gateway.call("POST", f"{one}/check", {"code": CODE})  # without its context: wrong
    yield gateway.call("POST", f"{one}/check", {"code": CODE + "!"})
    yield gateway.call("POST", f"{one}/resend", {"channel": "voice"})
    time.sleep(1.5)  # for the simulator's reports
    yield gateway.call("GET", one)
    yield gateway.call("GET", f"{one}/events")
    yield gateway.call("POST", f"{one}/check", {"code": CODE, "context": context})
    yield gateway.call("POST", f"{one}/cancel")
    yield gateway.call("GET", "/openapi.json")


def canaries(gateway: Process) -> list[Canary]:
    return [
        Canary("phone", PHONE),
        Canary("email", EMAIL),
        Canary("code", CODE),
        Canary("payee", PAYEE),
        Canary("api key", gateway.key),
    ]


def test_no_answer_log_metric_or_file_of_the_store_tells_a_secret(said: tuple[Process, dict[str, str]]) -> None:
    gateway, answers = said
    assert answers["answer 0"].startswith("201")
    assert '"approved": true' in answers["answer 12"]
    places: dict[str, str | bytes] = {**answers, "log": log_of(gateway), "metrics": gateway.metrics()}
    places |= {str(file.relative_to(gateway.data)): file.read_bytes() for file in store_files(gateway.data)}
    assert any("appendonly" in place for place in places)
    assert found(canaries(gateway), places) == []


def log_of(gateway: Process) -> str:
    """The log lines. What else stands there is the welcome, which shows a developer the key of the app `demo`."""
    return "\n".join(line for line in gateway.log.read_text().splitlines() if line.startswith("{"))


def store_files(data: Path) -> list[Path]:
    """All but the folder of keys and the API key, which exist to be secret."""
    return [f for f in data.rglob("*") if f.is_file() and "secrets" not in f.parts and not f.name.endswith("-api-key")]


def test_the_search_finds_what_the_simulator_shows(said: tuple[Process, dict[str, str]]) -> None:
    """The one place that shows codes and numbers, in development only: a search that misses them there is broken."""
    gateway, _ = said
    assert {"phone in page", "code in page", "payee in page"} <= set(
        found(canaries(gateway), {"page": gateway.page("/simulator")})
    )
