"""Vonage's reports: which are genuine, and what they say."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from channels.contract import Callback, Context, Cost, DeliveryReport, ErrorClass, Forged, Outcome, ReportKind
from channels.providers._vonage_signing import SignedReports, sms_signature
from channels.providers.vonage import Settings, Vonage, build
from tests.channels.forging import assert_all_forged
from tests.vendors.vonage import (
    CALL,
    KEY,
    MESSAGE,
    OLDER_MESSAGE,
    SIGNATURE_SECRET,
    call_event,
    callback,
    form_callback,
    message_status,
    receipt,
    signed_receipt,
    token,
)

URL = "https://otp.example/callbacks/main/tok3n"
OTHER_URL = "https://otp.example/callbacks/main/another"
OTHER_SECRET = "short"  # shorter than a block of the hash, as Vonage's own may be


def provider(**changes: Any) -> Vonage:
    content = {
        "type": "vonage",
        "api_key": KEY,
        "api_secret": {"env": "S"},
        "signature_secret": {"env": "W"},
        "secondary_signature_secret": {"env": "X"},
        "from_sms": "ACME",
    }
    secrets = {
        "api_secret": "s",
        "signature_secret": SIGNATURE_SECRET,
        "secondary_signature_secret": OTHER_SECRET,
    }
    return build(
        Settings.model_validate({**content, **changes}), Context("main", "ua", production=False, secrets=secrets)
    )


@pytest.fixture
def vonage() -> Vonage:
    return provider()


def report(content: Mapping[str, Any], **changes: Any) -> DeliveryReport:
    (only,) = provider(**changes).read(callback(URL, content)).reports
    return only


# --- genuine or forged ---


@pytest.mark.parametrize(
    ("method", "signature"),
    [
        ("md5", "9620de7ed29946b1f86a2d3899308aa9"),
        ("sha1", "525ec62e0e6d923e68105a8c3855aa1be6e64386"),
        ("sha256", "60f33cbadccf9cd5574634ccb22862a408199c80e5ac617e9846f5dd45b24a07"),
        (
            "sha512",
            (
                "26b6650698d77184092b6761e46e8f71ff04d95e89d99351ae340bcc2f6b7ef4"
                "bace6d421c7bd5d5018ed8e453ea6c1ed7a6e6e3204b72f4f33233f1efe940cc"
            ),
        ),
    ],
)
def test_the_older_apis_signature_is_that_of_vonages_own_library(method: Any, signature: str) -> None:
    # computed with Auth.sign_params of vonage-http-client 1.5.2
    fields = {
        "from": "ACME",
        "to": "14155550123",
        "text": "482913 is your code & more = better",
        "timestamp": "1700000000",
    }
    assert sms_signature(fields, SIGNATURE_SECRET, method) == signature


def test_the_plain_hash_has_the_secret_at_its_end() -> None:
    # md5sum of "&a=1_2&b=3secret"
    assert sms_signature({"b": "3", "a": "1&2"}, "secret", "md5hash") == "ef05fa6f38808a6b1b05e513cbf59e17"


def test_a_signed_report_is_read(vonage: Vonage) -> None:
    assert vonage.read(callback(URL, message_status("delivered"))).reports[0].kind is ReportKind.DELIVERED


def test_the_secondary_secret_is_accepted_while_the_secret_is_changed(vonage: Vonage) -> None:
    assert vonage.read(callback(URL, message_status("submitted"), secret=OTHER_SECRET)).reports


def test_a_report_that_vonage_repeats_is_read_again(vonage: Vonage) -> None:
    genuine = callback(URL, message_status("delivered"))
    assert vonage.read(genuine) == vonage.read(genuine)


def test_claims_that_nobody_asked_for_are_no_obstacle(vonage: Vonage) -> None:
    assert vonage.read(callback(URL, message_status("submitted"), aud="you", sub="me")).reports


BODY = json.dumps(message_status("rejected", "1050"), separators=(",", ":")).encode()


def bearer(value: str, body: bytes = BODY, url: str = URL) -> Callback:
    return Callback("POST", url, {"authorization": value}, body)


def forgeries() -> dict[str, Callback]:
    genuine = f"Bearer {token(BODY)}"
    head, payload, signature = token(BODY).split(".")
    unsigned = token(BODY, header={"alg": "none", "typ": "JWT"}).rpartition(".")[0]
    changed = {
        f"body byte {place}": bearer(genuine, BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :])
        for place in range(0, len(BODY), 11)
    }
    return {
        **changed,
        "another body": bearer(genuine, BODY.replace(b"rejected", b"delivered")),
        "no body": bearer(genuine, b""),
        "no header": Callback("POST", URL, {}, BODY),
        "an empty header": bearer(""),
        "not a bearer": bearer(f"Basic {token(BODY)}"),
        "no token": bearer("Bearer "),
        "not a token": bearer("Bearer a.b.c"),
        "not even ASCII": bearer("Bearer é"),
        "another secret": bearer(f"Bearer {token(BODY, 'guess')}"),
        "an empty secret": bearer(f"Bearer {token(BODY, '')}"),
        "no algorithm": bearer(f"Bearer {unsigned}."),
        "another algorithm": bearer(f"Bearer {token(BODY, header={'alg': 'HS512', 'typ': 'JWT'})}"),
        "a cut signature": bearer(f"Bearer {head}.{payload}.{signature[:-2]}"),
        "no hash of the body": bearer(f"Bearer {token(BODY, payload_hash=None)}"),
        "a hash of nothing": bearer(f"Bearer {token(BODY, payload_hash='')}"),
        "a hash that is no text": bearer(f"Bearer {token(BODY, payload_hash=[1])}"),
        "a hash of odd letters": bearer(f"Bearer {token(BODY, payload_hash='é' * 64)}"),
        "no time": bearer(f"Bearer {token(BODY, iat=None)}"),
        "a time that is no number": bearer(f"Bearer {token(BODY, iat='now')}"),
        "a time that is not a number": bearer(f"Bearer {token(BODY, iat=float('nan'))}"),
        "a time that is a truth": bearer(f"Bearer {token(BODY, iat=True)}"),
        "too old": bearer(f"Bearer {token(BODY, iat=int(time.time()) - 310)}"),
        "of the future": bearer(f"Bearer {token(BODY, iat=int(time.time()) + 310)}"),
        "no id": bearer(f"Bearer {token(BODY, jti=None)}"),
        "an empty id": bearer(f"Bearer {token(BODY, jti='')}"),
        "an endless id": bearer(f"Bearer {token(BODY, jti='x' * 5000)}"),
        "an id that is no text": bearer(f"Bearer {token(BODY, jti=7)}"),
    }


def test_every_forgery_is_refused_and_the_genuine_one_is_read(vonage: Vonage) -> None:
    assert_all_forged(vonage.read, forgeries())
    assert vonage.read(bearer(f"Bearer {token(BODY)}")).reports[0].vendor_code == "1050"


def test_a_reader_that_checks_the_token_and_not_the_body_is_noticed(vonage: Vonage) -> None:
    """This is what the vendor's own library does."""

    def careless(callback: Callback) -> object:
        return vonage.read(replace(callback, body=BODY))

    with pytest.raises(AssertionError, match="body byte"):
        assert_all_forged(careless, forgeries())


