"""Recorded traffic: what a line of it says, and the question that can be asked again from hashes alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Any

from policies.model import Email, Listed, NumberType, Phone, Question

VERSION = 1
"""Of the lines' form. A reader refuses lines of a version that it does not know."""


class Unreadable(ValueError):
    """A line that says nothing usable. The message says what is wrong with it and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Started:
    """Somebody asked for a verification. `id` is "" when it was refused, and `refused` then says by what."""

    at: int
    id: str
    question: Question
    refused: str  # a rule, or limits:NAME


@dataclass(frozen=True, slots=True)
class Sent:
    """A later message of a verification."""

    at: int
    id: str
    step: int  # of the fallback, from 0
    by_person: bool  # a resend, and not the automatic fallback


@dataclass(frozen=True, slots=True)
class Ended:
    """A verification ended. `both` when messages went to a number and to a mailbox: its code tells of no person at the
    number then."""

    at: int
    id: str
    approved: bool
    both: bool = False


Recorded = Started | Sent | Ended


def read(line: Mapping[str, Any]) -> Recorded:
    """Understand one line. Raises Unreadable."""
    if line.get("v") != VERSION:
        raise Unreadable(f"it is not of version {VERSION}")
    try:
        match line["event"]:
            case "start":
                return Started(int(line["at"]), line.get("id", ""), _question(line), line.get("refused", ""))
            case "message":
                return Sent(int(line["at"]), line["id"], int(line["step"]), line["by"] == "resend")
            case "end":
                return Ended(int(line["at"]), line["id"], line["status"] == "approved", bool(line.get("both", False)))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Unreadable("a field is missing, or is not what it should be") from None
    raise Unreadable("it tells of no event that is known")


def _question(line: Mapping[str, Any]) -> Question:
    """The rules compare destinations, prefixes, clients and devices and never look inside them: a hash does as well."""
    phone, email = line.get("phone"), line.get("email")
    return Question(
        app=line["app"],
        purpose=line["purpose"],
        phone=_phone(phone) if phone else None,
        email=Email(address=email["to"], key=email["to"], domain=email["masked"].rpartition("@")[2]) if email else None,
        channels=tuple(line.get("channels", ())),
        locale=line.get("locale", ""),
        ip=_client(line.get("ip", "")),
        device=line.get("device", ""),
        suppressed=tuple(line.get("opted_out", ())),
        listed=Listed(**line.get("listed", {})),
        mail=line.get("mail", "unknown"),
        now=int(line["at"]),
        own_code=bool(line.get("own_code", False)),
        stretch=int(line.get("stretch", 1)),
    )


def _phone(said: Mapping[str, Any]) -> Phone:
    return Phone(
        e164=said["to"],
        country=said["country"],
        type=NumberType(said["type"]),
        prefix=said["prefix"],
        valid=bool(said.get("valid", True)),
        range=said.get("range", ""),
        place=int(said.get("place", 0)),
    )


@lru_cache(maxsize=4096)
def _client(network: str) -> str:
    """An address that stands for a client: the 64 bits of the two hashes, as the /64 that one line is given. The first
    48 are those of its neighbourhood, as they would be of a site."""
    return str(IPv6Address(int(network, 16) << 64)) if network else ""
