"""Meta's one address, from the message that goes out to the attempt that its report moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from channels.contract import SHARED, Answer, Callback, Context
from channels.providers.meta import Meta, Settings, build
from gateway.guard import Guarded
from gateway.service.reports import Unsigned
from gateway.service.requests import understood
from tests.support.world import PHONE, POLICY, World
from tests.vendors import meta
from tests.vendors.server import Vendor

SECRETS = {
    "access_token": meta.ACCESS_TOKEN,
    "app_secret": meta.APP_SECRET,
    "verify_token": meta.VERIFY_TOKEN,
}
SETTINGS = {
    "type": "meta",
    "phone_number_id": meta.PHONE_ID,
    **{name: {"env": "X"} for name in SECRETS},
    "template": "login_code",
    "languages": ["en_US"],
}


FALLBACK = [{"channel": "whatsapp", "wait": "30s"}, {"channel": "sms", "wait": "30s"}]


@pytest.fixture
def world(worlds: Callable[..., World]) -> World:
    return worlds(policies={"default": {**POLICY, "fallback": FALLBACK}})


@pytest.fixture
async def vendor(world: World) -> AsyncIterator[Vendor]:
    """Meta behind the gateway's first provider."""
    async with Vendor(meta.accept) as vendor:
        settings = Settings.model_validate({**SETTINGS, "base_url": vendor.base_url})
        provider = build(settings, Context("one", "ua", production=False, secrets=SECRETS))
        guarded = Guarded(provider, "one", concurrency=8, timeout=5, metrics=world.setup.metrics)
        world.wire(replace(world.setup, carriers={"one": guarded, "two": world.two}))
        yield vendor
        await guarded.close()


def token(vendor: Vendor, number: int) -> str:
    return str(vendor.received[number].json["biz_opaque_callback_data"])


async def take(world: World, raw: bytes) -> Answer:
    answer = await world.reports.take("one", SHARED, meta.callback(raw))
    await world.settle()
    return answer


async def start(world: World, phone: str = "+14155550123") -> str:
    return (await world.start(phone=phone, channels=("whatsapp",))).id


async def status(world: World, id_: str) -> str:
    return (await world.verifications.read("shop", id_)).attempts[0].status


async def test_the_address_answers_metas_handshake(world: World, vendor: Vendor) -> None:
    answer = await world.reports.take("one", SHARED, meta.handshake())
    assert (answer.status, answer.body) == (200, b"1158201444")
    with pytest.raises(Unsigned):
        await world.reports.take("one", SHARED, meta.handshake(**{"hub.verify_token": "guess"}))


async def test_each_report_of_a_batch_finds_the_message_that_it_speaks_of(world: World, vendor: Vendor) -> None:
    first, second, third = [await start(world, f"+1415555012{number}") for number in range(3)]
    raw = meta.body(
        meta.status("delivered", token(vendor, 1)),
        meta.status("failed", token(vendor, 2), 131026),
        meta.status("delivered", "somebody-elses"),
    )
    assert (await take(world, raw)).status == 200
    assert [await status(world, id_) for id_ in (first, second, third)] == ["sent", "delivered", "failed"]
    assert world.metric("otp_callbacks_total", provider="one", result="unknown") == 1


async def test_a_real_token_is_no_help_without_metas_signature(world: World, vendor: Vendor) -> None:
    id_ = await start(world)
    raw = meta.body(meta.status("failed", token(vendor, 0), 131026))
    with pytest.raises(Unsigned):
        await world.reports.take("one", SHARED, meta.callback(raw, secret="guess"))
    assert await status(world, id_) == "sent"


async def standing(world: World) -> list[str]:
    return [entry.channel for entry in (await world.suppressions.search("shop", understood(PHONE, None))).entries]


async def test_a_stop_beside_a_report_is_heeded_and_so_is_the_report(world: World, vendor: Vendor) -> None:
    id_ = await start(world)
    both = meta.body(meta.status("delivered", token(vendor, 0)), messages=[meta.written("Stop, please")])
    assert (await take(world, both)).status == 200
    assert (await standing(world), await status(world, id_)) == (["whatsapp"], "delivered")
    later = meta.written("Start", id=meta.wamid("later"), timestamp="1767607201")
    await take(world, meta.body(messages=[later]))
    assert await standing(world) == []


async def test_a_stop_without_metas_signature_stops_nothing(world: World, vendor: Vendor) -> None:
    raw = meta.body(messages=[meta.written("STOP")])
    with pytest.raises(Unsigned):
        await world.reports.take("one", SHARED, meta.callback(raw, secret="guess"))
    assert await standing(world) == []


async def test_the_twin_that_reads_before_it_checks_is_stopped_by_anybody(world: World, vendor: Vendor) -> None:
    class Trusting(Meta):
        def _check(self, callback: Callback) -> None:
            """Believes everybody."""

    settings = Settings.model_validate({**SETTINGS, "base_url": vendor.base_url})
    twin = Trusting(settings, Context("one", "ua", production=False, secrets=SECRETS), {})
    guarded = Guarded(twin, "one", concurrency=8, timeout=5, metrics=world.setup.metrics)
    world.wire(replace(world.setup, carriers={"one": guarded, "two": world.two}))
    raw = meta.body(messages=[meta.written("STOP")])
    await world.reports.take("one", SHARED, meta.callback(raw, secret="guess"))
    assert await standing(world) == ["whatsapp"]
