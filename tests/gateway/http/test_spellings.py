"""However one destination or one client is spelled, it hits one counter; what is refused for its form hits none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import IPv6Network
from itertools import count
from typing import Any

import pytest

from policies import destination
from tests.gateway.http.conftest import Api, listening
from tests.gateway.http.contract import Reply
from tests.policies.test_destination import EMAILS_REFUSED, REFUSED
from tests.support.world import EMAIL, POLICY, World

START = "/v1/verifications"


@asynccontextmanager
async def limited(valkey: str, per: str, **how: Any) -> AsyncIterator[Api]:
    """A gateway that lets one start through in an hour, for one subject."""
    away = dict.fromkeys(("destination-anyone-hour", "ip-hour", "device-hour", "prefix-hour", "app-hour"))
    missing = {"missing": 1} if per == "ip" else {}
    limits = {**away, "once": {"per": per, "amount": 1, "window": "1h", "scope": "app", **missing}}
    everywhere = {"default": "allow"}
    policy = {**POLICY, "limits": limits, "countries": everywhere, "number_types": {"deny": [], "landline": "as_is"}}
    async with World(valkey, policies={"default": policy}) as world, listening(world, **how) as api:
        yield api


async def start(api: Api, to: dict[str, str], *, ip: str = "", **headers: str) -> Reply:
    reply = await api.post(START, {"to": to, **({"client": {"ip": ip}} if ip else {})}, **headers)
    await api.world.settle()
    return reply


async def stored(api: Api) -> int:
    """How many keys the store has of this gateway."""
    return len([key async for key in api.world.client.scan_iter(f"{api.world.prefix}*")])


def refused(reply: Reply) -> bool:
    """By the limit, and by nothing else."""
    assert reply.status in (201, 429), reply.body
    return reply.status == 429 and reply.json["limit"] == "once"


def numbers() -> Iterator[str]:
    """Numbers that differ."""
    return (f"+1415555{n:04d}" for n in count(1000))


PHONES = {
    "+14155552671": ["+114155552671"],  # the trunk prefix 1
    "+447911123456": ["+4407911123456"],
    "+919812345678": ["+9109812345678", "+91009812345678"],
    "+390612345678": [],  # a zero that belongs to the number
}
"""A number, and every other spelling that is taken: numbers with what only callers in the country dial."""


@pytest.mark.parametrize("number", PHONES)
async def test_every_spelling_of_a_number_that_is_taken_hits_one_counter(valkey: str, number: str) -> None:
    async with limited(valkey, "destination") as api:
        assert not refused(await start(api, {"phone": number}))
        for spelling in (number, *PHONES[number]):
            assert refused(await start(api, {"phone": spelling})), spelling
    for first in PHONES[number]:
        async with limited(valkey, "destination") as api:
            assert not refused(await start(api, {"phone": first}))
            assert refused(await start(api, {"phone": number})), first


NOT_PLAIN = {text: reason for text, reason in REFUSED.items() if text.strip()}
"""Letters, extensions, digits of other scripts, separators, invisible characters, tel:, 00, too much or too little."""


async def test_a_number_that_is_not_plain_is_told_so_and_costs_nothing(valkey: str) -> None:
    async with limited(valkey, "destination") as api:
        for spelling, reason in NOT_PLAIN.items():
            reply = await start(api, {"phone": spelling})
            assert (reply.status, reply.code) == (422, "invalid_destination"), spelling
            assert reply.faults == {"/to/phone": reason}
        assert await stored(api) == 0
        assert api.world.sent == []
        assert not refused(await start(api, {"phone": "+14155552671"})), "nothing was counted"
        assert refused(await start(api, {"phone": "+14155552671"}))


EMAILS = {
    "ana.bell@example.org": ["ANA.BELL@example.org", "ana.bell+1@example.org", "Ana.Bell+a+b@EXAMPLE.Org"],
    "ana.bell@gmail.com": ["anabell@gmail.com", "a.n.a.b.e.l.l@gmail.com", "Ana.Bell+x@GoogleMail.com"],
    "ana@bücher.example": ["ana@xn--bcher-kva.example", "ANA+1@BÜCHER.example"],
    "e\u0301va@example.org": ["\u00e9va@example.org", "e\u0301va+tag@example.org"],
}

PEOPLE = {
    "ana.bell@example.org": "anabell@example.org",  # only Gmail is known to leave out dots
    "ana.bell@firm.example": "anabell@firm.example",
    "mike@example.org": "m\u0131ke@example.org",  # a dotless i
    "ana@example.org": "ana@example.com",
}
"""Addresses that look alike and may be two people's."""


@pytest.mark.parametrize("address", EMAILS)
async def test_every_spelling_of_a_mailbox_hits_one_counter(valkey: str, address: str) -> None:
    async with limited(valkey, "destination") as api:
        assert not refused(await start(api, {"email": address}))
        for spelling in (address, *EMAILS[address]):
            assert refused(await start(api, {"email": spelling})), spelling


@pytest.mark.parametrize("address", PEOPLE)
async def test_two_peoples_mailboxes_are_counted_apart(valkey: str, address: str) -> None:
    async with limited(valkey, "destination") as api:
        assert not refused(await start(api, {"email": address}))
        assert not refused(await start(api, {"email": PEOPLE[address]}))


