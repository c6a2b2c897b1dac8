"""Vendors' requests: handed on as they came, under the public address, and answered in the vendor's own form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from channels.contract import Answer, Callback, Outcome
from gateway.service.engine import Contended
from gateway.service.reports import Reports
from gateway.store.steps import Unavailable
from tests.gateway.http.conftest import Api, listening
from tests.support.world import PHONE, World


async def _callback_path(api: Api) -> str:
    await api.begin()
    url = api.world.sent[-1].callback_url
    assert url is not None
    return url.removeprefix("https://otp.example")


async def test_a_signed_report_is_taken(api: Api) -> None:
    path = await _callback_path(api)
    reply = await api.call("POST", path, b"delivered", key=None, X_Signature="signed", Content_Type="text/plain")
    assert (reply.status, reply.body) == (204, b"")
    where = f"/v1/verifications/{api.world.sent[0].reference.partition('.')[0]}"
    assert (await api.get(where)).json["attempts"][0]["status"] == "delivered"


async def test_a_call_is_told_what_to_say_and_the_answer_holds_the_code(api: Api) -> None:
    await api.begin(body={"to": {"phone": PHONE}, "channels": ["voice"]})
    message = api.world.sent[-1]
    assert message.answer_url is not None
    async with api.session.request(
        "GET",
        f"http://127.0.0.1:{api.port}{message.answer_url.removeprefix('https://otp.example')}",
        data=b"answer",
        headers={"x-signature": "signed"},
    ) as answer:
        assert answer.status == 200
        assert await answer.text() == message.wording.spoken
        assert answer.headers["Cache-Control"] == "no-store"


async def test_an_unsigned_report_changes_nothing(api: Api) -> None:
    path = await _callback_path(api)
    reply = await api.call("POST", path, b"failed:temporary", key=None, Content_Type="text/plain")
    assert (reply.status, reply.code) == (401, "unauthenticated")
    assert reply.headers["WWW-Authenticate"] == "Signature"
    assert len(api.world.sent) == 1


async def test_an_address_that_was_never_given_out_is_not_found(api: Api) -> None:
    path = await _callback_path(api)
    for other in (path[:-1], path.replace("/one/", "/two/"), "/callbacks/nobody/x", "/callbacks/one/%ff%00"):
        reply = await api.call("POST", other, b"delivered", key=None, X_Signature="signed")
        assert (reply.status, reply.code) == (404, "not_found")


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_refused(api: Api, method: str) -> None:
    path = await _callback_path(api)
    address, headers = f"http://127.0.0.1:{api.port}{path}", {"x-signature": "signed"}
    async with api.session.request(method, address, headers=headers) as answer:
        assert answer.status == 405
        assert set(answer.headers["Allow"].split(", ")) == {"GET", "POST"}


class Recording:
    """A carrier that keeps what it is given to read."""

    def __init__(self) -> None:
        self.callbacks: list[Callback] = []

    async def receive(self, callback: Callback) -> Outcome:
        self.callbacks.append(callback)
        return Outcome()

    def answer(self, _message: Any) -> Answer:
        return Answer(b"<Response/>", "text/xml", 200)


async def _recorded(world: World, query: str = "", **headers: str) -> Callback:
    carrier = Recording()
    world.wire(replace(world.setup, carriers={**world.setup.carriers, "vendor": carrier}))
    token = world.keys.token("ver_" + "A" * 22 + "A", 1, "vendor")
    async with listening(world) as api:
        reply = await api.call("POST", f"/callbacks/vendor/{token}{query}", b"\x00raw\xff", key=None, **headers)
        assert reply.status in (200, 204)
        if "answer=1" in query:
            assert reply.headers["Content-Type"].partition(";")[0] == "text/xml"
    return carrier.callbacks[0]


async def test_the_vendor_reads_its_request_as_it_came(world: World) -> None:
    callback = await _recorded(world, "?b=2&a=%2B1&b=&answer=1", X_Vendor_Signature="AbC")
    assert callback.body == b"\x00raw\xff"
    assert callback.method == "POST"
    assert callback.headers["x-vendor-signature"] == "AbC"
    assert all(name == name.lower() for name in callback.headers)
    assert callback.query == (("b", "2"), ("a", "+1"), ("b", ""), ("answer", "1"))
    assert callback.url.startswith("https://otp.example/callbacks/vendor/")
    assert callback.url.endswith("?b=2&a=%2B1&b=&answer=1"), "the query as it was written, for the signature"


async def test_the_address_that_was_signed_is_never_taken_from_the_host_header(world: World) -> None:
    forged = {"Host": "evil.example", "X_Forwarded_Host": "evil.example", "X_Forwarded_Proto": "http"}
    callback = await _recorded(world, **forged)
    assert callback.headers["host"] == "evil.example", "the twin: the forgery did arrive"
    assert callback.url.startswith("https://otp.example/callbacks/vendor/")


@pytest.mark.parametrize(("raised", "code"), [(Unavailable, "store_unavailable"), (Contended, "overloaded")])
async def test_the_vendor_is_asked_to_repeat_what_could_not_be_written(
    api: Api, monkeypatch: pytest.MonkeyPatch, raised: type[Exception], code: str
) -> None:
    async def fails(*_args: object) -> Answer:
        raise raised

    monkeypatch.setattr(Reports, "take", fails)
    reply = await api.call("POST", "/callbacks/one/x", b"delivered", key=None)
    assert (reply.status, reply.code, reply.headers["Retry-After"]) == (503, code, "1")
