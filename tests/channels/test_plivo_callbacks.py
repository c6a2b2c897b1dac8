"""Plivo's callbacks: which are genuine, what they say, and what a call is told to say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from channels.contract import (
    Callback,
    Channel,
    Context,
    Cost,
    DeliveryReport,
    ErrorClass,
    Message,
    Outcome,
    ReportKind,
    Wording,
)
from channels.providers._plivo_signature import v2, v3
from channels.providers.plivo import Plivo, Settings, build
from tests.channels.forging import assert_all_forged
from tests.vendors.plivo import (
    ACCOUNT,
    CALL,
    MESSAGE,
    NONCE,
    TOKEN,
    Fields,
    call_fields,
    callback,
    callback_v2,
    hangup_fields,
    message_fields,
    sign,
    sign_v2,
)

URL = "https://otp.example/callbacks/main/tok3n"
ANSWER = f"{URL}?answer=1"


def provider(**changes: Any) -> Plivo:
    content = {"type": "plivo", "auth_id": ACCOUNT, "auth_token": {"env": "T"}, "from_voice": "+14155550101"}
    secrets = {"auth_token": TOKEN, "secondary_auth_token": "the-other-token"}
    return build(
        Settings.model_validate({**content, **changes}), Context("main", "ua", production=False, secrets=secrets)
    )


PLIVO = provider()


def report(fields: Fields, plivo: Plivo = PLIVO) -> DeliveryReport:
    (only,) = plivo.read(callback(URL, fields)).reports
    return only


# --- genuine or forged ---

FIELDS = [("MessageUUID", "m-1"), ("Status", "delivered"), ("To", "14155550123"), ("Blank", ""), ("Zed", "a b&c")]


@pytest.mark.parametrize(
    ("url", "fields", "signature"),
    [
        (URL, FIELDS, "vFZDpLGs1woUOM4aqQzvbmy5tM/UPO3P4tlhvixP1qk="),
        (ANSWER, FIELDS, "5tmpC9dMYCSJ8ozFD9sFcI9Rl97tic8fWhquVolR4Nc="),
        (URL, [], "N+vvwzXpiYPWBEl7YJ7Snym/FqiR9XBXEWZ+MGyZJnU="),
        (ANSWER, [], "OucxYRTmFB3t/C1qeJcKyNfZ0MZMCepRbrG7H8tikrw="),
        (URL, [("Sid", "b"), ("Sid", "a"), ("A", "1")], "iNWdSH+0QgWDNC2TAnn8ZBXK4oJ6MWYivsznpbLPq/Q="),
    ],
)
def test_the_third_version_is_that_of_plivos_own_library(url: str, fields: Fields, signature: str) -> None:
    # computed with construct_post_url and get_signature_v3 of plivo 4.63.0, plivo/utils/signature_v3.py
    assert v3(TOKEN, url, fields, NONCE) == sign(url, fields) == signature


def test_the_second_version_meets_plivos_published_vector() -> None:
    # plivo/plivo-python, tests/resources/test_signature.py
    signature = "ehV3IKhLysWBxC1sy8INm0qGoQYdYsHwuoKjsX7FsXc="
    assert v2("my_auth_token", "https://answer.url", "12345") == signature
    assert sign_v2("https://answer.url", "my_auth_token", "12345") == signature


def test_a_signed_callback_is_read() -> None:
    assert report(message_fields("delivered")).kind is ReportKind.DELIVERED


def test_the_signature_of_the_main_account_is_accepted() -> None:
    for token in (TOKEN, "the-other-token"):
        assert PLIVO.read(callback(URL, message_fields("sent"), token=token, main=True)).reports


def test_one_good_signature_among_several_is_enough() -> None:
    fields = message_fields("sent")
    several = f"{sign(URL, fields, 'old')}, {sign(URL, fields)}"
    assert PLIVO.read(callback(URL, fields, signature=several)).reports


def test_a_message_may_be_signed_with_the_second_version() -> None:
    assert PLIVO.read(callback_v2(URL, message_fields("delivered"))).reports[0].kind is ReportKind.DELIVERED


GENUINE = callback(URL, message_fields("undelivered", "30"))


def forgeries() -> dict[str, Callback]:
    body, headers = GENUINE.body, GENUINE.headers
    signature = headers["x-plivo-signature-v3"]
    second = callback_v2(URL, message_fields("delivered")).headers
    changed = {
        f"body byte {place}": replace(GENUINE, body=body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])
        for place in range(0, len(body), 7)
    }
    return {
        **changed,
        "no signature": replace(GENUINE, headers={}),
        "empty signatures": replace(GENUINE, headers={**headers, "x-plivo-signature-v3": " , ,"}),
        "other letters": replace(GENUINE, headers={**headers, "x-plivo-signature-v3": signature.swapcase()}),
        "not even ASCII": replace(GENUINE, headers={**headers, "x-plivo-signature-v3": "é" * len(signature)}),
        "no nonce": replace(GENUINE, headers={"x-plivo-signature-v3": signature}),
        "another nonce": replace(GENUINE, headers={**headers, "x-plivo-signature-v3-nonce": "1"}),
        "another token": callback(URL, message_fields("delivered"), token="guess"),
        "an empty token": callback(URL, message_fields("delivered"), token=""),
        "another path": replace(GENUINE, url=URL + "x"),
        "another host": replace(GENUINE, url=URL.replace("otp.example", "evil.example")),
        "another query": replace(GENUINE, url=ANSWER),
        "another method": replace(GENUINE, method="GET"),
        "a field more": replace(GENUINE, body=body + b"&Status=delivered"),
        "a field less": replace(GENUINE, body=body.rsplit(b"&", 1)[0]),
        "no body": replace(GENUINE, body=b""),
        "not UTF-8": replace(GENUINE, body=body + b"\xff"),
        "too many fields": replace(GENUINE, body=b"&".join([body, *[b"a=1"] * 500])),
        "a wrong third beside a right second": replace(
            GENUINE, headers={**second, "x-plivo-signature-v3": "x", "x-plivo-signature-v3-nonce": NONCE}
        ),
        "a third without its nonce beside a right second": replace(
            GENUINE, headers={**second, "x-plivo-signature-ma-v3": ""}
        ),
        "a call's words with the second version": callback_v2(ANSWER, call_fields("in-progress")),
        "a call's words as a message": callback_v2(ANSWER, [*call_fields("in-progress"), ("MessageUUID", MESSAGE)]),
        "a call's end with the second version": callback_v2(URL, hangup_fields("4000")),
        "the second version of another token": callback_v2(URL, message_fields("delivered"), token="guess"),
        "the second version at another address": replace(
            callback_v2(URL, message_fields("delivered")), url=URL.replace("tok3n", "another")
        ),
    }


def test_every_forgery_is_refused_and_the_genuine_one_is_read() -> None:
    assert PLIVO.read(GENUINE).reports[0].vendor_code == "sms.30"
    assert_all_forged(PLIVO.read, forgeries())


def test_a_reader_that_signs_the_address_alone_is_noticed() -> None:
    def careless(callback: Callback) -> object:
        return PLIVO.read(replace(callback, body=GENUINE.body))

    with pytest.raises(AssertionError, match="body byte"):
        assert_all_forged(careless, forgeries())


def test_a_reader_that_falls_back_on_the_second_version_is_noticed() -> None:
    def lenient(callback: Callback) -> object:
        kept = {name: value for name, value in callback.headers.items() if "v3" not in name}
        return PLIVO.read(replace(callback, headers=kept))

    downgraded = {name: forged for name, forged in forgeries().items() if "beside" in name}
    with pytest.raises(AssertionError, match="beside a right second"):
        assert_all_forged(lenient, downgraded)


# --- reports on messages ---


@pytest.mark.parametrize(
    ("status", "kind"),
    [("queued", "progress"), ("sent", "progress"), ("delivered", "delivered"), ("read", "delivered")],
)
def test_a_message_status_reads_as(status: str, kind: str) -> None:
    expected = DeliveryReport(ReportKind(kind), vendor_code=status, message_id=MESSAGE)
    assert report(message_fields(status, amount="")) == expected


def codes(listed: str) -> list[tuple[str, str]]:
    table = yaml.safe_load(Path("channels/providers/errors/plivo.yaml").read_text())
    return [(str(code), error) for error, meanings in table.items() for code in meanings if listed in str(code)]


def test_every_code_of_a_message_means_what_the_table_says() -> None:
    assert len(codes("sms.")) > 15
    for code, error in codes("sms."):
        read = report(message_fields("undelivered", code.removeprefix("sms.")))
        assert (read.kind, read.error, read.vendor_code) == (ReportKind.FAILED, error, code)


@pytest.mark.parametrize("status", ["failed", "undelivered", "rejected"])
@pytest.mark.parametrize("error", ["", "000", "14155550123", "oops"])
def test_a_failure_without_a_code_is_temporary(status: str, error: str) -> None:
    assert report(message_fields(status, error)) == DeliveryReport(
        ReportKind.FAILED, ErrorClass.TEMPORARY, status, MESSAGE
    )


def test_a_price_is_taken_from_the_report_that_a_message_was_sent() -> None:
    assert report(message_fields("sent")).cost == Cost(6500, "USD")
    for status in ("queued", "delivered"):
        assert report(message_fields(status)).cost is None


def test_the_operators_class_holds_for_reports_too() -> None:
    own = provider(errors={"sms.30": "fraud", "call.3000": "temporary", "call.7011": "provider_down"})
    assert report(message_fields("failed", "30"), own).error is ErrorClass.FRAUD
    assert report(hangup_fields("3000", "no-answer"), own).error is ErrorClass.TEMPORARY
    assert report(hangup_fields("7011", "completed"), own).error is ErrorClass.PROVIDER_DOWN


@pytest.mark.parametrize("fields", [[], [("Status", "received")], [("MessageUUID", MESSAGE), ("Status", "received")]])
def test_what_is_not_understood_is_no_report(fields: Fields) -> None:
    assert PLIVO.read(callback(URL, fields)) == Outcome()


def test_free_text_in_place_of_an_id_goes_no_further() -> None:
    fields = [("MessageUUID", "14155550123"), ("Status", "delivered")]
    assert report(fields) == DeliveryReport(ReportKind.DELIVERED, vendor_code="delivered")


# --- calls ---


@pytest.mark.parametrize("status", ["ringing", "in-progress"])
def test_a_call_under_way_is_progress(status: str) -> None:
    expected = DeliveryReport(ReportKind.PROGRESS, vendor_code=status, message_id=CALL)
    assert report(call_fields(status, "Ring")) == expected


@pytest.mark.parametrize("code", ["4000", "4010"])
def test_a_call_that_ran_its_course_was_delivered_only_if_machines_were_told_apart(code: str) -> None:
    fields = hangup_fields(code)
    said = DeliveryReport(ReportKind.DELIVERED, vendor_code=f"call.{code}", message_id=CALL, cost=Cost(10_000, "USD"))
    assert report(fields) == said
    assert report(fields, provider(machine_detection=False)) == replace(said, kind=ReportKind.PROGRESS)


def test_a_call_that_we_hung_up_on_ourselves_was_not_delivered() -> None:
    assert report(hangup_fields("4000", source="Answer XML")).kind is ReportKind.PROGRESS


@pytest.mark.parametrize("code", ["6000", "6020", "4020", "0", "", "oops", "14155550123"])
def test_a_call_that_ended_otherwise_says_nothing(code: str) -> None:
    read = report(hangup_fields(code))
    assert read.kind is ReportKind.PROGRESS
    assert "14155550123" not in read.vendor_code


def test_every_cause_of_the_table_means_what_it_says() -> None:
    causes = [(code, error) for code, error in codes("call.") if "x" not in code]
    assert len(causes) > 25
    for code, error in causes:
        read = report(hangup_fields(code.removeprefix("call."), "failed"))
        assert (read.kind, read.error, read.vendor_code) == (ReportKind.FAILED, error, code)


@pytest.mark.parametrize(("cause", "code"), [("7011", "call.7xxx"), ("8014", "call.8xxx")])
def test_a_fault_of_our_address_or_our_xml_is_our_mistake(cause: str, code: str) -> None:
    read = report(hangup_fields(cause))
    assert (read.kind, read.error, read.vendor_code) == (ReportKind.FAILED, ErrorClass.REQUEST_BUG, code)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("busy", "no_channel"),
        ("no-answer", "no_channel"),
        ("timeout", "no_channel"),
        ("cancel", "temporary"),
        ("failed", "temporary"),
        ("something-new", "temporary"),
    ],
)
def test_a_call_that_reached_nobody_failed(status: str, error: str) -> None:
    read = report(hangup_fields("", status))
    assert (read.kind, read.error, read.vendor_code) == (ReportKind.FAILED, error, status)


def test_a_person_who_answers_is_told_the_code() -> None:
    assert PLIVO.read(callback(ANSWER, call_fields("in-progress"))) == Outcome(wants_message=True)
    told = callback(ANSWER, call_fields("in-progress", Machine="false"))
    assert PLIVO.read(told) == Outcome(wants_message=True)


def test_a_machine_that_answers_is_told_nothing_and_the_next_channel_is_due() -> None:
    outcome = PLIVO.read(callback(ANSWER, call_fields("in-progress", Machine="true")))
    assert not outcome.wants_message
    assert outcome.reports == (DeliveryReport(ReportKind.FAILED, ErrorClass.NO_CHANNEL, "call.9100", CALL),)


def test_the_end_of_a_call_at_the_answer_address_asks_for_no_words() -> None:
    outcome = PLIVO.read(callback(ANSWER, hangup_fields("3000", "no-answer")))
    assert not outcome.wants_message
    assert outcome.reports[0].error is ErrorClass.NO_CHANNEL


# --- what is said ---


def spoken(text: str, language: str) -> Message:
    wording = Wording("the text", language, spoken=text)
    return Message(Channel.VOICE, "+14155550123", "482913", wording, "ver_1.1", 600)


def speak(message: Message, plivo: Plivo = PLIVO) -> ET.Element:
    answer = plivo.answer(message)
    assert (answer.status, answer.media_type) == (200, "text/xml")
    response = ET.fromstring(answer.body)  # noqa: S314  # our own output
    assert [element.tag for element in response] == ["Speak"]
    return response[0]


def test_the_code_is_said_in_the_language_of_the_wording() -> None:
    element = speak(spoken("Seu código é 4, 8, 2.", "pt-BR"))
    assert (element.text, element.attrib) == ("Seu código é 4, 8, 2.", {"language": "pt-BR"})


def test_markup_in_the_words_stays_words() -> None:
    words = "</Speak><Dial><Number>19005550100</Number></Dial><Speak>&'\""
    assert speak(spoken(words, "en")).text == words


def test_without_spoken_words_the_text_is_read() -> None:
    assert speak(spoken("", "en")).text == "the text"


@pytest.mark.parametrize(
    ("language", "attributes"),
    [
        ("en", {"language": "en-US"}),
        ("en-GB", {"language": "en-GB"}),
        ("en-ZA", {"language": "en-US"}),
        ("en-IN", {"voice": "Polly.Aditi"}),
        ("es-419", {"language": "es-US"}),
        ("de-AT", {"language": "de-DE"}),
        ("pt", {"language": "pt-PT", "voice": "MAN"}),
        ("pt-BR", {"language": "pt-BR"}),
        ("hi", {"voice": "Polly.Aditi"}),
        ("ar-EG", {"voice": "Polly.Zeina"}),
        ("zh-Hant", {"voice": "Polly.Zhiyu"}),
        ("tr", {"voice": "Polly.Filiz"}),
        ("vi", {"language": "en-US"}),
        ("", {"language": "en-US"}),
    ],
)
def test_a_language_is_said_by_a_voice_that_plivo_accepts(language: str, attributes: dict[str, str]) -> None:
    assert speak(spoken("x", language)).attrib == attributes


def test_a_voice_of_the_operators_choice_brings_its_own_language() -> None:
    element = speak(spoken("x", "ja-JP"), provider(voices={"ja": "Polly.Takumi"}))
    assert element.attrib == {"voice": "Polly.Takumi"}


def test_with_nothing_left_to_say_the_call_ends() -> None:
    answer = PLIVO.answer(None)
    assert answer.media_type == "text/xml"
    assert answer.body.endswith(b"<Response><Hangup /></Response>")
