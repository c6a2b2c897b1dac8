"""A line that is written the short way is the line that the long way writes, and hides what that hides."""

import io
from typing import Any

import pytest
import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.telemetry import plain
from gateway.telemetry.logs import configure

pytestmark = pytest.mark.usefixtures("logging_restored")

NUMBER, ADDRESS, KEY = "+14155550123", "ana.silva@example.org", "otp_" + "Qx7" * 8

TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["+1415*****23", "a**@example.org", "41% of 63", "\x7f", "\ud800", "c:\\", '"', "+1 (415) 555-0123"]
    ),
    st.from_regex(r"(\+|%2B)?[0-9 ().\u0660-\u0669-]{0,14}", fullmatch=True),
    st.from_regex(r"(otp_|whsec_)[a-z]{0,20}", fullmatch=True),
)
FACTS = st.dictionaries(
    st.sampled_from(["channel", "phone", "code", "api_key", "notes", "attempt", "exc_info", "größe", "+14155550123"]),
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.lists(TEXTS, max_size=3)),
)


def said(event: str, facts: dict[str, Any], short: bool) -> str:
    """What is written of it, by the short way where that is possible or else by the long one."""
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patched:
        if not short:
            patched.setattr(plain, "written", lambda *_: "")
        configure("info", "json", stream, clock=lambda: 1767607200.25)
        structlog.get_logger().bind().info(event, **facts)
    return stream.getvalue()


def went_short(facts: dict[str, Any]) -> bool:
    return plain.written("", "info", "attempt.sent", facts) != ""


@given(event=TEXTS, facts=FACTS)
@example(event="attempt.sent", facts={"channel": "sms", "attempt": 1, "notes": ["limits: one", "code: 6 digits"]})
@settings(max_examples=150, deadline=None)
def test_both_ways_write_the_same_line(event: str, facts: dict[str, Any]) -> None:
    assert said(event, facts, short=True) == said(event, facts, short=False)


def test_what_is_bound_is_on_a_line_of_either_way() -> None:
    with structlog.contextvars.bound_contextvars(request="r1", worker=2):
        assert said("attempt.sent", {"attempt": 1}, short=True) == said("attempt.sent", {"attempt": 1}, short=False)


def test_the_lines_of_a_usual_verification_go_the_short_way() -> None:
    assert went_short({"verification": "ver_1", "phone": "+1415*****23", "notes": ["address: to +1415*****23"]})
    assert went_short({"attempt": 1, "channel": "sms", "error_class": None, "rules": ("adjacent",)})


@pytest.mark.parametrize(
    "facts",
    [
        {"note": f"call {NUMBER}"},
        {"note": "call +1 (415) 555-0123"},
        {"note": "call %2B14155550123"},
        {"note": "call +\u0661\u0664\u0661\u0665\u0665\u0665\u0665"},
        {"notes": ["one", ADDRESS]},
        {"notes": ["one", KEY]},
        {"code": "482913"},
        {"note": "x" * 3_000},
        {"exc_info": True},
        {"note": ValueError("482913")},
        {"nested": {"token": "482913"}},
        {"share": float("nan")},
    ],
)
def test_whatever_may_have_to_be_masked_goes_the_long_way(facts: dict[str, Any]) -> None:
    assert not went_short(facts)


def test_a_number_would_be_seen_if_the_short_way_took_every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"note": f"call {NUMBER}, {ADDRESS} or {KEY}"}
    assert not any(secret in said("attempt.sent", facts, short=True) for secret in (NUMBER, ADDRESS, KEY))
    monkeypatch.setattr(plain, "spotless", lambda line: True)
    assert all(secret in said("attempt.sent", facts, short=True) for secret in (NUMBER, ADDRESS, KEY))


def test_a_level_that_is_silent_stays_so() -> None:
    stream = io.StringIO()
    configure("warning", "json", stream)
    log = structlog.get_logger().bind()
    log.info("attempt.sent", attempt=1)
    log.warning("attempt.failed", attempt=1)
    assert stream.getvalue().count("\n") == 1
