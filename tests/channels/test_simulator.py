"""The simulated carrier, against a tiny gateway that receives its reports over HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from channels import simulated
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
    SendError,
    Wording,
)
from channels.providers import simulator
from channels.providers.simulator import SIGNATURE, Settings, Simulator
from channels.simulated import OUTCOMES, Scenario

CODE = "048213"
WORDING = Wording(f"Your code is {CODE}", "en", html=f"<p>{CODE}</p>", spoken="0, 4, 8, 2, 1, 3")
START = datetime(2026, 1, 5, 10, tzinfo=UTC)
PUBLIC = "https://otp.example"


@dataclass
class Time:
    """A clock that stands still but for those who sleep by it."""

    now: datetime = START
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)
        await asyncio.sleep(0)


@dataclass
class Gateway:
    """The receiving end: it has the provider read each callback, and answers a call with the message in hand."""

    provider: Simulator
    url: str = ""
    status: int = 200
    message: Message | None = None
    callbacks: list[Callback] = field(default_factory=list)
    reports: list[DeliveryReport] = field(default_factory=list)
    fetches: int = 0

    async def receive(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        callback = Callback(
            request.method, f"{PUBLIC}{request.rel_url}", headers, await request.read(), tuple(request.query.items())
        )
        self.callbacks.append(callback)
        outcome = self.provider.read(callback)
        self.reports.extend(outcome.reports)
        if outcome.wants_message:
            self.fetches += 1
            answer = self.provider.answer(self.message)
            return web.Response(body=answer.body, content_type=answer.media_type, status=answer.status)
        return web.Response(status=self.status)

    def message_to(self, to: str, channel: Channel) -> Message:
        url = f"{self.url}/callbacks/simulator/token"
        return Message(
            channel, to, CODE, WORDING, "ref-1", 600, sender="Shop", callback_url=url, answer_url=f"{url}?answer=1"
        )

    async def send(self, to: str = "+14155550100", channel: Channel = Channel.SMS) -> SendError | None:
        """Send one message, and wait until there is nothing more to report of it."""
        self.message = self.message_to(to, channel)
        try:
            await self.provider.send(self.message)
        except SendError as error:
            return error
        finally:
            await settled(self.provider)
        return None


async def settled(provider: Simulator) -> None:
    while provider._tasks:
        await asyncio.wait(set(provider._tasks))
        await asyncio.sleep(0)


def build(clock: Time, secrets: dict[str, str] | None = None, **keys: Any) -> Simulator:
    context = Context("pretend", "otp-gateway/test", production=False, secrets=secrets or {})
    return Simulator(Settings(type="simulator", **keys), context, now=clock, sleep=clock.sleep)


@pytest.fixture
def clock() -> Time:
    return Time()


@asynccontextmanager
async def receiving(provider: Simulator) -> AsyncIterator[Gateway]:
    gateway = Gateway(provider)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", gateway.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    gateway.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield gateway
    finally:
        await provider.close()
        await runner.cleanup()


@pytest.fixture
async def gateway(clock: Time) -> AsyncIterator[Gateway]:
    async with receiving(build(clock)) as gateway:
        yield gateway


# --- what happens to a message ---------------------------------------------------------------------------------------


async def test_a_delivered_message_is_shown_and_reported_over_http(gateway: Gateway) -> None:
    assert await gateway.send() is None
    (entry,) = gateway.provider.inbox()
    assert (entry.channel, entry.to, entry.wording, entry.sender) == (Channel.SMS, "+14155550100", WORDING, "Shop")
    assert (entry.at, entry.status) == (START, "delivered")
    assert [((event.at - START).total_seconds(), event.what) for event in entry.timeline] == [
        (0, "accepted"),
        (1, "delivered"),
        (1, "reported delivered, answered 200"),
    ]
    assert gateway.reports == [DeliveryReport(ReportKind.DELIVERED, message_id=entry.id)]


PAIRS = [pytest.param(each, channel, id=f"{each.name}-{channel}") for each in OUTCOMES for channel in Channel]


@pytest.mark.parametrize(("scenario", "channel"), PAIRS)
async def test_each_number_and_address_does_what_the_table_says(
    scenario: Scenario, channel: Channel, gateway: Gateway, clock: Time
) -> None:
    to = scenario.address if channel is Channel.EMAIL else scenario.number
    refused = await gateway.send(to, channel)
    fate = scenario.on(channel)
    if fate.hangs:
        assert refused is not None
        assert (refused.error, refused.ambiguous, clock.slept) == (ErrorClass.PROVIDER_DOWN, True, [10.0])
    else:
        assert (refused.error if refused else None) is fate.refusal
        assert refused is None or (refused.vendor_code, refused.ambiguous) == (fate.code, False)
    said = [(report.kind, report.error, report.vendor_code) for report in gateway.reports]
    assert said == [(word.kind, word.error, word.code) for word in fate.reports]
    assert gateway.fetches == (1 if channel is Channel.VOICE and fate.answered else 0)


async def test_a_late_report_comes_late_and_an_early_one_before_the_answer(gateway: Gateway, clock: Time) -> None:
    await gateway.send("late@simulator.example", Channel.EMAIL)
    assert clock.slept == [40.0]
    gateway.reports.clear()
    await gateway.provider.send(gateway.message_to("early@simulator.example", Channel.EMAIL))
    assert [report.kind for report in gateway.reports] == [ReportKind.DELIVERED]


@pytest.mark.parametrize("to", ["+14155550199", "+442079460004", "+1415555010", "+15005550004"])
async def test_a_number_outside_the_table_is_delivered(to: str, gateway: Gateway) -> None:
    assert await gateway.send(to) is None
    assert [report.kind for report in gateway.reports] == [ReportKind.DELIVERED]


@pytest.mark.parametrize(
    ("to", "error"),
    [
        ("refused@corp.example", ErrorClass.TEMPORARY),
        ("Refused+7@simulator.example", ErrorClass.TEMPORARY),
        ("refused.not@simulator.example", None),
        ("ana@example.org", None),
    ],
)
async def test_the_local_part_of_an_address_chooses(to: str, error: ErrorClass | None, gateway: Gateway) -> None:
    refused = await gateway.send(to, Channel.EMAIL)
    assert (refused.error if refused else None) is error


async def test_a_refused_message_is_shown_as_well(gateway: Gateway) -> None:
    await gateway.send("+14155550109")
    await gateway.send("+14155550107")
    assert [(entry.status, entry.timeline[-1].what) for entry in gateway.provider.inbox()] == [
        ("timed out", "no answer before the deadline"),
        ("refused", "refused: fraud (fraud)"),
    ]


# --- calls -----------------------------------------------------------------------------------------------------------


async def test_a_call_fetches_what_to_say_and_shows_what_was_heard(gateway: Gateway) -> None:
    assert await gateway.send(channel=Channel.VOICE) is None
    assert gateway.callbacks[0].method == "GET"
    assert dict(gateway.callbacks[0].query) == {"answer": "1"}
    (entry,) = gateway.provider.inbox()
    assert (entry.status, entry.heard) == ("delivered", "0, 4, 8, 2, 1, 3")
    assert [event.what for event in entry.timeline] == [
        "accepted",
        "asked what to say, answered 200",
        "answered",
        "delivered",
        "reported delivered, answered 200",
    ]


async def test_a_call_with_nothing_left_to_say_hangs_up_and_is_reported_as_failed(gateway: Gateway) -> None:
    sent = gateway.message_to("+14155550100", Channel.VOICE)
    await gateway.provider.send(sent)
    await settled(gateway.provider)
    assert gateway.provider.answer(None).body == b'{"hangup": true}'
    assert gateway.provider.inbox()[0].heard == ""
    assert [(report.kind, report.vendor_code) for report in gateway.reports] == [(ReportKind.FAILED, "nothing-said")]


async def test_a_call_without_an_address_to_ask_says_the_words_it_was_given(gateway: Gateway) -> None:
    sent = gateway.message_to("+14155550100", Channel.VOICE)
    await gateway.provider.send(replace(sent, answer_url=None))
    await settled(gateway.provider)
    assert gateway.provider.inbox()[0].heard == "0, 4, 8, 2, 1, 3"


# --- trust -----------------------------------------------------------------------------------------------------------


def forgeries(genuine: Callback) -> list[Callback]:
    signature = genuine.headers[SIGNATURE]
    return [
        replace(genuine, body=genuine.body.replace(b"failed", b"delivered")),
        replace(genuine, body=b""),
        replace(genuine, headers={}),
        replace(genuine, headers={SIGNATURE: ""}),
        replace(genuine, headers={SIGNATURE: signature[:-1]}),
        replace(genuine, headers={SIGNATURE: signature.upper() + "é\ud800"}),
    ]


async def genuine_callback(gateway: Gateway) -> Callback:
    await gateway.send("+14155550103")
    return gateway.callbacks[-1]


async def test_a_callback_that_is_not_its_own_is_forged(gateway: Gateway) -> None:
    genuine = await genuine_callback(gateway)
    assert gateway.provider.read(genuine).reports[0].kind is ReportKind.FAILED
    for forgery in forgeries(genuine):
        with pytest.raises(Forged):
            gateway.provider.read(forgery)
    with pytest.raises(Forged):
        build(Time()).read(genuine)  # another process's key


async def test_a_signature_that_left_out_the_body_would_let_forgeries_in(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = gateway.provider._sign
    monkeypatch.setattr(gateway.provider, "_sign", lambda body: sign(b""))
    genuine = await genuine_callback(gateway)
    forged = forgeries(genuine)[0]
    assert gateway.provider.read(forged).reports[0].kind is ReportKind.DELIVERED


def test_processes_that_share_a_secret_read_each_others_reports() -> None:
    first, second = (build(Time(), {"secret": "one for both"}) for _ in range(2))
    callback = Callback("GET", PUBLIC, {SIGNATURE: first._sign(b"")}, b"")
    assert second.read(callback) == Outcome(wants_message=True)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b'{"status": "exploded"}', b'"\xff"', b'{"status":"failed","error":"no"}']
)
def test_a_signed_body_that_makes_no_sense_is_no_report(body: bytes, clock: Time) -> None:
    provider = build(clock)
    assert provider.read(Callback("POST", PUBLIC, {SIGNATURE: provider._sign(body)}, body)) == Outcome()


async def test_the_operator_can_class_a_code_otherwise(clock: Time) -> None:
    async with receiving(build(clock, errors={"refused": "fraud", "undelivered": "bad_destination"})) as gateway:
        refused = await gateway.send("+14155550102")
        await gateway.send("+14155550103")
    assert refused is not None
    assert refused.error is ErrorClass.FRAUD
    assert gateway.reports[0].error is ErrorClass.BAD_DESTINATION


async def test_nothing_is_logged_and_nothing_shows_the_code_or_the_number(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    refused = await gateway.send("+14155550102")
    await gateway.send("+14155550100", Channel.VOICE)
    ours = [record for record in caplog.records if not record.name.startswith("aiohttp.access")]
    told = [
        str(refused),
        repr(gateway.provider.inbox()),
        *(event.what for event in gateway.provider.inbox()[0].timeline),
    ]
    assert [record for record in ours if record.name != "asyncio"] == []
    assert not any(CODE in text or "4155550" in text for text in told)
    posted = [json.loads(callback.body) for callback in gateway.callbacks if callback.body]
    assert posted
    assert not any(CODE in str(body) or "4155550" in str(body) for body in posted)


# --- bounds and faults -----------------------------------------------------------------------------------------------


async def test_a_gateway_that_refuses_or_is_gone_is_noted_on_the_timeline(gateway: Gateway) -> None:
    gateway.status = 503
    await gateway.send()
    gone = replace(gateway.message_to("+14155550100", Channel.SMS), callback_url="http://127.0.0.1:1/callbacks/x/y")
    await gateway.provider.send(gone)
    await settled(gateway.provider)
    last = [entry.timeline[-1].what for entry in gateway.provider.inbox()]
    assert last == ["reported delivered, answered refused", "reported delivered, answered 503"]


async def test_only_the_latest_messages_are_kept(clock: Time) -> None:
    async with receiving(build(clock, history=2)) as gateway:
        for digits in ("97", "98", "99"):
            await gateway.send(f"+141555501{digits}")
        assert [entry.to[-2:] for entry in gateway.provider.inbox()] == ["99", "98"]
        assert len(gateway.reports) == 3


async def test_a_message_forgotten_before_its_report_is_reported_all_the_same(clock: Time) -> None:
    async with receiving(build(clock, history=1)) as gateway:
        await gateway.provider.send(gateway.message_to("+14155550100", Channel.SMS))
        await gateway.provider.send(gateway.message_to("+14155550103", Channel.SMS))
        await settled(gateway.provider)
        assert sorted(report.kind for report in gateway.reports) == ["delivered", "failed"]
        assert len(gateway.provider.inbox()) == 1


async def test_a_full_backlog_throttles(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulator, "BACKLOG", 2)
    messages = [gateway.message_to("+14155550100", Channel.SMS)] * 5
    answers = await asyncio.gather(*map(gateway.provider.send, messages), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, SendError)]
    assert [(error.error, error.vendor_code) for error in refused] == [(ErrorClass.THROTTLED, "backlog")] * 3


async def test_close_forgets_the_reports_to_come() -> None:
    provider = Simulator(Settings(type="simulator", report_after=600), Context("pretend", "otp-gateway/test", False))
    await provider.send(Message(Channel.SMS, "+14155550100", CODE, WORDING, "ref-1", 600))
    (task,) = provider._tasks
    await provider.close()
    assert task.cancelled()
    assert not provider._tasks


async def test_a_channel_that_it_was_not_given_is_refused(clock: Time) -> None:
    provider = build(clock, channels=["sms"])
    assert provider.channels == {Channel.SMS}
    with pytest.raises(SendError) as caught:
        await provider.send(Message(Channel.EMAIL, "ana@example.org", CODE, WORDING, "ref-1", 600))
    assert (caught.value.error, caught.value.vendor_code) == (ErrorClass.REQUEST_BUG, "channel")


# --- settings --------------------------------------------------------------------------------------------------------


def test_a_base_url_stands_in_for_the_gateways_public_address() -> None:
    inside = Settings(type="simulator", base_url="http://127.0.0.1:8080")
    assert inside.where("https://otp.example/callbacks/s/t?answer=1") == "http://127.0.0.1:8080/callbacks/s/t?answer=1"
    assert Settings(type="simulator").where("https://otp.example/callbacks/s/t") == "https://otp.example/callbacks/s/t"


def test_production_refuses_the_simulator() -> None:
    settings = Settings(type="simulator")
    with pytest.raises(ValueError, match=r"providers\.pretend: the simulator shows every code"):
        simulator.build(settings, Context("pretend", "otp-gateway/test", production=True))
    assert simulator.build(settings, Context("pretend", "otp-gateway/test", production=False)).channels == set(Channel)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"base_url": "mail.example"}, "valid URL"),
        ({"channels": []}, "at least 1 item"),
        ({"channels": ["fax"]}, "sms"),
        ({"history": 0}, "greater than or equal to 1"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Settings(type="simulator", **keys)


def test_the_page_can_list_the_outcomes(clock: Time) -> None:
    assert build(clock).outcomes is simulated.OUTCOMES
