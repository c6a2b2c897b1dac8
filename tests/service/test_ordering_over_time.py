"""The order of providers as hours go by: who goes behind and when, what measuring costs, and that it rests."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from channels.contract import Cost
from gateway.guard import standing
from gateway.guard.judge import Judge, Way
from gateway.guard.standing import Band, Terms
from gateway.service import ordering
from policies.money import Tariff
from tests.service.market import HOUR, MINUTE, Market, Vendor

HASTY = replace(Terms(), delivery=Band(0.6, 0.6), cooldown=0)
"""Terms without hysteresis."""


def share(tried: list[str], name: str) -> float:
    return tried.count(name) / len(tried)


# A provider that brings little


@pytest.mark.parametrize("order", ["fixed", "adaptive"])
def test_a_provider_that_drops_to_forty_percent_is_behind_within_two_hundred_messages(order: str) -> None:
    market = Market({"alpha": Vendor(), "beta": Vendor()}, order=order)
    market.run(2 * HOUR)
    assert market.turns() == []
    market.vendors["alpha"].delivers = 0.4
    lost = market.run(HOUR)
    behind = next(place for place in range(len(lost)) if set(lost[place : place + 10]) == {"beta"})
    assert behind < 200
    assert market.turns()[0]["state"] == "bad"
    assert market.turns()[0]["reason"].startswith("delivery ")
    assert share(lost[200:], "beta") > 0.93


def test_a_provider_whose_messages_arrive_and_are_never_typed_is_behind_once_codes_have_run_out() -> None:
    market = Market({"alpha": Vendor(), "beta": Vendor()})
    market.run(HOUR)
    market.vendors["alpha"].converts = 0.02  # delivered, the vendor says
    assert share(market.run(5 * MINUTE), "alpha") == 1
    market.run(15 * MINUTE)
    assert share(market.run(10 * MINUTE), "beta") > 0.9
    assert "conversion" in market.turns()[0]["reason"]


def test_when_all_are_bad_the_order_is_as_written() -> None:
    market = Market({"alpha": Vendor(delivers=0.4), "beta": Vendor(delivers=0.3)})
    market.run(HOUR)
    assert {turn["provider"] for turn in market.turns()} == {"alpha", "beta"}
    assert all(turn["state"] == "bad" for turn in market.turns())
    assert share(market.run(10 * MINUTE), "alpha") > 0.9
    assert not any("behind" in note.says for note in market.decision().notes)


def test_fewer_messages_than_the_minimum_say_nothing() -> None:
    market = Market({"alpha": Vendor(delivers=0), "beta": Vendor()}, pace=40 / (30 * MINUTE))
    assert set(market.run(6 * HOUR)) == {"alpha"}


def test_another_zone_is_judged_by_its_own_messages() -> None:
    market = Market({"alpha": Vendor(delivers=0.2), "beta": Vendor()})
    market.run(HOUR)
    decision = market.decision()
    assert decision.steps[0].providers == ("beta", "alpha")
    step = decision.steps[0]._replace(providers=("alpha", "beta"))
    britain = ordering.arranged(market.setup, decision._replace(steps=(step,)), "ver_x", "+447700900123", "GB")
    assert britain.steps[0].providers == ("alpha", "beta")


# Coming back


def test_a_provider_that_has_recovered_is_first_again_within_the_hour() -> None:
    market = Market({"alpha": Vendor(delivers=0.3), "beta": Vendor()})
    market.run(HOUR)
    market.vendors["alpha"].delivers = 0.95
    market.run(HOUR)
    assert share(market.run(10 * MINUTE), "alpha") > 0.99
    assert [turn["state"] for turn in market.turns()] == ["bad", "good"]


def test_a_share_between_the_bounds_that_it_was_not_bad_for_keeps_no_provider_behind() -> None:
    market = Market({"alpha": Vendor(converts=0.28), "beta": Vendor(converts=0.28)})
    market.run(HOUR)
    market.vendors["alpha"].delivers = 0.4
    market.run(30 * MINUTE)
    market.vendors["alpha"].delivers = 0.95
    market.run(90 * MINUTE)
    assert [turn["state"] for turn in market.turns() if "delivery" in turn["reason"]][:1] == ["bad"]
    assert share(market.run(10 * MINUTE), "alpha") > 0.99


def test_exploration_keeps_a_provider_behind_that_stays_bad() -> None:
    market = Market({"alpha": Vendor(delivers=0.3), "beta": Vendor()})
    market.run(HOUR)
    assert 0.03 < share(market.run(4 * HOUR), "alpha") < 0.07
    assert [turn["state"] for turn in market.turns()] == ["bad"]


def test_without_exploration_it_would_come_back_blindly_again_and_again() -> None:
    blind = Market({"alpha": Vendor(delivers=0.3), "beta": Vendor()}, terms=replace(Terms(), exploration=0))
    blind.run(5 * HOUR)
    assert len(blind.turns()) >= 5


def test_a_provider_on_the_border_turns_hardly_ever() -> None:
    market = Market({"alpha": Vendor(delivers=0.6), "beta": Vendor()})
    market.run(6 * HOUR)
    assert 1 <= len(market.turns()) <= 3


def test_without_hysteresis_it_would_turn_all_day() -> None:
    market = Market({"alpha": Vendor(delivers=0.6), "beta": Vendor()}, terms=HASTY)
    market.run(6 * HOUR)
    assert len(market.turns()) > 8


def test_at_little_traffic_a_bad_provider_is_tried_again_after_a_window_and_no_sooner() -> None:
    market = Market({"alpha": Vendor(delivers=0.2), "beta": Vendor()}, pace=0.1)
    market.run(6 * HOUR)
    ends = [turn for turn in market.turns() if turn["state"] == "good"]
    assert 0 < len(ends) <= 12
    assert {turn["reason"] for turn in ends} == {"too few messages to tell"}


# By what a verification costs


def test_the_cheaper_of_two_that_are_alike_goes_first() -> None:
    market = Market({"dear": Vendor(price=80_000), "cheap": Vendor(price=50_000)}, order="adaptive")
    assert share(market.run(10 * MINUTE), "dear") > 0.9
    market.run(90 * MINUTE)
    assert share(market.run(HOUR), "cheap") > 0.93
    assert [turn["providers"] for turn in market.turns("order.changed")] == [["cheap", "dear"]]


def test_the_cheaper_message_is_not_first_when_its_verification_is_dearer() -> None:
    vendors = {"sound": Vendor(converts=0.9, price=50_000), "cheap": Vendor(converts=0.4, price=40_000)}
    market = Market(vendors, order="adaptive")
    market.run(3 * HOUR)
    assert market.turns("order.changed") == []
    assert share(market.first, "sound") > 0.93


def test_two_that_are_alike_stay_as_they_are_written_and_both_are_measured() -> None:
    market = Market({"alpha": Vendor(price=50_000), "beta": Vendor(price=50_000)}, order="adaptive")
    market.run(6 * HOUR)
    assert len(market.turns("order.changed")) <= 1
    assert min(share(market.first, name) for name in market.vendors) > 0.03


def test_by_the_bare_share_two_that_are_alike_would_change_places_all_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.guard.tally._Z", 0.0)
    market = Market({"alpha": Vendor(price=50_000), "beta": Vendor(price=50_000)}, order="adaptive")
    market.run(6 * HOUR)
    assert len(market.turns("order.changed")) > 5


def newcomer() -> Market:
    """One provider carried everything for two hours; then a second one, just like it, is switched on."""
    market = Market({"alpha": Vendor(price=50_000), "beta": Vendor(price=50_000)}, order="adaptive", pace=5)
    market.switch_off("beta")
    market.run(2 * HOUR)
    market.switch_off()
    market.run(15 * MINUTE)
    return market


def test_a_newcomer_is_not_taken_for_perfect_while_its_failures_are_still_to_come() -> None:
    assert newcomer().turns("order.changed") == []


def test_counted_too_young_a_newcomer_would_look_perfect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "MATURITY", 0)
    assert [turn["providers"] for turn in newcomer().turns("order.changed")] == [["beta", "alpha"]]


def test_configured_prices_stand_in_for_vendors_that_name_none() -> None:
    tariff = Tariff(prices={("dear", "sms"): {"": 10_000, "US": 80_000}, ("cheap", "sms"): {"": 50_000}})
    market = Market({"dear": Vendor(), "cheap": Vendor()}, order="adaptive", tariff=tariff)
    market.run(2 * HOUR)
    assert [turn["providers"] for turn in market.turns("order.changed")] == [["cheap", "dear"]]


def test_in_a_country_with_enough_messages_its_own_costs_decide_and_elsewhere_those_of_its_zone() -> None:
    judge, now = Judge(), 1_800_000_000_000
    american = {"one": 0.9, "two": 0.5}
    for country, messages, shares in (
        ("US", 400, american),
        ("CA", 60, {"one": 0.3, "two": 0.9}),
        ("JM", 20, american),
    ):
        for provider, share in shares.items():
            for number in range(messages):
                queued, verified = now - 900_000 + number, number < share * messages
                judge.ended(Way(provider, "sms", "1"), queued, now, verified, country)
    found = {c: judge.cheapest("sms", "1", ("two", "one"), lambda _: None, now, c) for c in ("US", "CA", "JM", "")}
    assert found == {"US": ("one", "two"), "CA": ("two", "one"), "JM": ("one", "two"), "": ("one", "two")}


@pytest.mark.parametrize("told", [None, Cost(1_000, "EUR")])
def test_prices_that_cannot_be_compared_leave_the_share_to_decide(told: Cost | None) -> None:
    tariff = Tariff(prices={("poor", "sms"): {"": 50_000}})
    market = Market({"poor": Vendor(converts=0.4), "rich": Vendor(converts=0.8)}, order="adaptive", tariff=tariff)
    if told:
        market.judge.paid(Way("rich", "sms", "1"), market.ms + 7_000_000, told)
    market.run(2 * HOUR)
    assert [turn["providers"] for turn in market.turns("order.changed")] == [["rich", "poor"]]


def test_a_third_that_is_too_little_measured_keeps_its_place() -> None:
    vendors = {"dear": Vendor(price=90_000), "quiet": Vendor(), "cheap": Vendor(price=40_000)}
    market = Market(vendors, order="weighted", weights=(("dear", 50), ("quiet", 0), ("cheap", 50)))
    market.run(HOUR)
    assert market.judge.cheapest("sms", "1", tuple(vendors), lambda _: None, market.ms) == ("cheap", "quiet", "dear")


# By weight


def test_weights_are_the_shares_and_nobody_learns_otherwise() -> None:
    market = Market({"old": Vendor(), "new": Vendor()}, order="weighted", weights=(("old", 90), ("new", 10)))
    tried = Counter(market.run(3 * HOUR))
    assert 0.09 < tried["new"] / tried.total() < 0.11


def test_a_bad_provider_loses_its_share_but_for_what_measures_it() -> None:
    market = Market(
        {"old": Vendor(delivers=0.3), "new": Vendor()}, order="weighted", weights=(("old", 90), ("new", 10))
    )
    market.run(HOUR)
    assert 0.03 < share(market.run(2 * HOUR), "old") < 0.07