def test_a_reader_that_skips_unsigned_reports_is_noticed(vonage: Vonage) -> None:
    def lenient(callback: Callback) -> object:
        return vonage.read(callback) if callback.headers.get("authorization") else Outcome()

    with pytest.raises(AssertionError, match="no header"):
        assert_all_forged(lenient, forgeries())


def replays(vonage: Vonage) -> dict[str, Callback]:
    """A genuine report, and the same one sent to the address of another message."""
    genuine = callback(URL, message_status("delivered"))
    vonage.read(genuine)
    return {"another address": replace(genuine, url=OTHER_URL)}


def test_a_report_for_one_message_is_refused_at_the_address_of_another(vonage: Vonage) -> None:
    assert_all_forged(vonage.read, replays(vonage))


def test_a_reader_that_forgets_the_tokens_it_saw_is_noticed() -> None:
    with pytest.raises(AssertionError, match="another address"):
        assert_all_forged(lambda callback: provider().read(callback), replays(provider()))


def test_the_tokens_that_are_remembered_are_bounded_and_forgotten() -> None:
    now = [time.time()]
    reports = SignedReports([SIGNATURE_SECRET], lambda: now[0])
    for number in range(150):
        reports.check(callback(URL, {}, jti=f"a{number}"))
    assert len(reports._seen) == 150
    now[0] += 700
    for number in range(3):
        reports.check(callback(URL, {}, jti=f"b{number}", iat=int(now[0])))
    assert len(reports._seen) == 3


def test_a_flood_of_tokens_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("channels.providers._vonage_signing._REMEMBERED", 10)
    reports = SignedReports([SIGNATURE_SECRET], time.time)
    for number in range(40):
        reports.check(callback(URL, {}, jti=f"a{number}"))
    assert len(reports._seen) <= 10


# --- reports on messages ---


@pytest.mark.parametrize(
    ("status", "kind"), [("submitted", "progress"), ("delivered", "delivered"), ("read", "delivered")]
)
def test_a_message_status_reads_as(status: str, kind: str) -> None:
    expected = DeliveryReport(ReportKind(kind), vendor_code=status, message_id=MESSAGE)
    assert report(message_status(status)) == expected


