"""The calls as data: what each takes, what it answers, and the problems it can meet. OpenAPI is made from this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from gateway.http import models


@dataclass(frozen=True, slots=True)
class Success:
    """One way to succeed. Without a model the content isn't ours to say; without a media type there is none."""

    says: str
    model: type[BaseModel] | None
    headers: tuple[str, ...] = ()
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Operation:
    """One call."""

    method: str
    path: str
    id: str
    summary: str
    answers: Mapping[int, Success]
    problems: tuple[str, ...] = ()
    body: type[BaseModel] | None = None
    body_required: bool = True
    parameters: tuple[str, ...] = ()
    key: bool = True  # needs an API key
    tag: str = "verifications"
    details: str = ""


_ALWAYS = ("internal_error",)
_KEYED = ("unauthenticated", "store_unavailable", *_ALWAYS)
_BODY = ("request_timeout", "too_large", "unsupported_media_type", "invalid_request")
_DENIALS = (
    "country_denied",
    "number_type_denied",
    "destination_blocked",
    "opted_out",
    "fraud_suspected",
    "spend_capped",
    "no_channel",
)
_REPEATABLE = ("idempotency_mismatch",)
_ONE = "/v1/verifications/{id}"
_SUPPRESSIONS = Success("What now holds, of all its channels.", models.Suppressions)
_LISTED = Success("What the app's list now says of the entry.", models.Listed)
_VERIFICATION = Success("The verification.", models.Verification)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "POST",
        "/v1/verifications",
        "start",
        "Start a verification",
        {
            201: Success(
                "It has begun, and its first message is on its way.",
                models.Verification,
                ("Location", "Preference-Applied", "Idempotent-Replayed"),
            )
        },
        (
            *_KEYED,
            *_BODY,
            *_DENIALS,
            *_REPEATABLE,
            "idempotency_in_progress",
            "invalid_destination",
            "rate_limited",
            "overloaded",
        ),
        models.StartRequest,
        parameters=("Idempotency-Key", "Prefer"),
    ),
    Operation("GET", _ONE, "read", "Read a verification", {200: _VERIFICATION}, (*_KEYED, "not_found")),
    Operation(
        "POST",
        f"{_ONE}/check",
        "check",
        "Try a code",
        {200: Success("A verdict, right or wrong.", models.Checked)},
        (*_KEYED, *_BODY, *_REPEATABLE, "invalid_destination", "not_found", "rate_limited"),
        models.CheckRequest,
        parameters=("Idempotency-Key",),
    ),
    Operation(
        "POST",
        f"{_ONE}/resend",
        "resend",
        "Take the next step now",
        {202: Success("Another message is on its way.", models.Verification)},
        (
            *_KEYED,
            *_BODY,
            "no_channel",
            "opted_out",
            "fraud_suspected",
            "spend_capped",
            "not_found",
            "not_pending",
            "rate_limited",
            "overloaded",
        ),
        models.ResendRequest,
        body_required=False,
    ),
    Operation(
        "POST",
        f"{_ONE}/cancel",
        "cancel",
        "End a verification",
        {200: _VERIFICATION},
        (*_KEYED, *_BODY, "not_found", "not_pending", "overloaded"),
        models.CancelRequest,
        body_required=False,
    ),
    Operation(
        "GET",
        f"{_ONE}/events",
        "events",
        "Read why each thing happened",
        {200: Success("The journal, oldest first.", models.Events)},
        (*_KEYED, "not_found"),
    ),
    Operation(
        "POST",
        f"{_ONE}/feedback",
        "feedback",
        "Say what became of a code that is not checked here",
        {200: Success("It is known.", models.Feedback)},
        (*_KEYED, *_BODY, "not_found"),
        models.FeedbackRequest,
        details="For apps that bring their own codes and check them themselves: without it, nobody can tell their "
        "traffic from a pump's by the codes that are typed.",
    ),
    Operation(
        "GET",
        "/v1/blocks",
        "blocks",
        "Read which traffic is held back as abuse",
        {200: Success("The app's own blocks.", models.Blocks)},
        _KEYED,
        tag="blocks",
    ),
    Operation(
        "POST",
        "/v1/blocks/lift",
        "lift_block",
        "End a block",
        {200: Success("The blocks that are left.", models.Blocks)},
        (*_KEYED, *_BODY, "not_found"),
        models.LiftBlockRequest,
        tag="blocks",
    ),
    Operation(
        "POST",
        "/v1/suppressions/search",
        "search_suppressions",
        "Read what a destination has opted out of",
        {200: _SUPPRESSIONS},
        (*_KEYED, *_BODY, "invalid_destination"),
        models.SearchRequest,
        tag="suppressions",
    ),
    Operation(
        "POST",
        "/v1/suppressions",
        "suppress",
        "Send a destination nothing more",
        {200: _SUPPRESSIONS},
        (*_KEYED, *_BODY, "invalid_destination"),
        models.SuppressRequest,
        tag="suppressions",
    ),
    Operation(
        "POST",
        "/v1/suppressions/lift",
        "lift_suppressions",
        "Send to a destination again",
        {200: _SUPPRESSIONS},
        (*_KEYED, *_BODY, "invalid_destination"),
        models.LiftRequest,
        tag="suppressions",
    ),
    Operation(
        "POST",
        "/v1/lists/search",
        "search_list",
        "Read what the app's list says of an entry",
        {200: _LISTED},
        (*_KEYED, *_BODY),
        models.EntryRequest,
        tag="lists",
    ),
    Operation(
        "POST",
        "/v1/lists",
        "list",
        "Deny or allow an entry",
        {200: _LISTED},
        (*_KEYED, *_BODY),
        models.ListRequest,
        tag="lists",
    ),
    Operation(
        "POST",
        "/v1/lists/remove",
        "remove_from_list",
        "Take an entry out of the list",
        {200: _LISTED},
        (*_KEYED, *_BODY),
        models.EntryRequest,
        tag="lists",
    ),
    Operation(
        "POST",
        "/v1/erase",
        "erase",
        "Erase what is kept of a destination",
        {200: Success("It is gone.", models.Erased)},
        (*_KEYED, *_BODY, "invalid_destination", "overloaded"),
        models.EraseRequest,
        tag="suppressions",
    ),
    *(
        Operation(
            method,
            "/callbacks/{provider}/{token}",
            f"callback_{method.lower()}",
            "A vendor's report, or its question what a call should say",
            {
                200: Success("What the vendor is to do or say, in the vendor's own form.", None, media_type="*/*"),
                204: Success("Taken.", None, media_type=""),
            },
            (
                "unauthenticated",
                "not_found",
                "request_timeout",
                "too_large",
                "store_unavailable",
                "overloaded",
                *_ALWAYS,
            ),
            key=False,
            tag="callbacks",
            details="Only for vendors: the address is handed to them with each message.",
        )
        for method in ("GET", "POST")
    ),
    Operation(
        "GET",
        "/livez",
        "alive",
        "Whether the process answers",
        {200: Success("It does.", models.Alive)},
        _ALWAYS,
        key=False,
        tag="probes",
    ),
    Operation(
        "GET",
        "/readyz",
        "ready",
        "Whether the gateway can serve",
        {
            200: Success("It can.", models.Readiness),
            503: Success("It can't, for the reasons given.", models.Readiness),
        },
        _ALWAYS,
        key=False,
        tag="probes",
    ),
    Operation(
        "GET",
        "/openapi.json",
        "document",
        "This document",
        {200: Success("OpenAPI 3.1.", None, media_type="application/json")},
        _ALWAYS,
        key=False,
        tag="probes",
    ),
    Operation(
        "GET", "/", "index", "What is where", {200: Success("Links.", models.Index)}, _ALWAYS, key=False, tag="probes"
    ),
)
