"""What a person's opt-out means: the channel is left out and another one taken, or nothing is sent at all."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from policies.duration import Duration, within
from policies.model import Circumstances, Refusal, Step
from policies.rules.finding import Finding, sift


class SuppressionSettings(BaseModel):
    """What becomes of people who asked not to get messages on a channel."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    opted_out: Literal["next_channel", "refuse"] = Field(
        "next_channel",
        description="next_channel leaves out the channels that a person opted out of; refuse sends nothing to who has "
        "opted out of any channel that would be used.",
    )
    expiry: Annotated[Duration, within("1h", "3650d")] | None = Field(
        None,
        description="How long an opt-out holds; null: until it is lifted. It holds for the whole app, so the longest "
        "that any policy of the app says is what counts.",
    )


_REFUSAL = Refusal("opted_out", "suppression", "The person asked not to get messages on the channels that are left.")
_ENTIRELY = Refusal("opted_out", "suppression", "The person asked not to get messages on a channel of this policy.")


def judge(settings: SuppressionSettings, at: Circumstances, steps: tuple[Step, ...]) -> Finding:
    """Keep the steps whose channel the person has not opted out of, as far as the question knows."""
    met = sorted({step.channel for step in steps} & set(at.suppressed))
    if not met:
        return Finding(steps, "no opt-out is known")
    says = f"opted out of {', '.join(met)}"
    if settings.opted_out == "refuse":
        return Finding((), says, _ENTIRELY)
    return sift(steps, lambda step: step.channel not in met, says, _REFUSAL)
