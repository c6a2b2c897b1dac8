"""Programs that Debian brings and tests need: CI has them, and elsewhere the tests that need one are passed over."""

from __future__ import annotations

import os
import shutil

import pytest


def installed(program: str, package: str) -> str:
    """Where it is. Passes the test over where it is missing, and lets it fail in CI."""
    found = shutil.which(program)
    if found is not None:
        return found
    reason = f"{program} is missing: install Debian's package {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
