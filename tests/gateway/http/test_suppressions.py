"""Opt-outs over HTTP: what an app sees, adds and lifts, and what a start then answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from channels.contract import Callback, Channel, ErrorClass, InboundText, Outcome, SendError
from gateway.http.samples import REQUESTS
from gateway.store.steps import Unavailable
from tests.gateway.http.conftest import BANK_KEY, Api, listening
from tests.support.world import EMAIL, PHONE, FakeCarrier, World

TO = {"to": {"phone": PHONE}}
ADD, SEARCH, LIFT = "/v1/suppressions", "/v1/suppressions/search", "/v1/suppressions/lift"


async def channels(api: Api, **how: Any) -> list[str]:
    return [entry["channel"] for entry in (await api.post(SEARCH, TO, **how)).json["suppressions"]]


async def test_what_was_added_is_found_and_what_was_lifted_is_not(api: Api) -> None:
    api.world.clock.now = 1_900_000_000_999
    added = await api.post(ADD, {**TO, "channels": ["sms"], "reason": "complaint"})
    assert added.json == {
        "to": {"phone": "+1415*****23", "email": None},
        "suppressions": [
            {"channel": "sms", "reason": "complaint", "since": "2030-03-17T17:46:40Z", "expires_at": None}
        ],
    }
    assert (await api.post(SEARCH, TO)).json == added.json
    lifted = await api.post(LIFT, {**TO, "channels": ["sms"]})
    assert lifted.json == {**added.json, "suppressions": []}
    assert lifted.body == (await api.post(SEARCH, TO)).body


async def test_a_start_takes_another_channel_and_is_refused_when_none_is_left(api: Api) -> None:
    await api.post(ADD, {**TO, "channels": ["sms"]})
    where = await api.begin()
    assert (await api.get(where)).json["channel"] == "voice"
    await api.post(ADD, TO)
    refused = await api.post("/v1/verifications", TO)
    assert (refused.status, refused.code, refused.json["rule"]) == (403, "opted_out", "suppression")
    again = await api.post(f"{where}/resend")
    assert (again.status, again.code, again.json["rule"]) == (403, "opted_out", "suppression")


async def test_a_vendors_refusal_shows_with_its_reason(api: Api) -> None:
    api.world.one.scripts = [SendError(ErrorClass.OPTED_OUT, "21610")]
    await api.begin()
    (entry,) = (await api.post(SEARCH, TO)).json["suppressions"]
    assert (entry["channel"], entry["reason"]) == ("sms", "vendor")


async def test_an_app_sees_and_lifts_its_own_only(api: Api) -> None:
    await api.post(ADD, {**TO, "channels": ["sms"]})
    assert await channels(api, key=BANK_KEY) == []
    assert (await api.post(LIFT, TO, key=BANK_KEY)).status == 200
    assert await channels(api) == ["sms"]


async def test_a_number_and_an_address_at_once(api: Api) -> None:
    both = {"to": {"phone": PHONE, "email": EMAIL}}
    added = await api.post(ADD, {**both, "channels": ["email", "voice"]})
    assert [entry["channel"] for entry in added.json["suppressions"]] == ["voice", "email"]
    assert added.json["to"] == {"phone": "+1415*****23", "email": "a**@example.org"}
    assert [e["channel"] for e in (await api.post(SEARCH, {"to": {"email": EMAIL}})).json["suppressions"]] == ["email"]


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        (ADD, {}, "/to"),
        (ADD, {"to": {}}, "/to"),
        (ADD, {**TO, "channels": []}, "/channels"),
        (ADD, {**TO, "channels": ["fax"]}, "/channels/0"),
        (ADD, {**TO, "channels": ["email"]}, "/channels"),
        (ADD, {**TO, "reason": "call 4155550123"}, "/reason"),
        (ADD, {**TO, "reason": ""}, "/reason"),
        (ADD, {**TO, "until": "2030-01-01"}, "/until"),
        (SEARCH, {**TO, "channels": ["sms"]}, "/channels"),
        (LIFT, {**TO, "reason": "x"}, "/reason"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_done(api: Api, path: str, body: Any, pointer: str) -> None:
    refused = await api.post(path, body)
    assert (refused.status, refused.code) == (422, "invalid_request")
    assert list(refused.faults) == [pointer]
    assert await channels(api) == []


@pytest.mark.parametrize("path", [ADD, SEARCH, LIFT])
async def test_a_destination_that_is_none_is_refused(api: Api, path: str) -> None:
    refused = await api.post(path, {"to": {"phone": "4155550123"}})
    assert (refused.status, refused.code, list(refused.faults)) == (422, "invalid_destination", ["/to/phone"])


@pytest.mark.parametrize("path", [ADD, SEARCH, LIFT])
async def test_nobody_asks_without_a_key_or_with_the_number_in_the_address(api: Api, path: str) -> None:
    assert (await api.post(path, TO, key=None)).code == "unauthenticated"
    assert (await api.get(f"{path}?to=x")).status in (404, 405)


@pytest.mark.parametrize("path", [ADD, SEARCH, LIFT])
async def test_while_the_store_is_away_nobody_is_told_anything(
    api: Api, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(api.world.store, "_run", away)
    monkeypatch.setattr(api.world.store, "suppressions", away)
    assert (await api.post(path, TO)).code == "store_unavailable"


@pytest.mark.parametrize(
    ("path", "name"), [(SEARCH, "search_suppressions"), (ADD, "suppress"), (LIFT, "lift_suppressions")]
)
async def test_the_requests_of_the_documentation_are_answered(api: Api, path: str, name: str) -> None:
    for body in REQUESTS[name].values():
        assert (await api.post(path, body)).status == 200


class Listening(FakeCarrier):
    def inbound(self, callback: Callback) -> Outcome:
        return Outcome(texts=(InboundText(Channel.SMS, PHONE, callback.body.decode()),))


async def test_a_stop_comes_in_at_the_providers_inbound_address(world: World) -> None:
    world.wire(replace(world.setup, carriers={"one": Listening("one"), "two": world.two}))
    async with listening(world) as api:
        assert (await api.post("/callbacks/one/inbound", b"STOP", key=None)).status == 204
        assert await channels(api) == ["sms"]
        assert (await api.post("/callbacks/two/inbound", b"STOP", key=None)).status == 404
