"""The limits against somebody else's: the moving window of the `limits` library, for every window that is shipped."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import SimpleNamespace

import limits.storage.memory
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limits import RateLimitItemPerSecond
from limits.strategies import MovingWindowRateLimiter

from gateway.store.steps import Limited
from policies.inheritance import presets, resolve
from policies.schema import PolicySettings
from tests.store.drafts import Shelf, creation
from tests.store.limiting import Rule, counters, plant, run

DAY = 86_400_000


def shipped() -> list[PolicySettings]:
    """Every preset. They serve nobody until countries are allowed, which limits know nothing of."""
    return [PolicySettings.model_validate(resolve(name, {})) for name in presets()]


WINDOWS = sorted(
    {limit.window for policy in shipped() for limit in policy.limits.values()}
    | {policy.guesses.window for policy in shipped()}
    | {policy.code.cooldown for policy in shipped() if policy.code.cooldown}
)
SMALL = sorted({(limit.amount, limit.window) for policy in shipped() for limit in policy.limits.values()})[:6]
"""The shipped limits that a test can fill, with their own amounts."""

windows = st.one_of(st.sampled_from(WINDOWS), st.integers(10, 31 * 86_400).map(lambda seconds: seconds * 1000))
rules = st.one_of(
    st.tuples(st.integers(1, 6), windows, st.just(False)),
    st.sampled_from(SMALL).map(lambda limit: (*limit, False)),
)


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[list[Rule]], list[int]]:
    """Groups of limits, and pauses that are long and short in their measure: the edges of each window are met."""
    groups = draw(st.lists(st.lists(rules, min_size=1, max_size=3), min_size=1, max_size=3))
    edges = {
        edge for group in groups for _, window, _ in group for edge in (window - 1, window, window + 1, window // 7)
    }
    pauses = st.one_of(st.sampled_from([0, 0, 0, 1, 1000]), st.sampled_from(sorted(edges)))
    return groups, draw(st.lists(pauses, min_size=1, max_size=24))


class Oracle:
    """The library's moving window over several limits, none of which is spent when another refuses.

    It counts an event that is exactly as old as the window, and this project doesn't: so its clock is a microsecond
    further on at every question. Its thread, which forgets what is too old to count, is left out.
    """

    def __init__(self, groups: Sequence[Sequence[Rule]], monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        self.asked = 0
        module = limits.storage.memory
        monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: self.seconds))
        monkeypatch.setattr(module, "threading", SimpleNamespace(Timer=NoThread, RLock=threading.RLock))
        self.limiter = MovingWindowRateLimiter(module.MemoryStorage())
        self.items = [
            (RateLimitItemPerSecond(amount, window // 1000), f"{group}.{place}")
            for group, rules in enumerate(groups)
            for place, (amount, window, _) in enumerate(rules)
        ]

    def start(self, now: int) -> bool:
        """Whether a start passes, which is then counted by every limit."""
        self.asked += 1
        self.seconds = now / 1000 + self.asked / 1_000_000
        if not all(self.limiter.test(item, subject) for item, subject in self.items):
            return False
        hits = [self.limiter.hit(item, subject) for item, subject in self.items]
        return all(hits)


class NoThread:
    """Stands in for a timer that would forget old events."""

    def __init__(self, *_: object) -> None: ...

    def start(self) -> None: ...

    def is_alive(self) -> bool:
        return True


async def differ(
    shelf: Shelf, groups: Sequence[Sequence[Rule]], pauses: Sequence[int], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Every way in which the store and the library disagreed, or a limit was not what it says."""
    began, oracle, passed, faults = shelf.clock.now, Oracle(groups, monkeypatch), list[int](), list[str]()
    asked = counters(shelf, groups)
    for pause in pauses:
        shelf.clock.now += pause
        at = shelf.clock.now - began
        answer = await shelf.store.create(creation(*asked))
        ours = not isinstance(answer, Limited)
        if ours is not oracle.start(at):
            faults.append(f"at {at}: {'passes' if ours else 'is refused'}, and not so in the library")
        passed += [at] if ours else []
    faults += [f"{rule} was exceeded" for group in groups for rule in group if most(passed, rule[1]) > rule[0]]
    return faults


