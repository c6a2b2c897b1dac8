"""Planted bugs: the gateway with one mistake in it, which the simulation must find."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MethodType
from typing import TYPE_CHECKING, Any

from gateway.core.machine import Failed
from gateway.core.model import Attempt
from gateway.service.engine import Engine
from gateway.store import valkey
from gateway.store.document import Stored
from gateway.store.layout import shard_or_unknown
from gateway.store.steps import Committed, Paid
from gateway.store.wants import Spend
from tests.proof.planted import LUA, TriesAgain

if TYPE_CHECKING:
    from tests.simulation.process import FaultyStore, Process


def _nothing(_process: Process) -> None:
    """No mistake."""


@dataclass(frozen=True)
class Mutant:
    """A mistake: in a script (which, what it says, what the mistake says) or in each process as it is made."""

    script: tuple[str, str, str] | None = None
    bend: Callable[[Process], None] = _nothing

    @contextmanager
    def planted(self) -> Iterator[None]:
        """While the mistake is in the scripts."""
        true = valkey._source
        if self.script:
            name, right, wrong = self.script
            if true(name).count(right) != 1:
                raise ValueError(f"{name}.lua no longer says: {right}")
            valkey._source = lambda asked: true(asked).replace(right, wrong) if asked == name else true(asked)
        try:
            yield
        finally:
            valkey._source = true


def _store(name: str, method: Any) -> Callable[[Process], None]:
    return lambda process: _bend(process.store, name, method)


def _engine(name: str, method: Any) -> Callable[[Process], None]:
    return lambda process: _bend(process.engine, name, method)


def _bend(whole: object, name: str, method: Any) -> None:
    if not hasattr(whole, name):  # or else the mistake would be planted where nobody looks
        raise ValueError(f"{type(whole).__name__} no longer has {name}")
    setattr(whole, name, MethodType(method, whole))


async def _reads_first(self: FaultyStore, name: str, keys: Any, args: dict[str, object]) -> Any:
    """Reads what it then compares with and writes back: right, but for whoever comes in between."""
    if name == "check":
        args["read"] = await self._calls.ask("GET", keys[0])
        await asyncio.sleep(0.001)
    return await type(self)._run(self, name, keys, args)


async def _disarms_first(self: Engine, stored: Stored) -> None:
    """Takes the timer out before anything is written down."""
    store: Any = self._setup.store
    shard = shard_or_unknown(stored.verification.id)
    await store._calls.ask("ZREM", store._layout.timers[shard], stored.verification.id)
    await asyncio.sleep(0.001)
    await Engine.due(self, stored)


async def _sends_again(self: Engine, stored: Stored, attempt: Attempt, now: int, since: float) -> None:
    """Takes a message over without asking whether it is still wanted."""
    self.carry(stored, attempt, since)


async def _counts_nothing(self: Engine, stored: Stored, turn: Any, now: int, _counters: Any, *rest: Any) -> Any:
    """Takes no heed of the limits on the destination when it falls back."""
    return await Engine._commit(self, stored, turn, now, (), *rest)


async def _reserves_later(
    self: Engine, stored: Stored, turn: Any, now: int, counters: Any, send: Any, reseal: Any, spend: Spend | None
) -> Any:
    """Queues a message, and pays for it when there is time."""
    late = spend if spend and spend.reserve else None
    done = await Engine._commit(self, stored, turn, now, counters, send, reseal, None if late else spend)
    if late and isinstance(done, Committed):
        self._later = asyncio.create_task(_paid(self, late))  # type: ignore[attr-defined]
        return done._replace(paid=Paid((0,) * len(late.purses)))
    return done


async def _paid(engine: Engine, spend: Spend) -> None:
    await asyncio.sleep(0.1)
    store: Any = engine._setup.store
    for purse in spend.purses:
        await store._calls.ask("HINCRBY", purse.key, "s", spend.reserve + spend.change)


async def _gives_back_what_is_unknown(self: Engine, stored: Stored, event: Any) -> Any:
    """Takes every failure for a message that nobody has."""
    unsent = replace(event, unsent=True) if isinstance(event, Failed) else event
    return await Engine._written(self, stored, unsent)


async def _again_for_nothing(self: Engine, stored: Stored, attempt: Attempt, now: int, since: float) -> None:
    """Takes a message over as if the first try could not have gone out."""
    await Engine._again(self, stored, attempt._replace(held=0), now, since)


_PAY = "pay(args.spend, slice(KEYS, 3 + #args.groups + #args.looks + #args.marks))"
MUTANTS: Mapping[str, Mutant] = {
    "none": Mutant(),
    "claim pops the timer": Mutant(LUA["pops"]),
    "create sets no timer": Mutant(LUA["unarmed"]),
    "commit has no fence": Mutant(LUA["unfenced"]),
    "check reads, then writes": Mutant(
        script=("check", "local doc = load(KEYS[1])", "local doc = args.read and cmsgpack.unpack(args.read)"),
        bend=_store("_run", _reads_first),
    ),
    "check answers by the state": Mutant(
        script=(
            "check",
            "if doc.s ~= 'p' then return",
            "if doc.s == 'a' then return answer('approved', 0, 0) end\nif doc.s ~= 'p' then return",
        )
    ),
    "check counts nothing": Mutant(script=("check", "doc.n = doc.n + 1\n", "\n")),
    "check forgets the destination's guesses": Mutant(
        script=("check", "count(guesses, doc.o or doc.y, doc.u or doc.z)", "")
    ),
    "check forgets its verdict": Mutant(script=("check", "  if args.idem then\n", "  if false then\n")),
    "create forgets its key": Mutant(script=("create", "if args.idem then\n", "if false then\n")),
    "limits count nothing": Mutant(script=("prelude", "tally(keys[g], counter[1], counter[2])", "")),
    "an end keeps its timer": Mutant(script=("prelude", "  redis.call('ZREM', due, id)\n", "")),
    "the timer goes before the record": Mutant(bend=_engine("due", _disarms_first)),
    "a timer is applied to what others have done": Mutant(bend=_engine("due", TriesAgain.due)),
    "the fallback does not count": Mutant(bend=_engine("_commit", _counts_nothing)),
    "a message is taken over unasked": Mutant(bend=_engine("_again", _sends_again)),
    "a lease is trusted for ever": Mutant(bend=_engine("_too_late", lambda self, since: False)),
    "caps are not looked at": Mutant(
        script=("prelude", "if spent + spend[1] + spend[2] > cap[1] then return i end", "")
    ),
    "what is given back is given back twice": Mutant(
        script=("prelude", "or spend[1] + spend[2])", "or spend[1] + spend[2] + math.min(0, spend[2]))")
    ),
    "a start reserves nothing": Mutant(
        script=("prelude", "or spend[1] + spend[2])", "or args.doc and 0 or spend[1] + spend[2])")
    ),
    "a commit pays before it wins": Mutant(
        script=(
            "commit",
            "if doc.v ~= args.v then return",
            f"{_PAY}\nif doc.v ~= args.v then return",
        )
    ),
    "a fallback is paid when it has gone out": Mutant(bend=_engine("_commit", _reserves_later)),
    "what nobody knows is given back": Mutant(bend=_engine("_written", _gives_back_what_is_unknown)),
    "what is sent again is not paid again": Mutant(bend=_engine("_again", _again_for_nothing)),
    "nobody looks for lost timers": Mutant(bend=lambda process: setattr(process.worker, "_sweep_at", float("inf"))),
}
