"""Lists by the API: what an app denies and allows while the gateway runs, under keyed hashes in the store.

A number's or mailbox's own entry stands in the slot of its verifications. An entry that covers many stands in every
slot, so that a start finds all that cover its destination in one record, in the step that creates it.

Most records are never written. So a start names no entries, until the store says that there is a record after all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from gateway.core.keys import SHARDS
from gateway.service.requests import Destinations, InvalidField
from gateway.store.steps import Full, ListEntry
from gateway.store.wants import ListLook
from policies import entries
from policies.entries import Entry
from policies.model import Email, Listed, Phone, Word

if TYPE_CHECKING:
    from gateway.service.setup import Setup

T = TypeVar("T")

MOST = 10_000
"""Entries of an app in one slot: 64 times as many numbers, and as many entries that cover more than one. Larger lists
belong in a file."""
_HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class Standing:
    """What an app's list says of an entry: by itself, or by one that covers it."""

    entry: Entry
    word: Word
    found: tuple[tuple[Entry, ListEntry], ...]  # the most special first


class Filled:
    """The records of lists that this process has found to be there. It looks again after an hour."""

    def __init__(self) -> None:
        self._until: dict[str, int] = {}  # by key, of which an app has one in each slot; ms
        self.keys: dict[tuple[str, int], str] = {}  # by app and slot

    def found(self, key: str, now: int) -> None:
        self._until[key] = now + _HOUR

    def known(self, key: str, now: int) -> bool:
        return now < self._until.get(key, 0)


def looks(setup: Setup, app: str, to: Destinations, listed: Listed) -> tuple[ListLook, ...]:
    """What the store has to look at before a verification may begin, if the list is taken to say `listed`."""
    now, found = setup.store.now(), []
    for address in to.given:
        key = _record(setup, app, _shard(setup, address))
        entries = _entries(setup, app, address) if setup.filled.known(key, now) else ()
        found.append(ListLook(key, entries, listed.phone if address is to.phone else listed.email))
    return tuple(found)


def heard(setup: Setup, app: str, to: Destinations) -> None:
    """The store says that there is a record of a list where none was known to be."""
    for address in to.given:
        setup.filled.found(_record(setup, app, _shard(setup, address)), setup.store.now())


def _entries(setup: Setup, app: str, address: Phone | Email) -> tuple[bytes, ...]:
    """All that cover it, the most special first."""
    if isinstance(address, Email) or not address.range:
        return setup.keys.hashes("list", app, entries.of(address))
    narrow = setup.keys.hashes("list", app, entries.narrow(address))
    return (*narrow, *setup.keys.beginnings("list", app, address.range))


def told(to: Destinations, words: tuple[Word, ...]) -> Listed:
    """The words of `looks` by what they are about."""
    left = list(words)
    return Listed(left.pop(0) if to.phone else "", left.pop(0) if to.email else "")


async def words(setup: Setup, app: str, to: Destinations) -> Listed:
    """What the list says, asked outside of a start. Raises store.steps.Unavailable."""
    found = [
        await setup.store.listed(_record(setup, app, _shard(setup, address)), _entries(setup, app, address))
        for address in to.given
    ]
    return told(to, tuple(each[0].word if each else "" for each in found))


class Lists:
    """The use-cases. Every method raises InvalidField for what is no entry, and store.steps.Unavailable when the store
    is away: an entry that covers many may then stand in some slots and not in others, until the call is repeated."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    async def search(self, app: str, text: str) -> Standing:
        """What stands for an entry, and for those that cover it."""
        entry = _read(text)
        covering = entry.covering
        key = _record(self._setup, app, _shards(self._setup, entry)[0])
        found = await self._setup.store.listed(key, self._setup.keys.hashes("list", app, covering))
        return Standing(entry, found[0].word if found else "", tuple((Entry(covering[e.place]), e) for e in found))

    async def add(self, app: str, text: str, word: Literal["deny", "allow"], reason: str, life: int) -> Standing:
        """Deny or allow; an entry that stands already is written anew. `life` in ms, 0 is until it is removed."""
        entry = _read(text)
        store, (hashed,) = self._setup.store, self._setup.keys.hashes("list", app, (entry.text,))
        try:
            await _all(store.enlist(key, hashed, word, reason, life, MOST) for key in self._records(app, entry))
        except Full:
            raise InvalidField("/entry", "this app's list is full: remove entries, or use the policy's files") from None
        self._setup.log.info("list.added", app=app, entry=entry.masked, word=word, reason=reason)
        return await self.search(app, text)

    async def remove(self, app: str, text: str) -> Standing:
        """Neither deny nor allow any more."""
        entry = _read(text)
        store, (hashed,) = self._setup.store, self._setup.keys.hashes("list", app, (entry.text,))
        if any(await _all(store.strike(key, hashed) for key in self._records(app, entry))):
            self._setup.log.info("list.removed", app=app, entry=entry.masked)
        return await self.search(app, text)

    def _records(self, app: str, entry: Entry) -> list[str]:
        return [_record(self._setup, app, shard) for shard in _shards(self._setup, entry)]


async def _all(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Every call, and only then the first failure: a record that could be written is."""
    found = await asyncio.gather(*calls, return_exceptions=True)
    if fault := next((each for each in found if isinstance(each, BaseException)), None):
        raise fault
    return [each for each in found if not isinstance(each, BaseException)]


def _read(text: str) -> Entry:
    try:
        return entries.read(text)
    except entries.Unusable as fault:
        raise InvalidField("/entry", str(fault)) from None


def _shards(setup: Setup, entry: Entry) -> list[int]:
    return list(range(SHARDS)) if entry.wide else [setup.keys.shard(entry.text)]


def _shard(setup: Setup, address: Phone | Email) -> int:
    return setup.keys.shard(address.e164 if isinstance(address, Phone) else address.key)


def _record(setup: Setup, app: str, shard: int) -> str:
    keys = setup.filled.keys
    if (app, shard) not in keys:
        keys[app, shard] = setup.store.list_key(shard, setup.keys.name("list", app))
    return keys[app, shard]
