"""What Meta says of a WhatsApp sender and of where its reports go, asked by reading alone.

The fields are those of "WhatsApp Business Account Phone Number API" (v23.0) and of "Webhook overrides"
(developers.facebook.com/documentation/business-messaging/whatsapp). Which permission each of them needs is not said
there; a token that may only send is taken to be refused with 10 or one from 200 to 299 (unverified). Templates belong
to the WhatsApp Business Account, whose ID the configuration doesn't have.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from typing import Any

from channels.contract import SendError
from channels.examination import Finding, Inquiry, fault, ok, unknown, warning
from channels.transport import Transport

_NO_PERMISSION = re.compile(r"10|2[0-9]{2}")


class Sender:
    """One phone number ID. `url` is its node; `callback` is the address that its reports should go to."""

    def __init__(self, transport: Transport, inquiry: Inquiry, url: str, authorization: str, callback: str) -> None:
        self._transport = transport
        self._inquiry = inquiry
        self._url = url
        self._authorization = authorization
        self._callback = callback
        self._by_code = inquiry.remedies.by_code
        self._by_finding = inquiry.remedies.by_finding

    async def findings(self) -> list[Finding]:
        checks: dict[str, Awaitable[Finding]] = {
            "phone number ID": self._looked("phone number ID", self._number()),
            "callback address": self._looked("callback address", self._webhook()),
        }
        template = unknown("template", "it belongs to the WhatsApp Business Account; --send-to shows it")
        secret = unknown("app secret", "Meta tells it to nobody; the first signed report shows it")
        return [*await self._inquiry.findings(checks), template, secret]

    async def _looked(self, what: str, check: Awaitable[Finding]) -> Finding:
        try:
            return await check
        except SendError as error:
            if not _NO_PERMISSION.fullmatch(error.vendor_code):
                raise
            return unknown(what, f"the token may not look ({error.vendor_code})", self._by_finding["look"])

    async def _number(self) -> Finding:
        found = await self._get("platform_type,quality_rating,name_status")
        platform, quality = found.get("platform_type"), found.get("quality_rating")
        if platform is not None and platform != "CLOUD_API":
            return fault("phone number ID", "not registered with the Cloud API", self._by_code["133010"])
        if quality == "RED":
            return warning("phone number ID", "its quality is low", self._by_code["132015"])
        return ok("phone number ID", "the access token is right and has this number")

    async def _webhook(self) -> Finding:
        """A number's own address goes before its account's, and that before the app's."""
        found = (await self._get("webhook_configuration")).get("webhook_configuration")
        levels = found if isinstance(found, dict) else {}
        address = next((levels[level] for level in _LEVELS if levels.get(level)), None)
        if address == self._callback:
            return ok("callback address", "reports go to the gateway")
        seen = "reports go to another address" if address else "no address is entered"
        return fault("callback address", seen, self._by_finding["webhook"])

    async def _get(self, fields: str) -> Mapping[str, Any]:
        headers = {"Authorization": self._authorization}
        return await self._inquiry.read(self._transport.request("GET", f"{self._url}?fields={fields}", headers=headers))


_LEVELS = ("phone_number", "whatsapp_business_account", "application")
