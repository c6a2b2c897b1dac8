"""Kinds of line that a policy does not send to, and what becomes of landlines, which can hear but not read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from policies.model import Circumstances, NumberType, Refusal, Step
from policies.rules.finding import Finding, sift

Types = Annotated[frozenset[NumberType], PlainSerializer(sorted, return_type=list[str])]


class NumberTypeSettings(BaseModel):
    """Which kinds of line are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    deny: Types = Field(
        frozenset(
            {
                NumberType.PREMIUM_RATE,
                NumberType.SHARED_COST,
                NumberType.TOLL_FREE,
                NumberType.UAN,
                NumberType.VOICEMAIL,
                NumberType.PAGER,
                NumberType.SATELLITE,
                NumberType.UNKNOWN,
            }
        ),
        description="Kinds of line never to send to. unknown is what no number plan describes.",
    )
    landline: Literal["voice", "deny", "as_is"] = Field(
        "voice", description="A fixed line gets voice and email only, nothing at all, or whatever the fallback says."
    )
    shadow: bool = Field(False, description="Note what would be refused, and refuse nothing.")


_DENIED = Refusal("number_type_denied", "number_type", "This policy doesn't send to this kind of number.")
_NO_VOICE = Refusal("no_channel", "number_type", "A landline can only be called, and no call is offered to it here.")


def judge(settings: NumberTypeSettings, at: Circumstances, steps: tuple[Step, ...]) -> Finding:
    """Keep the steps that the kind of line allows. Email is always kept."""
    kind = at.kind
    if kind is None:
        return Finding(steps, "no number")
    if kind in settings.deny or (kind is NumberType.FIXED_LINE and settings.landline == "deny"):
        return sift(steps, lambda step: step.channel == "email", f"{kind} is denied", _DENIED)
    if kind is NumberType.FIXED_LINE and settings.landline == "voice":
        return sift(steps, lambda step: step.channel in ("voice", "email"), "a landline is called", _NO_VOICE)
    return Finding(steps, f"{kind} is allowed")
