"""The watches in memory and in virtual time: what the store would count, suspect and block, without a store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from policies.model import Mode, Watch

PARTS = 12
"""Buckets of a window, and of the time in which messages ripen: how finely either is told."""
REMEMBERED = 1000
"""Messages of what is usual, at the most: beyond them, both numbers are halved, so that the newer counts more."""
FEWEST = 5
"""What a repeated block needs at the least: each level halves what the rule asks for, and never goes below."""
MOST_LEVEL = 20
MOST_ITEMS = 200
"""Items of a subject, at the most: as many as a rule may ask for. While there are as many, all too young to tell,
further ones are not counted. The oldest stay, or a flood would wash away what it is known by."""
DAY = 86_400_000

Key = tuple[str, str, str, str]


@dataclass(slots=True)
class Bucket:
    """Messages of one stretch of time, and how many of their codes were typed."""

    start: int
    sends: int
    approved: int


@dataclass(slots=True)
class State:
    """What is known of one subject."""

    buckets: list[Bucket] = field(default_factory=list)  # oldest first
    usual: tuple[int, int] = (0, 0)  # sends and approvals that have left the window
    items: list[tuple[str | int, int]] = field(default_factory=list)  # and when, oldest first
    until: int = 0  # the end of the last block; 0 when there was none
    held: bool = False  # whether that block only waits for messages to be ripe
    level: int = 0  # blocks in a row
    ends: int = 0  # when nothing of it counts any more


@dataclass(frozen=True, slots=True)
class Looked:
    """What the watches say to one start: the one that treats it most harshly, and those that have found something new.
    `by` is None when it may go on as it is."""

    by: Watch | None = None
    fired: tuple[Watch, ...] = ()
    standing: tuple[Watch, ...] = ()  # what only notes, and has a block

    @property
    def mode(self) -> Mode:
        """How the start is to be treated."""
        return self.by.mode if self.by else Mode.MONITOR


class Watching:
    """Every watch of one run. The rules are those of the store's own script, which tests hold this to. `now` is in ms
    and never goes back."""

    def __init__(self) -> None:
        self._states: dict[Key, State] = {}
        self._sweep_at = 4096

    def look(self, watches: Iterable[Watch], now: int) -> Looked:
        """Before a start: which blocks stand, and which begin now."""
        standing, fired, told = [], [], []
        for watch in watches:
            state = self._state(watch, now)
            if now < state.until:
                standing.append(watch)
            elif verdict := suspicious(watch, state, now):
                fired.append((watch, state, verdict))
            else:
                continue
            told.append(watch)
        news = tuple(watch for watch, _, _ in fired)
        harshest = max(told, key=lambda watch: watch.mode.rank, default=None)
        if harshest is None or harshest.mode is Mode.MONITOR:
            return Looked(None, news, tuple(standing))
        for watch, state, verdict in fired:
            block(watch, state, verdict, now)
        return Looked(harshest, news)

    def count(self, watches: Iterable[Watch], now: int) -> None:
        """After a start that nothing refused, with the watches that it was looked at under."""
        for watch in watches:
            state = self._state(watch, now)
            if now < state.until:
                continue
            if verdict := suspicious(watch, state, now):
                block(watch, state, verdict, now)
            else:
                _count(watch, state, now)

    def blocked(self, watches: Iterable[Watch], now: int) -> Watch | None:
        """Before a further message of a verification that has begun: whose block stands against it, the most harshly
        treated of them. What is only held may have its further messages: its people are waiting for them."""
        found = [(watch, self._states.get(_key(watch))) for watch in watches if watch.mode is not Mode.MONITOR]
        standing = [watch for watch, state in found if state and now < state.until and not state.held]
        return max(standing, key=lambda watch: watch.mode.rank, default=None)

    def more(self, watches: Iterable[Watch], at: int) -> None:
        """A further message went out, of a verification that began at `at`."""
        for watch in watches:
            state = self._states.get(_key(watch))
            if state and watch.ripe and (bucket := _of(state.buckets, at)):
                bucket.sends += 1

    def credit(self, watches: Iterable[Watch], at: int, messages: int = 1) -> None:
        """The code of a verification that began at `at`, and had so many messages, was typed."""
        for watch in watches:
            state = self._states.get(_key(watch))
            if state and watch.ripe:
                if bucket := _of(state.buckets, at):
                    bucket.approved = min(bucket.approved + messages, bucket.sends)
            elif state:
                state.items = [entry for entry in state.items if entry[0] != watch.item]

    def _state(self, watch: Watch, now: int) -> State:
        key = _key(watch)
        state = self._states.get(key)
        if state is None or state.ends <= now:
            self._sweep(now)
            state = self._states[key] = State(ends=now + kept(watch))
        return state

    def _sweep(self, now: int) -> None:
        """Forget what has ended. Each sweep waits for as many new subjects as were left."""
        if len(self._states) < self._sweep_at:
            return
        self._states = {key: state for key, state in self._states.items() if state.ends > now}
        self._sweep_at = max(4096, 2 * len(self._states))


class Verdict(IntEnum):
    """What is thought of a subject."""

    FINE = 0
    HELD = 1  # too few have answered so far: nobody goes on until its messages are old enough to tell
    GUILTY = 2


def suspicious(watch: Watch, state: State, now: int) -> Verdict:
    """Whether what is known of the subject looks like abuse."""
    level = _level(watch, state, now)
    needed = max(min(watch.minimum, FEWEST), watch.minimum >> level)
    if watch.ripe:
        tidy(watch, state, now)
        return _converts_too_little(watch, state, needed, now)
    state.items = [entry for entry in state.items if entry[1] > now - watch.window]
    if 2 * len(state.items) < needed:  # nearly always: nobody is counted more than twice
        return Verdict.FINE
    crowded = crowd([item for item, at in state.items if at + watch.patience <= now], watch.near) >= needed
    return Verdict.GUILTY if crowded else Verdict.FINE


def _converts_too_little(watch: Watch, state: State, needed: int, now: int) -> Verdict:
    sends = sum([bucket.sends for bucket in state.buckets])
    if sends < needed:  # no other number below is larger than it
        return Verdict.FINE
    approved = ripe = young = 0
    grown, patient = now - _fine(watch) - watch.ripe, now - _fine(watch) - watch.patience
    for bucket in state.buckets:
        approved += bucket.approved
        ripe += bucket.sends if bucket.start <= grown else bucket.approved
        young += bucket.sends if bucket.start <= patient else bucket.approved
    usual = state.usual
    earned = usual[0] >= watch.minimum and usual[1] >= watch.floor * usual[0]
    bar = watch.drop * usual[1] / usual[0] if earned else watch.floor
    if ripe >= needed and approved < bar * ripe:
        return Verdict.GUILTY
    silent = approved == 0 and usual[1] == 0 and sends >= needed and now - state.buckets[0].start >= watch.patience
    return Verdict.HELD if silent or (young >= needed and approved < bar * young) else Verdict.FINE


def crowd(items: Sequence[str | int], near: int) -> int:
    """How many there are, counting those twice that stand near another one."""
    if not near:
        return len(items)
    places = sorted(int(item) for item in items)
    gaps = [(after - before) % 10_000 for before, after in zip(places, [*places[1:], *places[:1]], strict=True)]
    close = [0 < gap <= near for gap in gaps]
    return len(places) + sum(behind or ahead for behind, ahead in zip([*close[-1:], *close[:-1]], close, strict=True))


def block(watch: Watch, state: State, verdict: Verdict, now: int) -> None:
    """Begin a block. What led to it is forgotten, so that its end is a new beginning; what is usual is not. Nothing is
    forgotten of what is only held, and codes that are typed in the meantime count."""
    level, state.held = _level(watch, state, now), verdict is Verdict.HELD
    if state.held:
        state.until, state.level = state.buckets[-1].start + _fine(watch) + max(watch.ripe, watch.patience), level
    else:
        state.until = now + min(watch.block.longest, watch.block.first * watch.block.growth**level)
        state.level = min(level + 1, MOST_LEVEL)
        state.buckets, state.items = [], []
    state.ends = max(now + kept(watch), state.until + watch.block.longest)


def tidy(watch: Watch, state: State, now: int) -> None:
    """Merge ripe buckets of one twelfth of the window, and move what has left the window to what is usual."""
    gone = now - watch.window
    if not state.buckets or (len(state.buckets) == 1 and state.buckets[0].start > gone):
        return
    left: list[Bucket] = []
    sends, approved = state.usual
    coarse, ripe = max(1, watch.window // PARTS), now - _fine(watch) - watch.ripe
    for bucket in state.buckets:
        if bucket.start <= gone:
            sends, approved = sends + bucket.sends, approved + bucket.approved
        elif left and bucket.start <= ripe and left[-1].start // coarse == bucket.start // coarse:
            left[-1].sends += bucket.sends
            left[-1].approved += bucket.approved
        else:
            left.append(bucket)
    while sends > REMEMBERED:
        sends, approved = sends // 2, approved // 2
    state.buckets, state.usual = left, (sends, approved)


def _count(watch: Watch, state: State, now: int) -> None:
    if not watch.ripe:
        state.items = [entry for entry in state.items if watch.each or entry[0] != watch.item]
        if len(state.items) < MOST_ITEMS:
            state.items.append((watch.item, now))
    elif state.buckets and now - state.buckets[-1].start < _fine(watch):
        state.buckets[-1].sends += 1
    else:
        state.buckets.append(Bucket(now, 1, 0))
    state.ends = max(now + kept(watch), state.until + watch.block.longest if state.until else 0)


def _of(buckets: list[Bucket], at: int) -> Bucket | None:
    """Where what began then was counted."""
    return next((bucket for bucket in reversed(buckets) if bucket.start <= at), None)


def _level(watch: Watch, state: State, now: int) -> int:
    return 0 if now >= state.until + watch.block.longest else state.level


def _fine(watch: Watch) -> int:
    return max(1, watch.ripe // PARTS)


def kept(watch: Watch) -> int:
    """How long a subject is remembered that nothing more is heard of: what is usual, for a week beyond the window."""
    return watch.window + 7 * DAY if watch.ripe else watch.window


def _key(watch: Watch) -> Key:
    return watch.app, watch.rule, watch.per, watch.subject
