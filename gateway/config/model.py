"""The configuration's schema: every key, what it means and what it is when it is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from channels.contract import SecretRef
from channels.wording import check_brand
from gateway.config.forms import (
    Currency,
    Locale,
    Name,
    Network,
    Prefix,
    PublicUrl,
    Purpose,
    Sha256,
    StoreUrl,
    TestDestinations,
)
from policies.duration import Duration, within, written


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def _length(default: str, description: str) -> Any:
    """A field for a length of time, with its default as people write it."""
    return Field(default, validate_default=True, description=description)


class ServerSettings(_Section):
    """Where the API listens, and under which address vendors reach it."""

    host: str = Field("127.0.0.1", min_length=1, description="The address to listen on; 0.0.0.0 for all of them.")
    port: int = Field(8080, ge=0, le=65535, description="The port to listen on; 0 takes any free one.")
    public_url: PublicUrl | None = Field(
        None,
        description="The address under which vendors call back. Left out: where the server listens, in development; "
        "needed in production with any provider that reports deliveries.",
    )
    trusted_proxies: tuple[Network, ...] = Field(
        (), max_length=64, description="Networks whose X-Forwarded-For is believed: your load balancers, nobody else."
    )
    workers: int = Field(
        1, ge=1, le=64, description="Processes that serve on this port; one for each core, beside those of the store."
    )
    max_body: int = Field(65_536, ge=1024, le=1_048_576, description="Bytes of a request's body, at the most.")
    starts: int = Field(
        128,
        ge=1,
        le=100_000,
        description="Starts and resends worked on at once in this process, at the most, so that checks have their turn."
        " Others wait; who would have to for more than 0.7 s is answered with 503.",
    )
    connections: int = Field(
        10_000, ge=16, le=1_000_000, description="Connections that are open at once; one more is answered with 503."
    )


class MetricsSettings(_Section):
    """Where Prometheus reads: a listener of its own, never the public one."""

    enabled: bool = Field(True, description="false opens no listener for metrics.")
    host: str = Field("127.0.0.1", min_length=1, description="The address to listen on.")
    port: int = Field(9464, ge=0, le=65535, description="The port to listen on; 0 takes any free one.")


class LogSettings(_Section):
    """What is logged, and how it looks."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is logged.")
    format: Literal["auto", "json", "console"] = Field(
        "auto", description="json, console for people, or auto: console in development, json in production."
    )


class TlsSettings(_Section):
    """How a rediss:// store is trusted, and what it is shown."""

    authority: Path | None = Field(None, description="The file of whom to trust. Left out: whom the system trusts.")
    certificate: Path | None = Field(None, description="The file of the certificate to show, where the store asks.")
    key: Path | None = Field(None, description="The file of that certificate's key.")


class WaitSettings(_Section):
    """When replicas must have a thing before an app is told of it."""

    replicas: int | None = Field(
        None,
        ge=0,
        le=5,
        description="How many replicas must have an approval before it is told; 0 waits for none. Left out: 1 where "
        "the store has replicas, else 0.",
    )
    timeout: Annotated[Duration, within("10ms", "10s")] = _length(
        "400ms", "How long to wait for them; after that, the answer is 503: repeat with the same Idempotency-Key."
    )
    starts: bool = Field(False, description="Whether starts wait as well.")


class StoreSettings(_Section):
    """Where the state lives: Valkey or Redis, always."""

    url: StoreUrl = Field(
        "embedded",
        description="embedded starts a Valkey of its own; or unix:///path, redis://host:port/db, rediss://host:port/db "
        "(TLS), redis+sentinel://host:port,host:port/group/db, redis+cluster://host:port,host:port, and both with "
        "rediss for TLS.",
    )
    username: str | None = Field(None, min_length=1, description="The ACL user. Left out: the default user.")
    password: SecretRef | None = Field(None, description="The password of the store, by reference.")
    sentinel_username: str | None = Field(
        None, min_length=1, description="The ACL user of the Sentinels. Left out: the default user."
    )
    sentinel_password: SecretRef | None = Field(None, description="The password of the Sentinels, by reference.")
    tls: TlsSettings | None = Field(None, description="Files for TLS, where those of the system do not do.")
    directory: Path = Field(
        Path("data"),
        description="The folder of the embedded store, and of the keys that development makes; relative to where the "
        "gateway is started.",
    )
    fsync: Literal["everysec", "always"] = Field(
        "everysec", description="When the embedded store writes to disk: each second, or before each answer."
    )
    prefix: Prefix = Field("otp", description="How the store's keys begin.")
    timeout: Annotated[Duration, within("100ms", "30s")] = _length(
        "1500ms", "How long one call to the store may take, the wait for a connection included."
    )
    checks: Literal["auto", "refuse", "warn"] = Field(
        "auto",
        description="What becomes of a store that may lose data (its version, eviction, persistence, replicas): auto "
        "refuses to start in production and warns in development.",
    )
    wait: WaitSettings = Field(WaitSettings(), description="When replicas must have a thing before an app is told.")
    calls: int = Field(10_000, ge=64, le=1_000_000, description="Calls to the store under way at once, at the most.")


