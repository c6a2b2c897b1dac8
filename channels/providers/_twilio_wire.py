"""Twilio's SDK over the gateway's own HTTP client: what it sends, and what of an answer it gets to see."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp
from twilio.http import AsyncHttpClient  # type: ignore[import-untyped]  # the SDK ships no types
from twilio.http.response import Response  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from channels.contract import Context, ErrorClass, SendError
from channels.providers._twilio_settings import Settings
from channels.transport import Reply, Transport

SID = re.compile(r"[A-Z]{2}[0-9a-f]{32}")


class Wire(AsyncHttpClient):  # type: ignore[misc]  # the SDK ships no types
    """The SDK's seam for another HTTP client: it logs nothing, keeps nothing, and raises every refusal itself.

    Of an answer only the SID and the price go on, because the rest repeats the number and the text.
    """

    def __init__(self, transport: Transport, refuse: Callable[[Reply], SendError]) -> None:
        super().__init__(None, is_async=True)  # no logger at all: there is nothing to misconfigure
        self._transport = transport
        self._refuse = refuse

    async def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the SDK's signature; the transport keeps the deadline
        allow_redirects: bool = False,
    ) -> Response:
        sent = {name: value for name, value in (headers or {}).items() if name != "User-Agent"}
        if auth is not None:
            sent["Authorization"] = aiohttp.encode_basic_auth(*auth)
        form = urlencode(dict(data or {}), doseq=True).encode()
        reply = await self._transport.request(method, url, headers=sent, body=form)
        if not reply.ok:
            raise self._refuse(reply)
        answer = content(reply.text)
        sid = answer.get("sid")
        if not isinstance(sid, str) or not SID.fullmatch(sid):
            # Twilio said 2xx and then nothing that can be read. It may well have sent the message.
            raise SendError(ErrorClass.PROVIDER_DOWN, "unreadable", ambiguous=True)
        return Response(reply.status, json.dumps({name: answer.get(name) for name in ("sid", "price", "price_unit")}))


def account(settings: Settings, context: Context, wire: Wire) -> Any:
    """The SDK's account resource. An API key sends when there is one; the auth token signs callbacks in any case."""
    client = Client(
        username=settings.api_key_sid or settings.account_sid,
        password=context.secrets["api_key_secret" if settings.api_key_sid else "auth_token"],
        account_sid=settings.account_sid,
        http_client=wire,
        environment={"TWILIO_REGION": "", "TWILIO_EDGE": ""},  # else the SDK reroutes by the process's environment
    )
    if settings.base_url:
        client.api.base_url = settings.base_url
    return client.api.account


def content(body: str) -> Mapping[str, Any]:
    """A JSON body, or nothing. An error has its `code` at the top in Twilio's own shape and in RFC 9457's alike."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
