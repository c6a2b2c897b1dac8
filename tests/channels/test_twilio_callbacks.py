"""Twilio's callbacks: which are genuine, what they say, and what a call is told to say."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl, urlencode, urlsplit
from xml.etree import ElementTree as ET

import pytest
from aiohttp import web
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from channels.contract import (
    Callback,
    Channel,
    Context,
    DeliveryReport,
    ErrorClass,
    Forged,
    Message,
    Outcome,
    ReportKind,
    Wording,
)
from channels.providers.twilio import Settings, Twilio, build
from tests.channels.forging import assert_all_forged
from tests.vendors.twilio import ACCOUNT, CALL, MESSAGE, TOKEN, call_back, call_fields, callback, message_fields, sign

URL = "https://otp.example/callbacks/main/tok3n"
ANSWER = f"{URL}?answer=1"
ANSWERING = (("answer", "1"),)


def provider(**changes: object) -> Twilio:
    content = {"type": "twilio", "account_sid": ACCOUNT, "auth_token": {"env": "T"}, "from_voice": "+14155550101"}
    secrets = {"auth_token": TOKEN, "secondary_auth_token": "the-other-token"}
    return build(
        Settings.model_validate({**content, **changes}), Context("main", "ua", production=False, secrets=secrets)
    )


TWILIO = provider()


def report(fields: list[tuple[str, str]]) -> DeliveryReport:
    (only,) = TWILIO.read(callback(URL, fields)).reports
    return only


# --- genuine or forged ---


@pytest.mark.parametrize(
    ("url", "fields", "signature"),
    [
        (
            "https://mycompany.com/myapp.php?foo=1&bar=2",
            [
                ("CallSid", "CA1234567890ABCDE"),
                ("Digits", "1234"),
                ("From", "+14158675309"),
                ("To", "+18005551212"),
                ("Caller", "+14158675309"),
            ],
            "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
        ),
    ],
)
def test_the_published_vector_of_twilio_is_met_by_the_sdk_and_by_the_simulator(
    url: str, fields: list[tuple[str, str]], signature: str
) -> None:
    assert RequestValidator("12345").compute_signature(url, MultiDict(fields)) == signature
    assert sign(url, fields, "12345") == signature


def test_repeated_fields_are_signed_once_each_and_sorted() -> None:
    fields = [("Sid", "b"), ("Sid", "a"), ("Sid", "b"), ("MessageStatus", "sent")]
    assert RequestValidator(TOKEN).compute_signature(URL, MultiDict(fields)) == sign(URL, fields)
    assert TWILIO.read(callback(URL, fields)).reports[0].kind is ReportKind.PROGRESS


@pytest.mark.parametrize(
    "signed_url",
    [URL, URL.replace("otp.example", "otp.example:443")],
    ids=["as configured", "with the port that the URL implies"],
)
def test_a_signed_callback_is_read(signed_url: str) -> None:
    fields = message_fields("delivered")
    assert TWILIO.read(callback(URL, fields, signature=sign(signed_url, fields))).reports


def test_a_configured_port_may_be_left_out_of_the_signature() -> None:
    fields = message_fields("delivered")
    url = URL.replace("otp.example", "otp.example:8443")
    assert TWILIO.read(callback(url, fields, signature=sign(URL, fields))).reports


def test_the_secondary_token_is_accepted_while_tokens_are_rotated() -> None:
    assert TWILIO.read(callback(URL, message_fields("sent"), token="the-other-token")).reports


def test_a_get_is_verified_over_its_query() -> None:
    query = urlencode(message_fields("delivered"))
    genuine = Callback("GET", f"{URL}?{query}", {"x-twilio-signature": sign(f"{URL}?{query}", [])}, b"")
    assert TWILIO.read(genuine) == Outcome()  # signed, and no report: this gateway asks for POST
    with pytest.raises(Forged):
        TWILIO.read(replace(genuine, url=f"{URL}?{query}&x=1"))


GENUINE = callback(URL, message_fields("undelivered", "30003"))


def forgeries() -> dict[str, Callback]:
    body = GENUINE.body
    changed = {
        f"body byte {place}": replace(GENUINE, body=body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])
        for place in range(0, len(body), 7)
    }
    signature = GENUINE.headers["x-twilio-signature"]
    return {
        **changed,
        "no signature": replace(GENUINE, headers={}),
        "empty signature": replace(GENUINE, headers={"x-twilio-signature": ""}),
        "other letters": replace(GENUINE, headers={"x-twilio-signature": signature.swapcase()}),
        "not even ASCII": replace(GENUINE, headers={"x-twilio-signature": "é" * len(signature)}),
        "another token": callback(URL, message_fields("delivered"), token="guess"),
        "an empty token": callback(URL, message_fields("delivered"), token=""),
        "another path": replace(GENUINE, url=URL + "x"),
        "another host": replace(GENUINE, url=URL.replace("otp.example", "evil.example")),
        "another scheme": replace(GENUINE, url=URL.replace("https", "http")),
        "another query": replace(GENUINE, url=ANSWER, query=ANSWERING),
        "a field more": replace(GENUINE, body=body + b"&MessageStatus=delivered"),
        "a field less": replace(GENUINE, body=body.rsplit(b"&", 1)[0]),
        "no body": replace(GENUINE, body=b""),
        "not UTF-8": replace(GENUINE, body=body + b"\xff"),
        "too many fields": replace(GENUINE, body=b"&".join([body, *[b"a=1"] * 500])),
    }


def forgery_signed_for_another_host() -> Callback:
    """Right in itself, but for the attacker's URL; he also sends his Host."""
    theirs = callback(URL.replace("otp.example", "evil.example"), message_fields("undelivered", "21610"))
    return replace(
        theirs, url=URL, headers={**theirs.headers, "host": "evil.example", "x-forwarded-host": "evil.example"}
    )


