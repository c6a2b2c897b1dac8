"""What people write back: how each vendor hands it over, and that it is believed only with the vendor's signature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from channels.contract import Answer, Callback, Channel, Context, Forged, InboundText, Outcome
from channels.providers import plivo, twilio, vonage
from tests.vendors import plivo as vendor_plivo
from tests.vendors import twilio as vendor_twilio
from tests.vendors import vonage as vendor_vonage

URL = "https://otp.example/callbacks/main/inbound"
PERSON = "+14155550123"
Inbound = Callable[[Callback], Outcome]


def _context(**secrets: str) -> Context:
    return Context("main", "ua", production=False, secrets=secrets)


def _twilio() -> twilio.Twilio:
    content = {"type": "twilio", "account_sid": vendor_twilio.ACCOUNT, "auth_token": {"env": "T"}, "from_sms": "ACME"}
    return twilio.build(twilio.Settings.model_validate(content), _context(auth_token=vendor_twilio.TOKEN))


def _vonage(**changes: Any) -> vonage.Vonage:
    keys = {"api_key": vendor_vonage.KEY, "api_secret": {"env": "S"}, "signature_secret": {"env": "W"}}
    content = {"type": "vonage", "from_sms": "ACME", **keys, **changes}
    secrets = {"api_secret": "s", "signature_secret": vendor_vonage.SIGNATURE_SECRET}
    return vonage.build(vonage.Settings.model_validate(content), _context(**secrets))


def _plivo() -> plivo.Plivo:
    content = {"type": "plivo", "auth_id": vendor_plivo.ACCOUNT, "auth_token": {"env": "T"}, "from_sms": "ACME"}
    return plivo.build(plivo.Settings.model_validate(content), _context(auth_token=vendor_plivo.TOKEN))


def twilio_text(body: str, sender: str = PERSON, verdict: str = "") -> Callback:
    """A message comes in, as Twilio's guide to webhooks lists its fields."""
    fields = [
        ("ToCountry", "US"),
        ("SmsMessageSid", vendor_twilio.MESSAGE),
        ("SmsStatus", "received"),
        ("Body", body),
        ("From", sender),
        ("To", "+14155550100"),
        ("AccountSid", vendor_twilio.ACCOUNT),
        *([("OptOutType", verdict)] if verdict else []),
    ]
    return vendor_twilio.callback(URL, fields)


def vonage_text(text: object, channel: str = "sms", **more: Any) -> Callback:
    """An inbound message of the Messages API."""
    content = {
        "channel": channel,
        "message_uuid": vendor_vonage.MESSAGE,
        "to": "14155550100",
        "from": PERSON[1:],
        "timestamp": "2026-01-05T10:00:00Z",
        "message_type": "text",
        **({"text": text} if text is not None else {}),
        **more,
    }
    return vendor_vonage.callback(URL, content)


def older_text(text: str, **more: str) -> dict[str, str]:
    """The fields of an inbound SMS of the SMS API."""
    return {
        "msisdn": PERSON[1:],
        "to": "14155550100",
        "messageId": vendor_vonage.OLDER_MESSAGE,
        "text": text,
        "type": "text",
        "keyword": (text.split() or [""])[0].upper(),
        "message-timestamp": "2026-01-05 10:00:00",
        **more,
    }


def signed_older_text(text: str) -> Callback:
    return vendor_vonage.form_callback(URL, vendor_vonage.signed_receipt(older_text(text)))


def plivo_fields(text: str, **more: str) -> vendor_plivo.Fields:
    fields = {"From": PERSON[1:], "To": "14155550100", "Text": text, "Type": "sms", "MessageUUID": vendor_plivo.MESSAGE}
    return list({**fields, **more}.items())


def plivo_text(text: str, **more: str) -> Callback:
    return vendor_plivo.callback(URL, plivo_fields(text, **more))


CASES: Mapping[str, tuple[Inbound, Callable[[str], Callback]]] = {
    "twilio": (_twilio().inbound, twilio_text),
    "vonage": (lambda callback: _vonage().inbound(callback), vonage_text),
    "vonage's SMS API": (_vonage(sms_api="sms").inbound, signed_older_text),
    "plivo": (_plivo().inbound, plivo_text),
}


