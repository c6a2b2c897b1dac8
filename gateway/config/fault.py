"""What is wrong with a configuration, where, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Where something is in the configuration: ("policies", "login", "fallback", 1, "channel")."""

_PLAIN = re.compile(r"[A-Za-z0-9_.*<-]{1,64}")
_NUMBER = re.compile(r"\+[0-9 ().-]{7,}|[0-9 ().-]{8,}")  # that a message can be sent to; vendors' codes are shorter


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong. Says what and where, and never repeats a value that could be a secret."""

    line: int  # from 1; 0 for what is wrong with the file as a whole, or is no part of it
    path: str  # "policies.login.fallback[1].channel", or "" when it can't be told
    problem: str  # "'sns' is not a channel"
    remedy: str = ""  # "write one of sms, voice, whatsapp, telegram, email"
    variable: str = ""  # the environment variable that said it, instead of the file

    def text(self, file: str) -> str:
        """One line for an operator, in whole sentences."""
        place = self.variable or (f"{file}:{self.line}" if self.line else file)
        said = ". ".join(part[:1].upper() + part[1:] if index else part for index, part in enumerate(self._says()))
        return f"{place}: {f'{self.path}: ' if self.path else ''}{said}{'' if said.endswith(('.', '?')) else '.'}"

    def _says(self) -> list[str]:
        return [part for part in (self.problem, self.remedy) if part]


class Invalid(Exception):
    """A configuration that can't be used, with all that is wrong with it."""

    def __init__(self, file: str, faults: Iterable[Fault]) -> None:
        unique = dict.fromkeys(faults)
        self.file = file
        self.faults = tuple(sorted(unique, key=lambda fault: (bool(fault.variable), fault.line, fault.path)))
        super().__init__("\n".join(fault.text(file) for fault in self.faults))


def dotted(path: Sequence[str | int]) -> str:
    """A path as people write it."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{named(part)}"
    return text


def named(key: str) -> str:
    """A key fit to be shown on a terminal: cut short and in quotes unless it is plain, a destination masked."""
    shown = _masked(key)
    return shown if _PLAIN.fullmatch(shown) else repr(shown[:40])


def _masked(key: str) -> str:
    if "@" in key:
        return f"{key[0]}**@{key.rpartition('@')[2]}"
    return f"{key[:4]}*****{key[-2:]}" if _NUMBER.fullmatch(key) else key


def near(wrong: str, known: Iterable[str]) -> list[str]:
    """The name that was probably meant, if there is one."""
    from difflib import get_close_matches  # only for who made a fault

    names = {name.lower(): name for name in known}
    return [names[name] for name in get_close_matches(wrong.lower(), names, n=1, cutoff=0.7)]


def instead(wrong: str, known: Iterable[str]) -> str:
    """The remedy for a name that does not exist: the one that was probably meant, or all that there are."""
    names = [str(name) for name in known]
    if meant := near(wrong, names):
        return f"did you mean {meant[0]!r}?"
    return f"write {'one of ' if len(names) > 1 else ''}{', '.join(names)}" if names else "take it out"
