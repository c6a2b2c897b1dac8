"""Quiet hours: at night, by the clocks of the number's country, nobody is rung up without having asked for a call."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from policies import zones
from policies.model import Circumstances, Night, Question, Refusal, Step
from policies.rules.country import PhoneChannel
from policies.rules.finding import Finding


def _clock(text: str) -> str:
    if re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text) is None:
        raise ValueError('not a time of day: write it in quotes, such as "21:00"')
    return text


Clock = Annotated[str, AfterValidator(_clock)]


class QuietSettings(BaseModel):
    """When some channels are silent, by the clocks where the number is. In a country of several time zones it is quiet
    as long as it is quiet in any of them."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    channels: tuple[PhoneChannel, ...] = Field((), description="The channels that are silent, such as [voice].")
    starts: Clock = Field("21:00", description="From when on, by the local clock.")
    ends: Clock = Field("08:00", description="Until when; of the next day, if that is earlier than starts.")
    even_if_asked: bool = Field(
        False, description="Silent too when the request, or a resend, names the channel: false rings who asks for it."
    )

    @model_validator(mode="after")
    def _a_night(self) -> Self:
        if self.starts == self.ends:
            raise ValueError("starts and ends are one: write two different times, or no channels")
        return self


_REFUSAL = Refusal("no_channel", "quiet_hours", "It is night there, and the channels that are left are silent then.")


@dataclass(frozen=True, slots=True)
class Quiet:
    """The settings, worked out."""

    settings: QuietSettings
    starts: time
    ends: time
    life: int  # ms that a code lives


def prepare(settings: QuietSettings, life: int) -> Quiet:
    """Work them out. `life` is how long a code lives, in ms."""
    return Quiet(settings, time.fromisoformat(settings.starts), time.fromisoformat(settings.ends), life)


def stretches(quiet: Quiet, question: Question) -> tuple[zones.Stretch, ...]:
    """When it is quiet where the number is, of what a code meets that is made now; none where nobody asks."""
    if question.phone is None or question.now == 0 or not quiet.settings.channels:
        return ()
    return zones.stretches(question.phone.country, quiet.starts, quiet.ends, question.now, question.now + quiet.life)


def night(quiet: Quiet, question: Question, found: tuple[zones.Stretch, ...]) -> Night:
    """The same in a word."""
    if question.phone is None or question.now == 0 or not quiet.settings.channels:
        return ""
    if not found:
        return "day"
    if found[0][0] > question.now:
        return "soon"
    return "long" if found[0][1] >= question.now + quiet.life else "night"


def marked(steps: tuple[Step, ...], silent: frozenset[str], found: tuple[zones.Stretch, ...]) -> tuple[Step, ...]:
    """The steps, of which the silent ones know when they are: the fallback passes them over then."""
    return tuple(step._replace(quiet=found) if step.channel in silent else step for step in steps)


def judge(quiet: Quiet, at: Circumstances, steps: tuple[Step, ...]) -> Finding:
    """Leave out the steps that are silent now and would come first, and those that are silent as long as the code
    lives."""
    asked = quiet.settings.even_if_asked
    silent = frozenset(c for c in quiet.settings.channels if asked or c not in at.channels)
    if not at.night or not any(step.channel in silent for step in steps):
        return Finding(steps, "no channel is silent")
    marked = [step._replace(strict=asked) if step.channel in silent else step for step in steps]
    kept = [step for step in marked if at.night != "long" or step.channel not in silent]
    while kept and at.night == "night" and kept[0].channel in silent:
        kept = kept[1:]
    return _found(at, steps, tuple(kept))._replace(silent=silent if at.night != "day" else frozenset())


def _found(at: Circumstances, steps: tuple[Step, ...], kept: tuple[Step, ...]) -> Finding:
    if not kept:
        return Finding(kept, f"it is night in {at.country}", _REFUSAL)
    left = list(dict.fromkeys(step.channel for step in steps if step.channel not in {k.channel for k in kept}))
    says = f"it is day in {at.country}" if at.night == "day" else f"it is night in {at.country}, or will be soon"
    return Finding(kept, f"{says}; leaves out {', '.join(left)}" if left else says)
