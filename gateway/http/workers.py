"""Several processes on one address: a parent starts them, starts again what died, and passes on what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NoReturn

import structlog

from gateway.config import Invalid, Settings, load
from gateway.http import process
from gateway.http.carriers import Unbuildable
from gateway.http.listening import own
from gateway.http.process import Place, Post, terminal
from gateway.http.reload import held
from gateway.store import embedded
from gateway.store.survey import Unfit
from gateway.telemetry.gathering import Peers
from gateway.telemetry.traffic import Unwritable
from policies import destination

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
_SOON = 10.0
"""Seconds of life: who ends sooner is started again after a longer pause than the one before it."""
_PAUSE, _LONGEST = 0.1, 10.0
_TRIES = 3
"""Short lives in a row, of all workers alike, that are taken for the end."""
_GRACE = 15.0
"""Seconds beside engine.drain, after which a worker that was told to stop is killed."""
_UP, _LOADED = b"u", b"l"  # what a worker tells


class Failed(Exception):
    """The workers end as soon as they are started."""


@dataclass(slots=True)
class Seat:
    """One worker's place, with who is there."""

    number: int
    due: float  # when somebody is to be started, while nobody is there
    pid: int = 0
    began: float = 0.0
    up: bool = False  # it serves
    missed: bool = False  # a reload, while it was starting
    starts: int = 0
    short: int = 0  # lives in a row


def run(settings: Settings, place: Place, announce: Callable[[], None]) -> None:
    """Run `server.workers` processes at `place` until SIGTERM or SIGINT; calls `announce` once all of them serve.
    Raises Failed, and embedded.Lost when the place's store ends by itself. To be called from the only thread: what is
    forked has no other one."""
    destination.load()  # once, in memory that all of them share
    gc.collect()
    gc.freeze()
    with contextlib.ExitStack() as stack:
        doors = [stack.enter_context(_door()) for _ in range(settings.config.server.workers)]
        parent = Parent(settings, place, tuple(doors), announce)
        with parent.listening():
            parent.run()


def _door() -> socket.socket:
    """What a worker tells its metrics through: nobody outside this machine reaches it."""
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    door.bind(("127.0.0.1", 0))
    return door


