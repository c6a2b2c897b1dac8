"""Entries of deny and allow lists: numbers, beginnings of numbers, addresses, domains; and what each one covers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

from policies import destination
from policies.model import Email, Phone
from policies.plans import plan_of

_PREFIX = re.compile(r"\+[1-9][0-9]{0,13}\*")
_DOMAIN = re.compile(r"(?!.*--)(?=.{4,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_SHOWN = 7  # characters of the beginning of a number: a longer one would be nearly the number

LONGEST = 320
"""Characters of an entry."""

MOST_FAULTS = 5
"""Lines of a file that are complained of."""


class Unusable(ValueError):
    """Not an entry. The message says what to write, and never repeats what was given."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry in its one spelling, which is all that a list keeps of it: +447911123456, +4479*, ana@example.org or
    example.org (which covers its subdomains)."""

    text: str

    @property
    def wide(self) -> bool:
        """Whether it covers more than one number or mailbox."""
        return self.text.endswith("*") or ("@" not in self.text and self.text[0] != "+")

    @property
    def masked(self) -> str:
        """As shown in answers and logs."""
        if "@" in self.text:
            return f"{self.text[0]}**@{self.text.rpartition('@')[2]}"
        if not self.wide:
            return destination.phone(self.text).masked
        if self.text[0] != "+":
            return self.text
        digits = self.text[:-1]
        return f"{digits[:_SHOWN]}{'.' * (len(digits) - _SHOWN)}*"

    @property
    def covering(self) -> tuple[str, ...]:
        """Every entry that covers all that this one covers, itself first, the more special before the more general."""
        if self.text[0] == "+":
            return (self.text, *_beginnings(self.text.rstrip("*"), 1 if self.wide else 0))
        local, _, domain = self.text.rpartition("@")
        return (*((self.text,) if local else ()), *_domains(domain))

    def __repr__(self) -> str:
        return f"Entry({self.masked})"


@dataclass(frozen=True, slots=True)
class Listing:
    """A file of entries."""

    entries: frozenset[str]  # each in its one spelling
    digest: str  # of the file


def read(text: str) -> Entry:
    """Understand an entry. Raises Unusable."""
    plain = text.strip()
    if _DOMAIN.fullmatch(plain):
        return Entry(plain)
    if _PREFIX.fullmatch(plain):
        return Entry(_beginning(plain))
    if "*" in plain and "@" in plain:
        raise Unusable("a star ends the beginning of a number and nothing else: write the domain alone, for all of it")
    try:
        if plain.startswith("+"):
            return Entry(destination.phone(plain).e164)
        if "@" in plain:
            return Entry(destination.email(plain).key)
        if "." in plain:
            return Entry(destination.email(f"x@{plain}").domain)
    except destination.Invalid as fault:
        raise Unusable(fault.reason) from None
    raise Unusable("not an entry: write a number like +447911123456, a beginning like +4479*, an address or a domain")


def _beginning(text: str) -> str:
    """The beginning of numbers, if numbers begin so. Raises Unusable: a denial that is never met would be none."""
    digits = text[1:-1]
    if len(digits) < 3 and any(str(code).startswith(digits) for code in COUNTRY_CODE_TO_REGION_CODE):
        return text
    found = plan_of(f"+{digits}")
    if found is None:
        raise Unusable("no country has this calling code: write one such as +44 and a star")
    plan, rest = found
    trunk = plan.trunk.match(rest) if plan.trunk and rest.startswith("0") else None
    if trunk and trunk.group() and not _kept(text[:-1], rest, plan.lengths):
        raise Unusable("no number begins so: leave out the 0 after the calling code, as E.164 does")
    return text


def _kept(beginning: str, rest: str, lengths: tuple[int, ...]) -> bool:
    """Whether some number begins so although its country dials a 0 before others, as Rwanda does before 06."""
    for length in lengths:
        for digit in "0123456789":
            with suppress(destination.Invalid):
                number = destination.phone(beginning + digit * (length - len(rest)))
                if number.valid and number.e164.startswith(beginning):
                    return True
    return False


_PLAIN = re.compile(rf"\+[1-9][0-9]{{6,14}}|{_DOMAIN.pattern}")


def listing(data: bytes) -> tuple[Listing, list[tuple[int, str]]]:
    """Understand a file of entries, one in a line, and say which lines are none and why: the first few. What is plainly
    a number or a domain is not looked at further, so that a million lines take a second or two."""
    found: set[str] = set()
    faults: list[tuple[int, str]] = []
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        if text := line.partition("#")[0].strip():
            if _PLAIN.fullmatch(text) is None:
                text = _told(text, number, faults)
            found.add(text)
            if len(faults) == MOST_FAULTS:
                break
    return Listing(frozenset(found - {""}), hashlib.sha256(data).hexdigest()), faults


def _told(text: str, line: int, faults: list[tuple[int, str]]) -> str:
    try:
        return read(text[:LONGEST]).text
    except Unusable as fault:
        faults.append((line, str(fault)))
        return ""


def of(address: Phone | Email) -> tuple[str, ...]:
    """Every entry that covers a destination, the most special first: 16 at the most for a number. A hash in the place
    of a number, as in recorded traffic, is covered by none."""
    if isinstance(address, Email):
        return (address.key, *_domains(address.domain))
    number = address.e164
    return (number, *_beginnings(number, 0)) if number[0] == "+" else Entry(number).covering


def narrow(phone: Phone) -> list[str]:
    """Those entries that cover a number and not all of its range."""
    number = phone.e164
    return [number, *[f"{number[:length]}*" for length in range(len(number), len(phone.range), -1)]]


def _beginnings(number: str, less: int) -> Iterator[str]:
    return (f"{number[:length]}*" for length in range(len(number) - less, 1, -1))


def _domains(domain: str) -> Iterator[str]:
    """A domain and what it is under. The last label alone is no entry."""
    while "." in domain:
        yield domain
        domain = domain.partition(".")[2]
