"""What looks like abuse: what the store is to watch, what it found, and the blocks that an operator sees and lifts.

The state of an app's watches lies in one slot, whoever it is about, under keyed hashes. A code that was typed is told
to the watches after it was approved and apart from it: a lost word makes conversion look a little worse, and no more.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from channels.contract import REMEDIES, Remedy
from gateway.core.machine import Accepted, Changed, Effect
from gateway.core.model import Attempt, AttemptStatus, End, Status, Verification, went_to_both
from gateway.service.requests import NotFound
from gateway.service.setup import Setup
from gateway.store.document import Stored
from gateway.store.steps import Created, Fired, Suspected, Unavailable, Unknown
from gateway.store.wants import Item
from gateway.store.watches import Block, Credit
from policies.model import Decision, Mode, Watch

_OURS = frozenset(str(error) for error, remedy in REMEDIES.items() if remedy is Remedy.NEXT_PROVIDER)
"""Reasons that say nothing of the number."""
_ITEM = 8
"""Those of an item, which has a few hundred beside it: 48 bits."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where the watches of an app lie."""

    shard: int
    index: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """How a start is to be treated, and which rule says so."""

    mode: Mode
    rule: str


def slot(setup: Setup, app: str) -> Slot:
    """One for each app."""
    return Slot(setup.shard_of_app(app), _name(setup, "index", app))


def namers(setup: Setup, watches: Iterable[Watch]) -> tuple[Callable[[str], str], ...]:
    """The names of these watches, and of all that differ from them in their subjects alone, by those subjects."""
    return tuple(setup.keys.namer("watch", w.app, w.rule, w.per) for w in watches)


def watched(setup: Setup, names: Iterable[Callable[[str], str]], watches: Iterable[Watch]) -> tuple[Item, ...]:
    """What the store is to watch."""
    return tuple([(_plain(name(w.subject)), _item(setup, w)) for name, w in zip(names, watches, strict=True)])


def _name(setup: Setup, *parts: str) -> str:
    return _plain(setup.keys.name("watch", *parts))


def _plain(name: str) -> str:
    """What an operator can type, too: letters, digits, hyphens and underscores."""
    return name.replace("+", "-").replace("/", "_")


def _item(setup: Setup, watch: Watch) -> str | int:
    """Of a number only what can be compared: its place, moved by a secret amount, or the beginning of its hash."""
    if isinstance(watch.item, int):
        return setup.keys.place(watch.subject, watch.item)
    return _name(setup, watch.item)[:_ITEM] if watch.each else watch.item


async def pretended(setup: Setup, attempt: Attempt) -> Accepted:
    """What a message in shadow comes to: as if a provider had taken it, after about as long as one takes."""
    await asyncio.sleep(setup.shadow_pause * (0.5 + secrets.randbelow(1000) / 1000))
    return Accepted(attempt.number, secrets.token_hex(16))


def no_digest() -> bytes:
    """A digest that no code has: in shadow none is right, not even one that the app made."""
    return secrets.token_bytes(16)


def doubt(setup: Setup, decision: Decision, result: Suspected) -> Doubt:
    """What the policy is to be asked again with; and tell of the blocks that the start has brought about."""
    found(setup, decision.watches, result.fired)
    by = decision.watches[result.watch]
    return Doubt(by.mode, by.rule)


def treated(setup: Setup, decision: Decision, created: Created) -> tuple[str, ...]:
    """The rules by which a start that was not refused looks like abuse, counted."""
    rules = decision.suspicions
    if created.noted or created.fired:
        noted = (*created.noted, *[news.watch for news in created.fired])
        rules = (*rules, *[decision.watches[number].rule for number in noted])
    if rules:
        _count(setup, decision.treatment, rules)
    return rules


def refused(setup: Setup, decision: Decision) -> None:
    """Count a refusal, if it is owed to a suspicion."""
    if decision.treatment is not Mode.MONITOR:
        _count(setup, decision.treatment, decision.suspicions)


def _count(setup: Setup, mode: Mode, rules: Iterable[str]) -> None:
    for rule in rules:
        setup.metrics.suspected(rule, mode)


def found(setup: Setup, watches: tuple[Watch, ...], fired: Iterable[Fired]) -> None:
    """Count and log the blocks that a start has brought about."""
    for news in fired:
        watch = watches[news.watch]
        event = "held" if news.level == 0 else "added" if news.level == 1 else "lengthened"
        setup.metrics.block(watch.rule, event)
        setup.log.warning(
            f"block.{event}",
            app=watch.app,
            rule=watch.rule,
            per=watch.per,
            subject=watch.shown,
            mode=str(watch.mode),
            number=news.level,
            until=news.until,
        )


async def since(setup: Setup, stored: Stored, attempt: Attempt) -> Doubt | None:
    """How a further message is to be treated: by the block that a rule has begun since its verification did, or that
    only holds new ones back no longer. None when it may go out. It is a hint: when the store is away, it may."""
    v = stored.verification
    if v.shadow or not stored.watched or attempt.channel in _free(setup, v):
        return None
    try:
        names = await setup.store.watches.blocked(setup.shard_of_app(v.app), [name for name, _ in stored.watched])
    except Unavailable as fault:
        _lost(setup, v.id, fault, "blocked")
        return None
    rules = setup.policies[v.policy].settings.fraud.rules if v.policy in setup.policies else {}
    standing = [Doubt(rules[name].mode, name) for name in names if name in rules]
    worst = max(standing, key=lambda doubt: doubt.mode.rank, default=None)
    if worst is None or worst.mode is Mode.MONITOR:
        return None
    _barred(setup, v, attempt, worst)
    return worst


