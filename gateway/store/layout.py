"""How the keys are named, and which of them the scripts of a start, a check and a change are given in which order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from gateway.core.keys import SHARDS, shard_of
from gateway.store.document import STATUS_LETTERS, pack
from gateway.store.steps import Change, Creation, Idempotency, Try, Unknown, Watch
from gateway.store.wants import Spend, Wants, caps

Asked = tuple[list[str], dict[str, object]]
"""The keys and the argument of a script."""


class Layout:
    """The keys of one store. What must be in one slot of a cluster has the same number in braces."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.places = [f"{prefix}:{{{shard}}}:" for shard in range(SHARDS)]
        self.timers = [self.key(shard, "due") for shard in range(SHARDS)]

    def key(self, shard: int, rest: str) -> str:
        return self.places[shard] + rest

    def verification(self, verification: str) -> str:
        """Raises Unknown for what is no id."""
        return self.key(shard_or_unknown(verification), "v:" + verification)

    def terms(self, shard: int, name: str) -> str:
        """Where the scripts put them."""
        return self.key(shard, "t:" + name)

    def record(self, idempotency: Idempotency) -> str:
        return self.key(idempotency.shard, "i:" + idempotency.name)

    def watched(self, wants: Wants) -> list[str]:
        """The index of blocks, and the states of the watches."""
        if not wants.watched:
            return []
        at = self.places[wants.place]
        return [f"{at}b:{wants.blocks}", *[f"{at}w:{name}" for name, _ in wants.watched]]

    def creation(self, creation: Creation) -> Asked:
        at, idempotency = self.places[creation.shard], creation.idempotency
        absent = at + "due"
        own = [
            f"{at}v:{creation.id}",
            absent,
            f"{at}g:{creation.guesses}",
            self.record(idempotency) if idempotency else absent,
        ]
        keys, args = self.wanted(creation.wants, absent)
        args["id"] = creation.id
        args["doc"] = creation.fields
        args["terms"] = creation.terms[:2]
        args["life"] = creation.life
        args["keep"] = creation.keep
        args["lease"] = creation.lease
        args["idem"] = packed(idempotency)
        return own + keys, args

    def wanted(self, wants: Wants, absent: str) -> Asked:
        """What a start asks for beside its own keys."""
        keys = [
            wants.watch or absent,
            *(*wants.traces, absent, absent)[:2],
            *wants.counters,
            *[look.key for look in wants.looks],
            *[look.key for look in wants.lists],
            *purses(wants.spend),
            *self.watched(wants),
        ]
        return keys, {
            "same": wants.common.packed,
            "looks": [*[look.channels for look in wants.looks], *[look.packed() for look in wants.lists]],
            "spend": wants.spend.packed() if wants.spend else None,
            "items": [item for _, item in wants.watched],
            "shown": wants.shown,
        }

    def attempt(self, attempt: Try) -> Asked:
        """Raises Unknown for what is no id."""
        shard = shard_or_unknown(attempt.id)
        idempotency, watch = attempt.idempotency, attempt.watch
        keys = [self.key(shard, "v:" + attempt.id), self.timers[shard]]
        args: dict[str, object] = {
            "same": _same(attempt.app, attempt.tombstone, watch),
            "digests": attempt.digests,
            "length": attempt.length,
            "letters": int(attempt.letters),
        }
        if idempotency:
            keys.append(self.key(shard, "i:" + idempotency.name))
            args["idem"] = packed(idempotency)
        if watch:
            keys.append(watch.key)
        args.update(attempt.bound)
        return keys, args

    def change(self, change: Change) -> Asked:
        """Raises Unknown for what is no id."""
        shard = shard_or_unknown(change.id)
        fields = dict(change.fields)
        if change.status:
            fields["s"] = STATUS_LETTERS[change.status]
        keys = [
            self.key(shard, "v:" + change.id),
            self.timers[shard],
            *[counter.key for counter in change.counters],
            *[look.key for look in change.looks],
            *[mark.key for mark in change.marks],
            *purses(change.spend),
        ]
        return keys, {
            "id": change.id,
            "v": change.version,
            "set": fields,
            "due": change.due,
            "journal": change.journal,
            "groups": [counter.group for counter in change.counters],
            "looks": [look.channels for look in change.looks],
            "marks": [mark.packed() for mark in change.marks],
            "spend": change.spend.packed() if change.spend else None,
            "caps": caps(change.spend.purses) if change.spend else (),
            "tombstone": change.tombstone,
        }


def shard_or_unknown(verification: str) -> int:
    """The shard that an id names. Raises Unknown for what is no id."""
    shard = shard_of(verification)
    if shard is None:
        raise Unknown
    return shard


@lru_cache(maxsize=1024)
def _same(app: str, tombstone: int, watch: Watch | None) -> bytes:
    """What all checks of an app tell the store, packed once."""
    return pack({"app": app, "tombstone": tombstone, "watch": watch.packed() if watch else None})


def packed(idempotency: Idempotency | None) -> dict[str, object] | None:
    """As the scripts have it."""
    if idempotency is None:
        return None
    return {"f": idempotency.fingerprint, "ttl": idempotency.ttl, "busy": idempotency.busy}


def purses(spend: Spend | None) -> Sequence[str]:
    return [purse.key for purse in spend.purses] if spend else ()