def test_every_forgery_is_refused_and_the_genuine_one_is_read() -> None:
    assert TWILIO.read(GENUINE).reports[0].vendor_code == "30003"
    assert_all_forged(TWILIO.read, forgeries())


def test_a_signature_for_another_host_is_refused_whatever_the_host_header_says() -> None:
    assert_all_forged(TWILIO.read, {"host": forgery_signed_for_another_host()})


def test_a_reader_that_trusts_the_host_header_is_noticed() -> None:
    def trusting(callback: Callback) -> object:
        url = urlsplit(callback.url)._replace(netloc=callback.headers.get("host", "otp.example"))
        return TWILIO.read(replace(callback, url=url.geturl()))

    with pytest.raises(AssertionError, match="host"):
        assert_all_forged(trusting, {"host": forgery_signed_for_another_host()})


def test_a_reader_that_signs_the_url_alone_is_noticed() -> None:
    def careless(callback: Callback) -> object:
        fields = parse_qsl(GENUINE.body.decode())  # what was signed, not what came
        return TWILIO.read(replace(callback, body=urlencode(fields).encode()))

    with pytest.raises(AssertionError, match="body byte"):
        assert_all_forged(careless, forgeries())


def test_a_reader_that_skips_callbacks_without_a_signature_is_noticed() -> None:
    def lenient(callback: Callback) -> object:
        return TWILIO.read(callback) if callback.headers.get("x-twilio-signature") else Outcome()

    with pytest.raises(AssertionError, match="no signature"):
        assert_all_forged(lenient, forgeries())


async def test_a_callback_over_http_reads_as_one_built_in_memory() -> None:
    heard: list[Outcome] = []

    async def receive(request: web.BaseRequest) -> web.Response:
        url = f"http://127.0.0.1:{port}{request.path_qs}"
        headers = {name.lower(): value for name, value in request.headers.items()}
        heard.append(TWILIO.read(Callback(request.method, url, headers, await request.read())))
        return web.Response()

    runner = web.ServerRunner(web.Server(receive))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    status, _ = await call_back(f"http://127.0.0.1:{port}/callbacks/main/tok3n", message_fields("delivered"))
    await runner.cleanup()
    assert status == 200
    assert heard[0].reports[0].kind is ReportKind.DELIVERED


# --- reports on messages ---


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, "progress") for status in ("accepted", "scheduled", "queued", "sending", "sent")),
        ("partially_delivered", "progress"),
        ("delivered", "delivered"),
        ("read", "delivered"),
    ],
)
def test_a_message_status_reads_as(status: str, kind: str) -> None:
    assert report(message_fields(status)) == DeliveryReport(ReportKind(kind), vendor_code=status, message_id=MESSAGE)


@pytest.mark.parametrize("status", ["failed", "undelivered", "canceled"])
def test_a_failure_without_a_known_code_is_temporary(status: str) -> None:
    assert report(message_fields(status)).error is ErrorClass.TEMPORARY
    assert report(message_fields(status)).vendor_code == status
    assert report(message_fields(status, "39999")).error is ErrorClass.TEMPORARY


def test_the_operators_class_holds_for_reports_too() -> None:
    own = provider(errors={"30003": "no_channel", "busy": "temporary"})
    (message,) = own.read(callback(URL, message_fields("undelivered", "30003"))).reports
    (call,) = own.read(callback(URL, call_fields("busy"))).reports
    assert (message.error, call.error) == (ErrorClass.NO_CHANNEL, ErrorClass.TEMPORARY)


def test_free_text_in_place_of_a_code_or_an_id_goes_no_further() -> None:
    fields = [("MessageStatus", "failed"), ("MessageSid", "+14155550123"), ("ErrorCode", "+14155550123 is gone")]
    assert report(fields) == DeliveryReport(ReportKind.FAILED, ErrorClass.TEMPORARY, "other", "")


@pytest.mark.parametrize(
    "fields",
    [[], [("MessageStatus", "received")], [("CallStatus", "?")], [("SmsStatus", "received"), ("Body", "STOP")]],
)
def test_what_is_not_understood_is_no_report(fields: list[tuple[str, str]]) -> None:
    assert TWILIO.read(callback(URL, fields)) == Outcome()


# --- calls ---


