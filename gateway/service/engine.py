"""The engine: turns the machine for each event, commits what it says, and carries its sends out."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

from channels.contract import Channel, ErrorClass
from gateway.core import machine
from gateway.core.keys import Unopenable
from gateway.core.machine import Changed, Effect, Event, Failed, Send
from gateway.core.model import Attempt, AttemptStatus, Verification
from gateway.service import limiting, messages, record, spending, suppressions, suspicion, unpriced
from gateway.service.requests import Denied, Limited
from gateway.service.setup import Setup
from gateway.store.body import pack_messages
from gateway.store.document import Secrets, Stored
from gateway.store.steps import Capped, Change, Committed, Conflict, Unavailable, Unknown
from gateway.store.steps import Limited as StoreLimited
from gateway.store.wants import Counter, Spend
from policies.model import Mode
from policies.rules.fraud import REFUSAL as SUSPECTED
from policies.rules.spend import REFUSAL as CAPPED

_COMMIT_TRIES = 20
"""Rounds of read and commit for one event. Each lost round means that another event of the same verification won."""
_RECENT = 1_000  # verifications that are remembered as they were written last, in 3 MB
_STORE_PAUSE = 0.25
"""Seconds between tries to write down the outcome of a send while the store is away."""
_DECIDED = (Committed, Conflict)
_Written = tuple[machine.Turn, Committed | Conflict]


class Contended(Exception):
    """One verification is changed by so many at once that this event could not be written."""


@dataclass(frozen=True, slots=True)
class Reseal:
    """A new code: the fields that replace the old one, in the same commit that queues its first message."""

    fields: Mapping[str, object]


class Turned(NamedTuple):
    """The state after an event, and the message that must now be sent, if any."""

    stored: Stored
    send: Attempt | None
    since: float = 0  # the store's `elapsed` from which the lease of that message counts


class Engine:
    """Carries verifications forward. Holds no state but the sends that are under way in this process, and which prices
    are still to be asked for."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._tasks: dict[asyncio.Task[None], str] = {}
        self._carried: dict[str, int] = {}  # how many of those a verification has
        self._waiting: dict[str, asyncio.Future[Verification]] = {}
        self._draining = False
        self.unpriced = unpriced.Agenda()
        # Of a plain dict the oldest is found by looking through the places of all that were taken out before it.
        self._recent: OrderedDict[str, Stored] = OrderedDict()

    def adopt(self, setup: Setup) -> None:
        """Go on under another setup. A send that is under way ends with the carrier that it has."""
        self._setup = setup

    async def ended(self) -> None:
        """Wait until every send that is now under way has ended, with whatever its failure leads to."""
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    @property
    def in_flight(self) -> int:
        """Sends under way, their commits included."""
        return len(self._tasks)

    @property
    def full(self) -> bool:
        return len(self._tasks) >= self._setup.most_sends

    def carry(self, stored: Stored, attempt: Attempt, since: float, secrets: Secrets | None = None) -> None:
        """Send this attempt, and whatever its failure leads to, in the background. `since` is the store's `elapsed` at
        which it was asked to write the attempt down: the lease counts from then, or later."""
        task = asyncio.get_running_loop().create_task(self._carry(stored, attempt, since, secrets))
        self._tasks[task] = verification = stored.verification.id
        self._carried[verification] = self._carried.get(verification, 0) + 1
        task.add_done_callback(self._done)

    async def settled(self, verification: str, wait: float) -> Verification | None:
        """Wait until a provider accepted a message of this verification, nothing is left to try, or `wait` seconds are
        over (None). Only for a verification whose first send runs in this process."""
        if self._draining:
            return None
        future: asyncio.Future[Verification] = asyncio.get_running_loop().create_future()
        self._waiting[verification] = future
        try:
            async with asyncio.timeout(wait):
                return await future
        except TimeoutError:
            return None
        finally:
            self._waiting.pop(verification, None)

    async def turn(
        self, stored: Stored, event: Event, *, by_person: bool = False, reseal: Reseal | None = None
    ) -> Turned:
        """Apply one event and commit it, against whatever the state has become meanwhile.

        A resend (`by_person`) that a limit refuses raises Limited, and one that a cap refuses Denied; an automatic
        fallback that one refuses ends there.
        Raises Unknown, Unavailable, Contended, and machine.Unreachable for a resend.
        """
        for _ in range(_COMMIT_TRIES):
            before, now, since = stored.verification, self._setup.store.now(), self._setup.store.elapsed()
            turn = machine.apply(before, event, now, self._setup.pace)
            if turn[0] is before and not turn[1]:
                return Turned(stored, None)
            turn, result = await self._write(stored, event, turn, now, by_person, reseal)
            if isinstance(result, Committed):
                turned = self._turned(stored, turn, now, result, since, reseal)
                return await self._allowed(turned, result) if result.suppressed else turned
            stored = result.stored
        raise Contended

    async def _allowed(self, turned: Turned, committed: Committed) -> Turned:
        """The same turn, unless its message may not go out: the step that queued it has seen an opt-out. It then failed
        for that, as if the vendor had said it, and the next way is taken."""
        if turned.send is None or turned.send.channel not in committed.suppressed:
            return turned
        v = turned.stored.verification
        suppressions.left_out(self._setup, committed.suppressed, verification=v.id, app=v.app, purpose=v.purpose)
        return await self.turn(turned.stored, _opted_out(turned.send))

    def _write(
        self, stored: Stored, event: Event, turn: machine.Turn, now: int, by_person: bool, reseal: Reseal | None
    ) -> Awaitable[_Written]:
        """What the turn has become, written down or in conflict. News without a message asks for nothing that could be
        refused, and takes the short way: that is every message's own outcome."""
        if _send_of(turn) is None:
            return self._news(stored, turn, now)
        return self._message(stored, event, turn, now, by_person, reseal)

    async def _news(self, stored: Stored, turn: machine.Turn, now: int) -> _Written:
        turn, change = spending.settled(self._setup, turn)
        spend = spending.spend(turn[0], 0, change)
        result = await self._commit(stored, turn, now, (), None, None, spend)
        if not isinstance(result, _DECIDED):
            raise Unavailable("a commit that asks for nothing was refused")
        if spend and isinstance(result, Committed):
            spending.tell(self._setup, turn[0], spend, result.paid)
        return turn, result

    async def _message(
        self, stored: Stored, event: Event, turn: machine.Turn, now: int, by_person: bool, reseal: Reseal | None
    ) -> _Written:
        before = stored.verification
        turn, challenged = await self._suspected(stored, event, turn, now, by_person)
        done, result = await self._reserve(stored, turn, now, by_person, reseal)
        goes_on = isinstance(result, Capped) and spending.refused(self._setup, turn[0], result).free
        if goes_on and (free := self._among(spending.only_free(before), before, event, now)):
            turn = free
            done, result = await self._reserve(stored, turn, now, by_person, reseal)
        if isinstance(result, _DECIDED):
            return done, result
        refused, reason = self._refusal(turn[0], result, by_person)
        if by_person:
            raise refused
        ways = None if challenged else limiting.elsewhere(before, turn[0], result)
        if ways and (other := self._among(ways, before, event, now)):
            done, result = await self._reserve(stored, other, now, by_person, None)
            if isinstance(result, _DECIDED):
                return done, result
        return await self._news(stored, machine.bar(turn, reason), now)

    async def _reserve(
        self, stored: Stored, turn: machine.Turn, now: int, by_person: bool, reseal: Reseal | None
    ) -> tuple[machine.Turn, Committed | Conflict | StoreLimited | Capped]:
        """Commit a turn with what its message reserves and what its news settles."""
        turn, change = spending.settled(self._setup, turn)
        send = _send_of(turn)
        counters = limiting.counters(turn[0], sends_only=not by_person) if send else ()
        held = send.attempt.held if send and not turn[0].shadow else 0
        spend = spending.spend(turn[0], held, change)
        result = await self._commit(stored, turn, now, counters, send, reseal, spend)
        if spend and isinstance(result, Committed):
            spending.tell(self._setup, turn[0], spend, result.paid)
        return turn, result

    async def _suspected(
        self, stored: Stored, event: Event, turn: machine.Turn, now: int, by_person: bool
    ) -> tuple[machine.Turn, bool]:
        """The turn as it is allowed after all, if a rule against abuse has begun a block since the start; and whether
        that left only some ways. Raises Denied for a person's resend."""
        send = _send_of(turn)
        doubt = await suspicion.since(self._setup, stored, send.attempt) if send and not send.again else None
        if doubt is None:
            return turn, False
        v, effects = turn
        if doubt.mode is Mode.SHADOW:
            return (v._replace(shadow=True), effects), False
        if doubt.mode is Mode.CHALLENGE:
            before = stored.verification
            if free := self._among(suspicion.challenged(self._setup, before), before, event, now):
                return free, True
        if by_person:
            raise Denied(SUSPECTED.code, SUSPECTED.rule, SUSPECTED.detail)
        return machine.bar(turn, "fraud"), True

    def _among(self, ways: Verification, v: Verification, event: Event, now: int) -> machine.Turn | None:
        """The turn that the event makes where only these ways may be gone; None when none of them is left. The next may
        go all of them again: a vendor may have named a lower price meanwhile, or the block may have ended."""
        try:
            turned, effects = machine.apply(ways, event, now, self._setup.pace)
        except machine.Unreachable:
            return None
        turn = turned._replace(steps=v.steps), effects
        return turn if _send_of(turn) else None

    def _refusal(self, v: Verification, result: StoreLimited | Capped, by_person: bool) -> tuple[Limited | Denied, str]:
        """What a person is told, and what the journal is."""
        if isinstance(result, Capped):
            return Denied(CAPPED.code, CAPPED.rule, CAPPED.detail), f"cap:{v.purses[result.purse].name}"
        limited = limiting.refused(self._setup, v, result, sends_only=not by_person)
        return limited, f"limit:{limited.limit}"

    def _turned(
        self,
        stored: Stored,
        turn: machine.Turn,
        now: int,
        committed: Committed,
        since: float,
        reseal: Reseal | None = None,
    ) -> Turned:
        v, effects = turn
        v = v.but(version=stored.verification.version + 1, resend_at=committed.again)
        stored = Stored(v, *stored[1:])
        self._remember(stored)
        if reseal:
            stored = stored._replace(key_id=str(reseal.fields["k"]), sealed=cast("bytes", reseal.fields["h"]))
        self._tell(v, effects, now)
        if len(v.attempts) > 1:  # the first message is counted with the start
            suspicion.further(self._setup, stored, effects)
        send = _send_of(turn)
        return Turned(stored, send.attempt if send else None, since)

    def recent(self, verification: str) -> Stored | None:
        """A verification as this process last wrote it, if it did so lately, and without what is sealed. Something may
        have happened since: a turn that commits is then told what stands now."""
        return self._recent.get(verification)

    def _remember(self, stored: Stored) -> None:
        v = stored.verification
        self._recent.pop(v.id, None)
        if v.pending:
            self._recent[v.id] = Stored(v, stored.key_id, None, *stored[3:])
            if len(self._recent) > _RECENT:
                self._recent.popitem(last=False)

    async def due(self, stored: Stored) -> None:
        """What a timer asks for. If the verification was changed since its timer was claimed, nothing: whoever changed
        it has set the timer anew, and may be sending already. Nothing either while this very process is still writing
        down what became of its send: the claim was then a longer lease."""
        if stored.verification.id in self._carried:
            return
        before, now, since = stored.verification, self._setup.store.now(), self._setup.store.elapsed()
        event: Event = machine.Due()
        turn = machine.apply(before, event, now, self._setup.pace)
        send = _send_of(turn)
        if send and send.again:
            if not await self._opted_out_since(before, send.attempt):
                await self._again(stored, send.attempt, now, since)
                return
            event = _opted_out(send.attempt, unsent=False)  # whoever died over it may have sent it
            turn = machine.apply(before, event, now, self._setup.pace)
        turn, result = await self._write(stored, event, turn, now, False, None)
        if isinstance(result, Conflict):
            self._lost(before)
            return
        turned = await self._allowed(self._turned(stored, turn, now, result, since), result)
        if turned.send:
            self.carry(turned.stored, turned.send, turned.since)

    async def _again(self, stored: Stored, attempt: Attempt, now: int, since: float) -> None:
        """Send what another process may have died over, if nothing has happened since the claim: a process that was
        stopped between its claim and this line must not send after an approval. The first try may have been paid for,
        so this one is charged as well, whatever the caps say, and never given back."""
        spend = spending.spend(stored.verification, change=attempt.held)
        result = await self._commit(stored, (stored.verification, ()), now, (), None, None, spend)
        if isinstance(result, Committed):
            spending.tell(self._setup, stored.verification, spend, result.paid)
            turned = self._turned(stored, (stored.verification, ()), now, result, since)
            self.carry(turned.stored, attempt, since)
        else:
            self._lost(stored.verification)

    def _lost(self, v: Verification) -> None:
        self._setup.metrics.lease_lost()
        self._setup.log.warning("lease.lost", verification=v.id)

    async def _opted_out_since(self, v: Verification, attempt: Attempt) -> bool:
        """Whether the person has opted out after this message was queued by a process that may have died over it."""
        record = v.opt_outs.key(attempt.channel)
        found = await self._setup.store.suppressions(record) if record else []
        if attempt.channel not in {entry.channel for entry in found}:
            return False
        suppressions.left_out(self._setup, [attempt.channel], verification=v.id, app=v.app, purpose=v.purpose)
        return True

    def begin_draining(self) -> None:
        """Begin no further message, and let nobody wait for one: the process is about to end."""
        self._draining = True
        for verification, waiter in self._waiting.items():
            if not waiter.done():
                waiter.set_exception(TimeoutError(verification))

    async def drain(self, seconds: float) -> int:
        """Let what is under way end; give the leases of the rest back. Returns how many those were."""
        self.begin_draining()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=seconds)
        left = list(self._tasks.items())
        for task, _ in left:
            task.cancel()
        if left:
            await asyncio.gather(*(task for task, _ in left), return_exceptions=True)
            await self._release([verification for _, verification in left])
        return len(left)

    async def _release(self, verifications: list[str]) -> None:
        try:
            await self._setup.store.release(verifications)
        except Unavailable as fault:  # their leases then end by themselves
            self._setup.log.warning("store.failed", operation="release", fault=str(fault))

    async def _carry(self, stored: Stored, attempt: Attempt, since: float, secrets: Secrets | None) -> None:
        # `secrets` stay the right ones: a resend, which may make a new code, also makes a newer attempt, and what is
        # heard of an older one then leads to no further message.
        next_attempt: Attempt | None = attempt
        while next_attempt:
            if self._too_late(since):
                self._lost(stored.verification)
                return
            event = await messages.sent(
                self._setup, stored, next_attempt, secrets or messages.opened(self._setup, stored)
            )
            stored, next_attempt, since = await self._written(stored, event)
            if self._draining and next_attempt:
                await self._release([stored.verification.id])  # the next message is another process's
                return
        if stored.verification.exhausted:
            await suspicion.unsent(self._setup, stored.verification)

    def _too_late(self, since: float) -> bool:
        """Whether this process stood still, or waited for the store, for so much of its lease that another one may be
        about to send the same message, or the verification may have ended. When the lease is over, another sends it."""
        return 2 * (self._setup.store.elapsed() - since) > self._setup.pace.lease

    async def _written(self, stored: Stored, event: Event) -> Turned:
        """Write a send's outcome down, even if the store is away for a while: a message that went out and is not
        written down is sent again when its lease ends."""
        tries = int(self._setup.pace.lease / 1000 / _STORE_PAUSE)
        while True:
            try:
                return await self.turn(stored, event)
            except (Unavailable, Contended):
                tries -= 1
                if tries <= 0:
                    raise
            await asyncio.sleep(_STORE_PAUSE)

    def _commit(
        self,
        stored: Stored,
        turn: machine.Turn,
        now: int,
        counters: tuple[Counter, ...],
        send: Send | None,
        reseal: Reseal | None,
        spend: Spend | None,
    ) -> Awaitable[Committed | Conflict | StoreLimited | Capped]:
        (v, effects), before, setup = turn, stored.verification, self._setup
        fields: dict[str, object] = {"t": pack_messages(v)}
        if reseal:
            fields.update(reseal.fields)
        if send:
            fields[sent_to(send.attempt.channel)] = 1
        if v.shadow and not before.shadow:
            fields["S"] = 1
        return setup.store.commit(
            Change(
                v.id,
                before.version,
                fields,
                v.status if v.status is not before.status else None,
                machine.due(v, now, setup.pace) or 0,
                record.journal(v, effects, now),
                setup.times.tombstone,
                counters,
                suppressions.looks(v.opt_outs, [send.attempt.channel]) if send else (),
                suppressions.marks(setup, v, effects),
                spend,
            )
        )

    def _tell(self, v: Verification, effects: tuple[Effect, ...], now: int) -> None:
        if v.shadow:
            record.shadowed(self._setup, v, effects)
        else:
            self._count(v, effects, now)
        waiter = self._waiting.get(v.id)
        if waiter and not waiter.done() and (v.exhausted or not v.pending or _handed_over(effects)):
            waiter.set_result(v)

    def _count(self, v: Verification, effects: tuple[Effect, ...], now: int) -> None:
        record.tell(self._setup, v, effects, now)
        for effect in effects:
            if isinstance(effect, Changed) and effect.attempt.status is not AttemptStatus.SENT:
                suppressions.tell(self._setup, v, effect.attempt)
                if not unpriced.hear(self.unpriced, self._setup.carriers, v, effect.attempt, now):
                    self._setup.metrics.price_lookup(effect.attempt.provider, "dropped")

    def _done(self, task: asyncio.Task[None]) -> None:
        verification = self._tasks.pop(task)
        if others := self._carried.pop(verification) - 1:
            self._carried[verification] = others
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, Unknown | Unopenable):
            # Ended meanwhile, or its sealing key was taken away: there is nothing left to send or to write to.
            self._setup.log.warning("send.abandoned", verification=verification, fault=type(error).__name__)
            return
        if error:
            self._setup.log.error("send.unwritten", verification=verification, fault=type(error).__name__)


def sent_to(channel: str) -> str:
    """The field of a document that says that a message to this kind of address is due: a check may then name it."""
    return "R" if channel == Channel.EMAIL else "P"


def _opted_out(attempt: Attempt, *, unsent: bool = True) -> Failed:
    return Failed(attempt.number, ErrorClass.OPTED_OUT, suppressions.ALREADY, unsent=unsent)


def _handed_over(effects: tuple[Effect, ...]) -> bool:
    """Whether somebody has taken a message, or has even brought it."""
    return any(isinstance(effect, Changed) and effect.attempt.status in ("sent", "delivered") for effect in effects)


def _send_of(turn: machine.Turn) -> Send | None:
    for effect in turn[1]:
        if isinstance(effect, Send):
            return effect
    return None
