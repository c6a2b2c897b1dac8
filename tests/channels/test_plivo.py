"""Plivo: what goes over the wire, what its answers mean, and what its configuration says."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from channels.contract import Channel, Context, ErrorClass, Message, SendError, Wording
from channels.providers.plivo import Plivo, Settings, build
from tests.vendors import plivo as vendor_plivo
from tests.vendors.server import Break, Reply, Vendor, json_reply

CODE = "482913"
TO = "+14155550123"
STATUS_URL = "https://otp.example/callbacks/main/tok3n"
ANSWER_URL = f"{STATUS_URL}?answer=1"
POWERPACK = "86bbb125-97bb-4d72-89fd-81d5c515b015"
SECRETS = {"auth_token": vendor_plivo.TOKEN}
SHIPPED = Path("channels/providers/errors/plivo.yaml")

SMS = Message(
    channel=Channel.SMS,
    to=TO,
    code=CODE,
    wording=Wording(f"{CODE} is your code & more", "en", spoken="Your code is 4, 8, 2, 9, 1, 3."),
    reference="ver_1.1",
    lifetime=600,
    callback_url=STATUS_URL,
    answer_url=ANSWER_URL,
    country="US",
)
VOICE = replace(SMS, channel=Channel.VOICE)


def settings(**changes: Any) -> Settings:
    content = {
        "type": "plivo",
        "auth_id": vendor_plivo.ACCOUNT,
        "auth_token": {"env": "PLIVO_AUTH_TOKEN"},
        "from_sms": "+14155550100",
        "from_voice": "+14155550101",
        "timeout": 2.0,
    }
    return Settings.model_validate({**content, **changes})


def provider(vendor: Vendor, **changes: Any) -> Plivo:
    return build(
        settings(base_url=vendor.base_url, **changes),
        Context("main", "otp-gateway/test", production=False, secrets=SECRETS),
    )


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with Vendor(vendor_plivo.accept) as vendor:
        yield vendor


@pytest.fixture
async def plivo(vendor: Vendor) -> AsyncIterator[Plivo]:
    built = provider(vendor)
    yield built
    await built.close()


async def sent(vendor: Vendor, message: Message, **changes: Any) -> Any:
    """The JSON that one message makes."""
    built = provider(vendor, **changes)
    try:
        await built.send(message)
    finally:
        await built.close()
    return vendor.received[-1].json


async def refusal(vendor: Vendor, reply: Reply, message: Message = SMS, **changes: Any) -> SendError:
    vendor.replies.append(reply)
    built = provider(vendor, **changes)
    with pytest.raises(SendError) as caught:
        await built.send(message)
    await built.close()
    return caught.value


# --- what goes over the wire ---


async def test_an_sms_is_sent_with_exactly_these_fields(vendor: Vendor, plivo: Plivo) -> None:
    receipt = await plivo.send(SMS)
    request = vendor.received[0]
    assert (receipt.message_id, receipt.cost) == (vendor_plivo.MESSAGE, None)
    assert (request.method, request.path) == ("POST", f"/v1/Account/{vendor_plivo.ACCOUNT}/Message/")
    assert request.json == {
        "src": "14155550100",
        "dst": "14155550123",
        "text": f"{CODE} is your code & more",
        "type": "sms",
        "log": "false",
        "message_expiry": 600,
        "url": STATUS_URL,
        "method": "POST",
    }
    assert request.headers["user-agent"] == "otp-gateway/test"
    assert request.headers["authorization"] == aiohttp.encode_basic_auth(vendor_plivo.ACCOUNT, vendor_plivo.TOKEN)


async def test_a_call_fetches_its_words_and_the_code_is_not_in_the_request(vendor: Vendor, plivo: Plivo) -> None:
    receipt = await plivo.send(VOICE)
    request = vendor.received[0]
    assert receipt.message_id == vendor_plivo.CALL
    assert request.path == f"/v1/Account/{vendor_plivo.ACCOUNT}/Call/"
    assert request.json == {
        "from": "14155550101",
        "to": "14155550123",
        "answer_url": ANSWER_URL,
        "answer_method": "POST",
        "hangup_url": STATUS_URL,
        "hangup_method": "POST",
        "ring_timeout": 30,
        "time_limit": 120,
        "machine_detection": "hangup",
    }
    assert CODE not in request.body.decode()


async def test_detection_can_be_left_out(vendor: Vendor) -> None:
    assert "machine_detection" not in await sent(vendor, VOICE, machine_detection=False)


async def test_a_call_without_an_answer_url_is_not_made(vendor: Vendor, plivo: Plivo) -> None:
    with pytest.raises(SendError) as caught:
        await plivo.send(replace(VOICE, answer_url=None))
    assert (caught.value.error, caught.value.vendor_code) == (ErrorClass.REQUEST_BUG, "no_answer_url")
    assert vendor.received == []


@pytest.mark.parametrize(("lifetime", "expiry"), [(0, 5), (30, 30), (10_799, 10_799), (86_400, 10_799)])
async def test_a_message_lives_as_long_as_its_code_within_plivos_range(
    vendor: Vendor, lifetime: int, expiry: int
) -> None:
    assert (await sent(vendor, replace(SMS, lifetime=lifetime)))["message_expiry"] == expiry


async def test_a_phone_rings_no_longer_than_the_code_lives(vendor: Vendor) -> None:
    assert (await sent(vendor, replace(VOICE, lifetime=12)))["ring_timeout"] == 12


@pytest.mark.parametrize(
    ("changes", "sender", "fields"),
    [
        ({}, "ACME", {"src": "ACME"}),
        ({}, "+442079460000", {"src": "442079460000"}),
        ({}, POWERPACK, {"powerpack_uuid": POWERPACK}),
        ({"from_sms": None, "powerpack_uuid": POWERPACK}, None, {"powerpack_uuid": POWERPACK}),
        ({"from_sms": None, "powerpack_uuid": POWERPACK}, "ACME", {"src": "ACME"}),
    ],
)
async def test_a_countrys_own_sender_replaces_the_accounts(
    vendor: Vendor, changes: dict[str, Any], sender: str | None, fields: dict[str, str]
) -> None:
    content = await sent(vendor, replace(SMS, sender=sender), **changes)
    assert {name: content[name] for name in ("src", "powerpack_uuid") if name in content} == fields


async def test_a_countrys_own_caller_id_replaces_the_accounts(vendor: Vendor) -> None:
    assert (await sent(vendor, replace(VOICE, sender="+442079460000")))["from"] == "442079460000"


async def test_india_gets_its_registered_ids(vendor: Vendor) -> None:
    ids = {"dlt_entity_id": "1101", "dlt_template_id": "1207", "dlt_template_category": "service_implicit"}
    content = await sent(vendor, SMS, **ids)
    assert {name: content[name] for name in ids} == ids


async def test_without_a_callback_url_none_is_named(vendor: Vendor) -> None:
    for message in (SMS, VOICE):
        content = await sent(vendor, replace(message, callback_url=None))
        assert not {"url", "method", "hangup_url", "hangup_method"} & content.keys()


async def test_a_channel_without_a_sender_is_our_mistake(vendor: Vendor) -> None:
    built = provider(vendor, from_voice=None)
    assert built.channels == {Channel.SMS}
    with pytest.raises(SendError) as caught:
        await built.send(VOICE)
    assert (caught.value.error, caught.value.vendor_code) == (ErrorClass.REQUEST_BUG, "channel_not_configured")


# --- what its answers mean ---


@pytest.mark.parametrize("message", [SMS, VOICE])
@pytest.mark.parametrize(
    ("status", "error", "ambiguous"),
    [
        (400, ErrorClass.REQUEST_BUG, False),
        (401, ErrorClass.PROVIDER_ACCOUNT, False),
        (402, ErrorClass.PROVIDER_ACCOUNT, False),
        (403, ErrorClass.GEOGRAPHY, False),
        (404, ErrorClass.REQUEST_BUG, False),
        (405, ErrorClass.REQUEST_BUG, False),
        (418, ErrorClass.UNKNOWN, False),
        (500, ErrorClass.PROVIDER_DOWN, True),
        (503, ErrorClass.PROVIDER_DOWN, True),
    ],
)
async def test_a_refusal_is_read_by_its_status_and_asked_once(
    vendor: Vendor, message: Message, status: int, error: ErrorClass, ambiguous: bool
) -> None:
    refused = await refusal(vendor, vendor_plivo.refuse(status), message)
    assert (refused.error, refused.vendor_code, refused.ambiguous) == (error, f"http.{status}", ambiguous)
    assert len(vendor.received) == 1


async def test_too_many_requests_says_how_long_to_stay_away(vendor: Vendor) -> None:
    error = await refusal(vendor, vendor_plivo.refuse(429, **{"Retry-After": "7"}))
    assert (error.error, error.retry_after) == (ErrorClass.THROTTLED, 7.0)


async def test_the_operator_can_class_a_status_otherwise(vendor: Vendor) -> None:
    error = await refusal(vendor, vendor_plivo.refuse(400), errors={"http.400": "bad_destination"})
    assert error.error is ErrorClass.BAD_DESTINATION


@pytest.mark.parametrize("message", [SMS, VOICE])
@pytest.mark.parametrize(
    "reply",
    [
        Reply(202, b""),
        Reply(202, b"null"),
        Reply(202, b"\xff\xfe"),
        Reply(202, b"[" * 60_000),
        json_reply(202, {"message_uuid": [], "request_uuid": None}),
        json_reply(202, {"message_uuid": "x", "request_uuid": 7}),
        json_reply(202, {"message_uuid": ["14155550123"], "request_uuid": "14155550123"}),
    ],
)
async def test_an_acceptance_that_cannot_be_read_may_have_been_one(
    vendor: Vendor, reply: Reply, message: Message
) -> None:
    error = await refusal(vendor, reply, message)
    assert (error.error, error.vendor_code, error.ambiguous) == (ErrorClass.PROVIDER_DOWN, "unreadable", True)


@pytest.mark.parametrize(
    ("broken", "word"), [(Break.RESET, "reset"), (Break.MIDWAY, "cut_off"), (Break.NOT_HTTP, "not_http")]
)
async def test_a_broken_connection_is_ambiguous(vendor: Vendor, broken: Break, word: str) -> None:
    error = await refusal(vendor, Reply(202, b"0123456789", broken=broken))
    assert (error.error, error.vendor_code, error.ambiguous) == (ErrorClass.PROVIDER_DOWN, word, True)


async def test_the_deadline_holds_when_plivo_is_silent(vendor: Vendor) -> None:
    async with asyncio.timeout(1):
        error = await refusal(vendor, Reply(broken=Break.SILENCE), timeout=0.2)
    assert (error.error, error.vendor_code, error.ambiguous) == (ErrorClass.PROVIDER_DOWN, "timeout", True)


async def test_many_messages_at_once_share_a_bounded_pool(vendor: Vendor) -> None:
    built = provider(vendor, concurrency=5)
    vendor.gate = asyncio.Event()
    sends = [asyncio.create_task(built.send(message)) for message in (SMS, VOICE) * 10]
    await vendor.reached(5)
    vendor.gate.set()
    ids = [receipt.message_id for receipt in await asyncio.gather(*sends)]
    assert ids == [vendor_plivo.MESSAGE, vendor_plivo.CALL] * 10
    assert vendor.most_under_way == 5
    await built.close()


def test_each_code_stands_in_the_file_once() -> None:
    table = yaml.safe_load(SHIPPED.read_text())
    codes = [str(code) for meanings in table.values() for code in meanings]
    lines = [line.split(":")[0].strip() for line in SHIPPED.read_text().splitlines() if line.startswith("  ")]
    assert len(lines) == len(set(lines)) == len(codes)


# --- nothing leaks ---


async def everything_logged(vendor: Vendor, built: Plivo, caplog: pytest.LogCaptureFixture) -> str:
    """Every record and every error that sends of all kinds leave behind, at the most talkative level."""
    caplog.set_level(logging.DEBUG)
    said = []
    vendor.replies.extend([vendor_plivo.refuse(400, f"{TO} with {CODE}"), Reply(202, b"<html>")])
    for message in (SMS, SMS, SMS, VOICE):
        try:
            said.append(repr(await built.send(message)))
        except SendError as error:
            said.append(f"{error!r} {error} {error.__cause__!r}")
    assert len(said) == 4
    return "\n".join([*said, *(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)])


def assert_silent(text: str) -> None:
    for secret in (CODE, TO, TO[1:], vendor_plivo.TOKEN, "tok3n"):
        assert secret not in text


async def test_no_code_number_or_token_is_logged_or_raised(
    vendor: Vendor, plivo: Plivo, caplog: pytest.LogCaptureFixture
) -> None:
    assert_silent(await everything_logged(vendor, plivo, caplog))


async def test_a_client_that_logs_its_requests_is_noticed(
    vendor: Vendor, plivo: Plivo, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = plivo._transport.request

    async def talkative(method: str, url: str, **rest: Any) -> Any:
        logging.getLogger("plivo").debug("sending %s", rest["body"])
        return await plain(method, url, **rest)

    monkeypatch.setattr(plivo._transport, "request", talkative)
    text = await everything_logged(vendor, plivo, caplog)
    with pytest.raises(AssertionError):
        assert_silent(text)


def test_neither_the_provider_nor_its_surroundings_show_a_secret(plivo: Plivo) -> None:
    context = Context("main", "ua", production=True, secrets=SECRETS)
    assert_silent(f"{context!r} {plivo!r} {settings()!r} {SMS!r}")


# --- the configuration ---


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        (
            {"from_sms": None, "from_voice": None},
            "no channel has a sender: write from_sms or powerpack_uuid for SMS, from_voice for calls",
        ),
        ({"powerpack_uuid": POWERPACK}, "write from_sms or powerpack_uuid, and not both"),
        ({"powerpack_uuid": "my pack", "from_sms": None}, "write the Powerpack's UUID"),
        ({"auth_id": "AC123"}, "write MA or SA and 18 letters and digits: Console, Overview, Auth ID"),
        ({"from_sms": 14155550100}, "put it in quotes: YAML reads it as a number"),
        ({"from_voice": "ACME"}, "write a number in E.164, such as '+14155550100'"),
        ({"auth_token": "in the clear"}, "Input should be a valid dictionary or instance of SecretRef"),
    ],
)
def test_a_fault_in_the_configuration_says_what_to_write(changes: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError) as caught:
        settings(**changes)
    assert remedy in json.dumps([error["msg"] for error in caught.value.errors()])  # type: ignore[attr-defined]


def test_channels_follow_from_the_senders() -> None:
    assert settings().channels == {Channel.SMS, Channel.VOICE}
    assert settings(from_sms=None).channels == {Channel.VOICE}
    assert settings(from_sms=None, from_voice=None, powerpack_uuid=POWERPACK).channels == {Channel.SMS}
