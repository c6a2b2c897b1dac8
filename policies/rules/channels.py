"""The caller's wish for channels narrows and orders what the policy allows, and never widens it."""

from __future__ import annotations

from policies.model import Circumstances, Refusal, Step
from policies.rules.finding import Finding

_REFUSAL = Refusal("no_channel", "channels", "The policy offers none of the channels asked for to this destination.")


def judge(at: Circumstances, steps: tuple[Step, ...]) -> Finding:
    """Keep the steps of the channels asked for, in the caller's order. No wish: everything as it is."""
    if not at.channels:
        return Finding(steps, "no wish")
    wish = dict.fromkeys(at.channels)  # a channel asked for twice is still one step
    kept = tuple(step for channel in wish for step in steps if step.channel == channel)
    known = [channel for channel in wish if any(step.channel == channel for step in steps)]
    says = f"asked for {len(wish)} and offers {', '.join(known) or 'none'} of them"
    return Finding(kept, says, None if kept else _REFUSAL)
