"""What a message says, sentence by sentence, before a channel decides how much of it there is room for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from channels.wording.brief import Brief
from channels.wording.phrases import Phrases
from channels.wording.templates import fill


@dataclass(frozen=True, slots=True)
class Sentences:
    """The parts in one language. `values` holds the code."""

    message: str  # still a template: the brand may have to be shortened
    details: tuple[tuple[str, str], ...]  # the context: ("Amount", "12.50 EUR")
    expiry: str
    warning: str
    gap: str  # between sentences
    values: dict[str, str] = field(repr=False)  # of the placeholders
    templates: Mapping[str, str] = field(repr=False)  # the operator's

    def whole(self, brand: str = "", *, expiry: bool = True, warning: bool = True) -> str:
        """Everything, or what is left of it. The context is always there: whoever approves must see what."""
        message = fill(self.message, self.values | ({"brand": brand} if brand else {}))
        end = self.gap.join([self.expiry] * expiry + [self.warning] * warning)
        if self.details:
            return "\n".join(part for part in (message, self.values["context"], end) if part)
        return self.gap.join(part for part in (message, end) if part)

    def operators(self, name: str, brand: str = "") -> str:
        """The operator's text for a key of TEMPLATES; "" if there is none."""
        template = self.templates.get(name, "")
        return fill(self.with_context(template), self.values | ({"brand": brand} if brand else {})) if template else ""

    def with_context(self, template: str) -> str:
        """The template, which says what the code is bound to even where its author left that out."""
        return template if "{context}" in template or not self.details else f"{template}\n{{context}}"


def sentences(code: str, brief: Brief, phrases: Phrases) -> Sentences:
    """The parts of what the brief asks for, in the language of the phrases."""
    details = tuple((phrases.label(name), value) for name, value in brief.context.items())
    time = phrases.duration(brief.expires_in)
    return Sentences(
        message=phrases.of_purpose("message", brief.purpose),
        details=details,
        expiry=fill(phrases["expiry"], {"time": time}),
        warning=phrases["warning"],
        gap=phrases["gap"],
        values={
            "brand": brief.brand,
            "code": code,
            "context": phrases["pause"].join(f"{label}: {value}" for label, value in details),
            "minutes": str(max(1, brief.expires_in // 60)),
            "time": time,
        },
        templates=brief.templates,
    )
