"""The webhook provider with a planted bug: it believes every report."""

from __future__ import annotations

from channels.contract import Callback, Context, Outcome
from channels.providers import webhook
from channels.providers._reading import json_object

Settings = webhook.Settings


class Gullible(webhook.Webhook):
    """Reads a report without a look at its signature."""

    def read(self, callback: Callback) -> Outcome:
        report = self._report(json_object(callback.body)["data"])
        return Outcome(reports=(report,)) if report else Outcome()


def build(settings: webhook.Settings, context: Context) -> Gullible:
    return Gullible(settings, context, webhook.build(settings, context)._keys)
