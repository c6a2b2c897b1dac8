"""Vonage: what goes over the wire, and that nothing of it leaks."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import jwt
import pytest

from channels.contract import Channel, Context, Cost, ErrorClass, SendError, Wording
from channels.providers.vonage import Vonage, build, talk_language
from tests.channels.vonage import CODE, SMS, STATUS_URL, TO, VOICE, WHATSAPP, context, provider, secrets, sent, settings
from tests.vendors import vonage as vendor_vonage
from tests.vendors.server import Reply, Vendor


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with Vendor(vendor_vonage.accept) as vendor:
        yield vendor


@pytest.fixture
async def vonage(vendor: Vendor) -> AsyncIterator[Vonage]:
    built = provider(vendor)
    yield built
    await built.close()


# --- what goes over the wire ---


async def test_an_sms_is_sent_with_exactly_these_fields(vendor: Vendor, vonage: Vonage) -> None:
    receipt = await vonage.send(SMS)
    request = vendor.received[0]
    assert (receipt.message_id, receipt.cost) == (vendor_vonage.MESSAGE, None)
    assert (request.method, request.path) == ("POST", "/v1/messages")
    assert request.json == {
        "channel": "sms",
        "message_type": "text",
        "to": "14155550123",
        "from": "14155550100",
        "text": f"{CODE} is your code & more",
        "ttl": 600,
        "client_ref": "ver_1.1",
        "webhook_url": STATUS_URL,
        "webhook_version": "v1",
    }
    assert request.headers["user-agent"] == "otp-gateway/test"
    assert request.headers["content-type"] == "application/json"


async def test_a_whatsapp_message_is_a_template_with_the_code_in_the_text_and_behind_the_button(vendor: Vendor) -> None:
    parameters = [{"type": "text", "text": CODE}]
    assert await sent(vendor, WHATSAPP) == {
        "channel": "whatsapp",
        "message_type": "custom",
        "to": "14155550123",
        "from": "14155550102",
        "custom": {
            "type": "template",
            "template": {
                "name": "login_code",
                "language": {"policy": "deterministic", "code": "en_US"},
                "components": [
                    {"type": "body", "parameters": parameters},
                    {"type": "button", "sub_type": "url", "index": 0, "parameters": parameters},
                ],
            },
        },
        "client_ref": "ver_1.1",
        "webhook_url": STATUS_URL,
        "webhook_version": "v1",
    }


async def test_a_call_takes_its_words_along_and_hangs_up_on_a_machine_before_the_first_of_them(vendor: Vendor) -> None:
    assert await sent(vendor, VOICE) == {
        "to": [{"type": "phone", "number": "14155550123"}],
        "from": {"type": "phone", "number": "14155550101"},
        "ncco": [{"action": "talk", "text": "Your code is 4, 8, 2, 9, 1, 3.", "language": "en-US"}],
        "advanced_machine_detection": {"behavior": "hangup", "mode": "detect"},
        "event_url": [STATUS_URL],
        "event_method": "POST",
        "ringing_timer": 30,
        "length_timer": 120,
    }
    assert vendor.received[0].path == "/v1/calls"


async def test_detection_can_be_left_out(vendor: Vendor) -> None:
    assert "advanced_machine_detection" not in await sent(vendor, VOICE, machine_detection=False)


async def test_the_older_sms_api_gets_a_form(vendor: Vendor) -> None:
    vendor.replies.append(vendor_vonage.parts("0", "0"))
    built = provider(vendor, sms_api="sms", dlt_entity_id="1101", dlt_template_id="1207")
    receipt = await built.send(SMS)
    await built.close()
    request = vendor.received[0]
    assert receipt.message_id == vendor_vonage.OLDER_MESSAGE
    assert receipt.cost == Cost(66_600, "EUR")
    assert (request.path, sorted(request.form)) == (
        "/sms/json",
        [
            ("callback", STATUS_URL),
            ("client-ref", "ver_1.1"),
            ("content-id", "1207"),
            ("entity-id", "1101"),
            ("from", "14155550100"),
            ("text", f"{CODE} is your code & more"),
            ("to", "14155550123"),
            ("ttl", "600000"),
            ("type", "text"),
        ],
    )
    basic = aiohttp.encode_basic_auth(vendor_vonage.KEY, vendor_vonage.SECRET)
    assert request.headers["authorization"] == basic


async def test_a_signed_request_holds_a_signature_and_no_secret(vendor: Vendor) -> None:
    form = await sent(vendor, SMS, sms_api="sms", sign_sms=True)
    assert "authorization" not in vendor.received[0].headers
    assert form.pop("sig") == vendor_vonage.older_signature(form)
    assert form["api_key"] == vendor_vonage.KEY
    assert abs(int(form["timestamp"]) - time.time()) < 60
    assert vendor_vonage.SECRET not in vendor.received[0].body.decode()


async def test_other_letters_travel_as_unicode_in_the_older_api(vendor: Vendor) -> None:
    message = replace(SMS, wording=Wording("Ваш код: 482913", "ru"))
    assert (await sent(vendor, message, sms_api="sms"))["type"] == "unicode"


async def test_india_gets_its_registered_ids_in_both_apis(vendor: Vendor) -> None:
    content = await sent(vendor, SMS, dlt_entity_id="1101", dlt_template_id="1207")
    assert content["sms"] == {"entity_id": "1101", "content_id": "1207"}


@pytest.mark.parametrize(("lifetime", "ttl"), [(0, 20), (30, 30), (604_800, 604_800), (999_999, 604_800)])
async def test_a_message_lives_as_long_as_its_code_within_vonages_range(
    vendor: Vendor, lifetime: int, ttl: int
) -> None:
    message = replace(SMS, lifetime=lifetime)
    assert (await sent(vendor, message))["ttl"] == ttl
    assert (await sent(vendor, message, sms_api="sms"))["ttl"] == str(ttl * 1000)


async def test_a_phone_rings_no_longer_than_the_code_lives(vendor: Vendor) -> None:
    assert (await sent(vendor, replace(VOICE, lifetime=12)))["ringing_timer"] == 12


async def test_a_countrys_own_sender_replaces_the_accounts(vendor: Vendor) -> None:
    assert (await sent(vendor, replace(SMS, sender="ACME")))["from"] == "ACME"
    assert (await sent(vendor, replace(SMS, sender="ACME"), sms_api="sms"))["from"] == "ACME"
    assert (await sent(vendor, replace(WHATSAPP, sender="+442079460000")))["from"] == "442079460000"
    assert (await sent(vendor, replace(VOICE, sender="+442079460000")))["from"]["number"] == "442079460000"


@pytest.mark.parametrize(("language", "locale"), [("pt-BR", "pt_BR"), ("pt", "en_US"), ("en-GB", "en_US")])
async def test_a_templates_language_follows_the_wordings(vendor: Vendor, language: str, locale: str) -> None:
    message = replace(WHATSAPP, wording=replace(WHATSAPP.wording, language=language))
    content = await sent(vendor, message, whatsapp_locales={"pt-br": "pt_BR"})
    assert content["custom"]["template"]["language"]["code"] == locale


async def test_without_a_callback_url_none_is_named(vendor: Vendor) -> None:
    for message in (SMS, WHATSAPP, VOICE):
        content = await sent(vendor, replace(message, callback_url=None))
        assert not {"webhook_url", "webhook_version", "event_url", "event_method"} & content.keys()
    assert "callback" not in await sent(vendor, replace(SMS, callback_url=None), sms_api="sms")


async def test_the_applications_token_is_made_once_and_again_when_it_grows_old(vendor: Vendor) -> None:
    now = [1_767_600_000.0]
    built = build(settings(base_url=vendor.base_url), context(), lambda: now[0])
    for step in (0, 599, 2):
        now[0] += step
        await built.send(SMS)
    await built.close()
    tokens = [request.headers["authorization"].removeprefix("Bearer ") for request in vendor.received]
    assert tokens[0] == tokens[1] != tokens[2]
    options: Any = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(tokens[2], vendor_vonage.public_pem(), ["RS256"], options)
    assert claims.pop("jti") != jwt.decode(tokens[0], vendor_vonage.public_pem(), ["RS256"], options)["jti"]
    assert claims == {"application_id": vendor_vonage.APPLICATION, "iat": 1_767_600_601, "exp": 1_767_601_501}


async def test_a_key_with_escaped_line_breaks_is_understood(vendor: Vendor) -> None:
    escaped = {**secrets(), "private_key": vendor_vonage.private_pem().replace("\n", "\\n")}
    built = build(settings(base_url=vendor.base_url), Context("main", "ua", production=False, secrets=escaped))
    assert (await built.send(SMS)).message_id == vendor_vonage.MESSAGE
    await built.close()


@pytest.mark.parametrize("pem", ["", "not a key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_key_that_is_none_is_named_when_the_provider_is_built(pem: str) -> None:
    with pytest.raises(ValueError, match="vonage: private_key is not an RSA private key in PEM") as caught:
        build(settings(), Context("main", "ua", production=False, secrets={**secrets(), "private_key": pem}))
    assert "AAAA" not in str(caught.value)


async def test_without_an_application_the_key_and_secret_of_the_account_send_messages(vendor: Vendor) -> None:
    changes = {"application_id": None, "private_key": None, "from_voice": None}
    await sent(vendor, SMS, **changes)
    basic = aiohttp.encode_basic_auth(vendor_vonage.KEY, vendor_vonage.SECRET)
    assert vendor.received[0].headers["authorization"] == basic


async def test_the_older_sms_api_can_have_an_address_of_its_own(vendor: Vendor) -> None:
    async with Vendor(vendor_vonage.accept) as older:
        built = provider(vendor, sms_api="sms", sms_base_url=older.base_url)
        await built.send(SMS)
        await built.send(VOICE)
        await built.close()
        assert [request.path for request in older.received] == ["/sms/json"]
        assert [request.path for request in vendor.received] == ["/v1/calls"]


async def test_a_channel_without_a_sender_is_our_mistake(vendor: Vendor) -> None:
    built = provider(vendor, from_voice=None)
    assert built.channels == {Channel.SMS, Channel.WHATSAPP}
    with pytest.raises(SendError) as caught:
        await built.send(VOICE)
    assert (caught.value.error, caught.value.vendor_code) == (ErrorClass.REQUEST_BUG, "channel_not_configured")


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "en-US"),
        ("en-GB", "en-GB"),
        ("pt", "pt-PT"),
        ("pt-BR", "pt-BR"),
        ("zh", "cmn-CN"),
        ("zh-Hant-TW", "cmn-TW"),
        ("ar-EG", "ar"),
        ("hi", "hi-IN"),
        ("id", "id-ID"),
        ("vi", "vi-VN"),
        ("tr", "tr-TR"),
        ("no", "nb-NO"),
        ("xx", "en-US"),
        ("", "en-US"),
    ],
)
def test_a_language_is_said_in_the_nearest_of_vonages(language: str, said: str) -> None:
    assert talk_language(language) == said


# --- nothing leaks ---


async def everything_logged(vendor: Vendor, built: Vonage, caplog: pytest.LogCaptureFixture) -> str:
    """Every record and every error that sends of all kinds leave behind, at the most talkative level."""
    caplog.set_level(logging.DEBUG)
    said = []
    vendor.replies.extend([vendor_vonage.problem(422, "1050"), Reply(202, b"<html>")])
    for message in (SMS, SMS, SMS, WHATSAPP, VOICE):
        try:
            said.append(repr(await built.send(message)))
        except SendError as error:
            said.append(f"{error!r} {error} {error.__cause__!r}")
    assert len(said) == 5
    return "\n".join([*said, *(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)])


def assert_silent(text: str) -> None:
    for secret in (CODE, TO, TO[1:], vendor_vonage.SECRET, vendor_vonage.SIGNATURE_SECRET, "tok3n", "PRIVATE KEY"):
        assert secret not in text


@pytest.mark.parametrize("api", ["messages", "sms"])
async def test_no_code_number_or_secret_is_logged_or_raised(
    vendor: Vendor, caplog: pytest.LogCaptureFixture, api: str
) -> None:
    built = provider(vendor, sms_api=api)
    assert_silent(await everything_logged(vendor, built, caplog))
    await built.close()


async def test_a_client_that_logs_its_requests_is_noticed(
    vendor: Vendor, vonage: Vonage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = vonage._transport.request

    async def talkative(method: str, url: str, **rest: Any) -> Any:
        logging.getLogger("vonage").debug("sending %s", rest["body"])
        return await plain(method, url, **rest)

    monkeypatch.setattr(vonage._transport, "request", talkative)
    text = await everything_logged(vendor, vonage, caplog)
    with pytest.raises(AssertionError):
        assert_silent(text)


def test_neither_the_provider_nor_its_surroundings_show_a_secret(vonage: Vonage) -> None:
    assert_silent(f"{context()!r} {vonage!r} {settings()!r} {SMS!r}")
