"""What a start must be bound to: PSD2 asks for the amount and the payee of each payment (RTS 2018/389, article 5)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

CODE_ALONE = ("whatsapp", "telegram")
"""Channels whose vendors put the code into words of their own: a person reads no amount and no payee there."""

Key = Annotated[str, Field(min_length=1, max_length=40)]


class ContextSettings(BaseModel):
    """What a start must name in its context. It is shown in the message, and the check must repeat it."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    require: tuple[Key, ...] = Field(
        (),
        max_length=8,
        description="Keys of the context that a start must have, such as [amount, payee]; without them it is refused "
        "with 422. Not together with a step by whatsapp or telegram, whose vendors show the code alone.",
    )

    def missing(self, named: Collection[str]) -> tuple[str, ...]:
        """The keys that are required and not there."""
        return tuple(key for key in self.require if key not in named)