class Parent:
    """Has no loop, no thread and no connection, so that it can fork at any time. Of what its workers do it knows only
    what it needs: that one serves, has taken a configuration over, or has ended."""

    def __init__(
        self, settings: Settings, place: Place, doors: tuple[socket.socket, ...], announce: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._place = place
        self._doors = doors
        self._announce = announce
        self._announced = False
        self._stopping = False
        self._lost = False
        self._failed = False
        self._deadline = float("inf")
        self._hung_up = terminal()
        self._log = structlog.get_logger()
        self._parted, self._life = os.pipe()
        # the first one alone: what is wrong with the configuration is told once, and not by all of them
        self._seats = [Seat(n, due=float("inf") if n else 0.0) for n in range(len(doors))]
        self._selector = selectors.DefaultSelector()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """While it lasts, signals to this process are read by `run`."""
        hears, told = socket.socketpair()
        told.setblocking(False)
        before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
        woken = signal.set_wakeup_fd(told.fileno())
        self._selector.register(hears, selectors.EVENT_READ, None)
        try:
            yield
        finally:
            signal.set_wakeup_fd(woken)
            for number, handler in before.items():
                signal.signal(number, handler)
            for one in (hears, told, self._selector):
                one.close()
            os.close(self._life)
            os.close(self._parted)

    def run(self) -> None:
        """See workers.run."""
        while not self._stopping or any(seat.pid for seat in self._seats):
            self._look_at_store()
            self._fill()
            self._hear()
            for seat in self._seats:
                self._bury(seat)
        if self._lost:
            raise embedded.Lost(self._settings.config.store.directory)
        if self._failed:
            raise Failed("the workers end as soon as they are started: what they wrote to the log says why.")

    # What it hears

    def _hear(self) -> None:
        for key, _ in self._selector.select(self._patience()):
            told = os.read(key.fd, 512)
            if key.data is None:
                for number in told:
                    self._signalled(number)
            elif told:
                self._told(key.data, told)
            else:
                self._selector.unregister(key.fd)
                os.close(key.fd)

    def _patience(self) -> float:
        """Until somebody is due, and never so long that a store that ended, or a deadline, is seen late."""
        due = min((seat.due for seat in self._seats if not seat.pid), default=float("inf"))
        return max(0.0, min(0.5, due - time.monotonic()))

    def _signalled(self, number: int) -> None:
        if number == signal.SIGHUP and not self._hung_up():
            for seat in self._seats:
                seat.missed = not seat.up
            self._pass(signal.SIGHUP)
        elif number != signal.SIGCHLD:
            self._stop(hurry=self._stopping)

    def _told(self, seat: Seat, told: bytes) -> None:
        if _UP in told and seat.pid:
            self._serves(seat)
        if _LOADED in told:
            self._adopt()

    def _serves(self, seat: Seat) -> None:
        seat.up = True
        self._log.info("worker.started", worker=seat.number, pid=seat.pid, restarts=seat.starts - 1)
        if seat.missed:
            seat.missed = False
            _tell(seat, signal.SIGHUP)
        for other in self._seats:
            other.due = 0.0 if other.due == float("inf") else other.due
        if not self._announced and all(other.up for other in self._seats):
            self._announced = True
            self._announce()

    def _adopt(self) -> None:
        """What a worker has taken over is what the next one starts with."""
        with contextlib.suppress(Invalid):  # the file was changed once more: the next reload tells
            self._settings, _ = held(self._settings, load(self._settings.path, os.environ))

    def _look_at_store(self) -> None:
        store = self._place.store
        if store and store.process.poll() is not None and not self._lost:
            self._lost = True
            self._stop(hurry=True)

    # What it does

    def _stop(self, *, hurry: bool) -> None:
        if not self._stopping:
            self._stopping = True
            self._deadline = time.monotonic() + self._settings.config.engine.drain / 1000 + _GRACE
        self._pass(signal.SIGINT if hurry else signal.SIGTERM)
        for seat in self._seats:
            if not seat.up:
                _tell(seat, signal.SIGKILL)  # it has begun nothing

    def _pass(self, number: signal.Signals) -> None:
        for seat in self._seats:
            if seat.up:
                _tell(seat, number)

    def _fill(self) -> None:
        now = time.monotonic()
        if self._stopping and now > self._deadline:
            self._deadline = float("inf")
            self._pass(signal.SIGKILL)
        for seat in self._seats:
            if not self._stopping and not seat.pid and seat.due <= now:
                self._start(seat)

    def _start(self, seat: Seat) -> None:
        reading, writing = os.pipe()
        seat.starts, seat.began = seat.starts + 1, time.monotonic()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        seat.pid = os.fork()
        if not seat.pid:
            self._work(seat, writing)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(writing)
        self._selector.register(reading, selectors.EVENT_READ, seat)

    def _bury(self, seat: Seat) -> None:
        """See whether it has ended, and say when the next one is due."""
        pid, status = os.waitpid(seat.pid, os.WNOHANG) if seat.pid else (0, 0)
        if not pid:
            return
        now = time.monotonic()
        seat.short = seat.short + 1 if not seat.up or now - seat.began < _SOON else 0
        seat.pid, seat.up, seat.due = 0, False, now + min(_LONGEST, _PAUSE * 2**seat.short)
        if self._stopping:
            return
        self._log.error("worker.ended", worker=seat.number, pid=pid, status=os.waitstatus_to_exitcode(status))
        if not self._announced or all(not one.up and one.short >= _TRIES for one in self._seats):
            self._failed = True
            self._stop(hurry=True)

    # What it is after a fork

    def _work(self, seat: Seat, writing: int) -> NoReturn:
        status = 1
        try:
            self._part()
            structlog.contextvars.bind_contextvars(worker=seat.number)
            post = Post(
                Peers(seat.number, self._doors), seat.starts - 1, self._parted, lambda: _write(writing, _LOADED)
            )
            place = replace(self._place, api=own(self._place.api), store=None, post=post)
            with asyncio.Runner(loop_factory=process.loop_factory()) as runner:
                runner.run(process.serve(self._settings, place, lambda: _write(writing, _UP)))
            status = 0
        except (Unbuildable, Unwritable, Unfit) as fault:
            print(f"Error: {fault}", file=sys.stderr)  # noqa: T201 - as the command tells it, which this process is not
        except BaseException:  # noqa: BLE001 - nothing may go back into the parent's code
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
            os._exit(status)

    def _part(self) -> None:
        """Be a process of its own: what the parent holds and what the terminal tells is not for this one."""
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it serves: the parent remembers
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        self._selector.close()
        os.close(self._life)
        if self._place.store:
            self._place.store.disown()


def _tell(seat: Seat, number: signal.Signals) -> None:
    if seat.pid:  # not reaped yet, so the number is nobody else's
        os.kill(seat.pid, number)


def _write(descriptor: int, told: bytes) -> None:
    with contextlib.suppress(OSError):  # the parent has ended: that is told in another way
        os.write(descriptor, told)
