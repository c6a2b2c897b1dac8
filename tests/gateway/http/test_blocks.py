"""Blocks and feedback over HTTP: what an app sees and lifts, and that the public hears nothing of it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from tests.gateway.http.conftest import BANK_KEY, KEY, Api, listening
from tests.gateway.http.contract import Reply
from tests.support.world import POLICY, World

LIFT = "/v1/blocks/lift"
RULE = {"measure": "adjacent", "per": "prefix", "amount": 3, "near": 0, "window": "10m"}


def world(valkey: str, mode: str) -> World:
    rules = {"crowd": {**RULE, "mode": mode}}
    return World(valkey, policies={"default": {**POLICY, "fraud": {"rules": rules}}})


@pytest.fixture
async def api(valkey: str) -> AsyncIterator[Api]:
    async with world(valkey, "enforce") as enforcing, listening(enforcing) as api:
        yield api


async def pumped(api: Api) -> Any:
    """Bring a block about. The answer to the start that met it."""
    for number in range(3):
        await api.begin(body={"to": {"phone": f"+1415555012{number}"}})
    return await api.post("/v1/verifications", {"to": {"phone": "+14155550129"}})


async def test_a_refused_start_says_no_more_than_that_it_looks_like_abuse(api: Api) -> None:
    refused = await pumped(api)
    assert (refused.status, refused.code, refused.json["rule"]) == (403, "fraud_suspected", "fraud")
    assert "crowd" not in refused.body.decode()
    assert set(refused.json) == {"type", "title", "status", "detail", "instance", "code", "rule"}


async def test_a_block_is_read_and_lifted(api: Api) -> None:
    api.world.clock.now = 1_900_000_000_000
    assert (await api.get("/v1/blocks")).json == {"blocks": []}
    await pumped(api)
    (block,) = (await api.get("/v1/blocks")).json["blocks"]
    assert {**block, "id": ""} == {
        "id": "",
        "rule": "crowd",
        "per": "prefix",
        "subject": "+141555*****",
        "repeated": 1,
        "since": "2030-03-17T17:46:40Z",
        "expires_at": "2030-03-18T05:46:40Z",
    }
    assert (await api.post(LIFT, {"id": block["id"]})).json == {"blocks": []}
    await api.begin(body={"to": {"phone": "+14155550129"}})
    assert (await api.post(LIFT, {"id": block["id"]})).code == "not_found"


async def test_another_apps_blocks_are_neither_seen_nor_lifted(api: Api) -> None:
    await pumped(api)
    (block,) = (await api.get("/v1/blocks")).json["blocks"]
    assert (await api.get("/v1/blocks", key=BANK_KEY)).json == {"blocks": []}
    assert (await api.post(LIFT, {"id": block["id"]}, key=BANK_KEY)).code == "not_found"
    assert (await api.get("/v1/blocks", key=None)).code == "unauthenticated"


async def test_feedback_is_answered_alike_whatever_it_changes(api: Api) -> None:
    where = await api.begin()
    said = await api.post(f"{where}/feedback", {"converted": True})
    assert said.json == {"id": where.rpartition("/")[2], "converted": True}
    assert (await api.post(f"{where}/feedback", {"converted": True})).body == said.body
    await api.post(f"{where}/check", {"code": api.code(where)})
    assert (await api.post(f"{where}/feedback", {"converted": False})).json["converted"] is False
    assert (await api.post(f"{where}/feedback", {"converted": True}, key=BANK_KEY)).code == "not_found"
    assert (await api.post(f"{where}/feedback", {"converted": "yes"})).json["errors"][0]["pointer"] == "/converted"


async def told(api: Api, phone: str) -> list[bytes]:
    """What a start and the read after it answer, with what differs from one to the next made the same."""
    answer = await api.post("/v1/verifications", {"to": {"phone": phone}})
    await api.world.settle()
    read = await api.get(answer.headers["Location"])
    bodies = [answer.body, read.body, " ".join(sorted(answer.headers)).encode()]
    for text, name in ((answer.json["id"], "ID"), (answer.json["to"]["phone"], "TO")):
        bodies = [body.replace(text.encode(), name.encode()) for body in bodies]
    return bodies


async def test_in_shadow_a_start_is_answered_with_the_same_bytes(valkey: str) -> None:
    async with world(valkey, "shadow") as shadowing, listening(shadowing) as api:
        plain = await told(api, "+14155560120")
        for number in range(3):
            await api.begin(body={"to": {"phone": f"+1415555012{number}"}})
        assert await told(api, "+14155550129") == plain
        assert len(shadowing.sent) == 4


def same(answers: list[Reply], began: Reply) -> list[tuple[int, list[str], bytes]]:
    """What an app sees of these answers, with the id and the number of the verification made the same."""
    names = (began.json["id"], "ID"), (began.json["to"]["phone"], "TO")
    seen = []
    for answer in answers:
        body = re.sub(rb"urn:uuid:[0-9a-f-]+", b"REQUEST", answer.body)
        for text, name in names:
            body = body.replace(text.encode(), name.encode())
        seen.append((answer.status, sorted(answer.headers), body))
    return seen


async def lived(api: Api, phone: str) -> list[tuple[int, list[str], bytes]]:
    """All calls about one verification: a start that waits, the same again, reads, a wrong code, a resend, its end."""
    start = {"body": {"to": {"phone": phone}}, "Idempotency_Key": phone, "Prefer": "wait=5"}
    first = await api.post("/v1/verifications", **start)
    again = await api.post("/v1/verifications", **start)
    assert again.body == first.body
    where = first.headers["Location"]
    answers = [first, again, await api.get(where)]
    answers.append(await api.post(f"{where}/check", {"code": "000000"}, Idempotency_Key=phone))
    answers.append(await api.post(f"{where}/check", {"code": "000000"}, Idempotency_Key=phone))
    answers.append(await api.post(f"{where}/resend", {}))
    await api.world.settle()
    answers += [await api.get(where), await api.post(f"{where}/feedback", {"converted": True})]
    answers += [await api.post(f"{where}/cancel"), await api.get(where), await api.post(f"{where}/cancel")]
    answers.append(await api.post(f"{where}/check", {"code": "000000"}))
    return same(answers, first)


async def test_in_shadow_a_whole_life_is_answered_with_the_same_bytes(valkey: str) -> None:
    async with world(valkey, "shadow") as shadowing, listening(shadowing) as api:
        plain = await lived(api, "+14155560120")
        for number in range(3):
            await api.begin(body={"to": {"phone": f"+1415555012{number}"}})
        sent = len(shadowing.sent)
        assert await lived(api, "+14155550129") == plain
        assert len(shadowing.sent) == sent


async def said(api: Api, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setenv("OTP_GATEWAY_API_KEY", KEY)
    where = ("--url", f"http://127.0.0.1:{api.port}")
    return await asyncio.to_thread(CliRunner().invoke, main, ["block", arguments[0], *where, *arguments[1:]])


async def test_the_command_lists_and_lifts(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await pumped(api)
    listed = await said(api, monkeypatch, "list")
    assert re.fullmatch(r"[\w-]{16}  prefix \+141555\*{5}  crowd, until [0-9TZ:-]{20}\n", listed.stdout)
    lifted = await said(api, monkeypatch, "lift", listed.stdout.partition(" ")[0], "--json")
    assert json.loads(lifted.stdout) == {"blocks": []}
    empty = await said(api, monkeypatch, "list")
    assert (empty.exit_code, empty.stdout, empty.stderr) == (0, "", "Nothing is blocked.\n")
    unknown = await said(api, monkeypatch, "lift", "dGhlIGJsb2NrJ3Mg")
    assert (unknown.exit_code, unknown.stderr.partition(":")[0]) == (1, "Error")
