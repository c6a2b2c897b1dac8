"""Whether a domain takes mail, as its DNS says: remembered for a while, and never waited for long.

A hint against mistakes and made-up addresses, so it fails open: whoever can't be asked is taken to take mail.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from policies.model import MailWord

if TYPE_CHECKING:
    from dns import resolver
    from dns.asyncresolver import Resolver

Watch = Callable[[MailWord], None]
"""Told of every domain that was asked about."""

DEADLINE = 1.0
"""Seconds for all that is asked about one domain."""

MOST_KNOWN, MOST_ASKED = 10_000, 64
"""Domains remembered, and asked about at once. One more is not asked about."""

_REFUSED, _UNKNOWN = 600, 30
"""Seconds for which it is remembered that a domain takes no mail, and that nobody could say."""

_SHORTEST, _LONGEST = 60, 3600
"""Seconds between which a domain's own word on how long its records hold is believed."""

Found = tuple[MailWord, float]
"""What the DNS said, and for how many seconds that holds."""


class MailHosts:
    """Asks, and remembers. The system's name servers are asked, unless others are given."""

    def __init__(
        self,
        watch: Watch = lambda _: None,
        resolver: Resolver | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watch = watch
        self._resolver = resolver
        self._clock = clock
        self._known: OrderedDict[str, tuple[MailWord, float]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[MailWord]] = {}

    async def __call__(self, domain: str) -> MailWord:
        """Whether it takes mail, after a second at the most. Never raises."""
        word, until = self._known.get(domain, ("unknown", 0.0))
        if self._clock() < until:
            return word
        task = self._asking.get(domain)
        if task is None:
            if len(self._asking) >= MOST_ASKED:
                return "unknown"
            task = self._asking[domain] = asyncio.create_task(self._ask(domain))
        return await asyncio.shield(task)  # others may wait for the same answer

    async def _ask(self, domain: str) -> MailWord:
        try:
            async with asyncio.timeout(DEADLINE):
                word, seconds = await self._found(domain)
        except Exception:  # noqa: BLE001 - whatever went wrong, it was not the address's fault
            word, seconds = "unknown", _UNKNOWN
        finally:
            del self._asking[domain]
        self._known[domain] = word, self._clock() + seconds
        self._known.move_to_end(domain)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        self._watch(word)
        return word

    async def _found(self, domain: str) -> Found:
        """RFC 5321 section 5.1: the mail exchangers of a domain, and without any, its own address. RFC 7505: a single
        exchanger called "." says that there is no mail. Raises for what says neither."""
        from dns import name, resolver

        try:
            answer = await self._query(domain, "MX")
        except resolver.NXDOMAIN:
            return "refuses", _REFUSED
        except resolver.NoAnswer:
            return await self._implicit(domain)
        if all(exchange.exchange == name.root for exchange in answer):
            return "refuses", _REFUSED
        return "takes", _held(answer)

    async def _implicit(self, domain: str) -> Found:
        from dns import resolver

        for kind in ("A", "AAAA"):
            try:
                return "takes", _held(await self._query(domain, kind))
            except resolver.NoAnswer:
                continue
        return "refuses", _REFUSED

    async def _query(self, domain: str, kind: str) -> resolver.Answer:
        if self._resolver is None:
            from dns import asyncresolver

            self._resolver = asyncresolver.Resolver()
        return await self._resolver.resolve(f"{domain}.", kind, lifetime=DEADLINE)


def _held(answer: resolver.Answer) -> float:
    ttl = answer.rrset.ttl if answer.rrset is not None else _SHORTEST
    return max(_SHORTEST, min(ttl, _LONGEST))
