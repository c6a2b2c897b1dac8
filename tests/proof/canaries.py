"""Stories told with marked secrets, and everything that they left anywhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from prometheus_client import generate_latest
from redis.asyncio import Redis

from channels.contract import Channel, ErrorClass, InboundText, SendError
from gateway.service import messages
from gateway.service.requests import Check, Start, understood
from tests.support.canary import Canary
from tests.support.world import World

PHONE, SECOND, FOREIGN = "+14155559327", "+442079460371", "+33612345678"
EMAIL, CODE, WRONG = "zebrafinch.7@example.org", "Q7ZK9XW2PV", "K4MB8RT1NY"
IDEMPOTENCY, BODY = "otp_live_Wq93kfPzL0aVx7Rt", b'{"to": {"phone": "+14155559327"}, "code": "Q7ZK9XW2PV"}'
PAYEE = "Quetzalcoatl Ltd"

CANARIES = (
    Canary("the phone", PHONE),
    Canary("the second phone", SECOND),
    Canary("the foreign phone", FOREIGN),
    Canary("the email", EMAIL),
    Canary("its local part", EMAIL.split("@")[0]),
    Canary("the code", CODE),
    Canary("the wrong code", WRONG),
    Canary("the idempotency key", IDEMPOTENCY),
    Canary("the context", PAYEE),
)


class Tapped:
    """A raw MONITOR: every command with its arguments, as the server tells it."""

    def __init__(self, url: str) -> None:
        self._path = url.removeprefix("unix://")
        self.heard = b""

    async def __aenter__(self) -> Tapped:
        self._reader, self._writer = await asyncio.open_unix_connection(self._path)
        self._writer.write(b"MONITOR\r\n")
        await self._reader.readline()
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0.02)  # what the server has written is on its way
        self._task.cancel()
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _listen(self) -> None:
        while data := await self._reader.read(65_536):
            self.heard += data


async def tell(world: World) -> list[str]:
    """Stories with every kind of outcome. Gives back what was said by every exception and every repr."""
    said: list[str] = []
    both: dict[str, Any] = {"phone": PHONE, "email": EMAIL, "code": CODE, "context": {"payee": PAYEE}}
    await _refusals(world, said)
    world.one.scripts = [SendError(ErrorClass.PROVIDER_DOWN, "503"), RuntimeError(f"{PHONE} {CODE} {EMAIL}")]
    v = await world.start(**both, idempotency_key=IDEMPOTENCY, body=BODY)
    await world.begin(**both, idempotency_key=IDEMPOTENCY, body=BODY)
    await _said(said, world.begin(**both, idempotency_key=IDEMPOTENCY, body=b"other"))
    await world.after(31)
    await world.after(46)
    await world.report(v, 2, "failed:temporary")
    await _said(said, world.report(v, 1, "delivered", signature="forged"))
    await world.verifications.resend("shop", v.id, None)
    await world.settle()
    await world.check(v, WRONG, context={"payee": PAYEE}, idempotency_key=IDEMPOTENCY, body=BODY)
    said.append(repr(await world.verifications.events("shop", v.id)))
    said.append(repr(await world.verifications.read("shop", v.id)))
    said += [repr(message) for message in world.sent]
    open_ = await world.start(phone=SECOND, code=CODE)  # left pending: what is sealed is still in the store
    said.append(repr(await world.store.read(open_.id)))
    await world.check(v, CODE, context={"payee": PAYEE}, phone=PHONE, email=EMAIL)
    said += [repr(Start(app="shop", **both)), repr(Check("shop", v.id, CODE, phone=PHONE))]
    said.append(repr(messages.opened(world.setup, (await world.store.read(open_.id))[0])))
    await _opt_outs(world, said)
    return said


async def _opt_outs(world: World, said: list[str]) -> None:
    """A vendor's word, a reply, and the app's."""
    to, text = understood(PHONE, EMAIL), InboundText(Channel.SMS, PHONE, CODE)
    world.one.scripts = [SendError(ErrorClass.OPTED_OUT, "21610")]
    await world.start(phone=PHONE, email=EMAIL, channels=("sms",))
    await world.suppressions.heard("one", replace(text, text=f"stop {CODE}"))
    said += [repr(await world.suppressions.add("shop", to)), repr(text), repr(to)]
    await _said(said, world.begin(phone=PHONE, email=EMAIL))


async def _refusals(world: World, said: list[str]) -> None:
    await _said(said, world.begin(phone=FOREIGN))
    await _said(said, world.begin(phone=PHONE[1:]))
    await _said(said, world.begin(phone=PHONE + " x9"))
    await _said(said, world.begin(email=EMAIL.replace("@", "@@")))
    await _said(said, world.begin(phone=PHONE, code=CODE + "!"))
    await _said(said, world.check("ver_" + "A" * 23, CODE + "?"))


async def _said(said: list[str], ask: Awaitable[object]) -> None:
    """Keep all that a failure says, its causes included."""
    try:
        await ask
    except Exception as error:  # noqa: BLE001 - whatever it is, it is looked through
        fault: BaseException | None = error
        while fault:
            said += [str(fault), repr(fault), repr(getattr(fault, "__dict__", ""))]
            fault = fault.__cause__ or fault.__context__
    else:
        raise AssertionError("this should have been refused")


def _files(folder: Path) -> bytes:
    return b"\0".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def left_behind(world: World, client: Redis, folder: Path) -> dict[str, bytes]:
    """What is now in the store and in its files, in the slow log, in the log and in the metrics."""
    places = {"the slow log": repr(await client.execute_command("SLOWLOG", "GET", "-1")).encode()}
    async for key in client.scan_iter(count=1_000):
        kind = (await client.type(key)).decode()
        places[f"a {kind}"] = places.get(f"a {kind}", b"") + key + b"\0" + (await client.dump(key) or b"")
    places["the files"] = _files(folder)
    places["the log"] = json.dumps(world.logged, default=repr).encode()
    places["the metrics"] = generate_latest(world.registry)
    return places
