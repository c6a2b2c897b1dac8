"""Deny and allow lists: whom a policy never sends to, and whom it doesn't suspect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from policies import entries
from policies.model import UNLISTED, Circumstances, Email, Listed, Phone, Question, Refusal, Step, Word
from policies.rules.finding import Finding, sift

Contents = Mapping[Path, entries.Listing]
"""What the files say that policies name."""


def _entry(text: str) -> str:
    return entries.read(text).text


Entries = Annotated[
    tuple[Annotated[str, Field(max_length=entries.LONGEST), AfterValidator(_entry)], ...], Field(max_length=10_000)
]
Files = Annotated[tuple[Path, ...], Field(max_length=16)]


class ListSettings(BaseModel):
    """Whom a policy never sends to, and whom it doesn't suspect. An entry is a number (+447911123456), the beginning of
    numbers (+4479*), an email address, or a domain, which covers its subdomains. Of several entries that cover a
    destination the longest counts."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    deny: Entries = Field((), description="Never send to these.")
    deny_files: Files = Field((), description="The same from files, one entry in a line; # begins a comment.")
    allow: Entries = Field(
        (), description="Don't refuse these for the kind of number or address; limits and countries hold all the same."
    )
    allow_files: Files = Field((), description="The same from files.")
    api_allow: bool = Field(
        False,
        description="Whether what an app allows over the API counts against rules of this policy too, and not only "
        "against what the app itself denies: whoever steals a key could then write to any kind of number.",
    )
    shadow: bool = Field(False, description="Note what would be refused, and refuse nothing.")

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        if both := sorted(set(self.deny) & set(self.allow)):
            raise ValueError(f"{entries.Entry(both[0]).masked} in both deny and allow: take it out of one")
        return self

    @property
    def files(self) -> tuple[Path, ...]:
        return (*self.deny_files, *self.allow_files)


@dataclass(frozen=True, slots=True)
class Lists:
    """A policy's lists, with what their files say."""

    deny: tuple[frozenset[str], ...]
    allow: tuple[frozenset[str], ...]
    api_allow: bool

    def word(self, address: Phone | Email | None) -> Word:
        """The word of the most special entry that covers the destination; of two that are one, deny."""
        if address is None or not (self.deny or self.allow):
            return ""
        covering = entries.of(address)
        if all(found.isdisjoint(covering) for found in (*self.deny, *self.allow)):
            return ""  # nearly everybody
        for entry in covering:
            if any(entry in found for found in self.deny):
                return "deny"
            if any(entry in found for found in self.allow):
                return "allow"
        return ""


def prepare(settings: ListSettings, contents: Contents) -> Lists:
    """Work the lists out. A file that was not read is taken to be empty."""

    def sets(written: tuple[str, ...], files: tuple[Path, ...]) -> tuple[frozenset[str], ...]:
        found = (frozenset(written), *(contents[file].entries for file in files if file in contents))
        return tuple(each for each in found if each)

    return Lists(
        sets(settings.deny, settings.deny_files), sets(settings.allow, settings.allow_files), settings.api_allow
    )


def words(lists: Lists, question: Question) -> Listed:
    """What the lists and the app's own entries say together. Whoever denies is believed, whatever the other says: a
    stolen API key must not undo what the operator has written."""
    said = question.listed
    if said is UNLISTED and not (lists.deny or lists.allow):
        return said
    return Listed(
        _together(lists, lists.word(question.phone), said.phone),
        _together(lists, lists.word(question.email), said.email),
    )


def _together(lists: Lists, written: Word, of_the_app: Word) -> Word:
    if "deny" in (written, of_the_app):
        return "deny"
    return "allow" if written == "allow" or (of_the_app == "allow" and lists.api_allow) else ""


_REFUSAL = Refusal("destination_blocked", "lists", "Nothing is sent to this destination at present.")


def judge(at: Circumstances, steps: tuple[Step, ...]) -> Finding:
    """Keep the steps whose address nobody denies."""
    found = at.listed
    says = ", ".join(
        f"{what} on the {word} list" for what, word in (("number", found.phone), ("address", found.email)) if word
    )
    if "deny" not in (found.phone, found.email):
        return Finding(steps, says or "on no list")
    return sift(steps, lambda step: (found.email if step.channel == "email" else found.phone) != "deny", says, _REFUSAL)
