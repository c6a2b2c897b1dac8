"""A step needs an address: email goes to an address, every other channel to a phone number."""

from __future__ import annotations

from policies.model import Question, Refusal, Step
from policies.rules.finding import Finding, sift

_REFUSAL = Refusal("no_channel", "address", "No channel of this policy reaches the kind of address that was given.")


def judge(question: Question, steps: tuple[Step, ...]) -> Finding:
    """Keep the steps whose address was given."""
    given = " and ".join(address.masked for address in (question.phone, question.email) if address) or "no address"
    return sift(steps, lambda step: _reaches(question, step), f"to {given}", _REFUSAL)


def _reaches(question: Question, step: Step) -> bool:
    return (question.email if step.channel == "email" else question.phone) is not None
