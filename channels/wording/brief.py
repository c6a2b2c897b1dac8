"""What a message has to say apart from the code itself; a brief that exists is fit to be worded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from channels.wording.templates import check_brand, check_template, check_variable

MOST_CONTEXT = 8  # entries

_LABEL = r"(?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?=.{{4,253}}\Z)(?:[A-Za-z0-9]{_LABEL}\.)+[A-Za-z]{_LABEL}")
_APP_HASH = re.compile(r"[A-Za-z0-9+/]{11}")


@dataclass(frozen=True, slots=True)
class Brief:
    """Who asks, for what, and how it may be said. Raises ValueError, naming the field, for what can't be said safely.

    `domain` is the bare host that the code is for, `app_hash` the 11 characters that name an Android app; both serve
    the SMS only. `templates` replaces our texts by the operator's, by the keys of `templates.TEMPLATES`.
    """

    brand: str
    locale: str  # BCP 47, as the app or the person gave it; an unknown one means English
    expires_in: int  # seconds
    purpose: str = ""  # a name in phrases.PURPOSES; any other reads "verification"
    context: Mapping[str, str] = field(default_factory=dict, repr=False)
    domain: str = ""
    app_hash: str = ""
    max_segments: int = 1
    templates: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        _checked("brand", check_brand, self.brand)
        if len(self.context) > MOST_CONTEXT:
            raise ValueError(f"context: it has {len(self.context)} entries: at most {MOST_CONTEXT} are shown")
        for name, value in self.context.items():
            _checked("context", check_variable, name)
            _checked("context", check_variable, value)
        for name, text in self.templates.items():
            _checked("templates", partial(check_template, name), text)
        self._check_form()

    def _check_form(self) -> None:
        if self.expires_in <= 0 or self.max_segments < 1:
            raise ValueError("expires_in and max_segments: write a number greater than zero")
        if self.domain and not _HOST.fullmatch(self.domain):
            raise ValueError("domain: write the bare host name in ASCII, such as shop.example: no scheme, port or path")
        if self.app_hash and not _APP_HASH.fullmatch(self.app_hash):
            raise ValueError("app_hash: write the 11 characters that Android computes for the app")


def _checked(name: str, check: Callable[[str], str], text: str) -> None:
    try:
        check(text)
    except ValueError as problem:
        raise ValueError(f"{name}: {problem}") from None
