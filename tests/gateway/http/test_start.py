"""Starting a verification over HTTP: its answer, its repetition, and holding the answer until a provider accepts."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from channels.contract import ErrorClass, Message, Receipt, SendError
from gateway.http.headers import MOST_WAIT
from gateway.http.samples import REQUESTS
from gateway.service.verifications import Verifications
from gateway.store.steps import Unavailable
from tests.gateway.http.conftest import BANK_KEY, Api, listening
from tests.support.world import EMAIL, PHONE, POLICY, World

START = "/v1/verifications"
BODY = {"to": {"phone": PHONE}}


async def test_a_start_answers_with_the_whole_verification(api: Api) -> None:
    reply = await api.post(START, {"to": {"phone": PHONE, "email": EMAIL}, "purpose": "login", "metadata": {"o": "A"}})

    assert reply.status == 201
    shown = reply.json
    assert reply.headers["Location"] == f"{START}/{shown['id']}"
    assert list(shown) == [
        "id",
        "status",
        "purpose",
        "to",
        "channel",
        "exhausted",
        "attempts",
        "next",
        "checks_left",
        "resend_at",
        "created_at",
        "expires_at",
        "metadata",
    ]
    assert (shown["status"], shown["purpose"], shown["channel"]) == ("pending", "login", "sms")
    assert shown["to"] == {"phone": "+1415*****23", "email": "a**@example.org"}
    assert shown["attempts"] == [
        {
            "number": 1,
            "channel": "sms",
            "provider": "one",
            "status": "queued",
            "reason": None,
            "at": shown["created_at"],
        }
    ]
    assert shown["next"] == {"channel": "voice", "at": None}, "its wait begins when a provider has accepted"
    assert (shown["checks_left"], shown["metadata"], shown["exhausted"]) == (5, {"o": "A"}, False)


async def test_an_accepted_message_tells_when_silence_leads_where(api: Api) -> None:
    api.world.clock.now = 1_900_000_000_400
    where = await api.begin()

    shown = (await api.get(where)).json

    assert shown["attempts"][0]["status"] == "sent"
    assert shown["attempts"][0]["at"] == "2030-03-17T17:46:40Z"
    assert shown["next"] == {"channel": "voice", "at": "2030-03-17T17:47:11Z"}, "rounded up, so never too early"


async def test_no_step_is_promised_that_would_leave_too_little_time(api: Api) -> None:
    where = await api.begin()
    await api.world.after(31)
    assert (await api.get(where)).json["next"] is None, "no email was given, so nothing follows the call"

    where = await api.begin(body={"to": {"phone": PHONE, "email": EMAIL}})
    api.world.clock.forward(525)
    await api.post(f"{where}/resend")
    await api.world.settle()
    assert (await api.get(where)).json["next"] is None, "45 s after 525 s leaves less than a minute of 600 s"


async def test_no_step_is_promised_once_a_message_has_arrived(api: Api) -> None:
    where = await api.begin(body={"to": {"phone": PHONE, "email": EMAIL}})
    await api.world.report(where.rpartition("/")[2], 1, "delivered")
    assert (await api.get(where)).json["next"] is None
    await api.post(f"{where}/resend")
    await api.world.settle()
    shown = (await api.get(where)).json
    assert [a["status"] for a in shown["attempts"]] == ["delivered", "sent"]
    assert shown["next"] is None


@pytest.mark.parametrize("sample", ["least", "most"])
async def test_the_documented_requests_are_accepted(world: World, sample: str) -> None:
    async with listening(world) as api:
        reply = await api.post(START, REQUESTS["start"][sample])
    assert reply.status == 201


async def test_what_the_request_says_reaches_the_message_and_the_policy(api: Api) -> None:
    await api.begin(
        body={
            "to": {"phone": PHONE},
            "channels": ["voice", "sms"],
            "locale": "pt-BR",
            "code": "00a5B7",
            "context": {"amount": "12.50 EUR"},
            "domain": "shop.example",
        }
    )
    message = api.world.sent[0]
    assert (message.channel, message.code, message.wording.language) == ("voice", "00a5B7", "pt-BR")
    assert "12.50 EUR" in message.wording.text


async def test_a_repetition_gets_the_same_bytes_and_sends_nothing(api: Api) -> None:
    first = await api.post(START, BODY, Idempotency_Key="k-1")
    await api.world.settle()
    await api.world.after(40)
    again = await api.post(START, BODY, Idempotency_Key='"k-1"')

    assert again.status == 201
    assert again.body == first.body
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(api.world.sent) == 2, "the first message and its fallback"


async def test_a_repetition_of_a_start_that_waited_gets_the_bytes_that_it_waited_for(api: Api) -> None:
    first = await api.post(START, BODY, Idempotency_Key="k", Prefer="wait=5")
    assert first.json["attempts"][0]["status"] == "sent"
    assert first.headers["Preference-Applied"] == "wait=5"

    api.world.clock.forward(100)
    again = await api.post(START, BODY, Idempotency_Key="k", Prefer="wait=5")

    assert again.body == first.body
    assert "Preference-Applied" not in again.headers
    assert len(api.world.sent) == 1


async def test_another_body_under_the_same_key_is_a_mismatch(api: Api) -> None:
    await api.post(START, BODY, Idempotency_Key="k")
    reply = await api.post(START, {**BODY, "locale": "fr"}, Idempotency_Key="k")
    assert (reply.status, reply.code) == (422, "idempotency_mismatch")


async def test_the_same_key_of_two_apps_is_two_keys(api: Api) -> None:
    one = await api.post(START, BODY, Idempotency_Key="k")
    other = await api.post(START, BODY, Idempotency_Key="k", key=BANK_KEY)
    assert (one.status, other.status) == (201, 201)
    assert one.json["id"] != other.json["id"]


async def test_a_repetition_while_the_first_still_waits_is_told_so(api: Api) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(_message: Message) -> Receipt:
        begun.set()
        await go.wait()
        return Receipt("m")

    api.world.one.scripts.append(slow)
    first = asyncio.create_task(api.post(START, BODY, Idempotency_Key="k", Prefer="wait=10"))
    await begun.wait()
    during = await api.post(START, BODY, Idempotency_Key="k", Prefer="wait=10")
    go.set()

    assert (during.status, during.code) == (409, "idempotency_in_progress")
    assert during.headers["Retry-After"] == "1"
    assert (await first).json["attempts"][0]["status"] == "sent"


async def test_parallel_repetitions_make_one_verification(api: Api) -> None:
    replies = await asyncio.gather(*(api.post(START, BODY, Idempotency_Key="k") for _ in range(20)))
    await api.world.settle()
    assert {reply.status for reply in replies} == {201}
    assert len({reply.body for reply in replies}) == 1
    assert len(api.world.sent) == 1


async def test_without_a_key_parallel_starts_are_as_many_verifications(api: Api) -> None:
    """The twin of the test above: it is the key that makes them one."""
    replies = await asyncio.gather(*(api.post(START, BODY) for _ in range(3)))
    await api.world.settle()
    assert len({reply.body for reply in replies}) == 3
    assert len(api.world.sent) == 3


async def test_a_wait_is_over_when_nothing_is_left_to_try(api: Api) -> None:
    api.world.one.scripts += [SendError(ErrorClass.FRAUD, "x")]
    reply = await api.post(START, BODY, Prefer="wait=30")
    assert reply.json["exhausted"] is True
    assert reply.json["attempts"][0]["reason"] == "fraud"


async def test_a_wait_ends_when_its_time_is_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[int] = []
    real = Verifications.settle

    async def shortened(self: Verifications, begun: Any, wait: int) -> Any:
        waits.append(wait)
        return await real(self, begun, 5)

    async def never(_message: Message) -> Receipt:
        await asyncio.sleep(0.05)
        return Receipt()

    monkeypatch.setattr(Verifications, "settle", shortened)
    api.world.one.scripts.append(never)
    reply = await api.post(START, BODY, Prefer="respond-async, wait=999; x=y")
    assert reply.status == 201
    assert reply.json["attempts"][0]["status"] == "queued"
    assert waits == [MOST_WAIT * 1000]
    assert reply.headers["Preference-Applied"] == f"wait={MOST_WAIT}"


async def test_an_answer_that_cannot_be_kept_is_given_all_the_same(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_args: object) -> None:
        raise Unavailable

    monkeypatch.setattr(Verifications, "keep_answer", away)
    reply = await api.post(START, BODY, Idempotency_Key="k", Prefer="wait=5")
    assert reply.status == 201


async def test_a_denied_country_names_the_rule(api: Api) -> None:
    reply = await api.post(START, {"to": {"phone": "+4930901820"}})
    assert (reply.status, reply.code, reply.json["rule"]) == (403, "country_denied", "country")
    assert api.world.sent == []


async def test_a_channel_outside_the_policy_is_no_channel(api: Api) -> None:
    reply = await api.post(START, {**BODY, "channels": ["whatsapp"]})
    assert (reply.status, reply.code, reply.json["rule"]) == (403, "no_channel", "channels")


async def test_a_start_that_names_no_client_is_told_so_by_the_limit_that_counts_all_such_together(valkey: str) -> None:
    limit = {"per": ["ip", "device"], "amount": 1, "window": "1h", "missing": 2}
    async with World(valkey, policies={"default": {**POLICY, "limits": {"client": limit}}}) as world:
        async with listening(world) as api:
            for _ in range(2):
                await api.begin()
            nobody = await api.post(START, BODY)
            assert (nobody.code, nobody.json["limit"]) == ("rate_limited", "client")
            assert nobody.json["detail"].startswith("This limit counts by client.ip and client.device, and all starts")
            known = {**BODY, "client": {"ip": "203.0.113.7", "device": "d"}}
            assert (await api.post(START, known)).status == 201
            again = await api.post(START, known)
            assert again.json["detail"] == "Wait for as many seconds as Retry-After says."
        refused = [line.get("unnamed") for line in world.logged if line["event"] == "verification.refused"]
        assert refused == [("client.ip", "client.device"), None]


async def test_a_limit_is_told_with_an_honest_wait(valkey: str) -> None:
    policy = {**POLICY, "code": {"cooldown": "30s"}}
    async with World(valkey, policies={"default": policy}) as world, listening(world) as api:
        await api.begin()
        world.clock.forward(10.5)
        reply = await api.post(START, BODY)
        assert (reply.status, reply.code, reply.json["limit"]) == (429, "rate_limited", "cooldown")
        assert reply.headers["Retry-After"] == "20", "19.5 s, rounded up"
        assert reply.headers["RateLimit-Policy"] == '"cooldown";q=1;w=30'
        assert reply.headers["RateLimit"] == '"cooldown";r=0;t=20'

        world.clock.forward(20)
        assert (await api.post(START, BODY)).status == 201


async def test_overload_is_told_at_once(valkey: str) -> None:
    async with World(valkey, most_sends=0) as world, listening(world) as api:
        reply = await api.post(START, BODY)
    assert (reply.status, reply.code, reply.headers["Retry-After"]) == (503, "overloaded", "1")


async def test_a_stopping_process_starts_nothing_and_still_checks(api: Api) -> None:
    where = await api.begin()
    api.state.draining = True
    assert (await api.post(START, BODY)).code == "overloaded"
    assert (await api.post(f"{where}/resend")).code == "overloaded"
    assert (await api.post(f"{where}/check", {"code": api.code(where)})).json["approved"] is True


async def test_a_store_that_is_away_is_not_guessed_about(api: Api) -> None:
    await api.world.calls.close()
    reply = await api.post(START, BODY)
    assert (reply.status, reply.code, reply.headers["Retry-After"]) == (503, "store_unavailable", "1")
    assert api.world.sent == []


async def test_ids_show_nothing_of_the_destination(api: Api) -> None:
    where = await api.begin()
    assert re.fullmatch(r"/v1/verifications/ver_[A-Za-z0-9_-]{23}", where)
