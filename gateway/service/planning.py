"""What all starts of the same circumstances have in common, worked out once: a start then fills in whom it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.core.keys import SHARDS, Keyring
from gateway.core.model import Purse, SendLimit, Verification
from gateway.service import spending, suspicion, vigilance
from gateway.service.setup import Setup
from gateway.store.terms import Terms, terms_of
from gateway.store.wants import Common, Counter, Group, Rule, caps, common, eye
from policies import model
from policies.model import Counts, Decision, GuessBudget, Limit, Outline, Step
from policies.rules.limits import with_cooldown
from policies.waits import Waits

_KEPT = 2_048
"""Plans, at about 5 kB each, and a kB for each of its ways; each policy remembers fewer outlines."""
_WAYS = 64
"""Of each plan. What was forgotten is worked out again."""
_HOUR = 3_600_000
_CONSTANT = frozenset({"app", "country", "everything"})
"""What is the same for everybody in the same circumstances."""


Key = Callable[[Mapping[str, str]], str]
"""The key of a counter, by whom it may count: see policies.model.Decision.subjects."""


@dataclass(slots=True, eq=False)
class Plan:
    """All that is known before anybody asks."""

    keys: tuple[Key, ...]  # of the counters
    kept: tuple[tuple[int, SendLimit], ...]  # what later messages reserve under too: the counter's place; less its key
    limits: tuple[tuple[Limit, ...], ...]  # of each counter
    asked: tuple[str, ...]  # the names of all of them
    names: tuple[Callable[[str], str], ...]  # of the watches, by their subjects
    slot: suspicion.Slot  # of the app's watches
    watch: str  # the key of the app's failed checks
    common: Common
    purses: tuple[Purse, ...] = ()
    hour: int = 0  # that they are of
    terms: dict[tuple[tuple[Step, ...], bool], Terms] = field(default_factory=dict)

    def purses_at(self, setup: Setup, decision: Decision, now: int) -> tuple[Purse, ...]:
        """The purses of a verification that begins now, which all of that hour have in common. Their periods all begin
        and end with an hour."""
        if decision.caps and self.hour != now // _HOUR:
            self.hour, self.purses = now // _HOUR, spending.purses(setup, decision, now)
            said = self.common
            self.common = common(said.groups, said.eyes, caps(self.purses), said.fields, block=said.block)
        return self.purses

    def terms_of(self, v: Verification) -> Terms:
        """What a verification that is started by this plan has in common with others that go the same ways, which may
        stand in another order or be silent at night, and that pay for them, as those to test destinations don't."""
        ways = v.steps, bool(v.purses)
        terms = self.terms.get(ways)
        if terms is None:
            if len(self.terms) >= _WAYS:
                self.terms.clear()
            made = terms_of(v)  # which orders of the same providers share, and they are of some kB
            terms = self.terms[ways] = next((each for each in self.terms.values() if each.name == made.name), made)
        return terms


class Plans:
    """The plans of one setup, the newest."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._known: dict[tuple[Outline, bool, bool], Plan] = {}

    def of(self, app: str, decision: Decision) -> Plan:
        """The plan for a decision of this app. Switches may have taken away the step that would have been first, and
        then whom it goes to is another; and a test destination costs nothing: so both are asked here, and not of the
        outline."""
        if decision.outline is None:
            return _plan(self._setup, app, decision)
        key = decision.outline, decision.steps[0].channel == "email", bool(decision.caps)
        plan = self._known.get(key)
        if plan is None:
            if len(self._known) >= _KEPT:
                del self._known[next(iter(self._known))]
            plan = self._known[key] = _plan(self._setup, app, decision)
        return plan


def _plan(setup: Setup, app: str, decision: Decision) -> Plan:
    counters, at = with_cooldown(app, decision), [setup.store.limit_key(shard, "") for shard in range(SHARDS)]
    target = "email" if decision.steps[0].channel == "email" else "phone"
    return Plan(
        keys=tuple(_key(setup, at, app, counter, decision.subjects) for counter in counters),
        kept=tuple((place, limit) for place, counter in enumerate(counters) for limit in _kept(setup, counter, target)),
        limits=tuple(counter.limits for counter in counters),
        asked=tuple(limit.name for counter in counters for limit in counter.limits),
        names=suspicion.namers(setup, decision.watches),
        slot=suspicion.slot(setup, app),
        watch=vigilance.asked(setup, app),
        common=common(
            [_group(setup, counter) for counter in counters],
            [eye(watch) for watch in decision.watches],
            fields={"a": app, "m": decision.code.checks, **_budget(setup, decision.guesses)},
            block=vigilance.blocks(setup, app),
        ),
    )


def _group(setup: Setup, counter: model.Counter) -> Group:
    rules = tuple(Rule(limit.amount, limit.window, limit.shadow, limit.waits) for limit in counter.limits)
    return Counter("", rules, *setup.reach.of(counter)).group


def _kept(setup: Setup, counter: model.Counter, target: str) -> list[SendLimit]:
    """Of one destination: all in the counters of the first message's address, and each in those of its own."""
    if counter.per != "destination":
        return []
    starts, reach = counter.counts is Counts.STARTS, setup.reach.of(counter)
    only = "" if counter.of[0] == target else counter.of[0]
    return [
        SendLimit("", limit.name, limit.amount, limit.window, limit.shadow, starts, *reach, limit.waits, only)
        for limit in counter.limits
    ]


def _key(setup: Setup, at: Sequence[str], app: str, counter: model.Counter, subjects: Mapping[str, str]) -> Key:
    """A destination's counters lie in the slot of its verifications, all others in one of their own. `at` is how the
    keys of counters begin, by shard."""
    name, shard = setup.keys.namer("limit", counter.scope, counter.per, counter.counts), setup.keys.shard
    if counter.per == "destination":
        own = counter.of[0]
        return lambda whom: at[shard(whom[own])] + name(whom[own])
    if not _CONSTANT.issuperset(counter.of):
        return lambda whom: _elsewhere(at, name(counter.subject(whom)))
    named = name(counter.subject(subjects))
    always = at[setup.shard_of_app(app)] + named if counter.per == "app" else _elsewhere(at, named)
    return lambda _: always


def _elsewhere(at: Sequence[str], name: str) -> str:
    """The key of a counter that belongs to no destination."""
    return at[Keyring.shard_of_name(name)] + name


def _doubled(delays: Waits) -> tuple[int, int, int]:
    """What the script works them out from: how many are none, the first, and the last."""
    free = delays.count(0)
    return free, delays[free], delays[-1]


def _budget(setup: Setup, guesses: GuessBudget) -> dict[str, object]:
    most, longest = setup.reach.guesses
    delays = {"D": _doubled(guesses.delays)} if guesses.delays else {}
    farther = {} if (most, longest) == (guesses.amount, guesses.window) else {"o": most, "u": longest}
    return {"y": guesses.amount, "z": guesses.window, **delays, **farther}
