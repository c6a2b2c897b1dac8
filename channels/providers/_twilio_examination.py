"""What Twilio says of an account and its senders, asked by reading alone.

The resources are those of Twilio's OpenAPI description: Account, Balance, IncomingPhoneNumber, OutgoingCallerId and
ShortCode of api.twilio.com; the senders of a Service and Channels/Senders of messaging.twilio.com; ApprovalRequests of
content.twilio.com. They are read with the auth token, which callbacks need anyway: Standard and Restricted API keys
have no access to the account ("API keys overview", error 20003).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp

from channels.contract import Context, SendError
from channels.examination import Finding, Inquiry, fault, masked, ok, unknown, warning
from channels.providers._twilio_settings import Settings
from channels.transport import Transport

API = "https://api.twilio.com"

_PAGE = 20  # WhatsApp senders looked through: one takes about a kilobyte and a half
_TEMPLATES = 10  # looked at, of the languages' own ones
_ONLINE = ("ONLINE", "ONLINE:UPDATING")


class Account:
    """An account as its settings see it."""

    def __init__(self, settings: Settings, context: Context, transport: Transport, inquiry: Inquiry) -> None:
        self._settings = settings
        self._transport = transport
        self._inquiry = inquiry
        self._by_code = inquiry.remedies.by_code
        self._base = settings.base_url or API
        self._resource = f"{self._base}/2010-04-01/Accounts/{settings.account_sid}"
        self._token = aiohttp.encode_basic_auth(settings.account_sid, context.secrets["auth_token"])
        self._key_secret = context.secrets.get("api_key_secret", "")

    async def findings(self) -> list[Finding]:
        return await self._inquiry.findings({"account": self._account(), "balance": self._balance(), **self._senders()})

    def _senders(self) -> dict[str, Awaitable[Finding]]:
        settings = self._settings
        checks: dict[str, Awaitable[Finding]] = {}
        if settings.api_key_sid:
            checks["API key"] = self._key(settings.api_key_sid)
        if settings.from_sms:
            checks[_called("SMS", settings.from_sms)] = self._sms(settings.from_sms)
        if settings.messaging_service_sid:
            checks["Messaging Service"] = self._service(settings.messaging_service_sid)
        if settings.from_voice:
            checks[_called("voice", settings.from_voice)] = self._voice(settings.from_voice)
        if settings.from_whatsapp:
            checks[_called("WhatsApp", settings.from_whatsapp)] = self._whatsapp(settings.from_whatsapp)
        templates = dict.fromkeys([settings.whatsapp_content_sid, *settings.whatsapp_content_sids.values()])
        for sid in [sid for sid in templates if sid][:_TEMPLATES]:
            checks[f"template {sid}"] = self._template(sid)
        return checks

    async def _account(self) -> Finding:
        """The answer also holds the auth token: nothing of it is kept but these two words."""
        found = await self._get(f"{self._resource}.json")
        if found.get("status") != "active":
            return fault("account", f"it is {_word(found.get('status'))}", self._by_code["20005"])
        if found.get("type") == "Trial":
            return warning("account", "active, on trial", self._by_code["21608"])
        return ok("account", "active; the auth token is right")

    async def _balance(self) -> Finding:
        try:
            found = await self._get(f"{self._resource}/Balance.json")
            left = float(found["balance"])
        except (KeyError, TypeError, ValueError):  # "Child accounts do not contain balance information"
            return unknown("balance", "a subaccount has none of its own")
        except SendError as error:
            if error.vendor_code != "20404":
                raise
            return unknown("balance", "Twilio names none for this account")
        currency = _word(found.get("currency"))
        if left <= 0:
            return fault("balance", f"{left:.2f} {currency}", self._by_code["20005"])
        return ok("balance", f"{left:.2f} {currency}")

    async def _key(self, sid: str) -> Finding:
        """A restricted key may lack the right to look at numbers, and Twilio answers that like a wrong secret."""
        authorization = aiohttp.encode_basic_auth(sid, self._key_secret)
        try:
            await self._get(f"{self._resource}/IncomingPhoneNumbers.json?PageSize=1", authorization)
        except SendError as error:
            if error.vendor_code != "20003" and error.vendor_code != "70051":
                raise
            remedy = self._inquiry.remedies.by_finding["api_key"]
            return warning("API key", f"refused when it looks at numbers ({error.vendor_code})", remedy)
        return ok("API key", "accepted")

    async def _sms(self, sender: str) -> Finding:
        what = _called("SMS", sender)
        if sender.isdigit():
            found = await self._list("SMS/ShortCodes.json", "short_codes", ShortCode=sender)
            return ok(what, "a short code of the account") if found else self._missing(what)
        if not sender.startswith("+"):
            return unknown(what, "a name belongs to no account, and countries decide whether they show it")
        return self._able(what, await self._numbers(sender), "sms")

    async def _voice(self, number: str) -> Finding:
        what = _called("voice", number)
        numbers, verified = await asyncio.gather(
            self._numbers(number), self._list("OutgoingCallerIds.json", "outgoing_caller_ids", PhoneNumber=number)
        )
        return ok(what, "a verified caller id") if verified and not numbers else self._able(what, numbers, "voice")

    async def _numbers(self, number: str) -> list[Mapping[str, Any]]:
        return await self._list("IncomingPhoneNumbers.json", "incoming_phone_numbers", PhoneNumber=number)

    def _able(self, what: str, found: list[Mapping[str, Any]], capability: str) -> Finding:
        if not found:
            return self._missing(what)
        able = found[0].get("capabilities")
        if isinstance(able, dict) and able.get(capability) is False:
            return fault(what, f"a number of the account that can't do {capability}", self._by_code["21606"])
        return ok(what, "a number of the account")

    def _missing(self, what: str) -> Finding:
        return fault(what, "not in the account", self._by_code["21606"])

    async def _service(self, sid: str) -> Finding:
        base = f"{self._host('messaging')}/v1/Services/{sid}"
        kinds = {"PhoneNumbers": "phone_numbers", "ShortCodes": "short_codes", "AlphaSenders": "alpha_senders"}
        found = await asyncio.gather(*(self._get(f"{base}/{path}?PageSize=1") for path in kinds))
        if not any(page.get(key) for page, key in zip(found, kinds.values(), strict=True)):
            return fault("Messaging Service", "it has no sender", self._by_code["21703"])
        return ok("Messaging Service", "it has senders; whether for every country, only a message shows")

    async def _whatsapp(self, number: str) -> Finding:
        what = _called("WhatsApp", number)
        page = await self._get(f"{self._host('messaging')}/v2/Channels/Senders?Channel=whatsapp&PageSize={_PAGE}")
        senders = [one for one in page.get("senders") or () if isinstance(one, dict)]
        sender = next((one for one in senders if one.get("sender_id") == f"whatsapp:{number}"), None)
        if sender is None and len(senders) >= _PAGE:
            return unknown(what, f"the account has more than {_PAGE} WhatsApp senders")
        if sender is None:
            return fault(what, "not a WhatsApp sender of the account", self._by_code["63007"])
        if sender.get("status") not in _ONLINE:
            return fault(what, f"its status is {_word(sender.get('status'))}", self._by_code["63007"])
        return ok(what, "online")

    async def _template(self, sid: str) -> Finding:
        what = f"template {sid}"
        found = (await self._get(f"{self._host('content')}/v1/Content/{sid}/ApprovalRequests")).get("whatsapp")
        status = found.get("status") if isinstance(found, dict) else None
        category = found.get("category") if isinstance(found, dict) else None
        if status != "approved":
            return fault(what, f"WhatsApp's approval: {_word(status)}", self._by_code["63016"])
        if category != "AUTHENTICATION":
            return fault(what, f"approved as {_word(category)}", self._by_code["63016"])
        return ok(what, "approved for authentication")

    async def _list(self, path: str, key: str, **filters: str) -> list[Mapping[str, Any]]:
        found = (await self._get(f"{self._resource}/{path}?{urlencode(filters)}")).get(key)
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    async def _get(self, url: str, authorization: str = "") -> Mapping[str, Any]:
        headers = {"Authorization": authorization or self._token}
        return await self._inquiry.read(self._transport.request("GET", url, headers=headers))

    def _host(self, product: str) -> str:
        """Each product has a host of its own beside api., in every region; an address that is neither has them all."""
        return self._base.replace("://api.", f"://{product}.", 1)


def _called(channel: str, sender: str) -> str:
    return f"{channel} from {masked(sender)}"


def _word(value: object) -> str:
    """One of Twilio's own words, and nothing longer."""
    return value if isinstance(value, str) and re.fullmatch(r"[A-Za-z:_ ]{1,30}", value) else "unknown"
