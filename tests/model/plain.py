"""What the API promises, as plainly as it can be said: a dictionary of verifications and the rules that change them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

WAITS = {"sms": 30, "voice": 45, "email": 60}
ORDER = tuple(WAITS)
LIFE, USEFUL, WINDOW = 600, 60, 600
CHECKS, GUESSES, STARTS = 3, 5, 4
"""Seconds, and how often: checks of one verification, failed ones of a destination, starts and resends for it in a
window."""


@dataclass
class Text:
    """One message."""

    channel: str
    at: int
    status: str = "sent"
    reason: str | None = None


@dataclass
class One:
    """One verification."""

    to: str
    began: int
    texts: list[Text]
    status: str = "pending"
    used: int = 0
    exhausted: bool = False

    @property
    def closed(self) -> set[str]:
        return {text.channel for text in self.texts if text.reason == "no_channel" and text.status == "failed"}

    def take(self, channel: str, now: int) -> None:
        self.texts.append(Text(channel, now))
        self.exhausted = False

    def after(self, *, by_person: bool) -> Iterator[str]:
        """The channels that are left to try; for a person they begin anew."""
        at = ORDER.index(self.texts[-1].channel) + 1
        order = ORDER[at:] + (ORDER[:at] if by_person else ())
        return (channel for channel in order if channel not in self.closed)


@dataclass
class Plain:
    """The whole service, in seconds since it began. What a call answers is a status and what its body must hold."""

    now: int = 0
    all: dict[str, One] = field(default_factory=dict)
    asked: dict[str, list[int]] = field(default_factory=dict)  # starts and resends, by destination
    failed: dict[str, int] = field(default_factory=dict)  # wrong codes, by destination
    keys: dict[str, tuple[str, str]] = field(default_factory=dict)  # idempotency key: destination and verification

    def room(self, to: str) -> bool:
        return sum(1 for at in self.asked.get(to, ()) if at + WINDOW > self.now) < STARTS

    def start(self, to: str, key: str | None = None) -> int:
        if key in self.keys:
            return 201 if self.keys[key][0] == to else 422
        if self.failed.get(to, 0) >= GUESSES or not self.room(to):
            return 429
        self.asked.setdefault(to, []).append(self.now)
        return 201

    def started(self, id_: str, to: str, key: str | None) -> None:
        if key in self.keys:
            assert self.keys[key] == (to, id_)
            return
        assert id_ not in self.all
        self.all[id_] = One(to, self.now, [Text(ORDER[0], self.now)])
        if key:
            self.keys[key] = (to, id_)

    def check(self, id_: str, *, right: bool) -> tuple[str, int]:
        """The verdict and the checks that are left."""
        one = self.all[id_]
        if one.status != "pending":
            return {"approved": "spent"}.get(one.status, one.status), 0
        if self.failed.get(one.to, 0) >= GUESSES:
            return "locked", CHECKS - one.used
        one.used += 1
        if right:
            one.status, self.failed[one.to] = "approved", 0
            return "approved", 0
        self.failed[one.to] = self.failed.get(one.to, 0) + 1
        if one.used == CHECKS:
            one.status = "locked"
        return ("locked", 0) if one.used == CHECKS else ("wrong", CHECKS - one.used)

    def resend(self, id_: str) -> int:
        one = self.all[id_]
        if one.status != "pending":
            return 409
        way = next(one.after(by_person=True), None)
        if way is None or self._too_late(one):
            return 403
        if not self.room(one.to):
            return 429
        self.asked.setdefault(one.to, []).append(self.now)
        if one.texts[-1].status == "sent":
            one.texts[-1].status = "silent"
        one.take(way, self.now)
        return 202

    def cancel(self, id_: str) -> int:
        one = self.all[id_]
        if one.status != "pending":
            return 409
        one.status = "canceled"
        return 200

    def report(self, id_: str, number: int, kind: str) -> None:
        """`kind` is delivered, or why it failed."""
        one, text = self.all[id_], self.all[id_].texts[number - 1]
        before = text.status
        if kind == "delivered":
            text.status, text.reason = "delivered", None
        elif before in ("sent", "silent"):
            text.status, text.reason = "failed", kind
            if one.status == "pending" and text is one.texts[-1] and before == "sent":
                self._fall_back(one)

    def wait(self, seconds: int) -> None:
        """Time passes, and then everything happens that is due."""
        self.now += seconds
        for one in self.all.values():
            text = one.texts[-1]
            if one.status != "pending":
                continue
            if self.now >= one.began + LIFE:
                one.status = "expired"
            elif text.status == "sent" and self.now >= text.at + WAITS[text.channel]:
                text.status = "silent"
                if not any(earlier.status == "delivered" for earlier in one.texts):
                    self._fall_back(one)

    def _fall_back(self, one: One) -> None:
        way = next(one.after(by_person=False), None)
        if way is None or self._too_late(one):
            one.exhausted = True
        else:
            one.take(way, self.now)

    def _too_late(self, one: One) -> bool:
        return self.now + USEFUL > one.began + LIFE
