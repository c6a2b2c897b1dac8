"""A person and the app that asks for them, in a simulated world: they mistype, ask again and lose patience."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from gateway.service.requests import Check, Refused, Start
from gateway.store.steps import Unavailable
from tests.simulation.plan import EMAIL, PHONES

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

Answer = tuple[str, Any]
"""ok with the answer, no with the refusal, or unknown."""


class Person:
    """Starts one verification, and does with it what people do."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self._name = f"person{number}"
        self._random = world.plan.random(self._name)
        self._ops = 0
        self._id = ""
        self._guesses = False

    async def live(self) -> None:
        """All of it."""
        await asyncio.sleep(self._random.uniform(0, self._world.plan.trouble / 3))
        self._guesses = self._world.strikes("guesser", self._random)
        if await self._start():
            for _ in range(self._random.randint(1, 6)):
                await asyncio.sleep(self._random.uniform(0.5, 25))
                if await self._act() and self._random.random() < 0.7:
                    return

    async def _start(self) -> bool:
        """Start one, and repeat the request while no answer comes, if it has a key to be repeated with."""
        random = self._random
        key = f"start-{self._name}" if random.random() < 0.6 else None
        phone, wait = random.choice(PHONES), random.choice((0, 0, 4_000))
        by_email = self._world.policy.routes.default[0].channel == "email"
        to = EMAIL if by_email else phone  # what its guesses and messages are counted by
        request = Start("shop", phone, EMAIL, idempotency_key=key, body=self._name.encode(), wait=wait)
        for _ in range(4 if key else 1):
            outcome, begun = await self._told("start", self._begin, request, key=key, to=to)
            if outcome == "ok":
                self._id = begun
                if key and random.random() < 0.3:  # a proxy that repeats what was answered already
                    await self._told("start", self._begin, request, key=key, to=to)
                return True
            await asyncio.sleep(random.uniform(0.5, 8))
        return False

    async def _begin(self, process: Process, request: Start) -> str:
        begun = await process.verifications.start(request)
        if request.wait and not begun.replayed:
            await process.verifications.settle(begun, request.wait)
            await process.verifications.keep_answer(begun, b"answer")
        return begun.verification.id

    async def _act(self) -> bool:
        """True when the person is through."""
        random = self._random
        if self._guesses:
            await self._guess()
            return False
        if not self._world.strikes("person", random):
            return self._id in self._world.inbox and await self._check(self._code()) == "approved"
        deeds = (self._guess, self._resend, self._resend, self._cancel, self._twice, self._at_once, self._repeat)
        await random.choice(deeds)()
        return False

    async def _cancel(self) -> None:
        await self._told("cancel", self._end, id=self._id)

    async def _end(self, process: Process) -> str:
        return (await process.verifications.cancel("shop", self._id)).status

    async def _twice(self) -> None:
        """The button pressed twice, or two tabs."""
        code = self._code()
        await asyncio.gather(*(self._check(code) for _ in range(2)))

    async def _at_once(self) -> None:
        await asyncio.gather(self._check("000000"), self._check(self._code()), self._resend())

    async def _repeat(self) -> None:
        """The same request again, as a client sends it that got no answer."""
        code, key = self._code(), f"check-{self._random.randrange(2)}"
        await self._check(code, key)
        await self._check(code, key)

    async def _guess(self) -> None:
        for _ in range(self._random.randint(1, 3)):
            await self._check("00000" + str(self._random.randrange(10)))

    def _code(self) -> str:
        """A code that came, mostly the newest; a guess while none has."""
        codes = self._world.inbox.get(self._id, ["999999"])
        return codes[-1] if self._random.random() < 0.8 else self._random.choice(codes)

    async def _check(self, code: str, key: str | None = None) -> object:
        request = Check("shop", self._id, code, idempotency_key=key, body=code.encode())
        return (await self._told("check", self._try, request, id=self._id, code=code, key=key))[1]

    async def _try(self, process: Process, request: Check) -> str:
        return (await process.verifications.check(request)).verdict

    async def _resend(self) -> None:
        await self._told("resend", self._ask_again, id=self._id)

    async def _ask_again(self, process: Process) -> int:
        return len((await process.verifications.resend("shop", self._id, None)).attempts)

    async def _told(self, what: str, use: Any, *request: Any, **facts: Any) -> Answer:
        """Ask any process, with the call and its outcome in the history."""
        self._ops += 1
        op, process = f"{self._name}.{self._ops}", self._world.any_process(self._random)
        history = self._world.history
        history.add(what, op=op, process=process.name, **facts)
        outcome, answer = await self._outcome(use(process, *request))
        history.add(outcome, op=op, answer=answer)
        return outcome, answer

    async def _outcome(self, story: Coroutine[Any, Any, Any]) -> Answer:
        try:
            return "ok", await self._world.ask(story)
        except Refused as refusal:
            return "no", f"{type(refusal).__name__}"
        except (Unavailable, TimeoutError) as fault:
            return "unknown", type(fault).__name__
