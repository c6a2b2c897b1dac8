"""Lists over HTTP: what an app denies, allows, sees and removes, and what a start then answers."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.http.samples import REQUESTS
from gateway.store.steps import Unavailable
from tests.gateway.http.conftest import BANK_KEY, Api
from tests.support.world import PHONE

ADD, SEARCH, REMOVE = "/v1/lists", "/v1/lists/search", "/v1/lists/remove"
START = "/v1/verifications"


async def test_what_was_added_is_found_and_what_was_removed_is_not(api: Api) -> None:
    api.world.clock.now = 1_900_000_000_999
    added = await api.post(ADD, {"entry": "+1415*", "expires_in": 60, "reason": "pumping"})
    entry = {"entry": "+1415*", "list": "deny", "reason": "pumping"}
    times = {"since": "2030-03-17T17:46:40Z", "expires_at": "2030-03-17T17:47:41Z"}
    assert added.json == {"entry": "+1415*", "list": "deny", "entries": [{**entry, **times}]}
    assert (await api.post(SEARCH, {"entry": PHONE})).json == {**added.json, "entry": "+1415*****23"}
    removed = await api.post(REMOVE, {"entry": "+1415*"})
    assert removed.json == {"entry": "+1415*", "list": None, "entries": []}


async def test_a_start_is_refused_and_told_no_more_than_that(api: Api) -> None:
    await api.post(ADD, {"entry": "+1415*"})
    refused = await api.post(START, {"to": {"phone": PHONE}})
    assert (refused.status, refused.code, refused.json["rule"]) == (403, "destination_blocked", "lists")
    assert refused.json["detail"] == "Nothing is sent to this destination at present."


async def test_an_app_sees_and_changes_its_own_only(api: Api) -> None:
    await api.post(ADD, {"entry": "+1415*"})
    assert (await api.post(SEARCH, {"entry": "+1415*"}, key=BANK_KEY)).json["list"] is None
    await api.post(REMOVE, {"entry": "+1415*"}, key=BANK_KEY)
    assert (await api.post(SEARCH, {"entry": "+1415*"})).json["list"] == "deny"


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        (ADD, {}, "/entry"),
        (ADD, {"entry": ""}, "/entry"),
        (ADD, {"entry": "nobody"}, "/entry"),
        (ADD, {"entry": "4155550123"}, "/entry"),
        (ADD, {"entry": "+1415*", "list": "block"}, "/list"),
        (ADD, {"entry": "+1415*", "expires_in": 0}, "/expires_in"),
        (ADD, {"entry": "+1415*", "expires_in": "1h"}, "/expires_in"),
        (ADD, {"entry": "+1415*", "reason": "call 4155550123"}, "/reason"),
        (SEARCH, {"entry": "+1415*", "list": "deny"}, "/list"),
        (REMOVE, {"entry": "+"}, "/entry"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_done(api: Api, path: str, body: Any, pointer: str) -> None:
    refused = await api.post(path, body)
    assert (refused.status, refused.code, list(refused.faults)) == (422, "invalid_request", [pointer])
    assert (await api.post(SEARCH, {"entry": PHONE})).json["entries"] == []


@pytest.mark.parametrize("path", [ADD, SEARCH, REMOVE])
async def test_nobody_asks_without_a_key_or_while_the_store_is_away(
    api: Api, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await api.post(path, {"entry": PHONE}, key=None)).code == "unauthenticated"

    async def away(*_: object) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(api.world.store, "_run", away)
    monkeypatch.setattr(api.world.store, "listed", away)
    assert (await api.post(path, {"entry": PHONE})).code == "store_unavailable"


@pytest.mark.parametrize(("path", "name"), [(SEARCH, "search_list"), (ADD, "list"), (REMOVE, "remove_from_list")])
async def test_the_requests_of_the_documentation_are_answered(api: Api, path: str, name: str) -> None:
    for body in REQUESTS[name].values():
        assert (await api.post(path, body)).status == 200
