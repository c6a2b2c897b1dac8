"""What AWS says of an account's SMS and voice, its senders and its configuration set, asked by reading alone.

The operations are Describe... of PinpointSMSVoiceV2, and GetSMSSandboxAccountStatus and GetSMSAttributes of SNS, as
their API references and botocore's models have them. A key that may only send is refused them, and that refusal comes
after its signature was found right: such a key is good, and the rest can't be looked at.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from channels.contract import SendError
from channels.examination import Finding, Inquiry, fault, masked, ok, unknown, warning

DENIED = frozenset({"AccessDeniedException", "AccessDenied", "AuthorizationError"})

Describe = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""An operation and its fields to its answer. Raises SendError."""

Get = Callable[[str], Awaitable[str]]
"""The query protocol's same: an action to the XML of its answer."""

_PAGE = 50
"""Numbers looked through, of which each takes half a kilobyte and more."""


class Messaging:
    """End User Messaging. `senders` are the origination identities by capability: SMS, VOICE."""

    def __init__(
        self,
        describe: Describe,
        inquiry: Inquiry,
        senders: Mapping[str, str],
        configuration_set: str | None,
        topic: str | None,
    ) -> None:
        self._describe = describe
        self._inquiry = inquiry
        self._senders = senders
        self._set = configuration_set
        self._topic = topic
        self._by_code = inquiry.remedies.by_code
        self._by_finding = inquiry.remedies.by_finding

    async def findings(self) -> list[Finding]:
        checks: dict[str, Awaitable[Finding]] = {
            "account": self._looked("account", self._account()),
            "spend limit": self._looked("spend limit", self._spending()),
        }
        for capability, sender in self._senders.items():
            what = f"{_CALLED[capability]} from {masked(sender)}"
            checks[what] = self._looked(what, self._sender(what, capability, sender))
        if self._set:
            checks["configuration set"] = self._looked("configuration set", self._events(self._set))
        found = await self._inquiry.findings(checks)
        if self._topic:
            found.append(unknown("subscription of the topic", "it is SNS's; the console shows whether it is confirmed"))
        return found

    async def _looked(self, what: str, check: Awaitable[Finding]) -> Finding:
        try:
            return await check
        except SendError as error:
            if error.vendor_code not in DENIED:
                raise
            right = "the key is right and may not look" if what == "account" else "the key may not look"
            return unknown(what, right, self._by_finding["look"])

    async def _account(self) -> Finding:
        found = _objects(await self._describe("DescribeAccountAttributes", {}), "AccountAttributes")
        tiers = [one.get("Value") for one in found if one.get("Name") == "ACCOUNT_TIER"]
        if "SANDBOX" in tiers:
            remedy = self._by_code["DESTINATION_PHONE_NUMBER_NOT_VERIFIED"]
            return warning("account", "in the sandbox: it sends to verified numbers only", remedy)
        return ok("account", "in production")

    async def _spending(self) -> Finding:
        found = _objects(await self._describe("DescribeSpendLimits", {}), "SpendLimits")
        wanted = [f"{_SPENT[capability]}_MESSAGE_MONTHLY_SPEND_LIMIT" for capability in ("SMS", *self._senders)]
        limits = {str(one.get("Name")): one.get("EnforcedLimit") for one in found if one.get("Name") in wanted}
        if not limits:
            return unknown("spend limit", "the answer names none")
        seen = ", ".join(f"{_DOLLARS[name]} {limit} US dollars a month" for name, limit in limits.items())
        if any(isinstance(limit, int | float) and limit <= 1 for limit in limits.values()):
            return warning("spend limit", seen, self._by_code["MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT"])
        return ok("spend limit", seen)

    async def _sender(self, what: str, capability: str, sender: str) -> Finding:
        kind, operation, fields = _question(sender)
        answer = await self._describe(operation, fields)
        found = _objects(answer, _ANSWERS[operation])
        if kind == "number":
            found = [one for one in found if one.get("PhoneNumber") == sender]
            if not found and answer.get("NextToken"):
                return unknown(what, f"the account has more than {_PAGE} numbers")
        if not found:
            return fault(what, "not in this account and region", self._by_code["ResourceNotFoundException"])
        return self._able(what, capability, found[0])

    def _able(self, what: str, capability: str, found: Mapping[str, Any]) -> Finding:
        status, able = found.get("Status"), found.get("NumberCapabilities")
        if status is not None and status != "ACTIVE":
            return fault(what, f"its status is {_word(status)}", self._by_finding["sender"])
        if isinstance(able, list) and capability not in able:
            return fault(what, f"it can't do {capability}", self._by_finding["sender"])
        if found.get("NumberType") == "SIMULATOR":
            return warning(what, "a simulator's number, which reaches nobody", self._by_finding["sender"])
        return ok(what, "active" if status else "there")

    async def _events(self, name: str) -> Finding:
        found = _objects(
            await self._describe("DescribeConfigurationSets", {"ConfigurationSetNames": [name]}), "ConfigurationSets"
        )
        if not found:
            return fault("configuration set", "not in this region", self._by_code["ResourceNotFoundException"])
        if self._topic is None:
            return ok("configuration set", "there; without topic_arn no reports come")
        leads = [one for one in _objects(found[0], "EventDestinations") if self._leads(one)]
        if not leads:
            seen = "no enabled event destination leads to topic_arn"
            return fault("configuration set", seen, self._by_finding["events"])
        kinds = {kind for one in leads for kind in one.get("MatchingEventTypes") or ()}
        missing = [
            _ALL[capability] for capability in {"SMS": "", **self._senders} if not kinds & {"ALL", _ALL[capability]}
        ]
        if missing:
            seen = f"its events lack {' and '.join(missing)}"
            return warning("configuration set", seen, self._by_finding["events"])
        return ok("configuration set", "its events go to topic_arn")

    def _leads(self, destination: Mapping[str, Any]) -> bool:
        topic = destination.get("SnsDestination")
        return (
            isinstance(topic, dict) and topic.get("TopicArn") == self._topic and destination.get("Enabled") is not False
        )