async def test_an_address_that_is_none_is_told_so_and_costs_nothing(valkey: str) -> None:
    async with limited(valkey, "destination") as api:
        telling = {text: reason for text, reason in EMAILS_REFUSED.items() if EMAIL not in reason}
        for spelling, reason in telling.items():
            reply = await start(api, {"email": spelling})
            assert reply.status == 422, spelling
            assert reply.faults["/to/email"] == reason or reply.code == "invalid_request", "too long, or empty"
        assert await stored(api) == 0
        assert api.world.sent == []


CLIENTS = {
    "203.0.113.7": ["::ffff:203.0.113.7", "::ffff:cb00:7107", "0:0:0:0:0:FFFF:203.0.113.7"],
    "2001:db8:1:2::1": ["2001:0DB8:0001:0002:0000:0000:0000:0001", "2001:db8:1:2:ffff::", "2001:db8:1:2::203.0.113.9"],
}


@pytest.mark.parametrize("ip", CLIENTS)
async def test_every_spelling_of_a_client_hits_one_counter(valkey: str, ip: str) -> None:
    phone = numbers()
    async with limited(valkey, "ip") as api:
        assert not refused(await start(api, {"phone": next(phone)}, ip=ip))
        for spelling in (ip, *CLIENTS[ip]):
            assert refused(await start(api, {"phone": next(phone)}, ip=spelling)), spelling


async def test_walking_through_a_network_of_ipv6_gains_nothing_and_its_neighbour_is_another_client(valkey: str) -> None:
    phone = numbers()
    network = IPv6Network("2001:db8:1:2::/64")
    async with limited(valkey, "ip") as api:
        passed = 0
        for step in range(40):
            ip = str(network[step * 0x0123_4567_89AB_CDEF % network.num_addresses])
            passed += not refused(await start(api, {"phone": next(phone)}, ip=ip))
        assert passed == 1
        assert not refused(await start(api, {"phone": next(phone)}, ip="2001:db8:1:3::1"))


@pytest.mark.parametrize(
    "ip", ["203.0.113.7:443", "0203.0.113.7", "2001:db8::1%eth0", "[2001:db8::1]", "٢٠٣.0.113.7", " "]
)
async def test_a_client_that_is_no_address_is_told_so_and_costs_nothing(valkey: str, ip: str) -> None:
    async with limited(valkey, "ip") as api:
        reply = await start(api, {"phone": "+14155552671"}, ip=ip)
        reason = "not an IP address: write one such as 203.0.113.7 or 2001:db8::1, without a port"
        assert (reply.status, reply.faults) == (422, {"/client/ip": reason})
        assert await stored(api) == 0


FORGED = [
    {"X_Forwarded_For": "198.51.100.1"},
    {"X_Forwarded_For": "198.51.100.2, 198.51.100.3"},
    {"X_Forwarded_For": "2001:db8::5", "X_Real_IP": "198.51.100.4"},
    {"Forwarded": "for=198.51.100.5;proto=https"},
    {"X_Client_IP": "198.51.100.6", "True_Client_IP": "198.51.100.7", "CF_Connecting_IP": "198.51.100.8"},
]


@pytest.mark.parametrize("trusted", [(), ("127.0.0.0/8",)])
@pytest.mark.parametrize("ip", ["203.0.113.7", ""])
async def test_no_header_makes_another_client_of_a_person(valkey: str, trusted: tuple[str, ...], ip: str) -> None:
    """The person's address comes from the app, in the body. What the connection or its headers say is the app's own, or
    made up; a start that names no client is one of those that share a bucket."""
    phone = numbers()
    async with limited(valkey, "ip", trusted_proxies=trusted) as api:
        assert not refused(await start(api, {"phone": next(phone)}, ip=ip))
        for headers in FORGED:
            assert refused(await start(api, {"phone": next(phone)}, ip=ip, **headers)), headers


@pytest.mark.parametrize("per", ["destination", "ip"])
async def test_who_waits_as_long_as_retry_after_says_passes(valkey: str, per: str) -> None:
    async with limited(valkey, per) as api:
        to, ip = {"phone": "+14155552671"}, "203.0.113.7"
        assert not refused(await start(api, to, ip=ip))
        api.world.clock.forward(1234.567)
        reply = await start(api, to, ip=ip)
        assert refused(reply)
        pause = int(reply.headers["Retry-After"])
        api.world.clock.forward(pause - 1)
        assert refused(await start(api, to, ip=ip)), "no more than a second too long"
        api.world.clock.forward(1)
        assert not refused(await start(api, to, ip=ip))


async def test_a_key_that_keeps_the_spelling_would_count_each_one_anew(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: the address as it was given is the subject."""
    monkeypatch.setattr(destination, "_counted", lambda local, domain: f"{local}@{domain}")
    destination._email.cache_clear()
    async with limited(valkey, "destination") as api:
        spellings = ("ana@gmail.com", "ana+1@gmail.com", "a.na@gmail.com", "ANA@gmail.com")
        assert [refused(await start(api, {"email": text})) for text in spellings] == [False] * 4
    destination._email.cache_clear()


async def test_an_address_that_is_counted_whole_would_let_a_network_through(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted bug: each of 2 to the power of 64 addresses is a client."""
    monkeypatch.setattr("policies.rules.subjects.network", lambda ip: ip)
    phone = numbers()
    async with limited(valkey, "ip") as api:
        answers = [await start(api, {"phone": next(phone)}, ip=f"2001:db8:1:2::{n}") for n in range(1, 4)]
        assert not any(refused(answer) for answer in answers)