def most(passed: Sequence[int], window: int) -> int:
    """The most starts that any window of this length held."""
    return max((sum(at <= other < at + window for other in passed) for at in passed), default=0)


async def obedient(shelf: Shelf, groups: Sequence[Sequence[Rule]], pauses: Sequence[int]) -> list[str]:
    """One who is told to wait, and does. What was not true of what they were told."""
    asked, faults = counters(shelf, groups), list[str]()
    for pause in pauses:
        shelf.clock.now += pause
        answer = await shelf.store.create(creation(*asked))
        if not isinstance(answer, Limited):
            continue
        shelf.clock.now += answer.wait - 1
        early = await shelf.store.create(creation(*asked))
        shelf.clock.now += 1
        late = await shelf.store.create(creation(*asked))
        if not isinstance(early, Limited) or isinstance(late, Limited):
            faults.append(f"told to wait {answer.wait}: {early} a millisecond before, {late} then")
    return faults


_SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_SETTINGS
@given(runs())
def test_the_store_limits_exactly_as_the_library_does(valkey: str, example: tuple[list[list[Rule]], list[int]]) -> None:
    groups, pauses = example
    with pytest.MonkeyPatch.context() as patch:
        assert run(valkey, lambda shelf: differ(shelf, groups, pauses, patch)) == []


@_SETTINGS
@given(runs())
def test_who_waits_as_long_as_they_are_told_passes_and_a_millisecond_sooner_does_not(
    valkey: str, example: tuple[list[list[Rule]], list[int]]
) -> None:
    groups, pauses = example
    assert run(valkey, lambda shelf: obedient(shelf, groups, pauses)) == []


@pytest.mark.parametrize("window", WINDOWS)
def test_every_window_that_is_shipped_agrees_at_its_edges(valkey: str, window: int) -> None:
    groups, pauses = [[(3, window, False)]], [0, window // 2, 1, 0, window // 2 - 2, 1, 0, 1, window - 1, 0, 1, 1, 0]
    with pytest.MonkeyPatch.context() as patch:
        assert run(valkey, lambda shelf: differ(shelf, groups, pauses, patch)) == []
    assert run(valkey, lambda shelf: obedient(shelf, groups, pauses)) == []


NEWEST = "  local oldest = event(key, amount)\n"
SAME = "  oldest = oldest and math.floor(now / window) == math.floor(oldest / window) and oldest or nil\n"
LONGER = "      elseif wait > longest then\n"
AT_ONCE = "      elseif wait == 0 and r == 1 and g < #groups then\n        count(keys[g], counter[1], counter[2])\n"
FIXED = (NEWEST, NEWEST + SAME)
LATE = ("(oldest + window - now) or 0", "(oldest + window - now - 1) or 0")
EARLY = ("(oldest + window - now) or 0", "(oldest + window - now + 1) or 0")
ONE_TOO_MANY = ("event(key, amount)", "event(key, amount + 1)")
PARTIAL = (LONGER, AT_ONCE + LONGER)


@pytest.mark.parametrize("fault", [FIXED, LATE, EARLY, ONE_TOO_MANY, PARTIAL])
def test_a_planted_fault_is_caught(valkey: str, fault: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A fixed window, a millisecond too few and too many, one event too many, and a reservation in parts."""
    plant(monkeypatch, *fault)
    groups = [[(4, 60_000, False)], [(2, 20_000, False)]]
    pauses = [0, 10_000, 0, 9_999, 1, 10_000, 30_000, 0, 19_999, 1, 5_000, 14_999, 1, 40_000, 0]
    with pytest.MonkeyPatch.context() as patch:
        assert run(valkey, lambda shelf: differ(shelf, groups, pauses, patch)) != []