@pytest.mark.parametrize("vendor", CASES)
def test_what_a_person_wrote_is_read(vendor: str) -> None:
    inbound, written = CASES[vendor]
    (found,) = inbound(written("Stop it & go")).texts
    assert (found.channel, found.sender, found.text) == (Channel.SMS, PERSON, "Stop it & go")


WRITTEN = 1_767_607_200_000  # 2026-01-05 10:00:00 UTC, which the callbacks above tell


@pytest.mark.parametrize(
    ("vendor", "said_at", "id_"),
    [
        ("twilio", None, vendor_twilio.MESSAGE),
        ("vonage", WRITTEN, vendor_vonage.MESSAGE),
        ("vonage's SMS API", WRITTEN, vendor_vonage.OLDER_MESSAGE),
        ("plivo", None, vendor_plivo.MESSAGE),
    ],
)
def test_when_it_was_written_is_read_where_the_vendor_says_so_and_its_id_everywhere(
    vendor: str, said_at: int | None, id_: str
) -> None:
    inbound, written = CASES[vendor]
    (found,) = inbound(written("STOP")).texts
    assert (found.said_at, found.id) == (said_at, id_)


@pytest.mark.parametrize(
    "stamp", ["", "soon", "2026-01-05", "2026-13-05T10:00:00Z", "1960-01-05T10:00:00Z", 7, None, {}]
)
def test_a_time_that_is_none_is_left_out(stamp: object) -> None:
    (found,) = _vonage().inbound(vonage_text("STOP", timestamp=stamp)).texts
    assert found.said_at is None


@pytest.mark.parametrize(("vendor", "answer"), [("twilio", True), ("plivo", True), ("vonage", False)])
def test_a_vendor_that_wants_xml_is_told_to_say_nothing(vendor: str, answer: bool) -> None:
    inbound, written = CASES[vendor]
    found = inbound(written("STOP")).answer
    if not answer:
        assert found is None
        return
    assert isinstance(found, Answer)
    assert (found.media_type, found.body.endswith(b"<Response />") or found.body == b"<Response/>") == (
        "text/xml",
        True,
    )


def text(outcome: Outcome) -> str:
    (only,) = outcome.texts
    return only.text


@pytest.mark.parametrize("verdict", ["STOP", "START", "HELP"])
def test_twilios_own_verdict_goes_before_the_text(verdict: str) -> None:
    assert text(_twilio().inbound(twilio_text("parar", verdict=verdict))) == verdict


@pytest.mark.parametrize(("intent", "told"), [("optout", "STOP"), ("optin", "START"), ("help", "x"), ("", "x")])
def test_plivos_own_verdict_goes_before_the_text(intent: str, told: str) -> None:
    assert text(_plivo().inbound(plivo_text("x", MessageIntent=intent))) == told


@pytest.mark.parametrize(
    ("vonage_says", "told"),
    [
        (vonage_text(None, sms={"num_messages": "1", "keyword": "STOP"}), "STOP"),
        (vonage_text("", sms={"keyword": "STOP"}), "STOP"),
        (vonage_text("Stop now", sms={"keyword": "STOP"}), "Stop now"),
    ],
)
def test_vonages_keyword_stands_in_for_a_text_that_is_left_out(vonage_says: Callback, told: str) -> None:
    assert text(_vonage().inbound(vonage_says)) == told


@pytest.mark.parametrize(
    "outcome",
    [
        _twilio().inbound(twilio_text("STOP", sender=f"whatsapp:{PERSON}")),
        _vonage().inbound(vonage_text("STOP", channel="whatsapp")),
        _plivo().inbound(plivo_text("", Type="whatsapp", Body="STOP")),
    ],
)
def test_a_text_over_whatsapp_is_of_that_channel(outcome: Outcome) -> None:
    (found,) = outcome.texts
    assert (found.channel, found.sender, found.text) == (Channel.WHATSAPP, PERSON, "STOP")


