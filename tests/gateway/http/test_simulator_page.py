"""The simulator's page: it shows what a person would see, and nothing that is shown can act."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime
from html import escape, unescape
from html.parser import HTMLParser

import pytest

from channels.contract import Channel, Wording
from channels.providers.simulator import Entry, Event
from channels.simulated import OUTCOMES
from channels.wording import Brief, word
from gateway.http.simulator import MOST, messages
from tests.gateway.http.conftest import Api, listening
from tests.support.world import EMAIL, PHONE, World

AT = datetime(2026, 1, 5, 10, 0, 0, tzinfo=UTC)
EVIL = "</p><script>alert(1)</script><img src=x onerror=alert(1)>\"'&{$style}"


def entry(channel: Channel, number: int = 1, wording: Wording | None = None, **fields: str) -> Entry:
    brief = Brief(brand="Shop", locale="en", expires_in=600, purpose="login")
    return Entry(
        f"sim_{number}",
        channel,
        fields.pop("to", EMAIL if channel is Channel.EMAIL else PHONE),
        wording or word(channel, "482913", brief),
        fields.pop("sender", ""),
        AT,
        timeline=(Event(AT, fields.pop("what", "accepted")),),
        **fields,
    )


async def page(world: World, *entries: Entry) -> tuple[str, str]:
    async with (
        listening(world, simulator=lambda: entries) as api,
        api.session.get(f"http://127.0.0.1:{api.port}/simulator") as answer,
    ):
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        return await answer.text(), answer.headers["Content-Security-Policy"]


async def test_every_channel_is_shown_as_a_person_would_see_it(world: World) -> None:
    html, _ = await page(world, *(entry(channel, n) for n, channel in enumerate(Channel)))
    assert html.count("<article ") == 5
    assert "5 messages" in html
    for name in ("SMS", "Call", "WhatsApp", "Telegram", "Email"):
        assert f"<h2>{name}</h2>" in html
    assert html.index("sim_0") < html.index("sim_4"), "in the order of the inbox, which is newest first"
    assert escape(entry(Channel.SMS).wording.text) in html
    assert '<time datetime="2026-01-05T10:00:00+00:00">10:00:00</time>' in html


async def test_an_email_is_framed_where_nothing_in_it_can_run(world: World) -> None:
    mail = entry(Channel.EMAIL)
    html, _ = await page(world, mail)
    found = re.search(r'<iframe sandbox title="[^"]+" loading="lazy" srcdoc="([^"]*)"></iframe>', html)
    assert found is not None
    assert unescape(found[1]) == mail.wording.html


async def test_a_call_shows_what_was_heard(world: World) -> None:
    html, _ = await page(world, entry(Channel.VOICE, heard="Your code is 4 8 2"))
    assert "What the person heard" in html
    assert "Your code is 4 8 2" in html


class Tags(HTMLParser):
    """The elements and attributes that a browser would make of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(sorted(name for name, _ in attrs))))


@pytest.mark.parametrize("channel", list(Channel))
def test_nothing_that_is_shown_becomes_markup(channel: Channel) -> None:
    evil = Wording(EVIL, EVIL, subject=EVIL, html=EVIL, spoken=EVIL)
    tame = Wording("a", "a", subject="a", html="a", spoken="a")
    bad = messages([entry(channel, wording=evil, to=EVIL, sender=EVIL, what=EVIL, heard=EVIL)])
    good = messages([entry(channel, wording=tame, to="a", sender="a", what="a", heard="a")])
    assert Tags(bad).found == Tags(good).found


def test_markup_that_is_not_escaped_would_be_noticed() -> None:
    """The twin of the test above."""
    assert Tags(f"<p>{EVIL}</p>").found != Tags("<p>a</p>").found


async def test_the_page_loads_nothing_and_runs_only_its_own_script(world: World) -> None:
    html, policy = await page(world, entry(Channel.SMS))
    script = html.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; script-src 'sha256-{digest}';")
    assert html.count("<script") == 1
    assert re.findall(r'(?:src|href|action)="', html) == []


async def test_the_table_has_every_number_that_chooses_its_outcome(world: World) -> None:
    html = (await page(world))[0].replace("<wbr>", "")
    for scenario in OUTCOMES:
        for cell in (scenario.number, scenario.address, scenario.says):
            assert escape(cell) in html
    assert "No message yet" in html
    assert "0 messages" in html


async def test_a_long_inbox_is_cut(world: World) -> None:
    html, _ = await page(world, *(entry(Channel.SMS, n) for n in range(MOST + 5)))
    assert html.count("<article ") == MOST
    assert f"The latest {MOST} messages" in html


async def test_the_index_leads_to_the_page(world: World) -> None:
    async with listening(world, simulator=tuple) as api:
        assert await _links(api) == {"/openapi.json", "/livez", "/readyz", "/simulator"}


async def _links(api: Api) -> set[str]:
    return set((await api.get("/")).json["links"].values())
