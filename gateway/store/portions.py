"""What a step asks for, by the slot of a cluster that it lies in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from gateway.core.model import Purse
from gateway.store.steps import Change, Counter, Creation, ListLook, Look, Spend, Watched

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wants:
    """What a start or a later message asks for beside its own keys; see steps.Creation."""

    counters: tuple[Counter, ...] = ()
    looks: tuple[Look, ...] = ()
    lists: tuple[ListLook, ...] = ()
    watch: str = ""
    block: bool = False
    traces: tuple[str, ...] = ()
    spend: Spend | None = None
    watched: tuple[Watched, ...] = ()
    place: int = 0
    index: str = ""


@dataclass(frozen=True, slots=True)
class Portion:
    """What lies in one shard. The places are those in the whole."""

    shard: int
    wants: Wants
    counters: tuple[int, ...] = ()
    lists: tuple[int, ...] = ()
    purses: tuple[int, ...] = ()

    @property
    def held(self) -> tuple[Purse, ...]:
        return self.wants.spend.purses if self.wants.spend else ()


def of_creation(creation: Creation) -> Wants:
    return Wants(
        creation.counters,
        creation.looks,
        creation.lists,
        creation.watch,
        creation.block,
        creation.traces,
        creation.spend,
        creation.watched,
        creation.place,
        creation.index,
    )


def portions(wants: Wants) -> dict[int, Portion]:
    """By shard; each has its part in the order of the whole."""
    keys = [counter.key for counter in wants.counters]
    keys += [look.key for look in wants.looks] + [look.key for look in wants.lists]
    keys += [purse.key for purse in wants.spend.purses] if wants.spend else []
    keys += [*wants.traces, *([wants.watch] if wants.watch else [])]
    shards = [*map(shard_in, keys), *([wants.place] if wants.watched else [])]
    return {shard: _portion(wants, shard) for shard in dict.fromkeys(shards)}


def _portion(wants: Wants, shard: int) -> Portion:
    counters = _places(shard, (counter.key for counter in wants.counters))
    lists = _places(shard, (look.key for look in wants.lists))
    purses = _places(shard, (purse.key for purse in wants.spend.purses)) if wants.spend else ()
    watched = wants.watched if wants.place == shard else ()
    here = bool(wants.watch) and shard_in(wants.watch) == shard
    part = Wants(
        _at(wants.counters, counters),
        tuple(look for look in wants.looks if shard_in(look.key) == shard),
        _at(wants.lists, lists),
        wants.watch if here else "",
        wants.block and here,
        tuple(trace for trace in wants.traces if shard_in(trace) == shard),
        wants.spend._replace(purses=_at(wants.spend.purses, purses)) if wants.spend and purses else None,
        watched,
        shard,
        wants.index if watched else "",
    )
    return Portion(shard, part, counters, lists, purses)


def own_creation(creation: Creation, portion: Portion) -> Creation:
    """The start as its verification's own slot sees it."""
    wants = portion.wants
    return replace(
        creation,
        counters=wants.counters,
        idempotency=None,
        looks=wants.looks,
        lists=wants.lists,
        watch=wants.watch,
        block=wants.block,
        traces=wants.traces,
        spend=wants.spend,
        watched=wants.watched,
        place=wants.place,
        index=wants.index,
    )


def own_change(change: Change, shard: int, portion: Portion) -> Change:
    """The change as its verification's own slot sees it."""
    looks = tuple(look for look in change.looks if shard_in(look.key) == shard)
    marks = tuple(mark for mark in change.marks if shard_in(mark.key) == shard)
    return change._replace(counters=portion.wants.counters, looks=looks, marks=marks, spend=portion.wants.spend)


def shard_in(key: str) -> int:
    """The shard that a key names."""
    opened = key.index("{")
    return int(key[opened + 1 : key.index("}", opened)])


def _places(shard: int, keys: Iterable[str]) -> tuple[int, ...]:
    return tuple(place for place, key in enumerate(keys) if shard_in(key) == shard)


def _at(those: Sequence[T], places: Iterable[int]) -> tuple[T, ...]:
    return tuple(those[place] for place in places)
