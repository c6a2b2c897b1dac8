"""A primary, two replicas, and three Sentinels that watch them: real processes, for tests of what a failover loses."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import Server, free_port, server, until

GROUP = "otp"


@dataclass
class Trio:
    """The servers, the first of them the primary at the start, and the Sentinels."""

    servers: list[Server]
    sentinels: list[Server]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{GROUP}/0"

    def primary(self) -> Server:
        """Whom the first Sentinel names."""
        said = (self.sentinels[0].say("SENTINEL", "GET-MASTER-ADDR-BY-NAME", GROUP) or b"").split()
        return next(server for server in self.servers if str(server.port).encode() in said)

    def switch(self, how: str = "") -> None:
        """Have the Sentinels choose another primary; with COORDINATED the old one first hands over what it has."""
        before = self.primary()
        until(lambda: (self.sentinels[0].say("SENTINEL", "FAILOVER", GROUP, how) or b"").startswith(b"+OK"))
        until(lambda: self.primary() is not before)

    def settled(self) -> bool:
        """Whether the primary has both replicas and the Sentinels know each other and all servers."""
        replicas = (self.primary().say("INFO", "replication") or b"").count(b"state=online")
        state = self.sentinels[0].say("SENTINEL", "MASTER", GROUP) or b""
        return replicas == 2 and b"num-other-sentinels\r\n$1\r\n2" in state and b"num-slaves\r\n$1\r\n2" in state


@contextlib.contextmanager
def trio(folder: Path, *arguments: str, program: Path | None = None) -> Iterator[Trio]:
    """For as long as the block lasts. `arguments` are for each server."""
    primary = server(folder / "s0", *arguments, program=program)
    follow = ["--replicaof", f"127.0.0.1 {primary.port}", "--repl-diskless-sync-delay", "0"]
    servers = [primary, *(server(folder / f"s{n}", *follow, *arguments, program=program) for n in (1, 2))]
    primary.arguments = [*primary.arguments, "--repl-diskless-sync-delay", "0"]
    group = Trio(servers, [_sentinel(folder / f"w{n}", primary) for n in range(3)])
    try:
        for one in (*group.servers, *group.sentinels):
            one.start()
        until(group.settled)
        yield group
    finally:
        for one in (*group.servers, *group.sentinels):
            one.kill()


def _sentinel(folder: Path, primary: Server) -> Server:
    folder.mkdir(parents=True)
    port, file = free_port(), folder / "sentinel.conf"
    file.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor {GROUP} 127.0.0.1 {primary.port} 2\n"
        f"sentinel down-after-milliseconds {GROUP} 500\nsentinel failover-timeout {GROUP} 3000\n"
    )
    return Server(port, folder, [str(file), "--sentinel"], primary.program)