@pytest.mark.parametrize("status", ["queued", "initiated", "ringing", "in-progress"])
def test_a_call_under_way_is_progress(status: str) -> None:
    assert report(call_fields(status)) == DeliveryReport(ReportKind.PROGRESS, vendor_code=status, message_id=CALL)


@pytest.mark.parametrize(
    ("answered_by", "kind", "error"),
    [
        ("human", "delivered", None),
        ("unknown", "progress", None),
        ("", "progress", None),
        ("machine_start", "failed", "no_channel"),
        ("machine_end_beep", "failed", "no_channel"),
        ("machine_end_silence", "failed", "no_channel"),
        ("machine_end_other", "failed", "no_channel"),
        ("fax", "failed", "no_channel"),
    ],
)
def test_a_completed_call_was_delivered_only_if_a_person_answered(
    answered_by: str, kind: str, error: str | None
) -> None:
    read = report(call_fields("completed", answered_by))
    assert (read.kind, read.error, read.message_id) == (kind, error, CALL)


@pytest.mark.parametrize(
    ("status", "sip", "error"),
    [
        ("busy", "486", "no_channel"),
        ("no-answer", "487", "no_channel"),
        ("failed", "503", "temporary"),
        ("failed", "404", "no_channel"),
        ("failed", "604", "no_channel"),
        ("canceled", "487", "temporary"),
    ],
)
def test_a_call_that_reached_nobody_failed(status: str, sip: str, error: str) -> None:
    read = report(call_fields(status, SipResponseCode=sip))
    assert (read.kind, read.error, read.vendor_code) == (ReportKind.FAILED, error, status)


def test_a_failed_call_with_a_code_of_twilios_is_classed_by_it() -> None:
    read = report(call_fields("failed", ErrorCode="13225"))
    assert (read.error, read.vendor_code) == (ErrorClass.FRAUD, "13225")


@pytest.mark.parametrize("answered_by", ["human", "unknown", ""])
def test_a_person_who_answers_is_told_the_code(answered_by: str) -> None:
    fetch = callback(ANSWER, call_fields("in-progress", answered_by), query=ANSWERING)
    assert TWILIO.read(fetch) == Outcome(wants_message=True)


@pytest.mark.parametrize("answered_by", ["machine_start", "machine_end_beep", "fax"])
def test_a_machine_that_answers_is_told_nothing_and_the_next_channel_is_due(answered_by: str) -> None:
    outcome = TWILIO.read(callback(ANSWER, call_fields("in-progress", answered_by), query=ANSWERING))
    assert not outcome.wants_message
    assert outcome.reports == (DeliveryReport(ReportKind.FAILED, ErrorClass.NO_CHANNEL, answered_by, CALL),)


def test_an_answer_is_fetched_only_with_a_signature() -> None:
    with pytest.raises(Forged):
        TWILIO.read(callback(ANSWER, call_fields("in-progress", "human"), query=ANSWERING, signature="x"))


# --- what is said ---


def spoken(text: str, language: str) -> Message:
    wording = Wording("the text", language, spoken=text)
    return Message(Channel.VOICE, "+14155550123", "482913", wording, "att_1", 600)


def say(message: Message, twilio: Twilio = TWILIO) -> ET.Element:
    answer = twilio.answer(message)
    assert (answer.status, answer.media_type) == (200, "text/xml")
    response = ET.fromstring(answer.body)  # noqa: S314  # our own output
    assert [element.tag for element in response] == ["Say"]
    return response[0]


def test_the_code_is_said_twice_in_the_language_of_the_wording() -> None:
    element = say(spoken("Seu código é 4, 8, 2.", "pt-BR"))
    assert element.text == "Seu código é 4, 8, 2."
    assert element.attrib == {"language": "pt-BR"}


def test_markup_in_the_words_stays_words() -> None:
    words = "</Say><Dial>+19005550100</Dial><Say>&'\""
    assert say(spoken(words, "en")).text == words


def test_without_spoken_words_the_text_is_read() -> None:
    assert say(spoken("", "en")).text == "the text"


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "en-US"),
        ("en-gb", "en-GB"),
        ("en-ZA", "en-US"),
        ("es-419", "es-MX"),
        ("de", "de-DE"),
        ("fr-BE", "fr-FR"),
        ("nb", "nb-NO"),
        ("no", "nb-NO"),
        ("zh-Hant-TW", "zh-TW"),
        ("zh-Hans", "zh-CN"),
        ("hi", "en-US"),
        ("", "en-US"),
    ],
)
def test_a_language_is_said_in_the_nearest_of_twilios(language: str, said: str) -> None:
    assert say(spoken("x", language)).attrib["language"] == said


def test_a_voice_of_the_operators_choice_brings_its_own_language() -> None:
    element = say(spoken("x", "hi-IN"), provider(voices={"hi": "Polly.Aditi"}))
    assert element.attrib == {"voice": "Polly.Aditi"}


def test_with_nothing_left_to_say_the_call_ends() -> None:
    answer = TWILIO.answer(None)
    assert answer.media_type == "text/xml"
    assert answer.body.endswith(b"<Response><Hangup /></Response>")
