"""The text of an SMS: as much as fits the segments that may be paid for, and the lines that let it fill itself in.

The full text is tried first, then, until one fits: without "do not share", without the lifetime, and only
"brand: code". At each stage the brand is tried again in GSM-7 letters (Łódź: Lodz) before anything more is given up,
since it may be all that keeps the text from the cheap alphabet. Last, the brand is cut. The code and the context are
never touched. If nothing fits (a long context does that), the fullest text that takes the fewest segments is sent: a
code that doesn't arrive costs more than a segment.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from channels.wording.brief import Brief
from channels.wording.gsm7 import is_gsm7, respell, segments
from channels.wording.sentences import Sentences

RETRIEVABLE = 140  # bytes: "no longer than 140 bytes", Google, "Perform SMS verification on a server"

SHORTEST_BRAND = 4  # characters


def text(code: str, brief: Brief, said: Sentences) -> str:
    """The whole message. An app hash that no stage leaves room for is left out: Android would not read it anyway."""
    origin = _origin(brief.domain, code)
    if brief.app_hash:
        for body in _stages(brief.brand, said):
            if _retrievable(whole := f"{body}\n{brief.app_hash}{origin}"):
                return whole
    return _cheapest((body + origin for body in _stages(brief.brand, said)), brief.max_segments)


def _origin(domain: str, code: str) -> str:
    """WICG "Origin-bound one-time codes delivered via SMS" §3: the last line, and nothing else on it."""
    return f"\n@{domain.lower()} #{code}" if domain else ""


def _retrievable(whole: str) -> bool:
    """Android doesn't say which bytes it counts. UTF-8 in one segment satisfies every reading."""
    return len(whole.encode()) <= RETRIEVABLE and segments(whole) == 1


def _cheapest(texts: Iterable[str], most: int) -> str:
    """The first text of at most so many segments, else the first of those with the fewest."""
    cheapest, fewest = "", 0
    for each in texts:
        count = segments(each)
        if not fewest or count < fewest:
            cheapest, fewest = each, count
        if fewest <= most:
            break
    return cheapest


def _stages(brand: str, said: Sentences) -> Iterator[str]:
    """Ever shorter texts. An operator's own text has one stage, since nobody else knows what may be left out."""
    plain = respell(brand)
    if "sms" in said.templates:
        yield from (said.operators("sms"), said.operators("sms", plain))
        return
    for expiry, warning in ((True, True), (True, False), (False, False)):
        for spelled in (brand, plain):
            yield said.whole(spelled, expiry=expiry, warning=warning)
    yield from (_terse(brand, said), _terse(plain, said))
    for shorter in _cut(plain if is_gsm7(_terse(plain, said)) else brand):
        yield _terse(shorter, said)


def _terse(brand: str, said: Sentences) -> str:
    line = f"{brand}: {said.values['code']}"
    return f"{line}\n{said.values['context']}" if said.details else line


def _cut(brand: str) -> Iterator[str]:
    """The brand, a character less each time, never between a letter and the accent that combines with it."""
    for length in range(len(brand) - 1, SHORTEST_BRAND - 1, -1):
        if unicodedata.category(brand[length])[0] != "M":
            yield brand[:length].rstrip()
