"""One message of a verification: what it says, whom it goes to, and what became of handing it over."""

from __future__ import annotations

import time

from channels.contract import Channel, ErrorClass, Message, SendError
from channels.wording import Terms, word_again
from gateway.core.keys import Unopenable
from gateway.core.machine import Accepted, Delivered, Event, Failed
from gateway.core.model import Attempt
from gateway.service import suspicion, trial
from gateway.service.setup import Carrier, Setup
from gateway.store.document import Secrets, Stored, unpack_secrets

_CHANNELS = {str(channel): channel for channel in Channel}  # Channel(name) is four calls


def opened(setup: Setup, stored: Stored) -> Secrets:
    """The code and the destinations. Raises Unopenable, as it does for a verification that has ended."""
    if stored.sealed is None:
        raise Unopenable
    return unpack_secrets(setup.keys.open(stored.key_id, stored.verification.id, stored.sealed))


async def sent(setup: Setup, stored: Stored, attempt: Attempt, secrets: Secrets) -> Event:
    """What became of the message of an attempt: handed over to whoever is to carry it, it was accepted or it failed."""
    if stored.verification.shadow:
        return await suspicion.pretended(setup, attempt)
    if trial.carried(setup, attempt.provider):
        return Delivered(attempt.number)
    carrier = setup.carriers.get(attempt.provider)
    if carrier is None:  # taken out of the configuration since the verification began
        return Failed(attempt.number, ErrorClass.PROVIDER_DOWN, "not-configured", unsent=True)
    if attempt.provider in setup.switches.off:
        return Failed(attempt.number, ErrorClass.PROVIDER_DOWN, "switched-off", unsent=True)
    return await _carried(setup, carrier, stored, attempt, secrets)


async def _carried(setup: Setup, carrier: Carrier, stored: Stored, attempt: Attempt, secrets: Secrets) -> Event:
    began = time.perf_counter()
    try:
        message = worded(setup, stored, attempt, secrets)
        insist = carrier.refuses(message) and _nowhere_else(setup, stored, attempt, message)
        receipt = await carrier.send(message, insist=insist)
    except SendError as error:
        return Failed(attempt.number, error.error, error.vendor_code, unsent=not error.ambiguous)
    except Exception as error:  # noqa: BLE001 - a fault in one provider's code must not strand a verification
        setup.log.error("provider.fault", provider=attempt.provider, fault=type(error).__name__)
        return Failed(attempt.number, ErrorClass.UNKNOWN, type(error).__name__)
    finally:
        setup.metrics.provider(attempt.provider, attempt.channel, time.perf_counter() - began)
    return Accepted(attempt.number, receipt.message_id, receipt.cost)


def _nowhere_else(setup: Setup, stored: Stored, attempt: Attempt, message: Message) -> bool:
    """Whether the breakers of all the step's providers are open that are not switched off. Then nobody is better
    than anybody: the order stays as it is, and each is tried. One guard alone can't see that."""
    providers = stored.verification.steps[attempt.step].providers
    carriers = (setup.carriers.get(provider) for provider in providers if provider not in setup.switches.off)
    return all(carrier.refuses(message) for carrier in carriers if carrier)


def terms(
    setup: Setup, name: str, channel: Channel, lifetime: int, locale: str, purpose: str, domain: str, app_hash: str
) -> Terms:
    """The terms in which the app of this name has a code worded that lives for `lifetime` seconds, for a start that
    said the rest."""
    app = setup.apps.get(name)  # none: taken out of the configuration since the verification began
    return Terms(
        app.brand if app else name,
        locale,
        max(1, lifetime // 60),
        purpose,
        domain,
        app_hash,
        setup.segments.get(channel, 1),
        tuple(app.templates.items()) if app else (),
    )


def worded(setup: Setup, stored: Stored, attempt: Attempt, secrets: Secrets) -> Message:
    """The message of one attempt, in words."""
    v, channel = stored.verification, _CHANNELS[attempt.channel]
    left = max(1, round((v.expires_at - setup.store.now()) / 1000))
    asked = terms(setup, v.app, channel, left, stored.locale, v.purpose, secrets.domain, secrets.app_hash)
    token = setup.keys.token(v.id, attempt.number, attempt.provider)
    callback = f"{setup.callback_base}/callbacks/{attempt.provider}/{token}"
    return Message(
        channel=channel,
        to=secrets.email if channel is Channel.EMAIL else secrets.phone,
        code=secrets.code,
        wording=word_again(channel, secrets.code, asked, secrets.context or {}),
        reference=f"{v.id}.{attempt.number}",
        lifetime=left,
        sender=v.steps[attempt.step].sender or None,
        callback_url=callback,
        token=token,
        answer_url=f"{callback}?answer=1",
        country=v.country,
    )
