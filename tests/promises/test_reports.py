"""Reports that are forged, replayed or made for something else neither start a fallback nor hide a failure."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.core.keys import Keyring
from tests.promises.town import Town, arrived, town
from tests.vendors import webhook


def body(status: str, url: str) -> bytes:
    data = {"callback_url": url, "status": status, **({"code": "30008"} if status == "failed" else {})}
    return json.dumps({"type": "message.report", "timestamp": "2026-01-05T10:00:00Z", "data": data}).encode()


def signed(raw: bytes, *, key: bytes = webhook.KEY, age: int = 0) -> Mapping[str, str]:
    at = str(int(time.time()) - age)
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": at,
        "webhook-signature": webhook.sign(key, "evt_1", at, raw),
        "Content-Type": "application/json",
    }


async def attacks(place: Town, status: str) -> list[int]:
    """Six reports about one message that nobody with a right to it has made: what each was answered."""
    (number, _, _), (other, _, _) = await place.start("one"), await place.start("one")
    await arrived(place.one, number)
    await arrived(place.one, other)
    url = place.one.callbacks[number]
    raw, foreign = body(status, url), body(status, place.one.callbacks[other])
    root, _, token = url.rpartition("/")
    made_up = Keyring(b"x" * 32, {"k": b"y" * 32}).token("ver_" + "A" * 23, 1, "one")
    return [
        await place.report(url, raw, {}),  # no signature
        await place.report(url, raw, signed(raw, key=webhook.OTHER_KEY)),  # another's signature
        await place.report(url, raw, signed(raw, age=600)),  # a genuine one, ten minutes later
        await place.report(url, foreign, signed(foreign)),  # a genuine one about another message
        await place.report(f"{root}/{made_up}", raw, signed(raw)),  # another gateway's token
        await place.report(f"{root.removesuffix('one')}two/{token}", raw, signed(raw)),  # by another provider
    ]


async def test_no_report_without_a_right_starts_a_fallback(data: Path) -> None:
    async with town(data, deadline=5) as place:
        assert await attacks(place, "failed") == [401, 401, 401, 401, 404, 404]
        assert place.metric("otp_attempts_total", outcome="failed") == 0
        assert place.two.calls == 0


async def test_no_report_without_a_right_hides_a_failure(data: Path) -> None:
    async with town(data, deadline=5) as place:
        number, _, _ = await place.start("steps")
        await arrived(place.one, number)
        url = place.one.callbacks[number]
        raw = body("delivered", url)
        for headers in ({}, signed(raw, key=webhook.OTHER_KEY), signed(raw, age=600)):
            assert await place.report(url, raw, headers) == 401
        await arrived(place.two, number)  # silence still leads on
        assert place.metric("otp_attempts_total", outcome="delivered") == 0


async def test_a_report_that_is_replayed_leads_on_once(data: Path) -> None:
    async with town(data, deadline=5) as place:
        number, id_, _ = await place.start()
        await arrived(place.one, number)
        url = place.one.callbacks[number]
        raw = body("failed", url)
        again = signed(raw)
        assert [await place.report(url, raw, again) for _ in range(5)] == [204] * 5
        await arrived(place.two, number)
        assert await asyncio.gather(*(place.report(url, raw, again) for _ in range(20))) == [204] * 20
        attempts = (await asyncio.to_thread(place.gateway.read, id_))["attempts"]
        assert [attempt["provider"] for attempt in attempts] == ["one", "two"]
        assert (len(place.one.arrivals[number]), len(place.two.arrivals[number])) == (1, 1)


async def test_a_provider_that_believes_everything_is_noticed(data: Path) -> None:
    async with town(data, deadline=5, kind="tests.promises.gullible:build") as place:
        assert await attacks(place, "failed") == [204, 204, 204, 204, 404, 404], "a token alone still holds"
        assert place.metric("otp_attempts_total", outcome="failed") == 1
        number, _, _ = await place.start("steps")
        url = (await arrived(place.one, number), place.one.callbacks[number])[1]
        assert await place.report(url, body("delivered", url), {}) == 204
        with pytest.raises(TimeoutError):
            await arrived(place.two, number, seconds=2)
