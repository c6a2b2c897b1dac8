"""The name of a limit or a cap: it appears in headers and metrics, so it stays plain."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

_PLAIN = r"[a-z][a-z0-9-]{0,62}"


def _plain(text: str) -> str:
    if re.fullmatch(_PLAIN, text) is None:
        raise ValueError("not a usable name: write lower-case letters, digits and hyphens, a letter first, 63 at most")
    return text


Name = Annotated[str, AfterValidator(_plain), WithJsonSchema({"type": "string", "pattern": f"^{_PLAIN}$"})]
