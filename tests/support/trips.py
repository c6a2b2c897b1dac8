"""What stores are asked by their clients: each command is one round trip."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from gateway.store.plain import client as client_of


@asynccontextmanager
async def watching(*urls: str, but: str = "nothing") -> AsyncIterator[list[str]]:
    """The commands that reach these servers from clients, by name; what scripts call inside is not among them, nor what
    has `but` in it."""
    commands: list[str] = []
    async with AsyncExitStack() as stack:
        watched = [await stack.enter_async_context(_watched(url, commands, but)) for url in urls]
        yield commands
        for read in watched:
            await read()


@asynccontextmanager
async def _watched(url: str, commands: list[str], but: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    watcher, teller = client_of(url), client_of(url)
    await teller.echo("here")
    async with watcher.monitor() as monitor:

        async def read() -> None:
            await teller.echo("done")
            while (row := await monitor.next_command())["command"] != "ECHO done":
                if row["client_type"] != "lua" and but not in row["command"]:
                    commands.append(row["command"].split()[0].upper())

        yield read
    await watcher.aclose()
    await teller.aclose()
