"""Erasing over HTTP, and what a check is told while an app's codes are blocked."""

from __future__ import annotations

from dataclasses import replace

from gateway.service.vigilance import FailedChecks
from tests.gateway.http.conftest import BANK_KEY, Api, listening
from tests.support.world import PHONE, World


async def test_a_destination_is_erased_for_the_app_that_asks(api: Api) -> None:
    where = await api.begin()
    foreign = await api.post("/v1/erase", {"to": {"phone": PHONE}}, key=BANK_KEY)
    assert foreign.json == {"to": {"phone": "+1415*****23", "email": None}, "verifications": 0, "ended": 0}
    assert (await api.get(where)).status == 200
    erased = await api.post("/v1/erase", {"to": {"phone": PHONE}})
    assert erased.json == {"to": {"phone": "+1415*****23", "email": None}, "verifications": 1, "ended": 1}
    assert (await api.get(where)).status == 404


async def test_a_destination_that_is_none_is_refused(api: Api) -> None:
    assert (await api.post("/v1/erase", {"to": {"phone": "12"}})).code == "invalid_destination"
    assert (await api.post("/v1/erase", {})).code == "invalid_request"


async def test_a_blocked_check_is_told_how_long(valkey: str) -> None:
    terms = FailedChecks(3_600_000, amount=1, minimum=10, ratio=1.0, action="block")
    async with World(valkey) as world:
        shop = replace(world.setup.apps["shop"], failed_checks=terms)
        world.wire(replace(world.setup, apps={**world.setup.apps, "shop": shop}))
        async with listening(world) as api:
            where = await api.begin()
            assert (await api.post(f"{where}/check", {"code": api.wrong(where)})).json["verdict"] == "wrong"
            blocked = await api.post(f"{where}/check", {"code": api.code(where)})
            assert (blocked.status, blocked.code, blocked.json["limit"]) == (429, "rate_limited", "failed-checks")
            assert blocked.headers["Retry-After"] == "3600"
            assert (await api.get(where)).json["checks_left"] == 4
