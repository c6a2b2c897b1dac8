"""Reading, checking, resending, canceling and explaining a verification over HTTP."""

from __future__ import annotations

import asyncio

import pytest

from channels.contract import ErrorClass, SendError
from gateway.core.keys import new_id
from gateway.http import models
from gateway.http.samples import REQUESTS
from gateway.service.record import _FACTS
from gateway.store.waiting import Short
from tests.gateway.http.conftest import BANK_KEY, KEY, SECOND_KEY, Api, listening
from tests.support.world import EMAIL, PHONE, POLICY, World


async def test_the_right_code_is_approved_once_and_then_spent(api: Api) -> None:
    where = await api.begin()
    id_, code = where.rpartition("/")[2], api.code(where)
    right = await api.post(f"{where}/check", {"code": code})
    wrong = await api.post(f"{where}/check", {"code": api.wrong(where)})

    assert right.json == {"id": id_, "verdict": "approved", "approved": True, "checks_left": 0, "retry_at": None}
    assert (wrong.json["verdict"], wrong.json["approved"]) == ("spent", False)
    assert (await api.get(where)).json["status"] == "approved"


async def test_of_many_simultaneous_right_codes_one_is_approved(api: Api) -> None:
    where = await api.begin()
    replies = await asyncio.gather(*(api.post(f"{where}/check", {"code": api.code(where)}) for _ in range(20)))
    assert sorted(reply.json["verdict"] for reply in replies) == ["approved", *["spent"] * 19]


class AwayReplicas:
    """Replicas that have nothing until they are back."""

    def __init__(self) -> None:
        self.back = False

    async def have(self, key: str, kept: object) -> None:
        if not self.back:
            raise Short("too few replicas have it")


async def test_an_approval_that_no_replica_has_is_no_verdict_and_the_same_key_tells_it_later(api: Api) -> None:
    where = await api.begin()
    body = {"code": api.code(where)}
    api.world.store._replicas = AwayReplicas()  # type: ignore[assignment]
    short = await api.post(f"{where}/check", body, Idempotency_Key="c")
    assert (short.status, short.code, short.headers["Retry-After"]) == (503, "store_unavailable", "1")
    assert short.json["detail"] == (
        "Whether it was done is not certain yet. Repeat the request with the same Idempotency-Key to learn it."
    )
    api.world.store._replicas.back = True  # type: ignore[union-attr]
    told = await api.post(f"{where}/check", body, Idempotency_Key="c")
    api.world.store._replicas = None
    assert (told.status, told.json["verdict"], told.json["approved"]) == (200, "approved", True)


async def test_a_repeated_check_gets_the_verdict_that_it_won(api: Api) -> None:
    where = await api.begin()
    body = {"code": api.code(where)}
    first = await api.post(f"{where}/check", body, Idempotency_Key="c")
    again = await api.post(f"{where}/check", body, Idempotency_Key="c")
    without = await api.post(f"{where}/check", body)
    other = await api.post(f"{where}/check", {"code": "000000"}, Idempotency_Key="c")

    assert first.body == again.body
    assert without.json["verdict"] == "spent"
    assert other.code == "idempotency_mismatch"


async def test_wrong_codes_count_down_to_locked(api: Api) -> None:
    where = await api.begin()
    replies = [await api.post(f"{where}/check", {"code": api.wrong(where)}) for _ in range(5)]
    assert [r.json["checks_left"] for r in replies] == [4, 3, 2, 1, 0]
    assert replies[-1].json["verdict"] == "locked"
    assert (await api.get(where)).json["status"] == "locked"


async def test_too_many_guesses_say_when_to_try_again(valkey: str) -> None:
    policy = {**POLICY, "guesses": {"delays": {"after": 100}, "amount": 2, "window": "1h"}}
    async with World(valkey, policies={"default": policy}) as world, listening(world) as api:
        world.clock.now = 1_900_000_000_000
        where = await api.begin()
        for _ in range(2):
            await api.post(f"{where}/check", {"code": api.wrong(where)})
        reply = await api.post(f"{where}/check", {"code": api.code(where)})
    assert reply.json["verdict"] == "locked"
    assert reply.json["retry_at"] == "2030-03-17T18:46:40Z"
    assert reply.json["checks_left"] == 3, "the guess was refused before it counted"


