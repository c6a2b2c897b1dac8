"""A step needs an address: email goes to an address, every other channel to a phone number."""

from __future__ import annotations

from policies.model import Circumstances, Refusal, Step
from policies.rules.finding import Finding, sift

_REFUSAL = Refusal("no_channel", "address", "No channel of this policy reaches the kind of address that was given.")


def judge(at: Circumstances, steps: tuple[Step, ...]) -> Finding:
    """Keep the steps whose address was given."""
    given = (("a number", at.kind is not None), ("an email address", at.mailbox))
    named = " and ".join(name for name, is_given in given if is_given) or "nobody"
    return sift(steps, lambda step: _reaches(at, step), f"to {named}", _REFUSAL)


def _reaches(at: Circumstances, step: Step) -> bool:
    return at.mailbox if step.channel == "email" else at.kind is not None
