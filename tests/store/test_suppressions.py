"""Records of opt-outs in the store: their entries, their ends, and that looking at them costs no round trip."""

from __future__ import annotations

from gateway.store.steps import HEARD, HEARD_IDS, Committed, Created, Reply, Suppressed, Suppression
from gateway.store.wants import Look, Mark
from tests.store.drafts import DAY, HOUR, Shelf, change, creation, repeat
from tests.store.test_round_trips import watching

ALWAYS = 0


def key(shelf: Shelf, name: str = "n") -> str:
    return shelf.store.suppression_key(7, name)


async def test_what_was_added_stands_until_it_is_lifted(shelf: Shelf) -> None:
    await shelf.store.suppress(key(shelf), ["sms", "voice"], "reply", ALWAYS)
    since = shelf.clock.now
    shelf.clock.now += 4000 * DAY
    assert await shelf.store.suppressions(key(shelf)) == [
        Suppression("sms", "reply", since, None),
        Suppression("voice", "reply", since, None),
    ]
    assert await shelf.store.lift(key(shelf), ["sms", "email"]) == 1
    assert [entry.channel for entry in await shelf.store.suppressions(key(shelf))] == ["voice"]
    assert await shelf.store.lift(key(shelf), ["voice"]) == 1
    assert await shelf.keys() == set(), "an empty record is no record"


async def test_an_entry_ends_when_its_life_does_and_not_a_moment_later(shelf: Shelf) -> None:
    await shelf.store.suppress(key(shelf), ["sms"], "vendor", HOUR)
    look = Look(key(shelf), ("sms",))
    shelf.clock.now += HOUR - 1
    assert isinstance(await shelf.store.create(creation(looks=(look,))), Suppressed)
    shelf.clock.now += 1
    assert await shelf.store.suppressions(key(shelf)) == []
    assert isinstance(await shelf.store.create(creation(looks=(look,))), Created)


async def test_a_record_is_kept_as_long_as_the_longest_of_its_entries(shelf: Shelf) -> None:
    async def left() -> int:
        return int(await shelf.client.pttl(key(shelf)))

    await shelf.store.suppress(key(shelf), ["sms"], "vendor", 2 * HOUR)
    await shelf.store.suppress(key(shelf), ["voice"], "vendor", HOUR)
    assert HOUR < await left() <= 2 * HOUR
    await shelf.store.suppress(key(shelf), ["whatsapp"], "reply", ALWAYS)
    assert await left() == -1
    await shelf.store.suppress(key(shelf), ["sms"], "vendor", HOUR)
    assert await left() == -1


async def test_the_newest_word_counts(shelf: Shelf) -> None:
    await shelf.store.suppress(key(shelf), ["sms"], "vendor", HOUR)
    shelf.clock.now += 5
    await shelf.store.suppress(key(shelf), ["sms"], "reply", ALWAYS)
    assert await shelf.store.suppressions(key(shelf)) == [Suppression("sms", "reply", shelf.clock.now, None)]


async def test_a_start_names_the_channels_that_stand_and_writes_nothing(shelf: Shelf) -> None:
    await shelf.store.suppress(key(shelf), ["sms", "voice"], "reply", ALWAYS)
    before = await shelf.keys()
    looks = (Look(key(shelf), ("whatsapp", "voice", "sms")), Look(key(shelf, "mail"), ("email",)))
    limit = shelf.counter("d", (1, HOUR, False))
    refused = await shelf.store.create(creation(limit, idempotency=repeat(), looks=looks))
    assert refused == Suppressed(shelf.clock.now, ("voice", "sms"))
    assert await shelf.keys() == before, "no budget, no record of the request, no verification"


async def test_looking_costs_a_start_no_command(shelf: Shelf) -> None:
    looks = (Look(key(shelf), ("sms",)),)
    await shelf.store.create(creation(looks=looks))  # loads the script
    async with watching(shelf) as commands:
        await shelf.store.create(creation(shelf.counter("d", (9, HOUR, False)), looks=looks))
    assert commands == ["EVALSHA"]


async def test_a_commit_remembers_one_opt_out_and_says_what_else_stands(shelf: Shelf) -> None:
    await shelf.store.suppress(key(shelf, "mail"), ["email"], "app", ALWAYS)
    made = creation()
    await shelf.store.create(made)
    wanted = change(made, 1, shelf.counter("d", (9, HOUR, False)), due=1)
    looks, marks = (Look(key(shelf, "mail"), ("email",)),), (Mark(key(shelf), ("sms",), "vendor", HOUR),)
    found = await shelf.store.commit(wanted._replace(looks=looks, marks=marks))
    assert isinstance(found, Committed)
    assert found.suppressed == ("email",)
    assert await shelf.store.suppressions(key(shelf)) == [
        Suppression("sms", "vendor", shelf.clock.now, shelf.clock.now + HOUR)
    ]


async def test_a_commit_that_comes_too_late_remembers_nothing(shelf: Shelf) -> None:
    made = creation()
    await shelf.store.create(made)
    await shelf.store.commit(change(made, 7, due=1)._replace(marks=(Mark(key(shelf), ("sms",), "vendor", HOUR),)))
    assert await shelf.store.suppressions(key(shelf)) == []


def reply(shelf: Shelf, *, lift: bool = False, said: int | None = None, id_: bytes = b"") -> Reply:
    records = {key(shelf): ALWAYS, key(shelf, "m"): HOUR}
    return Reply(shelf.store.heard_key(7, "h"), records, "sms", "reply", lift, said, id_)


async def test_a_reply_is_written_into_all_records_in_one_command_each_with_its_own_life(shelf: Shelf) -> None:
    await shelf.store.reply(reply(shelf))  # loads the script
    async with watching(shelf) as commands:
        assert await shelf.store.reply(reply(shelf)) == 2
    assert commands == ["EVALSHA"]
    now = shelf.clock.now
    assert await shelf.store.suppressions(key(shelf)) == [Suppression("sms", "reply", now, None)]
    assert await shelf.store.suppressions(key(shelf, "m")) == [Suppression("sms", "reply", now, now + HOUR)]
    assert await shelf.store.reply(reply(shelf, lift=True)) == 2
    assert await shelf.store.reply(reply(shelf, lift=True)) == 0


async def test_what_was_heard_is_bounded_and_goes_away_by_itself(shelf: Shelf) -> None:
    for number in range(HEARD_IDS + 1):
        await shelf.store.reply(reply(shelf, id_=b"%d" % number))
    assert await shelf.store.reply(reply(shelf, id_=b"1")) == 0
    assert await shelf.store.reply(reply(shelf, id_=b"0")) == 2, "the oldest was let go"
    assert 0 < await shelf.client.pttl(shelf.store.heard_key(7, "h")) <= HEARD
