"""The one engine's client: every decision is one script and one round trip."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from importlib import resources
from typing import Any, cast

from gateway.core.keys import SHARDS, shard_of
from gateway.store.document import STATUS_LETTERS, Stored, approved, pack, stands, unpack, unpack_document, unpack_ended
from gateway.store.known import Known
from gateway.store.link import Calls, Script
from gateway.store.replies import created, named, pairs
from gateway.store.steps import (
    Blocked,
    Capped,
    Change,
    Claimed,
    Committed,
    Conflict,
    Created,
    Creation,
    Due,
    Full,
    Idempotency,
    Limited,
    ListEntry,
    Mismatch,
    Misshapen,
    Paid,
    Replayed,
    Reply,
    Spend,
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
from gateway.store.wire import Fault
from policies.model import Word

SCRIPTS = (
    "create",
    "check",
    "commit",
    "claim",
    "read",
    "answer",
    "suppress",
    "reply",
    "sweep",
    "credit",
    "blocks",
    "unblock",
    "feedback",
)

_WATCHING = ("create", "credit")
"""The scripts that need what is shared about watches."""

_NOW_AT = dict.fromkeys(("claim", "read", "suppress", "reply", "sweep", "credit", "blocks", "unblock", "feedback"), 0)
"""Where the store's time stands in a script's reply, when it does not follow a word at the front."""

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
    ) -> None:
        """`clock` takes the place of the store's, in ms; `own` is this process's, in seconds since any moment.
        `replicas` have every approval before it is told, and every start if `confirm_starts`."""
        self._calls = calls
        self._replicas = replicas
        self._confirm_starts = confirm_starts
        self._prefix = prefix
        self._clock = clock
        self._watch = watch
        self._own = own
        self._offset = (time.time() - own()) * 1000
        self._timers_from = 0
        self._timers = [self._key(shard, "due") for shard in range(SHARDS)]
        self.off = OffRecord(calls, prefix, self._timed)
        self.known = Known(calls, self._timed)
        self.watches = Watches(self._run, self._key)
        self._scripts = {name: Script.of(_script(name)) for name in SCRIPTS}

    def now(self) -> int:
        """The time in ms by the store's clock, as the last reply told it: a host whose own clock is wrong, or is set
        while it runs, must not end a verification before its time."""
        return self._clock() if self._clock else int(self.elapsed() + self._offset)

    def elapsed(self) -> float:
        """ms since some moment, by this process's own clock: for how long something took, whatever the store says."""
        return self._own() * 1000

    async def create(self, creation: Creation) -> Started:
        """Look at lists, for opt-outs and for blocks, check every limit and cap, reserve all or none, count it under
        its watches, write it and arm its timer.

        Raises Mismatch and Running, which only a request with an idempotency key can meet,
        Blocked, and Unconfirmed.
        """
        made = await self._create(creation)
        if self._confirm_starts and isinstance(made, Created | Replayed):
            verification = made.id if isinstance(made, Replayed) else creation.id
            if not await self._confirmed(verification, stands):
                raise Unconfirmed("create: too few replicas have it")
        return made

    async def _create(self, creation: Creation) -> Started:
        shard = creation.shard
        absent, idempotency = self._timers[shard], creation.idempotency
        keys = [
            self._key(shard, "v:" + creation.id),
            self._timers[shard],
            self._key(shard, "g:" + creation.guesses),
            self._key(idempotency.shard, "i:" + idempotency.name) if idempotency else absent,
            creation.watch or absent,
            *(*creation.traces, absent, absent)[:2],
            *(counter.key for counter in creation.counters),
            *(look.key for look in creation.looks),
            *(look.key for look in creation.lists),
            *_purses(creation.spend),
            *self._watched(creation),
        ]
        args = {
            "id": creation.id,
            "doc": creation.fields,
            "life": creation.life,
            "keep": creation.keep,
            "lease": creation.lease,
            "groups": [counter.packed for counter in creation.counters],
            "looks": [*(look.channels for look in creation.looks), *(look.packed() for look in creation.lists)],
            "spend": creation.spend.packed() if creation.spend else None,
            "watches": [watched.packed() for watched in creation.watched],
            "names": [watched.name for watched in creation.watched],
            "idem": _packed(idempotency),
            "block": int(creation.block),
        }
        return created(await self._run("create", keys, args))

    async def check(self, attempt: Try) -> Tried:
        """Claim, compare, and on success consume. Raises Unknown, Misshapen, Mismatch, Blocked."""
        shard = _shard(attempt.id)
        absent, idempotency = self._timers[shard], attempt.idempotency
        keys = [
            self._key(shard, "v:" + attempt.id),
            self._timers[shard],
            self._key(shard, "i:" + idempotency.name) if idempotency else absent,
            attempt.watch.key if attempt.watch else absent,
        ]
        args = {
            "id": attempt.id,
            "app": attempt.app,
            "base": self._key(shard, ""),
            "digests": attempt.digests,
            "length": attempt.length,
            "letters": int(attempt.letters),
            "context": attempt.context,
            "phone": attempt.phone,
            "email": attempt.email,
            "tombstone": attempt.tombstone,
            "idem": _packed(idempotency),
            "watch": attempt.watch.packed() if attempt.watch else None,
        }
        match await self._run("check", keys, args):
            case [b"missing", *_]:
                raise Unknown
            case [b"mismatch", *_]:
                raise Mismatch
            case [b"malformed", _, length, letters]:
                raise Misshapen(length, bool(letters))
            case [b"blocked", now, wait]:
                raise Blocked(now, wait)
            case [verdict, now, left, retry_at, document, failing, replayed]:
                ended = unpack_ended(attempt.id, document) if document else None
                counts = (failing[0], failing[1]) if failing else None
                confirmed = verdict != b"approved" or await self._confirmed(attempt.id, approved)
                return Tried(verdict.decode(), now, left, retry_at, ended, counts, bool(replayed), confirmed)
        raise Unavailable("check gave back something else")

    async def commit(self, change: Change) -> Committed | Conflict | Limited | Capped:
        """Write the change if nobody else did since it was read. Raises Unknown."""
        shard = _shard(change.id)
        fields = dict(change.fields)
        if change.status:
            fields["s"] = STATUS_LETTERS[change.status]
        keys = [
            self._key(shard, "v:" + change.id),
            self._timers[shard],
            *(counter.key for counter in change.counters),
            *(look.key for look in change.looks),
            *(mark.key for mark in change.marks),
            *_purses(change.spend),
        ]
        args = {
            "id": change.id,
            "v": change.version,
            "set": fields,
            "due": change.due,
            "journal": change.journal,
            "groups": [counter.packed for counter in change.counters],
            "looks": [look.channels for look in change.looks],
            "marks": [mark.packed() for mark in change.marks],
            "spend": change.spend.packed() if change.spend else None,
            "tombstone": change.tombstone,
        }
        match await self._run("commit", keys, args):
            case [b"committed", now, shadows, channels, again, spent, near]:
                return Committed(now, pairs(shadows), named(channels), again, Paid(tuple(spent), tuple(near)))
            case [b"capped", now, purse, first]:
                return Capped(now, purse, bool(first))
            case [b"conflict", now, document]:
                return Conflict(now, unpack_document(change.id, document))
            case [b"limited", now, counter, rule, wait, shadows]:
                return Limited(now, counter, rule, wait, pairs(shadows))
        raise Unknown

    async def read(self, verification: str) -> tuple[Stored, int]:
        """A verification and the store's time. Raises Unknown."""
        now, document = await self._run("read", [self._key(_shard(verification), "v:" + verification)], {})
        if not document:
            raise Unknown
        return unpack_document(verification, document), now

    async def claim(self, lease: int, batch: int, since: int = 0) -> Claimed:
        """Take at most `batch` timers that fell due at `since`, in ms, or later, each for `lease` ms."""
        self._timers_from = (self._timers_from + 1) % SHARDS  # so that no shard is always the last to be served
        timers = self._timers[self._timers_from :] + self._timers[: self._timers_from]
        now, next_due, depth, orphans, rows = await self._run(
            "claim", timers, {"lease": lease, "batch": batch, "since": since}
        )
        due, unread = [], []
        for i in range(0, len(rows), 3):
            verification = rows[i].decode()
            try:
                due.append(Due(unpack_document(verification, rows[i + 2]), int(float(rows[i + 1]))))
            except Exception:  # noqa: BLE001 - written by another version, or damaged: it must not hold up its neighbours
                unread.append(verification)
        return Claimed(now, next_due, depth, orphans, tuple(due), tuple(unread))

    async def sweep(self, cursor: int, count: int, lease: int) -> Swept:
        """Look at about `count` keys from `cursor` on, which is 0 at first, for what is pending without a timer."""
        words = ("SCAN", cursor, "MATCH", f"{self._prefix}:*:v:*", "COUNT", count)
        after, keys = await self._timed("scan", self._calls.ask(*words))
        if not keys:
            return Swept(int(after), ())
        pairs = [key for found in named(keys) for key in (found.rpartition(":v:")[0] + ":due", found)]
        _, armed = await self._run("sweep", pairs, {"lease": lease})
        return Swept(int(after), named(armed))

    async def release(self, verifications: Sequence[str]) -> None:
        """Give leases back: whoever claims next takes these at once. An ended one stays disarmed."""
        now = self.now()
        for verification in verifications:
            shard = _shard(verification)
            await self._timed("release", self._calls.ask("ZADD", self._timers[shard], "XX", now, verification))

    async def keep_answer(self, idempotency: Idempotency, answer: bytes) -> None:
        """Keep the answer of a start that waited."""
        await self._run("answer", [self._key(idempotency.shard, "i:" + idempotency.name)], {"answer": answer})

    async def suppress(self, keys: Sequence[str], channels: Sequence[str], reason: str, life: int) -> None:
        """Record opt-outs in all of these records at once; they must be one destination's. `life` in ms, 0 is for
        ever."""
        await self._run("suppress", keys, {"channels": list(channels), "reason": reason, "life": life})

    async def lift(self, keys: Sequence[str], channels: Sequence[str]) -> int:
        """Take these channels out of all of these records, which must be one destination's. How many stood there."""
        _, lifted = await self._run("suppress", keys, {"channels": list(channels), "lift": True})
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
        await self._calls.close()
        if self._replicas:
            await self._replicas.close()

    async def _confirmed(self, verification: str, kept: Kept) -> bool:
        if self._replicas is None:
            return True
        key = self._key(_shard(verification), "v:" + verification)
        try:
            await self._timed("wait", self._replicas.have(key, kept))
        except Unavailable:
            return False
        return True

    def limit_key(self, shard: int, name: str) -> str:
        """The key of a limit's counter."""
        return self._key(shard, "l:" + name)

    def list_key(self, shard: int, name: str) -> str:
        """The key of a record of a list."""
        return self._key(shard, "b:" + name)

    def watch_key(self, shard: int, name: str) -> str:
        """The key of an app's failed checks."""
        return self._key(shard, "w:" + name)

    def trace_key(self, shard: int, name: str) -> str:
        """The key of the list of what is known of a destination."""
        return self._key(shard, "d:" + name)

    def purse_key(self, shard: int, name: str) -> str:
        """The key of a purse."""
        return self._key(shard, "p:" + name)

    def suppression_key(self, shard: int, name: str) -> str:
        """The key of a record of opt-outs."""
        return self._key(shard, "o:" + name)

    def heard_key(self, shard: int, name: str) -> str:
        """The key of what a person wrote last."""
        return self._key(shard, "h:" + name)

    def _watched(self, creation: Creation) -> list[str]:
        if not creation.watched:
            return []
        names = ("b:" + creation.index, *("w:" + watched.name for watched in creation.watched))
        return [self._key(creation.place, name) for name in names]

    def _key(self, shard: int, rest: str) -> str:
        return f"{self._prefix}:{{{shard}}}:{rest}"

    async def _run(self, name: str, keys: Sequence[str], args: dict[str, object]) -> list[Any]:
        args["t"] = self._clock() if self._clock else 0
        began = self.elapsed()
        reply = await self._timed(name, self._calls.run(self._scripts[name], keys, pack(args)))
        if name != "answer":
            self._heard(reply[_NOW_AT.get(name, 1)], began, self.elapsed())
        return cast("list[Any]", reply)

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


def _packed(idempotency: Idempotency | None) -> dict[str, object] | None:
    if idempotency is None:
        return None
    return {"f": idempotency.fingerprint, "ttl": idempotency.ttl, "busy": idempotency.busy}


def _purses(spend: Spend | None) -> tuple[str, ...]:
    return tuple(purse.key for purse in spend.purses) if spend else ()


def _entry(packed: bytes) -> tuple[str, int, int | None]:
    since, until, reason, *_ = unpack(packed)
    return str(reason), int(since), int(until) or None


def _list_entry(place: int, packed: bytes) -> ListEntry:
    return ListEntry(place, unpack(packed)[3], *_entry(packed))


def _shard(verification: str) -> int:
    shard = shard_of(verification)
    if shard is None:
        raise Unknown
    return shard


def _script(name: str) -> str:
    return _source("prelude") + (_source("watches") if name in _WATCHING else "") + _source(name)


def _source(name: str) -> str:
    return resources.files("gateway.store").joinpath(f"lua/{name}.lua").read_text(encoding="utf-8")