class SealingKey(SecretRef):
    """A key that seals codes and destinations, and its id."""

    id: Name = Field(description="What the stored state names the key by. Never give an id to another key.")


class SecretSettings(_Section):
    """The gateway's own keys: 32 random bytes or more each, in base64, in hex or as text."""

    lookup: SecretRef | None = Field(
        None,
        description="The key under which destinations are hashed. Left out: made by development, needed in production.",
    )
    sealing: tuple[SealingKey, ...] = Field(
        (),
        max_length=8,
        description="The keys that seal codes and destinations: the first seals, all open. To rotate, put a new one "
        "first, and take the old one out a day later.",
    )


class EngineSettings(_Section):
    """How the work is done. The defaults suit most."""

    lease: Annotated[Duration, within("3s", "5m")] = _length(
        "15s",
        "How long a process may take over one send before another takes it over; longer than any provider's timeout.",
    )
    poll: Annotated[Duration, within("10ms", "10s")] = _length("200ms", "How often timers are looked for.")
    batch: int = Field(64, ge=1, le=1000, description="Timers taken at once, at the most.")
    recovery: int = Field(
        200,
        ge=1,
        le=100_000,
        description="Of the timers that are more than 5 s late, because nobody was there to see to them, each process "
        "takes up so many in a second. What has just fallen due goes first.",
    )
    min_useful: Annotated[Duration, within("0s", "10m")] = _length(
        "60s", "A message that would leave less than this of the code's life is not sent."
    )
    sends: int = Field(
        2000, ge=1, le=100_000, description="Messages under way at once in this process; more is answered with 503."
    )
    drain: Annotated[Duration, within("0s", "10m")] = _length("25s", "How long a stopping process finishes its work.")
    tombstone: Annotated[Duration, within("1m", "31d")] = _length(
        "24h", "How long an ended verification can still be read."
    )
    idempotency: Annotated[Duration, within("1m", "7d")] = _length("24h", "How long an Idempotency-Key is remembered.")

    @model_validator(mode="after")
    def _replayable(self) -> Self:
        if self.idempotency > self.tombstone:
            said = "tombstone" if "tombstone" in self.model_fields_set else "idempotency"
            raise ValueError(
                f"{said}: idempotency ({written(self.idempotency)}) outlasts tombstone ({written(self.tombstone)}), so "
                "that a repeat could find nothing: write a shorter idempotency, or a longer tombstone"
            )
        return self


Share = Annotated[float, Field(ge=0, le=1)]


class OrderingSettings(_Section):
    """How providers are judged by what becomes of their messages, each process by its own. One that is bad goes behind
    the others of its step."""

    window: Annotated[Duration, within("5m", "6h")] = _length("30m", "How far back it looks.")
    minimum: int = Field(
        50, ge=10, le=100_000, description="Messages of a provider, channel and group of countries that say something."
    )
    bad_delivery: Share = Field(
        0.6, description="Delivered in time, of those that were reported: less is bad. 0 turns this off."
    )
    good_delivery: Share = Field(0.8, description="From this share on, it is good again.")
    bad_conversion: Share = Field(0.2, description="Verified, of those that were sent: less is bad. 0 turns this off.")
    good_conversion: Share = Field(0.35, description="From this share on, it is good again.")
    cooldown: Annotated[Duration, within("1m", "6h")] = _length(
        "10m", "How long at least a provider stays behind, and an adaptive order as it is."
    )
    exploration: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.05, description="The share of verifications that try another provider first, to see how it does."
    )

    @model_validator(mode="after")
    def _bands(self) -> Self:
        for measure in ("delivery", "conversion"):
            bad, good = getattr(self, f"bad_{measure}"), getattr(self, f"good_{measure}")
            if good <= bad:
                raise ValueError(f"good_{measure}: must be above bad_{measure}: write more than {bad:g}")
        return self


class CurrencySettings(_Section):
    """The currency that caps on spending are reckoned in. What may be spent is said by the policies."""

    currency: Currency = Field("USD", description="The one currency that prices are turned into.")
    rates: dict[Currency, Annotated[float, Field(gt=0, le=1_000_000)]] = Field(
        default_factory=dict,
        max_length=32,
        description="What one unit of another currency is worth in it, such as {EUR: 1.08}. Your word: nothing is "
        "looked up.",
    )


class RecordSettings(_Section):
    """What was asked and decided, written down so that `otp-gateway policy simulate` can ask it of other policies too.
    Holds masked destinations and keyed hashes, never a full number, address or code."""

    file: Path | None = Field(None, description="The file to append to. Left out: nothing is recorded.")
    max_bytes: int = Field(
        67_108_864, ge=65_536, le=10_737_418_240, description="Bytes after which the file is set aside and begun anew."
    )
    keep: int = Field(
        5, ge=1, le=1000, description="Files set aside to keep, as FILE.1 (the newest), FILE.2 and so on."
    )


