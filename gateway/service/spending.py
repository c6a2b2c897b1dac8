"""Money: which purses a verification draws on, what is reserved for each message, and how that is settled."""

from __future__ import annotations

from channels.contract import Cost
from gateway.core.machine import Paid, Turn, Unsent
from gateway.core.model import Purse, Verification
from gateway.service.setup import Setup
from gateway.store import steps
from gateway.store.steps import Capped
from gateway.store.wants import Spend
from policies.model import Decision
from policies.money import Unrated, bounds
from policies.rules.spend import free

_SETTLING = (Unsent, Paid)


def purses(setup: Setup, decision: Decision, now: int) -> tuple[Purse, ...]:
    """The purses of a verification that begins now, one for each cap. A purse is named by whom it belongs to and its
    period, and not by its amount: whoever edits a cap hands nobody a fresh one, and policies share what they spend. The
    currency is in the name: what was spent in another is no number of this one."""
    found, currency = [], setup.tariff.currency
    for cap in decision.caps:
        began, ends = bounds(cap.period, now)
        name = setup.keys.name("spend", currency, cap.per, cap.subject, cap.period, str(began))
        key = setup.store.purse_key(setup.shard_of_money, name)
        last = ends + decision.code.expiry + setup.times.tombstone  # until then a report may still name a price
        found.append(Purse(key, cap.name, cap.amount, last, cap.then == "free"))
    return tuple(found)


def spend(v: Verification, reserve: int = 0, change: int = 0) -> Spend | None:
    """What the store is to take from the purses; None for nothing."""
    return Spend(v.purses, reserve, change) if v.purses and (reserve or change) else None


def settled(setup: Setup, turn: Turn) -> tuple[Turn, int]:
    """The same turn with what its attempts now hold, and the change of that: a message that nobody took holds nothing,
    and a price that a vendor names takes the place of the one that was reserved."""
    v, effects = turn
    change = 0
    for effect in effects:
        if not isinstance(effect, _SETTLING):
            continue
        attempt = effect.attempt
        due = 0 if isinstance(effect, Unsent) else _reckoned(setup, effect.cost)
        if due is not None:
            change += due - v.attempts[attempt.number - 1].held
            v = _holding(v, attempt.number, due)
    return (v, effects), change


def _reckoned(setup: Setup, cost: Cost) -> int | None:
    """In the caps' currency; None, and the reserved price stays, where nobody has given a rate. A price below nothing,
    which a provider of somebody else's making may name, gives nothing back beyond what was reserved."""
    try:
        return max(0, setup.tariff.convert(cost.micros, cost.currency))
    except Unrated:
        setup.log.warning("spend.unrated", currency=cost.currency)
        return None


def _holding(v: Verification, number: int, held: int) -> Verification:
    attempts = (a._replace(held=held) if a.number == number else a for a in v.attempts)
    return v._replace(attempts=tuple(attempts))


def only_free(v: Verification) -> Verification:
    """The verification with none but the ways that cost nothing."""
    return v._replace(steps=free(v.steps))


def tell(setup: Setup, v: Verification, asked: Spend | None, paid: steps.Paid) -> None:
    """Count what was reserved and settled, and tell of a cap that is nearly used up, once in its period."""
    if asked is None:
        return
    setup.metrics.spent(v.app, v.country, "spent", asked.reserve + max(0, asked.change))
    if asked.change < 0:
        setup.metrics.spent(v.app, v.country, "returned", -asked.change)
    for purse, spent in zip(asked.purses, paid.spent, strict=True):
        setup.metrics.purse(v.policy, purse.name, purse.key, purse.ends, spent / purse.cap if purse.cap else 1.0)
    for index in paid.near:
        _tell_cap(setup, v, asked.purses[index], "near")


def refused(setup: Setup, v: Verification, capped: Capped) -> Purse:
    """The purse that refused. Told once in its period."""
    purse = v.purses[capped.purse]
    setup.metrics.purse(v.policy, purse.name, purse.key, purse.ends, 1.0)
    if capped.first:
        _tell_cap(setup, v, purse, "reached")
    return purse


def _tell_cap(setup: Setup, v: Verification, purse: Purse, level: str) -> None:
    setup.metrics.cap(v.policy, purse.name, level)
    setup.log.warning(f"spend.{level}", policy=v.policy, cap=purse.name, app=v.app, country=v.country or None)
