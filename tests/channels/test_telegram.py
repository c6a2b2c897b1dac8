"""Telegram Gateway: what goes over the wire, and what its answers mean."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from channels.contract import Channel, Context, Cost, ErrorClass, Message, SendError, Wording
from channels.providers.telegram import Settings, Telegram, build
from tests.vendors import telegram as vendor_telegram
from tests.vendors.server import Break, Reply, Vendor, json_reply

CODE = "482913"
TO = vendor_telegram.NUMBER
URL = "https://otp.example/callbacks/tg/tok3n"
SHIPPED = Path("channels/providers/errors/telegram.yaml")

MESSAGE = Message(
    channel=Channel.TELEGRAM,
    to=TO,
    code=CODE,
    wording=Wording(f"{CODE} is your code", "en"),
    reference="ver_1.1",
    lifetime=600,
    callback_url=URL,
    token="tok3n",
    country="US",
)


def settings(**changes: Any) -> Settings:
    return Settings.model_validate({"type": "telegram", "access_token": {"env": "T"}, "timeout": 2.0, **changes})


def provider(vendor: Vendor, **changes: Any) -> Telegram:
    secrets = {"access_token": vendor_telegram.TOKEN}
    context = Context("tg", "otp-gateway/test", production=True, secrets=secrets)
    return build(settings(base_url=vendor.base_url, **changes), context)


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with Vendor(vendor_telegram.accept) as vendor:
        yield vendor


@pytest.fixture
async def telegram(vendor: Vendor) -> AsyncIterator[Telegram]:
    built = provider(vendor)
    yield built
    await built.close()


async def refusal(telegram: Telegram, vendor: Vendor, reply: Reply) -> SendError:
    vendor.replies.append(reply)
    with pytest.raises(SendError) as caught:
        await telegram.send(MESSAGE)
    return caught.value


# --- what goes over the wire ---


async def test_a_code_is_sent_in_one_request_that_asks_for_nothing_beforehand(
    vendor: Vendor, telegram: Telegram
) -> None:
    receipt = await telegram.send(MESSAGE)
    (request,) = vendor.received
    assert (request.method, request.path) == ("POST", "/sendVerificationMessage")
    assert request.headers["authorization"] == f"Bearer {vendor_telegram.TOKEN}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == "otp-gateway/test"
    assert request.json == {"phone_number": TO, "code": CODE, "ttl": 600, "callback_url": URL, "payload": "tok3n"}
    assert (receipt.message_id, receipt.cost) == (vendor_telegram.REQUEST, Cost(10_000, "USD"))


@pytest.mark.parametrize(("lifetime", "ttl"), [(0, 30), (29, 30), (31, 31), (3600, 3600), (86_400, 3600)])
async def test_a_message_lives_as_long_as_its_code_within_telegrams_range(
    vendor: Vendor, telegram: Telegram, lifetime: int, ttl: int
) -> None:
    await telegram.send(replace(MESSAGE, lifetime=lifetime))
    assert vendor.received[0].json["ttl"] == ttl


@pytest.mark.parametrize(
    "code", ["123", "123456789", "12345A", "", "１２３４５６", "\u0661\u0662\u0663\u0664", "123456\n"]
)
async def test_a_code_that_telegram_cannot_carry_is_not_sent(vendor: Vendor, telegram: Telegram, code: str) -> None:
    with pytest.raises(SendError) as caught:
        await telegram.send(replace(MESSAGE, code=code))
    assert (caught.value.error, caught.value.vendor_code) == (ErrorClass.CONTENT, "not_4_to_8_digits")
    assert vendor.received == []


async def test_the_sender_of_the_policy_goes_before_the_accounts(vendor: Vendor) -> None:
    own = provider(vendor, sender_username="shop")
    await own.send(MESSAGE)
    await own.send(replace(MESSAGE, sender="other_shop"))
    assert [request.json["sender_username"] for request in vendor.received] == ["shop", "other_shop"]
    with pytest.raises(SendError) as caught:
        await own.send(replace(MESSAGE, sender="+14155550100"))
    assert caught.value.error is ErrorClass.SENDER
    await own.close()


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:8080/callbacks/tg/tok3n", "https://otp.example/" + "x" * 240])
async def test_an_address_that_telegram_would_refuse_the_message_for_is_left_out(
    vendor: Vendor, telegram: Telegram, url: str | None
) -> None:
    await telegram.send(replace(MESSAGE, callback_url=url))
    assert "callback_url" not in vendor.received[0].json


async def test_another_channel_is_our_mistake(vendor: Vendor, telegram: Telegram) -> None:
    with pytest.raises(SendError) as caught:
        await telegram.send(replace(MESSAGE, channel=Channel.SMS))
    assert caught.value.error is ErrorClass.REQUEST_BUG
    assert vendor.received == []


# --- what its answers mean ---


def codes() -> list[tuple[str, str]]:
    table = yaml.safe_load(SHIPPED.read_text())
    return [(str(code), error) for error, meanings in table.items() for code in meanings]


async def test_every_code_of_the_table_is_classed_as_the_table_says(vendor: Vendor, telegram: Telegram) -> None:
    assert len(codes()) == 20
    for code, error in codes():
        said = await refusal(telegram, vendor, vendor_telegram.refuse(code))
        assert (said.error, said.vendor_code, said.ambiguous) == (error, code, False)


async def test_a_flood_says_for_how_long_to_stay_away(vendor: Vendor, telegram: Telegram) -> None:
    said = await refusal(telegram, vendor, vendor_telegram.refuse("FLOOD_WAIT_37"))
    assert (said.error, said.vendor_code, said.retry_after) == (ErrorClass.THROTTLED, "FLOOD_WAIT", 37.0)


async def test_the_operator_can_class_an_error_otherwise(vendor: Vendor) -> None:
    own = provider(vendor, errors={"PHONE_NUMBER_NOT_FOUND": "temporary", "FLOOD_WAIT": "provider_down"})
    assert (await refusal(own, vendor, vendor_telegram.refuse("PHONE_NUMBER_NOT_FOUND"))).error == "temporary"
    assert (await refusal(own, vendor, vendor_telegram.refuse("FLOOD_WAIT_9"))).error == "provider_down"
    await own.close()


@pytest.mark.parametrize(
    ("reply", "error", "code", "ambiguous"),
    [
        (vendor_telegram.refuse("SOMETHING_NEW"), ErrorClass.NO_CHANNEL, "SOMETHING_NEW", False),
        (vendor_telegram.refuse("SOMETHING_NEW", 400), ErrorClass.NO_CHANNEL, "SOMETHING_NEW", False),
        (vendor_telegram.refuse("SOMETHING_NEW", 401), ErrorClass.PROVIDER_ACCOUNT, "SOMETHING_NEW", False),
        (vendor_telegram.refuse("SOMETHING_NEW", 429), ErrorClass.THROTTLED, "SOMETHING_NEW", False),
        (vendor_telegram.refuse("SOMETHING_NEW", 500), ErrorClass.PROVIDER_DOWN, "SOMETHING_NEW", True),
        (vendor_telegram.refuse(f"no {TO}"), ErrorClass.NO_CHANNEL, "other", False),
        (vendor_telegram.refuse(None), ErrorClass.UNKNOWN, "", False),
        (Reply(400, b""), ErrorClass.UNKNOWN, "", False),
        (Reply(502, b"<html>"), ErrorClass.PROVIDER_DOWN, "", True),
        (Reply(302, b"", {"Location": "/x"}), ErrorClass.REQUEST_BUG, "", False),
        (Reply(200, b"<html>"), ErrorClass.PROVIDER_DOWN, "unreadable", True),
        (json_reply(200, {"ok": "yes"}), ErrorClass.PROVIDER_DOWN, "unreadable", True),
        (json_reply(200, [True]), ErrorClass.PROVIDER_DOWN, "unreadable", True),
        (Reply(200, b"0123456789", broken=Break.MIDWAY), ErrorClass.PROVIDER_DOWN, "cut_off", True),
    ],
)
async def test_an_answer_that_is_no_acceptance_is_read_for_what_it_is(
    vendor: Vendor, telegram: Telegram, reply: Reply, error: ErrorClass, code: str, ambiguous: bool
) -> None:
    said = await refusal(telegram, vendor, reply)
    assert (said.error, said.vendor_code, said.ambiguous) == (error, code, ambiguous)


@pytest.mark.parametrize("cost", [None, True, "a cent", 0, -1, 1e400, float("nan"), 10**30, []])
async def test_a_cost_that_is_none_costs_no_message(vendor: Vendor, telegram: Telegram, cost: object) -> None:
    result = {"request_id": [], "request_cost": cost}
    vendor.replies.append(json_reply(200, {"ok": True, "result": result}))
    receipt = await telegram.send(MESSAGE)
    assert (receipt.message_id, receipt.cost) == ("", None)


async def test_the_deadline_holds_when_telegram_is_silent(vendor: Vendor) -> None:
    hasty = provider(vendor, timeout=0.2)
    async with asyncio.timeout(1):
        said = await refusal(hasty, vendor, Reply(broken=Break.SILENCE))
    assert (said.vendor_code, said.ambiguous) == ("timeout", True)
    await hasty.close()


# --- nothing leaks ---


async def everything_logged(vendor: Vendor, telegram: Telegram, caplog: pytest.LogCaptureFixture) -> str:
    caplog.set_level(logging.DEBUG)
    said = []
    vendor.replies.extend([vendor_telegram.refuse(f"{TO} {CODE}"), Reply(200, b"<html>")])
    for _ in range(3):
        try:
            said.append(repr(await telegram.send(MESSAGE)))
        except SendError as error:
            said.append(f"{error!r} {error} {error.__cause__!r}")
    assert len(said) == 3
    return "\n".join([*said, *(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)])


def assert_silent(text: str) -> None:
    for secret in (CODE, TO, TO[1:], vendor_telegram.TOKEN, "tok3n"):
        assert secret not in text


async def test_no_code_number_or_token_is_logged_or_raised(
    vendor: Vendor, telegram: Telegram, caplog: pytest.LogCaptureFixture
) -> None:
    assert_silent(await everything_logged(vendor, telegram, caplog))


async def test_a_client_that_logs_its_requests_is_noticed(
    vendor: Vendor, telegram: Telegram, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = telegram._transport.request

    async def talkative(method: str, url: str, **rest: Any) -> Any:
        logging.getLogger("telegram").debug("sending %s", rest["body"])
        return await plain(method, url, **rest)

    monkeypatch.setattr(telegram._transport, "request", talkative)
    text = await everything_logged(vendor, telegram, caplog)
    with pytest.raises(AssertionError):
        assert_silent(text)


def test_neither_the_provider_nor_its_settings_show_a_secret(telegram: Telegram) -> None:
    assert_silent(f"{telegram!r} {settings()!r} {MESSAGE!r}")


@pytest.mark.parametrize("username", ["@shop", "1shop", "sho", "a b c d"])
def test_a_sender_is_a_username_without_its_at_sign(username: str) -> None:
    with pytest.raises(ValueError, match="write the channel's name without its @"):
        settings(sender_username=username)


def test_the_page_in_the_documentation_names_every_setting() -> None:
    page = Path("docs/providers/telegram.md").read_text(encoding="utf-8")
    missing = {name for name in Settings.model_fields if f"`{name}`" not in page}
    assert missing <= {"type", "enabled"}  # every provider has those
