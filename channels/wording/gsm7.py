"""How many SMS segments a text takes, and how to spell a name with the letters that fit the cheaper alphabet.

3GPP TS 23.038 §6.2.1: the default alphabet has 128 places of 7 bits; the characters of its extension table cost an
escape more. A text with any other character is sent as UCS-2. TS 23.040 §9.2.3.24.1: a message of several parts loses
six octets of each to the header that joins them. The national shift tables (Turkish, Hindi and others) are left aside:
vendors seldom switch them on, and a wrong guess costs a segment.
"""

from __future__ import annotations

import unicodedata

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")

_SPELLED = {
    "Ł": "L", "ł": "l", "Đ": "D", "đ": "d", "Ħ": "H", "ħ": "h", "ı": "i", "Œ": "OE", "œ": "oe", "Þ": "Th", "þ": "th",
    "Ð": "D", "ð": "d", "ẞ": "SS", "\u00d7": "x", "’": "'", "‘": "'", "“": '"', "”": '"', "„": '"', "«": '"',
    "»": '"', "–": "-", "—": "-", "‐": "-", "‑": "-", "−": "-", "·": "-", "•": "-",
}  # fmt: skip
"""Letters and signs that Unicode's compatibility decomposition leaves as they are."""


def is_gsm7(text: str) -> bool:
    return all(character in BASIC or character in EXTENSION for character in text)


def segments(text: str) -> int:
    """The number of SMS that a text is sent and billed as; an escape or a surrogate pair is never cut in two."""
    if is_gsm7(text):
        widths, alone, joined = [2 if character in EXTENSION else 1 for character in text], 160, 153
    else:
        widths, alone, joined = [2 if ord(character) > 0xFFFF else 1 for character in text], 70, 67
    if sum(widths) <= alone:
        return 1
    count, room = 1, joined
    for width in widths:
        if width > room:
            count, room = count + 1, joined
        room -= width
    return count


def respell(text: str) -> str:
    """The text with its letters reduced to GSM-7 ones (Łódź: Lodz), or unchanged when that can't be done for all."""
    respelled = "".join(character if character in BASIC else _plain(character) for character in text)
    return respelled if is_gsm7(respelled) else text


def _plain(character: str) -> str:
    decomposed = unicodedata.normalize("NFKD", _SPELLED.get(character, character))
    return "".join(part for part in decomposed if not unicodedata.combining(part))
