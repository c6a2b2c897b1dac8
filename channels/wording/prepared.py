"""Words that were found once for all codes of one length: whoever is asked in the same terms is told the same."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from channels.contract import Channel, Wording
from channels.wording.brief import Brief
from channels.wording.words import check_code, word, worded

_MOST = 512
"""Wordings that are kept, at up to some kilobytes each: locales, domains and app hashes come from requests."""
_GAP = "_"
"""Stands for each character of the code. In every alphabet, length and escape it counts as a letter or a digit does."""
_PROBE = "7"


class Terms(NamedTuple):
    """A brief without its context, and with its time in whole minutes, at least one: wordings know no finer."""

    brand: str
    locale: str
    minutes: int
    purpose: str
    domain: str
    app_hash: str
    max_segments: int
    templates: tuple[tuple[str, str], ...]

    def brief(self, context: Mapping[str, str]) -> Brief:
        """Raises ValueError."""
        return Brief(
            brand=self.brand,
            locale=self.locale,
            expires_in=60 * self.minutes,
            purpose=self.purpose,
            context=context,
            domain=self.domain,
            app_hash=self.app_hash,
            max_segments=self.max_segments,
            templates=dict(self.templates),
        )


class _Prepared(NamedTuple):
    """What stands before, between and after the places of the code, of each part of a wording."""

    language: str
    text: tuple[str, ...]
    subject: tuple[str, ...]
    html: tuple[str, ...]

    def filled(self, code: str) -> Wording:
        return Wording(code.join(self.text), self.language, code.join(self.subject), code.join(self.html))


def word_again(channel: Channel, code: str, terms: Terms, context: Mapping[str, str]) -> Wording:
    """What `word` says, in a fortieth of its time once it was said in the same terms. A context is everybody's own, and
    what is spoken is spelled: both are worded anew each time. Raises ValueError as `word` and Brief do."""
    prepared = None if context or channel is Channel.VOICE else _prepared(channel, len(code), terms)
    if prepared is None:
        return word(channel, code, terms.brief(context))
    return prepared.filled(check_code(code))


@lru_cache(maxsize=_MOST)
def _prepared(channel: Channel, length: int, terms: Terms) -> _Prepared | None:
    """None where the gap can't be told from the words, as in a brand with underscores: the probe shows it."""
    brief, gap, probe = terms.brief({}), _GAP * length, _PROBE * length
    said = worded(channel, gap, brief)
    prepared = _Prepared(said.language, *(tuple(part.split(gap)) for part in (said.text, said.subject, said.html)))
    return prepared if prepared.filled(probe) == worded(channel, probe, brief) else None
