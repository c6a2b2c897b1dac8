"""The native API: each call is read, handed to its use-case, and answered in the API's words."""

from __future__ import annotations

from contextlib import suppress
from typing import TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.http import body, headers, rendering
from gateway.http.answer import Answer, Header
from gateway.http.auth import app_of
from gateway.http.call import Asked
from gateway.http.models import CancelRequest, CheckRequest, Feedback, FeedbackRequest, ResendRequest, StartRequest
from gateway.http.surface import Surface
from gateway.service.requests import Check, Overloaded, Start
from gateway.service.verifications import Begun
from gateway.store.steps import Unavailable

T = TypeVar("T", bound=BaseModel)


class Native:
    """The calls under /v1. Every failure is an exception that problems.py turns into an answer."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._verifications = surface.verifications

    def routes(self) -> list[Route]:
        """The calls by address and method."""
        one = "/v1/verifications/{id}"
        return [
            Route("/v1/verifications", self.start, methods=["POST"]),
            Route(one, self.read, methods=["GET"]),
            Route(f"{one}/check", self.check, methods=["POST"]),
            Route(f"{one}/resend", self.resend, methods=["POST"]),
            Route(f"{one}/cancel", self.cancel, methods=["POST"]),
            Route(f"{one}/feedback", self.feedback, methods=["POST"]),
            Route(f"{one}/events", self.events, methods=["GET"]),
        ]

    async def start(self, request: Asked) -> Response:
        app, wait = app_of(self._surface, request), headers.wait(request)
        key = headers.idempotency_key(request)
        wanted, raw = await body.whole(request, self._surface, StartRequest)
        self._refuse_when_draining()
        async with self._surface.room:
            begun = await self._verifications.start(_start(app, wanted, key, raw, (wait or 0) * 1000))
        answer = await self._answered(begun, (wait or 0) * 1000)
        told: tuple[Header, ...] = ((b"location", b"/v1/verifications/" + begun.verification.id.encode()),)
        if begun.replayed:
            told += ((b"idempotent-replayed", b"true"),)
        elif wait is not None:
            told += ((b"preference-applied", b"wait=%d" % wait),)
        return Answer(answer, 201, told)

    async def read(self, request: Request) -> Response:
        app = app_of(self._surface, request)
        found = await self._verifications.read(app, request.path_params["id"])
        return Answer(rendering.verification(found, self._surface.min_useful))

    async def check(self, request: Asked) -> Response:
        app, key = app_of(self._surface, request), headers.idempotency_key(request)
        wanted, raw = await body.whole(request, self._surface, CheckRequest)
        found = await self._verifications.check(
            Check(
                app,
                request.path_params["id"],
                wanted.code,
                wanted.context or {},
                wanted.to.phone if wanted.to else None,
                wanted.to.email if wanted.to else None,
                idempotency_key=key,
                body=raw,
            )
        )
        return Answer(rendering.checked(found))

    async def feedback(self, request: Request) -> Response:
        app = app_of(self._surface, request)
        said, _ = await body.whole(request, self._surface, FeedbackRequest)
        found = await self._verifications.feedback(app, request.path_params["id"], converted=said.converted)
        return Answer(rendering.encoded(Feedback(id=found.id, converted=said.converted)))

    async def resend(self, request: Request) -> Response:
        app = app_of(self._surface, request)
        wanted = await self._if_any(request, ResendRequest)
        self._refuse_when_draining()
        async with self._surface.room:
            found = await self._verifications.resend(app, request.path_params["id"], wanted.channel)
        return Answer(rendering.verification(found, self._surface.min_useful), 202)

    async def cancel(self, request: Request) -> Response:
        app = app_of(self._surface, request)
        await self._if_any(request, CancelRequest)
        found = await self._verifications.cancel(app, request.path_params["id"])
        return Answer(rendering.verification(found, self._surface.min_useful))

    async def events(self, request: Request) -> Response:
        app, id_ = app_of(self._surface, request), request.path_params["id"]
        return Answer(rendering.events(id_, await self._verifications.events(app, id_)))

    async def _if_any(self, request: Request, model: type[T]) -> T:
        """The body as a model. No body is the same as an empty object, whatever its type."""
        raw = await body.read(request, self._surface.max_body, self._surface.body_seconds)
        if not raw:
            return model()
        body.require_json(request)
        return body.understood(model, raw)

    def _refuse_when_draining(self) -> None:
        """A stopping process finishes what is under way, checks included, and sends nothing new."""
        if self._surface.draining():
            raise Overloaded

    async def _answered(self, begun: Begun, wait: int) -> bytes:
        """The answer to a start: the first one's bytes for a repetition, else after `wait` ms or news, whichever is
        first."""
        if begun.answer:
            return begun.answer
        found = begun.verification
        if wait and not begun.replayed:
            found = await self._verifications.settle(begun, wait)
        answer = rendering.verification(found, self._surface.min_useful)
        if begun.idempotency:
            with suppress(
                Unavailable
            ):  # the verification is under way: to fail now would make the caller start another
                await self._verifications.keep_answer(begun, answer)
        return answer


def _start(app: str, wanted: StartRequest, key: str | None, raw: bytes, wait: int) -> Start:
    client = wanted.client
    return Start(
        app=app,
        phone=wanted.to.phone,
        email=wanted.to.email,
        purpose=wanted.purpose,
        channels=tuple(wanted.channels or ()),
        locale=wanted.locale or "",
        code=wanted.code,
        context=wanted.context or {},
        ip=(client and client.ip) or "",
        device=(client and client.device) or "",
        app_hash=wanted.app_hash or "",
        domain=wanted.domain or "",
        metadata=wanted.metadata or {},
        idempotency_key=key,
        body=raw,
        wait=wait,
    )
