"""The email: subject, plain text and HTML that say the same.

The subject doesn't hold the code. A locked phone shows subjects, mail servers log them, and NIST SP 800-63B-3 §5.1.3.1
asks that a locked device show that a code came but not the code. What is given up is reading it off the notification.
The HTML starts with a hidden line that takes the code's place in the preview of most mail programs, for the same
reason. Nothing is loaded from anywhere: no image, no font, no link.
"""

from __future__ import annotations

import html
from functools import cache
from pathlib import Path
from string import Template

from channels.contract import Wording
from channels.wording.brief import Brief
from channels.wording.phrases import Phrases
from channels.wording.sentences import Sentences
from channels.wording.templates import fill

# In the element itself, since several mail programs drop style sheets; colours for the dark are in email.html.
_CODE_STYLE = (
    "margin:0 0 20px;padding:14px 8px;border-radius:8px;background:#eef1f5;text-align:center;"
    "font:600 28px/1.3 ui-monospace,Menlo,Consolas,monospace;letter-spacing:3px"
)


def wording(_code: str, brief: Brief, phrases: Phrases, said: Sentences) -> Wording:
    """The email. An operator's text takes the place of ours in both parts, below our title in the HTML."""
    title = brief.templates.get("subject") or phrases.of_purpose("title", brief.purpose)
    own = _paragraphs(phrases, said)
    paragraphs = said.with_context(brief.templates["email"]).split("\n\n") if "email" in brief.templates else own
    values = said.values | {"context": "\n".join(f"{label}: {value}" for label, value in said.details)}
    text = [title, *own] if paragraphs is own else paragraphs
    return Wording(
        text="\n\n".join(fill(paragraph, values) for paragraph in text) + "\n",
        language=phrases.language,
        subject=fill(title, said.values),
        html=_page(title, paragraphs, phrases, said),
    )


def _paragraphs(phrases: Phrases, said: Sentences) -> list[str]:
    details = ["{context}"] if said.details else []
    return ["{code}", *details, said.expiry, phrases["secrecy"], phrases["ignore"]]


def _page(title: str, paragraphs: list[str], phrases: Phrases, said: Sentences) -> str:
    values = {name: f"<bdi>{html.escape(value)}</bdi>" for name, value in said.values.items()}
    values["code"] = f'<bdi dir="ltr">{html.escape(said.values["code"])}</bdi>'
    values["context"] = "<br>".join(
        f"<bdi>{html.escape(label)}</bdi>: <bdi>{html.escape(value)}</bdi>" for label, value in said.details
    )
    return _frame().substitute(
        language=phrases.language,
        direction=phrases["direction"],
        title=html.escape(fill(title, said.values)),
        preview=html.escape(f"{phrases['secrecy']}{phrases['gap']}{phrases['ignore']}"),
        heading=fill(html.escape(title), values),
        body="\n".join(_paragraph(paragraph, values) for paragraph in paragraphs),
    )


def _paragraph(paragraph: str, values: dict[str, str]) -> str:
    if paragraph.strip() == "{code}":
        return f'<p class="code" style="{_CODE_STYLE}">{values["code"]}</p>'
    filled = fill(html.escape(paragraph), values)
    return f'<p style="margin:0 0 12px">{"<br>".join(filled.splitlines())}</p>'


@cache
def _frame() -> Template:
    return Template(Path(__file__).with_name("email.html").read_text("utf-8"))