def codes() -> list[tuple[str, str]]:
    table = yaml.safe_load(Path("channels/providers/errors/vonage.yaml").read_text())
    return [(str(code), error) for error, meanings in table.items() for code in meanings]


def test_every_code_of_the_table_means_the_same_in_a_report() -> None:
    for code, error in codes():
        if code.isdigit():
            read = report(message_status("rejected", code))
            assert (read.kind, read.error, read.vendor_code) == (ReportKind.FAILED, error, code)


def test_every_code_of_a_receipt_means_what_the_table_says() -> None:
    older = provider(sms_api="sms")
    receipts = [(code, error) for code, error in codes() if code.startswith("dlr.")]
    assert len(receipts) > 20
    for code, error in receipts:
        (read,) = older.read(form_callback(URL, receipt("failed", code.removeprefix("dlr.")))).reports
        assert (read.kind, read.error, read.vendor_code) == (ReportKind.FAILED, error, code)


@pytest.mark.parametrize(
    ("content", "error", "code"),
    [
        (message_status("rejected"), ErrorClass.TEMPORARY, "rejected"),
        (message_status("undeliverable"), ErrorClass.PROVIDER_DOWN, "undeliverable"),
        (message_status("rejected", "1999"), ErrorClass.TEMPORARY, "1999"),
        ({**message_status("rejected"), "error": {"title": 1300}}, ErrorClass.NO_CHANNEL, "1300"),
        ({**message_status("rejected"), "error": {"code": 1300, "reason": "x"}}, ErrorClass.NO_CHANNEL, "1300"),
        ({**message_status("rejected"), "error": "+14155550123"}, ErrorClass.TEMPORARY, "rejected"),
        ({**message_status("rejected"), "error": {"type": "#+14155550123"}}, ErrorClass.TEMPORARY, "other"),
    ],
)
def test_a_rejection_is_read_by_its_code_or_by_its_status(content: Any, error: ErrorClass, code: str) -> None:
    assert report(content) == DeliveryReport(ReportKind.FAILED, error, code, MESSAGE)


def test_the_operators_class_holds_for_reports_too() -> None:
    overrides = {"1050": "bad_destination", "busy": "temporary"}
    assert report(message_status("rejected", "1050"), errors=overrides).error is ErrorClass.BAD_DESTINATION
    assert report(call_event("busy"), errors=overrides).error is ErrorClass.TEMPORARY


@pytest.mark.parametrize(
    ("channel", "status", "cost"),
    [
        ("sms", "submitted", Cost(33_300, "EUR")),
        ("sms", "delivered", None),
        ("whatsapp", "submitted", None),
        ("whatsapp", "delivered", Cost(33_300, "EUR")),
        ("whatsapp", "read", None),
    ],
)
def test_a_price_is_taken_from_the_one_report_that_charges(channel: str, status: str, cost: Cost | None) -> None:
    assert report(message_status(status, channel=channel, price="0.0333")).cost == cost


def test_free_text_in_place_of_an_id_goes_no_further() -> None:
    assert report({**message_status("delivered"), "message_uuid": "+14155550123"}).message_id == ""


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        "text",
        {"status": "?"},
        {"message_uuid": MESSAGE},
        {"message_uuid": MESSAGE, "status": ["delivered"]},
        {"status": None, "uuid": CALL},
        {"reason": "Syntax error in NCCO. Invalid value type or action.", "conversation_uuid": "CON-1"},
    ],
)
def test_what_is_not_understood_is_no_report(vonage: Vonage, content: Any) -> None:
    assert vonage.read(callback(URL, content)) == Outcome()


# --- calls ---


@pytest.mark.parametrize("status", ["started", "ringing", "answered", "completed"])
def test_a_call_under_way_or_over_is_progress(status: str) -> None:
    assert report(call_event(status)) == DeliveryReport(ReportKind.PROGRESS, vendor_code=status, message_id=CALL)


def test_only_a_person_on_the_line_is_a_delivery() -> None:
    assert report(call_event("human")) == DeliveryReport(ReportKind.DELIVERED, vendor_code="human", message_id=CALL)


