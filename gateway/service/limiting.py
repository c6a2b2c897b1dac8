"""The limits of a later message: which counters it reserves in, and what is told when one refuses."""

from __future__ import annotations

from collections.abc import Collection

from gateway.core.model import SendLimit, Verification
from gateway.service.planning import Plan
from gateway.service.requests import Limited
from gateway.service.setup import Setup
from gateway.store.steps import Capped
from gateway.store.steps import Limited as StoreLimited
from gateway.store.wants import Counter, Rule
from policies import waits
from policies.model import Limit


def counters(v: Verification, *, sends_only: bool) -> tuple[Counter, ...]:
    """The counters of the verification's newest message: of the address that it goes to, and of the first message's."""
    return tuple(
        Counter(
            key,
            tuple(Rule(x.amount, x.window, x.shadow, x.waits) for x in limits),
            limits[0].most,
            limits[0].longest,
        )
        for key, limits in _groups(v, sends_only=sends_only).items()
    )


def passed(setup: Setup, policy: str, plan: Plan, shadows: Collection[tuple[int, int]]) -> None:
    """Count the limits that let a start through. Those in shadow that would not have are named by their places."""
    if not shadows:
        setup.metrics.allowed(policy, plan.asked)
        return
    for g, group in enumerate(plan.limits):
        for place, limit in enumerate(group):
            setup.metrics.limited(policy, limit.name, (g, place) not in shadows, shadow=limit.shadow)


def refused(setup: Setup, v: Verification, result: StoreLimited, *, sends_only: bool) -> Limited:
    """The refusal that the store's answer stands for, counted and logged."""
    limit = _limit(v, result, sends_only=sends_only)
    setup.metrics.limited(v.policy, limit.name, False)
    setup.log.info("limit.refused", verification=v.id, policy=v.policy, limit=limit.name)
    return limited(limit, result.wait)


def elsewhere(v: Verification, turned: Verification, result: StoreLimited | Capped) -> Verification | None:
    """The verification without the ways to an address whose own limit has refused the turned one, and no limit of the
    first message's: or else whoever uses up a mailbox's limits would take away the call after it. None when it has."""
    limit = _limit(turned, result, sends_only=True) if isinstance(result, StoreLimited) else None
    return v.by(lambda channel: not limit.counts(channel)) if limit and limit.only else None


def _limit(v: Verification, result: StoreLimited, *, sends_only: bool) -> SendLimit:
    return list(_groups(v, sends_only=sends_only).values())[result.counter][result.rule]


def limited(limit: Limit | SendLimit, wait: int, unnamed: tuple[str, ...] = ()) -> Limited:
    """The refusal by this limit for `wait` ms."""
    return Limited(limit.name, limit.amount, waits.standing(limit.waits, limit.window, wait), wait, unnamed)


def _groups(v: Verification, *, sends_only: bool) -> dict[str, list[SendLimit]]:
    """The limits by the counter that they share. `sends_only` leaves out what counts only what a person asks for."""
    groups: dict[str, list[SendLimit]] = {}
    for limit in v.limits:
        if limit.counts(v.current.channel) and not (sends_only and limit.starts):
            groups.setdefault(limit.key, []).append(limit)
    return groups
