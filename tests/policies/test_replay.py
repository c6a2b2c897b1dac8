"""A replay asks both sets of policies the same questions, each with counters of its own, and counts what changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from policies import replay as module
from policies.destination import email, phone
from policies.engine import Policy
from policies.model import Question
from policies.replay import Comparison, Replay
from policies.traffic import Ended, Recorded, Sent, Started
from tests.support.world import CHANNELS, compile_policies

ORDERS = dict.fromkeys(CHANNELS, ("one",))
BEFORE: dict[str, Any] = {
    "code": {"cooldown": "0s"},
    "countries": {"allow": ["US", "IN"]},
    "fallback": [{"channel": channel, "wait": "30s"} for channel in ("sms", "voice", "email")],
}
US, INDIA, HONG_KONG = "+14155550123", "+919812345678", "+85251234567"


def policy(changes: dict[str, Any]) -> Policy:
    return compile_policies({"p": BEFORE | changes}, ORDERS)["p"]


def asked(at: int, id_: str, to: str = US, refused: str = "", app: str = "shop") -> Started:
    who = {"email": email(to)} if "@" in to else {"phone": phone(to)}
    return Started(at, id_, Question(app, "login", **who), refused)  # type: ignore[arg-type]  # one of the two


def replayed(events: Sequence[Recorded], **changes: Any) -> Comparison:
    before, after = policy({}), policy(changes)
    replay = Replay(
        lambda question: before if question.app == "shop" else None,
        lambda question: after if question.app == "shop" else None,
    )
    for event in events:
        replay.take(event)
    return replay.found


def test_the_same_policies_change_nothing() -> None:
    found = replayed([asked(1, "a"), asked(2, "b", INDIA), asked(3, "", HONG_KONG, "country"), Ended(4, "a", True)])
    assert (found.starts, found.approved, found.as_recorded, found.changed) == (3, 1, 3, 0)
    assert found.before == found.after
    assert found.before.refused == {("country", "HK"): 1}
    assert found.before.messages == {("sms", "US"): 1, ("sms", "IN"): 1}
    assert (found.since, found.until) == (1, 3)


def test_a_country_that_is_taken_out_costs_its_starts_and_the_people_who_typed_their_codes() -> None:
    events = [asked(1, "a", INDIA), asked(2, "b", INDIA), asked(3, "c"), Ended(9, "a", True), Ended(9, "b", False)]
    found = replayed(events, countries={"allow": ["US"]})
    assert found.refused == {("country", "IN"): 2}
    assert found.refused_approved == {("country", "IN"): 1}
    assert (found.changed, found.after.allowed, found.admitted) == (2, 1, {})


def test_a_country_that_is_let_in_is_counted_by_the_rule_that_kept_it_out() -> None:
    found = replayed([asked(1, "", HONG_KONG, "country")], countries={"default": "allow"})
    assert found.admitted == {("country", "HK"): 1}
    assert found.after.messages == {("sms", "HK"): 1}


def test_a_tighter_limit_refuses_in_the_time_of_the_record() -> None:
    minute = 60_000
    events = [asked(1 + n * minute, f"v{n}") for n in range(4)]
    limits = {"destination-10m": {"amount": 2}}
    assert replayed(events, limits=limits).refused == {("limits:destination-10m", "US"): 2}
    assert replayed([asked(1 + n * 6 * minute, f"v{n}") for n in range(4)], limits=limits).refused == {}


def test_another_order_moves_the_first_and_the_later_messages() -> None:
    events = [asked(1, "a"), Sent(2, "a", 1, by_person=False), Sent(3, "a", 2, by_person=False)]
    order = [{"channel": channel, "wait": "30s"} for channel in ("voice", "sms")]
    found = replayed(events, fallback=order)
    assert found.rerouted == {("sms", "voice", "US"): 1}
    assert found.before.messages == {("sms", "US"): 1, ("voice", "US"): 1}  # no email address: there is no third step
    assert found.after.messages == {("voice", "US"): 1, ("sms", "US"): 1}
    assert found.changed == 1


def test_a_later_message_of_a_start_that_is_refused_is_not_sent() -> None:
    found = replayed([asked(1, "a", INDIA), Sent(2, "a", 1, by_person=False)], countries={"allow": ["US"]})
    assert (sum(found.before.messages.values()), sum(found.after.messages.values())) == (2, 0)


def test_later_messages_are_held_to_the_limits_of_each_side() -> None:
    events = [asked(1, "a"), Sent(2, "a", 1, by_person=False)]
    found = replayed(events, limits={"destination-10m": {"amount": 1}})
    assert (sum(found.before.messages.values()), sum(found.after.messages.values())) == (2, 1)


def test_a_shadow_limit_tells_what_it_would_refuse() -> None:
    events = [asked(1, "a"), asked(2, "b")]
    found = replayed(events, limits={"destination-10m": {"amount": 1, "shadow": True}})
    assert (found.after.shadows, found.after.allowed) == ({"destination-10m": 1}, 2)


def test_an_app_that_is_gone_is_told_as_such_and_an_email_has_no_country() -> None:
    found = replayed([asked(1, "a", app="gone"), asked(2, "b", "ana@example.org")])
    assert found.before.refused == {("app", "US"): 1}
    assert found.before.messages == {("email", "email"): 1}
    assert found.as_recorded == 1


def test_verifications_that_never_end_are_forgotten_in_the_end(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "MOST_OPEN", 3)
    events = [asked(n + 1, f"v{n}") for n in range(5)]
    found = replayed([*events, Ended(9, "v0", True), Ended(9, "v4", True)])
    assert found.approved == 1
