"""The vendors with one address for all reports, from the message that goes out to the attempt that its report moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from channels import errors
from channels.contract import SHARED, Callback, Context
from channels.providers import aws, msg91
from channels.transport import Reply
from gateway.guard import Guarded
from gateway.service.reports import Unsigned
from gateway.service.requests import understood
from tests.support.world import PHONE, World
from tests.vendors import aws as vendor_aws
from tests.vendors import msg91 as vendor_msg91
from tests.vendors.server import Received, Vendor

SECRETS = {"access_key_id": vendor_aws.KEY_ID, "secret_access_key": vendor_aws.SECRET, "authkey": vendor_msg91.AUTHKEY}


async def _certificate(_url: str) -> Reply:
    return Reply(200, {}, vendor_aws.certificate())


def _aws(vendor: Vendor, context: Context) -> aws.Aws:
    keys = {"access_key_id": {"env": "A"}, "secret_access_key": {"env": "B"}}
    events = {"configuration_set": "otp", "topic_arn": vendor_aws.TOPIC}
    content = {"type": "aws", "region": vendor_aws.REGION, "base_url": vendor.base_url, **keys, **events}
    settings = aws.Settings.model_validate(content)
    return aws.Aws(settings, context, errors.load("aws"), fetch=_certificate, clock=lambda: vendor_aws.NOW)


def _msg91(vendor: Vendor, context: Context) -> msg91.Msg91:
    content = {"type": "msg91", "base_url": vendor.base_url, "template_id": vendor_msg91.TEMPLATE}
    return msg91.build(msg91.Settings.model_validate({**content, "authkey": {"env": "A"}}), context)


def _aws_event(token: str, failed: bool) -> Callback:
    event = vendor_aws.event("TEXT_BLOCKED" if failed else "TEXT_DELIVERED", token)
    return vendor_aws.callback(vendor_aws.signed(vendor_aws.notification(event)))


def _msg91_report(token: str, failed: bool) -> Callback:
    return vendor_msg91.version_2(vendor_msg91.entry("17" if failed else "1", token))


Case = tuple[
    Callable[[Received], Any],
    Callable[[Vendor, Context], Any],
    Callable[[Received], str],
    Callable[[str, bool], Callback],
]
CASES: dict[str, Case] = {
    "aws": (vendor_aws.accept, _aws, lambda sent: str(sent.json["Context"]["token"]), _aws_event),
    "msg91": (vendor_msg91.accept, _msg91, lambda sent: str(sent.json["recipients"][0]["CRQID"]), _msg91_report),
}


class Line:
    """One vendor behind the gateway's first provider."""

    def __init__(self, world: World, vendor: Vendor, case: Case) -> None:
        self.world, self.vendor = world, vendor
        _, build, self._token, self._report = case
        context = Context("one", "ua", production=False, secrets=SECRETS)
        self.guarded = Guarded(build(vendor, context), "one", concurrency=8, timeout=5, metrics=world.setup.metrics)
        world.wire(replace(world.setup, carriers={"one": self.guarded, "two": world.two}))

    def token(self, number: int) -> str:
        """The token of a message, as the vendor got it."""
        return self._token(self.vendor.received[number])

    async def report(self, token: str, *, failed: bool = False) -> None:
        await self.world.reports.take("one", SHARED, self._report(token, failed))
        await self.world.settle()

    async def statuses(self, id_: str) -> list[str]:
        return [attempt.status for attempt in (await self.world.verifications.read("shop", id_)).attempts]


@pytest.fixture(params=sorted(CASES))
async def line(world: World, request: pytest.FixtureRequest) -> AsyncIterator[Line]:
    case = CASES[request.param]
    async with Vendor(case[0]) as vendor:
        line = Line(world, vendor, case)
        yield line
        await line.guarded.close()


async def test_a_report_finds_the_message_that_it_speaks_of(line: Line) -> None:
    first = await line.world.start()
    second = await line.world.start(phone="+14155550124")
    await line.report(line.token(1))
    assert await line.statuses(first.id) == ["sent"]
    assert await line.statuses(second.id) == ["delivered"]
    assert line.world.metric("otp_callbacks_total", provider="one", result="accepted") == 1


async def test_a_failure_leads_on_at_once_and_only_once(line: Line) -> None:
    v = await line.world.start()
    token = line.token(0)
    for _ in range(2):
        await line.report(token, failed=True)
    # the vendor has no calls, so that the second provider makes the one that follows
    assert await line.statuses(v.id) == ["failed", "failed", "sent"]
    assert (len(line.vendor.received), len(line.world.two.sent)) == (1, 1)


async def test_a_made_up_token_moves_nothing(line: Line) -> None:
    v = await line.world.start()
    for token in ("0", v.id, line.token(0).swapcase(), line.world.keys.token(v.id, 1, "two")):
        await line.report(token, failed=True)
    assert await line.statuses(v.id) == ["sent"]
    assert line.world.metric("otp_callbacks_total", provider="one", result="unknown") == 4


async def standing(world: World) -> list[str]:
    return [entry.channel for entry in (await world.suppressions.search("shop", understood(PHONE, None))).entries]


async def test_a_stop_among_amazons_events_is_heeded_only_with_amazons_signature(world: World) -> None:
    async with Vendor(vendor_aws.accept) as vendor:
        line = Line(world, vendor, CASES["aws"])

        async def write(text: str, second: int = 0, **how: Any) -> None:
            content = vendor_aws.written(text, inboundMessageId=f"cae173d2-66b9-564c-8309-21f858e9fb{second:02}")
            stamp = (vendor_aws.NOW + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            message = vendor_aws.signed(vendor_aws.notification(content, Timestamp=stamp), **how)
            await world.reports.take("one", SHARED, vendor_aws.callback(message))

        with pytest.raises(Unsigned):
            await write("STOP", key=vendor_aws.other_key())
        assert await standing(world) == []
        await write("Stop!")
        assert await standing(world) == ["sms"]
        assert (await world.start()).current.channel == "voice"
        await write("START", 1)
        assert await standing(world) == []
        assert world.metric("otp_callbacks_total", provider="one", result="accepted") == 2
        await line.guarded.close()


async def test_a_real_token_is_no_help_without_amazons_signature(world: World) -> None:
    async with Vendor(vendor_aws.accept) as vendor:
        line = Line(world, vendor, CASES["aws"])
        v = await world.start()
        message = vendor_aws.notification(vendor_aws.event("TEXT_BLOCKED", line.token(0)))
        forged = vendor_aws.callback(vendor_aws.signed(message, vendor_aws.other_key()))
        take: Awaitable[Any] = world.reports.take("one", SHARED, forged)
        with pytest.raises(Unsigned):
            await take
        assert await line.statuses(v.id) == ["sent"]
        await line.guarded.close()
