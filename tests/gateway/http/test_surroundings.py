"""What surrounds every request: ids, caches, metrics, crashes, probes, and who is said to have called."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from starlette.requests import Request

from gateway.http.auth import peer
from gateway.service.verifications import Verifications
from gateway.store.steps import Unavailable
from tests.gateway.http.conftest import Api, listening
from tests.gateway.http.contract import Reply, leaks
from tests.support.world import PHONE, World


async def test_every_answer_has_an_id_of_its_own_and_stays_out_of_caches(api: Api) -> None:
    replies = [await api.get(path) for path in ("/livez", "/nowhere", "/", "/v1/verifications/x", "/openapi.json")]
    ids = {str(UUID(reply.headers["Request-Id"])) for reply in replies}
    assert len(ids) == len(replies)
    assert {reply.headers["Cache-Control"] for reply in replies} == {"no-store"}
    assert {reply.headers["X-Content-Type-Options"] for reply in replies} == {"nosniff"}


async def test_a_problem_names_its_request_and_a_caller_cannot_choose_the_id(api: Api) -> None:
    reply = await api.get("/nowhere", Request_Id="mine")
    assert reply.json["instance"] == f"urn:uuid:{reply.headers['Request-Id']}"
    assert UUID(reply.headers["Request-Id"])


async def test_unknown_addresses_and_methods_are_problems_too(api: Api) -> None:
    for path in ("/nowhere", "/v1", "/v1/verifications/", "/v1/verifications/x/nothing", "/metrics", "//livez"):
        reply = await api.get(path)
        assert (reply.status, reply.code) == (404, "not_found"), path
    for method, path, allowed in (("GET", "/v1/verifications", "POST"), ("DELETE", "/v1/verifications/x", "GET")):
        reply = await api.call(method, path)
        assert (reply.status, reply.code) == (405, "method_not_allowed")
        assert allowed in reply.headers["Allow"]


async def test_the_simulator_is_not_there_unless_it_is_given(api: Api) -> None:
    assert (await api.get("/livez")).status == 200
    async with api.session.get(f"http://127.0.0.1:{api.port}/simulator") as answer:
        assert answer.status == 404
    assert "simulator" not in (await api.get("/")).json["links"]


async def test_a_crash_is_a_problem_that_tells_nothing_and_a_log_line_that_tells_where(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_args: object) -> None:
        raise RuntimeError(f"while sending 482913 to {PHONE}")

    monkeypatch.setattr(Verifications, "read", crash)
    reply = await api.get("/v1/verifications/x")

    assert (reply.status, reply.code) == (500, "internal_error")
    assert leaks(reply, ["482913", "RuntimeError", "crash"]) == []
    (line,) = [line for line in api.world.logged if line["event"] == "request.failed"]
    assert line["route"] == "/v1/verifications/{id}"
    assert line["exception"]["type"] == "RuntimeError"
    assert line["exception"]["frames"][-1].endswith("crash")
    assert "482913" not in json.dumps(line)
    assert PHONE not in json.dumps(line)
    assert api.world.metric("otp_http_requests_total", route="/v1/verifications/{id}", status="500") == 1


def test_the_search_for_leaks_finds_one() -> None:
    """The twin of every test here: a code in a header or in a body is found."""
    assert leaks(Reply(200, {"x": "a482913"}, b""), ["482913"]) == ["482913"]
    assert leaks(Reply(200, {}, b'{"code":"482913"}'), ["482913", "other"]) == ["482913"]


async def test_requests_are_counted_by_the_template_of_their_path(api: Api) -> None:
    where = await api.begin()
    await api.get(where)
    await api.get(f"{where}/events")
    await api.get("/nowhere-in-particular")
    count = api.world.metric
    assert count("otp_http_requests_total", route="/v1/verifications", status="201") == 1
    assert count("otp_http_requests_total", route="/v1/verifications/{id}", status="200") == 1
    assert count("otp_http_requests_total", route="/v1/verifications/{id}/events", status="200") == 1
    assert count("otp_http_requests_total", route="other", status="404") == 1
    assert count("otp_http_seconds_count", route="/v1/verifications") == 1


async def test_a_refused_key_is_logged_with_the_caller_and_without_the_key(world: World) -> None:
    async with listening(world, trusted_proxies=("127.0.0.0/8",)) as api:
        await api.get(
            "/v1/verifications/x", key="otp_a-wrong-key-that-somebody-tried", X_Forwarded_For="10.0.0.9, 203.0.113.7"
        )
    (line,) = [line for line in world.logged if line["event"] == "request.refused"]
    assert (line["route"], line["client"]) == ("/v1/verifications/{id}", "203.0.113.7")
    assert "wrong-key" not in json.dumps(line)


@pytest.mark.parametrize(
    ("client", "forwarded", "trusted", "said"),
    [
        ("203.0.113.1", [], (), "203.0.113.1"),
        ("203.0.113.1", ["198.51.100.9"], (), "203.0.113.1"),  # nobody vouches for the header
        ("10.0.0.1", ["198.51.100.9"], ("10.0.0.0/8",), "198.51.100.9"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.9"], ("10.0.0.0/8",), "198.51.100.9"),  # the first was made up
        ("10.0.0.1", ["1.1.1.1", "198.51.100.9, 10.0.0.2"], ("10.0.0.0/8",), "198.51.100.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], ("10.0.0.0/8",), "10.0.0.3"),
        ("fd00::1", ["2001:db8::7"], ("fd00::/8",), "2001:db8::7"),
        ("10.0.0.1", ["evil\x1b[31m"], ("10.0.0.0/8",), ""),
        ("", [], ("10.0.0.0/8",), ""),
    ],
)
def test_the_caller_is_the_last_hop_that_is_none_of_ours(
    client: str, forwarded: list[str], trusted: tuple[str, ...], said: str
) -> None:
    headers = [(b"x-forwarded-for", line.encode("latin-1")) for line in forwarded]
    scope: dict[str, Any] = {"type": "http", "headers": headers, "client": (client, 1) if client else None}
    assert peer(Request(scope), trusted) == said


async def test_alive_is_alive_whatever_else_is_not(api: Api) -> None:
    api.state.problems, api.state.draining = ["the store does not answer"], True
    assert (await api.get("/livez", key=None)).json == {"status": "alive"}


async def test_ready_says_what_is_missing(api: Api, world: World) -> None:
    assert (await api.get("/readyz", key=None)).json == {"status": "ready", "problems": []}
    api.state.problems = ["no provider is configured"]
    reply = await api.get("/readyz", key=None)
    assert (reply.status, reply.json["problems"]) == (503, ["no provider is configured"])
    api.state.problems, api.state.draining = [], True
    assert (await api.get("/readyz", key=None)).json == {"status": "unready", "problems": ["stopping"]}

    async def away() -> list[str]:
        raise Unavailable

    async with listening(world, readiness=away) as other:
        reply = await other.get("/readyz", key=None)
        assert (reply.status, reply.json["problems"]) == (503, ["the store does not answer"])


async def test_the_index_leads_to_everything_that_needs_no_key(api: Api) -> None:
    index = (await api.get("/", key=None)).json
    assert index["version"] == "1.2.3"
    for link in index["links"].values():
        assert (await api.get(link, key=None)).status == 200
