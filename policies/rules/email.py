"""Kinds of email address that a policy does not send to: disposable ones, those without mail, those that imitate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from policies import entries, scripts
from policies.model import Circumstances, Email, Question, Refusal, Step
from policies.rules.finding import Finding, sift
from policies.rules.lists import Contents

Treatment = Literal["allow", "shadow", "deny"]


class EmailSettings(BaseModel):
    """Which kinds of email address are refused: allow looks for nothing, shadow only notes it, deny refuses."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    disposable: Treatment = Field("allow", description="Mailboxes that anybody has for minutes, by a list that ships.")
    disposable_files: Annotated[tuple[Path, ...], Field(max_length=16)] = Field(
        (), description="More such domains, one in a line; subdomains are covered. Needs disposable."
    )
    no_mail: Treatment = Field(
        "allow", description="Domains whose DNS says that they take no mail. Asked at the start, for a second at most."
    )
    mixed_script: Treatment = Field(
        "allow", description="Domains whose letters are of scripts that nobody mixes, to look like another domain."
    )

    @model_validator(mode="after")
    def _used(self) -> Self:
        if self.disposable_files and self.disposable == "allow":
            raise ValueError("disposable_files: are not looked at: write disposable: deny, or take them out")
        return self


@dataclass(frozen=True, slots=True)
class Mailboxes:
    """The settings, with the disposable domains."""

    settings: EmailSettings
    disposable: tuple[frozenset[str], ...]
    looked_for: frozenset[str]

    @property
    def asks(self) -> bool:
        """Whether somebody has to ask the DNS before the question."""
        return self.settings.no_mail != "allow"


def prepare(settings: EmailSettings, known: frozenset[str], contents: Contents) -> Mailboxes:
    """Work them out. `known` are the disposable domains that ship."""
    files = (contents[file].entries for file in settings.disposable_files if file in contents)
    looked_for = frozenset(name for name, _, _ in _KINDS if getattr(settings, name) != "allow")
    return Mailboxes(settings, (known, *files) if settings.disposable != "allow" else (), looked_for)


_REFUSAL = Refusal("destination_blocked", "email", "This policy doesn't send to this kind of address.")

_KINDS: tuple[tuple[str, str, Callable[[Mailboxes, Question, Email], bool]], ...] = (
    ("disposable", "a disposable mailbox", lambda boxes, _, to: _disposable(boxes, to)),
    ("no_mail", "its domain takes no mail", lambda _, question, __: question.mail == "refuses"),
    ("mixed_script", "its domain mixes scripts", lambda _, __, to: scripts.mixed(to.domain)),
)


def flaws(boxes: Mailboxes, question: Question) -> tuple[str, ...]:
    """The kinds that the address is of and that the settings look for."""
    to = question.email
    if to is None:
        return ()
    return tuple(name for name, _, met in _KINDS if name in boxes.looked_for and met(boxes, question, to))


def judge(boxes: Mailboxes, at: Circumstances, steps: tuple[Step, ...]) -> Finding:
    """Keep the steps that the kind of address allows. Steps to a phone number are always kept."""
    if not at.mailbox:
        return Finding(steps, "no address")
    found = [(getattr(boxes.settings, name), says) for name, says, _ in _KINDS if name in at.flaws]
    told = "; ".join(f"{says}{' (in shadow)' if treatment == 'shadow' else ''}" for treatment, says in found)
    if any(treatment == "deny" for treatment, _ in found):
        return sift(steps, lambda step: step.channel != "email", told, _REFUSAL)
    return Finding(steps, told or "nothing is wrong with it")


def _disposable(boxes: Mailboxes, to: Email) -> bool:
    return any(domain in found for domain in entries.of(to)[1:] for found in boxes.disposable)
