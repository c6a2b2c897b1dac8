"""A stand-in for a carrier: it takes messages on every channel, shows them, and reports back over real HTTP."""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field

from channels.contract import (
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
    Wording,
    vendor_code,
)
from channels.examination import Finding, ok
from channels.simulated import OUTCOMES, Fate, Scenario, When, Word, fate
from channels.transport import Reply, Transport

SIGNATURE = "x-simulator-signature"
"""Hex HMAC-SHA256 of the raw body."""

FREE = True
"""Its messages cost nothing, unless a price is configured."""

BACKLOG = 10_000
"""Messages whose reports are still to come. Beyond it the simulator throttles, as a carrier does."""


class Settings(ProviderSettings):
    """A simulated carrier."""

    channels: frozenset[Channel] = Field(
        frozenset(Channel), min_length=1, description="What it carries: sms, voice, whatsapp, telegram, email."
    )
    history: int = Field(200, ge=1, le=10_000, description="Messages that the page shows; older ones are forgotten.")
    report_after: float = Field(
        1.0, ge=0, le=600, description="Seconds until a delivery report, or until a call is answered."
    )
    late_after: float = Field(40.0, ge=0, le=3600, description="Seconds until the report of a message that comes late.")
    secret: SecretRef | None = Field(
        None,
        description="Signs the reports. Left out: made at start, which is right for one process. Several that share "
        "the work need one secret, for each may receive what another has signed.",
    )

    def where(self, url: str) -> str:
        """An address of the gateway, at the base_url's host when there is one."""
        if self.base_url is None:
            return url
        parsed = urlsplit(url)
        return self.base_url + urlunsplit(("", "", parsed.path, parsed.query, ""))


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a message."""

    at: datetime
    what: str


@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """One message as its recipient would see it, and what happened to it. Holds the code: for the page only."""

    id: str
    channel: Channel
    to: str
    wording: Wording
    sender: str  # "" where the message named none
    at: datetime
    status: str = "accepted"  # accepted, refused, timed out, answered, progress, delivered, failed
    heard: str = ""  # what a call said, once it was answered
    timeline: tuple[Event, ...] = ()  # oldest first

    def __repr__(self) -> str:
        return f"Entry({self.id!r}, {self.channel}, {self.status!r})"


def _utc() -> datetime:
    return datetime.now(UTC)


class Simulator:
    """A carrier in a process. Its inbox and its backlog are bounded; `now` and `sleep` are its only clocks."""

    def __init__(
        self,
        settings: Settings,
        context: Context,
        *,
        now: Callable[[], datetime] = _utc,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.channels = settings.channels
        self._settings = settings
        self._secret = (context.secrets.get("secret") or secrets.token_hex(32)).encode()
        self._now = now
        self._sleep = sleep
        self._entries: dict[str, Entry] = {}  # oldest first
        self._tasks: set[asyncio.Task[None]] = set()
        self._http = Transport.of(settings, context)

    @property
    def outcomes(self) -> tuple[Scenario, ...]:
        """The numbers and addresses that do something of their own."""
        return OUTCOMES

    def inbox(self) -> tuple[Entry, ...]:
        """The latest messages, newest first."""
        return tuple(reversed(self._entries.values()))

    async def send(self, message: Message) -> Receipt:
        """Take a message, and do with it what the table says of its number or address."""
        if message.channel not in self.channels:
            raise SendError(ErrorClass.REQUEST_BUG, "channel")
        if len(self._tasks) >= BACKLOG:
            raise SendError(ErrorClass.THROTTLED, "backlog")
        entry, does = self._enter(message), fate(message.channel, message.to)
        await self._refuse(entry, does)
        self._note(entry, "accepted", "accepted")
        await self._report_all(entry, message, tuple(word for word in does.reports if word.when is When.EARLY))
        self._start(self._live(entry, message, does))
        return Receipt(entry)

    def read(self, callback: Callback) -> Outcome:
        given = callback.headers.get(SIGNATURE, "")
        if not hmac.compare_digest(given.encode(errors="replace"), self._sign(callback.body).encode()):
            raise Forged
        if callback.method == "GET":
            return Outcome(wants_message=True)
        report = _parse(callback.body)
        if report is None:
            return Outcome()
        if report.error is not None:
            report = replace(report, error=self._settings.errors.get(report.vendor_code, report.error))
        return Outcome((report,))

    def answer(self, message: Message | None) -> Answer:
        said = {"hangup": True} if message is None else {"say": message.wording.spoken or message.wording.text}
        return Answer(json.dumps(said).encode(), "application/json")

    async def examine(self, public_url: str) -> list[Finding]:
        return [ok("simulator", f"shows every message at {public_url}/simulator, and sends none")]

    async def close(self) -> None:
        """Forget the reports that are still to come."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._http.close()

    async def _refuse(self, entry: str, does: Fate) -> None:
        if does.hangs:
            await self._sleep(self._settings.timeout)
            self._note(entry, "timed out", "no answer before the deadline")
            raise SendError(ErrorClass.PROVIDER_DOWN, "timeout", ambiguous=True)
        if does.refusal is not None:
            error = self._settings.errors.get(does.code, does.refusal)
            self._note(entry, "refused", f"refused: {error} ({does.code})")
            raise SendError(error, does.code)

    async def _live(self, entry: str, message: Message, does: Fate) -> None:
        """What happens after the answer to the send."""
        if message.channel is Channel.VOICE and does.answered:
            await self._sleep(self._settings.report_after)
            if not await self._listen(entry, message):
                await self._report(entry, message, Word(ReportKind.FAILED, ErrorClass.TEMPORARY, "nothing-said"))
                return
        await self._report_all(entry, message, tuple(word for word in does.reports if word.when is not When.EARLY))

    async def _report_all(self, entry: str, message: Message, words: tuple[Word, ...]) -> None:
        delays = {When.SOON: self._settings.report_after, When.LATE: self._settings.late_after}
        for word in words:
            if word.when in delays:
                await self._sleep(delays[word.when])
            await self._report(entry, message, word)

    async def _report(self, entry: str, message: Message, word: Word) -> None:
        self._note(entry, word.kind, f"{word.kind}{f': {word.error} ({word.code})' if word.error else ''}")
        if message.callback_url is None:
            return
        body = {"id": entry, "status": word.kind, "error": word.error, "code": word.code}
        reply = await self._call("POST", message.callback_url, json.dumps(body).encode())
        self._note(entry, None, f"reported {word.kind}, answered {reply.status if isinstance(reply, Reply) else reply}")

    async def _listen(self, entry: str, message: Message) -> bool:
        """Pick up the phone: fetch what the call says, as a voice vendor does. False when it says nothing."""
        said = message.wording.spoken
        if message.answer_url is not None:
            reply = await self._call("GET", message.answer_url)
            self._note(
                entry, None, f"asked what to say, answered {reply.status if isinstance(reply, Reply) else reply}"
            )
            said = _said(reply.body) if isinstance(reply, Reply) and reply.ok else ""
        self._note(entry, "answered", "answered" if said else "answered, and heard nothing", heard=said)
        return bool(said)

    async def _call(self, method: str, url: str, body: bytes = b"") -> Reply | str:
        """The gateway's reply, or one word for why there is none."""
        headers = {SIGNATURE: self._sign(body), "Content-Type": "application/json"}
        try:
            return await self._http.request(method, self._settings.where(url), headers=headers, body=body)
        except SendError as error:
            return error.vendor_code

    def _sign(self, body: bytes) -> str:
        return hmac.new(self._secret, body, sha256).hexdigest()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _enter(self, message: Message) -> str:
        entry = f"sim_{secrets.token_hex(8)}"
        self._entries[entry] = Entry(
            entry, message.channel, message.to, message.wording, message.sender or "", self._now()
        )
        while len(self._entries) > self._settings.history:
            del self._entries[next(iter(self._entries))]
        return entry

    def _note(self, entry: str, status: str | None, what: str, heard: str = "") -> None:
        """Add to a message's timeline, unless the message is forgotten already."""
        before = self._entries.get(entry)
        if before is not None:
            self._entries[entry] = replace(
                before,
                status=str(status or before.status),
                heard=heard or before.heard,
                timeline=(*before.timeline, Event(self._now(), what)),
            )


def _parse(body: bytes) -> DeliveryReport | None:
    try:
        said = json.loads(body)
        error = ErrorClass(said["error"]) if said["error"] is not None else None
        return DeliveryReport(ReportKind(said["status"]), error, vendor_code(said["code"]), str(said["id"]))
    except (ValueError, KeyError, TypeError):
        return None


def _said(body: bytes) -> str:
    try:
        return str(json.loads(body).get("say", ""))
    except (ValueError, AttributeError):
        return ""


def build(settings: Settings, context: Context) -> Simulator:
    """Raises ValueError in production: whoever sees the simulator's page sees every code."""
    if context.production:
        raise ValueError(
            f"providers.{context.name}: the simulator shows every code to whoever opens its page, so production "
            "refuses it: configure a real provider in its place"
        )
    return Simulator(settings, context)
