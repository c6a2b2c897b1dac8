"""A provider for tests of several processes: it ends the process that it is built in, at once or a moment later."""

from __future__ import annotations

import os
import threading

from bench.null import Null
from channels.contract import Context, ProviderSettings


class Settings(ProviderSettings):
    """When the process ends."""

    seconds: float = 0


def build(settings: Settings, context: Context) -> Null:
    if settings.seconds:
        threading.Timer(settings.seconds, os._exit, (3,)).start()
    else:
        os._exit(3)
    return Null()
