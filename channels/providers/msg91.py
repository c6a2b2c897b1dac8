"""MSG91: a code by SMS through a template of the Flow API, as India's registered traffic needs it.

Reports come to one address for the whole account, unsigned. Each finds its message by CRQID, a field that MSG91 echoes
and that holds the gateway's own token; a report without it is dropped.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from channels import errors, remedies
from channels.contract import (
    SHARED,
    Answer,
    Callback,
    Channel,
    Context,
    DeliveryReport,
    ErrorClass,
    Forged,
    Message,
    Outcome,
    ProviderSettings,
    Receipt,
    ReportKind,
    SecretRef,
    SendError,
    vendor_code,
)
from channels.examination import Finding, Inquiry, ok, unknown
from channels.providers._reading import form_fields, json_object, price
from channels.providers._senders import bare, form, nearest
from channels.transport import Reply, Transport, refused

API = "https://control.msg91.com"

BATCH = 1000
"""Reports that are read from one request."""

_PROOF = "x-webhook-secret"  # the header that MSG91's panel is told to send

DUPLICATE = "311"
"""The same request twice within ten seconds: MSG91 drops the second one, and the first has the same code in it."""

_DELIVERED = "1"
_REQUEST_ID = re.compile(r"[0-9A-Za-z]{8,64}")
_TEMPLATE = form(r"[0-9a-fA-F]{24}", "write the template's id as MSG91's panel shows it: 24 hexadecimal digits")
_VARIABLE = form(r"[A-Za-z][A-Za-z0-9_]{0,31}", "write the variable's name as the template has it, without ##")

# The Flow API answers an error mainly in words. These are the words of the published codes, in the order in which they
# are looked for; the codes' own table says the class. (unverified: MSG91 publishes no list of the words.)
_WORDS: tuple[tuple[str, str], ...] = (
    ("twice", DUPLICATE),
    ("duplicate", DUPLICATE),
    ("whitelist", "418"),
    ("blacklist", "208"),
    ("balance", "301"),
    ("demo account", "505"),
    ("expired user", "302"),
    ("banned", "303"),
    ("authkey", "207"),
    ("authentication", "207"),
    ("flow id", "template"),
    ("template", "template"),
    ("sender", "203"),
    ("dnd", "9"),
    ("ndnc", "9"),
    ("mobile", "202"),
)


class Settings(ProviderSettings):
    """An MSG91 account."""

    authkey: SecretRef = Field(description="The account's authentication key.")
    template_id: Annotated[str, _TEMPLATE] = Field(
        description="The template's id in MSG91, which is not the DLT's one."
    )
    template_ids: dict[str, Annotated[str, _TEMPLATE]] = Field(
        default_factory=dict, description="Templates for single languages, by language tag: {hi: '64...'}."
    )
    code_variable: Annotated[str, _VARIABLE] = Field("VAR1", description="The variable that holds the code.")
    minutes_variable: Annotated[str, _VARIABLE] | None = Field(
        None, description="A variable that holds the minutes until the code expires, if the template has one."
    )
    sender: Annotated[str, form(r"[A-Za-z0-9]{3,11}", "write the registered header, such as ACMEIN")] | None = Field(
        None, description="The registered header, where the template does not bring its own."
    )
    currency: Annotated[str, form(r"[A-Z]{3}", "write a currency's code, such as INR")] = Field(
        "INR", description="The currency of the prices in the reports: the account's own."
    )
    webhook_secret: SecretRef | None = Field(
        None, description="What MSG91's webhook sends in the header X-Webhook-Secret. Reports without it are refused."
    )

    @property
    def channels(self) -> frozenset[Channel]:
        return frozenset({Channel.SMS})

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.minutes_variable == self.code_variable:
            raise ValueError("code_variable and minutes_variable are the same: the code would be lost")
        return self


class Msg91:
    """One MSG91 account. Built by `build`."""

    shared = True

    def __init__(self, settings: Settings, context: Context, table: errors.Table) -> None:
        self._name = context.name
        self._settings = settings
        self._table = table
        self._authkey = context.secrets["authkey"]
        self._secret = context.secrets.get("webhook_secret", "").encode()
        self._url = f"{settings.base_url or API}/api/v5/flow/"
        self._transport = Transport.of(settings, context)

    @property
    def channels(self) -> frozenset[Channel]:
        return self._settings.channels

    async def send(self, message: Message) -> Receipt:
        if message.channel is not Channel.SMS:
            raise SendError(ErrorClass.REQUEST_BUG, "channel_not_configured")
        headers = {"authkey": self._authkey, "Content-Type": "application/json", "Accept": "application/json"}
        reply = await self._transport.request("POST", self._url, headers=headers, body=self._body(message))
        content = json_object(reply.body)
        if reply.ok and content.get("type") == "success":
            return Receipt(_request_id(content.get("message")))
        code = _code(content)
        if code == DUPLICATE:
            return Receipt()
        raise self._refusal(reply, code, answered="type" in content)

    def read(self, callback: Callback) -> Outcome:
        given = callback.headers.get(_PROOF, "").encode("utf-8", "replace")
        if self._secret and not hmac.compare_digest(given, self._secret):
            raise Forged
        found = (self._report(entry) for entry in islice(_entries(callback.body), BATCH))
        return Outcome(tuple(report for report in found if report))

    def answer(self, _message: Message | None) -> Answer:
        return Answer(status=404)

    async def examine(self, public_url: str) -> list[Finding]:
        """MSG91's only documented call that reads the account (balance.php) wants the authkey in the address, where
        logs on the way keep it: it is not called. Any answer of the host shows that it is reached."""
        inquiry = Inquiry(lambda reply: self._refusal(reply, "", answered=True), remedies.load("msg91"))
        found = await inquiry.findings({"API": self._reached(inquiry)})
        why = "MSG91 has no call for it that keeps the key secret; --send-to shows it"
        webhook = unknown(
            "webhook", f"the panel shows whether it posts to {public_url}/callbacks/{self._name}/{SHARED}"
        )
        return [*found, unknown("authkey, template and header", why), webhook]

    async def _reached(self, inquiry: Inquiry) -> Finding:
        reply = await self._transport.request("HEAD", self._settings.base_url or API)
        inquiry.note(reply)
        return ok("API", "reached")

    async def close(self) -> None:
        await self._transport.close()

    def _body(self, message: Message) -> bytes:
        settings = self._settings
        recipient = {"mobiles": bare(message.to), settings.code_variable: message.code}
        if settings.minutes_variable:
            recipient[settings.minutes_variable] = str(max(1, round(message.lifetime / 60)))
        if message.token:
            recipient["CRQID"] = message.token
        sender = message.sender or settings.sender
        content = {
            "template_id": nearest(settings.template_ids, message.wording.language) or settings.template_id,
            "short_url": "0",  # else links in the template are rewritten, and it is no longer the registered one
            "recipients": [recipient],
            **({"sender": sender} if sender else {}),
        }
        return json.dumps(content).encode()

    def _refusal(self, reply: Reply, code: str, *, answered: bool) -> SendError:
        """Whether errors come with a status other than 200 is nowhere said: the words go first, then the status."""
        if reply.ok and not answered:
            return SendError(ErrorClass.PROVIDER_DOWN, "unreadable", ambiguous=True)
        return refused(reply, errors.classify(self._table, self._settings.errors, code, reply.status), code)

    def _report(self, entry: Mapping[str, Any]) -> DeliveryReport | None:
        token, status = entry.get("CRQID"), str(entry.get("status"))
        if not isinstance(token, str) or not re.fullmatch("[0-9]{1,3}", status):
            return None
        error = self._settings.errors.get(status) or self._table.get(status)
        kind = ReportKind.DELIVERED if status == _DELIVERED else ReportKind.FAILED if error else ReportKind.PROGRESS
        cost = price(entry.get("amount"), self._settings.currency)
        return DeliveryReport(kind, error, status, _request_id(entry.get("requestId")), cost, token)


def build(settings: Settings, context: Context) -> Msg91:
    return Msg91(settings, context, errors.load("msg91"))


def _code(content: Mapping[str, Any]) -> str:
    """The code that an error names, or the one whose words it uses."""
    code = content.get("code")
    if isinstance(code, str | int) and re.fullmatch("[0-9]{3}", str(code)):
        return str(code)
    said = content.get("message")
    words = said.lower() if isinstance(said, str) else ""
    return next((known for phrase, known in _WORDS if phrase in words), vendor_code(code))


def _entries(body: bytes) -> Iterator[Mapping[str, Any]]:
    """The reports of a request: one as a JSON object (version 3), or a form whose field `data` is a JSON array of
    requests with their reports (version 2)."""
    flat = json_object(body)
    if flat:
        yield flat
        return
    for request in _requests(body):
        reports = request.get("report") if isinstance(request, dict) else None
        for report in reports if isinstance(reports, list) else ():
            if isinstance(report, dict):
                yield {"requestId": request.get("requestId"), **report}


def _requests(body: bytes) -> list[Any]:
    try:
        requests = json.loads(dict(form_fields(body)).get("data", ""))
    except (ValueError, RecursionError):
        return []
    return requests if isinstance(requests, list) else []


def _request_id(value: object) -> str:
    return value if isinstance(value, str) and _REQUEST_ID.fullmatch(value) else ""
