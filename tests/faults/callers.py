"""Apps and people under whom the fleet works: they start, check, mistype, ask again, give up, and repeat themselves."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.faults.fleet import KEY, Fleet

PATIENCE = 2.5
"""Seconds until a caller hangs up: longer than any answer may take."""


@dataclass(frozen=True)
class Answer:
    """What came back: no status when nothing did."""

    status: int | None
    headers: Any = None
    json: Any = None


class Callers:
    """As many at once as there are, each with one verification after the other, until they are told to stop."""

    def __init__(self, fleet: Fleet, number: int = 10, seed: int = 1) -> None:
        self._fleet = fleet
        self._number = number
        self._random = random.Random(seed)  # noqa: S311 - chance, that a seed can repeat
        self._ops = itertools.count(1)
        self._phones: Iterator[int] = itertools.count()
        self._stopped = False

    async def __aenter__(self) -> Callers:
        self._tasks = [asyncio.create_task(self._live()) for _ in range(self._number)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped = True
        await asyncio.gather(*self._tasks)

    async def _live(self) -> None:
        while not self._stopped:
            await self._one()
            await asyncio.sleep(self._random.uniform(0, 0.1))

    async def _one(self) -> None:
        number = next(self._phones) % 10_000
        key = f"start-{number}-{time.time_ns()}"
        phone = f"+1415555{number:04d}"
        wanted = {"to": {"phone": phone}, **({"purpose": "dear"} if self._random.random() < 0.2 else {})}
        id_ = await self._insist("start", wanted, key, to=phone)
        if not id_:
            return
        if self._random.random() < 0.2:  # a proxy that repeats what was answered
            await self._ask("start", wanted, key, to=phone)
        deeds = (self._right, self._right, self._twice, self._mistype, self._resend, self._cancel, self._leave)
        await self._random.choice(deeds)(id_)

    async def _right(self, id_: str) -> None:
        await self._insist("check", {"code": await self._code(id_)}, f"right-{id_}", id=id_)

    async def _twice(self, id_: str) -> None:
        """The button pressed many times, or many tabs."""
        body = {"code": await self._code(id_)}
        await asyncio.gather(*(self._ask("check", body, None, id=id_) for _ in range(4)))

    async def _mistype(self, id_: str) -> None:
        code = await self._code(id_)
        wrong = f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"
        for nth in range(self._random.randint(1, 6)):
            await self._ask("check", {"code": wrong}, f"wrong-{nth}-{id_}", id=id_)
        await self._ask("check", {"code": code}, None, id=id_)

    async def _resend(self, id_: str) -> None:
        await self._ask("resend", {}, None, id=id_)
        await self._right(id_)

    async def _cancel(self, id_: str) -> None:
        await self._ask("cancel", {}, None, id=id_)

    async def _leave(self, id_: str) -> None:
        """And let the fallback go on."""

    async def _code(self, id_: str) -> str:
        """The code, when it has come; a guess while it hasn't."""
        for _ in range(20):
            if id_ in self._fleet.codes:
                return self._fleet.codes[id_]
            await asyncio.sleep(0.05)
        return "000000"

    async def _insist(self, what: str, body: object, key: str, **facts: Any) -> str:
        """The same request under the same key until there is an answer. Empty when it is a refusal, or none comes."""
        for _ in range(8):
            answer = await self._ask(what, body, key, **facts)
            if answer.status is not None and answer.status < 500 and answer.status != 409:
                return _told(what, answer) if answer.status < 400 else ""
            await asyncio.sleep(self._random.uniform(0.1, 0.4))
        return ""

    async def _ask(self, what: str, body: object, key: str | None, **facts: Any) -> Answer:
        """Ask any gateway, with the call and its outcome in the history."""
        history, op = self._fleet.history, next(self._ops)
        process = self._random.choice(list(self._fleet.gateways))
        history.add(what, op=op, key=key, process=process, **_asked(what, body), **facts)
        began = time.monotonic()
        answer = await self._call(process, what, body, key, facts.get("id", ""))
        seconds = round(time.monotonic() - began, 3)
        outcome = _outcome(answer)
        history.add(
            outcome,
            op=op,
            answer=_told(what, answer) if outcome == "ok" else None,
            process=process,
            status=answer.status,
            seconds=seconds,
            retry=bool(answer.headers and "Retry-After" in answer.headers),
        )
        return answer

    async def _call(self, process: str, what: str, body: object, key: str | None, id_: str) -> Answer:
        path = "/v1/verifications" + (f"/{id_}/{what}" if id_ else "")
        headers = {"Authorization": f"Bearer {KEY}", **({"Idempotency-Key": key} if key else {})}
        url, timeout = self._fleet.gateways[process].url + path, aiohttp.ClientTimeout(PATIENCE)
        try:
            async with self._fleet.http.post(url, json=body, headers=headers, timeout=timeout) as answer:
                return Answer(answer.status, answer.headers, await answer.json(content_type=None))
        except (aiohttp.ClientError, TimeoutError, OSError):
            return Answer(None)


def _asked(what: str, body: Any) -> dict[str, Any]:
    return {"code": body["code"]} if what == "check" else {}


def _outcome(answer: Answer) -> str:
    if answer.status is None or answer.status >= 500:
        return "unknown"
    return "ok" if answer.status < 300 else "no"


def _told(what: str, answer: Answer) -> str:
    field = {"start": "id", "check": "verdict", "cancel": "status"}.get(what)
    return str(answer.json[field] if field else len(answer.json["attempts"]))
