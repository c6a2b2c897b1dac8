"""API keys: how one is made. The configuration knows only their hashes."""

from __future__ import annotations

import re
import secrets

PREFIX = "otp_"
"""Lets scanners of source code and logs recognise a key."""

FORM = re.compile(r"otp_[A-Za-z0-9_-]{22,128}")


def new() -> str:
    """A key of 192 random bits."""
    return PREFIX + secrets.token_urlsafe(24)
