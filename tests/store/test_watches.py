"""The watches of the store against the same in memory: any starts, at any times, with codes typed or not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.store.document import unpack
from gateway.store.steps import Created, Creation, Limited, Suspected, Unavailable
from gateway.store.wants import common
from gateway.store.watches import Credit
from policies.model import Blocking, Mode, Watch
from policies.watches import Watching
from tests.store.drafts import Shelf, asking, creation, watched
from tests.support.six import Six

BLOCK = Blocking(first=5_000, growth=3, longest=60_000)
CONVERSION = Watch(
    "conversion", "shop", "prefix", "+1", "", "+1*", Mode.ENFORCE, 6, 60_000, ripe=1_200, patience=600, floor=0.4,
    drop=0.5, block=BLOCK,
)  # fmt: skip
ADJACENT = Watch("adjacent", "shop", "prefix", "+1", 0, "+1*", Mode.ENFORCE, 7, 4_000, near=10, block=BLOCK)
COUNTRIES = Watch("countries", "shop", "ip", "::", "US", "ip", Mode.MONITOR, 3, 10_000, block=BLOCK)
VELOCITY = Watch(
    "velocity", "shop", "ip", "::", "+1", "ip", Mode.MONITOR, 6, 4_000, patience=1_000, block=BLOCK, each=True
)

Step = tuple[int, int, str, int, bool]
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 90, 100, 130, 700, 1_200, 5_001, 60_001]),  # a pause
        st.sampled_from([0, 3, 7, 14, 40, 5_000, 9_995, 9_999]),  # a place in the prefix
        st.sampled_from(["US", "GB", "DE", "FR"]),
        # Whose code is typed then: nobody's, this one's, that of three starts before; or who has a further message.
        st.sampled_from([0, 0, 1, 4, -1, -3]),
        st.booleans(),  # whether a limit refuses
    ),
    min_size=1,
    max_size=60,
)
Modes = tuple[Mode, Mode, Mode, Mode]
MODES = st.tuples(*[st.sampled_from(Mode)] * 4)


def watches(place: int, country: str, modes: Modes) -> tuple[Watch, ...]:
    plain = (
        CONVERSION,
        ADJACENT._replace(item=place),
        COUNTRIES._replace(item=country),
        VELOCITY._replace(item=f"+{place}"),
    )
    return tuple(watch._replace(mode=mode) for watch, mode in zip(plain, modes, strict=True))


def credit(at: int, those: Sequence[Watch], *, sent: int = 0, typed: int = 0) -> Credit:
    return Credit(at, watched(those), sent, typed)


def where(shelf: Shelf) -> int:
    """The shard of the watches: the verification's, or another one where there are several servers."""
    return 9 if shelf.url.startswith("redis+cluster") else 7


async def asked(shelf: Shelf, those: Sequence[Watch], limited: bool) -> tuple[Any, ...]:
    """What the store says: who treats the start, who began a block, whether it was counted."""
    counters = [shelf.counter("full", (0, 1, False))] if limited else []
    made = asking(creation(*counters), watches=those, place=where(shelf), blocks="index")
    answer = await shelf.store.create(made)
    assert isinstance(answer, Created | Suspected | Limited)
    by = those[answer.watch].rule if isinstance(answer, Suspected) else None
    fired = () if isinstance(answer, Limited) else answer.fired
    return by, {(those[f.watch].rule, f.level, f.until) for f in fired}, isinstance(answer, Created)


def answered(model: Watching, those: Sequence[Watch], limited: bool, now: int) -> tuple[Any, ...]:
    """What the model says."""
    looked = model.look(those, now)
    counted = looked.by is None and not limited
    if counted:
        model.count(those, now)
    told = looked.fired if looked.by or counted else ()
    states = [(watch, model._state(watch, now)) for watch in told]
    return looked.by and looked.by.rule, {(w.rule, 0 if s.buckets else s.level, s.until) for w, s in states}, counted


async def differ(shelf: Shelf, model: Watching, steps: Sequence[Step], modes: Modes) -> list[str]:
    """Every start that the two treated differently."""
    faults, begun = [], []
    for number, (pause, place, country, typed, limited) in enumerate(steps):
        shelf.clock.now += pause
        those, now = watches(place, country, modes), shelf.clock.now
        ours, theirs = answered(model, those, limited, now), await asked(shelf, those, limited)
        if ours != theirs:
            faults.append(f"start {number} at {now}: {ours}, and the store says {theirs}")
        begun.append((now, those) if ours[2] else None)
        earlier = begun[-abs(typed)] if 0 < abs(typed) <= len(begun) else None
        if earlier and typed > 0:
            messages = 1 + (number % 7 == 6)
            model.credit(earlier[1], earlier[0], messages)
            await shelf.store.watches.credit(where(shelf), credit(*earlier, typed=messages))
        elif earlier and (stands := await further(shelf, model, *earlier)) is not None:
            faults.append(f"message {number} at {now}: {stands}")
    return faults


