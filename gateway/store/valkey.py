"""The one engine's client: what is asked of the store, and what it tells."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from importlib import resources
from typing import Any

from gateway.store.document import Stored, approved, pack, stands, unpack
from gateway.store.known import Known
from gateway.store.layout import Layout, shard_or_unknown
from gateway.store.link import Calls, Script
from gateway.store.reading import Reader
from gateway.store.replies import checked, claimed, committed, created
from gateway.store.steps import (
    Capped,
    Change,
    Claimed,
    Committed,
    Conflict,
    Created,
    Creation,
    Full,
    Idempotency,
    Limited,
    ListEntry,
    Replayed,
    Reply,
    Started,
    Suppression,
    Swept,
    Tried,
    Try,
    Unavailable,
    Unconfirmed,
    Unknown,
)
from gateway.store.switches import OffRecord
from gateway.store.waiting import Kept, Replicas
from gateway.store.watches import Watches
from gateway.store.whole import Run, Steps, Timed, Whole
from gateway.store.wire import Fault
from policies.model import Word

SCRIPTS = (
    "create",
    "reserve",
    "undo",
    "settle",
    "pledge",
    "vigil",
    "check",
    "commit",
    "claim",
    "read",
    "answer",
    "suppress",
    "reply",
    "sweep",
    "credit",
    "blocked",
    "blocks",
    "unblock",
    "feedback",
)

_SHARED = {
    **dict.fromkeys(("credit", "undo"), ("watches",)),
    **dict.fromkeys(("create", "reserve"), ("watches", "starting")),
}
"""What is loaded before a script, after the prelude."""

_QUICK = 100
"""ms within which an answer tells the time well."""

Watch = Callable[[str, float, bool], None]
"""Told of every call: the script's name, seconds, whether it failed."""


