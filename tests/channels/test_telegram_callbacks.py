"""Telegram's delivery reports: which are genuine, and what they say."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from channels import errors
from channels.contract import Callback, Context, DeliveryReport, ErrorClass, Outcome, ReportKind
from channels.providers.telegram import Settings, Telegram
from tests.channels.forging import assert_all_forged
from tests.vendors.telegram import NOW, REQUEST, TOKEN, callback, report

SECRETS = {"access_token": TOKEN, "secondary_access_token": "the-new-token"}


def provider(*, now: float = NOW, **changes: object) -> Telegram:
    settings = Settings.model_validate({"type": "telegram", "access_token": {"env": "T"}, **changes})
    context = Context("tg", "ua", production=False, secrets=SECRETS)
    return Telegram(settings, context, errors.load("telegram"), now=lambda: now)


TELEGRAM = provider()
RAW = report("expired", is_refunded=True)
GENUINE = callback(RAW)


# --- genuine or forged ---


def forgeries() -> dict[str, Callback]:
    flipped = {
        f"body byte {place}": replace(GENUINE, body=RAW[:place] + bytes([RAW[place] ^ 1]) + RAW[place + 1 :])
        for place in range(0, len(RAW), 7)
    }
    headers = GENUINE.headers
    return {
        **flipped,
        "no headers": replace(GENUINE, headers={}),
        "no signature": callback(RAW, signature=""),
        "no time": replace(GENUINE, headers={**headers, "x-request-timestamp": ""}),
        "another time": replace(GENUINE, headers={**headers, "x-request-timestamp": str(NOW + 1)}),
        "upper case": callback(RAW, signature=headers["x-request-signature"].upper()),
        "not even ASCII": callback(RAW, signature="é" * 64),
        "another token": callback(RAW, token="guess"),
        "an empty token": callback(RAW, token=""),
        "written anew": replace(GENUINE, body=json.dumps(json.loads(RAW), indent=1).encode()),
        "no body": replace(GENUINE, body=b""),
        "for another message": replace(GENUINE, url=f"{GENUINE.url}x"),
    }


def old() -> dict[str, Callback]:
    times = {"too old": NOW - 301, "from the future": NOW + 301, "long ago": 0, "negative": -NOW, "endless": 10**40}
    odd = {"a fraction": f"{NOW}.0", "spaced": f" {NOW}", "Arabic": "١٧٦٧٦٠٧٢٠٠", "a word": "now"}
    written = {**{name: str(at) for name, at in times.items()}, **odd}
    return {name: callback(RAW, at=at) for name, at in written.items()}


def test_every_forgery_is_refused_and_the_genuine_one_is_read() -> None:
    assert TELEGRAM.read(GENUINE).reports[0].vendor_code == "expired"
    assert_all_forged(TELEGRAM.read, forgeries())


def test_a_report_is_taken_for_five_minutes_and_no_longer() -> None:
    for at in (NOW - 300, NOW, NOW + 300):
        assert TELEGRAM.read(callback(RAW, at=str(at))).reports
    assert_all_forged(TELEGRAM.read, old())


def test_a_reader_that_believes_the_time_it_is_told_is_noticed() -> None:
    def timeless(each: Callback) -> object:
        at = each.headers["x-request-timestamp"]
        return provider(now=float(at) if at.isascii() and at.isdigit() else 0).read(each)

    with pytest.raises(AssertionError, match="too old"):
        assert_all_forged(timeless, old())


def test_a_reader_that_leaves_the_time_out_of_the_signature_is_noticed() -> None:
    def careless(each: Callback) -> object:
        return TELEGRAM.read(callback(each.body, signature=None))  # signed for whatever time the reader likes

    with pytest.raises(AssertionError, match="another time"):
        assert_all_forged(careless, {"another time": forgeries()["another time"]})


def test_a_reader_that_takes_a_report_at_any_address_is_noticed() -> None:
    def careless(each: Callback) -> object:
        return TELEGRAM.read(replace(each, url=GENUINE.url))

    with pytest.raises(AssertionError, match="for another message"):
        assert_all_forged(careless, {"for another message": forgeries()["for another message"]})


def test_the_new_token_is_accepted_while_tokens_are_rotated() -> None:
    assert TELEGRAM.read(callback(RAW, token="the-new-token")).reports


# --- what reports say ---


@pytest.mark.parametrize(
    ("word", "kind", "error"),
    [
        ("sent", "progress", None),
        ("delivered", "delivered", None),
        ("read", "delivered", None),
        ("expired", "failed", ErrorClass.NO_CHANNEL),
        ("revoked", "failed", ErrorClass.NO_CHANNEL),
    ],
)
def test_a_status_reads_as(word: str, kind: str, error: ErrorClass | None) -> None:
    outcome = TELEGRAM.read(callback(report(word)))
    assert outcome.reports == (DeliveryReport(ReportKind(kind), error, word, REQUEST),)


def test_the_cost_is_counted_once_though_every_report_repeats_it() -> None:
    words = ("sent", "delivered", "read")
    assert [TELEGRAM.read(callback(report(word))).reports[0].cost for word in words] == [None, None, None]


def test_a_report_is_answered_by_200_since_telegram_repeats_after_anything_else() -> None:
    for raw in (RAW, b"{}", b"no json"):
        outcome = TELEGRAM.read(callback(raw))
        assert outcome.answer is not None
        assert outcome.answer.status == 200


def test_the_operators_class_holds_for_reports_too() -> None:
    (read,) = provider(errors={"expired": "temporary"}).read(GENUINE).reports
    assert read.error is ErrorClass.TEMPORARY


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not json",
        b"\xff",
        b"[]",
        b"[" * 60_000,
        b"{}",
        b'{"delivery_status": "sent"}',
        b'{"delivery_status": {"status": ["sent"]}}',
        report("unheard_of"),
    ],
)
def test_what_is_not_understood_is_no_report(raw: bytes) -> None:
    outcome = TELEGRAM.read(callback(raw))
    assert outcome == Outcome(answer=outcome.answer)