async def further(shelf: Shelf, model: Watching, at: int, those: Sequence[Watch]) -> str | None:
    """Whether the two treat a further message differently. It is counted where it may go out."""
    modes = {watch.rule: watch.mode for watch in those}
    names = [name for name, _ in watched(those)]
    standing = [modes[rule] for rule in await shelf.store.watches.blocked(where(shelf), names)]
    theirs = max(standing, key=lambda mode: mode.rank, default=Mode.MONITOR)
    ours = model.blocked(those, shelf.clock.now)
    if theirs is Mode.MONITOR:
        model.more(those, at)
        await shelf.store.watches.credit(where(shelf), credit(at, those, sent=1))
    return None if theirs is (ours.mode if ours else Mode.MONITOR) else f"{ours}, and the store says {theirs}"


def runs(url: str, work: Callable[[Shelf], Any]) -> Any:
    async def once() -> Any:
        shelf = Shelf(url)
        try:
            return await work(shelf)
        finally:
            await shelf.store.close()
            await shelf.client.aclose()

    return asyncio.run(once())


STERN = st.sampled_from([Mode.CHALLENGE, Mode.SHADOW, Mode.ENFORCE])
"""Modes in which a watch that fires has a say: what only notes may begin a block by a start that is taken back."""
CHALLENGED: Modes = (Mode.CHALLENGE, Mode.CHALLENGE, Mode.CHALLENGE, Mode.CHALLENGE)
STERNEST: Modes = (Mode.ENFORCE, Mode.ENFORCE, Mode.ENFORCE, Mode.ENFORCE)
ENFORCED: Modes = (Mode.ENFORCE, Mode.ENFORCE, Mode.MONITOR, Mode.MONITOR)
HURRIED: Modes = (Mode.MONITOR, Mode.MONITOR, Mode.MONITOR, Mode.ENFORCE)


def starts(number: int, typed: Callable[[int], int], pause: int = 130, every: int = 500) -> list[Step]:
    return [(pause, n * every % 10_000, "US", typed(n), False) for n in range(number)]


PUMPED = starts(40, lambda n: n < 3)
LAUNCH = starts(40, lambda n: 4 if n % 3 else 0)
SILENT = starts(12, lambda _: 0)
BURST = starts(12, lambda _: 0, pause=0)
SLOW = starts(6, lambda n: int(n > 2), pause=1_200)
USUAL = starts(20, lambda n: n % 2, pause=700)
WORSE = [*USUAL, (60_001, 1, "US", 1, False), *starts(40, lambda n: int(n % 3 == 0), pause=700)]
SEQUENCE = [(100, 20 + n, "US", 0, False) for n in range(12)]
AROUND = [(100, place, "US", 0, False) for place in (9_999, 3, 500, 1_000, 1_500, 2_000)]
EVERYWHERE = [(100, n, country, 0, n == 1) for n, country in enumerate(["US", "GB", "DE", "FR", "US"])]
INSISTENT = [(130, 7, "US", 0, False)] * 20
FLOOD = [(1, 7 if n < 200 else 40, "US", 0, False) for n in range(220)]
FLOODED = [*FLOOD, (0, 7, "US", 30, False), (1_200, 7, "US", 0, False)]
FORGIVEN = [*[(130, 7, "US", 4 if n == 7 else 0, False) for n in range(8)], *INSISTENT]
FURTHER = [(130, n * 500, "US", -1 if n < 6 else n - 9, False) for n in range(9)]
LATER = [(60_001, 1, "US", 0, False), (60_001, 2, "US", 0, False)]
END = (5_001, 1, "US", 0, False)  # of what is held, and of a first block
AGAIN = [*SILENT, END, END, *SILENT, END, *LATER, *SILENT, END, END]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, MODES)
@example(PUMPED, ENFORCED)
@example(LAUNCH, ENFORCED)
@example(SEQUENCE, ENFORCED)
@example(FURTHER, ENFORCED)
@example(AGAIN, ENFORCED)
@example(WORSE, ENFORCED)
@example(AROUND, ENFORCED)
@example(EVERYWHERE, (Mode.MONITOR, Mode.SHADOW, Mode.CHALLENGE, Mode.MONITOR))
@example(INSISTENT, HURRIED)
@example(FORGIVEN, HURRIED)
@example(FLOODED, HURRIED)
def test_the_memory_suspects_every_start_as_the_store_does(valkey: str, steps: list[Step], modes: Modes) -> None:
    assert runs(valkey, lambda shelf: differ(shelf, Watching(), steps, modes)) == []


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.tuples(STERN, STERN, STERN, STERN))
@example([(*step[:4], n % 3 == 0) for n, step in enumerate(PUMPED)], STERNEST)
@example([(*step[:4], n % 4 == 1) for n, step in enumerate(SEQUENCE)], STERNEST)
@example([*[(0, 0, "US", 0, False)] * 9, (100, 0, "US", 0, True), (700, 0, "US", 0, False)], CHALLENGED)
def test_it_does_where_they_lie_in_another_slot_than_the_start_and_a_limit_takes_it_back(
    clustered: Six, steps: list[Step], modes: Modes
) -> None:
    assert runs(clustered.url, lambda shelf: differ(shelf, Watching(), steps, modes)) == []