class Store:
    """The state of the gateway. All methods raise Unavailable when the store does not answer in time."""

    def __init__(
        self,
        calls: Calls,
        *,
        prefix: str = "otp",
        clock: Callable[[], int] | None = None,
        watch: Watch = lambda _name, _seconds, _failed: None,
        own: Callable[[], float] = time.monotonic,
        replicas: Replicas | None = None,
        confirm_starts: bool = False,
        gather: float = 0.0,
        steps: Callable[[Layout, Any, Run, Timed], Steps] = Whole,
    ) -> None:
        """`clock` takes the place of the store's, in ms; `own` is this process's, in seconds since any moment.
        `replicas` have every approval before it is told, and every start if `confirm_starts`. `gather` is for how
        many seconds it is gathered what watches are told of codes. `steps` says whether all keys are on one server."""
        self._calls = calls
        self._replicas = replicas
        self._confirm_starts = confirm_starts
        self._layout = Layout(prefix)
        self._clock = clock
        self._watch = watch
        self._own = own
        self._offset = (time.time() - own()) * 1000
        self._steps = steps(self._layout, calls, lambda *asked: self._run(*asked), self._timed)
        self.off = OffRecord(calls, prefix, self._timed)
        self.known = Known(calls, self._timed)
        self._reader = Reader(self._layout, calls, self._timed)
        self.watches = Watches(self._run, self._layout.key, gather)
        self._scripts = {name: Script.of(_script(name)) for name in SCRIPTS}

    def now(self) -> int:
        """The time in ms by the store's clock, as the last reply told it: a host whose own clock is wrong, or is set
        while it runs, must not end a verification before its time."""
        return self._clock() if self._clock else int(self._own() * 1000 + self._offset)

    def elapsed(self) -> float:
        """ms since some moment, by this process's own clock: for how long something took, whatever the store says."""
        return self._own() * 1000

    async def create(self, creation: Creation) -> Started:
        """Look at lists, for opt-outs and for blocks, check every limit and cap, reserve all or none, count it under
        its watches, write it and arm its timer.

        Raises Mismatch and Running, which only a request with an idempotency key can meet,
        Blocked, and Unconfirmed.
        """
        self._reader.know(creation.terms)
        made = created(await self._steps.create(creation))
        if self._confirm_starts and isinstance(made, Created | Replayed):
            verification = made.id if isinstance(made, Replayed) else creation.id
            if not await self._confirmed(verification, stands):
                raise Unconfirmed("create: too few replicas have it")
        return made

    async def check(self, attempt: Try) -> Tried:
        """Claim, compare, and on success consume. Raises Unknown, Misshapen, Mismatch, Blocked."""
        tried = checked(attempt, await self._steps.check(attempt))
        confirmed = tried.verdict != "approved" or await self._confirmed(attempt.id, approved)
        return tried if confirmed else tried._replace(confirmed=False)

    async def commit(self, change: Change) -> Committed | Conflict | Limited | Capped:
        """Write the change if nobody else did since it was read. Raises Unknown."""
        reply = await self._steps.commit(change)
        if reply[0] == b"conflict":
            return Conflict(reply[1], await self._reader.read(change.id, reply[2]))
        return committed(reply)

    async def read(self, verification: str) -> tuple[Stored, int]:
        """A verification and the store's time. Raises Unknown."""
        now, document = await self._run("read", [self._layout.verification(verification)], {})
        if not document:
            raise Unknown
        return await self._reader.read(verification, document), now

    async def claim(self, lease: int, batch: int, since: int = 0) -> Claimed:
        """Take at most `batch` timers that fell due at `since`, in ms, or later, each for `lease` ms."""
        return await claimed(await self._steps.claim(lease, batch, since), self._reader.read)

    async def sweep(self, cursor: int, count: int, lease: int) -> Swept:
        """Look at about `count` keys from `cursor` on, which is 0 at first, for what is pending without a timer."""
        return await self._steps.sweep(cursor, count, lease)

    async def release(self, verifications: Sequence[str]) -> None:
        """Give leases back: whoever claims next takes these at once. An ended one stays disarmed."""
        now = self.now()
        for verification in verifications:
            timers = self._layout.timers[shard_or_unknown(verification)]
            await self._timed("release", self._calls.ask("ZADD", timers, "XX", now, verification))

    async def keep_answer(self, idempotency: Idempotency, answer: bytes) -> None:
        """Keep the answer of a start that waited."""
        await self._run("answer", [self._layout.record(idempotency)], {"answer": answer})

    async def suppress(self, key: str, channels: Sequence[str], reason: str, life: int) -> None:
        """Write opt-outs into a record. `life` in ms, 0 is for ever."""
        await self._run("suppress", [key], {"channels": list(channels), "reason": reason, "life": life})

    async def lift(self, key: str, channels: Sequence[str]) -> int:
        """Take these channels out of a record. How many stood there."""
        _, lifted = await self._run("suppress", [key], {"channels": list(channels), "lift": True})
        return int(lifted)

    async def reply(self, reply: Reply) -> int:
        """Do as a person asks who wrote back, unless it was done before or they asked for something else since then.
        How many records changed."""
        _, changed = await self._run("reply", [reply.heard, *reply.records], reply.packed())
        return int(changed)

    async def suppressions(self, key: str) -> list[Suppression]:
        """What stands in a record now."""
        flat = await self._timed("suppressions", self._calls.ask("HGETALL", key))
        found = sorted(zip(flat[::2], flat[1::2], strict=True))
        entries = [Suppression(channel.decode(), *_entry(entry)) for channel, entry in found]
        return [entry for entry in entries if entry.until is None or self.now() < entry.until]

    async def enlist(self, key: str, entry: bytes, word: Word, reason: str, life: int, most: int) -> None:
        """Write an entry into a record of a list. `life` in ms, 0 is for ever. Raises Full from `most` entries on."""
        args: dict[str, object] = {"channels": [entry], "word": word, "reason": reason, "life": life, "most": most}
        _, changed = await self._run("suppress", [key], args)
        if changed < 0:
            raise Full

    async def strike(self, key: str, entry: bytes) -> bool:
        """Take an entry out of a record of a list. Whether it stood there."""
        _, changed = await self._run("suppress", [key], {"channels": [entry], "lift": True})
        return bool(changed)

    async def listed(self, key: str, entries: Sequence[bytes]) -> list[ListEntry]:
        """Which of these entries stand in a record of a list now."""
        rows: list[bytes | None] = await self._timed("lists", self._calls.ask("HMGET", key, *entries))
        found = [_list_entry(place, packed) for place, packed in enumerate(rows) if packed]
        return [entry for entry in found if entry.until is None or self.now() < entry.until]

    async def ping(self) -> None:
        await self._timed("ping", self._calls.ask("PING"))

    async def close(self) -> None:
        await self.watches.told()
        await self._steps.close()
        await self._calls.close()
        if self._replicas:
            await self._replicas.close()

    async def _confirmed(self, verification: str, kept: Kept) -> bool:
        if self._replicas is None:
            return True
        try:
            await self._timed("wait", self._replicas.have(self._layout.verification(verification), kept))
        except Unavailable:
            return False
        return True

    def limit_key(self, shard: int, name: str) -> str:
        """The key of a limit's counter."""
        return self._layout.key(shard, "l:" + name)

    def list_key(self, shard: int, name: str) -> str:
        """The key of a record of a list."""
        return self._layout.key(shard, "b:" + name)

    def watch_key(self, shard: int, name: str) -> str:
        """The key of an app's failed checks."""
        return self._layout.key(shard, "w:" + name)

    def trace_key(self, shard: int, name: str) -> str:
        """The key of the list of what is known of a destination."""
        return self._layout.key(shard, "d:" + name)

    def purse_key(self, shard: int, name: str) -> str:
        """The key of a purse."""
        return self._layout.key(shard, "p:" + name)

    def suppression_key(self, shard: int, name: str) -> str:
        """The key of a record of opt-outs."""
        return self._layout.key(shard, "o:" + name)

    def heard_key(self, shard: int, name: str) -> str:
        """The key of what a person wrote last."""
        return self._layout.key(shard, "h:" + name)

    async def _run(self, name: str, keys: Sequence[str], args: dict[str, object]) -> list[Any]:
        if self._clock:
            args["t"] = self._clock()
        began, failed = self._own(), True
        try:
            reply: list[Any] = await self._calls.run(self._scripts[name], keys, pack(args))
            failed = False
        except Fault as fault:
            raise Unavailable(f"{name}: {fault}") from fault
        finally:
            ended = self._own()
            self._watch(name, ended - began, failed)
        now = reply[0] if isinstance(reply[0], int) else reply[1]  # it may follow a word, or a list
        self._heard(now, began * 1000, ended * 1000)
        return reply

    def _heard(self, told: int, asked: float, now: float) -> None:
        """The store told its time at some moment between `asked` and `now`. An answer that was long under way says
        little: what was known before stays if it agrees with it, so that a process that stood still is not set back."""
        least, most = told - now, told - asked
        self._offset = least if now - asked <= _QUICK else min(max(self._offset, least), most)

    async def _timed(self, name: str, call: Awaitable[Any]) -> Any:
        began = time.perf_counter()
        failed = True
        try:
            reply = await call
            failed = False
        except Fault as fault:
            raise Unavailable(f"{name}: {fault}") from fault
        finally:
            self._watch(name, time.perf_counter() - began, failed)
        return reply


def _entry(packed: bytes) -> tuple[str, int, int | None]:
    since, until, reason, *_ = unpack(packed)
    return str(reason), int(since), int(until) or None


def _list_entry(place: int, packed: bytes) -> ListEntry:
    return ListEntry(place, unpack(packed)[3], *_entry(packed))


def _script(name: str) -> str:
    return "".join(map(_source, ("prelude", *_SHARED.get(name, ()), name)))


def _source(name: str) -> str:
    return resources.files("gateway.store").joinpath(f"lua/{name}.lua").read_text(encoding="utf-8")
