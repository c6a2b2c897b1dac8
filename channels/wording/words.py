"""Which words go to which channel."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from channels.contract import Channel, Wording
from channels.wording import mail, sms
from channels.wording.brief import Brief
from channels.wording.phrases import Phrases, load, negotiate
from channels.wording.sentences import Sentences, sentences
from channels.wording.templates import fill

_CODE = re.compile(r"[0-9A-Za-z]{4,10}")


def word(channel: Channel, code: str, brief: Brief) -> Wording:
    """The code in words for one channel, in the language that suits the brief best.

    `spoken` already holds the code twice, so a provider must not repeat it. ValueError, which doesn't show the code,
    for a code that isn't 4 to 10 ASCII letters or digits.
    """
    return worded(channel, check_code(code), brief)


def check_code(code: str) -> str:
    """The code, if it is one; else ValueError."""
    if not _CODE.fullmatch(code):
        raise ValueError("the code must be 4 to 10 letters or digits of ASCII")
    return code


def worded(channel: Channel, code: str, brief: Brief) -> Wording:
    """The same for anything in the code's place."""
    phrases = load(negotiate(brief.locale))
    return _WORDED[channel](code, brief, phrases, sentences(code, brief, phrases))


def _sms(code: str, brief: Brief, phrases: Phrases, said: Sentences) -> Wording:
    return Wording(sms.text(code, brief, said), phrases.language)


def _whatsapp(code: str, brief: Brief, phrases: Phrases, said: Sentences) -> Wording:
    """For the simulator and for display: the vendors send templates of their own, which Meta has approved."""
    return Wording(said.operators("whatsapp") or said.whole(), phrases.language)


def _telegram(code: str, brief: Brief, phrases: Phrases, said: Sentences) -> Wording:
    """For the simulator and for senders of the operator's own: Telegram puts the code into words of its own."""
    return Wording(said.operators("telegram") or said.whole(), phrases.language)


def _voice(code: str, brief: Brief, phrases: Phrases, said: Sentences) -> Wording:
    """No lifetime: the person types while listening, and a number near the code is one more to mistake for it."""
    return Wording(
        said.operators("voice") or said.whole(), phrases.language, spoken=_spoken(code, brief, phrases, said)
    )


def _spoken(code: str, brief: Brief, phrases: Phrases, said: Sentences) -> str:
    # Letters in upper case are read out by name. "<", ">", "&" and quotes are left out although the providers escape:
    # speech loses nothing, and one slip in one provider can't become markup.
    digits = phrases["pause"].join(code.upper()) + phrases["stop"]
    if template := brief.templates.get("voice"):
        once = fill(said.with_context(template), said.values | {"code": digits})
        return _plain(f"{once} {once}")
    title = fill(phrases.of_purpose("title", brief.purpose), said.values)
    details = f"{said.values['context']}{phrases['stop']}" if said.details else ""
    return _plain(
        f"{phrases['hello']} {details}{title}: {digits}{phrases['again']}: {digits}{phrases['secrecy']}",
    )


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[<>&\"]", " ", text).split())


_WORDED: Mapping[Channel, Callable[[str, Brief, Phrases, Sentences], Wording]] = {
    Channel.SMS: _sms,
    Channel.VOICE: _voice,
    Channel.WHATSAPP: _whatsapp,
    Channel.TELEGRAM: _telegram,
    Channel.EMAIL: mail.wording,
}