async def publishing(get: Get, inquiry: Inquiry, sender_id: str | None) -> list[Finding]:
    """SNS Publish: the sandbox, and the spend limit, beyond which SNS drops messages in silence."""
    found = inquiry.remedies.by_finding

    async def account() -> Finding:
        answer = await _answered(get, "GetSMSSandboxAccountStatus")
        if answer is None:
            return unknown("account", "the key is right and may not look", found["look"])
        if re.search(r"<IsInSandbox>\s*true\s*</IsInSandbox>", answer):
            return warning("account", "in the SMS sandbox", found["sandbox"])
        return ok("account", "out of the SMS sandbox")

    async def spending() -> Finding:
        answer = await _answered(get, "GetSMSAttributes")
        if answer is None:
            return unknown("spend limit", "the key may not look", found["look"])
        limit = re.search(r"<key>MonthlySpendLimit</key>\s*<value>([0-9.]{1,12})</value>", answer)
        if limit is None:
            return warning(
                "spend limit", "none is set: 1 US dollar a month is what accounts begin with", found["spend"]
            )
        seen = f"{limit[1]} US dollars a month"
        return ok("spend limit", seen) if float(limit[1]) > 1 else warning("spend limit", seen, found["spend"])

    checks = {"account": account(), "spend limit": spending()}
    sender = [unknown(f"SMS from {sender_id}", "a name belongs to no account here")] if sender_id else []
    return [*await inquiry.findings(checks), *sender]


async def _answered(get: Get, action: str) -> str | None:
    try:
        return await get(action)
    except SendError as error:
        if error.vendor_code not in DENIED:
            raise
        return None


_CALLED = {"SMS": "SMS", "VOICE": "voice"}
_SPENT = {"SMS": "TEXT", "VOICE": "VOICE"}
_ALL = {"SMS": "TEXT_ALL", "VOICE": "VOICE_ALL"}
_DOLLARS = {"TEXT_MESSAGE_MONTHLY_SPEND_LIMIT": "SMS", "VOICE_MESSAGE_MONTHLY_SPEND_LIMIT": "voice"}
_ANSWERS = {"DescribePhoneNumbers": "PhoneNumbers", "DescribePools": "Pools", "DescribeSenderIds": "SenderIds"}


def _question(sender: str) -> tuple[str, str, dict[str, Any]]:
    """What kind of origination identity it is, and the operation that describes it. An ARN names its kind before the
    slash: arn:aws:sms-voice:eu-west-1:123456789012:pool/pool-0a1b."""
    resource = sender.rpartition(":")[2]
    if sender.startswith("+"):
        return "number", "DescribePhoneNumbers", {"MaxResults": _PAGE}
    if resource.startswith(("phone-number/", "phone-")):
        return "id", "DescribePhoneNumbers", {"PhoneNumberIds": [sender]}
    if resource.startswith(("pool/", "pool-")):
        return "id", "DescribePools", {"PoolIds": [sender]}
    name = resource.split("/")[1] if resource.startswith("sender-id/") else sender
    return "id", "DescribeSenderIds", {"Filters": [{"Name": "sender-id", "Values": [name]}]}


def _objects(answer: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = answer.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _word(value: object) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"[A-Z_]{1,30}", value) else "unknown"
