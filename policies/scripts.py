"""The scripts of a domain name: tells a name whose letters are of scripts that nobody mixes, to look like another."""

from __future__ import annotations

import unicodedata

import idna

# UTS 39 section 5.2, "Highly Restrictive" (read 2026-11): besides one script alone, these are written together.
_TOGETHER = (
    frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "CJK", "BOPOMOFO"}),
    frozenset({"LATIN", "CJK", "HANGUL"}),
)

# Python knows no Script property. The names of letters begin with their script but for these few, which several share
# or which belong to Han. Digits, marks and hyphens are of no script of their own, and are not asked.
_NAMED = {"IDEOGRAPHIC": "CJK", "KATAKANA-HIRAGANA": "", "MODIFIER": ""}


def mixed(domain: str) -> bool:
    """Whether a label of a domain, given in its ASCII form, mixes scripts that are not written together. What can't be
    decoded is mixed: nobody can be meant to read it."""
    return any(_mixed(label) for label in domain.split(".") if label.startswith("xn--"))


def _mixed(label: str) -> bool:
    try:
        text = idna.ulabel(label)
    except idna.IDNAError:
        return True
    found = frozenset(_script(letter) for letter in text if unicodedata.category(letter)[0] == "L") - {""}
    return len(found) > 1 and not any(found <= together for together in _TOGETHER)


def _script(letter: str) -> str:
    first = unicodedata.name(letter, "UNNAMED").partition(" ")[0]
    return _NAMED.get(first, first)
