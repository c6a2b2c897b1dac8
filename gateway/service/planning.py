"""What all starts of the same circumstances have in common, worked out once: a start then fills in whom it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.core.keys import Keyring
from gateway.core.model import Purse, SendLimit, Verification
from gateway.service import spending, suspicion, vigilance
from gateway.service.setup import Setup
from gateway.store import steps
from gateway.store.steps import Rule
from gateway.store.terms import Terms, terms_of
from policies import model
from policies.model import Counts, Decision, GuessBudget, Limit, Outline, Step
from policies.rules.limits import with_cooldown
from policies.waits import Waits

_KEPT = 2_048
"""Plans, at about 5 kB each; each policy remembers fewer outlines."""
_WAYS = 64
"""Of each plan. What was forgotten is worked out again."""
_HOUR = 3_600_000
_CONSTANT = frozenset({"app", "country", "everything"})
"""What is the same for everybody in the same circumstances."""


class Count(NamedTuple):
    """A counter less its subject."""

    of: model.Counter
    name: Callable[[str], str]  # of its key, by the subject
    own: str  # phone or email: in the slot of that address's verifications; "" in one of its own
    key: str  # where its subject is always the same
    form: steps.Counter  # less its key
    kept: tuple[SendLimit, ...]  # what later messages reserve under as well, less their keys


@dataclass(slots=True, eq=False)
class Plan:
    """All that is known before anybody asks."""

    counts: tuple[Count, ...]
    limits: tuple[tuple[Limit, ...], ...]  # of each of them
    guesses: Callable[[str], str]  # the name of the counter of failed guesses, by the destination
    budget: Mapping[str, object]  # the document's fields about them
    slot: suspicion.Slot  # of the app's watches
    watch: str  # the key of the app's failed checks
    block: bool
    purses: tuple[int, tuple[Purse, ...]] = (0, ())  # and the hour that they are of
    terms: dict[tuple[tuple[Step, ...], bool], Terms] = field(default_factory=dict)

    def purses_at(self, setup: Setup, decision: Decision, now: int) -> tuple[Purse, ...]:
        """The purses of a verification that begins now. Their periods all begin and end with an hour."""
        if not decision.caps:
            return ()
        if self.purses[0] != now // _HOUR:
            self.purses = now // _HOUR, spending.purses(setup, decision, now)
        return self.purses[1]

    def terms_of(self, v: Verification) -> Terms:
        """What a verification that is started by this plan has in common with others that go the same ways, which may
        stand in another order or be silent at night, and that pay for them, as those to test destinations don't."""
        ways = v.steps, bool(v.purses)
        terms = self.terms.get(ways)
        if terms is None:
            if len(self.terms) >= _WAYS:
                self.terms.clear()
            terms = self.terms[ways] = terms_of(v)
        return terms


class Plans:
    """The plans of one setup, the newest."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._known: dict[tuple[Outline, bool], Plan] = {}

    def of(self, app: str, decision: Decision) -> Plan:
        """The plan for a decision of this app. Switches may have taken away the step that would have been first, and
        then whom it goes to is another: so that is asked here, and not of the outline."""
        if decision.outline is None:
            return _plan(self._setup, app, decision)
        key = decision.outline, decision.steps[0].channel == "email"
        plan = self._known.get(key)
        if plan is None:
            if len(self._known) >= _KEPT:
                del self._known[next(iter(self._known))]
            plan = self._known[key] = _plan(self._setup, app, decision)
        return plan


def _plan(setup: Setup, app: str, decision: Decision) -> Plan:
    counters = with_cooldown(app, decision)
    target = "email" if decision.steps[0].channel == "email" else "phone"
    return Plan(
        counts=tuple(_count(setup, app, counter, target, decision.subjects) for counter in counters),
        limits=tuple(counter.limits for counter in counters),
        guesses=setup.keys.namer("limit", "guesses", app),
        budget=_budget(setup, decision.guesses),
        slot=suspicion.slot(setup, app),
        watch=vigilance.asked(setup, app),
        block=vigilance.blocks(setup, app),
    )


def _count(setup: Setup, app: str, counter: model.Counter, target: str, subjects: Mapping[str, str]) -> Count:
    name = setup.keys.namer("limit", counter.scope, counter.per, counter.counts)
    own = counter.of[0] if counter.per == "destination" else ""
    constant = _CONSTANT.issuperset(counter.of)
    reach = setup.reach.of(counter)
    rules = tuple(Rule(limit.amount, limit.window, limit.shadow, limit.waits) for limit in counter.limits)
    form = steps.Counter("", rules, *reach)
    return Count(
        of=counter,
        name=name,
        own=own,
        key=_constant(setup, app, counter, name(counter.subject(subjects))) if constant else "",
        form=form._replace(ready=form.packed),
        kept=_kept(counter, reach, "" if own == target else own) if own else (),
    )


def _kept(counter: model.Counter, reach: tuple[int, int], only: str) -> tuple[SendLimit, ...]:
    starts = counter.counts is Counts.STARTS
    return tuple(
        SendLimit("", limit.name, limit.amount, limit.window, limit.shadow, starts, *reach, limit.waits, only)
        for limit in counter.limits
    )


def _constant(setup: Setup, app: str, counter: model.Counter, name: str) -> str:
    """The key of a counter that is the same for every start of these circumstances."""
    if counter.per == "app":
        return setup.store.limit_key(setup.shard_of_app(app), name)
    return elsewhere(setup, name)


def elsewhere(setup: Setup, name: str) -> str:
    """The key of a counter that belongs to no destination."""
    return setup.store.limit_key(Keyring.shard_of_name(name), name)


def _doubled(delays: Waits) -> tuple[int, int, int]:
    """What the script works them out from: how many are none, the first, and the last."""
    free = delays.count(0)
    return free, delays[free], delays[-1]


def _budget(setup: Setup, guesses: GuessBudget) -> dict[str, object]:
    most, longest = setup.reach.guesses
    delays = {"D": _doubled(guesses.delays)} if guesses.delays else {}
    farther = {} if (most, longest) == (guesses.amount, guesses.window) else {"o": most, "u": longest}
    return {"y": guesses.amount, "z": guesses.window, **delays, **farther}
