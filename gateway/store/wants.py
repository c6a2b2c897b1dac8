"""What a start, or a later message, asks of the store beside its own keys: counters, records, purses and watches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from gateway.core.model import Purse
from gateway.store.document import pack
from policies import model
from policies.model import Word
from policies.watches import kept

Group = tuple[int, int, tuple[tuple[int, int, int, tuple[int, ...]], ...]]
"""How far back a counter remembers, in number and in ms, and its rules: amount, window, 1 for shadow, waits."""


class Rule(NamedTuple):
    """At most `amount` in `window` ms; or, with `waits`, so long after each event in the window until the next one."""

    amount: int
    window: int
    shadow: bool = False
    waits: tuple[int, ...] = ()

    @property
    def reach(self) -> int:
        """How many events it looks back at."""
        return max(self.amount, len(self.waits))


class Counter(NamedTuple):
    """The times of what was counted, shared by all the limits on the same subject."""

    key: str
    rules: tuple[Rule, ...]
    most: int = 1  # times to remember, for whoever else counts here
    longest: int = 1  # ms to remember them

    @property
    def group(self) -> Group:
        """Its rules, as the scripts have them."""
        return _group(self.rules, self.most, self.longest)


@lru_cache(maxsize=1024)
def _group(rules: tuple[Rule, ...], most: int, longest: int) -> Group:
    """Whose counter it is stands in the key: there are as many of these as there are limits in policies."""
    most = max(most, *(rule.reach for rule in rules))
    window = max(longest, *(rule.window for rule in rules))
    return most, window, tuple((rule.amount, rule.window, int(rule.shadow), rule.waits) for rule in rules)


class Look(NamedTuple):
    """Channels to look for in a record of opt-outs."""

    key: str
    channels: tuple[str, ...]


class ListLook(NamedTuple):
    """What a record of a list is taken to say of one destination, by the entries that cover it."""

    key: str
    entries: tuple[bytes, ...]  # hashes, of the most special entry first; () takes it that there is no such record
    word: Word

    def packed(self) -> dict[str, object]:
        return {"entries": self.entries, "word": self.word}


@dataclass(frozen=True, slots=True)
class Mark:
    """Channels that a person has opted out of. `life` in ms, 0 is for ever; `reason` is a word of our own."""

    key: str
    channels: tuple[str, ...]
    reason: str
    life: int

    def packed(self) -> list[object]:
        return [self.channels, self.reason, self.life]


class Spend(NamedTuple):
    """Money in every one of these purses: `reserve` is refused where it would exceed a cap; `change`, to what was
    reserved before, never is. In millionths."""

    purses: tuple[Purse, ...]
    reserve: int = 0
    change: int = 0

    def packed(self) -> list[Any]:
        return [self.reserve, self.change]


def caps(purses: Iterable[Purse]) -> tuple[tuple[int, int], ...]:
    """What each may hold, and when it ends, as the scripts have it."""
    return tuple([(purse.cap, purse.ends) for purse in purses])


Item = tuple[str, str | int]
"""What a watch counts: the watch's name among its app's, and the item as it is stored; "" for a conversion."""


def eye(watch: model.Watch) -> Mapping[str, object]:
    """What the scripts are told of a watch, but for its subject and what it counts."""
    return {**_eye(watch[_TERMS:]), "o": [watch.rule, watch.per]}


_TERMS = model.Watch._fields.index("mode")
"""Where the fields of a watch begin that are its rule's own."""


@lru_cache(maxsize=256)
def _eye(terms: tuple[Any, ...]) -> Mapping[str, object]:
    """What all watches of one rule ask for: there are as many of these as there are rules in policies."""
    w = model.Watch("", "", "", "", "", "", *terms)
    return {
        "m": w.mode.rank,
        "n": w.minimum,
        "w": w.window,
        "r": w.ripe,
        "p": w.patience,
        "f": w.floor,
        "d": w.drop,
        "near": w.near,
        "e": w.each,
        "b": w.block.first,
        "g": w.block.growth,
        "l": w.block.longest,
        "k": kept(w),
    }


class Common(NamedTuple):
    """What all starts of the same circumstances ask for in the same words, so that it is packed once."""

    groups: tuple[Group, ...]  # the rules of each counter
    eyes: tuple[Mapping[str, object], ...]  # of each watch
    caps: tuple[tuple[int, int], ...]  # of each purse
    fields: Mapping[str, object]  # of their documents
    block: bool  # not while the app's checks are blocked
    packed: bytes


def common(
    groups: Iterable[Group] = (),
    eyes: Iterable[Mapping[str, object]] = (),
    caps: tuple[tuple[int, int], ...] = (),
    fields: Mapping[str, object] = MappingProxyType({}),
    *,
    block: bool = False,
) -> Common:
    """Pack them."""
    rules, watches = tuple(groups), tuple(eyes)
    said = {"groups": rules, "watches": watches, "caps": caps, "fields": dict(fields), "block": int(block)}
    return Common(rules, watches, caps, fields, block, pack(said))


class Wants(NamedTuple):
    """What a start or a later message asks for beside its own keys. What there are several of stands in the order of
    what it has in common with others."""

    common: Common
    counters: tuple[str, ...] = ()  # keys
    looks: tuple[Look, ...] = ()  # it comes about only if none of these channels stands in its record
    lists: tuple[ListLook, ...] = ()  # and only if these say what they are taken to say
    watch: str = ""  # the key of the app's failed checks, when they have a say
    traces: tuple[str, ...] = ()  # one or two keys: of all that is known of a destination
    spend: Spend | None = None  # None: the message is free
    watched: tuple[Item, ...] = ()
    shown: tuple[str, ...] = ()  # the subject of each, as an operator may see it
    place: int = 0  # the shard of the watches
    blocks: str = ""  # the name of the index of their blocks
