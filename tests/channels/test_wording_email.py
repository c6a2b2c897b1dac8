"""The email: two parts that say the same, safe to show, and silent on a locked phone."""

from html.parser import HTMLParser

import pytest

from channels.contract import Channel, Wording
from channels.wording import Brief, languages, mail, word

HOSTILE = "<img src=x onerror=alert(1)>\"'&"
HARMLESS = {"html", "head", "meta", "title", "style", "body", "div", "h1", "p", "bdi", "br"}


class Page(HTMLParser):
    """What a mail program would make of the HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def email(language: str = "en", **more: object) -> Wording:
    return word(Channel.EMAIL, "004829", Brief(**({"brand": "Acme", "locale": language, "expires_in": 600} | more)))


def injected(wording: Wording) -> bool:
    return not {tag for tag, _ in Page(wording.html).tags} <= HARMLESS


@pytest.mark.parametrize("language", languages())
def test_text_and_html_have_the_code_once_and_the_subject_never(language: str) -> None:
    wording = email(language)
    assert (wording.text.count("004829"), Page(wording.html).words.count("004829")) == (1, 1)
    assert wording.html.count("004829") == 1
    assert "004829" not in wording.subject
    assert "Acme" in wording.subject


@pytest.mark.parametrize("language", languages())
def test_the_page_says_its_language_and_direction(language: str) -> None:
    tag, attributes = Page(email(language).html).tags[0]
    assert (tag, attributes) == ("html", {"lang": language, "dir": "rtl" if language == "ar" else "ltr"})


@pytest.mark.parametrize("language", languages())
def test_every_line_of_the_text_is_in_the_html(language: str) -> None:
    wording = email(language, context={"amount": "12.50 EUR", "payee": "ACME"})
    words = Page(wording.html).words
    for line in filter(None, wording.text.splitlines()):
        assert line in words


@pytest.mark.parametrize(
    "more",
    [
        {"brand": HOSTILE},
        {"context": {"payee": HOSTILE, HOSTILE: "1"}},
        {"templates": {"email": f"{{code}}\n\n{HOSTILE}", "subject": HOSTILE}},
    ],
)
def test_nobody_can_put_markup_into_the_page(more: dict[str, object]) -> None:
    wording = email(**more)
    assert not injected(wording)
    assert HOSTILE in Page(wording.html).words


def test_without_escaping_that_markup_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail.html, "escape", lambda text: text)
    assert injected(email(brand=HOSTILE))


@pytest.mark.parametrize("language", languages())
def test_nothing_is_loaded_or_linked(language: str) -> None:
    html = email(language).html
    assert not {"src", "href", "background", "action"} & {name for _, attrs in Page(html).tags for name in attrs}
    assert not any(sign in html.lower() for sign in ("url(", "@import", "http:", "https:", "<link", "<script"))


def test_the_page_is_ready_for_the_dark_and_for_narrow_screens() -> None:
    html = email().html
    assert "prefers-color-scheme: dark" in html
    assert ("meta", {"name": "viewport", "content": "width=device-width,initial-scale=1"}) in Page(html).tags


def test_the_preview_of_a_mail_program_starts_with_a_warning_and_not_with_the_code() -> None:
    body = email().html.split("<body", 1)[1]
    assert body.index("Do not share") < body.index("004829")


def test_an_email_in_english_reads_like_this() -> None:
    wording = email(purpose="payment", context={"amount": "12.50 EUR", "payee": "ACME"})
    assert wording.subject == "Your code for a payment with Acme"
    assert wording.text == (
        "Your code for a payment with Acme\n\n004829\n\nAmount: 12.50 EUR\nPayee: ACME\n\nExpires in 10 min.\n\n"
        "Do not share this code with anyone.\n\nIf you did not ask for it, you can ignore this email.\n"
    )


def test_an_operators_email_keeps_its_paragraphs_and_shows_the_code_large() -> None:
    wording = email(templates={"email": "Hello,\nhere it is:\n\n{code}\n\nBye", "subject": "{brand}: {time}"})
    assert wording.subject == "Acme: 10 min"
    assert wording.text == "Hello,\nhere it is:\n\n004829\n\nBye\n"
    assert [attrs["class"] for tag, attrs in Page(wording.html).tags if tag == "p" and "class" in attrs] == ["code"]


def test_a_name_written_leftward_cannot_disturb_the_words_around_it() -> None:
    html = email(brand="شركة", context={"payee": "שלום"}).html
    assert "<bdi>شركة</bdi>" in html
    assert "<bdi>שלום</bdi>" in html
    assert '<bdi dir="ltr">004829</bdi>' in html
