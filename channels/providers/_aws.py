"""Requests to Amazon Web Services, signed: whose keys, which region, and Signature Version 4.

Only what the two services here need: one POST to the root of an endpoint, with everything in the body. The rules are
AWS's own (IAM User Guide, "Create a signed AWS API request"); the tests hold them to AWS's vectors and to botocore.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any, Self
from urllib.parse import quote, urlsplit

from pydantic import Field, model_validator

from channels.contract import Context, ErrorClass, ProviderSettings, SecretRef, SendError
from channels.providers._senders import form
from channels.transport import Reply, Transport

ALGORITHM = "AWS4-HMAC-SHA256"
REGION = r"[a-z]{2}(-[a-z]+)+-[0-9]"

Clock = Callable[[], datetime]

_BOTOCORE = "botocore"


class Keys(ProviderSettings):
    """The keys that every AWS provider has in its section."""

    region: Annotated[str, form(REGION, "write a region, such as eu-west-1")] = Field(
        description="The region whose endpoint is used, and that the senders belong to."
    )
    access_key_id: SecretRef | None = Field(None, description="An access key's id. Without a key, the role's is used.")
    secret_access_key: SecretRef | None = Field(None, description="The secret of that access key.")
    session_token: SecretRef | None = Field(None, description="The session token, when the key is a temporary one.")

    @model_validator(mode="after")
    def _whole_key(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("write both access_key_id and secret_access_key, or neither")
        if self.session_token and not self.access_key_id:
            raise ValueError("session_token needs access_key_id and secret_access_key")
        if not self.access_key_id and find_spec(_BOTOCORE) is None:
            raise ValueError("the role's credentials need botocore: install it, or write access_key_id")
        return self


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key. `token` is set when it is a temporary one."""

    key_id: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)


Source = Callable[[], Awaitable[Credentials]]
"""Gives the credentials of the moment. Raises SendError when there are none."""


def utc() -> datetime:
    return datetime.now(UTC)


def domain(region: str) -> str:
    """China's regions are a partition of their own."""
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    credentials: Credentials,
    region: str,
    service: str,
    now: datetime,
) -> dict[str, str]:
    """The headers of a request with its signature among them. For a URL without a query."""
    parts, stamp = urlsplit(url), now.strftime("%Y%m%dT%H%M%SZ")
    signed = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    signed |= {"host": parts.netloc, "x-amz-date": stamp}
    if credentials.token:
        signed["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(signed))
    lines = [f"{name}:{signed[name]}" for name in sorted(signed)]
    request = "\n".join([method, quote(parts.path or "/"), "", *lines, "", names, _sha256(body)])
    scope = (stamp[:8], region, service, "aws4_request")
    text = "\n".join([ALGORITHM, stamp, "/".join(scope), _sha256(request.encode())])
    signature = reduce(_hmac, (*scope, text), f"AWS4{credentials.secret}".encode()).hex()
    where = f"{credentials.key_id}/{'/'.join(scope)}"
    signed["authorization"] = f"{ALGORITHM} Credential={where}, SignedHeaders={names}, Signature={signature}"
    return {name: value for name, value in signed.items() if name != "host"}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


class Endpoint:
    """One service of one region, under one account's keys."""

    def __init__(self, service: str, settings: Keys, context: Context, clock: Clock) -> None:
        self._service = service
        self._region = settings.region
        host = f"https://{service}.{settings.region}.{domain(settings.region)}"
        self._url = f"{settings.base_url or host}/"
        self._credentials = _source(settings, context)
        self._clock = clock
        self._transport = Transport.of(settings, context)

    async def post(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """Ask once. Raises SendError when no answer came or there are no credentials."""
        credentials = await self._credentials()
        signed = sign("POST", self._url, headers, body, credentials, self._region, self._service, self._clock())
        return await self._transport.request("POST", self._url, headers=signed, body=body)

    async def close(self) -> None:
        await self._transport.close()


def _source(settings: Keys, context: Context) -> Source:
    if settings.access_key_id is None:
        return _Role()
    secrets = context.secrets
    own = Credentials(secrets["access_key_id"], secrets["secret_access_key"], secrets.get("session_token", ""))

    async def given() -> Credentials:
        return own

    return given


class _Role:
    """The credentials of the machine, the container or the service account, as botocore finds and renews them."""

    def __init__(self) -> None:
        self._session: Any = import_module("botocore.session").Session()

    async def __call__(self) -> Credentials:
        """In a thread, because botocore asks the network for new ones, and waits for it."""
        try:
            found = await asyncio.to_thread(self._find)
        except Exception:  # noqa: BLE001 - botocore has a dozen classes for "there are none to be had"
            found = None
        if found is None:
            raise SendError(ErrorClass.PROVIDER_ACCOUNT, "no_credentials")
        return Credentials(found.access_key, found.secret_key, found.token or "")

    def _find(self) -> Any:
        chain = self._session.get_credentials()  # kept by the session after the first time
        return chain.get_frozen_credentials() if chain else None