async def test_a_code_as_a_person_types_it_is_understood(api: Api) -> None:
    where = await api.begin()
    code = api.code(where)
    typed = f" {code[:3]}-{code[3:]} ".translate({ord("0") + n: chr(0x660 + n) for n in range(10)})
    assert (await api.post(f"{where}/check", {"code": typed})).json["approved"] is True


async def test_what_the_code_was_bound_to_must_be_repeated(api: Api) -> None:
    bound = {"to": {"phone": PHONE}, "context": {"amount": "12.50 EUR"}}
    where = await api.begin(body=bound)
    code = api.code(where)
    other = await api.post(f"{where}/check", {"code": code, "context": {"amount": "92.50 EUR"}})
    missing = await api.post(f"{where}/check", {"code": code})
    someone = await api.post(f"{where}/check", {"code": code, "context": bound["context"], "to": {"email": EMAIL}})
    right = await api.post(f"{where}/check", {"code": code, "context": bound["context"], "to": {"phone": PHONE}})
    assert [r.json["verdict"] for r in (other, missing, someone, right)] == ["wrong", "wrong", "wrong", "approved"]


async def test_an_expired_verification_says_so(api: Api) -> None:
    where = await api.begin()
    code = api.code(where)
    api.world.clock.forward(601)
    assert (await api.get(where)).json["status"] == "expired"
    assert (await api.post(f"{where}/check", {"code": code})).json["verdict"] == "expired"
    assert (await api.post(f"{where}/resend")).code == "not_pending"


async def test_a_resend_takes_the_next_step_or_the_named_channel(api: Api) -> None:
    where = await api.begin(body={"to": {"phone": PHONE, "email": EMAIL}})
    next_step = await api.post(f"{where}/resend")
    await api.world.settle()
    named = await api.post(f"{where}/resend", {"channel": "email"})
    await api.world.settle()

    assert (next_step.status, next_step.json["channel"]) == (202, "voice")
    assert named.json["channel"] == "email"
    assert [message.channel for message in api.world.sent] == ["sms", "voice", "email"]
    assert len({message.code for message in api.world.sent}) == 1


async def test_a_resend_by_a_channel_that_is_not_offered_is_no_channel(api: Api) -> None:
    where = await api.begin()
    reply = await api.post(f"{where}/resend", {"channel": "whatsapp"})
    assert (reply.status, reply.code, reply.json["rule"]) == (403, "no_channel", "channels")


async def test_a_resend_that_a_cap_refuses_answers_as_it_is_documented(valkey: str) -> None:
    policy = {**POLICY, "spend": {"caps": {"app-day": {"amount": "0.0001 USD"}}}}  # one message
    async with World(valkey, policies={"default": policy}) as world, listening(world) as api:
        reply = await api.post(f"{await api.begin()}/resend")
        await world.settle()
    assert (reply.status, reply.code, reply.json["rule"]) == (403, "spend_capped", "spend")


async def test_a_resend_that_has_come_to_look_like_abuse_answers_as_it_is_documented(valkey: str) -> None:
    crowd = {"measure": "adjacent", "per": "prefix", "amount": 2, "near": 0, "mode": "enforce"}
    policy = {**POLICY, "fraud": {"rules": {"crowd": crowd}}}
    async with World(valkey, policies={"default": policy}) as world, listening(world) as api:
        where, _ = [await api.begin(body={"to": {"phone": f"{PHONE[:-1]}{n}"}}) for n in range(2)]
        refused = await api.post("/v1/verifications", {"to": {"phone": f"{PHONE[:-1]}2"}})
        reply = await api.post(f"{where}/resend")
        await world.settle()
    assert refused.code == "fraud_suspected"
    assert (reply.status, reply.code, reply.json["rule"]) == (403, "fraud_suspected", "fraud")


