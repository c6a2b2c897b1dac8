"""Samples for the documentation: requests that a test sends, and answers that the renderer itself makes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from gateway.core.model import Attempt, AttemptStatus, Status, Verification
from gateway.http import models, rendering
from gateway.service import lists
from gateway.service.erasure import Erased
from gateway.service.requests import Checked
from gateway.service.suppressions import Standing
from gateway.store.steps import ListEntry, Suppression
from gateway.store.watches import Block
from policies.entries import Entry
from policies.model import Step

REQUESTS: Mapping[str, dict[str, Any]] = {
    "start": {
        "least": {"to": {"phone": models.PHONE}},
        "most": {
            "to": {"phone": models.PHONE, "email": models.EMAIL},
            "purpose": "login",
            "channels": ["whatsapp", "sms"],
            "locale": "pt-BR",
            "code": "482913",
            "context": {"amount": "12.50 EUR", "payee": "ACME"},
            "client": {"ip": "203.0.113.7", "device": "d-81", "user_agent": "Mozilla/5.0"},
            "app_hash": "FA+9qCX9VSu",
            "domain": "shop.example",
            "metadata": {"order": "A-17"},
        },
    },
    "check": {
        "least": {"code": "482913"},
        "most": {
            "code": "482 913",
            "context": {"amount": "12.50 EUR", "payee": "ACME"},
            "to": {"phone": models.PHONE},
        },
    },
    "resend": {"least": {}, "most": {"channel": "sms"}},
    "cancel": {"least": {}},
    "feedback": {"least": {"converted": True}},
    "lift_block": {"least": {"id": "dGhlIGJsb2NrJ3Mg"}},
    "search_suppressions": {"least": {"to": {"phone": models.PHONE}}},
    "suppress": {
        "least": {"to": {"phone": models.PHONE}},
        "most": {"to": {"phone": models.PHONE, "email": models.EMAIL}, "channels": ["sms"], "reason": "complaint"},
    },
    "lift_suppressions": {
        "least": {"to": {"phone": models.PHONE}},
        "most": {"to": {"phone": models.PHONE}, "channels": ["sms"]},
    },
    "search_list": {"least": {"entry": models.PHONE}},
    "list": {
        "least": {"entry": "+4479*"},
        "most": {"entry": "mail.example.org", "list": "allow", "expires_in": 86_400, "reason": "partner"},
    },
    "remove_from_list": {"least": {"entry": "+4479*"}},
    "erase": {
        "least": {"to": {"phone": models.PHONE}},
        "most": {"to": {"phone": models.PHONE, "email": models.EMAIL}},
    },
}
"""By operation; `least` and `most` say how much of the request they use."""

_BEGAN = 1_767_607_200_000  # 2026-01-05T10:00:00Z
_JOURNAL = (
    {"at": _BEGAN, "event": "created", "policy": "default", "revision": "9f2c41d07ab3"},
    {"at": _BEGAN, "event": "queued", "attempt": 1, "channel": "whatsapp", "provider": "twilio"},
    {"at": _BEGAN + 412, "event": "sent", "attempt": 1, "message_id": "SM0123456789"},
    {"at": _BEGAN + 15_413, "event": "silent", "attempt": 1},
    {"at": _BEGAN + 15_413, "event": "fell_back", "from_attempt": 1, "to_attempt": 2, "reason": "silent"},
    {"at": _BEGAN + 15_413, "event": "queued", "attempt": 2, "channel": "sms", "provider": "twilio"},
)


def _verification() -> Verification:
    return Verification(
        id=models.ID,
        version=2,
        app="shop",
        purpose="login",
        policy="default",
        revision="9f2c41d07ab3",
        status=Status.PENDING,
        steps=(Step("whatsapp", ("twilio",), 15_000), Step("sms", ("twilio",), 30_000)),
        attempts=(Attempt(1, 0, "whatsapp", "twilio", AttemptStatus.SENT, _BEGAN, _BEGAN),),
        created_at=_BEGAN,
        expires_at=_BEGAN + 600_000,
        resend_at=_BEGAN + 30_000,
        checks_used=0,
        checks_max=5,
        phone="+1415*****23",
        email="a**@example.org",
        metadata={"order": "A-17"},
    )


_BLOCK = Block("dGhlIGJsb2NrJ3Mg", "prefix-conversion", "prefix", "+9198765*****", _BEGAN, _BEGAN + 43_200_000, level=1)


@cache
def answers() -> Mapping[str, Any]:
    """By operation."""
    none = Standing("+1415*****23", "", ())
    stands = replace(none, entries=(Suppression("sms", "reply", _BEGAN, None),))
    denied = ListEntry(0, "deny", "pumping", _BEGAN, _BEGAN + 86_400_000)
    listed = lists.Standing(Entry("+4479*"), "deny", ((Entry("+4479*"), denied),))
    shown = json.loads(rendering.verification(_verification(), 60_000))
    return {
        **dict.fromkeys(("start", "read", "resend"), shown),
        "cancel": {**shown, "status": "canceled", "next": None, "checks_left": 0, "resend_at": None},
        "check": json.loads(rendering.checked(Checked(models.ID, "wrong", 4, None))),
        "feedback": {"id": models.ID, "converted": True},
        "blocks": json.loads(rendering.blocks([_BLOCK])),
        "lift_block": json.loads(rendering.blocks([])),
        "events": json.loads(rendering.events(models.ID, list(_JOURNAL))),
        **dict.fromkeys(("search_suppressions", "suppress"), json.loads(rendering.standing(stands))),
        "erase": json.loads(rendering.erased(Erased("+1415*****23", "", 2, 1))),
        "lift_suppressions": json.loads(rendering.standing(none)),
        **dict.fromkeys(("search_list", "list"), json.loads(rendering.listed(listed))),
        "remove_from_list": json.loads(rendering.listed(lists.Standing(Entry("+4479*"), "", ()))),
    }
