"""What must hold of money in every run: no cap is exceeded, nothing goes out unpaid, nothing is given back twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.simulation.plan import HARD

if TYPE_CHECKING:
    from gateway.core.model import Purse, Verification
    from tests.simulation.checker import Case
    from tests.simulation.history import Event


def within_the_caps(case: Case) -> Iterator[str]:
    """What vendors bill, each message once and at its listed price at the most, fits every cap: a price that turns out
    higher, and what a crash has sent twice, come on top."""
    billed: dict[str, int] = {}
    for event in case.history.of("taken"):
        billed[event.ref] = min(event.price, event.billed, billed.get(event.ref, event.price))
    spent: Counter[str] = Counter()
    caps: dict[str, Purse] = {}
    for ref, price in billed.items():
        for purse in _purses(case, ref):
            caps[purse.key] = purse
            spent[purse.key] += price
    for key, purse in caps.items():
        if spent[key] > purse.cap:
            yield f"{purse.name}: {spent[key]} was spent of {purse.cap}"


def paid_before_it_goes_out(case: Case) -> Iterator[str]:
    """Whatever goes out is in all of its purses by then, also when it goes out again. It stays there, unless the vendor
    refuses what went out again."""
    taken = Counter(event.ref for event in case.history.of("taken"))
    least: Counter[str] = Counter()
    seen: set[str] = set()
    for event in case.history.of("send"):
        if event.get("purses") is None:
            continue
        for purse in _purses(case, event.ref):
            held = event.purses.get(purse.key, 0)
            if held < least[purse.key] + event.price:
                yield f"{event.ref} went out with {held} in {purse.name}, not {least[purse.key] + event.price}"
            if event.ref not in seen:
                least[purse.key] += min(event.price, _held(case, event))
            elif taken[event.ref] > 1:
                least[purse.key] += event.price
        seen.add(event.ref)


def the_purses_agree(case: Case) -> Iterator[str]:
    """A purse has what its messages hold in the end, and no less; more only where a crash may have sent again."""
    due: Counter[str] = Counter()
    for kept in case.history.kept.values():
        v = kept.stored.verification
        for purse in v.purses:
            due[purse.key] += sum(attempt.held for attempt in v.attempts)
    again: Counter[str] = Counter()
    for event in _repeated(case):
        again.update({purse.key: event.price for purse in _purses(case, event.ref)})
    disturbed = any(True for _ in case.history.of(*HARD))
    for key, held in due.items():
        spent = case.history.purses.get(key, 0)
        if spent < held + again[key] or (spent > held and not disturbed):
            yield f"{key} has {spent}, and its messages hold {held}, with {again[key]} for what went out again"


def _repeated(case: Case) -> Iterator[Event]:
    seen: set[str] = set()
    for event in case.history.of("send"):
        if event.ref in seen:
            yield event
        seen.add(event.ref)


def _verification(case: Case, ref: str) -> Verification | None:
    kept = case.history.kept.get(ref.rpartition(".")[0])
    return kept.stored.verification if kept else None


def _purses(case: Case, ref: str) -> tuple[Purse, ...]:
    v = _verification(case, ref)
    return v.purses if v else ()


def _held(case: Case, send: Event) -> int:
    """What its attempt holds in the end; its price if it was never written down, which another rule tells."""
    v, number = _verification(case, send.ref), int(send.ref.rpartition(".")[2])
    return v.attempts[number - 1].held if v and number <= len(v.attempts) else int(send.price)
