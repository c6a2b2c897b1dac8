"""The phrases of each language, read from `languages/*.yaml` when first needed, and the choice of a language.

A language is one file; its name is its BCP 47 tag. Phrases avoid what grammar would bend: the brand is never declined,
and a unit of time is an abbreviation or a word that no number changes. The texts for SMS in languages of Latin script
keep to GSM-7 where the language allows: Spanish says "clave" and Portuguese "PIN", since "código" would halve the room.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from channels.wording.templates import fill, placeholders

DEFAULT = "en"

PURPOSES = ("verification", "login", "signup", "payment", "password_reset")
"""What a code can be said to be for. Any other purpose is worded as the first."""

_FOLDER = Path(__file__).with_name("languages")

_LONGEST_TAG = 64  # characters; RFC 5646 §4.4.1 asks for room for 35

_ALIASES = {
    "zh-tw": "zh-Hant", "zh-hk": "zh-Hant", "zh-mo": "zh-Hant",  # CLDR likelySubtags
    "yue": "zh-Hant", "cmn": "zh", "in": "id",  # Java still says "in" for Indonesian
}  # fmt: skip

_PHRASES: Mapping[str, tuple[str, ...]] = {
    "direction": (),  # ltr or rtl
    "gap": (),  # between two sentences
    "pause": (),  # between two spoken digits, and between two details
    "stop": (),  # after the last spoken digit: never a full stop, which makes it an ordinal in German ("6.": sixth)
    "minutes": ("n",),
    "hours": ("n",),
    "expiry": ("time",),
    "warning": (),  # do not share it: short
    "secrecy": (),  # do not share it: a sentence that stands alone
    "ignore": (),  # if you did not ask for it
    "hello": (),  # opens a call
    "again": (),  # before the code is said a second time
    "label.amount": (),
    "label.payee": (),
    **{f"message.{purpose}": ("brand", "code") for purpose in PURPOSES},
    **{f"title.{purpose}": ("brand",) for purpose in PURPOSES},
}
"""Every phrase that a language must have, and the placeholders that it must have, each once."""


@dataclass(frozen=True, slots=True)
class Phrases:
    """One language."""

    language: str
    texts: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.texts[name]

    def of_purpose(self, kind: str, purpose: str) -> str:
        """The "message" or the "title" for a purpose."""
        return self.texts[f"{kind}.{purpose if purpose in PURPOSES else PURPOSES[0]}"]

    def label(self, name: str) -> str:
        """What to call an entry of the context: translated if we know it, else as the app calls it."""
        return self.texts.get(f"label.{name}", name)

    def duration(self, seconds: int) -> str:
        """Whole minutes, or hours from two on; rounded down, so that it never promises more than there is."""
        if seconds >= 7200:
            return fill(self["hours"], {"n": str(seconds // 3600)})
        return fill(self["minutes"], {"n": str(max(1, seconds // 60))})


@cache
def languages() -> tuple[str, ...]:
    """The tags of the languages that ship, sorted."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.yaml")))


def negotiate(locale: str) -> str:
    """The language to use for a locale: RFC 4647 §3.4 "lookup", with English when nothing matches.

    A tag is shortened from its end until a language has that name: zh-Hant-TW, zh-Hant, zh. Underscores pass for
    hyphens, since Java and Android write pt_BR.
    """
    known = {tag.lower(): tag for tag in languages()} | _ALIASES
    subtags = locale.replace("_", "-").lower().split("-") if len(locale) <= _LONGEST_TAG else []
    while subtags:
        if found := known.get("-".join(subtags)):
            return found
        subtags.pop()
    return DEFAULT


@cache
def load(language: str) -> Phrases:
    """One of `languages()`, read and checked. The cache holds as many as there are."""
    if language not in languages():
        raise ValueError(f"there is no language {language!r}: add languages/{language}.yaml")
    texts = _flat(yaml.safe_load((_FOLDER / f"{language}.yaml").read_text("utf-8")))
    check_phrases(language, texts)
    return Phrases(language, texts)


def check_phrases(language: str, texts: Mapping[str, str]) -> None:
    """ValueError unless there is every phrase, no other, and in each precisely its placeholders."""
    if odd := sorted(texts.keys() ^ _PHRASES.keys()):
        raise ValueError(f"{language}.yaml: missing or unknown: {', '.join(odd)}")
    for name, wanted in _PHRASES.items():
        if sorted(placeholders(texts[name])) != list(wanted):
            expected = ", ".join(f"{{{each}}}" for each in wanted) or "no placeholder"
            raise ValueError(f"{language}.yaml: {name}: write {expected}, each once")


def _flat(document: Mapping[str, str | Mapping[str, str]]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in document.items():
        if isinstance(value, str):
            flat[name] = value
        else:
            flat |= {f"{name}.{key}": text for key, text in value.items()}
    return flat
