"""Lists by the API: what an app denies and allows takes effect at its next start, in the step that creates it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.service import lists as listing
from gateway.service.requests import Denied, InvalidField, understood
from gateway.store.link import Script
from gateway.store.steps import Full, Unavailable
from policies.model import Listed
from tests.service.conftest import Worlds
from tests.support.world import EMAIL, PHONE, POLICY, World

PREMIUM = "+19005551234"
DAY = 86_400_000


async def refused(world: World, **fields: Any) -> tuple[str, str] | None:
    try:
        await world.start(**fields)
    except Denied as fault:
        return fault.code, fault.rule
    return None


async def word(world: World, entry: str, app: str = "shop") -> str:
    return (await world.lists.search(app, entry)).word


async def deny(world: World, entry: str, life: int = 0) -> None:
    await world.lists.add("shop", entry, "deny", "pumping", life)


async def allow(world: World, entry: str) -> None:
    await world.lists.add("shop", entry, "allow", "partner", 0)


BLOCKED = ("destination_blocked", "lists")


@pytest.mark.parametrize("entry", [PHONE, "+1415*", "+1*", "+1415555012*"])
async def test_a_denied_number_gets_nothing_until_the_entry_is_removed(world: World, entry: str) -> None:
    await deny(world, entry)
    assert await refused(world) == BLOCKED
    assert world.sent == []
    assert world.metric("otp_refusals_total", rule="lists") == 1
    await world.lists.remove("shop", entry)
    assert await refused(world) is None


@pytest.mark.parametrize("entry", [EMAIL, "Ana+tag@Example.org", "example.org"])
async def test_a_denied_address_leaves_the_number(world: World, entry: str) -> None:
    await deny(world, entry)
    assert await refused(world, email=EMAIL) == BLOCKED
    both = await world.start(phone=PHONE, email=EMAIL)
    assert "email" not in [step.channel for step in both.steps]


async def test_other_numbers_and_other_apps_are_let_through(world: World) -> None:
    await deny(world, PHONE)
    assert await refused(world, phone="+14155550124") is None
    assert await refused(world, app="bank") is None
    assert (await word(world, PHONE), await word(world, PHONE, "bank")) == ("deny", "")


async def test_the_longest_entry_counts(world: World) -> None:
    await deny(world, "+1415*")
    await allow(world, PHONE)
    assert await refused(world) is None
    assert await refused(world, phone="+14155550124") == BLOCKED
    standing = await world.lists.search("shop", PHONE)
    assert [(entry.text, said.word) for entry, said in standing.found] == [(PHONE, "allow"), ("+1415*", "deny")]


async def test_an_entry_ends_by_itself(world: World) -> None:
    await deny(world, "+1415*", 60_000)
    assert await refused(world) == BLOCKED
    world.clock.forward(60)
    assert await refused(world) is None
    assert await word(world, PHONE) == ""


async def test_a_later_word_replaces_an_earlier_one(world: World) -> None:
    await deny(world, PHONE)
    await allow(world, PHONE)
    assert await refused(world) is None
    await deny(world, PHONE)
    assert await refused(world) == BLOCKED


async def test_who_is_on_no_list_costs_one_round_trip_and_who_is_costs_two(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, calls = world.store.create, []

    async def counted(creation: Any) -> Any:
        calls.append(creation)
        return await create(creation)

    async def trips() -> int:
        calls.clear()
        await world.begin()
        return len(calls)

    monkeypatch.setattr(world.store, "create", counted)
    assert await trips() == 1
    await allow(world, "+1415*")
    assert [await trips() for _ in range(3)] == [3, 2, 2]  # the first hears that there is a list
    world.clock.forward(3600)
    assert [await trips() for _ in range(2)] == [3, 2]
    await world.lists.remove("shop", "+1415*")
    assert await trips() == 1


async def test_entries_are_named_only_where_there_is_a_list(world: World) -> None:
    def named(number: str) -> list[bool]:
        to = understood(number, None)
        return [bool(look.entries) for look in listing.looks(world.setup, "shop", to, Listed())]

    assert named(PHONE) == [False]
    await deny(world, PHONE)
    assert await refused(world) == BLOCKED
    assert named(PHONE) == [True]
    elsewhere = next(n for n in (f"+1415555{x:04d}" for x in range(200)) if shard(world, n) != shard(world, PHONE))
    assert named(elsewhere) == [False]


def shard(world: World, number: str) -> int:
    return world.keys.shard(number)


async def test_a_script_that_does_not_ask_for_the_entries_lets_everybody_through(world: World) -> None:
    """The planted bug: entries are left out, and nobody looks whether there is a list."""
    right = "if overlooked(args.looks, records) then"
    source = world.store._scripts["create"].source
    assert right in source
    world.store._scripts["create"] = Script.of(source.replace(right, "if false then"))
    await deny(world, PHONE)
    assert await refused(world) is None


async def test_a_denial_stands_in_the_way_of_every_start_that_creates_after_it(world: World) -> None:
    """Starts and the denial race: whatever was created before it is let through, and nothing after."""
    outcomes = await asyncio.gather(
        *(refused(world) for _ in range(10)), deny(world, PHONE), *(refused(world) for _ in range(10))
    )
    assert {outcome for outcome in outcomes if outcome} <= {BLOCKED}
    assert await refused(world) == BLOCKED


async def test_the_test_above_would_notice_a_start_that_does_not_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "looks", lambda *_: ())
    await deny(world, PHONE)
    assert await refused(world) is None


# --- what an app may not allow itself ---


async def test_an_app_does_not_allow_itself_premium_numbers(world: World) -> None:
    await allow(world, "+1*")
    assert await refused(world, phone=PREMIUM) == ("number_type_denied", "number_type")


async def test_it_does_where_the_policy_says_so(worlds: Worlds) -> None:
    world = worlds(policies={"default": {**POLICY, "lists": {"api_allow": True}}})
    assert await refused(world, phone=PREMIUM) == ("number_type_denied", "number_type")
    await allow(world, "+1900*")
    assert await refused(world, phone=PREMIUM) is None


async def test_an_app_never_allows_what_the_policy_denies(worlds: Worlds) -> None:
    world = worlds(policies={"default": {**POLICY, "lists": {"api_allow": True, "deny": ["+1415*"]}}})
    await allow(world, PHONE)
    assert await refused(world) == BLOCKED


async def test_what_is_allowed_keeps_to_its_limits(worlds: Worlds) -> None:
    limits = {**POLICY["limits"], "destination-day": {"amount": 1}}
    world = worlds(policies={"default": {**POLICY, "limits": limits, "lists": {"api_allow": True}}})
    await allow(world, PHONE)
    await world.start()
    with pytest.raises(Exception, match="limit destination-day"):
        await world.start()


# --- how they are kept ---


async def test_only_hashes_are_kept(world: World) -> None:
    for entry in (PHONE, "+1415555*"):
        await deny(world, entry)
    await deny(world, EMAIL)
    dumped = b""
    async for key in world.client.scan_iter(f"{world.prefix}:*"):
        rows = await world.client.hgetall(key)
        dumped += key + b"".join(field + value for field, value in rows.items())
    assert b"pumping" in dumped
    for text in (b"4155550123", b"1415555", b"ana@", b"example.org"):
        assert text not in dumped


async def test_a_wide_entry_stands_in_every_slot_and_a_narrow_one_in_its_own(world: World) -> None:
    async def records() -> int:
        return len([key async for key in world.client.scan_iter(f"{world.prefix}:*:b:*")])

    await deny(world, PHONE)
    assert await records() == 1
    await deny(world, "+1415*")
    assert await records() == 64
    await world.lists.remove("shop", "+1415*")
    assert await records() == 1


async def test_a_record_lives_as_long_as_its_longest_entry(world: World) -> None:
    shard = world.keys.shard(PHONE)
    key = world.store.list_key(shard, world.keys.name("list", "shop"))
    await deny(world, PHONE, DAY)
    assert DAY - 10_000 < await world.client.pttl(key) <= DAY
    await deny(world, PHONE, 60_000)
    assert await world.client.pttl(key) > DAY - 10_000
    await deny(world, "+1415*")
    assert await world.client.pttl(key) == -1


async def test_a_full_record_drops_what_has_ended_and_then_takes_no_more(world: World) -> None:
    store, key = world.store, world.store.list_key(3, "x")

    async def add(entry: bytes, life: int = 0) -> None:
        await store.enlist(key, entry, "deny", "app", life, 3)

    for entry in (b"a", b"b"):
        await add(entry)
    await add(b"c", 1000)
    with pytest.raises(Full):
        await add(b"d")
    await add(b"a")  # which stands already
    world.clock.forward(1)
    await add(b"d")
    assert {entry.place for entry in await store.listed(key, [b"a", b"b", b"c", b"d"])} == {0, 1, 3}


async def test_an_app_whose_list_is_full_is_told_what_to_do(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST", 1)
    await deny(world, "+1415*")
    with pytest.raises(InvalidField, match="/entry: this app's list is full: remove entries"):
        await deny(world, "+1416*")


async def test_a_failure_in_the_middle_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    enlist, calls = world.store.enlist, iter(range(1000))

    async def sometimes(*arguments: Any) -> None:
        if next(calls) == 20:
            raise Unavailable("away")
        await enlist(*arguments)

    monkeypatch.setattr(world.store, "enlist", sometimes)
    with pytest.raises(Unavailable):
        await deny(world, "+1415*")
    await deny(world, "+1415*")
    assert await refused(world) == BLOCKED


async def test_while_the_store_is_away_nothing_is_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(world.store, "_run", away)
    with pytest.raises(Unavailable):
        await world.start()
    assert world.sent == []


async def test_what_is_no_entry_is_refused_with_what_to_write(world: World) -> None:
    with pytest.raises(InvalidField, match="/entry: not an entry: write a number"):
        await deny(world, "nobody")


async def test_a_start_with_two_addresses_looks_at_both(world: World) -> None:
    to = understood(PHONE, EMAIL)
    listing.heard(world.setup, "shop", to)
    looks = listing.looks(world.setup, "shop", to, Listed(email="deny"))
    assert [look.word for look in looks] == ["", "deny"]
    assert [len(look.entries) for look in looks] == [12, 2]
    assert listing.told(to, ("allow", "deny")) == Listed("allow", "deny")
    assert listing.told(understood(None, EMAIL), ("deny",)) == Listed("", "deny")


async def test_the_log_tells_of_changes_and_shows_no_number(world: World) -> None:
    await deny(world, PHONE)
    await world.lists.remove("shop", PHONE)
    await world.lists.remove("shop", PHONE)
    lines = [line for line in world.logged if line["event"].startswith("list.")]
    assert [(line["event"], line["entry"]) for line in lines] == [
        ("list.added", "+1415*****23"),
        ("list.removed", "+1415*****23"),
    ]
