"""Quiet hours: at night, by the clocks of the number's country, nobody is rung up without having asked for a call."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from policies import zones
from policies.model import Question, Refusal, Step
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


def judge(settings: QuietSettings, life: int, question: Question, steps: tuple[Step, ...]) -> Finding:
    """Leave out the steps that are silent now and would come first, and those that are silent as long as the code
    lives (`life`, in ms). The others take along when they are: the fallback passes them over then."""
    silent = {c for c in settings.channels if settings.even_if_asked or c not in question.channels}
    if question.phone is None or question.now == 0 or not any(step.channel in silent for step in steps):
        return Finding(steps, "no channel is silent")
    until = question.now + life
    starts, ends = time.fromisoformat(settings.starts), time.fromisoformat(settings.ends)
    quiet = zones.stretches(question.phone.country, starts, ends, question.now, until)
    marked = [
        step._replace(quiet=quiet, strict=settings.even_if_asked) if step.channel in silent else step for step in steps
    ]
    kept = tuple(step for step in marked if step.quiet != ((question.now, until),))
    while kept and kept[0].silent(question.now):
        kept = kept[1:]
    return _found(question, steps, kept, bool(quiet))


def _found(question: Question, steps: tuple[Step, ...], kept: tuple[Step, ...], quiet: bool) -> Finding:
    where = question.phone.country if question.phone else ""
    if not kept:
        return Finding(kept, f"it is night in {where}", _REFUSAL)
    left = list(dict.fromkeys(step.channel for step in steps if step.channel not in {k.channel for k in kept}))
    says = f"it is night in {where}, or will be soon" if quiet else f"it is day in {where}"
    return Finding(kept, f"{says}; leaves out {', '.join(left)}" if left else says)
