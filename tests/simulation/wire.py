"""A blocking connection to a real server, for a loop without sockets: to the loop, every call takes no time at all."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

import hiredis

from gateway.store.link import Script
from gateway.store.wire import Refused


class Wire:
    """One connection over a Unix socket, and the scripts that the server has from it."""

    def __init__(self, url: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(url.removeprefix("unix://"))
        self._reader = hiredis.Reader()
        self._loaded: set[str] = set()

    def call(self, *words: Any) -> Any:
        """One command and its reply. Raises store.wire.Refused."""
        self._socket.sendall(hiredis.pack_command(words))
        while (reply := self._reader.gets()) is False:
            self._reader.feed(self._socket.recv(65_536))
        if isinstance(reply, hiredis.ReplyError):
            raise Refused(str(reply))
        return reply

    def load(self, script: Script) -> str:
        """The name under which the server has this script."""
        if script.sha not in self._loaded:
            self.call("SCRIPT", "LOAD", script.source)
            self._loaded.add(script.sha)
        return script.sha

    def close(self) -> None:
        self._socket.close()


class Direct:
    """The store's way to its server, over a Wire."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def ask(self, *words: str | bytes | int) -> Any:
        """The reply to a command."""
        reply = self._wire.call(*words)
        # The server scans in an order of its own, which differs from one start to the next.
        return [reply[0], sorted(reply[1])] if words[0] == "SCAN" else reply

    async def run(self, script: Script, keys: Sequence[str], argument: bytes) -> Any:
        """The reply of a script."""
        return self._wire.call("EVALSHA", self._wire.load(script), len(keys), *keys, argument)

    async def ask_all(self, *commands: Sequence[str | bytes | int]) -> list[Any]:
        """The replies to commands that follow each other."""
        return [await self.ask(*words) for words in commands]

    async def close(self) -> None:
        """The wire is the lab's."""
