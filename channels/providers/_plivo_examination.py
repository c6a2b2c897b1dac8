"""What Plivo says of an account and its senders, asked by reading alone.

The resources are those of plivo.com/docs: Account, AccountPhoneNumber and Powerpack. That a subaccount may read its own
resources under its own Auth ID is from memory, and unverified.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from channels.contract import SendError
from channels.examination import Finding, Inquiry, fault, masked, ok, unknown, warning
from channels.providers._plivo_settings import Settings
from channels.providers._senders import bare
from channels.transport import Transport


class Account:
    """An account as its settings see it. `url` is its resource, without a trailing slash."""

    def __init__(
        self, settings: Settings, transport: Transport, inquiry: Inquiry, url: str, authorization: str
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._inquiry = inquiry
        self._url = url
        self._authorization = authorization
        self._by_code = inquiry.remedies.by_code

    async def findings(self) -> list[Finding]:
        settings = self._settings
        checks: dict[str, Awaitable[Finding]] = {"account": self._account()}
        if settings.powerpack_uuid:
            checks["Powerpack"] = self._powerpack(settings.powerpack_uuid)
        if settings.from_sms:
            checks[_called("SMS", settings.from_sms)] = self._sms(settings.from_sms)
        if settings.from_voice:
            checks[_called("voice", settings.from_voice)] = self._number("voice", settings.from_voice, "call.3030")
        return await self._inquiry.findings(checks)

    async def _account(self) -> Finding:
        found = await self._get("/")
        if found.get("account_type") == "developer":
            return warning("account", "on trial", self._inquiry.remedies.by_finding["trial"])
        try:
            left = float(found["cash_credits"])
        except (KeyError, TypeError, ValueError):
            return ok("account", "the Auth Token is right")
        if left <= 0 and found.get("billing_mode") != "postpaid":
            return fault("account", f"{left:.2f} US dollars left", self._by_code["sms.900"])
        return ok("account", f"the Auth Token is right; {left:.2f} US dollars left")

    async def _powerpack(self, uuid: str) -> Finding:
        if await self._there(f"/Powerpack/{uuid}/") is None:
            return fault("Powerpack", "not in the account", self._by_code["sms.40"])
        return ok("Powerpack", "in the account; whether it has a number for every country, only a message shows")

    async def _sms(self, sender: str) -> Finding:
        if not sender.startswith("+"):
            why = "short codes and names are not listed, and countries decide whether they show a name"
            return unknown(_called("SMS", sender), why)
        return await self._number("SMS", sender, "sms.40")

    async def _number(self, channel: str, number: str, code: str) -> Finding:
        """Plivo says of its numbers whether they can receive; that those can send as well is what its console says."""
        what = _called(channel, number)
        found = await self._there(f"/Number/{bare(number)}/")
        if found is None:
            return fault(what, "not in the account", self._by_code[code])
        if found.get(f"{channel.lower()}_enabled") is False:
            return fault(what, f"a number of the account that can't do {channel}", self._by_code[code])
        return ok(what, "a number of the account")

    async def _there(self, path: str) -> Mapping[str, Any] | None:
        try:
            return await self._get(path)
        except SendError as error:
            if error.vendor_code != "http.404":
                raise
            return None

    async def _get(self, path: str) -> Mapping[str, Any]:
        headers = {"Authorization": self._authorization}
        return await self._inquiry.read(self._transport.request("GET", self._url + path, headers=headers))


def _called(channel: str, sender: str) -> str:
    return f"{channel} from {masked(sender)}"
