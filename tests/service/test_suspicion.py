"""What becomes of traffic that looks like abuse: refused, challenged, answered in shadow or noted; and its blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.model import Verification
from gateway.http import rendering
from gateway.service import suspicion
from gateway.service.requests import Denied, Limited, NotFound
from gateway.store.steps import Unavailable
from policies.destination import phone
from policies.engine import decide
from policies.model import Question
from tests.support.world import EMAIL, World

Worlds = Callable[..., World]
STEPS = [{"channel": channel, "wait": "30s"} for channel in ("sms", "voice", "email")]
FIRST, NEXT = "+14155550100", "+14155550190"


def policies(mode: str = "enforce", **more: Any) -> dict[str, Any]:
    """A block of a prefix from the sixth number without an answer on."""
    rule = {"measure": "adjacent", "per": "prefix", "amount": 5, "near": 0, "window": "10m", "mode": mode}
    block = {"first": "1h", "growth": 2, "longest": "4h"}
    fraud = {"rules": {"crowd": {**rule, "block": block, **more}}}
    plain = {"extends": None, "countries": {"allow": ["US", "GB"]}, "fallback": STEPS, "code": {"cooldown": "0s"}}
    return {"default": {**plain, "fraud": fraud}, "resends": {**plain, "fraud": fraud, "code": {"resend": "new"}}}


async def provoke(world: World) -> list[Verification]:
    """Bring the prefix of FIRST to the verge of a block."""
    return [await world.start(phone=f"{FIRST[:-2]}{number}") for number in range(10, 15)]


def modes(world: World) -> list[str]:
    """How the starts were treated that look like abuse."""
    return [line["mode"] for line in world.logged if line.get("mode") and line["event"] == "verification.started"]


def kinds(world: World, start: str) -> list[str]:
    return [line["event"] for line in world.logged if line["event"].startswith(start)]


async def test_what_is_enforced_is_refused_and_the_public_hears_no_reason(worlds: Worlds) -> None:
    world = worlds(policies=policies())
    await provoke(world)
    with pytest.raises(Denied) as no:
        await world.begin(phone=NEXT)
    assert (no.value.code, no.value.rule) == ("fraud_suspected", "fraud")
    assert no.value.detail == "Requests like this one look like abuse and are not served."
    assert len(world.sent) == 5
    refused = next(line for line in world.logged if line["event"] == "verification.refused")
    assert (refused["rule"], refused["rules"]) == ("fraud", ("crowd",))
    assert world.metric("otp_fraud_total", fraud_rule="crowd", mode="enforce") == 1
    assert world.metric("otp_refusals_total", rule="fraud") == 1


async def blocked_since(world: World) -> Verification:
    """A verification that began before its prefix was blocked."""
    first, *_ = [await world.start(phone=f"{FIRST[:-2]}{n}", email="ana@example.org") for n in range(10, 15)]
    with suppress(Denied):
        await world.begin(phone=NEXT)
    await world.settle()
    return first


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("monitor", {"voice"}), ("challenge", {"email"}), ("shadow", set()), ("enforce", set())],
)
async def test_a_fallback_after_the_block_is_treated_as_a_start_would_be(
    worlds: Worlds, mode: str, channels: set[str]
) -> None:
    world = worlds(policies=policies(mode))
    first = await blocked_since(world)
    sent = len(world.sent)
    await world.after(31)
    await world.store.watches.told()
    mine = [message for message in world.sent[sent:] if message.reference.startswith(first.id)]
    assert {str(message.channel) for message in mine} == channels
    v = await world.verifications.read("shop", first.id)
    assert v.exhausted is (mode == "enforce"), "in shadow it looks as ever"
    barred = [line["mode"] for line in world.logged if line["event"] == "fraud.barred"]
    assert set(barred) == ({mode} if mode != "monitor" else set())


async def test_a_resend_after_the_block_is_refused_or_pretended(worlds: Worlds) -> None:
    enforcing, shadowing = (worlds(policies=policies(mode)) for mode in ("enforce", "shadow"))
    for world in (enforcing, shadowing):
        first = await blocked_since(world)
        sent = len(world.sent)
        if world is enforcing:
            with pytest.raises(Denied) as no:
                await world.verifications.resend("shop", first.id, "sms")
            assert (no.value.code, no.value.rule) == ("fraud_suspected", "fraud")
        else:
            await world.verifications.resend("shop", first.id, "sms")
            await world.settle()
            v = await world.verifications.read("shop", first.id)
            assert (len(v.attempts), v.current.status) == (2, "sent")
            assert (await world.check(first, world.code(first))).verdict == "approved", "the code did go out, before"
        assert len(world.sent) == sent


async def test_a_block_is_announced_once_and_names_its_subject_only_as_far_as_it_may(worlds: Worlds) -> None:
    world = worlds(policies=policies())
    await provoke(world)
    for _ in range(3):
        with pytest.raises(Denied):
            await world.begin(phone=NEXT)
    (added,) = [line for line in world.logged if line["event"] == "block.added"]
    assert (added["rule"], added["per"], added["subject"]) == ("crowd", "prefix", "+141555*****")
    assert added["until"] == world.clock.now + 3_600_000
    assert world.metric("otp_blocks_total", fraud_rule="crowd", event="added") == 1


async def test_others_go_on(worlds: Worlds) -> None:
    world = worlds(policies=policies())
    await provoke(world)
    with pytest.raises(Denied):
        await world.begin(phone=NEXT)
    await world.start(phone="+14155560190")  # another prefix
    await world.start(phone=NEXT, app="bank")
    await world.start(email=EMAIL)
    assert len(world.sent) == 8


async def test_a_typed_code_takes_its_number_out_of_the_crowd(worlds: Worlds) -> None:
    world = worlds(policies=policies())
    for v in await provoke(world):
        await world.check(v, world.code(v))
    await world.start(phone=NEXT)
    assert kinds(world, "block.") == []


async def test_a_limit_that_refuses_counts_nothing_under_the_watches(worlds: Worlds) -> None:
    raw = policies()
    raw["default"]["limits"] = {"one": {"per": "destination", "amount": 1, "window": "1h"}}
    world = worlds(policies=raw)
    await world.start(phone=FIRST)
    for _ in range(10):
        with pytest.raises(Limited):
            await world.begin(phone=FIRST)
    await world.start(phone=NEXT)


async def test_monitoring_only_notes(worlds: Worlds) -> None:
    world = worlds(policies=policies("monitor"))
    await provoke(world)
    for number in range(3):
        await world.start(phone=f"{FIRST[:-2]}{50 + number}")
    assert len(world.sent) == 8
    assert modes(world) == ["monitor"] * 3
    assert kinds(world, "block.") == ["block.added"]
    assert world.metric("otp_fraud_total", fraud_rule="crowd", mode="monitor") == 3


async def test_a_challenge_leaves_the_channels_that_cost_nothing_to_pump(worlds: Worlds) -> None:
    world = worlds(policies=policies("challenge"))
    await provoke(world)
    v = await world.start(phone=NEXT, email=EMAIL)
    assert [step.channel for step in v.steps] == ["email"]
    assert world.sent[-1].to == EMAIL
    assert modes(world) == ["challenge"]
    assert (await world.check(v, world.code(v))).verdict == "approved"


async def test_a_challenge_that_leaves_nothing_is_a_refusal(worlds: Worlds) -> None:
    world = worlds(policies=policies("challenge"))
    await provoke(world)
    with pytest.raises(Denied) as no:
        await world.begin(phone=NEXT)
    assert (no.value.code, no.value.rule) == ("fraud_suspected", "fraud")


async def seen(world: World, phone: str, **fields: Any) -> list[bytes]:
    """Everything that an app sees of a start, in the course of a minute, with what differs by chance made the same."""
    began = world.clock.now
    begun = await world.begin(phone=phone, **fields)
    v = begun.verification
    told = [rendering.verification(v, 60_000)]
    await world.settle()
    for pause in (0.0, 31.0, 31.0):
        await world.after(pause)
        told.append(rendering.verification(await world.verifications.read("shop", v.id), 60_000))
    wrong = await world.check(v, "000000")
    told.append(rendering.checked(wrong._replace(id=v.id)))
    told.append(rendering.verification(await world.verifications.resend("shop", v.id, "sms"), 60_000))
    await world.settle()
    told.append(rendering.verification(await world.verifications.read("shop", v.id), 60_000))
    names = [event["event"] for event in await world.verifications.events("shop", v.id)]
    assert [sorted(event) for event in await world.verifications.events("shop", v.id) if event["event"] == "sent"] == [
        ["at", "attempt", "event", "message_id"]
    ] * names.count("sent")
    world.clock.now = began
    masked = v.phone.encode()
    return [*(one.replace(v.id.encode(), b"ID").replace(masked, b"TO") for one in told), " ".join(names).encode()]


@pytest.mark.parametrize("purpose", ["default", "resends"])
async def test_in_shadow_every_answer_is_as_ever_and_nothing_is_sent(worlds: Worlds, purpose: str) -> None:
    world = worlds(policies=policies("shadow"))
    plain = await seen(world, "+14155560190", purpose=purpose)
    assert [message.to for message in world.sent] == ["+14155560190"] * 3
    for number in range(10, 15):
        await world.start(phone=f"{FIRST[:-2]}{number}", purpose=purpose)
    before = world.metric("otp_country_verifications_total", outcome="started")
    assert await seen(world, NEXT, purpose=purpose) == plain
    assert NEXT not in {message.to for message in world.sent}
    assert world.metric("otp_country_verifications_total", outcome="started") == before
    assert modes(world) == ["shadow"]
    assert kinds(world, "fraud.") == ["fraud.barred"] * 5, "the further messages of those before it"


async def test_in_shadow_no_code_is_right_not_even_the_apps_own(worlds: Worlds) -> None:
    world = worlds(policies=policies("shadow"))
    await provoke(world)
    v = await world.start(phone=NEXT, code="482913")
    verdicts = [(await world.check(v, "482913")).verdict for _ in range(5)]
    assert verdicts == ["wrong"] * 4 + ["locked"]
    assert len(world.sent) == 5


async def test_a_shadow_that_another_process_takes_over_sends_nothing_either(
    worlds: Worlds, twin: Callable[[World], World]
) -> None:
    world = worlds(policies=policies("shadow"))
    await provoke(world)
    world.wire(replace(world.setup, shadow_pause=1000))
    await world.begin(phone=NEXT)
    other = twin(world)
    await other.after(16)
    assert (other.sent, len(world.sent)) == ([], 5)


async def test_blocks_expire_and_lengthen(worlds: Worlds) -> None:
    world = worlds(policies=policies())
    await provoke(world)
    lengths = []
    for _ in range(4):
        with pytest.raises(Denied):
            await world.begin(phone=NEXT)
        (block,) = await world.blocks.listed("shop")
        lengths.append((block.level, (block.until - block.since) // 3_600_000))
        world.clock.now = block.until
        await provoke(world)
    assert lengths == [(1, 1), (2, 2), (3, 4), (4, 4)]
    assert kinds(world, "block.")[:3] == ["block.added", "block.lengthened", "block.lengthened"]


async def test_the_end_of_a_block_is_announced_once_whoever_looks(
    worlds: Worlds, twin: Callable[[World], World]
) -> None:
    world = worlds(policies=policies())
    other = twin(world)
    await provoke(world)
    with pytest.raises(Denied):
        await world.begin(phone=NEXT)
    await world.blocks.sweep()
    assert world.metric("otp_blocks_standing", app="shop") == 1
    world.clock.forward(3600)
    for each in (world, other, world):
        await each.blocks.sweep()
    assert kinds(world, "block.expired") + kinds(other, "block.expired") == ["block.expired"]
    assert world.metric("otp_blocks_standing", app="shop") == 0


async def test_a_block_is_listed_and_lifted_by_its_own_app_only(worlds: Worlds) -> None:
    world = worlds(policies=policies())
    await provoke(world)
    with pytest.raises(Denied):
        await world.begin(phone=NEXT)
    (block,) = await world.blocks.listed("shop")
    assert (block.rule, block.per, block.shown, block.level) == ("crowd", "prefix", "+141555*****", 1)
    assert await world.blocks.listed("bank") == ()
    with pytest.raises(NotFound):
        await world.blocks.lift("bank", block.name)
    await world.blocks.lift("shop", block.name)
    assert await world.blocks.listed("shop") == ()
    await world.start(phone=NEXT)
    with pytest.raises(NotFound):
        await world.blocks.lift("shop", block.name)
    assert kinds(world, "block.") == ["block.added", "block.lifted"]


async def test_the_mode_of_a_block_is_the_rules_present_one(worlds: Worlds, twin: Callable[[World], World]) -> None:
    world = worlds(policies=policies())
    await provoke(world)
    with pytest.raises(Denied):
        await world.begin(phone=NEXT)
    world.wire(replace(world.setup, policies=worlds(policies=policies("monitor")).setup.policies))
    await world.start(phone=NEXT)


async def test_a_range_is_treated_by_the_number_alone(worlds: Worlds) -> None:
    raw = policies("monitor")
    rules = {"numbers": {"measure": "range", "prefixes": ["+44740"], "types": [], "mode": "enforce"}}
    raw["default"]["fraud"]["rules"] |= rules
    world = worlds(policies=raw)
    with pytest.raises(Denied) as no:
        await world.begin(phone="+447400123456")
    assert no.value.code == "fraud_suspected"
    await world.start(phone="+447520123456")
    assert world.metric("otp_fraud_total", fraud_rule="numbers", mode="enforce") == 1


async def test_one_client_in_many_countries_is_noticed(worlds: Worlds) -> None:
    raw = policies(measure="countries", per="network", amount=2, near=10)
    world = worlds(policies=raw)
    await world.start(phone=FIRST, ip="203.0.113.7")
    await world.start(phone="+447400123456", ip="203.0.113.8")
    with pytest.raises(Denied):
        await world.begin(phone=NEXT, ip="203.0.113.200")
    await world.start(phone=NEXT, ip="203.0.114.7")
    await world.start(phone=NEXT)


async def test_feedback_counts_once_and_only_for_the_app_that_it_is_from(worlds: Worlds) -> None:
    world = worlds(policies=policies())
    five = await provoke(world)
    with pytest.raises(NotFound):
        await world.verifications.feedback("bank", five[0].id, converted=True)
    await world.verifications.feedback("shop", five[0].id, converted=False)
    for _ in range(2):
        assert (await world.verifications.feedback("shop", five[1].id, converted=True)).id == five[1].id
    await world.start(phone=NEXT)  # the crowd was four
    with pytest.raises(Denied):
        await world.begin(phone=f"{FIRST[:-2]}91")


async def test_an_approval_stands_when_its_watches_can_not_be_told(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = worlds(policies=policies())
    v = await world.start(phone=FIRST)

    async def away(*_: object) -> None:
        raise Unavailable("credit: TimeoutError")

    monkeypatch.setattr(world.store.watches, "credit", away)
    assert (await world.check(v, world.code(v))).verdict == "approved"
    await world.store.watches.told()
    assert kinds(world, "store.") == ["store.failed"]


async def stored(world: World) -> list[str]:
    """What the store holds of the numbers that are watched, before and after they are blocked, in the clear."""
    held = b""
    await provoke(world)
    for _ in range(2):
        async for key in world.client.scan_iter(f"{world.prefix}:*:w:*"):
            held += key + (await world.client.get(key) or b"")  # and no dump, which is compressed
        async for key in world.client.scan_iter(f"{world.prefix}:*:b:*"):
            held += key + b"".join(await world.client.zrange(key, 0, -1))
        world.clock.forward(200)
        with pytest.raises(Denied):
            await world.begin(phone=NEXT)
    assert held
    return [secret for secret in (FIRST[1:-4], FIRST[1:-2], NEXT[1:]) if secret.encode() in held]


HURRY = {"measure": "velocity", "near": 10}


@pytest.mark.parametrize("how", [{}, HURRY])
async def test_the_store_holds_no_number_of_those_that_are_watched(worlds: Worlds, how: dict[str, Any]) -> None:
    assert await stored(worlds(policies=policies(**how))) == []


async def test_a_number_that_is_counted_as_it_is_would_be_found(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suspicion, "_item", lambda _, watch: watch.item)
    assert await stored(worlds(policies=policies(**HURRY))) != []


async def test_the_id_of_a_block_is_plain_whatever_it_is_of(worlds: Worlds) -> None:
    setup = worlds().setup
    watches = decide(setup.policies["default"], Question("shop", "login", phone(FIRST))).watches
    many = [watch._replace(subject=str(n)) for n in range(200) for watch in watches]
    names = [name for name, _ in suspicion.watched(setup, suspicion.namers(setup, many), many)]
    assert {len(name) for name in names} == {16}
    assert not set("".join(names)) & set("+/=")


@pytest.mark.parametrize("mode", ["enforce", "shadow", "challenge"])
@pytest.mark.parametrize("where", ["by the policy", "by the app"])
@pytest.mark.parametrize("found", ["by a block", "by its range"])
async def test_a_number_on_an_allow_list_is_sent_to_whatever_is_suspected(
    worlds: Worlds, mode: str, where: str, found: str
) -> None:
    raw = policies(mode)
    raw["default"]["lists"] = {"api_allow": True, "allow": [NEXT] if where == "by the policy" else []}
    if found == "by its range":
        raw["default"]["fraud"]["rules"]["numbers"] = {"measure": "range", "prefixes": [NEXT[:-1]], "mode": mode}
    world = worlds(policies=raw)
    await provoke(world)
    with suppress(Denied):
        await world.begin(phone=f"{FIRST[:-2]}99")  # which begins the block
    if where == "by the app":
        await world.lists.add("shop", NEXT, "allow", "partner", 0)
    v = await world.start(phone=NEXT)
    assert (world.sent[-1].to, v.shadow, len(v.steps)) == (NEXT, False, 2)
    assert (await world.check(v, world.code(v))).verdict == "approved"


async def test_many_simultaneous_starts_begin_one_block_and_announce_it_once(worlds: Worlds) -> None:
    world = worlds(policies=policies())
    numbers = [f"{FIRST[:-2]}{number}" for number in range(10, 50)]
    answers = await asyncio.gather(*(world.begin(phone=phone) for phone in numbers), return_exceptions=True)
    await world.settle()
    assert len(world.sent) == 5
    assert sum(isinstance(answer, Denied) for answer in answers) == 35
    assert kinds(world, "block.") == ["block.added"]
