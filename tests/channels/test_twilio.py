"""Twilio: what goes over the wire, and what its answers mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from twilio.http.async_http_client import AsyncTwilioHttpClient

from channels.contract import Channel, Context, Cost, ErrorClass, Message, ReportKind, SendError, Wording
from channels.providers.twilio import Settings, Twilio, build
from tests.vendors import twilio as vendor_twilio
from tests.vendors.server import Break, Reply, Vendor, json_reply

CODE = "482913"
TO = "+14155550123"
STATUS_URL = "https://otp.example/callbacks/main/tok3n"
ANSWER_URL = f"{STATUS_URL}?answer=1"
API_KEY = "SK" + "0f" * 16
SERVICE = "MG" + "0e" * 16
TEMPLATE, TEMPLATE_PT = "HX" + "0d" * 16, "HX" + "0c" * 16
SECRETS = {"auth_token": vendor_twilio.TOKEN, "api_key_secret": "the-api-key-secret"}
SHIPPED = Path("channels/providers/errors/twilio.yaml")

SMS = Message(
    channel=Channel.SMS,
    to=TO,
    code=CODE,
    wording=Wording(f"{CODE} is your code & more", "en", spoken="Your code is 4, 8, 2, 9, 1, 3."),
    reference="att_1",
    lifetime=600,
    callback_url=STATUS_URL,
    answer_url=ANSWER_URL,
    country="US",
)
WHATSAPP = replace(SMS, channel=Channel.WHATSAPP)
VOICE = replace(SMS, channel=Channel.VOICE)


def settings(**changes: Any) -> Settings:
    content = {
        "type": "twilio",
        "account_sid": vendor_twilio.ACCOUNT,
        "auth_token": {"env": "TWILIO_AUTH_TOKEN"},
        "from_sms": "+14155550100",
        "from_voice": "+14155550101",
        "from_whatsapp": "+14155550102",
        "whatsapp_content_sid": TEMPLATE,
        "timeout": 2.0,
    }
    return Settings.model_validate({**content, **changes})


def provider(vendor: Vendor, **changes: Any) -> Twilio:
    return build(
        settings(base_url=vendor.base_url, **changes),
        Context("main", "otp-gateway/test", production=False, secrets=SECRETS),
    )


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with Vendor(vendor_twilio.accept) as vendor:
        yield vendor


@pytest.fixture
async def twilio(vendor: Vendor) -> AsyncIterator[Twilio]:
    built = provider(vendor)
    yield built
    await built.close()


async def sent(vendor: Vendor, message: Message, **changes: Any) -> list[tuple[str, str]]:
    """The form that one message makes."""
    built = provider(vendor, **changes)
    try:
        await built.send(message)
    finally:
        await built.close()
    return sorted(vendor.received[-1].form)


async def refusal(vendor: Vendor, reply: Reply, message: Message = SMS, **changes: Any) -> SendError:
    vendor.replies.append(reply)
    built = provider(vendor, **changes)
    with pytest.raises(SendError) as caught:
        await built.send(message)
    await built.close()
    return caught.value


# --- what goes over the wire ---


async def test_an_sms_is_sent_with_exactly_these_fields(vendor: Vendor, twilio: Twilio) -> None:
    receipt = await twilio.send(SMS)
    request = vendor.received[0]
    assert receipt.message_id == vendor_twilio.MESSAGE
    assert receipt.cost is None
    assert (request.method, request.path) == ("POST", f"/2010-04-01/Accounts/{vendor_twilio.ACCOUNT}/Messages.json")
    assert sorted(request.form) == [
        ("Body", f"{CODE} is your code & more"),
        ("From", "+14155550100"),
        ("SmartEncoded", "false"),
        ("StatusCallback", STATUS_URL),
        ("To", TO),
        ("ValidityPeriod", "600"),
    ]
    assert request.headers["user-agent"] == "otp-gateway/test"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["authorization"] == aiohttp.encode_basic_auth(vendor_twilio.ACCOUNT, vendor_twilio.TOKEN)


async def test_a_whatsapp_message_is_a_template_and_carries_the_code_as_its_one_variable(vendor: Vendor) -> None:
    form = await sent(vendor, WHATSAPP)
    assert form == [
        ("ContentSid", TEMPLATE),
        ("ContentVariables", '{"1": "482913"}'),
        ("From", "whatsapp:+14155550102"),
        ("StatusCallback", STATUS_URL),
        ("To", f"whatsapp:{TO}"),
    ]


async def test_a_call_fetches_its_script_and_tells_people_from_machines(vendor: Vendor, twilio: Twilio) -> None:
    receipt = await twilio.send(VOICE)
    request = vendor.received[0]
    assert receipt.message_id == vendor_twilio.CALL
    assert request.path == f"/2010-04-01/Accounts/{vendor_twilio.ACCOUNT}/Calls.json"
    assert sorted(request.form) == [
        ("From", "+14155550101"),
        ("MachineDetection", "Enable"),
        ("StatusCallback", STATUS_URL),
        ("StatusCallbackEvent", "answered"),
        ("StatusCallbackEvent", "completed"),
        ("StatusCallbackEvent", "initiated"),
        ("StatusCallbackEvent", "ringing"),
        ("TimeLimit", "120"),
        ("Timeout", "30"),
        ("To", TO),
        ("Url", ANSWER_URL),
    ]
    assert CODE not in request.body.decode()


async def test_a_call_that_could_leave_the_code_on_a_voicemail_is_not_made(vendor: Vendor, twilio: Twilio) -> None:
    with pytest.raises(SendError) as caught:
        await twilio.send(replace(VOICE, answer_url=None))
    assert (caught.value.error, caught.value.vendor_code) == (ErrorClass.REQUEST_BUG, "no_answer_url")
    assert vendor.received == []


async def test_without_detection_and_without_an_answer_url_the_script_goes_along(vendor: Vendor) -> None:
    form = dict(await sent(vendor, replace(VOICE, answer_url=None), machine_detection=False))
    assert "MachineDetection" not in form
    assert form["Twiml"].endswith('<Response><Say language="en-US">Your code is 4, 8, 2, 9, 1, 3.</Say></Response>')


@pytest.mark.parametrize(("lifetime", "validity"), [(0, "1"), (30, "30"), (36_000, "36000"), (86_400, "36000")])
async def test_a_message_lives_as_long_as_its_code_within_twilios_range(
    vendor: Vendor, lifetime: int, validity: str
) -> None:
    assert ("ValidityPeriod", validity) in await sent(vendor, replace(SMS, lifetime=lifetime))


async def test_a_phone_rings_no_longer_than_the_code_lives(vendor: Vendor) -> None:
    assert ("Timeout", "12") in await sent(vendor, replace(VOICE, lifetime=12))


@pytest.mark.parametrize(
    ("sender", "fields"),
    [
        (None, {"From": "+14155550100", "MessagingServiceSid": SERVICE}),
        ("ACME", {"From": "ACME"}),
        (SERVICE, {"MessagingServiceSid": SERVICE}),
    ],
)
async def test_a_countrys_own_sender_replaces_the_accounts(
    vendor: Vendor, sender: str | None, fields: dict[str, str]
) -> None:
    form = dict(await sent(vendor, replace(SMS, sender=sender), messaging_service_sid=SERVICE))
    assert {name: form[name] for name in ("From", "MessagingServiceSid") if name in form} == fields


async def test_a_countrys_own_sender_works_for_calls_and_whatsapp(vendor: Vendor) -> None:
    assert ("From", "+442079460000") in await sent(vendor, replace(VOICE, sender="+442079460000"))
    assert ("From", "whatsapp:+442079460000") in await sent(vendor, replace(WHATSAPP, sender="+442079460000"))


@pytest.mark.parametrize(("language", "template"), [("pt-BR", TEMPLATE_PT), ("pt", TEMPLATE), ("en", TEMPLATE)])
async def test_a_template_is_chosen_by_language(vendor: Vendor, language: str, template: str) -> None:
    message = replace(WHATSAPP, wording=replace(WHATSAPP.wording, language=language))
    assert ("ContentSid", template) in await sent(vendor, message, whatsapp_content_sids={"pt-br": TEMPLATE_PT})


async def test_without_a_callback_url_none_is_named(vendor: Vendor) -> None:
    for message in (SMS, WHATSAPP, VOICE):
        form = dict(await sent(vendor, replace(message, callback_url=None)))
        assert not {"StatusCallback", "StatusCallbackEvent"} & form.keys()


async def test_an_api_key_sends_in_place_of_the_auth_token(vendor: Vendor) -> None:
    await sent(vendor, SMS, api_key_sid=API_KEY, api_key_secret={"env": "X"})
    request = vendor.received[0]
    assert request.headers["authorization"] == aiohttp.encode_basic_auth(API_KEY, "the-api-key-secret")
    assert vendor_twilio.ACCOUNT in request.path


async def test_the_environment_of_the_process_does_not_move_the_requests(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_REGION", "au1")
    monkeypatch.setenv("TWILIO_EDGE", "sydney")
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "another")
    assert ("To", TO) in await sent(vendor, SMS)


async def test_a_channel_without_a_sender_is_our_mistake(vendor: Vendor) -> None:
    built = provider(vendor, from_voice=None)
    assert built.channels == {Channel.SMS, Channel.WHATSAPP}
    with pytest.raises(SendError) as caught:
        await built.send(VOICE)
    assert (caught.value.error, caught.value.vendor_code) == (ErrorClass.REQUEST_BUG, "channel_not_configured")


# --- what its answers mean ---


def codes() -> list[tuple[str, str]]:
    table = yaml.safe_load(SHIPPED.read_text())
    return [(str(code), error) for error, meanings in table.items() for code in meanings]


async def test_every_code_of_the_table_is_classed_as_the_table_says_in_both_shapes(
    vendor: Vendor, twilio: Twilio
) -> None:
    assert len(codes()) > 100
    for code, error in codes():
        for reply in (vendor_twilio.refuse(400, int(code), f"{TO} {CODE}"), vendor_twilio.problem(400, int(code))):
            vendor.replies.append(reply)
            with pytest.raises(SendError) as caught:
                await twilio.send(SMS)
            assert (caught.value.error, caught.value.vendor_code, caught.value.ambiguous) == (error, code, False)


def test_every_code_of_the_table_means_the_same_in_a_report(twilio: Twilio) -> None:
    for code, error in codes():
        callback = vendor_twilio.callback(STATUS_URL, vendor_twilio.message_fields("undelivered", code))
        report = twilio.read(callback).reports[0]
        assert (report.kind, report.error, report.vendor_code) == (ReportKind.FAILED, error, code)


def test_each_code_stands_in_the_file_once() -> None:
    lines = [line.split(":")[0].strip() for line in SHIPPED.read_text().splitlines() if line.startswith("  ")]
    assert len(lines) == len(set(lines)) == len(codes())


async def test_the_operator_can_class_a_code_otherwise(vendor: Vendor) -> None:
    error = await refusal(vendor, vendor_twilio.refuse(400, 21610), errors={"21610": "content"})
    assert error.error is ErrorClass.CONTENT


@pytest.mark.parametrize(
    ("reply", "error", "code", "ambiguous"),
    [
        (vendor_twilio.refuse(400, 29999), ErrorClass.UNKNOWN, "29999", False),
        (vendor_twilio.problem(400, 29999), ErrorClass.UNKNOWN, "29999", False),
        (vendor_twilio.refuse(401, None), ErrorClass.PROVIDER_ACCOUNT, "", False),
        (vendor_twilio.refuse(500, None), ErrorClass.PROVIDER_DOWN, "", True),
        (vendor_twilio.refuse(503, 20503), ErrorClass.PROVIDER_DOWN, "20503", True),
        (Reply(502, b"<html>Bad gateway</html>"), ErrorClass.PROVIDER_DOWN, "", True),
        (Reply(404, b""), ErrorClass.REQUEST_BUG, "", False),
        (Reply(301, b"", {"Location": "/x"}), ErrorClass.REQUEST_BUG, "", False),
        (json_reply(400, {"code": f"no such number {TO}"}), ErrorClass.UNKNOWN, "other", False),
        (json_reply(400, {"code": {"a": [1]}}), ErrorClass.UNKNOWN, "other", False),
        (json_reply(400, [1, 2]), ErrorClass.UNKNOWN, "", False),
        (Reply(400, b"[" * 60_000), ErrorClass.UNKNOWN, "", False),
    ],
)
async def test_a_refusal_without_a_known_code_is_read_by_its_status(
    vendor: Vendor, reply: Reply, error: ErrorClass, code: str, ambiguous: bool
) -> None:
    refused = await refusal(vendor, reply)
    assert (refused.error, refused.vendor_code, refused.ambiguous) == (error, code, ambiguous)


async def test_too_many_requests_says_how_long_to_stay_away(vendor: Vendor) -> None:
    error = await refusal(vendor, vendor_twilio.refuse(429, 20429, "Too Many Requests", **{"Retry-After": "7"}))
    assert (error.error, error.retry_after, error.ambiguous) == (ErrorClass.THROTTLED, 7.0, False)


@pytest.mark.parametrize("message", [SMS, WHATSAPP, VOICE])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b'"x"',
        b"not json",
        b"\xff\xfe",
        b'{"sid": null}',
        b'{"sid": 7}',
        b'{"sid": "a\\nb"}',
    ],
)
async def test_an_acceptance_that_cannot_be_read_may_have_been_one(
    vendor: Vendor, body: bytes, message: Message
) -> None:
    error = await refusal(vendor, Reply(201, body), message)
    assert (error.error, error.vendor_code, error.ambiguous) == (ErrorClass.PROVIDER_DOWN, "unreadable", True)


async def test_fields_of_unexpected_kinds_do_no_harm(vendor: Vendor, twilio: Twilio) -> None:
    odd = {
        "sid": vendor_twilio.MESSAGE,
        "date_created": 5,
        "num_segments": [],
        "error_code": "x",
        "subresource_uris": 1,
    }
    vendor.replies.append(json_reply(201, odd))
    assert (await twilio.send(SMS)).message_id == vendor_twilio.MESSAGE


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_the_sdks_own_client_would_not_keep_the_deadline(vendor: Vendor, twilio: Twilio) -> None:
    vendor.replies.append(Reply(broken=Break.SILENCE))
    own = AsyncTwilioHttpClient(timeout=0.05)
    twilio._account._version.domain.twilio.http_client = own
    try:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(twilio.send(SMS), 0.1)
    finally:
        await own.close()


# --- nothing leaks: what is logged is proved for every provider in tests/conformance ---


def assert_silent(text: str) -> None:
    for secret in (CODE, TO, TO[1:], vendor_twilio.TOKEN, "tok3n"):
        assert secret not in text


def test_neither_the_provider_nor_its_surroundings_show_a_secret(twilio: Twilio) -> None:
    context = Context("main", "ua", production=True, secrets=SECRETS)
    assert_silent(f"{context!r} {twilio!r} {settings()!r} {SMS!r}")


# --- prices ---


@pytest.mark.parametrize(("sid", "resource"), [(vendor_twilio.MESSAGE, "Messages"), (vendor_twilio.CALL, "Calls")])
async def test_the_price_of_a_message_or_a_call_is_read_in_one_unit(
    vendor: Vendor, twilio: Twilio, sid: str, resource: str
) -> None:
    assert await twilio.price(sid) == Cost(7_500, "USD")
    (asked,) = vendor.received
    assert (asked.method, asked.path.rsplit("/", 2)[1:]) == ("GET", [resource, f"{sid}.json"])
    assert asked.headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize("price", [None, "", "0", "free", "-NaN", "1e999999"])
async def test_a_price_that_is_not_there_yet_is_none(vendor: Vendor, twilio: Twilio, price: str | None) -> None:
    vendor.replies.append(json_reply(200, {"sid": vendor_twilio.MESSAGE, "price": price, "price_unit": "usd"}))
    assert await twilio.price(vendor_twilio.MESSAGE) is None


async def test_a_price_that_may_not_be_looked_at_is_refused(vendor: Vendor, twilio: Twilio) -> None:
    vendor.replies.append(vendor_twilio.refuse(401, 20003))
    with pytest.raises(SendError) as caught:
        await twilio.price(vendor_twilio.MESSAGE)
    assert caught.value.error is ErrorClass.PROVIDER_ACCOUNT


async def test_a_message_waits_for_no_price_even_on_a_single_connection(vendor: Vendor) -> None:
    built = provider(vendor, concurrency=1)
    vendor.gate = asyncio.Event()
    price = asyncio.create_task(built.price(vendor_twilio.MESSAGE))
    await vendor.reached(1)
    message = asyncio.create_task(built.send(SMS))
    await vendor.reached(2)
    vendor.gate.set()
    assert (await price, (await message).message_id) == (Cost(7_500, "USD"), vendor_twilio.MESSAGE)
    await built.close()


async def test_an_account_can_be_told_not_to_ask_for_prices(vendor: Vendor, twilio: Twilio) -> None:
    assert (twilio.prices, provider(vendor, fetch_prices=False).prices) == (True, False)