async def test_a_resend_waits_out_the_cooldown(valkey: str) -> None:
    policy = {**POLICY, "code": {"cooldown": "30s"}}
    async with World(valkey, policies={"default": policy}) as world, listening(world) as api:
        where = await api.begin()
        refused = await api.post(f"{where}/resend")
        world.clock.forward(int(refused.headers["Retry-After"]))
        assert (await api.post(f"{where}/resend")).status == 202
        await world.settle()
    assert (refused.code, refused.json["limit"]) == ("rate_limited", "cooldown")


async def test_a_canceled_verification_has_ended_for_every_call(api: Api) -> None:
    where = await api.begin()
    canceled = await api.post(f"{where}/cancel", {})
    assert (canceled.status, canceled.json["status"]) == (200, "canceled")
    assert (canceled.json["next"], canceled.json["resend_at"], canceled.json["checks_left"]) == (None, None, 0)
    assert (await api.post(f"{where}/cancel")).code == "not_pending"
    assert (await api.post(f"{where}/resend")).code == "not_pending"
    assert (await api.post(f"{where}/check", {"code": "123456"})).json["verdict"] == "canceled"


async def test_the_events_say_why_each_thing_happened(api: Api) -> None:
    api.world.one.scripts.append(SendError(ErrorClass.NO_CHANNEL, "30006"))
    where = await api.begin()
    await api.post(f"{where}/check", {"code": api.wrong(where)})

    reply = await api.get(f"{where}/events")

    told = [(e["event"], e.get("channel") or e.get("reason")) for e in reply.json["events"]]
    assert told == [
        ("created", None),
        ("queued", "sms"),
        ("failed", "no_channel"),
        ("fell_back", "no_channel"),
        ("queued", "voice"),
        ("sent", None),
        ("wrong", None),
    ]
    assert reply.json["events"][2]["vendor_code"] == "30006"
    assert None not in reply.json["events"][0].values(), "facts that don't belong to an event are left out"


def test_every_fact_of_the_journal_has_a_place_in_the_answer() -> None:
    facts = {fact for names in _FACTS.values() for fact in names}
    assert facts | {"at", "event"} == set(models.Happening.model_fields)


CALLS = [
    ("GET", "", None),
    ("GET", "/events", None),
    ("POST", "/check", {"code": "123456"}),
    ("POST", "/resend", None),
    ("POST", "/cancel", None),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_unknown_and_foreign_ids_look_alike(api: Api, method: str, path: str, body: object) -> None:
    where = await api.begin()
    foreign = await api.call(method, f"{where}{path}", body, key=BANK_KEY)
    ids = [new_id(3), "ver_x", "..", "ver_%00%ff", f"ver_{'0' * 5000}"]
    unknown = [await api.call(method, f"/v1/verifications/{id_}{path}", body) for id_ in ids]

    for reply in (foreign, *unknown):
        assert (reply.status, reply.code) == (404, "not_found")
        assert {**reply.json, "instance": ""} == {**foreign.json, "instance": ""}


@pytest.mark.parametrize(("method", "path", "body"), [*CALLS, ("POST", None, {"to": {"phone": PHONE}})])
@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x", f"bearer{KEY}"]
)
async def test_without_a_valid_key_nothing_is_served(
    api: Api, method: str, path: str | None, body: object, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    address = "/v1/verifications" if path is None else f"/v1/verifications/{new_id(1)}{path}"
    reply = await api.call(method, address, body, key=None, **headers)
    assert (reply.status, reply.code) == (401, "unauthenticated")
    assert reply.headers["WWW-Authenticate"] == "Bearer"


async def test_every_key_of_an_app_opens_the_same_door(api: Api) -> None:
    where = await api.begin(key=KEY)
    assert (await api.get(where, key=SECOND_KEY)).status == 200
    assert (await api.call("GET", where, key=None, Authorization=f"bEARER  {KEY}")).status == 200


@pytest.mark.parametrize(
    ("call", "sample"), [(call, sample) for call in ("check", "resend", "cancel") for sample in REQUESTS[call]]
)
async def test_the_documented_requests_are_understood(api: Api, call: str, sample: str) -> None:
    where = await api.begin()
    assert (await api.post(f"{where}/{call}", REQUESTS[call][sample])).status in (200, 202)
