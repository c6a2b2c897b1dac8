"""What a person wants who writes back: to get no more messages, to get them again, or neither."""

from __future__ import annotations

import re
from enum import StrEnum


class Wish(StrEnum):
    """What a reply asks for."""

    STOP = "stop"
    START = "start"


# The words of Twilio (Messaging, Advanced Opt-Out) and of the FCC's rule (47 CFR 64.1200(a)(10)), which names them as
# enough by themselves, and asks that other clear words count as well.
_STOP = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"})
_START = frozenset({"start", "unstop", "yes"})
_LONGEST = 1600  # characters: ten parts of an SMS


def wish(text: str) -> Wish | None:
    """What a text asks for. In doubt for the person: STOP counts as the first word of a sentence too ("Stop this now"),
    START only by itself ("yes, I got it" lifts nothing)."""
    words = re.findall(r"[^\W_]+", text[:_LONGEST].casefold())
    if not words:
        return None
    if {words[0], "".join(words[:2])} & _STOP:
        return Wish.STOP
    return Wish.START if len(words) == 1 and words[0] in _START else None
