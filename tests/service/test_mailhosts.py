"""Whether a domain takes mail: asked of a real DNS server, remembered, and let through when nobody can say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from dns import flags, message, rcode, rrset
from dns.asyncresolver import Resolver

from gateway.service import mailhosts
from gateway.service.mailhosts import MailHosts
from gateway.service.requests import Denied
from policies.model import MailWord
from tests.service.conftest import Worlds
from tests.support.world import POLICY

RECORDS: dict[tuple[str, str], tuple[int, str]] = {
    ("mail.example.", "MX"): (300, "10 mx.mail.example."),
    ("null.example.", "MX"): (300, "0 ."),
    ("web.example.", "A"): (300, "192.0.2.1"),
    ("six.example.", "AAAA"): (300, "2001:db8::1"),
    ("brief.example.", "MX"): (1, "10 mx.mail.example."),
    ("text.example.", "TXT"): (300, "hello"),
}


@dataclass
class NameServer(asyncio.DatagramProtocol):
    """A DNS server with a few records, which is silent about some names and fails for others."""

    asked: list[tuple[str, str]] = field(default_factory=list)
    transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        query = message.from_wire(data)
        name, kind = query.question[0].name.to_text(), query.question[0].rdtype.name
        self.asked.append((name, kind))
        if name == "silent.example.":
            return
        answer = message.make_response(query)
        answer.flags |= flags.RA
        if found := RECORDS.get((name, kind)):
            answer.answer.append(rrset.from_text(name, found[0], "IN", kind, found[1]))
        elif name == "broken.example.":
            answer.set_rcode(rcode.SERVFAIL)
        elif name not in {known for known, _ in RECORDS}:
            answer.set_rcode(rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), addr)


@dataclass
class Desk:
    """What asks, what it asks, and a clock that is told."""

    server: NameServer
    now: float = 0.0
    told: list[MailWord] = field(default_factory=list)
    hosts: MailHosts = field(init=False)


@asynccontextmanager
async def serving() -> AsyncIterator[Desk]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        NameServer, local_addr=("127.0.0.1", 0)
    )
    resolver = Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], transport.get_extra_info("sockname")[1]
    desk = Desk(server)
    desk.hosts = MailHosts(desk.told.append, resolver, lambda: desk.now)
    yield desk
    transport.close()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with serving() as found:
        yield found


@pytest.mark.parametrize(
    ("domain", "word"),
    [
        ("mail.example", "takes"),
        ("null.example", "refuses"),  # RFC 7505
        ("web.example", "takes"),  # RFC 5321 section 5.1: its own address is an exchanger
        ("six.example", "takes"),
        ("text.example", "refuses"),  # it exists, without an exchanger or an address
        ("nowhere.example", "refuses"),
        ("broken.example", "unknown"),
    ],
)
async def test_what_the_dns_says(desk: Desk, domain: str, word: str) -> None:
    assert await desk.hosts(domain) == word
    assert desk.told == [word]


async def test_who_does_not_answer_in_time_is_not_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailhosts, "DEADLINE", 0.05)
    assert await desk.hosts("silent.example") == "unknown"


@pytest.mark.parametrize(
    ("domain", "seconds"),
    [("mail.example", 300), ("brief.example", 60), ("nowhere.example", 600), ("broken.example", 30)],
)
async def test_an_answer_is_remembered_for_a_while(desk: Desk, domain: str, seconds: int) -> None:
    first = await desk.hosts(domain)
    asked = len(desk.server.asked)
    desk.now = seconds - 1
    assert await desk.hosts(domain) == first
    assert len(desk.server.asked) == asked
    desk.now = seconds
    assert await desk.hosts(domain) == first
    assert len(desk.server.asked) == 2 * asked


async def test_many_who_ask_at_once_ask_once(desk: Desk) -> None:
    assert set(await asyncio.gather(*(desk.hosts("mail.example") for _ in range(50)))) == {"takes"}
    assert desk.server.asked == [("mail.example.", "MX")]


async def test_who_gives_up_takes_the_answer_from_nobody_else(desk: Desk) -> None:
    impatient = asyncio.create_task(desk.hosts("mail.example"))
    patient = asyncio.create_task(desk.hosts("mail.example"))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == "takes"


async def test_what_is_remembered_and_what_is_asked_at_once_is_bounded(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailhosts, "MOST_KNOWN", 3)
    for number in range(10):
        await desk.hosts(f"n{number}.example")
    assert len(desk.hosts._known) == 3
    monkeypatch.setattr(mailhosts, "MOST_ASKED", 0)
    assert await desk.hosts("null.example") == "unknown"


async def test_a_machine_without_name_servers_refuses_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    from dns import asyncresolver, resolver

    def none() -> Any:
        raise resolver.NoResolverConfiguration

    monkeypatch.setattr(asyncresolver, "Resolver", none)
    assert await MailHosts()("mail.example") == "unknown"


# --- as a start meets it ---


async def test_a_start_for_a_domain_without_mail_is_refused_and_one_that_nobody_knows_is_not(
    worlds: Worlds, desk: Desk
) -> None:
    world = worlds(policies={"default": {**POLICY, "email": {"no_mail": "deny"}}})
    world.wire(replace(world.setup, mail=desk.hosts))
    with pytest.raises(Denied) as denied:
        await world.start(email="ana@null.example")
    assert (denied.value.code, denied.value.rule) == ("destination_blocked", "email")
    for domain in ("mail.example", "broken.example"):
        assert (await world.start(email=f"ana@{domain}")).current.channel == "email"


async def test_a_policy_that_does_not_want_to_know_does_not_ask(worlds: Worlds, desk: Desk) -> None:
    world = worlds()
    world.wire(replace(world.setup, mail=desk.hosts))
    await world.start(email="ana@null.example")
    assert desk.server.asked == []
