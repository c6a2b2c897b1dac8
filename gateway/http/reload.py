"""Reloads: the configuration is read again and taken over whole, or the old one stays and everybody is told why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from gateway.config import Fault, Invalid, Settings
from gateway.http.app import Gateway
from gateway.http.carriers import Unbuildable
from gateway.http.presence import Presence
from gateway.telemetry.traffic import Unwritable

_RESTART: Mapping[str, tuple[str, ...]] = {
    "server": ("host", "port", "workers"),
    "metrics": (),
    "log": (),
    "store": (),
    "ordering": (),
    "engine": ("poll", "batch", "recovery", "drain"),
}
"""What only a start can take over: by section, some of its keys or, with none named, all of them. Beside these, the
lookup key, which names every counter: another one would forget them all."""


class Reloads:
    """Reloads when it is asked to, one at a time; however often it is asked meanwhile, once more is enough."""

    def __init__(
        self, gateway: Gateway, load: Callable[[], Settings], loaded: Callable[[], None] | None = None
    ) -> None:
        """`load` reads the configuration, and runs in a thread. Raises Invalid. `loaded` is called after each reload
        that was taken over."""
        self._gateway = gateway
        self._load = load
        self._loaded = loaded
        self._asked = asyncio.Event()
        self._presence: Presence | None = None

    def ask(self) -> None:
        """Have the configuration read again, soon."""
        self._asked.set()

    def announce(self, parent: int = 0) -> None:
        """Tell the log and `otp-gateway reload` what is in force at the start. `parent` is the process that signals
        are to be sent to in the place of this one."""
        settings = self._gateway.settings
        directory, file = settings.config.store.directory, str(settings.path.resolve())
        self._presence = Presence(directory, settings.revision, file, parent)
        self._tell_loaded({})

    def close(self) -> None:
        if self._presence:
            self._presence.close()

    async def run(self) -> None:
        """Reload for ever."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self.reload()

    async def reload(self) -> bool:
        """Read the configuration and take it over, if there is nothing wrong with it. Whether it was taken over."""
        before = {name: policy.revision for name, policy in self._gateway.settings.policies.items()}
        try:
            settings, warnings = held(self._gateway.settings, await asyncio.to_thread(self._load))
            await self._gateway.adopt(settings)
        except Exception as fault:  # noqa: BLE001 - no configuration, however wrong, may end what serves
            self._refused(_faults(fault))
            return False
        self._gateway.reloaded("loaded")
        self._tell_loaded(before)
        self._tell(warnings=(*settings.warnings, *warnings))
        if self._loaded:
            self._loaded()
        return True

    def _refused(self, faults: tuple[str, ...]) -> None:
        settings = self._gateway.settings
        self._gateway.reloaded("refused")
        self._gateway.log.error("configuration.refused", path=str(settings.path), faults=list(faults))
        self._tell(refused=faults)

    def _tell_loaded(self, before: Mapping[str, str]) -> None:
        """The log: the configuration, and each policy of another revision than before."""
        log, settings = self._gateway.log, self._gateway.settings
        log.info(
            "configuration.loaded",
            path=str(settings.path),
            revision=settings.revision,
            policies=sorted(settings.policies),
            providers=sorted(settings.providers),
        )
        for name, policy in settings.policies.items():
            if policy.revision != before.get(name):
                weak = policy.settings.code.allow_weak_codes
                log.info("policy.loaded", policy=name, revision=policy.revision, weak_codes=weak)

    def _tell(self, *, refused: tuple[str, ...] = (), warnings: tuple[str, ...] = ()) -> None:
        """The log and `otp-gateway reload`."""
        for warning in warnings:
            self._gateway.log.warning("configuration.warned", path=str(self._gateway.settings.path), warning=warning)
        if self._presence:
            told = self._presence.told
            revision = self._gateway.settings.revision
            self._presence.tell(
                replace(told, revision=revision, reloads=told.reloads + 1, refused=refused, warnings=warnings)
            )


def _faults(fault: Exception) -> tuple[str, ...]:
    """What is wrong, in words for an operator."""
    match fault:
        case Invalid():
            return tuple(one.text(fault.file) for one in fault.faults)
        case Unbuildable() | Unwritable():
            return (str(fault),)
        case _:  # its text may be anything
            return (f"the configuration can't be taken over ({type(fault).__name__}): this is a bug, please report it",)


def held(running: Settings, wanted: Settings) -> tuple[Settings, tuple[str, ...]]:
    """What is wanted, with all that takes a restart as it runs now, and a warning for each such thing. Raises Invalid
    for what can't be held back."""
    if faults := list(_impossible(running, wanted)):
        raise Invalid(str(wanted.path), faults)
    names = tuple(_differing(running, wanted))
    config = wanted.config.model_copy(
        update={
            section: getattr(wanted.config, section).model_copy(update=dict(_fields(running, section)))
            for section in _RESTART
        }
    )
    kept = replace(wanted, config=config, lookup=running.lookup, store_url=running.store_url)
    return kept, tuple(f"{name}: takes a restart, and stays as it is until then." for name in names)


def _impossible(running: Settings, wanted: Settings) -> Iterator[Fault]:
    """What would harm whoever waits for a code, or pays for it: in development the simulator is no fault, so a gateway
    in production would send to it; what was spent in one currency is not known in another, so that caps would begin
    anew; and of a sealing key in another's place, nothing that the other has sealed could be opened."""
    if running.config.mode != wanted.config.mode:
        yield Fault(0, "mode", f"it runs in {running.config.mode}", "start it anew, or write the mode that it runs in")
    if (currency := running.config.spend.currency) != wanted.config.spend.currency:
        remedy = f"start it anew, and caps begin their running periods anew as well; or write {currency}"
        yield Fault(0, "spend.currency", f"it runs in {currency}, and what was spent is reckoned in it", remedy)
    for id_, key in wanted.sealing.items():
        if running.sealing.get(id_, key) != key:
            problem = f"another key runs under the id {id_}, and what it has sealed could no longer be opened"
            remedy = "give the new key an id of its own, and write it before the old one"
            yield Fault(0, "secrets.sealing", problem, remedy)


def _differing(running: Settings, wanted: Settings) -> Iterator[str]:
    """What would be another and can't be."""
    for section in _RESTART:
        new = dict(_fields(wanted, section))
        for key, value in _fields(running, section):
            if new[key] != value:
                yield f"{section}.{key}"
    if running.store_url != wanted.store_url and running.config.store == wanted.config.store:
        yield "store.password"
    if running.lookup != wanted.lookup:
        yield "secrets.lookup"


def _fields(settings: Settings, section: str) -> Iterator[tuple[str, object]]:
    found = getattr(settings.config, section)
    for key in _RESTART[section] or type(found).model_fields:
        yield key, getattr(found, key)
