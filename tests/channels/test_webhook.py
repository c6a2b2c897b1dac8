"""The webhook provider: what an operator's own sender is told, and what its answers and reports mean."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

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
    SendError,
    Wording,
)
from channels.providers.webhook import Settings, Webhook, build
from channels.signing import key
from tests.channels.forging import assert_all_forged
from tests.vendors import webhook as sender
from tests.vendors.server import Break, Reply, Vendor, json_reply

CODE = "482913"
TO = "+14155550123"
EMAIL = "ana@example.org"

SMS = Message(
    channel=Channel.SMS,
    to=TO,
    code=CODE,
    wording=Wording(f"{CODE} is your code", "en"),
    reference="ver_AbC-1_x.2",
    lifetime=600,
    callback_url=sender.URL,
    country="US",
)


def settings(url: str = "https://sender.example/otp", **changes: Any) -> Settings:
    content = {"type": "webhook", "url": url, "channels": ["sms", "email"], "secret": {"env": "S"}, "timeout": 2.0}
    return Settings.model_validate({**content, **changes})


def provider(url: str, *, both: bool = False, **changes: Any) -> Webhook:
    context = Context("own", "otp-gateway/test", production=False)
    keys = (key(sender.SECRET), *([key(sender.OTHER_SECRET)] if both else []))
    return Webhook(settings(url, **changes), context, keys, now=lambda: sender.NOW + 0.9)


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with Vendor(sender.accept) as vendor:
        yield vendor


@pytest.fixture
async def webhook(vendor: Vendor) -> AsyncIterator[Webhook]:
    built = provider(f"{vendor.base_url}/otp?tenant=7")
    yield built
    await built.close()


async def refusal(webhook: Webhook, vendor: Vendor, reply: Reply) -> SendError:
    vendor.replies.append(reply)
    with pytest.raises(SendError) as caught:
        await webhook.send(SMS)
    return caught.value


# --- what goes over the wire ---


async def test_a_message_is_posted_with_all_that_a_sender_needs(vendor: Vendor, webhook: Webhook) -> None:
    receipt = await webhook.send(SMS)
    request = vendor.received[0]
    assert (request.method, request.path) == ("POST", "/otp?tenant=7")
    assert request.headers["content-type"] == "application/json"
    assert request.json == {
        "type": "message.send",
        "timestamp": "2026-01-05T10:00:00Z",
        "data": {
            "reference": "ver_AbC-1_x.2",
            "channel": "sms",
            "to": TO,
            "country": "US",
            "code": CODE,
            "text": f"{CODE} is your code",
            "language": "en",
            "expires_in": 600,
            "callback_url": sender.URL,
        },
    }
    assert (receipt.message_id, receipt.cost) == ("m-1f0c", Cost(4200, "EUR"))


async def test_email_brings_its_subject_and_html_and_a_call_its_words(vendor: Vendor) -> None:
    own = provider(vendor.base_url, channels=["email", "voice"])
    wording = Wording("text", "pt-BR", subject="Your code", html="<p>1</p>")
    await own.send(replace(SMS, channel=Channel.EMAIL, to=EMAIL, country="", wording=wording, sender="Shop"))
    await own.send(replace(SMS, channel=Channel.VOICE, wording=Wording("text", "en", spoken="4, 8, 2")))
    email, call = (request.json["data"] for request in vendor.received)
    assert (email["subject"], email["html"], email["sender"]) == ("Your code", "<p>1</p>", "Shop")
    assert "country" not in email
    assert call["spoken"] == "4, 8, 2"
    assert not {"subject", "html", "sender"} & call.keys()
    await own.close()


async def test_every_message_is_signed_and_its_id_makes_a_repeat_recognisable(vendor: Vendor, webhook: Webhook) -> None:
    await webhook.send(SMS)
    await webhook.send(SMS)
    first, second = vendor.received
    assert sender.genuine(first)
    assert not sender.genuine(first, sender.OTHER_KEY)
    assert first.headers["webhook-timestamp"] == str(sender.NOW)
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "ver_AbC-1_x-2"


async def test_while_secrets_are_rotated_both_sign(vendor: Vendor) -> None:
    own = provider(vendor.base_url, both=True)
    await own.send(SMS)
    assert sender.genuine(vendor.received[0])
    assert sender.genuine(vendor.received[0], sender.OTHER_KEY)
    await own.close()


async def test_a_channel_that_is_not_configured_is_our_mistake(vendor: Vendor, webhook: Webhook) -> None:
    with pytest.raises(SendError) as caught:
        await webhook.send(replace(SMS, channel=Channel.VOICE))
    assert (caught.value.error, caught.value.vendor_code) == (ErrorClass.REQUEST_BUG, "channel_not_configured")
    assert vendor.received == []


async def test_a_redirect_is_not_followed(vendor: Vendor, webhook: Webhook) -> None:
    said = await refusal(webhook, vendor, Reply(307, b"", {"Location": f"{vendor.base_url}/elsewhere"}))
    assert said.error is ErrorClass.REQUEST_BUG
    assert len(vendor.received) == 1


# --- what its answers mean ---


@pytest.mark.parametrize("word", list(ErrorClass))
async def test_a_sender_names_the_class_of_its_refusal(vendor: Vendor, webhook: Webhook, word: ErrorClass) -> None:
    said = await refusal(webhook, vendor, json_reply(422, {"error": word, "code": "E17"}, {"Retry-After": "7"}))
    assert (said.error, said.vendor_code, said.ambiguous, said.retry_after) == (word, "E17", False, 7.0)


@pytest.mark.parametrize(
    ("reply", "error", "code", "ambiguous"),
    [
        (Reply(400, b""), ErrorClass.UNKNOWN, "", False),
        (Reply(401, b"no"), ErrorClass.PROVIDER_ACCOUNT, "", False),
        (Reply(429, b""), ErrorClass.THROTTLED, "", False),
        (Reply(503, b""), ErrorClass.PROVIDER_DOWN, "", True),
        (json_reply(422, {"error": "made_up", "code": f"no {TO}"}), ErrorClass.UNKNOWN, "other", False),
        (json_reply(422, {"error": ["fraud"], "code": None}), ErrorClass.UNKNOWN, "", False),
        (json_reply(422, ["fraud"]), ErrorClass.UNKNOWN, "", False),
        (Reply(400, b"[" * 60_000), ErrorClass.UNKNOWN, "", False),
        (Reply(200, b"0123456789", broken=Break.MIDWAY), ErrorClass.PROVIDER_DOWN, "cut_off", True),
    ],
)
async def test_without_such_a_word_a_refusal_is_read_by_its_status(
    vendor: Vendor, webhook: Webhook, reply: Reply, error: ErrorClass, code: str, ambiguous: bool
) -> None:
    said = await refusal(webhook, vendor, reply)
    assert (said.error, said.vendor_code, said.ambiguous) == (error, code, ambiguous)


async def test_the_operators_class_goes_before_the_senders(vendor: Vendor) -> None:
    own = provider(vendor.base_url, errors={"E17": "no_channel"})
    assert (await refusal(own, vendor, json_reply(422, {"error": "fraud", "code": "E17"}))).error == "no_channel"
    await own.close()


@pytest.mark.parametrize(
    ("answer", "message_id", "cost"),
    [
        (b"", "", None),
        (b"OK", "", None),
        (b'{"message_id": "14155550123", "cost": "0.01"}', "", None),
        (b'{"message_id": "a b", "cost": {"amount": 0.01, "currency": "EUR"}}', "", Cost(10_000, "EUR")),
        (b'{"message_id": 7, "cost": {"amount": "-1", "currency": "EUR"}}', "", None),
        (b'{"message_id": "b7", "cost": {"amount": "NaN", "currency": "EUR"}}', "b7", None),
        (b'{"cost": {"amount": "1e999", "currency": "EUR"}}', "", None),
        (b'{"cost": {"amount": "0.01", "currency": "euro"}}', "", None),
        (b'{"cost": {"amount": "0.0000123", "currency": "eur"}}', "", Cost(12, "EUR")),
    ],
)
async def test_an_answer_may_say_less_or_nonsense_and_the_message_is_sent_all_the_same(
    vendor: Vendor, webhook: Webhook, answer: bytes, message_id: str, cost: Cost | None
) -> None:
    vendor.replies.append(Reply(200, answer))
    receipt = await webhook.send(SMS)
    assert (receipt.message_id, receipt.cost) == (message_id, cost)


async def test_the_deadline_holds_when_the_sender_is_silent(vendor: Vendor) -> None:
    hasty = provider(vendor.base_url, timeout=0.2)
    async with asyncio.timeout(1):
        said = await refusal(hasty, vendor, Reply(broken=Break.SILENCE))
    assert (said.vendor_code, said.ambiguous) == ("timeout", True)
    await hasty.close()


# --- reports: genuine or forged ---

OWN = provider("https://sender.example/otp")
RAW = sender.report("failed", error="no_channel", code="E17", message_id="m-1f0c")
GENUINE = sender.callback(RAW)


def forgeries() -> dict[str, Callback]:
    flipped = {
        f"body byte {place}": replace(GENUINE, body=RAW[:place] + bytes([RAW[place] ^ 1]) + RAW[place + 1 :])
        for place in range(0, len(RAW), 7)
    }
    headers = GENUINE.headers
    return {
        **flipped,
        "no headers": replace(GENUINE, headers={}),
        "no signature": sender.callback(RAW, signature=""),
        "another id": replace(GENUINE, headers={**headers, "webhook-id": "evt_2"}),
        "another key": sender.callback(RAW, signature=sender.sign(sender.OTHER_KEY, "evt_1", str(sender.NOW), RAW)),
        "for another message": replace(GENUINE, url=f"{sender.URL}x"),
        "for no message": sender.callback(sender.report("failed", callback_url=None)),
        "too old": sender.callback(RAW, at=str(sender.NOW - 301)),
        "written anew": replace(GENUINE, body=json.dumps(json.loads(RAW), indent=1).encode()),
    }


def test_every_forgery_is_refused_and_the_genuine_one_is_read() -> None:
    assert OWN.read(GENUINE).reports[0].vendor_code == "E17"
    assert_all_forged(OWN.read, forgeries())


def test_a_reader_that_skips_reports_without_a_signature_is_noticed() -> None:
    def lenient(each: Callback) -> object:
        return OWN.read(each) if each.headers.get("webhook-signature") else Outcome()

    with pytest.raises(AssertionError, match="no signature"):
        assert_all_forged(lenient, {"no signature": forgeries()["no signature"]})


def test_a_reader_that_takes_a_report_at_any_address_is_noticed() -> None:
    def careless(each: Callback) -> object:
        return OWN.read(replace(each, url=sender.URL))

    with pytest.raises(AssertionError, match="for another message"):
        assert_all_forged(careless, {"for another message": forgeries()["for another message"]})


def test_the_secondary_secret_is_accepted_while_secrets_are_rotated() -> None:
    both = provider("https://sender.example/otp", both=True)
    assert both.read(forgeries()["another key"]).reports


# --- reports: what they say ---


@pytest.mark.parametrize("status", ["progress", "delivered"])
def test_a_status_reads_as(status: str) -> None:
    raw = sender.report(status, message_id="m-1f0c", cost={"amount": "0.01", "currency": "USD"}, error="fraud")
    expected = DeliveryReport(ReportKind(status), None, "", "m-1f0c", Cost(10_000, "USD"))
    assert OWN.read(sender.callback(raw)).reports == (expected,)


def test_a_failure_has_the_class_that_the_sender_names() -> None:
    expected = DeliveryReport(ReportKind.FAILED, ErrorClass.NO_CHANNEL, "E17", "m-1f0c")
    assert OWN.read(GENUINE).reports == (expected,)


def test_a_failure_without_a_class_is_temporary_and_the_operators_class_goes_first() -> None:
    raw = sender.callback(sender.report("failed", code="E17"))
    own = provider("https://sender.example/otp", errors={"E17": "opted_out"})
    assert OWN.read(raw).reports[0].error is ErrorClass.TEMPORARY
    assert own.read(raw).reports[0].error is ErrorClass.OPTED_OUT


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no json",
        b"[]",
        b'{"type": "message.report"}',
        b'{"type": "message.report", "data": []}',
        b'{"type": "other", "data": {"status": "delivered"}}',
        b'{"data": {"status": "delivered"}}',
        sender.report("DELIVERED"),
        sender.report(["delivered"]),
        sender.report(None),
    ],
)
def test_what_is_not_understood_is_no_report(raw: bytes) -> None:
    assert OWN.read(sender.callback(raw)) == Outcome()


# --- nothing leaks ---


async def everything_logged(vendor: Vendor, webhook: Webhook, caplog: pytest.LogCaptureFixture) -> str:
    caplog.set_level(logging.DEBUG)
    said = []
    vendor.replies.extend([json_reply(422, {"error": TO, "code": f"{TO} {CODE}"}), json_reply(200, {"message_id": TO})])
    for _ in range(3):
        try:
            said.append(repr(await webhook.send(SMS)))
        except SendError as error:
            said.append(f"{error!r} {error} {error.__cause__!r}")
    assert len(said) == 3
    return "\n".join([*said, *(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)])


def assert_silent(text: str) -> None:
    for secret in (CODE, TO, TO[1:], sender.SECRET, base64.b64encode(sender.KEY).decode(), repr(sender.KEY), "tok3n"):
        assert secret not in text


async def test_no_code_number_token_or_key_is_logged_or_raised(
    vendor: Vendor, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    assert_silent(await everything_logged(vendor, webhook, caplog))


async def test_a_client_that_logs_its_requests_is_noticed(
    vendor: Vendor, webhook: Webhook, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = webhook._transport.request

    async def talkative(method: str, url: str, **rest: Any) -> Any:
        logging.getLogger("webhook").debug("sending %s", rest["body"])
        return await plain(method, url, **rest)

    monkeypatch.setattr(webhook._transport, "request", talkative)
    text = await everything_logged(vendor, webhook, caplog)
    with pytest.raises(AssertionError):
        assert_silent(text)


# --- the configuration ---


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"url": "sender.example/otp"}, "write an address that begins with https:// or http://"),
        ({"url": "ftp://sender.example"}, "write an address that begins with https:// or http://"),
        (
            {"url": "https://me:pw@sender.example"},
            "leave the user, the password and the fragment out: requests are signed instead",
        ),
        ({"channels": []}, "at least 1 item"),
        ({"channels": ["pigeon"]}, "sms"),
        ({"base_url": "sender.example"}, "valid URL"),
        ({"secret": "whsec_in_the_clear"}, "SecretRef"),
    ],
)
def test_a_fault_in_the_configuration_says_what_to_write(changes: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        settings(**changes)


def test_a_base_url_stands_in_for_the_urls_host() -> None:
    assert (
        settings(url="https://a.example/otp?x=1", base_url="http://127.0.0.1:9").address == "http://127.0.0.1:9/otp?x=1"
    )
    assert settings(url="https://a.example/otp").address == "https://a.example/otp"


def surroundings(secret: str = sender.SECRET, *, production: bool = True) -> Context:
    return Context("own", "ua", production=production, secrets={"secret": secret})


def test_production_refuses_to_send_codes_in_the_clear_unless_the_link_is_private() -> None:
    plain = settings("http://10.0.0.7/otp")
    with pytest.raises(ValueError, match=r"providers\.own: an http:// url sends codes in the clear"):
        build(plain, surroundings())
    assert build(settings("http://10.0.0.7/otp", allow_plaintext=True), surroundings()).channels
    assert build(plain, surroundings(production=False)).channels


def test_a_secret_that_is_none_is_refused_by_name_and_not_shown() -> None:
    with pytest.raises(
        ValueError, match=r"providers\.own: secret is no Standard Webhooks secret: write whsec_"
    ) as caught:
        build(settings(), surroundings("hunter2"))
    assert "hunter2" not in str(caught.value)


def test_the_page_in_the_documentation_names_every_setting() -> None:
    page = Path("docs/providers/webhook.md").read_text(encoding="utf-8")
    missing = {name for name in Settings.model_fields if f"`{name}`" not in page}
    assert missing <= {"type", "enabled"}  # every provider has those
