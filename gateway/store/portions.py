"""What a step asks for, by the slot of a cluster that it lies in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gateway.core.model import Purse
from gateway.store.steps import Change
from gateway.store.wants import Wants, caps, common

T = TypeVar("T")


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


def portions(wants: Wants, home: int) -> dict[int, Portion]:
    """By shard; each has its part in the order of the whole. `home`, the verification's own, has one in any case."""
    keys = [*wants.counters, *(look.key for look in wants.looks), *(look.key for look in wants.lists)]
    keys += [purse.key for purse in wants.spend.purses] if wants.spend else []
    keys += [*wants.traces, *([wants.watch] if wants.watch else [])]
    shards = [home, *map(shard_in, keys), *([wants.place] if wants.watched else [])]
    return {shard: _portion(wants, shard) for shard in dict.fromkeys(shards)}


def _portion(wants: Wants, shard: int) -> Portion:
    counters = _places(shard, wants.counters)
    lists = _places(shard, (look.key for look in wants.lists))
    purses = _places(shard, (purse.key for purse in wants.spend.purses)) if wants.spend else ()
    watching = bool(wants.watched) and wants.place == shard
    here = bool(wants.watch) and shard_in(wants.watch) == shard
    said = wants.common
    part = wants._replace(
        common=common(
            _at(said.groups, counters),
            said.eyes if watching else (),
            _at(said.caps, purses),
            said.fields,
            block=said.block and here,
        ),
        counters=_at(wants.counters, counters),
        looks=tuple(look for look in wants.looks if shard_in(look.key) == shard),
        lists=_at(wants.lists, lists),
        watch=wants.watch if here else "",
        traces=tuple(trace for trace in wants.traces if shard_in(trace) == shard),
        spend=wants.spend._replace(purses=_at(wants.spend.purses, purses)) if wants.spend and purses else None,
        watched=wants.watched if watching else (),
        shown=wants.shown if watching else (),
        place=shard,
    )
    return Portion(shard, part, counters, lists, purses)


def of_change(change: Change) -> Wants:
    """What a change asks for that may lie anywhere."""
    spend = change.spend
    said = common([counter.group for counter in change.counters], caps=caps(spend.purses) if spend else ())
    return Wants(said, tuple(counter.key for counter in change.counters), spend=spend)


def own_change(change: Change, shard: int, portion: Portion) -> Change:
    """The change as its verification's own slot sees it."""
    return change._replace(
        counters=_at(change.counters, portion.counters),
        looks=tuple(look for look in change.looks if shard_in(look.key) == shard),
        marks=tuple(mark for mark in change.marks if shard_in(mark.key) == shard),
        spend=portion.wants.spend,
    )


def shard_in(key: str) -> int:
    """The shard that a key names."""
    opened = key.index("{")
    return int(key[opened + 1 : key.index("}", opened)])


def _places(shard: int, keys: Iterable[str]) -> tuple[int, ...]:
    return tuple(place for place, key in enumerate(keys) if shard_in(key) == shard)


def _at(those: Sequence[T], places: Iterable[int]) -> tuple[T, ...]:
    return tuple(those[place] for place in places)
