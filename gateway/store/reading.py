"""Reads documents with the terms that they name, and asks the store for those that this process has not met."""

from __future__ import annotations

from gateway.store.document import Stored, opened, stored
from gateway.store.layout import Layout, shard_or_unknown
from gateway.store.link import Calls
from gateway.store.steps import Lost
from gateway.store.terms import Terms, unpack_terms
from gateway.store.whole import Timed

_KEPT = 2_048
"""Terms, at about 3 kB each: as many as there are plans."""


class Reader:
    """Terms never change under their name, so that what was read once need not be read again."""

    def __init__(self, layout: Layout, calls: Calls, timed: Timed) -> None:
        self._layout = layout
        self._calls = calls
        self._timed = timed
        self._known: dict[str, Terms] = {}

    def know(self, terms: Terms) -> None:
        """Remember them, the newest."""
        if terms.name in self._known:
            return
        if len(self._known) >= _KEPT:
            del self._known[next(iter(self._known))]
        self._known[terms.name] = terms

    async def read(self, verification: str, data: bytes) -> Stored:
        """Raises Unavailable, and Lost for a verification whose terms the store has lost: it can be checked, and must
        not be sent or told of as what it is not."""
        document = opened(data)
        name = document.body.terms
        return stored(verification, document, self._known.get(name) or await self._asked(verification, name))

    async def _asked(self, verification: str, name: str) -> Terms:
        key = self._layout.terms(shard_or_unknown(verification), name)
        terms = unpack_terms(name, await self._timed("terms", self._found(key)))
        self.know(terms)
        return terms

    async def _found(self, key: str) -> bytes:
        packed: bytes | None = await self._calls.ask("GET", key)
        if packed is None:
            raise Lost(f"terms: {key} is lost")  # so that it counts as an error of the store, which an alert is about
        return packed
