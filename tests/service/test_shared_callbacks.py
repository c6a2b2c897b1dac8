"""One address for all the reports of a vendor: each finds its attempt by the token that it brings, or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from channels.contract import (
    SHARED,
    Answer,
    Callback,
    Channel,
    DeliveryReport,
    ErrorClass,
    Forged,
    Message,
    Outcome,
    Receipt,
    ReportKind,
    Unread,
)
from gateway.core.keys import Callee
from gateway.core.model import AttemptStatus, Verification
from gateway.guard import Guarded
from gateway.service.reports import Reports, Unsigned
from gateway.service.requests import NotFound, Overloaded
from tests.support.world import FakeCarrier, World

URL = f"https://otp.example/callbacks/one/{SHARED}"
Twin = Callable[[World], World]


class PanelCarrier(FakeCarrier):
    """A vendor that echoes the token in the body, and reports many messages in one request."""

    shared = True

    def read(self, callback: Callback) -> Outcome:
        if callback.headers.get("x-signature") != "signed":
            raise Forged
        if callback.method == "GET":
            return Outcome(answer=Answer(dict(callback.query)["challenge"].encode()))
        return Outcome(tuple(_report(entry) for entry in json.loads(callback.body)))


def _report(entry: dict[str, str]) -> DeliveryReport:
    error = ErrorClass(entry["error"]) if "error" in entry else None
    return DeliveryReport(ReportKind(entry["kind"]), error, token=entry.get("token", ""))


@pytest.fixture
def panel(world: World) -> World:
    """A world whose first carrier reports to one address."""
    return with_carrier(world, PanelCarrier("one"))


def with_carrier(world: World, carrier: FakeCarrier) -> World:
    world.one = carrier
    world.wire(replace(world.setup, carriers={"one": carrier, "two": world.two}))
    return world


async def take(world: World, *entries: dict[str, str], signature: str = "signed", to: str = "one") -> Answer:
    body = json.dumps(entries).encode()
    answer = await world.reports.take(to, SHARED, Callback("POST", URL, {"x-signature": signature}, body))
    await world.settle()
    return answer


def token(world: World, verification: Verification) -> str:
    """The token, as the vendor got it."""
    return next(m.token for m in world.sent if m.reference.startswith(verification.id))


def failed(token: str) -> dict[str, str]:
    return {"kind": "failed", "error": "no_channel", "token": token}


async def statuses(world: World, v: Verification) -> list[str]:
    return [a.status for a in (await world.verifications.read("shop", v.id)).attempts]


async def test_a_message_has_the_token_of_its_address(panel: World) -> None:
    await panel.start()
    (message,) = panel.sent
    assert message.callback_url == f"https://otp.example/callbacks/one/{message.token}"
    assert message.token not in repr(message)
    assert message.token not in repr(DeliveryReport(ReportKind.FAILED, token=message.token))


async def test_each_report_of_a_request_goes_to_its_own_attempt(panel: World) -> None:
    first, second, third = [await panel.start(phone=f"+1415555012{digit}") for digit in (3, 4, 5)]
    await take(panel, {"kind": "delivered", "token": token(panel, first)}, failed(token(panel, second)))
    assert await statuses(panel, first) == ["delivered"]
    assert await statuses(panel, second) == ["failed", "sent"]
    assert await statuses(panel, third) == ["sent"]
    assert panel.metric("otp_callbacks_total", provider="one", result="accepted") == 2


async def test_a_report_without_a_good_token_is_dropped_and_the_others_are_not(panel: World) -> None:
    v = await panel.start()
    good = token(panel, v)
    bad = ["", SHARED, good[:-1], good.swapcase(), panel.keys.token(v.id, 1, "two"), v.id, v.attempts[0].message_id]
    answer = await take(panel, *map(failed, bad), {"kind": "delivered", "token": good})
    assert answer.status == 204
    assert await statuses(panel, v) == ["delivered"]
    assert panel.metric("otp_callbacks_total", provider="one", result="unknown") == len(bad)


async def test_the_same_report_twice_changes_nothing(panel: World) -> None:
    v = await panel.start()
    for _ in range(2):
        await take(panel, failed(token(panel, v)))
    assert await statuses(panel, v) == ["failed", "sent"]
    assert panel.metric("otp_callbacks_total", provider="one", result="duplicate") == 1


async def test_a_request_without_the_vendors_signature_changes_nothing(panel: World) -> None:
    v = await panel.start()
    with pytest.raises(Unsigned):
        await take(panel, failed(token(panel, v)), signature="mine")
    assert await statuses(panel, v) == ["sent"]
    assert panel.metric("otp_callbacks_total", provider="one", result="forged") == 1
    assert panel.logged[-1] == {"event": "callback.forged", "provider": "one"}


@pytest.mark.parametrize("provider", ["two", "nobody"])
async def test_a_vendor_that_takes_an_address_with_each_message_has_no_shared_one(panel: World, provider: str) -> None:
    with pytest.raises(NotFound):
        await take(panel, {"kind": "delivered"}, to=provider)


async def test_a_report_at_an_address_with_a_token_speaks_of_that_attempt_only(panel: World) -> None:
    first, second = await panel.start(), await panel.start(phone="+14155550124")
    body = json.dumps([{"kind": "delivered", "token": token(panel, second)}])
    await panel.report(first, 1, body)
    assert await statuses(panel, first) == ["delivered"]
    assert await statuses(panel, second) == ["sent"]


async def test_a_handshake_is_answered_and_only_with_a_signature(panel: World) -> None:
    async def greet(signature: str) -> Answer:
        query = (("challenge", "1158201444"),)
        return await panel.reports.take("one", SHARED, Callback("GET", URL, {"x-signature": signature}, b"", query))

    assert await greet("signed") == Answer(b"1158201444")
    with pytest.raises(Unsigned):
        await greet("mine")


async def test_the_shared_address_never_says_a_code(panel: World) -> None:
    await panel.start(channels=("voice",))
    said = await panel.reports.take(
        "one", SHARED, Callback("POST", URL, {"x-signature": "signed"}, b"[]", (("answer", "1"),))
    )
    assert said == Answer(status=204)


async def test_the_twin_that_trusts_the_vendors_message_id_lets_a_stranger_in(panel: World) -> None:
    """What the token is for: a message id can be guessed or seen, so a gateway that looked it up would be told lies."""
    v = await panel.start()
    message_id = v.attempts[0].message_id

    class Trusting(Reports):
        async def _report(self, provider: str, callee: Callee | None, report: DeliveryReport) -> None:
            found = Callee(v.id, 1) if report.token == message_id else callee
            await super()._report(provider, found, report)

    await take(panel, failed(message_id))
    assert await statuses(panel, v) == ["sent"]
    panel.reports = Trusting(panel.setup, panel.engine)
    await take(panel, failed(message_id))
    assert await statuses(panel, v) == ["failed", "sent"]


# --- vendors that have to be asked first ---


class AskingCarrier(PanelCarrier):
    """A vendor whose certificate must be fetched before a callback can be judged."""

    def __init__(self, name: str, ask: Callable[[], Awaitable[None]]) -> None:
        super().__init__(name)
        self._ask = ask

    async def receive(self, callback: Callback) -> Outcome:
        await self._ask()
        return self.read(callback)


def guarded(world: World, ask: Callable[[], Awaitable[None]], timeout: float = 5) -> Guarded:
    carrier = AskingCarrier("one", ask)
    guard = Guarded(carrier, "one", concurrency=8, timeout=timeout, metrics=world.setup.metrics)
    world.one = carrier
    world.wire(replace(world.setup, carriers={"one": guard, "two": world.two}))
    return guard


async def test_a_vendor_that_must_be_asked_first_is_asked_and_then_read(world: World) -> None:
    asked: list[int] = []

    async def ask() -> None:
        asked.append(1)

    guarded(world, ask)
    v = await world.start()
    await take(world, {"kind": "delivered", "token": token(world, v)})
    assert (len(asked), await statuses(world, v)) == (1, [AttemptStatus.DELIVERED])


async def test_while_the_vendor_cant_be_asked_it_is_told_to_repeat(world: World) -> None:
    async def ask() -> None:
        raise Unread

    guarded(world, ask)
    v = await world.start()
    with pytest.raises(Overloaded):
        await take(world, {"kind": "delivered", "token": token(world, v)})
    assert await statuses(world, v) == ["sent"]
    assert world.logged[-1] == {"event": "callback.unread", "provider": "one"}


async def test_asking_ends_at_the_providers_deadline(world: World) -> None:
    async def ask() -> None:
        await asyncio.Event().wait()

    guarded(world, ask, timeout=0.01)
    async with asyncio.timeout(1):
        with pytest.raises(Overloaded):
            await take(world)


async def test_a_guard_passes_on_what_its_provider_says(world: World) -> None:
    class Plain:
        channels = frozenset({Channel.SMS})

        async def send(self, _message: Message) -> Receipt:
            return Receipt()

        def read(self, _callback: Callback) -> Outcome:
            return Outcome(wants_message=True)

        def answer(self, _message: Any) -> Answer:
            return Answer()

        async def close(self) -> None:
            return None

    def guard(provider: Any) -> Guarded:
        return Guarded(provider, "one", concurrency=1, timeout=1, metrics=world.setup.metrics)

    assert not guard(Plain()).shared
    assert guard(PanelCarrier("one")).shared
    assert await guard(Plain()).receive(Callback("POST", URL, {}, b"")) == Outcome(wants_message=True)