@pytest.mark.parametrize(
    ("status", "detail", "error", "code"),
    [
        ("machine", "", "no_channel", "machine"),
        ("busy", "", "no_channel", "busy"),
        ("timeout", "", "no_channel", "timeout"),
        ("unanswered", "", "no_channel", "unanswered"),
        ("unanswered", "unavailable", "no_channel", "unavailable"),
        ("rejected", "declined", "no_channel", "declined"),
        ("rejected", "invalid_number", "no_channel", "invalid_number"),
        ("rejected", "restricted", "temporary", "restricted"),
        ("rejected", "", "temporary", "rejected"),
        ("failed", "cannot_route", "geography", "cannot_route"),
        ("failed", "number_out_of_service", "no_channel", "number_out_of_service"),
        ("failed", "internal_error", "provider_down", "internal_error"),
        ("failed", "something_new", "temporary", "failed"),
        ("failed", "+14155550123", "temporary", "failed"),
        ("cancelled", "", "temporary", "cancelled"),
    ],
)
def test_a_call_that_reached_nobody_failed(status: str, detail: str, error: str, code: str) -> None:
    content = call_event(status, **({"detail": detail} if detail else {}))
    assert report(content) == DeliveryReport(ReportKind.FAILED, ErrorClass(error), code, CALL)


def test_a_call_says_its_price_when_it_is_over() -> None:
    content = call_event("completed", price="0.00150000", rate="0.00450000", duration="20")
    assert report(content).cost == Cost(1500, "EUR")


def test_nothing_is_fetched_for_a_call(vonage: Vonage) -> None:
    assert vonage.answer(None).status == 404


# --- receipts of the SMS API ---


@pytest.mark.parametrize(
    ("status", "kind"),
    [("accepted", "progress"), ("buffered", "progress"), ("unknown", "progress"), ("delivered", "delivered")],
)
def test_a_receipt_reads_as(status: str, kind: str) -> None:
    expected = DeliveryReport(ReportKind(kind), vendor_code=status, message_id=OLDER_MESSAGE)
    assert provider(sms_api="sms").read(form_callback(URL, receipt(status))).reports == (expected,)


@pytest.mark.parametrize(
    ("status", "code", "named"), [("expired", "0", "expired"), ("failed", "", "failed"), ("rejected", "7x", "rejected")]
)
def test_a_failed_receipt_without_a_code_is_temporary(status: str, code: str, named: str) -> None:
    (read,) = provider(sms_api="sms").read(form_callback(URL, receipt(status, code))).reports
    assert (read.error, read.vendor_code) == (ErrorClass.TEMPORARY, named)


def test_a_receipt_comes_as_a_form_as_json_or_in_the_query() -> None:
    older, fields = provider(sms_api="sms"), receipt("delivered")
    ways = [
        form_callback(URL, fields),
        Callback("POST", URL, {"content-type": "application/json"}, json.dumps(fields).encode()),
        Callback("GET", URL, {}, b"", tuple(fields.items())),
    ]
    for way in ways:
        assert older.read(way).reports[0].kind is ReportKind.DELIVERED


@pytest.mark.parametrize("body", [b"", b"\xff", b"a=1", b"{}", b"[]", json.dumps(call_event("failed")).encode()])
def test_without_a_signature_nothing_but_a_receipt_is_believed(body: bytes) -> None:
    with pytest.raises(Forged):
        provider(sms_api="sms").read(Callback("POST", URL, {}, body))


def test_receipts_are_not_believed_when_sms_go_through_the_messages_api(vonage: Vonage) -> None:
    with pytest.raises(Forged):
        vonage.read(form_callback(URL, receipt("delivered")))


SIGNING: Mapping[str, Any] = {"sms_api": "sms", "sms_receipts_signed": True}


def forged_receipts() -> dict[str, Callback]:
    good = signed_receipt(receipt("delivered"))
    return {
        "unsigned": form_callback(URL, receipt("delivered")),
        "an empty signature": form_callback(URL, {**good, "sig": ""}),
        "odd letters": form_callback(URL, {**good, "sig": "é" * 64}),
        "half a pair": Callback("POST", URL, {}, json.dumps({**good, "sig": "\ud800", "to": "\ud800"}).encode()),
        "another secret": form_callback(URL, signed_receipt(receipt("delivered"), "guess")),
        "another status": form_callback(URL, {**good, "status": "failed"}),
        "another field": form_callback(URL, {**good, "err-code": "9"}),
        "too old": form_callback(URL, signed_receipt(receipt("delivered"), age=310)),
        "of the future": form_callback(URL, signed_receipt(receipt("delivered"), age=-310)),
        "no time": form_callback(URL, {name: value for name, value in good.items() if name != "timestamp"}),
    }


def test_a_signed_receipt_is_read_and_every_forged_one_is_refused() -> None:
    signing = provider(**SIGNING)
    assert signing.read(form_callback(URL, signed_receipt(receipt("delivered")))).reports
    assert signing.read(form_callback(URL, signed_receipt(receipt("delivered"), OTHER_SECRET))).reports
    assert_all_forged(signing.read, forged_receipts())


def test_a_reader_that_takes_any_receipt_is_noticed() -> None:
    with pytest.raises(AssertionError, match="unsigned"):
        assert_all_forged(provider(sms_api="sms").read, forged_receipts())