class ApiKey(_Section):
    """One of an app's keys. The configuration knows its hash only."""

    id: Name = Field(description="A name for logs, so that a key can be told from the app's others.")
    sha256: Sha256 = Field(description="The SHA-256 of the key in hex, as `otp-gateway keys new` prints it.")


class FailedCheckSettings(_Section):
    """Wrong codes of an app over all its destinations. Five guesses at each of very many numbers break no limit of any
    of them, so here the app's checks are looked at as a whole."""

    window: Annotated[Duration, within("10m", "24h")] = _length(
        "1h", "How far back it looks, and how long the action holds."
    )
    amount: int = Field(5000, ge=10, le=10_000_000, description="So many wrong codes are too many.")
    minimum: int = Field(200, ge=10, le=10_000_000, description="Codes tried that say something of their ratio.")
    ratio: Annotated[float, Field(gt=0, le=1)] = Field(
        0.6, description="So large a share of wrong codes, of those that were wrong or right, is too much."
    )
    action: Literal["alarm", "longer_codes", "block"] = Field(
        "alarm",
        description="alarm writes a log line and counts a metric, once for each window; longer_codes also makes new "
        "codes 8 characters long; block also refuses starts and checks of the app, so that whoever guesses can stop "
        "its logins.",
    )


class AppSettings(_Section):
    """A client of the gateway."""

    name: Annotated[str, AfterValidator(check_brand)] = Field(
        description="The brand that messages show, 40 characters at the most."
    )
    keys: tuple[ApiKey, ...] = Field(
        (),
        max_length=16,
        description="The app's API keys; several while they are rotated. Left out in development: one is made.",
    )
    locale: Locale = Field("en", description="The language of messages when a request names none.")
    policies: dict[Purpose, str] = Field(
        {"*": "default"}, max_length=64, description="The policy for each purpose; * is for every other purpose."
    )
    templates: dict[str, str] = Field(
        default_factory=dict,
        description="Texts of your own instead of ours, by sms, voice, whatsapp, telegram, email and subject (the "
        "email's), with {brand}, {code}, {time}, {minutes} and {context}.",
    )
    failed_checks: FailedCheckSettings | None = Field(
        FailedCheckSettings(), description="When wrong codes are too many over the whole app; null: they never are."
    )


class ChannelSettings(_Section):
    """What carries a channel."""

    providers: tuple[str, ...] = Field(
        (), max_length=16, description="The providers to try, in order. Empty: the channel is not offered."
    )


class SmsSettings(ChannelSettings):
    """What carries SMS."""

    max_segments: int = Field(
        1,
        ge=1,
        le=6,
        description="Parts of one SMS, each of which costs: longer wording is shortened to fit. A context is not: what "
        "it takes beyond these parts is sent, and reckoned.",
    )


class ChannelsSettings(_Section):
    """The channels, and the providers of each."""

    sms: SmsSettings = Field(SmsSettings(), description="Text messages.")
    voice: ChannelSettings = Field(ChannelSettings(), description="Calls that say the code.")
    whatsapp: ChannelSettings = Field(ChannelSettings(), description="WhatsApp messages.")
    telegram: ChannelSettings = Field(ChannelSettings(), description="Telegram messages.")
    email: ChannelSettings = Field(ChannelSettings(), description="Email.")


class Config(_Section):
    """The whole file."""

    mode: Literal["development", "production"] = Field(
        "production",
        description="development makes missing keys and allows the simulator; production makes up nothing.",
    )
    server: ServerSettings = Field(ServerSettings(), description="The API's listener.")
    metrics: MetricsSettings = Field(MetricsSettings(), description="The listener for Prometheus.")
    log: LogSettings = Field(LogSettings(), description="Logs.")
    store: StoreSettings = Field(StoreSettings(), description="The store.")
    secrets: SecretSettings = Field(SecretSettings(), description="The gateway's own keys.")
    engine: EngineSettings = Field(EngineSettings(), description="The engine's times and sizes.")
    ordering: OrderingSettings = Field(OrderingSettings(), description="How providers are judged.")
    spend: CurrencySettings = Field(CurrencySettings(), description="The currency of caps on spending.")
    record: RecordSettings = Field(RecordSettings(), description="The record of decisions.")
    apps: dict[Name, AppSettings] = Field(description="The apps that may call, by name.", min_length=1)
    providers: dict[Name, dict[str, Any]] = Field(
        description="The accounts with vendors, by a name of your own.", min_length=1
    )
    channels: ChannelsSettings = Field(ChannelsSettings(), description="Which providers carry which channel.")
    test_destinations: TestDestinations = Field(
        default_factory=dict,
        max_length=100,
        repr=False,
        description="Numbers and addresses to which nothing is sent, each with its code, such as "
        '{"+14155550199": "123456"}. In development only.',
    )
    policies: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="What may be sent where, how often and in which order, by name."
    )
