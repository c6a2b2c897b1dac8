"""The simulator's page: what a person's phone and mailbox would show. For development only, since it shows codes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from html import escape
from importlib import resources
from itertools import islice
from string import Template
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from channels.contract import Channel
from channels.simulated import OUTCOMES, Scenario

if TYPE_CHECKING:
    from channels.providers.simulator import Entry  # a provider is imported only when it is configured

MOST = 50
"""Messages on the page. An email is a document of its own, and a browser should not be given thousands."""

_NAMES = {
    Channel.SMS: "SMS",
    Channel.VOICE: "Call",
    Channel.WHATSAPP: "WhatsApp",
    Channel.TELEGRAM: "Telegram",
    Channel.EMAIL: "Email",
}


class Page:
    """Renders the inbox anew for each request; the page fetches itself and takes over what changed."""

    def __init__(self, inbox: Callable[[], Iterable[Entry]]) -> None:
        self._inbox = inbox
        script = _text("simulator.js")
        self._headers = {"Content-Security-Policy": _policy(script), "Referrer-Policy": "no-referrer"}
        self._frame = Template(_text("simulator.html"))
        self._fixed = {
            "style": _text("simulator.css"),
            "script": script,
            "outcomes": "\n".join(map(_outcome, OUTCOMES)),
        }

    def routes(self) -> list[Route]:
        return [Route("/simulator", self.show, methods=["GET"])]

    async def show(self, _request: Request) -> Response:
        entries = list(islice(self._inbox(), MOST + 1))
        page = self._frame.substitute(self._fixed, count=_count(len(entries)), messages=messages(entries[:MOST]))
        return HTMLResponse(page, headers=self._headers)


def messages(entries: list[Entry]) -> str:
    """The cards, one for each message."""
    nothing = '<p class="empty" id="none">No message yet. Start a verification, and it shows up here.</p>'
    return "\n".join(map(_card, entries)) or nothing


def _text(name: str) -> str:
    return resources.files("gateway.http").joinpath(name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """Nothing is loaded from anywhere. Styles may be inline because an email's own are, and its frame inherits this;
    the frame is sandboxed, so no script runs in it, and the page's own runs by its hash."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _count(number: int) -> str:
    if number > MOST:
        return f"The latest {MOST} messages"
    return "1 message" if number == 1 else f"{number} messages"


def _outcome(scenario: Scenario) -> str:
    address = escape(scenario.address).replace("@", "<wbr>@")
    where = f"<code>{escape(scenario.number)}</code><br><code>{address}</code>"
    return f"<tr><td>{where}</td><td>{escape(scenario.says)}</td></tr>"


def _card(entry: Entry) -> str:
    name, to = _NAMES[entry.channel], escape(entry.to)
    events = "".join(f"<li>{_time(event.at)}<span>{escape(event.what)}</span></li>" for event in entry.timeline)
    return "".join(
        (
            f'<article id="{escape(entry.id)}" aria-label="{name} to {to}">',
            f'<header><h2>{name}</h2><span class="to">{to}</span>',
            f'<span class="when">{_time(entry.at)} UTC</span></header>',
            f'<div class="facts">{_facts(entry)}</div>',
            _BODIES[entry.channel](entry),
            f'<ol class="timeline" aria-label="What happened, UTC">{events}</ol></article>',
        )
    )


def _facts(entry: Entry) -> str:
    status = f'<span class="status {escape(entry.status.replace(" ", "-"))}">{escape(entry.status)}</span>'
    sender = f"<span>from {escape(entry.sender)}</span>" if entry.sender else ""
    return f"{status}{sender}<span>language {escape(entry.wording.language)}</span>"


def _time(at: datetime) -> str:
    return f'<time datetime="{at.isoformat()}">{at:%H:%M:%S}</time>'


def _lang(entry: Entry) -> str:
    return f'lang="{escape(entry.wording.language)}" dir="auto"'


def _bubble(entry: Entry) -> str:
    return f'<p class="bubble {entry.channel}" {_lang(entry)}>{escape(entry.wording.text)}</p>'


def _call(entry: Entry) -> str:
    heard = "What the person heard" if entry.heard else "What the call would say"
    said = escape(entry.heard or entry.wording.spoken or entry.wording.text)
    return f'<blockquote class="call"><cite>{heard}</cite><span {_lang(entry)}>{said}</span></blockquote>'


def _email(entry: Entry) -> str:
    subject = f'<p class="subject" {_lang(entry)}>{escape(entry.wording.subject)}</p>'
    if not entry.wording.html:
        return subject + _bubble(entry)
    srcdoc = escape(entry.wording.html)
    return f'{subject}<iframe sandbox title="The email as HTML" loading="lazy" srcdoc="{srcdoc}"></iframe>'


_BODIES: Mapping[Channel, Callable[[Entry], str]] = {
    Channel.SMS: _bubble,
    Channel.WHATSAPP: _bubble,
    Channel.TELEGRAM: _bubble,
    Channel.VOICE: _call,
    Channel.EMAIL: _email,
}
