"""Vonage: what its answers mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from channels.contract import ErrorClass, Message, SendError
from channels.providers.vonage import Vonage
from tests.channels.vonage import SMS, TO, VOICE, WHATSAPP, provider, refusal
from tests.vendors import vonage as vendor_vonage
from tests.vendors.server import Break, Reply, Vendor, json_reply

SHIPPED = Path("channels/providers/errors/vonage.yaml")


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with Vendor(vendor_vonage.accept) as vendor:
        yield vendor


@pytest.fixture
async def vonage(vendor: Vendor) -> AsyncIterator[Vonage]:
    built = provider(vendor)
    yield built
    await built.close()


def codes() -> list[tuple[str, str]]:
    table = yaml.safe_load(SHIPPED.read_text())
    return [(str(code), error) for error, meanings in table.items() for code in meanings]


async def test_every_code_of_the_messages_api_is_classed_as_the_table_says(vendor: Vendor, vonage: Vonage) -> None:
    plain = [(code, error) for code, error in codes() if "." not in code]
    assert len(plain) > 70
    for code, error in plain:
        vendor.replies.append(vendor_vonage.problem(422, code))
        with pytest.raises(SendError) as caught:
            await vonage.send(SMS)
        assert (caught.value.error, caught.value.vendor_code, caught.value.ambiguous) == (error, code, False)


async def test_every_status_of_the_older_api_is_classed_as_the_table_says(vendor: Vendor) -> None:
    statuses = [(code, error) for code, error in codes() if code.startswith("sms.")]
    assert len(statuses) > 20
    built = provider(vendor, sms_api="sms")
    for code, error in statuses:
        vendor.replies.append(vendor_vonage.parts(code.removeprefix("sms.")))
        with pytest.raises(SendError) as caught:
            await built.send(SMS)
        assert (caught.value.error, caught.value.vendor_code) == (error, code)
        assert caught.value.ambiguous == (error == "provider_down")
    await built.close()


def test_each_code_stands_in_the_file_once() -> None:
    lines = [line.split(":")[0].strip() for line in SHIPPED.read_text().splitlines() if line.startswith("  ")]
    assert len(lines) == len(set(lines)) == len(codes())


async def test_the_operator_can_class_a_code_otherwise(vendor: Vendor) -> None:
    error = await refusal(vendor, vendor_vonage.problem(422, "1240"), errors={"1240": "content"})
    assert error.error is ErrorClass.CONTENT
    older = await refusal(vendor, vendor_vonage.parts("7"), sms_api="sms", errors={"sms.7": "bad_destination"})
    assert older.error is ErrorClass.BAD_DESTINATION


async def test_a_message_of_which_some_parts_went_out_may_have_arrived(vendor: Vendor) -> None:
    error = await refusal(vendor, vendor_vonage.parts("0", "9"), sms_api="sms")
    assert (error.error, error.vendor_code, error.ambiguous) == (ErrorClass.PROVIDER_ACCOUNT, "sms.9", True)


@pytest.mark.parametrize(
    ("reply", "error", "code", "ambiguous"),
    [
        (vendor_vonage.problem(422, "1999"), ErrorClass.UNKNOWN, "1999", False),
        (vendor_vonage.problem(401, "unheard-of"), ErrorClass.PROVIDER_ACCOUNT, "unheard-of", False),
        (json_reply(422, {"title": 1240}), ErrorClass.OPTED_OUT, "1240", False),
        (json_reply(422, {"title": f"no such number {TO}"}), ErrorClass.UNKNOWN, "", False),
        (json_reply(422, {"type": f"x#{TO}"}), ErrorClass.UNKNOWN, "other", False),
        (json_reply(422, {"type": {"a": [1]}}), ErrorClass.UNKNOWN, "", False),
        (json_reply(400, [1, 2]), ErrorClass.UNKNOWN, "", False),
        (Reply(500, b""), ErrorClass.PROVIDER_DOWN, "", True),
        (Reply(502, b"<html>Bad gateway</html>"), ErrorClass.PROVIDER_DOWN, "", True),
        (Reply(404, b""), ErrorClass.REQUEST_BUG, "", False),
        (Reply(301, b"", {"Location": "/x"}), ErrorClass.REQUEST_BUG, "", False),
        (Reply(400, b"[" * 60_000), ErrorClass.UNKNOWN, "", False),
    ],
)
async def test_a_refusal_without_a_known_code_is_read_by_its_status(
    vendor: Vendor, reply: Reply, error: ErrorClass, code: str, ambiguous: bool
) -> None:
    refused = await refusal(vendor, reply)
    assert (refused.error, refused.vendor_code, refused.ambiguous) == (error, code, ambiguous)


async def test_too_many_requests_says_how_long_to_stay_away(vendor: Vendor) -> None:
    error = await refusal(vendor, vendor_vonage.problem(429, "1000", **{"Retry-After": "7"}))
    assert (error.error, error.retry_after, error.ambiguous) == (ErrorClass.THROTTLED, 7.0, False)


@pytest.mark.parametrize(("message", "older"), [(SMS, False), (SMS, True), (WHATSAPP, False), (VOICE, False)])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"message_uuid": 7, "uuid": null, "messages": 7}',
        b'{"message_uuid": "+14155550123", "uuid": "14155550123", "messages": []}',
        b'{"messages": ["0"]}',
    ],
)
async def test_an_acceptance_that_cannot_be_read_may_have_been_one(
    vendor: Vendor, body: bytes, message: Message, older: bool
) -> None:
    error = await refusal(vendor, Reply(200, body), message, sms_api="sms" if older else "messages")
    assert (error.error, error.vendor_code, error.ambiguous) == (ErrorClass.PROVIDER_DOWN, "unreadable", True)


async def test_a_refusal_of_the_older_api_by_http_is_read_by_its_status(vendor: Vendor) -> None:
    error = await refusal(vendor, Reply(503, b"busy"), sms_api="sms")
    assert (error.error, error.vendor_code, error.ambiguous) == (ErrorClass.PROVIDER_DOWN, "", True)


@pytest.mark.parametrize("price", ["", "free", "NaN", "-1", "1e999999", "1e-99", "Infinity"])
async def test_a_price_that_is_none_is_left_out(vendor: Vendor, price: str) -> None:
    vendor.replies.append(vendor_vonage.parts("0", price=price))
    built = provider(vendor, sms_api="sms")
    assert (await built.send(SMS)).cost is None
    await built.close()


@pytest.mark.parametrize(
    ("broken", "word"), [(Break.RESET, "reset"), (Break.MIDWAY, "cut_off"), (Break.NOT_HTTP, "not_http")]
)
async def test_a_broken_connection_is_ambiguous(vendor: Vendor, broken: Break, word: str) -> None:
    error = await refusal(vendor, Reply(202, b"0123456789", broken=broken))
    assert (error.error, error.vendor_code, error.ambiguous) == (ErrorClass.PROVIDER_DOWN, word, True)


async def test_the_deadline_holds_when_vonage_is_silent(vendor: Vendor) -> None:
    async with asyncio.timeout(1):
        error = await refusal(vendor, Reply(broken=Break.SILENCE), timeout=0.2)
    assert (error.error, error.vendor_code, error.ambiguous) == (ErrorClass.PROVIDER_DOWN, "timeout", True)


async def test_many_messages_at_once_share_a_bounded_pool(vendor: Vendor) -> None:
    built = provider(vendor, concurrency=5)
    vendor.gate = asyncio.Event()
    sends = [asyncio.create_task(built.send(message)) for message in (SMS, WHATSAPP, VOICE) * 10]
    await vendor.reached(5)
    vendor.gate.set()
    ids = [receipt.message_id for receipt in await asyncio.gather(*sends)]
    assert ids == [vendor_vonage.MESSAGE, vendor_vonage.MESSAGE, vendor_vonage.CALL] * 10
    assert vendor.most_under_way == 5
    await built.close()