def _barred(setup: Setup, v: Verification, attempt: Attempt, doubt: Doubt) -> None:
    _count(setup, doubt.mode, [doubt.rule])
    setup.log.info(
        "fraud.barred",
        verification=v.id,
        app=v.app,
        purpose=v.purpose,
        policy=v.policy,
        rule=doubt.rule,
        mode=str(doubt.mode),
        channel=attempt.channel,
        country=v.country,
    )


def challenged(setup: Setup, v: Verification) -> Verification:
    """The verification with none but the ways that a challenge leaves."""
    return v.by(_free(setup, v).__contains__)


def further(setup: Setup, stored: Stored, effects: Iterable[Effect]) -> None:
    """Tell the watches, soon, of what went out beyond the one message that a start is counted for."""
    v = stored.verification
    for effect in effects:
        if isinstance(effect, Changed) and effect.attempt.status is AttemptStatus.SENT and stored.watched:
            numbers = {attempt.number for attempt in _paid(setup, v)}
            if effect.attempt.number in numbers and len(numbers) > 1:
                _soon(setup, v, Credit(v.created_at, stored.watched, sent=1))


def _paid(setup: Setup, v: Verification | End) -> list[Attempt]:
    """The messages that a provider took and that somebody may earn from."""
    free = _free(setup, v)
    return [attempt for attempt in v.attempts if attempt.message_id and attempt.channel not in free]


def _free(setup: Setup, v: Verification | End) -> frozenset[str]:
    """The channels that nobody earns from; none where the policy is gone."""
    policy = setup.policies.get(v.policy)
    return policy.eyes.free if policy else frozenset()


def typed(setup: Setup, v: End) -> None:
    """Tell the watches, soon, of a verification that was approved, unless the code may have been read in a mailbox:
    whoever pumps has one of his own. It is a hint: no answer waits for it."""
    if v.status is Status.APPROVED and v.watched and not went_to_both(v.attempts):
        _soon(setup, v, Credit(v.created_at, v.watched, typed=max(1, len(_paid(setup, v)))))


def _soon(setup: Setup, v: Verification | End, credit: Credit) -> None:
    setup.store.watches.credit_soon(setup.shard_of_app(v.app), credit, lambda fault: _lost(setup, v.id, fault))


async def feedback(setup: Setup, v: Verification) -> None:
    """An app says that the code was typed, where only it could see that. Raises Unavailable."""
    try:
        credit = await setup.store.watches.feedback(v.id, v.app)
    except Unknown:
        raise NotFound from None
    await _credit(setup, v.app, credit._replace(typed=max(1, len(_paid(setup, v)))), v.id)


async def unsent(setup: Setup, v: Verification) -> None:
    """Tell the watches that a verification counts for nothing, because no provider was able to take any message of it:
    nobody earns from that, and nobody could answer. Never raises: it is a hint."""
    if not v.exhausted or not all(attempt.reason in _OURS and not attempt.message_id for attempt in v.attempts):
        return
    try:
        credit = await setup.store.watches.feedback(v.id, v.app)
    except (Unavailable, Unknown):
        return
    await _credit(setup, v.app, credit._replace(sent=-1), v.id)


async def _credit(setup: Setup, app: str, credit: Credit, verification: str) -> None:
    if not credit.watched:
        return
    try:
        await setup.store.watches.credit(setup.shard_of_app(app), credit)
    except Unavailable as fault:
        _lost(setup, verification, fault)


def _lost(setup: Setup, verification: str, fault: Unavailable, operation: str = "credit") -> None:
    setup.log.warning("store.failed", operation=operation, verification=verification, fault=str(fault))


class Blocks:
    """The use-cases. Every method raises store.steps.Unavailable when the store is away."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    async def listed(self, app: str) -> tuple[Block, ...]:
        """What stands for this app, what ends first at the beginning."""
        return await self._look(app, listed=True)

    async def lift(self, app: str, name: str) -> Block:
        """End a block of this app. Raises NotFound."""
        at = slot(self._setup, app)
        lifted = await self._setup.store.watches.unblock(at.shard, at.index, name)
        if lifted is None:
            raise NotFound
        self._tell(app, "lifted", lifted)
        return lifted

    async def sweep(self) -> None:
        """Tell of the blocks that have ended by themselves, of every app."""
        for app in self._setup.apps:
            await self._look(app, listed=False)

    async def try_sweep(self) -> None:
        """The same, if the store answers."""
        try:
            await self.sweep()
        except Unavailable as fault:
            self._setup.log.warning("store.failed", operation="blocks", fault=str(fault))

    async def _look(self, app: str, *, listed: bool) -> tuple[Block, ...]:
        at = slot(self._setup, app)
        blocks = await self._setup.store.watches.blocks(at.shard, at.index, listed=listed)
        for block in blocks.ended:
            self._tell(app, "expired", block)
        self._setup.metrics.blocks(app, blocks.number)
        return blocks.standing

    def _tell(self, app: str, event: str, block: Block) -> None:
        self._setup.metrics.block(block.rule, event)
        self._setup.log.info(
            f"block.{event}",
            app=app,
            rule=block.rule,
            per=block.per,
            subject=block.shown,
            number=block.level,
            until=block.until,
        )
