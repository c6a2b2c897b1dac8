"""What schemathesis holds every answer to beside the document: nothing that was sent in secret comes back."""

from __future__ import annotations

import json
import os
from typing import Any

import schemathesis

_LONG = 8
"""Characters from which a destination or a code that is found in an answer is no coincidence."""


def secrets(body: Any) -> list[str]:
    """The strings of a request that an answer must not hold."""
    if not isinstance(body, dict):
        return []
    to = body.get("to")
    given = [*(to.values() if isinstance(to, dict) else []), body.get("code")]
    return [text for text in given if isinstance(text, str) and len(text) >= _LONG]


@schemathesis.check
def nothing_secret_is_echoed(_ctx: Any, response: Any, case: Any) -> None:
    """Neither the API key, nor a whole destination, nor a code."""
    for secret in [os.environ["FUZZ_KEY"], *secrets(case.body)]:
        if secret in response.text or json.dumps(secret)[1:-1] in response.text:
            raise AssertionError("the answer holds something that was sent in secret")
