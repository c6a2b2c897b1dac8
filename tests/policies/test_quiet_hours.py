"""Quiet hours: nobody is rung up at night by any clock of the country, unless a call was asked for."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import SUPPORTED_REGIONS
from pydantic import ValidationError

from policies import zones
from policies.destination import email, phone
from policies.engine import compile_policy, decide
from policies.model import Decision, Question
from policies.schema import PolicySettings

ORDERS = dict.fromkeys(("sms", "voice", "email"), ("one",))
BERLIN, NEW_YORK, SATELLITE = "+4915112345678", "+12125552671", "+881612345678"
MINUTE = 60_000


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def ask(at: str | None, number: str = BERLIN, order: str = "sms voice", mail: str = "", **more: Any) -> Decision:
    wish = more.pop("channels", ())
    quiet = {"channels": ["voice"], **more}
    raw = {
        "fallback": [{"channel": channel, "wait": "30s"} for channel in order.split()],
        "countries": {"default": "allow", "allow": ["001"]},
        "number_types": {"deny": []},
        "quiet_hours": quiet,
    }
    policy = compile_policy("login", PolicySettings.model_validate(raw), ORDERS)
    to = email(mail) if mail else None
    return decide(policy, Question("shop", "login", phone(number), to, channels=wish, now=ms(at) if at else 0))


def channels(decision: Decision) -> list[str]:
    return [step.channel for step in decision.steps]


def says(decision: Decision) -> str:
    return next(note.says for note in decision.notes if note.rule == "quiet_hours")


# Berlin is an hour before UTC in winter and two in summer: from 21:00 to 08:00 there is from 20:00 to 07:00 in January.
@pytest.mark.parametrize(
    ("at", "kept"),
    [
        ("2026-01-05T19:30", ["sms", "voice"]),
        ("2026-01-05T20:00", ["sms"]),
        ("2026-01-06T06:49", ["sms"]),
        ("2026-01-06T07:00", ["sms", "voice"]),
        ("2026-07-05T18:30", ["sms", "voice"]),
        ("2026-07-05T19:00", ["sms"]),
        ("2026-07-06T05:45", ["sms"]),
        ("2026-07-06T06:00", ["sms", "voice"]),
    ],
)
def test_no_call_is_made_at_night_by_the_local_clock(at: str, kept: list[str]) -> None:
    assert channels(ask(at)) == kept


def test_a_step_takes_along_when_it_will_be_silent() -> None:
    decision = ask("2026-01-05T19:55")
    assert decision.steps[1].quiet == ((ms("2026-01-05T20:00"), ms("2026-01-06T07:00")),)
    assert decision.steps[0].quiet == ()
    assert says(decision) == "it is night in DE, or will be soon"


def test_a_night_that_ends_soon_leaves_the_call_in_its_place_but_never_first() -> None:
    assert channels(ask("2026-01-06T06:55")) == ["sms", "voice"]
    assert channels(ask("2026-01-06T06:55", order="voice sms")) == ["sms"]


def test_with_no_other_channel_the_start_is_refused() -> None:
    decision = ask("2026-01-05T23:00", order="voice")
    assert decision.refusal is not None
    assert (decision.refusal.code, decision.refusal.rule) == ("no_channel", "quiet_hours")


def test_who_asks_for_a_call_gets_it_unless_the_policy_is_strict() -> None:
    asked = ask("2026-01-05T23:00", channels=("voice",))
    assert channels(asked) == ["voice"]
    assert asked.steps[0].quiet == ()
    strict = ask("2026-01-05T23:00", channels=("voice",), even_if_asked=True)
    assert strict.refusal is not None


def test_it_is_night_as_long_as_it_is_night_in_any_zone_of_the_country() -> None:
    """Nine in New York is still four in Honolulu."""
    assert channels(ask("2026-01-05T14:00", NEW_YORK)) == ["sms"]
    assert channels(ask("2026-01-05T19:00", NEW_YORK)) == ["sms", "voice"]  # 14:00 and 09:00
    assert channels(ask("2026-01-06T02:00", NEW_YORK)) == ["sms"]  # 21:00 and 16:00


def test_where_nobody_knows_the_clock_nothing_is_silent() -> None:
    assert zones.of("001") == ()
    assert channels(ask("2026-01-05T23:00", SATELLITE)) == ["sms", "voice"]
    assert channels(ask(None)) == ["sms", "voice"]


def test_every_country_that_a_number_can_be_of_has_a_clock() -> None:
    assert [country for country in SUPPORTED_REGIONS if not zones.of(country)] == []
    assert {zone for zones_ in zones._UNLISTED.values() for zone in zones_} <= available_timezones()


@pytest.mark.parametrize(
    ("starts", "ends", "quiet"),
    [
        ("21:00", "02:30", ["2026-10-25T00:29", "2026-10-25T01:00", "2026-10-25T01:29"]),  # 02:59, set back, 02:29
        ("02:30", "08:00", ["2026-10-25T00:30", "2026-10-25T01:15", "2026-10-25T02:00"]),  # 02:30, 02:15 again, 03:00
        ("21:00", "02:30", ["2026-03-29T00:59"]),  # 01:59, set forward to 03:00
        ("02:30", "08:00", ["2026-03-29T01:00"]),  # 03:00
    ],
)
def test_where_a_time_comes_twice_or_never_it_is_quiet_on_the_safe_side(
    starts: str, ends: str, quiet: list[str]
) -> None:
    """In Germany, in UTC: from the first time that it may have begun until the last that it may not have ended."""
    for at in map(ms, quiet):
        assert zones.stretches("DE", time.fromisoformat(starts), time.fromisoformat(ends), at, at + MINUTE)


def test_hours_within_one_day() -> None:
    siesta = {"starts": "13:00", "ends": "15:00"}
    assert channels(ask("2026-01-05T12:30", **siesta)) == ["sms"]
    assert channels(ask("2026-01-05T11:30", **siesta)) == ["sms", "voice"]
    assert channels(ask("2026-01-05T23:00", **siesta)) == ["sms", "voice"]


def test_email_is_as_it_was() -> None:
    assert channels(ask("2026-01-05T23:00", order="voice email", mail="ana@example.org")) == ["email"]


@pytest.mark.parametrize("clock", ["9:00", "24:00", "21:60", "21:00:00", "nine"])
def test_a_time_of_day_has_one_spelling(clock: str) -> None:
    with pytest.raises(ValidationError, match="write it in quotes, such as"):
        ask(None, starts=clock)


def test_a_night_without_length_is_a_fault() -> None:
    with pytest.raises(ValidationError, match="starts and ends are one"):
        ask(None, starts="08:00")


@given(
    st.sampled_from(["DE", "US", "AU", "RU", "NP", "KI", "GB", "BR"]),
    st.integers(ms("2025-01-01T00:00") // MINUTE, ms("2027-01-01T00:00") // MINUTE),
    st.sampled_from([("21:00", "08:00"), ("13:00", "15:00"), ("23:30", "00:15"), ("00:00", "06:00")]),
)
def test_stretches_are_what_the_clocks_say_minute_by_minute(country: str, minute: int, hours: tuple[str, str]) -> None:
    """Against the plain way: look at every clock of the country, every minute. The minutes in which a clock is set
    forward or back are left out: what the clock says then has two meanings."""
    starts, ends = map(time.fromisoformat, hours)
    now, until = minute * MINUTE, (minute + 10) * MINUTE
    found = zones.stretches(country, starts, ends, now, until)
    for at in range(now, until, MINUTE):
        clocks = [datetime.fromtimestamp(at / 1000, ZoneInfo(zone)) for zone in zones.of(country)]
        if any(
            (clock + timedelta(hours=shift)).utcoffset() != clock.utcoffset() for clock in clocks for shift in (-13, 13)
        ):
            continue
        night = any(
            starts <= clock.time() < ends if starts < ends else clock.time() >= starts or clock.time() < ends
            for clock in clocks
        )
        assert night == any(since <= at < end for since, end in found)
