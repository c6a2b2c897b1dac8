"""The rules for text that others write: operators' templates, their brand, and the values that apps want shown.

A template has a fixed vocabulary of placeholders, filled in one pass. It is never given to `str.format`, whose
`{code.__class__}` reads attributes, nor to a template language, which would compute.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

TEMPLATES = ("sms", "voice", "whatsapp", "telegram", "email", "subject")
"""What an operator can reword: the text of a channel, and the subject of the email."""

PLACEHOLDERS = ("brand", "code", "context", "minutes", "time")
"""`{time}` is worded ("10 min"), `{minutes}` the bare number, `{context}` what the code is bound to."""

LONGEST_VARIABLE = 40  # characters; also the limit of India's DLT for one variable
LONGEST_TEMPLATE = 2000  # characters

_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
_SCHEME = re.compile(r"://|\b(?:https?|ftps?|mailto|tel|smsto|javascript|whatsapp)\s*:", re.IGNORECASE)
_HOST = re.compile(r"[^\s.]\.[^\W\d_]{2}")
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_IPV4 = re.compile(rf"(?<![\d.]){_OCTET}(?:\.{_OCTET}){{3}}(?![\d.])")


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its placeholders replaced, once: a value that looks like a placeholder stays as it is."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text)


def placeholders(text: str) -> list[str]:
    """The placeholders in a text, in order. ValueError for a brace that isn't part of one."""
    if re.search(r"[{}]", _PLACEHOLDER.sub("", text)):
        raise ValueError("it has a brace that is not part of a placeholder such as {code}: take it out")
    return _PLACEHOLDER.findall(text)


def check_template(channel: str, text: str) -> str:
    """The text, if an operator may use it for that key of TEMPLATES; else ValueError, saying what to change.

    The subject may do without `{code}`, and should: it is what a locked phone and a mail server's log show.
    """
    if channel not in TEMPLATES:
        raise ValueError(f"there is no template {channel!r}: write one of {', '.join(TEMPLATES)}")
    unknown = [name for name in placeholders(text) if name not in PLACEHOLDERS]
    if unknown:
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise ValueError(f"{{{unknown[0]}}} is not a placeholder: write one of {known}")
    if channel != "subject" and text.count("{code}") != 1:
        raise ValueError("the text must contain {code} exactly once")
    if not text.strip() or len(text) > LONGEST_TEMPLATE:
        raise ValueError(f"write 1 to {LONGEST_TEMPLATE} characters")
    _printable(text if channel == "subject" else text.replace("\n", ""))
    return text


def check_brand(text: str) -> str:
    """The brand, if it can be shown everywhere; else ValueError. The operator's own, so Booking.com is fine."""
    _sized(text)
    _printable(text)
    return text


def check_variable(text: str) -> str:
    """The value, if it may be shown in a message; else ValueError, saying why, without the value.

    Whoever can put a link into a message that comes from a trusted sender has a phishing relay. So nothing that a phone
    would turn into a link passes, at the price of names such as "Co.KG", which need a space after their dot.
    """
    _sized(text)
    _printable(text)
    plain = _skeleton(text)
    if _SCHEME.search(plain):
        raise ValueError("it looks like a link: leave the address out")
    if _HOST.search(plain) or _IPV4.search(plain):
        raise ValueError("it looks like a domain name or an address: leave it out, or put a space after the dot")
    return text


def _sized(text: str) -> None:
    if not text.strip():
        raise ValueError("it is empty: write something to show")
    if len(text) > LONGEST_VARIABLE:
        raise ValueError(f"it has {len(text)} characters: at most {LONGEST_VARIABLE} are shown")


def _printable(text: str) -> None:
    """Refuse every control, format (bidi, zero width), surrogate, private and unassigned character, and separators."""
    for character in text:
        category = unicodedata.category(character)
        if category[0] == "C" or category in {"Zl", "Zp"}:
            raise ValueError(f"it has the invisible or control character U+{ord(character):04X}: take it out")


def _skeleton(text: str) -> str:
    """The text as a link detector may see it: full-width and ideographic dots are dots (UTS #46 §2.3), no accents."""
    plain = unicodedata.normalize("NFKD", text).replace("\u3002", ".")
    return "".join(character for character in plain if unicodedata.category(character)[0] != "M")
