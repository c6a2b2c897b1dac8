"""The breakers of one provider, one for each channel and group of countries, and what is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from channels.contract import Channel, Message
from gateway.guard.breaker import Breaker, Entry, State, Terms
from gateway.telemetry.metrics import Metrics

_SEVERITY = (State.CLOSED, State.HALF_OPEN, State.OPEN)
_EMAIL = str(Channel.EMAIL)  # a member of an enum is looked up by a call, which every message would pay for


def zone_of(channel: str, to: str) -> str:
    """The group of countries of a number, which may be masked: the first digit of the calling code, "" for email.

    Those are the nine world zones of E.164: a route that broke towards India must not stop the messages to Brazil.
    Single countries would be finer, and too few messages go to most of them to tell an outage from bad luck.
    """
    return "" if channel == _EMAIL else to[1:2]


class Circuit:
    """One breaker, by the clock of its provider's guard. `tell` hears of it when its state may be another."""

    def __init__(self, terms: Terms, clock: Callable[[], float], tell: Callable[[Circuit], None]) -> None:
        self._breaker = Breaker(terms)
        self._clock = clock
        self._tell = tell
        self.told = State.CLOSED

    @property
    def state(self) -> State:
        return self._breaker.state(self._clock())

    def refuses(self) -> bool:
        """Whether a message would be refused now."""
        return not self._breaker.closed and self._breaker.refuses(self._clock())

    def enter(self, *, insist: bool) -> Entry | None:
        """Let a message through, or None. See Breaker.enter."""
        entry = self._breaker.enter(self._clock(), insist=insist)
        if not self._breaker.closed:  # one that is closed does not change by this
            self._tell(self)
        return entry

    def settle(self, entry: Entry, sound: bool | None) -> None:
        """See Breaker.settle."""
        closed = self._breaker.closed
        self._breaker.settle(entry, sound, self._clock())
        if not (closed and self._breaker.closed):
            self._tell(self)


class Circuits:
    """The breakers come into being with their first message: no more than channels times zones of them."""

    def __init__(self, provider: str, terms: Terms, clock: Callable[[], float], metrics: Metrics, log: Any) -> None:
        self._provider = provider
        self._terms = terms
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._circuits: dict[tuple[str, str], Circuit] = {}
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._closed = False

    def of(self, message: Message) -> Circuit:
        """The one that a message goes by."""
        key = message.channel, zone_of(message.channel, message.to)
        return self._circuits.get(key) or self._made(key)

    def _made(self, key: tuple[str, str]) -> Circuit:
        made = Circuit(self._terms, self._clock, lambda circuit: self._tell(key, circuit))
        self._circuits[key] = made
        return made

    def close(self) -> None:
        """Tell nothing more, and take back what was told: whoever bears this provider's name next begins closed."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        # What was never told is not taken back: the next one may have opened while this one still ended its sends.
        for channel in {of for (of, _), circuit in self._circuits.items() if circuit.told is not State.CLOSED}:
            self._metrics.breaker(self._provider, channel, State.CLOSED)

    def _tell(self, key: tuple[str, str], circuit: Circuit) -> None:
        channel, group = key
        state, before = circuit.state, circuit.told
        if state is before or self._closed:
            return
        circuit.told = state
        self._metrics.breaker(self._provider, channel, self._worst(channel))
        self._log.warning(
            "breaker.changed",
            provider=self._provider,
            channel=str(channel),
            zone=group or None,
            from_state=str(before),
            state=str(state),
        )
        self._wake(key, circuit)

    def _wake(self, key: tuple[str, str], circuit: Circuit) -> None:
        """A breaker half opens by the clock alone. Without a timer, one that gets no traffic would be told as open,
        and page somebody, until its next message."""
        timer = self._timers.pop(key, None)
        if timer:
            timer.cancel()
        if circuit.told is State.OPEN:
            loop = asyncio.get_running_loop()
            self._timers[key] = loop.call_later(self._terms.pause + 0.1, self._tell, key, circuit)

    def _worst(self, channel: str) -> State:
        """One value for all the zones of a channel, since a metric for each would cost ten times the series."""
        states = [circuit.told for (of, _), circuit in self._circuits.items() if of == channel]
        return max(states, key=_SEVERITY.index)
