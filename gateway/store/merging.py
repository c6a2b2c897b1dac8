"""One answer out of those of several slots: the same as one server's would be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.store.portions import Portion
from gateway.store.reservations import Refused
from gateway.store.steps import Paid
from gateway.store.wants import ListLook, Spend

_ORDER = tuple(b"missing conflict blocked guessed overlooked listed suppressed suspected capped limited".split())
"""What one script looks at first is what it refuses for."""


Seen = tuple[Portion, Sequence[int]]
"""The shadow limits of one slot that would have refused."""


def refusal(refused: Sequence[Refused], seen: Sequence[Seen], lists: Sequence[ListLook]) -> Refused:
    """The refusal that is told, as the whole step's and not its slot's. The portion is the one that refuses; `seen` is
    what those say that don't."""
    word = min((each.reply[0] for each in refused), key=_ORDER.index)
    those = [each for each in refused if each.reply[0] == word]
    first = those[0]
    match word:
        case b"listed":
            return first._replace(reply=[word, first.reply[1], _words(those, lists)])
        case b"suppressed":
            return first._replace(reply=[word, first.reply[1], [name for each in those for name in each.reply[2]]])
        case b"capped":
            return _capped(those)
        case b"limited":
            return _limited(those, seen)
        case b"blocked" | b"guessed":
            return first._replace(reply=[word, first.reply[1], max(filter(None, map(_wait, refused)))])
    return first


def _wait(each: Refused) -> int:
    """For how long a slot refuses, as far as it says."""
    place = {b"blocked": 2, b"guessed": 2, b"limited": 4}.get(each.reply[0])
    return each.reply[place] if place else 0


def _words(those: Sequence[Refused], lists: Sequence[ListLook]) -> list[bytes]:
    """Of every list, in their order; of one in a slot that has none to tell, what it was taken to say."""
    words = [look.word.encode() for look in lists]
    for portion, reply in those:
        for place, word in zip(portion.lists, reply[2], strict=True):
            words[place] = word
    return words


def _capped(those: Sequence[Refused]) -> Refused:
    first = min(those, key=lambda each: each.portion.purses[each.reply[2]])
    word, now, purse, told = first.reply
    return first._replace(reply=[word, now, first.portion.purses[purse], told])


def _limited(those: Sequence[Refused], seen: Sequence[Seen]) -> Refused:
    """By the limit that holds longest."""
    longest = max(those, key=lambda each: each.reply[4])
    word, now, counter, rule, wait, _ = longest.reply
    noted = shadows([*((each.portion, each.reply[5]) for each in those), *seen])
    return longest._replace(reply=[word, now, longest.portion.counters[counter], rule, wait, noted])


def shadows(seen: Iterable[Seen]) -> list[int]:
    """The shadow limits that would have refused, by their places in the whole."""
    found = [(portion.counters[flat[i]], flat[i + 1]) for portion, flat in seen for i in range(0, len(flat), 2)]
    return [number for pair in sorted(found) for number in pair]


def paid(spend: Spend | None, told: Iterable[tuple[Portion, Paid]]) -> tuple[list[int], list[int]]:
    """What each purse holds, and which came to 80%, by their places in the whole; what is told last counts."""
    held = [0] * (len(spend.purses) if spend else 0)
    near: set[int] = set()
    for portion, one in told:
        for place, spent in zip(portion.purses, one.spent, strict=False):
            held[place] = spent
        near |= {portion.purses[place] for place in one.near}
    return held, sorted(near)
