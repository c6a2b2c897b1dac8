"""What Vonage says of an account, its application and its numbers, asked by reading alone.

The calls are those of developer.vonage.com: Account API (get-balance), Numbers API (list the numbers you own) and
Application API version 2, all with the API key and secret; and Voice API (list calls) with the application's own token,
where there is no API key. No page says with which errors a list of calls is refused to an application without the
voice capability, so that such a refusal is no fault (unverified).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from channels import errors
from channels.contract import ErrorClass, SendError
from channels.examination import Finding, Inquiry, fault, masked, ok, unknown, warning
from channels.providers._reading import json_object
from channels.providers._senders import bare
from channels.providers._vonage_reports import problem_code
from channels.providers._vonage_settings import Settings
from channels.transport import Reply, Transport, refused

API = "https://api.nexmo.com"
ACCOUNT_API = "https://rest.nexmo.com"

Authorization = Callable[[], str]
"""Writes the header of one request."""


def refusal(table: errors.Table, overrides: errors.Table, reply: Reply) -> SendError:
    """A refusal of any of these APIs. The account's own shape, {"error-code": "401"}, says no more than the status."""
    code = problem_code(json_object(reply.body))
    if not code and reply.status == 401:
        code = "unauthorized"
    return refused(reply, errors.classify(table, overrides, code, reply.status), code)


class Account:
    """An account as its settings see it. `basic` and `bearer` are None where the credentials for them are missing;
    `public_key` is the one that belongs to the configured private key."""

    def __init__(
        self,
        settings: Settings,
        transport: Transport,
        inquiry: Inquiry,
        basic: Authorization | None,
        bearer: Authorization | None,
        public_key: RSAPublicKey | None,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._inquiry = inquiry
        self._basic = basic
        self._bearer = bearer
        self._public_key = public_key
        self._by_code = inquiry.remedies.by_code
        self._by_finding = inquiry.remedies.by_finding

    async def findings(self) -> list[Finding]:
        settings = self._settings
        checks: dict[str, Awaitable[Finding]] = {}
        if self._basic:
            checks["balance"] = self._balance(self._basic)
        if self._basic and settings.application_id:
            checks["application"] = self._application(self._basic, settings.application_id)
        elif self._bearer:
            checks["application"] = self._token(self._bearer)
        if settings.from_sms:
            checks[_called("SMS", settings.from_sms)] = self._number("SMS", settings.from_sms)
        if settings.from_voice:
            checks[_called("voice", settings.from_voice)] = self._number("VOICE", settings.from_voice)
        return [*await self._inquiry.findings(checks), *self._unasked()]

    def _unasked(self) -> list[Finding]:
        found: list[Finding] = []
        if self._settings.signature_secret:
            found.append(unknown("signature secret", "Vonage tells it to nobody; the first signed report shows it"))
        if self._settings.from_whatsapp:
            found.append(unknown("WhatsApp sender and template", "Vonage has no call for them; --send-to shows it"))
        return found

    async def _balance(self, basic: Authorization) -> Finding:
        found = await self._get(f"{self._host(ACCOUNT_API)}/account/get-balance", basic)
        left = found.get("value")
        if isinstance(left, bool) or not isinstance(left, int | float):
            return unknown("balance", "the answer names none")
        return (
            ok("balance", f"{left:.2f} EUR")
            if left > 0
            else fault("balance", f"{left:.2f} EUR", self._by_code["sms.9"])
        )

    async def _application(self, basic: Authorization, application: str) -> Finding:
        found = await self._get(f"{self._host(API)}/v2/applications/{application}", basic)
        keys, able = found.get("keys"), found.get("capabilities")
        pem = keys.get("public_key") if isinstance(keys, dict) else None
        if self._public_key and isinstance(pem, str) and not _same(pem, self._public_key):
            return fault("application", "its public key is not that of private_key", self._by_code["sms.4"])
        wanted = {"messages": self._settings.messages, "voice": self._settings.from_voice is not None}
        missing = [name for name, needed in wanted.items() if needed and name not in (able or {})]
        if missing:
            seen = f"it lacks the capability {' and '.join(missing)}"
            return fault("application", seen, self._by_finding["capability"])
        return ok("application", "it has the capabilities, and its key is that of private_key")

    async def _token(self, bearer: Authorization) -> Finding:
        """One call at the most is listed, and not looked at."""
        try:
            await self._get(f"{self._settings.base_url or API}/v1/calls?page_size=1", bearer)
        except SendError as error:
            if error.error is ErrorClass.PROVIDER_ACCOUNT and error.vendor_code in ("forbidden", "unprovisioned"):
                return unknown("application", "its token may not list calls", self._by_finding["look"])
            raise
        return ok("application", "its key is accepted")

    async def _number(self, feature: str, sender: str) -> Finding:
        what = _called("SMS" if feature == "SMS" else "voice", sender)
        if not sender.startswith("+"):
            return unknown(what, "a name belongs to no account, and countries decide whether they show it")
        if not self._basic:
            return unknown(what, "numbers are told to the API key only", self._by_finding["look"])
        digits = bare(sender)
        url = f"{self._host(ACCOUNT_API)}/account/numbers?pattern={digits}&search_pattern=0"
        found = (await self._get(url, self._basic)).get("numbers")
        owned = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
        number = next((one for one in owned if one.get("msisdn") == digits), None)
        if number is None:  # some countries let an SMS come from any number; a call must come from Vonage's own
            return (warning if feature == "SMS" else fault)(what, "not in the account", self._by_finding["number"])
        if feature not in (number.get("features") or ()):
            return fault(what, f"a number of the account that can't do {feature}", self._by_finding["number"])
        return ok(what, "a number of the account")

    async def _get(self, url: str, authorization: Authorization) -> Mapping[str, Any]:
        headers = {"Authorization": authorization(), "Accept": "application/json"}
        return await self._inquiry.read(self._transport.request("GET", url, headers=headers))

    def _host(self, usual: str) -> str:
        """The account, its numbers and its applications are kept in one place for all regions."""
        base = (self._settings.sms_base_url if usual == ACCOUNT_API else None) or self._settings.base_url
        host = urlsplit(base).hostname if base else None
        return usual if base is None or (host or "").endswith((".nexmo.com", ".vonage.com")) else base


def _same(pem: str, key: RSAPublicKey) -> bool:
    try:
        theirs = load_pem_public_key(pem.encode())
    except ValueError:
        return False
    return isinstance(theirs, RSAPublicKey) and theirs.public_numbers() == key.public_numbers()


def _called(channel: str, sender: str) -> str:
    return f"{channel} from {masked(sender)}"
