"""A price is counted once, whoever names it first and however often it is repeated."""

from __future__ import annotations

from channels.contract import Cost, ErrorClass
from gateway.core import machine
from gateway.core.machine import Accepted, Delivered, Failed, Pace, Paid, Priced
from gateway.core.model import Attempt, AttemptStatus, Status, Verification
from policies.model import Step

NOW = 1_000_000
CENT, DIME = Cost(10_000, "USD"), Cost(100_000, "USD")


def verification() -> Verification:
    first = Attempt(1, 0, "sms", "one", AttemptStatus.QUEUED, NOW, NOW)
    return Verification(
        "ver_x",
        1,
        "shop",
        "login",
        "default",
        "r",
        Status.PENDING,
        (Step("sms", ("one", "two"), 30_000),),
        (first,),
        NOW,
        NOW + 600_000,
        NOW,
        0,
        5,
    )


def paid(*events: machine.Event) -> list[Cost]:
    v, costs = verification(), []
    for event in events:
        v, effects = machine.apply(v, event, NOW, Pace())
        costs += [effect.cost for effect in effects if isinstance(effect, Paid)]
    return costs


def test_the_price_of_an_acceptance_is_counted() -> None:
    assert paid(Accepted(1, "m", CENT)) == [CENT]


def test_a_repeated_report_is_not_paid_for_again() -> None:
    assert paid(Accepted(1), Delivered(1, CENT), Delivered(1, CENT), Priced(1, CENT)) == [CENT]


def test_the_first_price_stands() -> None:
    assert paid(Accepted(1, "m", CENT), Failed(1, ErrorClass.TEMPORARY, cost=DIME)) == [CENT]


def test_each_attempt_has_its_own_price() -> None:
    assert paid(Failed(1, ErrorClass.TEMPORARY, cost=CENT), Accepted(2, "m", DIME)) == [CENT, DIME]


def test_a_price_after_the_end_is_counted_too() -> None:
    ended = verification()._replace(status=Status.APPROVED, ended_at=NOW)
    _, effects = machine.apply(ended, Priced(1, CENT), NOW, Pace())
    assert [effect.cost for effect in effects if isinstance(effect, Paid)] == [CENT]


def test_a_price_for_an_attempt_that_is_not_there_changes_nothing() -> None:
    before = verification()
    assert machine.apply(before, Priced(2, CENT), NOW, Pace()) == (before, ())
