"""The breakers of one provider, one for each channel and group of countries, and what is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from channels.contract import Channel, Message
from gateway.guard.breaker import Breaker, Entry, State, Terms
from gateway.telemetry.metrics import Metrics

_SEVERITY = (State.CLOSED, State.HALF_OPEN, State.OPEN)


def zone(message: Message) -> str:
    """The group of countries that a message goes to: see zone_of."""
    return zone_of(message.channel, message.to)


def zone_of(channel: str, to: str) -> str:
    """The group of countries of a number, which may be masked: the first digit of the calling code, "" for email.

    Those are the nine world zones of E.164: a route that broke towards India must not stop the messages to Brazil.
    Single countries would be finer, and too few messages go to most of them to tell an outage from bad luck.
    """
    return "" if channel == Channel.EMAIL else to[1:2]


def _key(message: Message) -> tuple[Channel, str]:
    return message.channel, zone(message)


class Circuits:
    """The breakers come into being with their first message: no more than channels times zones of them."""

    def __init__(self, provider: str, terms: Terms, clock: Callable[[], float], metrics: Metrics, log: Any) -> None:
        self._provider = provider
        self._terms = terms
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._breakers: dict[tuple[Channel, str], Breaker] = {}
        self._told: dict[tuple[Channel, str], State] = {}
        self._timers: dict[tuple[Channel, str], asyncio.TimerHandle] = {}
        self._closed = False

    def refuses(self, message: Message) -> bool:
        """Whether this message would be refused now."""
        breaker = self._breakers.get(_key(message))
        return breaker is not None and breaker.refuses(self._clock())

    def enter(self, message: Message, *, insist: bool) -> Entry | None:
        """Let a message through, or None. See Breaker.enter."""
        key = _key(message)
        breaker = self._breakers.get(key)
        if breaker is None:
            breaker = self._breakers[key] = Breaker(self._terms)
        entry = breaker.enter(self._clock(), insist=insist)
        self._tell(key)
        return entry

    def settle(self, message: Message, entry: Entry, sound: bool | None) -> None:
        """See Breaker.settle."""
        key = _key(message)
        self._breakers[key].settle(entry, sound, self._clock())
        self._tell(key)

    def close(self) -> None:
        """Tell nothing more, and take back what was told: whoever bears this provider's name next begins closed."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for channel, _ in self._told:
            self._metrics.breaker(self._provider, channel, State.CLOSED)

    def _tell(self, key: tuple[Channel, str]) -> None:
        channel, group = key
        state, before = self._breakers[key].state(self._clock()), self._told.get(key, State.CLOSED)
        if state is before or self._closed:
            return
        self._told[key] = state
        self._metrics.breaker(self._provider, channel, self._worst(channel))
        self._log.warning(
            "breaker.changed",
            provider=self._provider,
            channel=str(channel),
            zone=group or None,
            from_state=str(before),
            state=str(state),
        )
        self._wake(key, state)

    def _wake(self, key: tuple[Channel, str], state: State) -> None:
        """A breaker half opens by the clock alone. Without a timer, one that gets no traffic would be told as open,
        and page somebody, until its next message."""
        timer = self._timers.pop(key, None)
        if timer:
            timer.cancel()
        if state is State.OPEN:
            loop = asyncio.get_running_loop()
            self._timers[key] = loop.call_later(self._terms.pause + 0.1, self._tell, key)

    def _worst(self, channel: Channel) -> State:
        """One value for all the zones of a channel, since a metric for each would cost ten times the series."""
        states = [state for (told, _), state in self._told.items() if told is channel]
        return max(states, key=_SEVERITY.index)
