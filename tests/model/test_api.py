"""The API and a plain model of it, asked the same questions in any order: they agree, on any store."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test
from multidict import CIMultiDict

from gateway.core.keys import api_key_hash
from gateway.http.api import application
from gateway.http.openapi import document
from gateway.store.topology import reach
from tests.gateway.http.contract import Contract, Reply
from tests.model.plain import CHECKS, GUESSES, LIFE, ORDER, STARTS, WAITS, WINDOW, Plain
from tests.support.six import Six
from tests.support.surface import surface_of
from tests.support.trio import Trio
from tests.support.world import CHANNELS, World

KEY = "otp_shop-key-0123456789abcd"
PEOPLE = ("+14155550123", "+447400123456")
EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "25"))
STEPS = int(os.environ.get("MODEL_STEPS", "30"))
POLICY = {
    "extends": None,
    "code": {"expiry": f"{LIFE}s", "checks": CHECKS, "cooldown": "0s"},
    "guesses": {"amount": GUESSES, "window": "24h"},
    "limits": {"starts": {"per": "destination", "amount": STARTS, "window": f"{WINDOW}s", "scope": "app"}},
    "countries": {"allow": ["US", "GB"]},
    "fallback": [{"channel": channel, "wait": f"{wait}s"} for channel, wait in WAITS.items()],
}
PATH = "/v1/verifications"


class Api:
    """The application, called as a server calls it, with every answer held to the contract."""

    def __init__(self, world: World) -> None:
        self._contract = Contract(document("1.2.3"))
        self._app = application(surface_of(world, {api_key_hash(KEY): "shop"}))

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        sent = {"authorization": f"Bearer {KEY}", "content-type": "application/json", **headers}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in sent.items()],
            "client": ("203.0.113.7", 4711),
            "server": ("127.0.0.1", 80),
        }
        told: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": json.dumps(body).encode() if body is not None else b""}

        async def send(message: dict[str, Any]) -> None:
            told.append(message)

        await self._app(scope, receive, send)  # type: ignore[arg-type]
        headers_ = CIMultiDict((name.decode(), value.decode()) for name, value in told[0]["headers"])
        reply = Reply(told[0]["status"], headers_, b"".join(m.get("body", b"") for m in told[1:]))
        self._contract.hold(method, path, reply)
        return reply


Where = Callable[[], dict[str, Any]]
"""Makes what says to a world where its store is: its server, its prefix, the way there."""


class Conversation(RuleBasedStateMachine):
    """Starts, checks, resends, cancels, reports and time, in any order, with repetitions."""

    ids: Bundle[str] = Bundle("ids")
    where: Where
    bend: Callable[[World], None] = staticmethod(lambda _world: None)  # where a planted bug goes

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.plain = Plain()
        self.world = self.run(self._made())
        self.api = Api(self.world)

    async def _made(self) -> World:
        world = World(policies={"default": POLICY}, orders=dict.fromkeys(CHANNELS, ("one",)), **self.where())
        self.bend(world)
        return world

    def run(self, story: Any) -> Any:
        return self.runner.run(story)

    def post(self, path: str, body: Any = None, **headers: str) -> Reply:
        reply: Reply = self.run(self._post(path, body, headers))
        return reply

    async def _post(self, path: str, body: Any, headers: dict[str, str]) -> Reply:
        reply = await self.api.call("POST", path, body, **headers)
        await self.world.settle()
        return reply

    @rule(target=ids, to=st.sampled_from(PEOPLE), key=st.sampled_from([None, None, "a", "b"]))
    def start(self, to: str, key: str | None) -> Any:
        body = {"to": {"phone": to, "email": f"{to[1:]}@example.org"}}
        reply = self.post(PATH, body, **({"idempotency_key": key} if key else {}))
        assert reply.status == self.plain.start(to, key)
        if reply.status != 201:
            return multiple()
        self.plain.started(reply.json["id"], to, key)
        return reply.json["id"]

    @rule(id_=ids, right=st.booleans())
    def check(self, id_: str, right: bool) -> None:
        code = self.world.code(id_) if right else self.world.wrong(id_)
        reply = self.post(f"{PATH}/{id_}/check", {"code": code})
        verdict, left = self.plain.check(id_, right=right)
        assert (reply.status, reply.json["verdict"], reply.json["checks_left"]) == (200, verdict, left)
        assert reply.json["approved"] is (verdict == "approved")

    @rule(id_=ids)
    def mistype(self, id_: str) -> None:
        reply = self.post(f"{PATH}/{id_}/check", {"code": "12345"})
        ended = self.plain.all[id_].status != "pending"
        assert reply.status == (200 if ended else 422), "what can't be a code costs nothing"

    @rule(id_=ids)
    def resend(self, id_: str) -> None:
        assert self.post(f"{PATH}/{id_}/resend").status == self.plain.resend(id_)

    @rule(id_=ids)
    def cancel(self, id_: str) -> None:
        assert self.post(f"{PATH}/{id_}/cancel").status == self.plain.cancel(id_)

    @rule(id_=ids, number=st.integers(1, 4), kind=st.sampled_from(["delivered", "temporary", "no_channel"]))
    def report(self, id_: str, number: int, kind: str) -> None:
        if number <= len(self.plain.all[id_].texts):
            self.run(self.world.report(id_, number, kind if kind == "delivered" else f"failed:{kind}"))
            self.plain.report(id_, number, kind)

    @rule(seconds=st.sampled_from([1, 29, 30, 45, 60, 200, 600]))
    def wait(self, seconds: int) -> None:
        self.run(self._wait(seconds))
        self.plain.wait(seconds)

    async def _wait(self, seconds: int) -> None:
        self.world.clock.forward(seconds)
        while (await self.world.worker.tick()).due:
            await self.world.settle()

    @invariant()
    def agree(self) -> None:
        for id_, one in self.plain.all.items():
            told = self.run(self.api.call("GET", f"{PATH}/{id_}")).json
            texts = [(text.channel, text.status, text.reason) for text in one.texts]
            left = CHECKS - one.used if one.status == "pending" else 0
            assert told["status"] == one.status
            assert [(a["channel"], a["status"], a["reason"]) for a in told["attempts"]] == texts
            assert (told["channel"], told["exhausted"]) == (texts[-1][0], one.exhausted)
            assert told["checks_left"] == left

    @invariant()
    def no_more_is_sent_than_was_written_down(self) -> None:
        assert len(self.world.sent) == sum(len(one.texts) for one in self.plain.all.values())

    def teardown(self) -> None:
        self.run(self.world.__aexit__(None, None, None))
        self.runner.close()


def converse(
    where: Where,
    bend: Callable[[World], None] | None = None,
    phases: Collection[Phase] = tuple(Phase),
    examples: int = EXAMPLES,
) -> None:
    """Have it with the store that is there."""
    how = {"where": staticmethod(where), **({"bend": staticmethod(bend)} if bend else {})}
    machine = type("ConversationHere", (Conversation,), how)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=not os.environ.get("MODEL_EXAMPLES"),
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=phases,
        ),
    )


def test_the_api_and_the_model_agree(valkey: str) -> None:
    converse(lambda: {"url": valkey})


def test_they_agree_on_redis(redis: str) -> None:
    converse(lambda: {"url": redis}, examples=EXAMPLES // 3)


def test_they_agree_behind_sentinels(watched: Trio) -> None:
    converse(lambda: {"url": watched.primary().url, "calls": reach(watched.url)}, examples=EXAMPLES // 3)


def test_they_agree_on_a_cluster(clustered: Six) -> None:
    converse(lambda: {"url": clustered.url}, examples=EXAMPLES // 3)


def _counts_no_start(world: World) -> None:
    create = world.store.create

    async def without(creation: Any) -> Any:
        return await create(replace(creation, counters=()))

    world.store.create = without  # type: ignore[method-assign]


def _never_falls_back(world: World) -> None:
    async def nothing(_stored: Any) -> None:
        """A timer that is claimed and forgotten."""

    world.engine.due = nothing  # type: ignore[method-assign]


def _approves_what_was_approved(world: World) -> None:
    check = world.store.check

    async def lenient(attempt: Any) -> Any:
        tried = await check(attempt)
        return tried._replace(verdict="approved") if tried.verdict == "spent" else tried

    world.store.check = lenient  # type: ignore[method-assign]


@pytest.mark.parametrize("bend", [_counts_no_start, _never_falls_back, _approves_what_was_approved])
def test_a_planted_bug_is_a_disagreement(valkey: str, bend: Callable[[World], None]) -> None:
    with pytest.raises((AssertionError, ExceptionGroup)):
        converse(lambda: {"url": valkey}, bend, phases=(Phase.generate,))  # found is enough: it need not be made small


def test_the_model_knows_every_channel_of_the_policy() -> None:
    assert set(ORDER) < {str(channel) for channel in CHANNELS}