def test_a_start_that_is_taken_back_and_stays_counted_is_caught(
    clustered: Six, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug."""
    from gateway.store.reservations import Reservations

    async def nothing(*_: object) -> None: ...

    monkeypatch.setattr(Reservations, "undo", nothing)
    steps = [(*step[:4], n % 3 == 0) for n, step in enumerate(PUMPED)]
    assert runs(clustered.url, lambda shelf: differ(shelf, Watching(), steps, STERNEST)) != []


@pytest.mark.parametrize(
    ("right", "wrong", "steps"),
    [
        ("start + fine(w) + age <= now", "start <= now", LAUNCH),  # judges a message before anybody can have typed
        ("ripe >= needed and", "ripe >= 1 and", SLOW),  # judges by the first few
        ("now - st.b[1] >= w.p", "true", BURST),  # has no patience
        ("if verdict == HELD then", "if false then", PUMPED),  # blocks for long what it can't know yet
        ("silent or (young", "silent or false and (young", PUMPED),  # one typed code, and it waits
        ("local earned = st.hs >= w.n", "local earned = false and st.hs >= w.n", WORSE),  # knows nothing as usual
        ("if close(i) or close", "if false and close", SEQUENCE),  # takes neighbours for anybody
        ("(places[i % number + 1] - places[i]) % 10000", "places[i % number + 1] - places[i]", AROUND),
        ("    st.b, st.e = {}, {}\n", "", AGAIN),  # what led to a block leads to the next one
        ("w.g ^ level", "1 ^ level", AGAIN),  # blocks that do not lengthen
        ("+ w.l and 0 or st.v", "+ w.l and st.v or st.v", AGAIN),  # remembers for ever
        ("if not w.e then", "if true then", INSISTENT),  # takes all that one number was sent for one
        ("at + w.p > now", "at > now", INSISTENT),  # takes for unanswered what nobody has had the time to answer
        ("if #st.e < 2 * MOST_ITEMS then", "if true then", FLOODED),  # keeps whatever comes
        ("verdict == HELD\n", "false\n", FURTHER),  # takes a hold for a block
    ],
)  # fmt: skip
def test_a_watch_with_a_planted_fault_is_caught(
    valkey: str, right: str, wrong: str, steps: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.store import valkey as module

    assert module._source("watches").count(right) == 1
    monkeypatch.setattr(module, "_source", lambda name, read=module._source: read(name).replace(right, wrong))
    modes = HURRIED if steps in (INSISTENT, FLOODED) else ENFORCED
    assert runs(valkey, lambda shelf: differ(shelf, Watching(), steps, modes)) != []


async def parallel(shelf: Shelf, starts: int) -> int:
    """How many of so many simultaneous starts to a silent subject pass."""
    watch = CONVERSION._replace(patience=0, minimum=20)
    drafts = [asking(creation(), watches=[watch], place=7, blocks="index") for _ in range(starts)]
    answers = await asyncio.gather(*(shelf.store.create(draft) for draft in drafts))
    return sum(isinstance(answer, Created) for answer in answers)


async def test_of_many_simultaneous_starts_exactly_as_many_pass_as_the_rule_says(shelf: Shelf) -> None:
    assert await parallel(shelf, 100) == 20


async def test_a_block_is_lifted_by_its_own_index_alone_also_where_two_lie_in_one_slot(shelf: Shelf) -> None:
    watch = CONVERSION._replace(patience=0, minimum=6)
    for _ in range(7):
        await shelf.store.create(asking(creation(), watches=[watch], place=7, blocks="shop"))
    assert await shelf.store.watches.unblock(7, "bank", watch.rule) is None
    assert await shelf.store.watches.unblock(7, "shop", watch.rule) is not None


async def test_a_tally_that_is_read_and_then_written_lets_more_pass(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = shelf.store.create

    async def torn(draft: Creation) -> object:
        """The same decision, by a look at the state and a later write of it."""
        sends = int(await shelf.client.get(f"{shelf.prefix}:torn") or 0)
        answer = await true(replace(draft, wants=draft.wants._replace(common=common(), watched=(), shown=())))
        await shelf.client.set(f"{shelf.prefix}:torn", sends + 1)
        return answer if sends < 20 else Suspected(answer.now, 0, ())

    monkeypatch.setattr(shelf.store, "create", torn)
    assert await parallel(shelf, 100) > 20


async def test_what_is_known_of_a_subject_stays_small_and_goes_away(shelf: Shelf) -> None:
    watch = CONVERSION._replace(mode=Mode.MONITOR, window=86_400_000, ripe=180_000, minimum=100_000)
    for _ in range(300):
        shelf.clock.now += 7_000
        await shelf.store.create(asking(creation(), watches=[watch], place=7, blocks="index"))
    key = f"{shelf.prefix}:{{7}}:w:conversion"
    assert await shelf.client.strlen(key) < 400
    assert 0 < await shelf.client.pttl(key) <= 8 * 86_400_000


def counted(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that the watches of a store ask for from now on."""
    commands, run = [], shelf.store.watches._run

    async def counting(name: str, keys: Sequence[str], args: dict[str, object]) -> list[Any]:
        commands.append(name)
        return await run(name, keys, args)

    monkeypatch.setattr(shelf.store.watches, "_run", counting)
    return commands


async def test_what_is_told_at_once_is_one_command_and_comes_to_the_same(
    shelf: Shelf, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, those = Shelf(valkey, shelf.clock), watches(3, "US", (Mode.MONITOR,) * 4)
    for one in (shelf, other):
        for _ in range(4):
            shelf.clock.now += 100
            await asked(one, those, limited=False)
        shelf.clock.now -= 400
    told = [
        credit(shelf.clock.now + after, those, sent=sent, typed=typed)
        for after, sent, typed in ((100, 0, 1), (200, -1, 0), (300, 1, 0), (300, 0, 2))
    ]
    commands = counted(shelf, monkeypatch)
    for each in told:
        shelf.store.watches.credit_soon(7, each, pytest.fail)
    await shelf.store.watches.told()
    for each in told:
        await other.store.watches.credit(7, each)
    for watch in those:
        states = [await one.client.get(f"{one.prefix}:{{7}}:w:{watch.rule}") for one in (shelf, other)]
        assert unpack(states[0]) == unpack(states[1])
    assert commands == ["credit"]
    await other.store.close()
    await other.client.aclose()


async def test_what_is_told_while_the_store_is_away_is_lost_and_said_and_the_next_is_told(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    those, lost = watches(3, "US", (Mode.MONITOR,) * 4), []

    async def away(*_: object) -> None:
        raise Unavailable("credit: Late")

    with monkeypatch.context() as while_away:
        while_away.setattr(shelf.store.watches, "_run", away)
        for at in (1, 2):
            shelf.store.watches.credit_soon(7, credit(at, those), lambda fault: lost.append(str(fault)))
        await shelf.store.watches.told()
    assert lost == ["credit: Late"] * 2
    commands = counted(shelf, monkeypatch)
    shelf.store.watches.credit_soon(7, credit(3, those), pytest.fail)
    await shelf.store.close()  # which waits for it
    assert commands == ["credit"]


async def test_what_is_told_within_the_time_of_gathering_is_one_command(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    those, kept = watches(3, "US", (Mode.MONITOR,) * 4), shelf.store.watches
    commands = counted(shelf, monkeypatch)
    for gather in (0.03, 0.0):  # the second is the twin: nothing is gathered
        kept._gather = gather
        for at in (1, 2, 3):
            kept.credit_soon(7, credit(at, those), pytest.fail)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await kept.told()
        commands.append("then")
    assert commands[:2] == ["credit", "then"]
    assert len(commands) > 4
