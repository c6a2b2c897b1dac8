"""What an app can do: bindings, isolation, guesses, idempotency, waiting, and every refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from channels.contract import ErrorClass, Message, Receipt, SendError
from gateway.core.keys import Keyring
from gateway.core.model import AttemptStatus
from gateway.service.requests import (
    Check,
    Denied,
    InProgress,
    InvalidField,
    Limited,
    Mismatched,
    NotFound,
    Overloaded,
    Start,
)
from gateway.service.setup import App
from tests.support.world import EMAIL, PHONE, POLICY, World

Worlds = Callable[..., World]
OTHER = "+14155550124"
PAYMENT = {"amount": "12.50 EUR", "payee": "ACME"}


async def test_a_code_is_bound_to_its_context(world: World) -> None:
    v = await world.start(context=PAYMENT)
    text = world.sent[0].wording.text
    assert "12.50 EUR" in text
    assert "ACME" in text
    code = world.code(v)
    changed = [{}, {**PAYMENT, "amount": "12.60 EUR"}, {"amount": "12.50 EUR"}, {**PAYMENT, "more": "x"}]
    assert [(await world.check(v, code, context=said)).verdict for said in changed] == ["wrong"] * 4
    shuffled = dict(reversed(PAYMENT.items()))
    assert (await world.check(v, code, context=shuffled)).verdict == "approved"


@pytest.mark.parametrize("place", [0, 1, 3, 4])
async def test_any_digit_of_the_amount_that_is_another_makes_the_code_wrong_and_costs_a_check(
    world: World, place: int
) -> None:
    v = await world.start(context=PAYMENT)
    amount = PAYMENT["amount"]
    for other in "07":
        if other == amount[place]:
            continue
        left = (await world.verifications.read("shop", v.id)).checks_left
        changed = {**PAYMENT, "amount": amount[:place] + other + amount[place + 1 :]}
        checked = await world.check(v, world.code(v), context=changed)
        assert (checked.verdict, checked.checks_left) == ("wrong", left - 1)
    assert (await world.check(v, world.code(v), context=PAYMENT)).verdict == "approved"


async def test_a_purpose_can_require_what_its_codes_are_bound_to(worlds: Worlds) -> None:
    world = worlds(policies={"default": POLICY, "payment": {**POLICY, "context": {"require": ["amount", "payee"]}}})
    for context, said in (({}, "amount, payee"), ({"amount": "12.50 EUR"}, "payee")):
        with pytest.raises(InvalidField) as caught:
            await world.begin(purpose="payment", context=context)
        assert (caught.value.pointer, caught.value.reason) == ("/context", f"this purpose needs it to name {said}")
    assert world.sent == []
    assert (await world.start(purpose="payment", context=PAYMENT)).pending
    assert (await world.start()).pending  # another purpose asks for nothing


async def test_five_apps_together_send_one_person_no_more_than_ten_messages_an_hour(worlds: Worlds) -> None:
    usual = {"extends": "default", "code": {"cooldown": "0s"}, "countries": {"allow": ["US"]}}
    world = worlds(policies={"default": {**usual, "limits": {"destination-10m": None}}})
    apps = {f"app{n}": App(f"app{n}", "Shop", {"*": "default"}) for n in range(5)}
    world.wire(replace(world.setup, apps=apps))
    refused = set()
    for app in apps:
        for _ in range(5):
            try:
                await world.start(app=app, device=app)
            except Limited as refusal:
                refused.add(refusal.limit)
            await world.after(31)  # silence: the fallback would send another one by itself
    assert refused == {"destination-anyone-hour"}
    assert len(world.sent) == 10
    world.clock.forward(3_600)
    assert (await world.start(app="app0")).pending
    assert len(world.sent) == 11


async def test_a_context_where_none_was_bound_is_wrong(world: World) -> None:
    v = await world.start()
    assert (await world.check(v, world.code(v), context=PAYMENT)).verdict == "wrong"


async def test_an_address_that_is_repeated_at_the_check_must_be_that_of_the_start(world: World) -> None:
    v = await world.start(phone=PHONE, email=EMAIL)
    code = world.code(v)
    for said in ({"phone": OTHER}, {"email": "bob@example.org"}, {"phone": PHONE, "email": "bob@example.org"}):
        assert (await world.check(v, code, **said)).verdict == "wrong"
    assert (await world.check(v, code, phone=PHONE)).verdict == "approved"


async def test_an_address_that_nothing_was_sent_to_is_not_proven(world: World) -> None:
    v = await world.start(phone=PHONE, email=EMAIL)  # SMS first: the email is three steps away
    assert (await world.check(v, world.code(v), email=EMAIL)).verdict == "wrong"
    await world.after(31)
    await world.after(46)
    assert [a.channel for a in (await world.verifications.read("shop", v.id)).attempts] == ["sms", "voice", "email"]
    assert (await world.check(v, world.code(v), phone=PHONE, email=EMAIL)).verdict == "approved"


async def test_a_victims_address_is_not_proven_nor_its_guesses_forgotten_by_a_code_sent_elsewhere(world: World) -> None:
    for _ in range(4):
        guessed = await world.start(phone=OTHER)
        for _ in range(4):
            await world.check(guessed, world.wrong(guessed))
    hidden = await world.start(phone=OTHER, email=EMAIL, channels=("email",))
    assert (await world.check(hidden, world.code(hidden), phone=OTHER)).verdict == "wrong"
    assert (await world.check(hidden, world.code(hidden))).verdict == "approved"
    last = await world.start(phone=OTHER)
    verdicts = [(await world.check(last, world.wrong(last))).verdict for _ in range(5)]
    assert verdicts == ["wrong", "wrong", "wrong", "wrong", "locked"]  # sixteen before, four now: twenty in all


async def test_guesses_at_an_email_count_whatever_phone_is_given_beside_it(world: World) -> None:
    found = []
    for n in range(6):
        try:
            v = await world.start(phone=f"+1415555010{n}", email=EMAIL, channels=("email",))
        except Limited as refusal:
            found.append(refusal.limit)
            continue
        for _ in range(4):
            await world.check(v, world.wrong(v))
    assert found == ["guesses"]


async def test_the_code_of_one_verification_is_wrong_for_another_of_the_same_number(worlds: Worlds) -> None:
    world = worlds(policies={"default": {**POLICY, "code": {"cooldown": "0s", "length": 10}}})
    one, two = await world.start(), await world.start()
    assert (await world.check(two, world.code(one))).verdict == "wrong"
    assert (await world.check(one, world.code(one))).verdict == "approved"


async def test_another_app_can_not_see_check_resend_or_end_it(world: World) -> None:
    v = await world.start()
    asks: tuple[Any, ...] = (
        world.verifications.read("bank", v.id),
        world.verifications.events("bank", v.id),
        world.verifications.resend("bank", v.id, None),
        world.verifications.cancel("bank", v.id),
        world.verifications.check(Check("bank", v.id, world.code(v))),
        world.verifications.read("shop", "ver_nonsense"),
    )
    for ask in asks:
        with pytest.raises(NotFound):
            await ask
    assert (await world.check(v, world.code(v))).verdict == "approved"


@pytest.mark.parametrize("code", ["12345", "1234567", "12345a", "12345\n6", "", "1" * 65, "١٢٣"])
async def test_a_malformed_code_is_an_invalid_field_and_costs_nothing(world: World, code: str) -> None:
    v = await world.start()
    for _ in range(10):
        with pytest.raises(InvalidField) as caught:
            await world.check(v, code)
        assert caught.value.pointer == "/code"
    assert (await world.verifications.read("shop", v.id)).checks_left == 5


async def test_a_code_may_be_typed_as_the_phone_shows_it(world: World) -> None:
    v = await world.start(code="482913")
    assert (await world.check(v, "٤٨٢-٩١٣ ")).verdict == "approved"


async def test_leading_zeros_reach_the_person_and_come_back(world: World) -> None:
    v = await world.start(code="000042")
    assert world.sent[0].code == "000042"
    assert "000042" in world.sent[0].wording.text
    assert (await world.check(v, "000042")).verdict == "approved"


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"phone": "4155550123"}, "/to/phone"),
        ({"phone": "+1 (800) FLOWERS"}, "/to/phone"),
        ({"email": "nobody"}, "/to/email"),
        ({"code": "12"}, "/code"),
    ],
)
async def test_what_can_not_be_understood_is_pointed_at(world: World, fields: dict[str, str], pointer: str) -> None:
    with pytest.raises(InvalidField) as caught:
        await world.begin(**fields)
    assert caught.value.pointer == pointer
    assert world.sent == []


async def test_a_country_outside_the_policy_is_denied_before_anything_is_written(world: World) -> None:
    with pytest.raises(Denied) as caught:
        await world.begin(phone="+33612345678")
    assert caught.value.code == "country_denied"
    assert [key async for key in world.client.scan_iter(f"{world.prefix}:*")] == []
    assert world.metric("otp_verifications_total", outcome="refused") == 1


async def test_the_guess_budget_spans_codes_and_blocks_starts_and_checks(worlds: Worlds) -> None:
    world = worlds(policies={"default": {**POLICY, "guesses": {"delays": {"after": 100}, "amount": 7, "window": "1h"}}})
    first, last = await world.start(), await world.start()
    for _ in range(5):
        await world.check(first, world.wrong(first))
    for _ in range(2):
        assert (await world.check(last, world.wrong(last))).verdict == "wrong"
    blocked = await world.check(last, world.code(last))
    assert (blocked.verdict, blocked.retry_at) == ("locked", world.clock.now + 3_600_000)
    with pytest.raises(Limited) as caught:
        await world.begin()
    assert (caught.value.limit, caught.value.wait) == ("guesses", 3_600_000)
    await world.start(phone=OTHER)
    world.clock.forward(3_600)
    again = await world.start()
    assert (await world.check(again, world.code(again))).verdict == "approved"


async def test_success_renews_the_guess_budget(worlds: Worlds) -> None:
    world = worlds(policies={"default": {**POLICY, "guesses": {"delays": {"after": 100}, "amount": 4}}})
    for _ in range(3):
        v = await world.start()
        for _ in range(3):
            await world.check(v, world.wrong(v))
        assert (await world.check(v, world.code(v))).verdict == "approved"


async def test_a_repeated_start_makes_one_verification_and_one_message(world: World) -> None:
    begun = [await world.begin(idempotency_key="k", body=b"{}") for _ in range(4)]
    await world.settle()
    assert len({b.verification.id for b in begun}) == 1
    assert [b.replayed for b in begun] == [False, True, True, True]
    assert len(world.sent) == 1
    with pytest.raises(Mismatched):
        await world.begin(idempotency_key="k", body=b"other")


async def test_a_repeated_start_is_answered_as_the_first_was_whatever_happened_since(world: World) -> None:
    first = await world.begin(idempotency_key="k")
    await world.settle()
    world.clock.forward(40)
    await world.check(first.verification, world.wrong(first.verification))
    await world.check(first.verification, world.code(first.verification))
    again = (await world.begin(idempotency_key="k")).verification
    same = ("id", "status", "attempts", "checks_left", "created_at", "expires_at", "resend_at", "exhausted")
    assert [getattr(again, name) for name in same] == [getattr(first.verification, name) for name in same]


async def test_fifty_starts_at_once_with_one_key_make_one_message(world: World) -> None:
    begun = await asyncio.gather(*(world.begin(idempotency_key="k") for _ in range(50)))
    await world.settle()
    assert len({b.verification.id for b in begun}) == 1
    assert len(world.sent) == 1


async def test_an_idempotency_key_belongs_to_its_app(world: World) -> None:
    one = await world.begin(idempotency_key="k")
    two = await world.verifications.start(Start("bank", phone=PHONE, idempotency_key="k"))
    await world.settle()
    assert one.verification.id != two.verification.id


async def test_a_start_that_waits_is_in_progress_for_others_until_its_answer_is_kept(world: World) -> None:
    begun = await world.begin(idempotency_key="k", wait=5_000)
    with pytest.raises(InProgress):
        await world.begin(idempotency_key="k", wait=5_000)
    await world.verifications.settle(begun, 5_000)
    await world.verifications.keep_answer(begun, b"the answer")
    again = await world.begin(idempotency_key="k", wait=5_000)
    assert (again.replayed, again.answer) == (True, b"the answer")


async def test_a_repeated_check_hears_the_same(world: World) -> None:
    v = await world.start()
    code = world.code(v)
    told = [await world.check(v, code, idempotency_key="k", body=b"{}") for _ in range(3)]
    assert [t.verdict for t in told] == ["approved"] * 3
    assert world.metric("otp_verifications_total", outcome="approved") == 1
    assert (await world.check(v, code, idempotency_key="another")).verdict == "spent"
    with pytest.raises(Mismatched):
        await world.check(v, code, idempotency_key="k", body=b"other")


async def test_one_idempotency_key_may_serve_a_start_and_a_check_of_each_verification(world: World) -> None:
    one, two = await world.start(idempotency_key="k", code="111111"), await world.start(code="222222")
    for v, code in ((one, "111111"), (two, "222222")):
        assert (await world.check(v, code, idempotency_key="k")).verdict == "approved"


async def test_a_start_can_wait_for_the_provider(world: World) -> None:
    begun = await world.begin(wait=5_000)
    v = await world.verifications.settle(begun, 5_000)
    assert v.current.status is AttemptStatus.SENT


async def test_a_start_that_waits_sees_the_fallback_through(world: World) -> None:
    world.one.scripts = [SendError(ErrorClass.TEMPORARY)]
    v = await world.verifications.settle(await world.begin(wait=5_000), 5_000)
    assert [(a.provider, a.status) for a in v.attempts] == [("one", "failed"), ("two", "sent")]


async def test_a_start_that_waits_hears_at_once_when_nothing_is_left(world: World) -> None:
    world.one.scripts = [SendError(ErrorClass.FRAUD)]
    v = await world.verifications.settle(await world.begin(wait=5_000), 5_000)
    assert v.exhausted


async def test_a_wait_ends_when_its_time_is_up(world: World) -> None:
    gate = asyncio.Event()

    async def slow(_message: Message) -> Receipt:
        await gate.wait()
        return Receipt()

    world.one.scripts = [slow]
    begun = await world.begin(wait=5)
    assert await world.verifications.settle(begun, 5) == begun.verification
    gate.set()


async def test_a_process_that_is_full_refuses_before_it_writes(worlds: Worlds) -> None:
    gate = asyncio.Event()

    async def slow(_message: Message) -> Receipt:
        await gate.wait()
        return Receipt()

    world = worlds(most_sends=2)
    world.one.scripts = [slow, slow]
    await world.begin()
    await world.begin(phone=OTHER)
    before = [key async for key in world.client.scan_iter(f"{world.prefix}:*")]
    with pytest.raises(Overloaded):
        await world.begin()
    assert sorted([key async for key in world.client.scan_iter(f"{world.prefix}:*")]) == sorted(before)
    gate.set()


async def test_while_keys_rotate_a_code_of_the_old_key_is_good(world: World) -> None:
    v = await world.start()
    old = world.keys
    world.with_keys(Keyring(old.lookup, {"k2": b"n" * 32, **old.sealing}))
    await world.after(31)
    assert [m.channel for m in world.sent] == ["sms", "voice"]
    assert (await world.check(v, world.code(v))).verdict == "approved"


async def test_after_a_key_was_retired_its_codes_are_wrong_and_its_messages_are_not_sent(world: World) -> None:
    v = await world.start()
    code = world.code(v)
    world.with_keys(Keyring(world.keys.lookup, {"k2": b"n" * 32}))
    await world.after(31)
    assert len(world.sent) == 1
    assert world.logged[-1] == {"verification": v.id, "fault": "Unopenable", "event": "send.abandoned"}
    assert (await world.check(v, code)).verdict == "wrong"
    await world.after(600)
    assert (await world.verifications.read("shop", v.id)).status == "expired"


async def test_reading_tells_expired_before_the_timer_did(world: World) -> None:
    v = await world.start()
    world.clock.forward(600)
    read = await world.verifications.read("shop", v.id)
    assert (read.status, read.ended_at, read.checks_left) == ("expired", v.expires_at, 0)


async def test_metadata_comes_back_as_given(world: World) -> None:
    v = await world.start(metadata={"order": "A-17 \U0001f600"})
    assert v.metadata == {"order": "A-17 \U0001f600"}