@pytest.mark.parametrize(
    "content",
    [
        vonage_text("STOP", channel="mms"),
        vonage_text("STOP", **{"from": 1}),
        vonage_text(None),
        vonage_text(1),
    ],
)
def test_what_vonage_sends_and_nobody_understands_is_no_text(content: Callback) -> None:
    assert _vonage().inbound(content) == Outcome()


def test_vonages_sms_api_may_send_json_or_ask_by_get() -> None:
    fields = vendor_vonage.signed_receipt(older_text("STOP"))
    got = Callback("GET", f"{URL}?{urlencode(fields)}", {}, b"", tuple(fields.items()))
    assert text(_vonage().inbound(got)) == "STOP"


def test_no_number_and_no_word_is_in_a_repr() -> None:
    said = repr(InboundText(Channel.SMS, PERSON, "STOP", WRITTEN, "id"))
    assert (PERSON[1:] in said, "STOP" in said) == (False, False)


# --- genuine or forged ---


def forgeries() -> dict[str, tuple[str, Callback]]:
    """By what is wrong: the vendor's case and a callback that it must not believe."""
    genuine = twilio_text("STOP")
    status = vendor_twilio.callback(URL.replace("inbound", "tok3n"), vendor_twilio.message_fields("delivered"))
    older = older_text("STOP")
    second = vendor_plivo.callback_v2(URL, plivo_fields("STOP"))
    return {
        "twilio without a signature": ("twilio", replace(genuine, headers={})),
        "twilio for another person": ("twilio", replace(genuine, body=genuine.body.replace(b"0123", b"0199"))),
        "twilio with another word": ("twilio", replace(genuine, body=genuine.body.replace(b"STOP", b"START"))),
        "twilio's report, moved here": ("twilio", replace(status, url=URL)),
        "vonage without a token": ("vonage", replace(vonage_text("STOP"), headers={})),
        "vonage for another person": (
            "vonage",
            replace(vonage_text("STOP"), body=vonage_text("STOP").body.replace(b"0123", b"0199")),
        ),
        "vonage under another secret": ("vonage", vendor_vonage.callback(URL, {"channel": "sms"}, secret="x" * 32)),
        "the SMS API unsigned": ("vonage's SMS API", vendor_vonage.form_callback(URL, older)),
        "the SMS API unsigned, to an account that takes unsigned receipts": (
            "vonage's SMS API",
            Callback("GET", URL, {}, b"", tuple(older.items())),
        ),
        "the SMS API, old": (
            "vonage's SMS API",
            vendor_vonage.form_callback(URL, vendor_vonage.signed_receipt(older, age=900)),
        ),
        "plivo without a signature": ("plivo", replace(plivo_text("STOP"), headers={})),
        "plivo for another person": (
            "plivo",
            replace(plivo_text("STOP"), body=plivo_text("STOP").body.replace(b"0123", b"0199")),
        ),
        "plivo's second version of another address": ("plivo", replace(second, url=URL + "x")),
        "plivo by GET": ("plivo", replace(plivo_text("STOP"), method="GET")),
        "plivo, not UTF-8": ("plivo", replace(plivo_text("STOP"), body=b"\xff")),
    }


def believed(readers: Mapping[str, Inbound]) -> list[str]:
    """The forgeries that these readers take."""
    taken = []
    for name, (vendor, forged) in forgeries().items():
        try:
            readers[vendor](forged)
        except Forged:
            continue
        taken.append(name)
    return taken


def test_no_forgery_is_believed() -> None:
    assert believed({vendor: inbound for vendor, (inbound, _) in CASES.items()}) == []


def test_a_reader_that_believes_what_is_unsigned_is_noticed() -> None:
    def lenient(callback: Callback) -> Outcome:
        fields = vonage.receipt_fields(callback)
        return Outcome() if "sig" not in fields else _vonage(sms_api="sms").inbound(callback)

    readers = {vendor: inbound for vendor, (inbound, _) in CASES.items()} | {"vonage's SMS API": lenient}
    assert [name.split(",")[0] for name in believed(readers)] == ["the SMS API unsigned"] * 2


def test_plivos_second_version_is_enough_for_a_text() -> None:
    assert text(_plivo().inbound(vendor_plivo.callback_v2(URL, plivo_fields("STOP")))) == "STOP"
